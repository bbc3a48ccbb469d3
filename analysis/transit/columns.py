"""Archived positions as plain columns, one route at a time.

Column names are the fields of `city.events.VehiclePosition`; what a feed never tells may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

UNSAID = -1  # where a feed does not name trip, stop or kind


class Words(Struct, frozen=True, eq=False):
    """A column of words: each row names its place among them (sorted), or UNSAID."""

    words: tuple[str, ...]
    at: I64

    def __getitem__(self, row: int) -> str | None:
        place = int(self.at[row])
        return None if place == UNSAID else self.words[place]


class Fixes(Struct, frozen=True, kw_only=True, eq=False):
    """Positions of one route, sorted by vehicle and time, each once."""

    route: str
    vehicle: Words
    measured_ms: I64
    direction: I64  # 1 or 2, 0 where unsaid
    trip: Words
    lat: F64
    lon: F64
    speed_mps: F64  # NaN where unsaid, as the next
    deviation_s: F64  # positive: ahead of schedule
    stop: Words
    kind: Words

    def __len__(self) -> int:
        return len(self.measured_ms)


def fixes_by_route(table: pa.Table) -> Iterator[Fixes]:
    """The positions of each route; those without a route are left out."""
    route = words(table, "route")
    order = np.argsort(route.at, kind="stable")
    ends = np.searchsorted(route.at[order], np.arange(len(route.words) + 1))
    for at in sorted(range(len(route.words)), key=lambda one: route.words[one]):
        rows = order[ends[at] : ends[at + 1]]
        if len(rows):
            yield fixes_of(route.words[at], table.take(pa.array(rows)))


def fixes_of(route: str, table: pa.Table) -> Fixes:
    """The positions of a table, all of one route."""
    vehicle, kind = words(table, "vehicle_id"), words(table, "kind")
    measured_ms = integers(table, "measured_ms")
    rows = np.lexsort((kind.at, measured_ms, vehicle.at))
    # Redelivered, or told twice: one device measures one thing at a time.
    same = np.zeros(len(rows), bool)
    same[1:] = (np.diff(vehicle.at[rows]) == 0) & (np.diff(measured_ms[rows]) == 0) & (np.diff(kind.at[rows]) == 0)
    rows = rows[~same]

    def of(name: str) -> Words:
        column = words(table, name)
        return Words(column.words, column.at[rows])

    return Fixes(
        route=route,
        vehicle=Words(vehicle.words, vehicle.at[rows]),
        measured_ms=measured_ms[rows],
        direction=integers(table, "direction")[rows],
        trip=of("trip"),
        lat=numbers(table, "lat")[rows],
        lon=numbers(table, "lon")[rows],
        speed_mps=numbers(table, "speed_mps")[rows],
        deviation_s=numbers(table, "schedule_deviation_s")[rows],
        stop=of("stop"),
        kind=Words(kind.words, kind.at[rows]),
    )


def words(table: pa.Table, name: str) -> Words:
    """A column of words; without it, none is said."""
    if name not in table.column_names:
        return Words((), np.full(len(table), UNSAID, np.int64))
    column: Any = table[name].combine_chunks()
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    if isinstance(column, pa.ChunkedArray):
        column = column.unify_dictionaries().combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        column = column.chunk(0) if column.num_chunks else pa.array([], pa.string()).dictionary_encode()
    at = np.asarray(pc.fill_null(column.indices.cast(pa.int64()), UNSAID))
    said = [str(word) for word in column.dictionary.to_pylist()]
    known = tuple(sorted(set(said) - {""}))
    place = {word: number for number, word in enumerate(known)}
    # An empty word says as little as none.
    return Words(known, np.array([*(place.get(word, UNSAID) for word in said), UNSAID], np.int64)[at])


def numbers(table: pa.Table, name: str) -> F64:
    """A column of numbers, NaN where unsaid or without the column."""
    if name not in table.column_names:
        return np.full(len(table), np.nan)
    column = pc.cast(table[name], pa.float64())
    return np.asarray(pc.fill_null(column, np.nan), np.float64)


def integers(table: pa.Table, name: str) -> I64:
    """A column of whole numbers, 0 where unsaid or without the column."""
    if name not in table.column_names:
        return np.zeros(len(table), np.int64)
    return np.asarray(pc.fill_null(pc.cast(table[name], pa.int64()), 0), np.int64)


def flags(table: pa.Table, name: str) -> Flags:
    """A column of yes and no, no where unsaid."""
    if name not in table.column_names:
        return np.zeros(len(table), bool)
    return np.asarray(pc.fill_null(pc.cast(table[name], pa.bool_()), False), bool)
