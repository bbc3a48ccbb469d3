"""Whether the archive is what its log says, file by file."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from city.archive.archive import Archive, Problem
from city.archive.columns import FEEDS
from city.archive.files import ArchiveDown, Unreadable
from city.archive.layout import LOG, read_name
from city.archive.log import File
from city.archive.parquet import AT, Source, conformed, is_in_order

_LOG_FILE = re.compile(rf"{LOG}/((\d{{12,}}(\.snapshot)?|archive|writing-[0-9a-f]+)\.json|lock)")


class Verified(NamedTuple):
    """What was looked at, and what is wrong."""

    files: int
    rows: int
    bytes: int
    problems: list[Problem]


def verify(archive: Archive, *, deep: bool, looked_at: Callable[[File], None] = lambda file: None) -> Verified:
    """Look at every listed file and for files that are not listed; `deep` reads every row. Changes nothing."""
    problems: list[Problem] = list(archive.problems)
    archive.refresh()
    listed = archive.all_files()
    for file in listed:
        try:
            problems += [Problem(file.path, why) for why in _wrong(archive, file, deep=deep)]
        except Unreadable as error:
            problems.append(Problem(file.path, error.why))
        except FileNotFoundError:
            problems.append(Problem(file.path, "is listed, but not there"))
        looked_at(file)
    problems += _not_listed(archive, {file.path for file in listed})
    # Commits of the meantime: what they replaced or listed is no problem.
    archive.refresh()
    now = {file.path for file in archive.all_files()}
    gone = {file.path for file in listed} - now
    known = now - {file.path for file in listed}
    problems = [problem for problem in problems if problem.path not in gone and problem.path not in known]
    return Verified(
        files=len(listed),
        rows=sum(file.rows for file in listed),
        bytes=sum(file.bytes for file in listed),
        problems=sorted(set(problems)),
    )


def _wrong(archive: Archive, file: File, *, deep: bool) -> list[str]:
    """What is wrong with one file. Raises Unreadable."""
    found: list[str] = []
    size = archive.folder.size(file.path)
    if size != file.bytes:
        found.append(f"{size} bytes, but {file.bytes} were written")
    named = read_name(file.path)
    if named is None or named.place != file.place:
        found.append("lies in a folder of another feed or hour")
    with archive.folder.open(file.path) as opened:
        source = Source(file.path, opened)
        if source.rows != file.rows:
            found.append(f"{source.rows} rows, but {file.rows} were written")
        if file.feed in FEEDS:
            try:
                conformed(file.feed, source.schema.empty_table())
            except ValueError as error:
                found.append(str(error))
        if deep:
            found += _rows_wrong(file, source)
    return found


def _rows_wrong(file: File, source: Source) -> list[str]:
    found: list[str] = []
    rows, least, greatest = 0, file.max_ms, file.min_ms
    last: pa.Table | None = None
    ordered = True
    for batch in source.batches():
        table = pa.Table.from_batches([batch])
        if table.num_rows == 0:
            continue
        rows += table.num_rows
        span = pc.min_max(table.column(AT)).as_py()
        least, greatest = min(least, span["min"]), max(greatest, span["max"])
        ordered = ordered and is_in_order(file.feed, table if last is None else pa.concat_tables([last, table]))
        last = table.slice(table.num_rows - 1)
    if rows != file.rows:
        found.append(f"{rows} rows can be read, but {file.rows} were written")
    if not ordered:
        found.append("rows are not sorted")
    if (least, greatest) != (file.min_ms, file.max_ms):
        found.append(f"times are {least} to {greatest}, not {file.min_ms} to {file.max_ms}")
    if least < file.place.from_ms or greatest >= file.place.to_ms:
        found.append("rows of another hour")
    return found


def _not_listed(archive: Archive, listed: set[str]) -> list[Problem]:
    """Files of others, and files of ours that no commit lists."""
    found: list[Problem] = []
    try:
        files = list(archive.folder.walk())
    except FileNotFoundError:
        return []
    removed = archive.removed()
    for path, _ in files:
        if path in listed or path in removed or _LOG_FILE.fullmatch(path):
            continue
        if read_name(path) is not None:
            found.append(Problem(path, "is not listed: no part of the archive"))
        elif not path.endswith(".part"):
            found.append(Problem(path, "is not a file of the archive"))
    return found


__all__ = ["ArchiveDown", "Verified", "verify"]
