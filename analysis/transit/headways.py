"""Headways at stops: how regular a line runs, and what its irregularity costs passengers.

Headway as in TCRP Report 165 (Transit Capacity and Quality of Service Manual, 3rd ed., ch. 5): between two vehicles of
one line at one stop, departure to departure, at the last stop arrival to arrival. People who come at random wait
E[h²] / 2 E[h] (Osuna and Newell, "Control strategies for an idealized public transportation system", 1972); excess
wait is that less the same of all scheduled headways of the stop and hour (Transport for London's excess wait time:
a trip that never ran was scheduled all the same), without a timetable of the reference headways (Furth and Muller,
"Service reliability and hidden waiting time", 2006).

Nobody knows the headway at a stop that a vehicle passed unseen: it is left out, and counted.
"""

from __future__ import annotations

from datetime import tzinfo
from enum import IntEnum

import numpy as np
from msgspec import Struct

from analysis.transit.clock import day_kinds, hours
from analysis.transit.columns import F64, I64, Flags
from analysis.transit.groups import groups, percentile
from analysis.transit.laps import laps_of
from analysis.transit.passages import LinePassages
from analysis.transit.scheduled import LineSchedule, Schedule
from city.routes import Line

# A timetable that lets two vehicles go at once has no headway there.
REFERENCE_MIN_S = 60.0
# So many headways of a stop and hour make a usual one.
USUAL_MIN = 3


class Reference(IntEnum):
    """What a headway is held against."""

    NONE = 0
    USUAL = 1  # the median of the stop, hour of the day and kind of day
    DEVIATION = 2  # what both vehicles said of their schedule: it knows nothing of a trip between them that never ran
    TIMETABLE = 3  # GTFS


class HeadwayRules(Struct, frozen=True, kw_only=True):
    bunched_share: float = 0.25  # of the reference: less is bunching
    gap_share: float = 1.75  # more is a gap
    break_s: float = 5_400.0  # longer: the service paused, nobody waited for it; counted as a pause


class Planned(Struct, frozen=True, kw_only=True, eq=False):
    """Every scheduled headway between the first and the last passage of a stop; none without a timetable."""

    stop: I64
    hour: I64
    headway_s: F64


class Left(Struct, frozen=True, kw_only=True, eq=False):
    """Headways that were left out, by stop and hour of the day."""

    stop: I64
    hour: I64
    unseen: Flags  # a vehicle passed unseen meanwhile; else a pause


class Headways(Struct, frozen=True, kw_only=True, eq=False):
    """Headways of one line, each of a run from the one before it at a stop."""

    line: Line
    run: I64
    leader: I64  # the run before
    stop: I64
    at_ms: I64
    hour: I64  # of the day, local
    headway_s: F64
    reference_s: F64  # NaN where there is none
    reference: I64  # Reference
    planned: Planned
    left: Left

    def __len__(self) -> int:
        return len(self.run)


class HeadwaySummary(Struct, frozen=True, kw_only=True):
    """The headways of a line, or of one stop of it, or of one hour of the day."""

    route: str
    direction: int
    place: int | None = None  # in the line, from 0; None: all stops
    stop_id: str | None = None
    stop_name: str | None = None
    hour: int | None = None  # None: all hours
    count: int
    mean_s: float
    p10_s: float
    p50_s: float
    p90_s: float
    variation: float  # standard deviation over mean
    unseen: int = 0  # left out: a vehicle passed unseen meanwhile
    pauses: int = 0  # left out: longer than a service pauses
    referenced: int  # headways with a reference: the rest of the line is about them
    reference: str | None = None  # the most common kind: usual, timetable or deviation
    reference_s: float | None = None  # mean
    bunched: int
    bunched_share: float | None = None
    gaps: int
    gap_share: float | None = None
    wait_s: float | None = None
    reference_wait_s: float | None = None
    excess_wait_s: float | None = None


def headways_of(
    passages: LinePassages, zone: tzinfo, rules: HeadwayRules | None = None, schedule: Schedule | None = None
) -> Headways:
    """The headways of a line, each with the best reference there is."""
    rules = rules or HeadwayRules()
    run, stop, moment_ms, deviation_s, seen = _in_order(passages)
    meant_s = moment_ms / 1000 + deviation_s
    gap_s = np.diff(moment_ms) / 1000
    pairs = np.flatnonzero(np.diff(stop) == 0) + 1
    known, short = seen[pairs] & seen[pairs - 1], gap_s[pairs - 1] <= rules.break_s
    behind, others = pairs[known & short], pairs[~(known & short)]
    headway_s, at_ms = gap_s[behind - 1], moment_ms[behind]
    hour = hours(at_ms, zone)
    planned = None if schedule is None else schedule.of(passages.line)
    reference_s = np.full(len(behind), np.nan)
    kind = np.zeros(len(behind), np.int64)

    def refer(found_s: F64, found: Reference) -> None:
        good = (kind == 0) & (found_s >= REFERENCE_MIN_S) & (found_s <= rules.break_s)
        reference_s[good], kind[good] = found_s[good], found

    if planned is not None:
        refer(planned.headways_s(stop[behind], at_ms), Reference.TIMETABLE)
    refer(meant_s[behind] - meant_s[behind - 1], Reference.DEVIATION)
    usual_s = np.full(len(behind), np.nan)
    for _, rows in groups(stop[behind], hour, day_kinds(at_ms, zone)):
        if len(rows) >= USUAL_MIN:
            usual_s[rows] = np.median(headway_s[rows])
    refer(usual_s, Reference.USUAL)
    return Headways(
        line=passages.line, run=run[behind], leader=run[behind - 1], stop=stop[behind], at_ms=at_ms, hour=hour,
        headway_s=headway_s, reference_s=reference_s, reference=kind,
        planned=_planned(planned, stop[seen], moment_ms[seen], zone, rules),
        left=Left(stop=stop[others], hour=hours(moment_ms[others], zone), unseen=~known[~(known & short)]),
    )  # fmt: skip


def wait_s(headway_s: F64) -> float:
    """How long one who comes at random waits on average, in seconds: E[h²] / 2 E[h]."""
    return float(np.mean(headway_s**2) / (2 * np.mean(headway_s)))


def summaries(
    found: Headways, rules: HeadwayRules | None = None, *, by_stop: bool = True, by_hour: bool = False
) -> list[HeadwaySummary]:
    """The headways of a line in figures, by stop and hour of the day where asked."""
    rules = rules or HeadwayRules()
    everything = np.full(len(found), -1)
    keys = groups(found.stop if by_stop else everything, found.hour if by_hour else everything)
    return [_summary(found, rows, stop, hour, rules) for (stop, hour), rows in keys]


def _summary(found: Headways, rows: I64, stop: int, hour: int, rules: HeadwayRules) -> HeadwaySummary:
    headway_s = found.headway_s[rows]
    known = rows[found.reference[rows] > 0]
    planned_s = found.planned.headway_s[_of(found.planned.stop, found.planned.hour, stop, hour)]
    unseen = found.left.unseen[_of(found.left.stop, found.left.hour, stop, hour)]
    compared_s, reference_s = found.headway_s[known], found.reference_s[known]
    bunched = int(np.sum(compared_s < rules.bunched_share * reference_s))
    gaps = int(np.sum(compared_s > rules.gap_share * reference_s))
    mean_s = float(np.mean(headway_s))
    kinds = np.bincount(found.reference[known], minlength=4)
    meant_s = planned_s if len(planned_s) and np.argmax(kinds) == Reference.TIMETABLE else reference_s
    waits = (wait_s(compared_s), wait_s(meant_s)) if len(known) and compared_s.any() else (None, None)
    return HeadwaySummary(
        route=found.line.route,
        direction=found.line.direction,
        place=None if stop < 0 else stop,
        stop_id=None if stop < 0 else found.line.stops[stop].stop_id,
        stop_name=None if stop < 0 else found.line.stops[stop].name,
        hour=None if hour < 0 else hour,
        count=len(rows),
        mean_s=mean_s,
        p10_s=percentile(headway_s, 10),
        p50_s=percentile(headway_s, 50),
        p90_s=percentile(headway_s, 90),
        variation=float(np.std(headway_s) / mean_s) if mean_s else 0.0,
        unseen=int(unseen.sum()),
        pauses=int((~unseen).sum()),
        referenced=len(known),
        reference=Reference(int(np.argmax(kinds))).name.lower() if len(known) else None,
        reference_s=float(np.mean(reference_s)) if len(known) else None,
        bunched=bunched,
        bunched_share=bunched / len(known) if len(known) else None,
        gaps=gaps,
        gap_share=gaps / len(known) if len(known) else None,
        wait_s=waits[0],
        reference_wait_s=waits[1],
        excess_wait_s=None if waits[0] is None or waits[1] is None else waits[0] - waits[1],
    )


def _of(stops: I64, hours_of: I64, stop: int, hour: int) -> Flags:
    """The rows of a stop and an hour; -1: of all."""
    found: Flags = ((stops == stop) | (stop < 0)) & ((hours_of == hour) | (hour < 0))
    return found


def _in_order(passages: LinePassages) -> tuple[I64, I64, I64, F64, Flags]:
    """Run, stop, moment, deviation of the passages by stop and moment, with those that nobody saw; whether it was seen.

    A vehicle that is heard again on its way is at each stop once: it is no headway behind itself.
    """
    lap = laps_of(passages)[passages.run] if len(passages) else passages.run
    moments_ms, last = passages.moments_ms, len(passages.stops) - 1
    # The last departure of a stop, but the first arrival at the end.
    order = np.lexsort((np.where(passages.stop == last, moments_ms, -moments_ms), passages.stop, lap))
    twice = np.concatenate([[False], (np.diff(lap[order]) == 0) & (np.diff(passages.stop[order]) == 0)])[: len(order)]
    rows = order[~twice]
    run, stop, moment_ms = passages.run[rows], passages.stop[rows], moments_ms[rows]
    ghosts = _unseen(lap[rows], stop, moment_ms, np.array([one.along_m for one in passages.stops]))
    seen = np.concatenate([np.ones(len(rows), bool), np.zeros(len(ghosts[0]), bool)])
    run, stop, moment_ms = (np.concatenate(both) for both in zip((run, stop, moment_ms), ghosts, strict=True))
    deviation_s = np.concatenate([passages.deviation_s[rows], np.full(len(ghosts[0]), np.nan)])
    order = np.lexsort((run, moment_ms, stop))
    return run[order], stop[order], moment_ms[order], deviation_s[order], seen[order]


def _unseen(lap: I64, stop: I64, moment_ms: I64, along_m: F64) -> tuple[I64, I64, I64]:
    """Lap, stop and about when, of stops between two that were seen of one way, and were not seen themselves."""
    found: list[tuple[I64, I64, I64]] = []
    for (one,), rows in groups(lap):
        here = stop[rows]
        missing = np.setdiff1d(np.arange(here[0], here[-1] + 1), here)
        if len(missing):
            about_ms = np.interp(along_m[missing], along_m[here], moment_ms[rows].astype(np.float64))
            found.append((np.full(len(missing), one), missing, np.rint(about_ms).astype(np.int64)))
    if not found:
        none = np.zeros(0, np.int64)
        return none, none, none
    laps, stops, moments_ms = (np.concatenate(column) for column in zip(*found, strict=True))
    return laps, stops, moments_ms


def _planned(schedule: LineSchedule | None, stop: I64, moment_ms: I64, zone: tzinfo, rules: HeadwayRules) -> Planned:
    stops, at_ms, headways_s = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    for (one,), rows in groups(stop):
        times_ms = None if schedule is None else schedule.times_ms.get(one)
        if times_ms is None:
            continue
        gap_s = np.diff(times_ms) / 1000
        inside = (times_ms[1:] > moment_ms[rows].min()) & (times_ms[1:] <= moment_ms[rows].max())
        inside &= gap_s <= rules.break_s
        stops.append(np.full(int(inside.sum()), one))
        at_ms.append(times_ms[1:][inside])
        headways_s.append(gap_s[inside])
    return Planned(
        stop=np.concatenate(stops), hour=hours(np.concatenate(at_ms), zone), headway_s=np.concatenate(headways_s)
    )
