"""Rows of a Parquet file into the archive: what fits the columns of a feed and is not there yet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from city.archive.archive import Archive, Overtaken, now_ms
from city.archive.columns import TRANSITION, identity_columns, schema
from city.archive.exports import tables
from city.archive.log import entry_ms
from city.archive.parquet import AT, by_hour_of
from city.archive.plan import DAY_MS

_E7 = 1e7
_DEGREES = {"lat": 90.0, "lon": 180.0}
# Rows in memory at once.
_PORTION_ROWS = 500_000
_TRIES = 20
# Seconds or microseconds in the place of milliseconds lie far outside of the years 1999 to 2100.
_TIMES_MS = (915_148_800_000, 4_102_444_800_000)
_ROW = "_row"


class NotOfFeed(Exception):
    """The file is no file of this feed. One line."""


class Busy(Exception):
    """Others commit so fast that there was no moment between two of them. One line."""


class Imported(NamedTuple):
    """What became of a file's rows."""

    rows: int
    added: int
    known: int  # the archive has them already, or they stand in the file before
    files: int


class _Delays(NamedTuple):
    """How long rows may be on their way, milliseconds."""

    late_ms: int  # from their measuring into a stream
    held_ms: int  # from there into the archive


def import_file(
    archive: Archive,
    path: Path,
    feed: str,
    *,
    stale_max_s: float = 3600,
    hold_s: float = 3600,
    clock: Callable[[], int] = now_ms,
) -> Imported:
    """Add a file's rows, a commit a portion; what is there already stays as it is. Raises NotOfFeed, Busy.

    A row is there already when one of the same entity, time and kind is. Columns of the feed that may be empty may be
    missing, and `late` and `received_ms`; `lat`, `lon` are degrees, or whole ten-millionths as `lat_e7`, `lon_e7`.
    `stale_max_s`: events come so late at most; `hold_s`: so long the store keeps what is not archived.
    """
    delays = _Delays(0 if feed == TRANSITION else int(stale_max_s * 1000), int(hold_s * 1000))
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise NotOfFeed(f"{path}: not a Parquet file: {' '.join(str(error).split())}") from error
    _fitting(path, feed, file.schema_arrow.empty_table())  # all columns before the first row
    rows = added = files = 0
    try:
        for batch in file.iter_batches(batch_size=_PORTION_ROWS):
            rows += batch.num_rows
            part = _fitting(path, feed, pa.Table.from_batches([batch]))
            _happened(path, part, clock())
            more, written = _add(archive, path, feed, part, delays)
            added += more
            files += written
    except (pa.ArrowException, OSError) as error:
        raise NotOfFeed(f"{path}: {' '.join(str(error).split())}; {added} rows were added before it") from error
    return Imported(rows=rows, added=added, known=rows - added, files=files)


def _add(archive: Archive, path: Path, feed: str, table: pa.Table, delays: _Delays) -> tuple[int, int]:
    """Add the rows that are new; how many, and in how many files."""
    for _ in range(_TRIES):
        archive.refresh()
        _archived_by_now(archive, path, feed, table, delays)
        new = _new(archive, feed, table)
        if not new.num_rows:
            return 0, 0
        try:
            # Whoever committed since the comparison may have brought the same rows.
            files = archive.append({feed: new.to_batches()}, {}, kind="import", behind=archive.number)
        except Overtaken:
            continue
        return new.num_rows, len(files)
    raise Busy(f"{path}: others write all the time; try again later")


def _happened(path: Path, table: pa.Table, now_ms: int) -> None:
    """Raises NotOfFeed for rows of the future: what is kept for some days would all be too old beside them."""
    newest_ms = pc.max(table.column(AT)).as_py()
    if newest_ms is not None and newest_ms > now_ms + DAY_MS:
        raise NotOfFeed(f"{path}: has rows of {newest_ms}; it is {now_ms} now")


def _archived_by_now(archive: Archive, path: Path, feed: str, table: pa.Table, delays: _Delays) -> None:
    """Raises NotOfFeed for rows that may still be on their way from the streams: they would be there twice."""
    cursors = {stream: entry_ms(cursor) for stream, cursor in archive.cursors().items()}
    # Where nothing is said any more a cursor stands still; but no stream is read so far behind the others.
    held_ms = max(cursors.values(), default=0) - delays.held_ms
    own = [at_ms for stream, at_ms in cursors.items() if at_ms and stream.isdecimal() == (feed != TRANSITION)]
    reached_ms = max(min(own, default=0), held_ms) - delays.late_ms
    newest_ms = pc.max(table.column(AT)).as_py()
    if any(cursors.values()) and newest_ms is not None and newest_ms > reached_ms:
        raise NotOfFeed(
            f"{path}: has rows of {newest_ms}; up to {reached_ms} the archive has what the city said itself"
        )


def _fitting(path: Path, feed: str, table: pa.Table) -> pa.Table:
    """Rows with the columns of the feed. Raises NotOfFeed."""
    wanted = schema(feed)
    names = list(table.schema.names)
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise NotOfFeed(f"{path}: column {doubled[0]} is there twice")
    known = {name.removesuffix("_e7") for name in wanted.names} | set(wanted.names)
    if unknown := [name for name in names if name not in known]:
        raise NotOfFeed(f"{path}: {feed} has no column {unknown[0]} (it has {', '.join(wanted.names)})")
    columns: list[pa.ChunkedArray | pa.Array] = []
    for field in wanted:
        column = _column(path, table, field)
        if not field.nullable and column.null_count:
            raise NotOfFeed(f"{path}: column {field.name} is empty in {column.null_count} rows")
        columns.append(column)
    found = pa.Table.from_arrays(columns, schema=wanted)
    if found.num_rows:
        span = pc.min_max(found.column(AT)).as_py()
        if span["min"] < _TIMES_MS[0] or span["max"] >= _TIMES_MS[1]:
            raise NotOfFeed(f"{path}: {AT} is in epoch milliseconds, not {span['min']} to {span['max']}")
    return found


def _column(path: Path, table: pa.Table, field: pa.Field) -> pa.ChunkedArray | pa.Array:
    degrees = field.name.removesuffix("_e7")
    if field.name in table.schema.names:
        column = table.column(field.name)
    elif degrees != field.name and degrees in table.schema.names:
        column = _whole(path, degrees, table.column(degrees))
    elif field.name == "late":
        column = pa.repeat(False, table.num_rows)
    elif field.name == "received_ms" and AT in table.schema.names:
        column = table.column(AT)
    elif field.nullable:
        return pa.nulls(table.num_rows, field.type)
    else:
        raise NotOfFeed(f"{path}: column {field.name} is missing")
    try:
        return column if column.type == field.type else column.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        what = " ".join(str(error).split())
        raise NotOfFeed(f"{path}: column {field.name} is no {field.type}: {what}") from error


def _whole(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Degrees as whole ten-millionths."""
    try:
        degrees = column.cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise NotOfFeed(f"{path}: column {name} is in degrees, not {column.type}") from error
    greatest = pc.max(pc.abs(degrees)).as_py()
    if greatest is not None and not greatest <= _DEGREES[name]:
        raise NotOfFeed(f"{path}: column {name} is in degrees, not {greatest}")
    return pc.cast(pc.round(pc.multiply(degrees, _E7)), pa.int32())


def _new(archive: Archive, feed: str, table: pa.Table) -> pa.Table:
    """The rows that the archive does not have, each once."""
    found: list[pa.Table] = []
    for place, rows in by_hour_of(feed, table).items():
        keys = _keys(feed, rows).append_column(_ROW, pa.array(range(rows.num_rows), pa.int64()))
        names = [name for name in keys.schema.names if name != _ROW]
        kept = keys.group_by(names).aggregate([(_ROW, "min")]).rename_columns([*names, _ROW])
        for file in archive.files(feed, place.from_ms, place.to_ms):
            for there in tables(archive, file):
                if kept.num_rows:
                    kept = kept.join(_keys(feed, there), names, join_type="left anti", use_threads=False)
        found.append(rows.take(kept.column(_ROW)))
    return pa.concat_tables(found) if found else table.slice(0, 0)


def _keys(feed: str, table: pa.Table) -> pa.Table:
    """What tells rows apart, as texts: a join takes no null for another."""
    return pa.table({name: pc.fill_null(table.column(name).cast(pa.string()), "\0") for name in identity_columns(feed)})
