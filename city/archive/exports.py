"""Rows of the archive as one file for others: Parquet, CSV or GeoJSON, with places in degrees."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from city.archive.archive import Archive
from city.archive.columns import schema
from city.archive.files import Unreadable
from city.archive.layout import Hour
from city.archive.log import File
from city.archive.parquet import AT, ROW_GROUP_ROWS, Source, conformed

Add = Callable[[pa.Table], None]

_E7 = 1e7


class ExportError(Exception):
    """The file cannot be written. One line."""


def export(
    archive: Archive, feed: str, from_ms: int, to_ms: int, out: Path, skipped: Callable[[Unreadable], None]
) -> int:
    """Write the rows of [from_ms, to_ms) to a file of the format that its name ends in; how many.

    Hour by hour, each sorted by entity and time. Of a file that cannot be read `skipped` is told.
    """
    wanted = in_degrees(schema(feed).empty_table()).schema
    write = _FORMATS.get(out.suffix)
    if write is None:
        raise ExportError(f"{out}: the name ends in none of {', '.join(_FORMATS)}")
    if write is _geojson and "lat" not in wanted.names:
        raise ExportError(f"{out}: {feed} has no places; take .parquet or .csv")
    part = out.with_name(f"{out.name}.part")
    rows = 0
    try:
        with part.open("wb") as file, write(file, wanted) as add:
            for table in _rows(archive, feed, from_ms, to_ms, skipped):
                add(in_degrees(table).cast(wanted))
                rows += table.num_rows
        part.replace(out)
    except OSError as error:
        raise ExportError(f"{out}: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)
    return rows


def in_degrees(table: pa.Table) -> pa.Table:
    """The table with `lat`, `lon` in degrees in the place of whole ten-millionths."""
    for name in ("lat", "lon"):
        if (at := table.schema.get_field_index(f"{name}_e7")) >= 0:
            degrees = pc.divide(pc.cast(table.column(at), pa.float64()), _E7)
            table = table.set_column(at, pa.field(name, pa.float64(), table.schema.field(at).nullable), degrees)
    return table


def _rows(
    archive: Archive, feed: str, from_ms: int, to_ms: int, skipped: Callable[[Unreadable], None]
) -> Iterator[pa.Table]:
    hours = dict.fromkeys(file.place for file in archive.files(feed, from_ms, to_ms))
    for place in hours:
        with ExitStack() as stack:
            for file, opened in _of_hour(archive, place, stack, skipped):
                try:
                    for table in _tables(file, opened):
                        at = table.column(AT)
                        yield table.filter(pc.and_(pc.greater_equal(at, from_ms), pc.less(at, to_ms)))
                except Unreadable as error:
                    skipped(error)


def _of_hour(
    archive: Archive, place: Hour, stack: ExitStack, skipped: Callable[[Unreadable], None]
) -> list[tuple[File, Any]]:
    """The files of an hour, all open before the first row is read: it may be merged meanwhile, and they deleted."""
    for last in (False, False, True):
        found: list[tuple[File, Any]] = []
        missing: list[File] = []
        for file in archive.files(place.feed, place.from_ms, place.to_ms):
            if file.place != place:
                continue
            try:
                found.append((file, stack.enter_context(archive.folder.open(file.path))))
            except FileNotFoundError:
                missing.append(file)
        if not missing or last or not archive.refresh():
            break
    for file in missing:
        skipped(Unreadable(file.path, "is listed, but not there"))
    return found


def tables(archive: Archive, file: File) -> Iterator[pa.Table]:
    """The rows of one file in portions, with the columns of now. Raises Unreadable."""
    try:
        opened = archive.folder.open(file.path)
    except FileNotFoundError:
        raise Unreadable(file.path, "is listed, but not there") from None
    with opened:
        yield from _tables(file, opened)


def _tables(file: File, opened: Any) -> Iterator[pa.Table]:
    for batch in Source(file.path, opened).batches():
        try:
            table = conformed(file.feed, pa.Table.from_batches([batch]))
        except ValueError as error:
            raise Unreadable(file.path, str(error)) from error
        yield table


@contextmanager
def _parquet(file: BinaryIO, of: pa.Schema) -> Iterator[Add]:
    with pq.ParquetWriter(file, of, compression="zstd") as writer:
        yield lambda table: writer.write_table(table, row_group_size=ROW_GROUP_ROWS)


@contextmanager
def _csv(file: BinaryIO, of: pa.Schema) -> Iterator[Add]:
    with pa_csv.CSVWriter(file, of, write_options=pa_csv.WriteOptions(quoting_style="needed")) as writer:
        yield writer.write_table


@contextmanager
def _geojson(file: BinaryIO, of: pa.Schema) -> Iterator[Add]:
    """RFC 7946, a feature a row; a row without a place has no geometry."""
    del of
    separator = b"\n"
    encode = msgspec.json.Encoder().encode

    def add(table: pa.Table) -> None:
        nonlocal separator
        for row in table.to_pylist():
            lat, lon = row.pop("lat"), row.pop("lon")
            geometry = None if lat is None or lon is None else {"type": "Point", "coordinates": [lon, lat]}
            said = {name: value for name, value in row.items() if value is not None}
            file.write(separator + encode({"type": "Feature", "geometry": geometry, "properties": said}))
            separator = b",\n"

    file.write(b'{"type":"FeatureCollection","features":[')
    yield add
    file.write(b"\n]}\n")


_FORMATS = {".parquet": _parquet, ".csv": _csv, ".geojson": _geojson}
