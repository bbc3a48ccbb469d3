"""Rows of the past as arrays: from the archive's Parquet files, or from events that are only in the store yet.

Both go through the archive's own columns, so that a position is the same wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from analysis.replay_tracks import CountRows, Floats, Ints, PositionRows, Words
from city.archive.columns import batch_of
from city.events import Event, Facet

POSITION = (
    *("vehicle_id", "measured_ms", "late", "lat_e7", "lon_e7", "speed_mps", "bearing_deg", "occupancy_pct"),
    *("route", "mode", "district", "mahalla"),
)
COUNT = ("vehicle_id", "measured_ms", "late", "onboard", "capacity")
_WORDS = ("vehicle_id", "route", "mode", "district", "mahalla")


def batch_table(facet: Facet, events: Sequence[Event], late: Sequence[bool]) -> pa.Table:
    """Events as the rows that the archive would have of them, in the columns that a replay needs."""
    columns = POSITION if facet is Facet.POSITION else COUNT
    return pa.Table.from_batches([batch_of(facet.value, events, late)]).select(columns)


def position_rows(table: pa.Table) -> PositionRows:
    """The columns of a table of positions as arrays."""
    return PositionRows(
        vehicle=words(table, "vehicle_id"),
        measured_ms=ints(table, "measured_ms"),
        late=table.column("late").to_numpy().astype(np.bool_),
        lat_e7=ints(table, "lat_e7").astype(np.int32),
        lon_e7=ints(table, "lon_e7").astype(np.int32),
        speed_mps=_floats(table, "speed_mps"),
        bearing_deg=_floats(table, "bearing_deg"),
        occupancy_pct=_floats(table, "occupancy_pct"),
        route=words(table, "route"),
        mode=words(table, "mode"),
        district=words(table, "district"),
        mahalla=words(table, "mahalla"),
    )


def count_rows(table: pa.Table) -> CountRows:
    """The columns of a table of passenger counts as arrays."""
    return CountRows(
        vehicle=words(table, "vehicle_id"),
        measured_ms=ints(table, "measured_ms"),
        late=table.column("late").to_numpy().astype(np.bool_),
        onboard=_floats(table, "onboard"),
        capacity=_floats(table, "capacity"),
    )


def columns_of(url: str, columns: Sequence[str]) -> pa.Table:
    """Columns of one file; those of an older version that are not in it are empty. Raises OSError, ArrowException."""
    with fsspec.open(url, "rb") as opened:
        file = _opened(opened, columns)
        return _whole(file.read(columns=_there(file, columns), use_threads=False), columns)


def file_ends(url: str, columns: Sequence[str], but: AbstractSet[str]) -> tuple[frozenset[str], pa.Table]:
    """Who came in order in a file of positions, and columns of some rows: among them the newest of each but `but`.

    The files are sorted by vehicle and time: who is in which row costs little to read, and of the rest only
    those groups of rows are read that have a row that is wanted. Raises OSError, ArrowException.
    """
    with fsspec.open(url, "rb") as opened:
        file = _opened(opened, columns)
        keys = file.read(columns=["vehicle_id", "late"], use_threads=False)
        vehicle = words(keys, "vehicle_id")
        rows = np.flatnonzero(~keys.column("late").to_numpy().astype(np.bool_))
        codes = vehicle.codes[rows]
        ends = rows[np.append(codes[1:] != codes[:-1], len(codes) > 0)] if len(codes) else rows
        names = [vehicle.names[code] for code in vehicle.codes[ends]]
        wanted = ends[np.array([name not in but for name in names], dtype=np.bool_)]
        sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
        begins = np.cumsum([0, *sizes])
        groups = np.unique(np.searchsorted(begins, wanted, side="right") - 1)
        found = [
            file.read_row_group(int(n), columns=_there(file, columns), use_threads=False).take(
                pa.array(wanted[(wanted >= begins[n]) & (wanted < begins[n + 1])] - begins[n])
            )
            for n in groups
        ]
        if not found:
            return frozenset(names), batch_table(Facet.POSITION, [], []).select(columns)
        return frozenset(names), _whole(pa.concat_tables(found), columns)


def _opened(file: Any, columns: Sequence[str]) -> pq.ParquetFile:
    return pq.ParquetFile(file, read_dictionary=[name for name in _WORDS if name in columns])


def _there(file: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    names = set(file.schema_arrow.names)
    return [name for name in columns if name in names]


def _whole(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """With the columns that are not there, empty."""
    for name in columns:
        if name not in table.schema.names:
            kind = pa.dictionary(pa.int32(), pa.string()) if name in _WORDS else pa.float64()
            table = table.append_column(name, pa.nulls(table.num_rows, kind))
    return table.select(columns)


def words(table: pa.Table, name: str) -> Words:
    """A column of words, null as none."""
    column = table.column(name)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = array.chunk(0) if array.num_chunks else pa.array([], pa.string()).dictionary_encode()
    codes = pc.fill_null(array.indices, -1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Words(codes=codes, names=tuple(array.dictionary.cast(pa.string()).to_pylist()))


def ints(table: pa.Table, name: str) -> Ints:
    """A column of whole numbers without nulls."""
    values: Ints = table.column(name).to_numpy().astype(np.int64, copy=False)
    return values


def _floats(table: pa.Table, name: str) -> Floats:
    values: Floats = table.column(name).cast(pa.float64()).to_numpy().astype(np.float64, copy=False)
    return values
