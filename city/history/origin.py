"""Where the rows of an answer come from."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Skipped(NamedTuple):
    """A file of the archive that was left out, and why."""

    path: str
    why: str


class Origin(Struct, frozen=True, kw_only=True):
    """Where the rows of an answer come from."""

    engine: str
    commit: int  # of the archive
    files: int = 0
    bytes: int = 0
    archived_rows: int = 0  # in those files; not all of them are within the span
    live_rows: int = 0  # of the span, that are only in the store
    live_missing: str = ""  # why rows that are only in the store may be missing
    skipped: tuple[Skipped, ...] = ()
