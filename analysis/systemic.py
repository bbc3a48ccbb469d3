"""Systemic problems of a city: hot spots, repeats, breaks and reopened incidents, ranked by evidence.

The rank is the plain mean of five parts between 0 and 1 (equal weights, as the OECD/JRC Handbook on Constructing
Composite Indicators, 2008, step 6, advises where nothing argues for others). The parts are shown beside it: whoever
weighs them otherwise can.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from analysis.hotspots import HotSpot, hot_spots
from analysis.neighbourhoods import Mesh
from analysis.repeats import Repeat, Shift, repeats, shifts
from analysis.rises import DAY_MS, EPOCH_DAY, NOWHERE, Floats, Ints, Rises
from analysis.schedule import Clock
from analysis.systemic_measure import Reopening, measure, others_of, rows_of, silent_spans, times_of
from analysis.systemic_names import free_name, known_as
from city.alarms import AlarmPriority
from city.systemic import Course, DayKind, Evidence, Followed, Measure, Pattern, PatternKind, Problem

WEEKS_MOST = 8
WEEKS_LEAST = 2
PROBLEMS_MOST = 200
_REOPENED_LEAST = 2
_WEIGHT = {
    AlarmPriority.CRITICAL: 1.0,
    AlarmPriority.HIGH: 0.75,
    AlarmPriority.MEDIUM: 0.5,
    AlarmPriority.LOW: 0.25,
    AlarmPriority.JOURNAL: 0.0,
}


class Span(Struct, frozen=True, kw_only=True):
    """The whole weeks that are looked at, by the city's days."""

    first_day: int  # proleptic ordinal
    weeks: int
    since_ms: int
    until_ms: int

    @property
    def days(self) -> int:
        return 7 * self.weeks


class Findings(Struct, frozen=True, kw_only=True):
    """What a look over the span gave."""

    span: Span
    rises: int
    problems: tuple[Problem, ...]  # the weightiest first
    measures: Mapping[str, Measure]  # of the problems that are followed, by id
    without_polygon: Mapping[str, int]  # rises by district whose mahalla is not known or has no polygon
    nowhere: int  # rises without a district


def span_of(clock: Clock, known_since_ms: int, now_ms: int) -> Span:
    """The whole weeks up to the last midnight since when alarms are known, WEEKS_MOST at most."""
    until = _midnight_ms(clock, _day(clock, now_ms))
    last = _day(clock, now_ms)
    begin = _day(clock, known_since_ms - 1) + 1 if known_since_ms < now_ms else last
    weeks = min(WEEKS_MOST, max(0, (last - begin) // 7))
    first = last - 7 * weeks
    return Span(first_day=first, weeks=weeks, since_ms=_midnight_ms(clock, first), until_ms=until)


def find(
    rises: Rises,
    mesh: Mesh,
    span: Span,
    clock: Clock,
    *,
    exposure_h: Mapping[str, Floats] | None = None,
    reopenings: Sequence[Reopening] = (),
    followed: Sequence[Followed] = (),
    known_since_ms: int = 0,
) -> Findings:
    """The systemic problems of a span, and how those that are followed go.

    Nothing is found in less than WEEKS_LEAST weeks: what has not come back yet is not systemic.
    """
    inside = rises.only((rises.day >= span.first_day) & (rises.day < span.first_day + span.days))
    problems: list[Problem] = []
    if span.weeks >= WEEKS_LEAST:
        least = max(WEEKS_LEAST, math.ceil(span.weeks / 2))
        again = repeats(inside, span.first_day, least)
        problems += [_repeat(one, inside, span) for one in again]
        # What one alarm does at its place is told as a repeat: it would make its neighbours hot as well.
        fixed = [one.alarm for one in again if len(np.unique(inside.mahalla[inside.alarm == one.alarm])) == 1]
        others = inside.only(~np.isin(inside.alarm, fixed))
        districts = _districts(inside)
        for spot in hot_spots(others, mesh, span.first_day, span.weeks, exposure_h or {}):
            needed = WEEKS_LEAST if spot.course is Course.EMERGING else least
            if spot.weeks_hot >= needed:
                problems.append(_hot_spot(spot, others, span, districts))
        problems += [_shift(one, inside, span, clock) for one in shifts(inside, span.first_day, span.days)]
        problems += _reopened(reopenings, span)
    names = frozenset(one.id for one in followed)
    taken: set[str] = set()
    known: list[Problem] = []
    for problem in sorted(problems, key=lambda one: (-one.score, one.id)):
        # What only begins where a followed one does is not to be shown as that.
        name = known_as(problem, followed) or free_name(problem.id, names)
        # Two halves of one followed problem: the weightier one stands for it, the other is of it.
        if name not in taken:
            taken.add(name)
            known.append(_named(problem, name))
    until = max(int(rises.at_ms[-1]) + 1 if len(rises) else 0, span.until_ms)
    return Findings(
        span=span,
        rises=len(inside),
        problems=tuple(known[:PROBLEMS_MOST]),
        measures={
            one.id: measure(
                times_of(one.problem.pattern, rises, reopenings),
                known_since_ms,
                one.accepted_ms,
                one.done_ms,
                until,
                others_of(one.problem.pattern, rises),
                silent_spans(one.problem.pattern, one.problem.source, rises, until),
            )
            for one in followed
            if one.accepted_ms is not None
        },
        without_polygon=_without_polygon(inside, mesh),
        nowhere=int(np.count_nonzero(inside.district == NOWHERE)),
    )


# --- one problem of each kind -----------------------------------------------------------------------


def _hot_spot(one: HotSpot, rises: Rises, span: Span, districts: Mapping[str, str]) -> Problem:
    pattern = Pattern(
        kind=PatternKind.HOT_SPOT, rule=rises.rules[one.rule], areas=one.areas, days=one.days, hours=one.hours
    )
    evidence = _evidence(
        pattern,
        rises,
        span,
        expected=one.expected,
        occurrences=one.occurrences,
        dispersion=one.dispersion,
        z=one.z,
        q=one.q,
        pseudo_p=one.pseudo_p,
        exposure_h=one.exposure_h,
        course=one.course,
        weeks_hot=one.weeks_hot,
    )
    hours = "all" if not one.hours else f"{one.hours[0]:02}-{one.hours[-1]:02}"
    name = f"hot.{pattern.rule}.{one.areas[0]}.{one.days}.{hours}"
    return _problem(name, pattern, evidence, one.weeks_hot / one.weeks, district=districts.get(one.areas[0]))


def _repeat(one: Repeat, rises: Rises, span: Span) -> Problem:
    pattern = Pattern(kind=PatternKind.REPEAT, rule=rises.rules[one.rule], alarm=rises.alarms[one.alarm])
    rows = rows_of(pattern, rises)
    mahallas = [rises.mahallas[at] for at in np.unique(rises.mahalla[rows]) if at != NOWHERE]
    if len(mahallas) == 1:  # it stands somewhere
        pattern = Pattern(kind=PatternKind.REPEAT, rule=pattern.rule, alarm=pattern.alarm, areas=(mahallas[0],))
    evidence = _evidence(
        pattern,
        rises,
        span,
        expected=one.expected,
        occurrences=one.occurrences,
        q=one.q,
        weeks_hot=one.weeks_with,
        mtbf_h=one.mtbf_h,
        share=one.share,
    )
    districts = [rises.districts[at] for at in np.unique(rises.district[rows]) if at != NOWHERE]
    return _problem(
        f"repeat.{pattern.alarm}",
        pattern,
        evidence,
        one.weeks_with / span.weeks,
        source=rises.sources[one.alarm],
        district=districts[0] if len(districts) == 1 else None,
    )


def _shift(one: Shift, rises: Rises, span: Span, clock: Clock) -> Problem:
    kind = PatternKind.TREND if one.break_day is None else PatternKind.BREAK
    district = rises.districts[one.district]
    pattern = Pattern(kind=kind, rule=rises.rules[one.rule], areas=(district,))
    evidence = _evidence(
        pattern,
        rises,
        span,
        q=one.q,
        before_per_day=one.before_per_day,
        after_per_day=one.after_per_day,
        break_ms=None if one.break_day is None else _midnight_ms(clock, one.break_day),
        slope_per_week=one.slope_per_week,
    )
    since = span.first_day if one.break_day is None else one.break_day
    days = np.unique(rises.day[rows_of(pattern, rises)])
    recurrence = float(np.count_nonzero(days >= since)) / max(1, span.first_day + span.days - since)
    return _problem(f"{kind}.{pattern.rule}.{district}", pattern, evidence, recurrence, district=district)


def _reopened(reopenings: Sequence[Reopening], span: Span) -> list[Problem]:
    groups: dict[tuple[str, str], list[Reopening]] = {}
    for one in reopenings:
        if one.district is not None and span.since_ms <= one.at_ms < span.until_ms:
            groups.setdefault((one.rule, one.district), []).append(one)
    found = []
    for (rule, district), some in groups.items():
        if len(some) < _REOPENED_LEAST:
            continue
        weeks = len({(one.at_ms - span.since_ms) // (7 * DAY_MS) for one in some})
        ranked = list(AlarmPriority)
        evidence = Evidence(
            since_ms=span.since_ms,
            until_ms=span.until_ms,
            count=len(some),
            sources=len({one.incident for one in some}),
            priority=min((one.priority for one in some), key=ranked.index),
            weeks=span.weeks,
            weeks_hot=weeks,
        )
        pattern = Pattern(kind=PatternKind.REOPENED, rule=rule, areas=(district,))
        name = f"reopened.{rule or 'operator'}.{district}"
        found.append(_problem(name, pattern, evidence, weeks / span.weeks, district=district))
    return found


def _evidence(
    pattern: Pattern,
    rises: Rises,
    span: Span,
    *,
    expected: float | None = None,
    occurrences: int | None = None,
    dispersion: float | None = None,
    z: float | None = None,
    q: float | None = None,
    pseudo_p: float | None = None,
    exposure_h: float | None = None,
    course: Course | None = None,
    weeks_hot: int | None = None,
    mtbf_h: float | None = None,
    share: float | None = None,
    before_per_day: float | None = None,
    after_per_day: float | None = None,
    break_ms: int | None = None,
    slope_per_week: float | None = None,
) -> Evidence:
    rows = rows_of(pattern, rises)
    stood = rises.stood_ms[rows]
    weeks_with = len(np.unique((rises.day[rows] - span.first_day) // 7))
    rule = rises.rules.index(pattern.rule)
    return Evidence(
        since_ms=span.since_ms,
        until_ms=span.until_ms,
        count=len(rows),
        sources=len(np.unique(rises.alarm[rows])),
        priority=rises.priorities[rule],
        people=float(rises.people[rows].sum()),
        stood_h=float(stood[stood > 0].sum()) / 3_600_000,
        weeks=span.weeks,
        weeks_hot=weeks_with if weeks_hot is None else weeks_hot,
        expected=expected,
        occurrences=occurrences,
        dispersion=dispersion,
        z=z,
        q=q,
        pseudo_p=pseudo_p,
        exposure_h=exposure_h,
        course=course,
        mtbf_h=mtbf_h,
        share=share,
        before_per_day=before_per_day,
        after_per_day=after_per_day,
        break_ms=break_ms,
        slope_per_week=slope_per_week,
        by_hour=_counts(rises.hour[rows_of(replace(pattern, days=DayKind.ALL, hours=()), rises)], 168),
        by_day=_counts(rises.day[rows] - span.first_day, span.days),
    )


def _problem(
    name: str,
    pattern: Pattern,
    evidence: Evidence,
    recurrence: float,
    *,
    source: tuple[str, str] | None = None,
    district: str | None = None,
) -> Problem:
    parts = {
        "recurrence": min(1.0, recurrence),
        "affected": min(1.0, math.log10(1 + max(float(evidence.sources), evidence.people)) / 4),  # 10,000 people: 1
        "duration": min(1.0, math.log10(1 + evidence.stood_h) / 3),  # 1,000 hours: 1
        "priority": _WEIGHT[evidence.priority],
    }
    if evidence.q is not None:
        parts = {"significance": min(1.0, -math.log10(max(evidence.q, 1e-10)) / 10), **parts}
    score = sum(parts.values()) / len(parts)
    return Problem(
        id=name, pattern=pattern, evidence=evidence, score=score, parts=parts, source=source, district=district
    )


def _named(problem: Problem, name: str) -> Problem:
    return problem if name == problem.id else replace(problem, id=name)


def _districts(rises: Rises) -> dict[str, str]:
    """The district of each mahalla, as the alarms themselves say it."""
    known = (rises.mahalla != NOWHERE) & (rises.district != NOWHERE)
    pairs = np.unique(np.stack([rises.mahalla[known], rises.district[known]]), axis=1)
    return {rises.mahallas[mahalla]: rises.districts[district] for mahalla, district in pairs.T}


def _without_polygon(rises: Rises, mesh: Mesh) -> dict[str, int]:
    codes = frozenset(mesh.codes)
    drawn = np.array([*(code in codes for code in rises.mahallas), False])
    rows = ~drawn[rises.mahalla] & (rises.district != NOWHERE)
    counts = np.bincount(rises.district[rows], minlength=len(rises.districts))
    return {rises.districts[at]: int(counts[at]) for at in np.flatnonzero(counts)}


def _counts(values: Ints, length: int) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(values, minlength=length)[:length])


def _day(clock: Clock, at_ms: int) -> int:
    return clock.local(at_ms).toordinal()


def _midnight_ms(clock: Clock, day: int) -> int:
    """The city's midnight before a day (proleptic ordinal)."""
    utc = (day - EPOCH_DAY) * DAY_MS
    offset = clock.local(utc).utcoffset()
    return utc - (0 if offset is None else int(offset.total_seconds() * 1000))
