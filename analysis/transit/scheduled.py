"""What a timetable says to the passages of a line: scheduled times and headways, and how late a trip was.

A trip's visits are put to the line's stops by their place in the way, not by the stop alone: a loop comes to one stop
twice. Counted are departures, at the line's last stop arrivals: there vehicles lay over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from analysis.transit.clock import DAY_S, date_of, day_start_ms
from analysis.transit.columns import F64, I64
from analysis.transit.passages import LinePassages
from city.gtfs.timetable import Timetable
from city.routes import Line

DAY_MS = DAY_S * 1000
# One stop in common is no way in common.
COMMON_MIN = 2


class LineSchedule(Struct, frozen=True, kw_only=True, eq=False):
    """A line's scheduled times, by the place of the stop in the line."""

    times_ms: Mapping[int, I64]  # of all trips over some days, epoch milliseconds, sorted
    trips: Mapping[str, Mapping[int, int]]  # trip → its times, seconds of the service day

    def headways_s(self, stop: I64, at_ms: I64) -> F64:
        """The scheduled headway at a stop at each moment: between the times before and after it; NaN without."""
        found = np.full(len(stop), np.nan)
        for number in np.unique(stop).tolist():
            planned_ms = self.times_ms.get(number)
            if planned_ms is None or len(planned_ms) < 2:
                continue
            rows = np.flatnonzero(stop == number)
            after = np.clip(np.searchsorted(planned_ms, at_ms[rows], "left"), 1, len(planned_ms) - 1)
            between_ms = planned_ms[after] - planned_ms[after - 1]
            # Before the first and after the last one nothing is scheduled.
            inside = (at_ms[rows] >= planned_ms[0] - between_ms) & (at_ms[rows] <= planned_ms[-1] + between_ms)
            found[rows] = np.where(inside, between_ms / 1000, np.nan)
        return found


class Schedule(Struct, frozen=True, eq=False):
    """What a timetable says of some lines over some days."""

    lines: Mapping[tuple[str, int], LineSchedule]  # by route and direction
    zone: tzinfo

    def of(self, line: Line) -> LineSchedule | None:
        """The line's; None where the timetable has no trip on it."""
        return self.lines.get((line.route, line.direction))

    def share(self, lines: Sequence[Line]) -> float:
        """Share of the lines' stops that have scheduled times."""
        stops = sum(len(line.stops) for line in lines)
        known = sum(len(found.times_ms) for line in lines if (found := self.of(line)) is not None)
        return known / stops if stops else 0.0


def schedule_of(timetable: Timetable, lines: Sequence[Line], from_ms: int, to_ms: int) -> Schedule:
    """The timetable of lines over a span, a day more on both sides (times of a service day go beyond 24 h)."""
    days = [
        (timetable.runs_on(date_of(day)), day_start_ms(day, timetable.zone))
        for day in range(from_ms // DAY_MS - 2, to_ms // DAY_MS + 2)
    ]
    days = [(runs_on, start_ms) for runs_on, start_ms in days if runs_on.any()]
    first = np.searchsorted(timetable.visits.trip, np.arange(len(timetable.trips.trip_id) + 1))
    return Schedule(
        {(line.route, line.direction): _of_line(timetable, line, days, first) for line in lines}, timetable.zone
    )


def with_schedule(passages: LinePassages, schedule: Schedule) -> LinePassages:
    """The passages with their deviation from the timetable where the vehicle named its trip and told none itself."""
    of_line = schedule.of(passages.line)
    if of_line is None:
        return passages
    deviation_s = passages.deviation_s.copy()
    moments_ms = passages.moments_ms
    for at in np.flatnonzero(~np.isfinite(deviation_s)).tolist():
        second = of_line.trips.get(passages.runs[passages.run[at]].trip or "", {}).get(int(passages.stop[at]))
        if second is not None:
            deviation_s[at] = _ahead_s(int(moments_ms[at]), second, schedule.zone)
    return replace(passages, deviation_s=deviation_s)


def places(way: Sequence[str], stops: Sequence[str]) -> list[int]:
    """The place among `stops` of each visit of a way, -1 where it has none: the longest common subsequence."""
    longest = np.zeros((len(way) + 1, len(stops) + 1), np.int64)
    for i in range(len(way) - 1, -1, -1):
        for j in range(len(stops) - 1, -1, -1):
            same = way[i] == stops[j]
            longest[i, j] = longest[i + 1, j + 1] + 1 if same else max(longest[i + 1, j], longest[i, j + 1])
    found, i, j = [-1] * len(way), 0, 0
    while i < len(way) and j < len(stops):
        if way[i] == stops[j]:
            found[i] = j
            i, j = i + 1, j + 1
        elif longest[i + 1, j] >= longest[i, j + 1]:
            i += 1
        else:
            j += 1
    return found


def _of_line(timetable: Timetable, line: Line, days: Sequence[tuple[np.ndarray, int]], first: I64) -> LineSchedule:
    trips, visits = timetable.trips, timetable.visits
    stops = [stop.stop_id for stop in line.stops]
    known: dict[bytes, list[int]] = {}  # ways are few, trips many
    by_trip: dict[str, dict[int, int]] = {}
    rows: list[I64] = []
    at_stop: list[I64] = []
    for trip in timetable.trips_of(line.route).tolist():
        inside = slice(int(first[trip]), int(first[trip + 1]))
        way = visits.stop[inside]
        key = way.tobytes()
        if key not in known:
            known[key] = places([timetable.stop_ids[stop] for stop in way.tolist()], stops)
        place = np.array(known[key], np.int64)
        here = np.flatnonzero(place >= 0)
        if len(here) < COMMON_MIN:
            continue
        seconds = np.where(place == len(stops) - 1, visits.arrival_s[inside], visits.departure_s[inside])
        by_trip[trips.trip_id[trip]] = dict(zip(place[here].tolist(), seconds[here].tolist(), strict=True))
        if trips.direction[trip] == line.direction:
            rows.append(inside.start + here)
            at_stop.append(place[here])
    times_ms: dict[int, I64] = {}
    if rows:
        row, stop = np.concatenate(rows), np.concatenate(at_stop)
        second = np.where(stop == len(stops) - 1, visits.arrival_s[row], visits.departure_s[row])
        for number in np.unique(stop).tolist():
            mine = np.flatnonzero(stop == number)
            parts = [start_ms + second[mine][runs_on[visits.trip[row[mine]]]] * 1000 for runs_on, start_ms in days]
            planned_ms = np.unique(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
            if len(planned_ms):
                times_ms[number] = planned_ms
    return LineSchedule(times_ms=times_ms, trips=by_trip)


def _ahead_s(moment_ms: int, second: int, zone: tzinfo) -> float:
    """Seconds before the scheduled time, of the service day that it is nearest to."""
    day = (moment_ms - second * 1000) // DAY_MS
    ahead = [(day_start_ms(one, zone) + second * 1000 - moment_ms) / 1000 for one in (day - 1, day, day + 1)]
    return min(ahead, key=abs)
