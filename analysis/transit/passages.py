"""Who was at which stop of a line when: arrival and departure of every trip performed.

Times come from fixes along the line. A vehicle that stood within `within_m` of a stop arrived when it came to rest
there and left when it moved off; both are put between two fixes by the speed before and after (so a dwell is not a
multiple of the interval of fixes). One that did not stand passed at the time interpolated between the fixes around
the stop. Vehicles that tell their arrivals and departures (HFP `arr`, `ars`, `dep`, `pas`) are believed.
The tables are those of TIDES `stop_visits` and `trips_performed`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from analysis.transit import told
from analysis.transit.columns import F64, I64, UNSAID, Fixes, Flags
from analysis.transit.laps import Ways, loops_cut
from analysis.transit.legs import Leg, legs, not_spikes
from analysis.transit.projection import along_of, grid, stops_along_m
from city.routes import Line, Stop

# HFP puts it before the kind of a vehicle that is only on its way to the line.
NOT_YET = "upcoming/"
# Slower is standing: Doppler speeds of a bus at rest stay below, as do steps of jitter after smoothing.
STANDS_MPS = 1.0
# A passage between fixes that are farther apart is marked as estimated.
ESTIMATED_MS = 60_000
SAME_STOP_M = 40.0
TERMINAL_M = 60.0
# A time is told under as many kinds at most; more rows are a stay on the other direction.
SAME_TIME_MAX = 4


class PassageRules(Struct, frozen=True, kw_only=True):
    """What counts as being on the line, at a stop, and on one trip."""

    within_m: float = 30.0  # of a stop along the line; never beyond half the way to the next one
    off_line_m: float = 60.0
    gap_s: float = 180.0  # between fixes: nobody knows when stops in between were passed
    break_s: float = 900.0  # between fixes: another trip
    turn_m: float = 250.0  # back along the line
    leg_min_m: float = 200.0


class Run(Struct, frozen=True, kw_only=True):
    """One trip performed: a vehicle's way along a line, or a part of it."""

    vehicle_id: str
    trip: str | None  # as the vehicle names it
    first_ms: int  # of its fixes on the line
    last_ms: int
    driven_m: float  # along the line


class LinePassages(Struct, frozen=True, kw_only=True, eq=False):
    """The passages of one line, by run and stop. Columns of one length but for `runs`."""

    line: Line
    runs: tuple[Run, ...]
    run: I64  # place among `runs`
    stop: I64  # place among `line.stops`
    arrival_ms: I64
    departure_ms: I64
    deviation_s: F64  # at departure (last stop: arrival), positive: ahead of schedule; NaN where unsaid
    estimated: Flags  # between fixes more than a minute apart
    against: int = 0  # legs driven backwards, in this direction by the vehicle's word: not counted

    def __len__(self) -> int:
        return len(self.run)

    @property
    def moments_ms(self) -> I64:
        """What a timetable is held against: the departure, at the last stop the arrival. There vehicles lay over."""
        return np.where(self.stop == len(self.line.stops) - 1, self.arrival_ms, self.departure_ms)

    @property
    def begins(self) -> Flags:
        """Passages where the line begins: its first stop, and others of the same terminal."""
        return self._near(0)

    @property
    def finishes(self) -> Flags:
        """Passages where the line ends, likewise."""
        return self._near(-1)

    @property
    def ends(self) -> Flags:
        """Both: there vehicles wait for their departure."""
        return np.logical_or(self.begins, self.finishes)

    def _near(self, end: int) -> Flags:
        if not self.line.stops:
            return np.zeros(len(self.run), bool)
        along_m = np.array([stop.along_m for stop in self.line.stops])
        found: Flags = (np.abs(along_m - along_m[end]) <= TERMINAL_M)[self.stop]
        return found

    @property
    def stops(self) -> tuple[Stop, ...]:
        return self.line.stops


def passages_of(
    fixes: Fixes, line: Line, rules: PassageRules | None = None, span_ms: tuple[int, int] | None = None
) -> LinePassages:
    """The passages of a line's stops in the positions of its route; with a span, of the runs that began in it.

    Vehicles that do not say their direction are taken to drive the way that they move.
    """
    rules = rules or PassageRules()
    rows = _of_line(fixes, line)
    if not len(rows) or not line.stops or len(set(line.points)) < 2:
        return _none(line)
    made = grid(line, rules.off_line_m)
    vehicle, measured_ms, trip = fixes.vehicle.at[rows], fixes.measured_ms[rows], fixes.trip.at[rows]
    run = _runs(rows, vehicle, measured_ms, trip, rules.break_s)
    along_m = along_of(made.project(fixes.lat[rows], fixes.lon[rows]), measured_ms, run)
    kept = np.flatnonzero(np.isfinite(along_m))
    kept = kept[not_spikes(along_m[kept], measured_ms[kept], run[kept])]
    rows, along_m, measured_ms = rows[kept], along_m[kept], measured_ms[kept]
    ways = loops_cut(line, made.drawn_m, Ways(rows, along_m, measured_ms, run[kept]), rules.gap_s)
    rows, along_m, measured_ms = ways.rows, ways.along_m, ways.measured_ms
    found, backwards = legs(along_m, ways.way, rules.turn_m, rules.leg_min_m)
    if span_ms is not None:
        found, backwards = (
            [leg for leg in some if span_ms[0] <= measured_ms[leg.first] < span_ms[1]] for some in (found, backwards)
        )
    against = len(backwards)
    if not found:
        return _none(line, against)
    stops_m = stops_along_m(line, made)
    runs = tuple(_run(leg, rows, along_m, measured_ms, fixes) for leg in found)
    empty = replace(_none(line, against), runs=runs)
    return told.believe(_passages(empty, found, rows, along_m, measured_ms, fixes, stops_m, rules), fixes)


def joined(parts: Sequence[LinePassages]) -> LinePassages:
    """Passages of one line from several spans, in their order, as one."""
    offsets = np.cumsum([0, *(len(one.runs) for one in parts)])
    return LinePassages(
        line=parts[0].line,
        runs=tuple(run for one in parts for run in one.runs),
        run=np.concatenate([one.run + offset for one, offset in zip(parts, offsets, strict=False)]),
        stop=np.concatenate([one.stop for one in parts]),
        arrival_ms=np.concatenate([one.arrival_ms for one in parts]),
        departure_ms=np.concatenate([one.departure_ms for one in parts]),
        deviation_s=np.concatenate([one.deviation_s for one in parts]),
        estimated=np.concatenate([one.estimated for one in parts]),
        against=sum(one.against for one in parts),
    )


def _of_line(fixes: Fixes, line: Line) -> I64:
    mine = (fixes.direction == line.direction) | (fixes.direction == 0)
    not_yet = [at for at, kind in enumerate(fixes.kind.words) if kind.startswith(NOT_YET)]
    if not_yet:
        mine &= ~np.isin(fixes.kind.at, not_yet)
    rows = np.flatnonzero(mine)
    # A position told under several kinds at one time is one fix of the way.
    same = np.zeros(len(rows), bool)
    same[1:] = (np.diff(fixes.vehicle.at[rows]) == 0) & (np.diff(fixes.measured_ms[rows]) == 0)
    return rows[~same]


def _runs(rows: I64, vehicle: I64, measured_ms: I64, trip: I64, break_s: float) -> I64:
    """Which run each fix belongs to: until another vehicle, another trip, a long pause or the other direction."""
    new = np.zeros(len(rows), bool)
    new[1:] = np.diff(vehicle) != 0
    new[1:] |= np.diff(measured_ms) > break_s * 1000
    new[1:] |= (np.diff(trip) != 0) & (trip[1:] != UNSAID) & (trip[:-1] != UNSAID)
    # Rows in between that are not of this line, other than the same time told twice.
    new[1:] |= np.diff(rows) > SAME_TIME_MAX
    return np.cumsum(new)


def _run(leg: Leg, rows: I64, along_m: F64, measured_ms: I64, fixes: Fixes) -> Run:
    trips = fixes.trip.at[rows[leg.first : leg.last + 1]]
    named = trips[trips != UNSAID]
    return Run(
        vehicle_id=fixes.vehicle[rows[leg.first]] or "",
        trip=fixes.trip.words[int(named[0])] if len(named) else None,
        first_ms=int(measured_ms[leg.first]),
        last_ms=int(measured_ms[leg.last]),
        driven_m=float(along_m[leg.last] - along_m[leg.first]),
    )


def _none(line: Line, against: int = 0) -> LinePassages:
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return LinePassages(
        line=line, runs=(), run=whole, stop=whole, arrival_ms=whole, departure_ms=whole, deviation_s=real,
        estimated=np.zeros(0, bool), against=against,
    )  # fmt: skip


def _passages(
    empty: LinePassages,
    found: Sequence[Leg],
    rows: I64,
    along_m: F64,
    measured_ms: I64,
    fixes: Fixes,
    stops_m: F64,
    rules: PassageRules,
) -> LinePassages:
    """All legs and stops at once: legs one above the other make one rising column to search in."""
    first = np.array([leg.first for leg in found])
    last = np.array([leg.last for leg in found])
    sizes = last - first + 1
    leg = np.repeat(np.arange(len(found)), sizes)
    at = np.arange(len(leg)) + np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
    lift = leg * (float(np.ptp(along_m)) + float(np.ptp(stops_m)) + 1e6)
    way_m = along_m[at] + lift
    # Never back: between the farthest so far and the nearest still to come, so that jitter leans neither way.
    way_m = (np.maximum.accumulate(way_m) + np.minimum.accumulate(way_m[::-1])[::-1]) / 2
    time_ms = measured_ms[at].astype(np.float64)
    before = np.concatenate([[False], np.diff(leg) == 0])  # whether the row before is of the same leg
    speed = np.full(len(leg), np.inf)  # towards this row
    speed[1:] = np.where(before[1:], np.diff(way_m) / np.maximum(np.diff(time_ms) / 1000, 0.001), np.inf)
    ahead = np.concatenate([speed[1:], [np.inf]])
    told_mps = fixes.speed_mps[rows[at]]
    stands = np.where(np.isfinite(told_mps), told_mps < STANDS_MPS, np.minimum(speed, ahead) < STANDS_MPS)

    each_leg = np.repeat(np.arange(len(found)), len(stops_m))
    each_stop = np.tile(np.arange(len(stops_m)), len(found))
    offset = each_leg * (float(np.ptp(along_m)) + float(np.ptp(stops_m)) + 1e6)
    place_m = stops_m[each_stop] + offset
    near_m, far_m = (reach_m[each_stop] for reach_m in _zones(stops_m, rules.within_m))
    begin, end = np.cumsum(sizes) - sizes, np.cumsum(sizes)
    zone_in = np.clip(np.searchsorted(way_m, place_m - near_m, "left"), begin[each_leg], end[each_leg])
    zone_out = np.clip(np.searchsorted(way_m, place_m + far_m, "right"), begin[each_leg], end[each_leg])
    after = np.clip(np.searchsorted(way_m, place_m, "left"), begin[each_leg], end[each_leg])
    crosses = (after > begin[each_leg]) & (after < end[each_leg])
    seen = (zone_out > zone_in) | crosses
    each_leg, each_stop, place_m = each_leg[seen], each_stop[seen], place_m[seen]
    zone_in, zone_out, after, crosses = zone_in[seen], zone_out[seen], after[seen], crosses[seen]

    # Passing by: between the rows around the stop.
    right = np.minimum(after, len(leg) - 1)
    left = np.maximum(right - 1, 0)
    step_m = way_m[right] - way_m[left]
    share = np.where(step_m > 0, (place_m - way_m[left]) / np.where(step_m > 0, step_m, 1.0), 1.0)
    pass_ms = time_ms[left] + share * (time_ms[right] - time_ms[left])
    # Where the leg begins after the stop, or ends before it: the first or last row near it.
    inner = np.where(after <= begin[each_leg], zone_in, np.maximum(zone_out - 1, 0))
    pass_ms = np.where(crosses, pass_ms, time_ms[np.minimum(inner, len(leg) - 1)])
    wide_ms = np.where(crosses, time_ms[right] - time_ms[left], 0.0)

    # Standing: the first and the last row at rest in the zone.
    next_rest = np.concatenate([_next(stands), [len(leg)]])
    last_rest = np.concatenate([[-1], _last(stands)])
    rest_in, rest_out = next_rest[zone_in], last_rest[zone_out]
    rests = (rest_in < zone_out) & (rest_out >= zone_in)
    rest_in, rest_out = np.where(rests, rest_in, 0), np.where(rests, rest_out, 0)
    arrival_ms = np.where(rests, _came_to_rest(rest_in, time_ms, way_m, speed, ahead, before), pass_ms)
    departure_ms = np.where(rests, _moved_off(rest_out, time_ms, way_m, speed, ahead, before), pass_ms)
    wide_ms = np.where(rests, 0.0, wide_ms)

    known = wide_ms <= rules.gap_s * 1000
    # At the last stop the arrival counts; vehicles wait there for another trip.
    told_at = np.where(each_stop == len(stops_m) - 1, rest_in, rest_out)
    row = np.where(rests, told_at, np.where(crosses, right, np.minimum(inner, len(leg) - 1)))
    deviation_s = fixes.deviation_s[rows[at[row]]]
    return replace(
        empty,
        run=each_leg[known].astype(np.int64),
        stop=each_stop[known].astype(np.int64),
        arrival_ms=np.rint(arrival_ms[known]).astype(np.int64),
        departure_ms=np.rint(np.maximum(departure_ms, arrival_ms)[known]).astype(np.int64),
        deviation_s=deviation_s[known],
        estimated=(wide_ms > ESTIMATED_MS)[known],
    )


def _zones(stops_m: F64, within_m: float) -> tuple[F64, F64]:
    """How far before and behind each stop a vehicle counts as being at it, in metres.

    Stops that are nearly one (two poles of one name, stops that a register puts on the terminal) share their zone.
    """
    group = np.cumsum(np.concatenate([[0], np.diff(stops_m) >= SAME_STOP_M]))
    firsts = np.searchsorted(group, np.arange(group[-1] + 1), "left")
    lasts = np.searchsorted(group, np.arange(group[-1] + 1), "right") - 1
    half_m = (stops_m[firsts[1:]] - stops_m[lasts[:-1]]) / 2
    before_m = np.minimum(np.concatenate([[np.inf], half_m]), within_m)
    behind_m = np.minimum(np.concatenate([half_m, [np.inf]]), within_m)
    near_m = stops_m - (stops_m[firsts] - before_m)[group]
    far_m = (stops_m[lasts] + behind_m)[group] - stops_m
    return near_m, far_m


def _came_to_rest(row: I64, time_ms: F64, way_m: F64, speed: F64, ahead: F64, before: Flags) -> F64:
    """When it was at its place of rest, at the speed with which it came nearer."""
    earlier = np.maximum(row - 1, 0)
    # Its way was not over at the first slow row: a few metres in several seconds.
    rest = np.where(ahead[row] < STANDS_MPS, np.minimum(row + 1, len(time_ms) - 1), row)
    driven = before[row] & before[earlier] & (speed[earlier] > STANDS_MPS)
    way_s = (way_m[rest] - way_m[earlier]) / np.where(driven, speed[earlier], 1.0)
    guess_ms = time_ms[earlier] + 1000 * way_s
    # Heard only once before: the few metres left, at the speed up to here.
    came = before[row] & (speed[row] > STANDS_MPS)
    left_s = (way_m[rest] - way_m[row]) / np.where(came, speed[row], 1.0)
    else_ms = np.where(came, np.minimum(time_ms[row] + 1000 * left_s, time_ms[rest]), time_ms[row])
    return np.where(driven, np.clip(guess_ms, time_ms[earlier], time_ms[rest]), else_ms)


def _moved_off(row: I64, time_ms: F64, way_m: F64, speed: F64, ahead: F64, before: Flags) -> F64:
    """When it must have left its place of rest, at the speed with which it went on."""
    later = np.minimum(row + 1, len(time_ms) - 1)
    rest = np.where(speed[row] < STANDS_MPS, np.maximum(row - 1, 0), row)
    driven = (later > row) & before[later] & np.isfinite(ahead[later]) & (ahead[later] > STANDS_MPS)
    way_s = (way_m[later] - way_m[rest]) / np.where(driven, ahead[later], 1.0)
    guess_ms = time_ms[later] - 1000 * way_s
    # Heard only once after: likewise.
    went = (later > row) & before[later] & np.isfinite(ahead[row]) & (ahead[row] > STANDS_MPS)
    gone_s = (way_m[row] - way_m[rest]) / np.where(went, ahead[row], 1.0)
    else_ms = np.where(went, np.maximum(time_ms[row] - 1000 * gone_s, time_ms[rest]), time_ms[row])
    return np.where(driven, np.clip(guess_ms, time_ms[rest], time_ms[later]), else_ms)


def _next(marked: Flags) -> I64:
    """The first marked row from each row on; the number of rows where there is none."""
    rows = np.where(marked, np.arange(len(marked)), len(marked))
    return np.minimum.accumulate(rows[::-1])[::-1].astype(np.int64)


def _last(marked: Flags) -> I64:
    """The last marked row up to each row, -1 where there is none."""
    return np.maximum.accumulate(np.where(marked, np.arange(len(marked)), -1)).astype(np.int64)
