"""A feed's files as columns of text, and what is wrong with them as CSV (RFC 4180, UTF-8)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from city.gtfs.faults import Faults, Reason
from city.gtfs.source import files_of
from city.gtfs.tables import FILES, TABLES, Table

_BOM = b"\xef\xbb\xbf"


class Rows(Struct, frozen=True, eq=False):
    """The rows of one file, column by column. A column that the file does not have is empty in every row."""

    file: str
    lines: list[int]
    columns: Mapping[str, list[str]]
    given: frozenset[str]  # columns that the file has

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, name: str) -> list[str]:
        return self.columns[name]


Feed = Mapping[str, Rows]  # by the name of the table; a file that is not there has no rows


def read(path: Path, faults: Faults) -> Feed:
    """The files of a feed as they stand; every row has a value of each known column."""
    files = files_of(path, FILES, faults)
    unreadable = {fault.file for fault in faults.told}
    feed: dict[str, Rows] = {}
    for table in TABLES:
        data = files.get(table.file)
        if data is None:
            if table.required and table.file not in unreadable and path.name not in unreadable:
                faults.add(table.file, 0, "", Reason.MISSING_FILE, "the feed does not have it")
            feed[table.name] = Rows(table.file, [], {field.name: [] for field in table.fields}, frozenset())
        else:
            feed[table.name] = _rows(table, data, faults)
    if "calendar.txt" not in files and "calendar_dates.txt" not in files and not unreadable:
        faults.add("calendar.txt", 0, "", Reason.MISSING_FILE, "neither calendar.txt nor calendar_dates.txt is there")
    return feed


def _rows(table: Table, data: bytes, faults: Faults) -> Rows:
    file = table.file
    columns: dict[str, list[str]] = {field.name: [] for field in table.fields}
    lines: list[int] = []
    try:
        text = data.removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        faults.add(file, line, "", Reason.NOT_UTF8, f"byte {data[error.start]:#04x} is no UTF-8 text")
        return Rows(file, lines, columns, frozenset(columns))
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    head: list[str] | None = None
    targets: list[list[str] | None] = []
    line = 1
    try:
        for cells in reader:
            begins, line = line, reader.line_num + 1
            if not cells or (len(cells) == 1 and not cells[0].strip()):
                continue  # an empty line
            if head is None:
                head = [cell.strip() for cell in cells]
                targets = _head(table, head, begins, columns, faults)
                continue
            if len(cells) != len(head):
                faults.add(file, begins, "", Reason.WRONG_CELLS, f"{len(cells)} cells under {len(head)} columns")
                continue
            lines.append(begins)
            for target, cell in zip(targets, cells, strict=True):
                if target is not None:
                    target.append(cell.strip())
    except csv.Error as error:
        faults.add(file, line, "", Reason.BAD_CSV, str(error))
    given = frozenset(head or ())
    if head is None:
        faults.add(file, 1, "", Reason.MISSING_COLUMN, "the file has no head line")
    for name, column in columns.items():
        if name not in given:
            column.extend([""] * len(lines))
    return Rows(file, lines, columns, given)


def _head(
    table: Table, head: list[str], line: int, columns: dict[str, list[str]], faults: Faults
) -> list[list[str] | None]:
    for name in sorted({name for name in head if name and head.count(name) > 1}):
        faults.add(table.file, line, name, Reason.DUPLICATE_COLUMN, "stands there twice")
    for field in table.fields:
        if field.required and field.name not in head:
            faults.add(table.file, line, field.name, Reason.MISSING_COLUMN, "a required column is not there")
    seen: set[str] = set()
    targets: list[list[str] | None] = []
    for name in head:
        targets.append(None if name in seen else columns.get(name))
        seen.add(name)
    return targets
