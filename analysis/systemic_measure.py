"""Whether a problem became less since somebody took it on.

A problem is found because it was bad, and what was bad by chance is better afterwards whatever is done. So the time
after is held against what was to be expected had nothing been done, by the empirical Bayes method of before–after
studies of road safety (Hauer 1997, Observational Before–After Studies in Road Safety, ch. 11–12): the pattern's own
count, drawn towards those of its like as far as these differ by chance alone. One that is far beyond them all is none
of them and is not drawn: a mixture of the two, weighed by which of them makes such a count. Three things more make a
drop that is none: alarms that come in swarms (within an hour they are one occurrence, and counts are divided by their
dispersion: `analysis.incidence`), a city where the rule tells less everywhere, and a source that is not heard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from scipy.special import betainc, gammaln

from analysis.incidence import begins_occurrence, dispersion
from analysis.rises import DAY_MS, Floats, Ints, Rises, chosen
from city.alarms import AlarmPriority
from city.systemic import Measure, Pattern, PatternKind

# So far back before it was taken on: four whole weeks.
BEFORE_MS = 28 * DAY_MS
# A pattern has returned when it was seen long and often enough, and is nearly as it was.
_RETURNED_DAYS = 7.0
_RETURNED_LEAST = 5
_RETURNED_RATIO = 0.8
# Fewer others, or fewer occurrences of theirs, say nothing of what is usual.
_OTHERS_LEAST = 5
_OTHERS_OCCURRENCES_LEAST = 30
# Where others are all alike, so much weight is theirs and no more.
_WEIGHT_MOST = 1000.0
# A pattern that is none of its like has one occurrence to a thousand: ln 1,000.
_MAGNITUDES = 7.0
# While these stand, nothing else is heard of their source.
_SILENT = frozenset({"vehicle_silent", "camera_offline", "camera_frozen", "sensor_missing", "sensor_flat"})


class Reopening(Struct, frozen=True, kw_only=True):
    """An incident that was closed and opened again."""

    incident: str
    at_ms: int
    rule: str
    district: str | None
    priority: AlarmPriority


def times_of(pattern: Pattern, rises: Rises, reopenings: Sequence[Reopening]) -> Ints:
    """When the occurrences of a pattern began (or its reopenings were), epoch ms, oldest first."""
    if pattern.kind is PatternKind.REOPENED:
        fits = [one.at_ms for one in reopenings if one.rule == pattern.rule and (one.district,) == pattern.areas]
        return np.array(sorted(fits), dtype=np.int64)
    rows = rows_of(pattern, rises)
    group = rises.alarm[rows] if pattern.alarm else rises.mahalla[rows]
    return rises.at_ms[rows[begins_occurrence(rises.at_ms[rows], group)]]


def rows_of(pattern: Pattern, rises: Rises) -> Ints:
    """The rises that belong to a pattern."""
    nothing = np.zeros(0, dtype=np.int64)
    if pattern.rule not in rises.rules:
        return nothing
    found = chosen(rises, rises.rules.index(pattern.rule), pattern.days, pattern.hours)
    if pattern.alarm:
        if pattern.alarm not in rises.alarms:
            return nothing
        found = found & (rises.alarm == rises.alarms.index(pattern.alarm))
    elif pattern.areas:
        mahallas = [at for at, code in enumerate(rises.mahallas) if code in pattern.areas]
        districts = [at for at, code in enumerate(rises.districts) if code in pattern.areas]
        found = found & (np.isin(rises.mahalla, mahallas) | np.isin(rises.district, districts))
    return np.flatnonzero(found)


class Others(Struct, frozen=True, kw_only=True, eq=False):
    """Incidents of a pattern's like: of the rule's other sources, mahallas or districts, on the same days and hours."""

    at_ms: Ints
    place: Ints
    like: int  # of how many such places the pattern is


def others_of(pattern: Pattern, rises: Rises) -> Others | None:
    """What a pattern is compared with; None where its kind has no like."""
    if pattern.kind is PatternKind.REOPENED or pattern.rule not in rises.rules:
        return None
    found = chosen(rises, rises.rules.index(pattern.rule), pattern.days, pattern.hours)
    by_mahalla = pattern.kind is PatternKind.HOT_SPOT
    if pattern.alarm:
        place, names = rises.alarm, rises.alarms
        own = [at for at, name in enumerate(names) if name == pattern.alarm]
    else:
        place, names = (rises.mahalla, rises.mahallas) if by_mahalla else (rises.district, rises.districts)
        own = [at for at, name in enumerate(names) if name in pattern.areas]
    rows = np.flatnonzero(found & (place >= 0) & ~np.isin(place, own))
    group = rises.alarm[rows] if pattern.alarm else rises.mahalla[rows]
    rows = rows[begins_occurrence(rises.at_ms[rows], group)]
    return Others(at_ms=rises.at_ms[rows], place=place[rows], like=1 if pattern.alarm else len(pattern.areas))


def silent_spans(
    pattern: Pattern, source: tuple[str, str] | None, rises: Rises, until_ms: int
) -> list[tuple[int, int]]:
    """When nothing was heard of a repeat's source, by its own alarms of that: [(from, to)] in epoch ms, joined."""
    rules = [at for at, rule in enumerate(rises.rules) if rule in _SILENT]
    if source is None or pattern.rule in _SILENT:
        return []
    alarms = [at for at, one in enumerate(rises.sources) if one == source]
    rows = np.flatnonzero(np.isin(rises.rule, rules) & np.isin(rises.alarm, alarms))
    spans: list[tuple[int, int]] = []
    for row in rows:
        begin, stood = int(rises.at_ms[row]), int(rises.stood_ms[row])
        end = until_ms if stood < 0 else begin + stood
        if spans and begin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((begin, end))
    return spans


def measure(
    times: Ints,
    known_since_ms: int,
    accepted_ms: int,
    done_ms: int | None,
    until_ms: int,
    others: Others | None = None,
    silent: Sequence[tuple[int, int]] = (),
) -> Measure:
    """A pattern in the four weeks before it was taken on, and since then; since it was done, where it is.

    How likely so few would be if nothing had changed: by the negative binomial distribution of the count to come, given
    the count before and how the counts of others vary. Without others, given the count before alone.
    """
    begin = max(known_since_ms, accepted_ms - BEFORE_MS)
    since = accepted_ms if done_ms is None else done_ms
    before, after = _between(times, begin, accepted_ms), _between(times, since, until_ms)
    before_days = max(0.0, (accepted_ms - begin) / DAY_MS)
    after_days = max(0.0, (until_ms - since) / DAY_MS)
    heard_before, heard = _heard(silent, begin, accepted_ms), _heard(silent, since, until_ms)
    expected: float | None = None
    p_drop = 1.0
    if before and heard_before and heard and after_days:
        usual = _usual(times, others, begin, accepted_ms)
        # In units of the time before, had the others gone on as they were.
        span = after_days * heard / (before_days * heard_before)
        span *= _others_left(others, begin, accepted_ms, since, until_ms)
        own, apart = before / usual.by, _apart(before / usual.by, usual)
        drawn = usual.shape + own
        expected = ((1 - apart) * drawn / (usual.weight + 1) + apart * own) * span * usual.by
        if span > 0:
            as_usual = betainc(drawn, after / usual.by + 1, (usual.weight + 1) / (usual.weight + 1 + span))
            as_ever = betainc(own, after / usual.by + 1, 1 / (1 + span))
            p_drop = float((1 - apart) * as_usual + apart * as_ever)
    ratio = after / expected if expected else None
    returned = (
        done_ms is not None
        and after_days >= _RETURNED_DAYS
        and after >= _RETURNED_LEAST
        and (ratio is None or ratio >= _RETURNED_RATIO)
    )
    return Measure(
        before=before,
        before_days=before_days,
        after=after,
        after_days=after_days,
        expected=expected,
        heard=heard,
        ratio=ratio,
        p_drop=p_drop,
        returned=returned,
    )


class _Usual(Struct, frozen=True, kw_only=True):
    """Effective counts of a pattern's like before it was taken on, as their prior gamma distribution."""

    shape: float
    weight: float  # its rate: how much the others weigh beside the pattern's own count
    by: float  # the dispersion that counts are divided by
    rare: float  # how likely it is before looking that a pattern is none of its like


def _usual(times: Ints, others: Others | None, begin_ms: int, end_ms: int) -> _Usual:
    """By the moments of the others' counts; without others, of weight 0."""
    days = max(1, int((end_ms - begin_ms) // DAY_MS))
    places = np.zeros(0) if others is None else np.unique(others.place)
    if others is None or len(places) < _OTHERS_LEAST:
        daily = _daily(times, begin_ms, days)
        mean = float(daily.mean())
        by = max(1.0, float(daily.var(ddof=1)) / mean) if days > 1 and mean > 0 else 1.0
        return _Usual(shape=0.0, weight=0.0, by=by, rare=1.0)
    inside = (others.at_ms >= begin_ms) & (others.at_ms < begin_ms + days * DAY_MS)
    cell = (others.at_ms[inside] - begin_ms) // DAY_MS * len(places) + np.searchsorted(places, others.place[inside])
    counts = np.bincount(cell, minlength=days * len(places)).reshape(days, len(places)).astype(float)
    by = dispersion(counts, np.zeros(days, dtype=np.int64))
    each = counts.sum(axis=0) / by
    mean = max(float(each.mean()), 0.5 / len(places))
    beyond = float(each.var(ddof=1)) - mean  # what chance alone does not make of one mean
    weight = min(mean / beyond, _WEIGHT_MOST) if beyond > 0 else _WEIGHT_MOST
    return _Usual(
        shape=mean * weight * others.like, weight=weight, by=by, rare=others.like / (len(places) + others.like)
    )


def _apart(own: float, usual: _Usual) -> float:
    """How likely a pattern with such an effective count is none of its like.

    The others' kind makes it with the negative binomial probability; one apart may have any rate, each order of
    magnitude alike (Jeffreys).
    """
    if not usual.weight:
        return 1.0
    as_others = (
        gammaln(own + usual.shape)
        - gammaln(usual.shape)
        - gammaln(own + 1)
        + usual.shape * math.log(usual.weight / (usual.weight + 1))
        - own * math.log(usual.weight + 1)
    )
    odds = math.log(usual.rare / (1 - usual.rare)) - math.log(max(own, 1.0) * _MAGNITUDES) - float(as_others)
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, odds))))


def _others_left(others: Others | None, begin_ms: int, accepted_ms: int, since_ms: int, until_ms: int) -> float:
    """The others' rate since, over theirs before, 1 at most: where all became less, nobody's work did it."""
    if others is None:
        return 1.0
    before = _between(others.at_ms, begin_ms, accepted_ms)
    if before < _OTHERS_OCCURRENCES_LEAST:
        return 1.0
    after = _between(others.at_ms, since_ms, until_ms)
    return min(1.0, (after / (until_ms - since_ms)) / (before / (accepted_ms - begin_ms)))


def _heard(silent: Sequence[tuple[int, int]], from_ms: int, to_ms: int) -> float:
    """The share of a time in which the source was heard; 0 of no time."""
    if to_ms <= from_ms:
        return 0.0
    lost = sum(max(0, min(end, to_ms) - max(begin, from_ms)) for begin, end in silent)
    return 1 - lost / (to_ms - from_ms)


def _daily(times: Ints, begin_ms: int, days: int) -> Floats:
    inside = times[(times >= begin_ms) & (times < begin_ms + days * DAY_MS)]
    return np.bincount((inside - begin_ms) // DAY_MS, minlength=days).astype(float)


def _between(times: Ints, from_ms: int, to_ms: int) -> int:
    return int(np.count_nonzero((times >= from_ms) & (times < to_ms)))
