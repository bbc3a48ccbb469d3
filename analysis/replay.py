"""The past as it is played: where every vehicle was at evenly spaced moments, and what its areas then were.

Between two positions that are near in time a vehicle moved straight; over a gap it is not moved, and grows old as on
the live map. All of it is arithmetic on `analysis.replay_tracks`, for thousands of vehicles at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from analysis.indicators import STANDING_MPS, AreaIndicators
from analysis.kpis import MPS_TO_KMH
from analysis.replay_tracks import NEVER, Bools, Counts, Floats, Ints, Tracks

HOUR_MS = 3_600_000
_E7 = 1e7
# City seconds between samples, so that they are at most a sixth of a real second apart: the browser moves vehicles
# between them. None is above the time after which a vehicle counts as silent: a silence must not hide between two.
_STEPS_S = (1, 2, 5, 10, 20)


def step_s(speed: float) -> int:
    """City seconds between samples that are fit for playing at `speed` (city seconds a second)."""
    return next((step for step in _STEPS_S if step >= speed / 6), _STEPS_S[-1])


def fitted(every_ms: int, samples: int, stale_after_ms: int, most: int) -> tuple[int, int]:
    """Step and number of samples for the same time with steps that hide no silence; at most `most`, then for less."""
    fit_ms = max(1, min(every_ms, stale_after_ms))
    return fit_ms, min(-(-every_ms * samples // fit_ms), max(samples, most))


class PlaySettings(Struct, frozen=True, kw_only=True):
    """What the live map goes by, for the past."""

    gone_after_ms: int  # a vehicle that said nothing for longer is not drawn
    stale_after_ms: int  # a position so old is grey; over a longer gap nothing is moved
    count_stale_after_ms: int  # an older count says nothing of who is on board
    capacity_default: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Samples:
    """Every vehicle at every moment: arrays of (moments, vehicles). Only vehicles that are drawn at some moment."""

    moments_ms: Ints
    ids: tuple[str, ...]
    routes: tuple[str | None, ...]  # at the last moment at which it is drawn
    modes: tuple[str | None, ...]
    x: Floats  # Web Mercator of the world
    y: Floats
    age_ms: Ints  # of the newest position
    speed_mps: Floats
    bearing_deg: Floats
    onboard: Floats  # by fresh counts, not below 0; NaN where nobody counted
    load: Floats  # passengers over places, 1.0 is full; NaN where unknown
    places: Floats
    district: npt.NDArray[np.int16]  # into the areas that the tracks were made with, -1 outside
    mahalla: npt.NDArray[np.int16]
    gone: Bools  # nothing known of it for too long: not drawn
    stale: Bools
    jumped: Bools  # it did not move here from the sample before: it appeared, or was silent between


def sample(
    parts: Sequence[Tracks], counts: Sequence[Counts], from_ms: int, every_ms: int, count: int, settings: PlaySettings
) -> Samples:
    """`count` samples from `from_ms` on, `every_ms` apart (not above the time after which a position is stale).

    Parts may overlap in time: at each moment the newest row of all is the last one, the oldest of all the next.
    """
    # One moment before the first, to know whether a vehicle moved to its first sample.
    moments: Ints = from_ms + every_ms * np.arange(-1, count, dtype=np.int64)
    ids = sorted({vehicle for part in parts for vehicle in part.index.ids})
    last, following = _Found((len(ids), len(moments))), _Found((len(ids), len(moments)))
    for number, part in enumerate(parts):
        at = _places(ids, part.index.ids)
        rows = part.index.last(moments)
        last.newest(number, at, rows, part.index.measured_ms(rows))
        behind = part.index.following(rows)
        following.oldest(number, at, behind, part.index.measured_ms(behind))
    age: Ints = np.where(last.rows < 0, settings.gone_after_ms + 1, moments - last.ms)
    gone = age > settings.gone_after_ms
    moving = (last.rows >= 0) & (following.rows >= 0) & (following.ms - last.ms <= settings.stale_after_ms)
    share = np.where(moving, age / np.maximum(following.ms - last.ms, 1), 0.0)
    (x, y), (to_x, to_y) = (mercator(found.of(parts, _lat), found.of(parts, _lon)) for found in (last, following))
    x += np.where(moving, share * (to_x - x), 0.0)
    y += np.where(moving, share * (to_y - y), 0.0)
    jumped = np.zeros(gone.shape, dtype=np.bool_)
    jumped[:, 1:] = gone[:, :-1] | (~moving[:, :-1] & (last.ms[:, 1:] != last.ms[:, :-1]))
    onboard, load, places = _loads(ids, counts, moments, last.of(parts, _occupancy), settings)
    drawn = np.flatnonzero(~gone[:, 1:].all(axis=1))
    final = [int(np.flatnonzero(~gone[at])[-1]) for at in drawn]

    def out(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.ascontiguousarray(values[drawn, 1:].T)

    def words(pick: Callable[[Tracks, int], str | None]) -> tuple[str | None, ...]:
        found = ((int(last.part[at, k]), int(last.rows[at, k])) for at, k in zip(drawn, final, strict=True))
        return tuple(pick(parts[part], row) for part, row in found)

    return Samples(
        moments_ms=moments[1:],
        ids=tuple(ids[at] for at in drawn),
        routes=words(lambda part, row: part.routes[part.route[row]] if part.route[row] >= 0 else None),
        modes=words(lambda part, row: part.modes[part.mode[row]] if part.mode[row] >= 0 else None),
        x=out(x),
        y=out(y),
        age_ms=out(age),
        speed_mps=out(last.of(parts, lambda part, rows: part.speed_mps[rows])),
        bearing_deg=out(last.of(parts, lambda part, rows: part.bearing_deg[rows])),
        onboard=out(onboard),
        load=out(load),
        places=out(places),
        district=out(last.of(parts, lambda part, rows: part.district[rows], -1)).astype(np.int16),
        mahalla=out(last.of(parts, lambda part, rows: part.mahalla[rows], -1)).astype(np.int16),
        gone=out(gone),
        stale=out(~gone & (age > settings.stale_after_ms) & ~moving),
        jumped=out(jumped),
    )


def mercator(lat: Floats, lon: Floats) -> tuple[Floats, Floats]:
    """Web Mercator of the whole world as 0…1, y growing southwards (EPSG:3857, scaled)."""
    latitude = np.radians(np.clip(lat, -85.05, 85.05))
    return (lon + 180) / 360, 0.5 - np.log(np.tan(np.pi / 4 + latitude / 2)) / (2 * np.pi)


def area_indicators(samples: Samples, at: int, areas: int, settings: PlaySettings) -> list[AreaIndicators]:
    """The indicators of all areas at the moment of number `at`, as `analysis.indicators` has them, without alarms.

    They are made of the positions and counts themselves: samples of areas are not kept for as long as the archive.
    """
    serving = ~samples.gone[at] & (samples.age_ms[at] <= settings.stale_after_ms)
    vehicles, moving, counted = np.zeros(areas), np.zeros(areas), np.zeros(areas)
    speed, onboard, load, places = np.zeros(areas), np.zeros(areas), np.zeros(areas), np.zeros(areas)
    for layer in (samples.district[at], samples.mahalla[at]):
        inside = serving & (layer >= 0)

        def add(to: Floats, who: Bools, what: Floats | None = None, layer: npt.NDArray[np.int16] = layer) -> None:
            to += np.bincount(layer[who], None if what is None else what[who], areas)

        add(vehicles, inside)
        known = inside & (samples.speed_mps[at] > STANDING_MPS)
        add(moving, known)
        add(speed, known, samples.speed_mps[at])
        known = inside & ~np.isnan(samples.onboard[at])
        add(counted, known)
        add(onboard, known, samples.onboard[at])
        known = inside & ~np.isnan(samples.load[at])
        add(load, known, samples.load[at] * samples.places[at])
        add(places, known, samples.places[at])
    return [
        AreaIndicators(
            vehicles=int(vehicles[n]),
            load=float(load[n] / places[n]) if places[n] else None,
            speed_kmh=float(speed[n] / moving[n] * MPS_TO_KMH) if moving[n] else None,
            moving=int(moving[n]),
            onboard=int(onboard[n]) if counted[n] else None,
        )
        for n in range(areas)
    ]


class HourLook(Struct, frozen=True, kw_only=True):
    """How complete the positions of an hour are."""

    from_ms: int
    rows: int
    late: int  # of these: came out of order, not drawn
    vehicles: int
    minutes: list[int]  # positions in each minute
    archived: int  # of the rows: in the archive already
    skipped: list[str]  # files that could not be read
    unread: bool  # too much waits for the archive: the store may have more of it than was read


def minutes_of(measured_ms: Ints, hour_ms: int) -> list[int]:
    """How many of these times fall into each minute of an hour."""
    within = measured_ms - hour_ms
    inside = within[(within >= 0) & (within < HOUR_MS)]
    return [int(n) for n in np.bincount(inside // 60_000, minlength=60)]


class _Found:
    """Of each vehicle and moment one row: its part's number, its place there and its time."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.part = np.zeros(shape, dtype=np.int16)
        self.rows = np.full(shape, -1, dtype=np.int64)
        self.ms = np.full(shape, NEVER, dtype=np.int64)

    def newest(self, part: int, at: Ints, rows: Ints, ms: Ints) -> None:
        self._take(part, at, rows, ms, (rows >= 0) & ((self.rows[at] < 0) | (ms > self.ms[at])))

    def oldest(self, part: int, at: Ints, rows: Ints, ms: Ints) -> None:
        self._take(part, at, rows, ms, (rows >= 0) & ((self.rows[at] < 0) | (ms < self.ms[at])))

    def _take(self, part: int, at: Ints, rows: Ints, ms: Ints, better: Bools) -> None:
        self.part[at] = np.where(better, part, self.part[at])
        self.rows[at] = np.where(better, rows, self.rows[at])
        self.ms[at] = np.where(better, ms, self.ms[at])

    def of(
        self, parts: Sequence[Tracks], pick: Callable[[Tracks, Ints], npt.NDArray[Any]], none: float = np.nan
    ) -> Floats:
        """What the rows say, `none` where there is no row."""
        values = np.full(self.rows.shape, none)
        for number, part in enumerate(parts):
            here = (self.part == number) & (self.rows >= 0)
            values[here] = pick(part, self.rows[here])
        return values


def _lat(part: Tracks, rows: Ints) -> Floats:
    return part.lat_e7[rows] / _E7


def _lon(part: Tracks, rows: Ints) -> Floats:
    return part.lon_e7[rows] / _E7


def _occupancy(part: Tracks, rows: Ints) -> npt.NDArray[Any]:
    return part.occupancy_pct[rows]


def _places(ids: Sequence[str], of: Sequence[str]) -> Ints:
    place = {vehicle: at for at, vehicle in enumerate(ids)}
    return np.array([place[vehicle] for vehicle in of], dtype=np.int64)


def _loads(
    ids: Sequence[str], counts: Sequence[Counts], moments: Ints, occupancy_pct: Floats, settings: PlaySettings
) -> tuple[Floats, Floats, Floats]:
    """Passengers on board, load and places: by fresh counts, else by the occupancy that vehicles tell."""
    shape = (len(ids), len(moments))
    onboard, capacity = np.full(shape, np.nan), np.full(shape, np.nan)
    newest = np.full(shape, NEVER, dtype=np.int64)
    known = set(ids)
    for part in counts:
        chosen = np.array([at for at, vehicle in enumerate(part.index.ids) if vehicle in known], dtype=np.int64)
        at = _places(ids, [part.index.ids[n] for n in chosen])
        rows = part.index.last(moments)[chosen]
        ms = part.index.measured_ms(rows)
        better = (rows >= 0) & (ms > newest[at])
        onboard[at] = np.where(better, part.onboard[rows] if len(part.onboard) else np.nan, onboard[at])
        capacity[at] = np.where(better, part.capacity[rows] if len(part.capacity) else np.nan, capacity[at])
        newest[at] = np.where(better, ms, newest[at])
    counting = ~np.isnan(onboard)
    fresh = counting & (newest >= moments - settings.count_stale_after_ms)
    aboard = np.where(fresh, np.maximum(onboard, 0), np.nan)
    places = np.where(np.isnan(capacity) | (capacity <= 0), settings.capacity_default, capacity)
    load = np.where(fresh, aboard / places, np.where(counting, np.nan, occupancy_pct / 100))
    return aboard, load, places
