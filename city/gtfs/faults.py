"""What is wrong in a feed: file, line, column and reason of each fault."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import Struct

# So many are told; the rest is counted.
TOLD_MAX = 100


class Reason(StrEnum):
    """Why a feed is refused."""

    NOT_A_FEED = "not_a_feed"
    UNSAFE_PATH = "unsafe_path"
    TOO_LARGE = "too_large"
    MISSING_FILE = "missing_file"
    NOT_UTF8 = "not_utf8"
    BAD_CSV = "bad_csv"
    MISSING_COLUMN = "missing_column"
    DUPLICATE_COLUMN = "duplicate_column"
    WRONG_CELLS = "wrong_cells"
    EMPTY_VALUE = "empty_value"
    BAD_VALUE = "bad_value"
    BAD_TIME = "bad_time"
    BAD_DATE = "bad_date"
    OUT_OF_RANGE = "out_of_range"
    DUPLICATE_KEY = "duplicate_key"
    UNKNOWN_REFERENCE = "unknown_reference"
    WRONG_ORDER = "wrong_order"
    TOO_FEW = "too_few"


class Fault(Struct, frozen=True, kw_only=True):
    """One fault. A line is a line of the file as an editor counts it, 0 for the file as a whole."""

    file: str
    line: int = 0
    column: str = ""
    reason: Reason
    detail: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.column + ': ' if self.column else ''}{self.detail} ({self.reason})"


class GtfsError(Exception):
    """A feed that cannot be used: its first faults, and how many there are."""

    def __init__(self, faults: tuple[Fault, ...], total: int) -> None:
        super().__init__("; ".join(map(str, faults[:1])))
        self.faults = faults
        self.total = total


@dataclass(slots=True)
class Faults:
    """Gathers faults, so that one look tells all of them."""

    told: list[Fault] = field(default_factory=list)
    total: int = 0
    notes: list[str] = field(default_factory=list)  # no fault, but good to know

    def add(self, file: str, line: int, column: str, reason: Reason, detail: str) -> None:
        self.total += 1
        if len(self.told) < TOLD_MAX:
            self.told.append(Fault(file=file, line=line, column=column, reason=reason, detail=detail))

    def refuse(self) -> None:
        """Raise GtfsError if there is any fault."""
        if self.total:
            raise GtfsError(tuple(self.told), self.total)
