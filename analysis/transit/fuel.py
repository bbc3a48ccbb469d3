"""Fuel per 100 km by vehicle, route and driver's shift, and which of them stand out.

Litres come from the vehicle's own counter (`used_l`) where it has one, else from the gauge: first level less last, with
refuels added and what was drained while standing told apart. Outliers by the modified z-score 0.6745 (x − median) / MAD
above 3.5 (Iglewicz and Hoaglin, "How to detect and handle outliers", 1993); where more than half of the values are the
same, MAD is 0 and the mean absolute deviation takes its place (their eq. for that case: / (1.253314 · MeanAD)).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
from msgspec import Struct

from analysis.transit.columns import F64, I64, integers, numbers, words
from analysis.transit.vehicles import Track, gps_km, moves, odometer_km

# A counter that steps farther was reset, or is another unit's; after a silence it may, by so much an hour.
USED_STEP_MAX_L, USED_MAX_L_H = 30.0, 40.0
# An odometer is believed within these shares of the way by satellite: stuck, in kilometres, or silent it is not.
ODOMETER_LEAST, ODOMETER_MOST = 0.8, 1.25
SMOOTH = 5  # readings: the median of so many takes the slosh out
# Readings may lie so far outside a shift: a gauge speaks every minute or so.
AROUND_MS = 300_000


class FuelRules(Struct, frozen=True, kw_only=True):
    """What is a shift, a refuel, a theft, an outlier."""

    rest_s: float = 5_400.0  # without moving: another shift
    shift_min_km: float = 5.0  # less says more about rounding than about fuel
    refuel_min_l: float = 10.0
    drain_min_l: float = 10.0  # while standing
    drain_km: float = 0.3  # driven at most meanwhile
    z_max: float = 3.5
    group_min: int = 8


class Readings(Struct, frozen=True, kw_only=True, eq=False):
    """One vehicle's fuel readings in order of time; NaN where unsaid."""

    vehicle_id: str
    measured_ms: I64
    level_l: F64
    used_l: F64


class FuelUse(Struct, frozen=True, kw_only=True):
    """Litres over kilometres: of one shift, or of several together."""

    vehicle_id: str | None = None  # None: of several
    route: str | None = None  # None: of several, or none
    first_ms: int
    last_ms: int
    shifts: int = 1
    km: float
    litres: float
    per_100km: float
    refuelled_l: float = 0.0
    drained_l: float = 0.0  # not in `litres`
    source: str = "counter"  # or level
    way: str = "odometer"  # or satellite: it tells none, or none that can be


class Outlier(Struct, frozen=True, kw_only=True):
    """A use that stands out of its group, with what shows it."""

    use: FuelUse
    group: str
    z: float
    median: float
    mad: float
    count: int


def readings_of(table: pa.Table) -> Iterator[Readings]:
    """The fuel readings of each vehicle, from a table with the columns of `city.events.FuelReading`."""
    vehicle, measured_ms = words(table, "vehicle_id"), integers(table, "measured_ms")
    order = np.lexsort((measured_ms, vehicle.at))
    ends = np.searchsorted(vehicle.at[order], np.arange(len(vehicle.words) + 1))
    level, used = numbers(table, "level_l"), numbers(table, "used_l")
    for at, name in enumerate(vehicle.words):
        rows = order[ends[at] : ends[at + 1]]
        if len(rows):
            yield Readings(vehicle_id=name, measured_ms=measured_ms[rows], level_l=level[rows], used_l=used[rows])


def shifts(track: Track, readings: Readings, rules: FuelRules | None = None) -> list[FuelUse]:
    """The fuel of each shift of a vehicle: driving between two rests of `rest_s`, as no feed names the driver."""
    rules = rules or FuelRules()
    driven = np.flatnonzero(moves(track))
    if not len(driven):
        return []
    cut = np.flatnonzero(np.diff(track.measured_ms[driven]) > rules.rest_s * 1000) + 1
    found = []
    for rows in np.split(driven, cut):
        first, last = max(0, int(rows[0]) - 1), int(rows[-1])
        one = _shift(_part(track, first, last), readings, rules)
        if one is not None:
            found.append(one)
    return found


def together(uses: Sequence[FuelUse], key: Callable[[FuelUse], str | None]) -> dict[str, FuelUse]:
    """Uses added up by vehicle (`lambda one: one.vehicle_id`), by route, or by anything else that is not None."""
    gathered: dict[str, list[FuelUse]] = {}
    for one in uses:
        name = key(one)
        if name is not None:
            gathered.setdefault(name, []).append(one)
    return {name: _sum(of_key) for name, of_key in sorted(gathered.items())}


def outliers(
    uses: Sequence[FuelUse], group: Callable[[FuelUse], str | None], rules: FuelRules | None = None
) -> list[Outlier]:
    """The uses that stand out of their group, the farthest first; groups of fewer than `group_min` tell nothing."""
    rules = rules or FuelRules()
    gathered: dict[str, list[FuelUse]] = {}
    for one in uses:
        name = group(one)
        if name is not None:
            gathered.setdefault(name, []).append(one)
    found = []
    for name, of_group in gathered.items():
        if len(of_group) < rules.group_min:
            continue
        values = np.array([one.per_100km for one in of_group])
        median, mad, scores = robust_z(values)
        found += [
            Outlier(use=one, group=name, z=float(z), median=median, mad=mad, count=len(of_group))
            for one, z in zip(of_group, scores, strict=True)
            if abs(z) > rules.z_max
        ]
    return sorted(found, key=lambda one: -abs(one.z))


def robust_z(values: F64) -> tuple[float, float, F64]:
    """Median, median absolute deviation, and the modified z-score of each value."""
    median = float(np.median(values))
    off = np.abs(values - median)
    mad = float(np.median(off))
    if mad > 0:
        return median, mad, 0.6745 * (values - median) / mad
    mean_off = float(np.mean(off))
    return median, mad, (values - median) / (1.253314 * mean_off) if mean_off > 0 else np.zeros(len(values))


def _part(track: Track, first: int, last: int) -> Track:
    rows = slice(first, last + 1)
    route = type(track.route)(track.route.words, track.route.at[rows])
    return Track(
        vehicle_id=track.vehicle_id, measured_ms=track.measured_ms[rows], lat=track.lat[rows], lon=track.lon[rows],
        speed_mps=track.speed_mps[rows], odometer_m=track.odometer_m[rows], route=route,
    )  # fmt: skip


def _shift(track: Track, readings: Readings, rules: FuelRules) -> FuelUse | None:
    by_odometer, km = odometer_km(track), gps_km(track)
    believed = by_odometer is not None and ODOMETER_LEAST * km <= by_odometer <= ODOMETER_MOST * km
    if by_odometer is not None and believed:
        km = by_odometer
    if km < rules.shift_min_km:
        return None
    first_ms, last_ms = int(track.measured_ms[0]), int(track.measured_ms[-1])
    inside = (readings.measured_ms >= first_ms - AROUND_MS) & (readings.measured_ms <= last_ms + AROUND_MS)
    burnt = _by_counter(readings, inside) or _by_level(track, readings, inside, rules)
    if burnt is None:
        return None
    litres, refuelled_l, drained_l, source = burnt
    return FuelUse(
        vehicle_id=track.vehicle_id,
        route=_route(track),
        first_ms=first_ms,
        last_ms=last_ms,
        km=km,
        litres=litres,
        per_100km=100 * litres / km,
        refuelled_l=refuelled_l,
        drained_l=drained_l,
        source=source,
        way="odometer" if believed else "satellite",
    )


def _by_counter(readings: Readings, inside: np.ndarray) -> tuple[float, float, float, str] | None:
    rows = inside & np.isfinite(readings.used_l)
    step_l, step_h = np.diff(readings.used_l[rows]), np.diff(readings.measured_ms[rows]) / 3_600_000
    burnt_l = float(step_l[(step_l > 0) & (step_l <= np.maximum(USED_STEP_MAX_L, USED_MAX_L_H * step_h))].sum())
    # A counter that stands still over a whole shift is stuck: no vehicle drives on nothing.
    return (burnt_l, 0.0, 0.0, "counter") if burnt_l > 0 else None


def _by_level(
    track: Track, readings: Readings, inside: np.ndarray, rules: FuelRules
) -> tuple[float, float, float, str] | None:
    rows = inside & np.isfinite(readings.level_l)
    if rows.sum() < 2 * SMOOTH:
        return None
    level = _smooth(readings.level_l[rows])
    moment_ms = readings.measured_ms[rows]
    steps = np.diff(level)
    way_km = _way_km(track, moment_ms)
    refuelled = drained = 0.0
    # Runs of steps in one direction: a smoothed refuel is spread over a few readings.
    signs = np.sign(steps)
    cut = np.flatnonzero(np.diff(signs) != 0) + 1
    for run in np.split(np.arange(len(steps)), cut):
        change = float(steps[run].sum())
        if change >= rules.refuel_min_l:
            refuelled += change
        elif change < 0:
            standing = np.diff(way_km)[run] <= rules.drain_km / SMOOTH
            lost = -float(steps[run][standing].sum())
            if lost >= rules.drain_min_l:
                drained += lost
    burnt_l = float(level[0] - level[-1]) + refuelled - drained
    return (burnt_l, refuelled, drained, "level") if burnt_l > 0 else None


def _smooth(values: F64) -> F64:
    """The median of SMOOTH readings around each; at the ends of those that there are."""
    half = SMOOTH // 2
    padded = np.concatenate([np.full(half, np.nan), values, np.full(half, np.nan)])
    found: F64 = np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, SMOOTH), axis=1)
    return found


def _way_km(track: Track, moment_ms: I64) -> F64:
    """Kilometres driven up to each moment, by whether the vehicle moved."""
    step_s = np.diff(track.measured_ms) / 1000
    speed = np.where(np.isfinite(track.speed_mps[1:]), track.speed_mps[1:], 5.0)
    way = np.concatenate([[0.0], np.cumsum(np.where(moves(track)[1:], speed * step_s, 0.0))]) / 1000
    return np.interp(moment_ms, track.measured_ms, way)


def _route(track: Track) -> str | None:
    """The route of nine in ten fixes that name one."""
    named = track.route.at[track.route.at >= 0]
    if not len(named):
        return None
    counts = np.bincount(named)
    best = int(np.argmax(counts))
    return track.route.words[best] if counts[best] >= 0.9 * len(named) else None


def _sum(uses: Sequence[FuelUse]) -> FuelUse:
    km, litres = sum(one.km for one in uses), sum(one.litres for one in uses)
    vehicles, routes = {one.vehicle_id for one in uses}, {one.route for one in uses}
    sources, ways = {one.source for one in uses}, {one.way for one in uses}
    return FuelUse(
        vehicle_id=vehicles.pop() if len(vehicles) == 1 else None,
        route=routes.pop() if len(routes) == 1 else None,
        first_ms=min(one.first_ms for one in uses),
        last_ms=max(one.last_ms for one in uses),
        shifts=sum(one.shifts for one in uses),
        km=km,
        litres=litres,
        per_100km=100 * litres / km,
        refuelled_l=sum(one.refuelled_l for one in uses),
        drained_l=sum(one.drained_l for one in uses),
        source=sources.pop() if len(sources) == 1 else "counter and level",
        way=ways.pop() if len(ways) == 1 else "odometer and satellite",
    )
