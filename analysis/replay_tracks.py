"""Rows of the past, sorted once so that any moment of any vehicle is found by binary search.

An hour of 2,000 vehicles every five seconds is 1.4 million rows: sorted by vehicle and time they stay in memory for as
long as somebody plays that hour, and nothing is read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Picked = npt.NDArray[np.intp] | slice  # rows of a column

NEVER = np.iinfo(np.int64).min
# Of a key: time within the tracks below (139 years in milliseconds), the vehicle's number above (two million of them).
_TIME_BITS = 42
_TIME_MAX = (1 << _TIME_BITS) - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Words:
    """A column of words: a number a row (-1: none) into the list of those that occur."""

    codes: Small
    names: tuple[str, ...]

    def among(self, names: Sequence[str], rows: Picked) -> npt.NDArray[np.int16]:
        """Of these rows the same as numbers into `names`; -1 for what is not in it."""
        place = {name: at for at, name in enumerate(names)}
        table = np.array([*(place.get(name, -1) for name in self.names), -1], dtype=np.int16)
        return table[self.codes[rows]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PositionRows:
    """Positions of vehicles, in any order; NaN where a number is not known."""

    vehicle: Words
    measured_ms: Ints
    late: Bools
    lat_e7: Small  # ten-millionths of a degree
    lon_e7: Small
    speed_mps: Floats
    bearing_deg: Floats
    occupancy_pct: Floats
    route: Words
    mode: Words
    district: Words
    mahalla: Words


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CountRows:
    """Passenger counts of vehicles, in any order; NaN where a number is not known."""

    vehicle: Words
    measured_ms: Ints
    late: Bools
    onboard: Floats
    capacity: Floats


@dataclass(frozen=True, slots=True, eq=False)
class TimeIndex:
    """Rows sorted by vehicle and time, found by both."""

    ids: tuple[str, ...]  # sorted
    base_ms: int
    keys: Ints  # vehicle and time in one number, ascending
    starts: Ints  # where each vehicle's rows begin, and the end of all

    @classmethod
    def of(cls, vehicle: Words, measured_ms: Ints, late: Bools) -> tuple[TimeIndex, Picked]:
        """The index of the rows that came in order, and which of all rows those are, in the index's order."""
        kept = np.flatnonzero(~late) if late.any() else None
        codes, times = (vehicle.codes, measured_ms) if kept is None else (vehicle.codes[kept], measured_ms[kept])
        names = np.array(vehicle.names, dtype=object)
        ranked = sorted(np.flatnonzero(np.bincount(codes, minlength=len(names))).tolist(), key=lambda code: names[code])
        rank = np.zeros(len(names) + 1, dtype=np.int64)
        rank[ranked] = np.arange(len(ranked))
        base_ms = int(times.min()) if len(times) else 0
        keys = (rank[codes] << _TIME_BITS) | (times - base_ms)
        picked: Picked = slice(None) if kept is None else kept
        # A file is sorted already: then nothing is moved.
        if not np.all(keys[1:] >= keys[:-1]):
            order = np.argsort(keys, kind="stable")
            keys, picked = keys[order], order if kept is None else kept[order]
        starts = np.searchsorted(keys, np.arange(len(ranked) + 1, dtype=np.int64) << _TIME_BITS)
        return cls(tuple(str(names[code]) for code in ranked), base_ms, keys, starts.astype(np.int64)), picked

    def last(self, moments_ms: Ints) -> Ints:
        """Row of each vehicle's newest at or before each moment, (vehicles, moments); -1 where there is none."""
        within = np.clip(moments_ms - self.base_ms, -1, _TIME_MAX)
        vehicles = np.arange(len(self.ids), dtype=np.int64)[:, None]
        asked = (vehicles << _TIME_BITS) + within
        found = np.searchsorted(self.keys, asked.ravel(), side="right").reshape(asked.shape) - 1
        return np.where(found >= self.starts[:-1, None], found, -1).astype(np.int64)

    def following(self, last: Ints) -> Ints:
        """The row behind each found one, the vehicle's first behind -1; -1 where there is none."""
        behind = np.where(last < 0, self.starts[:-1, None], last + 1)
        return np.where(behind < self.starts[1:, None], behind, -1).astype(np.int64)

    def measured_ms(self, rows: Ints) -> Ints:
        """When each row was measured; NEVER for -1."""
        if not len(self.keys):
            return np.full(rows.shape, NEVER, dtype=np.int64)
        times: Ints = self.base_ms + (self.keys[rows] & _TIME_MAX)
        return np.where(rows < 0, NEVER, times)


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """An hour (or any part) of positions, ready to be sampled.

    What came out of order is left out: the live map never drew it.
    """

    index: TimeIndex
    lat_e7: Small
    lon_e7: Small
    speed_mps: npt.NDArray[np.float16]
    bearing_deg: npt.NDArray[np.float16]
    occupancy_pct: npt.NDArray[np.float16]
    route: npt.NDArray[np.int32]
    routes: tuple[str, ...]
    mode: npt.NDArray[np.int16]
    modes: tuple[str, ...]
    district: npt.NDArray[np.int16]  # into the list of areas that it was made with
    mahalla: npt.NDArray[np.int16]
    late: int  # rows left out

    @classmethod
    def of(cls, rows: PositionRows, areas: Sequence[str]) -> Tracks:
        """`areas`: the codes that are known, in an order that the caller keeps."""
        index, picked = TimeIndex.of(rows.vehicle, rows.measured_ms, rows.late)
        return cls(
            index=index,
            lat_e7=rows.lat_e7[picked],
            lon_e7=rows.lon_e7[picked],
            speed_mps=rows.speed_mps[picked].astype(np.float16),
            bearing_deg=rows.bearing_deg[picked].astype(np.float16),
            occupancy_pct=rows.occupancy_pct[picked].astype(np.float16),
            route=rows.route.codes[picked],
            routes=rows.route.names,
            mode=rows.mode.codes[picked].astype(np.int16),
            modes=rows.mode.names,
            district=rows.district.among(areas, picked),
            mahalla=rows.mahalla.among(areas, picked),
            late=int(np.count_nonzero(rows.late)),
        )

    def ends(self) -> Tracks:
        """Only each vehicle's newest."""
        rows = self.index.starts[1:] - 1
        return Tracks(
            index=TimeIndex(
                self.index.ids,
                self.index.base_ms,
                self.index.keys[rows],
                np.arange(len(self.index.ids) + 1, dtype=np.int64),
            ),
            lat_e7=self.lat_e7[rows],
            lon_e7=self.lon_e7[rows],
            speed_mps=self.speed_mps[rows],
            bearing_deg=self.bearing_deg[rows],
            occupancy_pct=self.occupancy_pct[rows],
            route=self.route[rows],
            routes=self.routes,
            mode=self.mode[rows],
            modes=self.modes,
            district=self.district[rows],
            mahalla=self.mahalla[rows],
            late=0,
        )

    @property
    def nbytes(self) -> int:
        return sum(value.nbytes for name in self.__slots__ if isinstance(value := getattr(self, name), np.ndarray)) + (
            self.index.keys.nbytes
        )


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """The same of passenger counts."""

    index: TimeIndex
    onboard: npt.NDArray[np.float32]
    capacity: npt.NDArray[np.float32]

    @classmethod
    def of(cls, rows: CountRows) -> Counts:
        index, picked = TimeIndex.of(rows.vehicle, rows.measured_ms, rows.late)
        return cls(index, rows.onboard[picked].astype(np.float32), rows.capacity[picked].astype(np.float32))

    @property
    def nbytes(self) -> int:
        return self.index.keys.nbytes + self.onboard.nbytes + self.capacity.nbytes
