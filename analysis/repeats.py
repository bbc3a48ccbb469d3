"""Alarms that come again and again from one place, and rules that come more often in a district than they did."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from analysis.breaks import false_discovery, find_break, trend, without_week
from analysis.incidence import begins_occurrence, dispersion, poisson_more
from analysis.rises import NOWHERE, Rises

Q_MOST = 0.05
# Fewer are no habit yet.
_REPEATS_LEAST = 6
_TIMES_OTHERS = 3.0
_SERIES_LEAST = 20
# Below four weeks a weekday has no median of its own: taking out the week makes breaks.
_DAYS_LEAST = 28
_RISE_LEAST = 1.3
_MORE_PER_DAY = 0.5


class Repeat(Struct, frozen=True, kw_only=True):
    """One alarm that rises again and again."""

    rule: int
    alarm: int
    count: int
    occurrences: int  # the rises an hour or more apart
    expected: float | None  # rises of the rule's other sources, each on average; None where there are no others
    q: float | None
    weeks_with: int
    mtbf_h: float  # mean time between two occurrences
    share: float  # of the rule's rises


class Shift(Struct, frozen=True, kw_only=True):
    """A rule's alarms of a district became more: all at once, or by and by."""

    rule: int
    district: int
    count: int
    q: float
    break_day: int | None  # proleptic ordinal of the first day that was more; None: by and by
    before_per_day: float
    after_per_day: float
    slope_per_week: float  # rises a day more each week


def repeats(rises: Rises, first_day: int, weeks_least: int) -> list[Repeat]:
    """Alarms that came back in `weeks_least` weeks or more, and far more often than others of their rule.

    Rises within an hour are chatter: they are one occurrence. The yardstick is a Poisson count with the mean of the
    rule's other sources that alarmed at all (a strict one, the quiet ones are left out), over the dispersion of the
    rule's sources from day to day.
    """
    found: list[Repeat] = []
    firsts = rises.only(begins_occurrence(rises.at_ms, rises.alarm))
    n = len(rises.alarms)
    rises_of, counts = np.bincount(rises.alarm, minlength=n), np.bincount(firsts.alarm, minlength=n)
    rule_of = np.zeros(n, dtype=np.int64)
    rule_of[rises.alarm] = rises.rule
    rules = len(rises.rules)
    risen_of_rule = np.bincount(rises.rule, minlength=rules)
    of_rule = np.bincount(firsts.rule, minlength=rules)
    others = np.bincount(rule_of[counts > 0], minlength=rules)[rule_of] - 1
    mean = (of_rule[rule_of] - counts) / np.maximum(others, 1)
    p = np.ones(n)
    for rule in range(rules):
        of = np.flatnonzero((rule_of == rule) & (others > 0))
        p[of] = poisson_more(counts[of].astype(float), mean[of], _varied(firsts, rule, first_day))
    q = false_discovery(p)
    order = np.argsort(firsts.alarm, kind="stable")
    starts = np.concatenate([[0], np.cumsum(counts)])
    for alarm in np.flatnonzero(counts >= _REPEATS_LEAST):
        alone = others[alarm] == 0
        if not alone and (q[alarm] > Q_MOST or counts[alarm] < _TIMES_OTHERS * mean[alarm]):
            continue
        rows = order[starts[alarm] : starts[alarm + 1]]
        weeks_with = len(np.unique((firsts.day[rows] - first_day) // 7))
        if weeks_with < weeks_least:
            continue
        times = firsts.at_ms[rows]
        rule, count = int(rule_of[alarm]), int(rises_of[alarm])
        found.append(
            Repeat(
                rule=rule,
                alarm=int(alarm),
                count=count,
                occurrences=int(counts[alarm]),
                expected=None if alone else float((risen_of_rule[rule] - count) / others[alarm]),
                q=None if alone else float(q[alarm]),
                weeks_with=weeks_with,
                mtbf_h=float(times[-1] - times[0]) / 3_600_000 / (len(times) - 1),
                share=float(count / risen_of_rule[rule]),
            )
        )
    return found


def _varied(firsts: Rises, rule: int, first_day: int) -> float:
    """The dispersion of a rule's occurrences by day and source."""
    rows = firsts.rule == rule
    if not rows.any():
        return 1.0
    sources, column = np.unique(firsts.alarm[rows], return_inverse=True)
    day = firsts.day[rows] - first_day
    day -= day.min()
    days = int(day.max()) + 1
    counts = np.bincount(day * len(sources) + column, minlength=days * len(sources)).reshape(days, len(sources))
    return dispersion(counts.astype(float), np.zeros(days, dtype=np.int64))


def shifts(rises: Rises, first_day: int, days: int) -> list[Shift]:
    """Rules that became more in a district within the span; a break where the series has one, else a trend."""
    if days < _DAYS_LEAST or not len(rises):
        return []
    weekdays = (np.arange(days) + first_day - 1) % 7
    series: list[tuple[int, int, np.ndarray]] = []
    pairs = rises.rule * (len(rises.districts) + 1) + rises.district
    known = rises.district != NOWHERE
    for pair in np.unique(pairs[known]):
        rule, district = divmod(int(pair), len(rises.districts) + 1)
        rows = known & (pairs == pair)
        if rows.sum() >= _SERIES_LEAST:
            daily = np.bincount(rises.day[rows] - first_day, minlength=days)[:days].astype(float)
            series.append((rule, district, daily))
    if not series:
        return []
    calm = [without_week(daily, weekdays) for _, _, daily in series]
    breaks = [find_break(values) for values in calm]
    trends = [trend(values) for values in calm]
    # Both questions are asked of each series: both count among the tests.
    p = [1.0 if one is None else one.p for one in breaks] + [one.p for one in trends]
    q = false_discovery(np.array(p))
    found = []
    for at, (rule, district, daily) in enumerate(series):
        broken, going = breaks[at], trends[at]
        slope = going.slope * 7
        if broken is not None and q[at] <= Q_MOST:
            before, after = float(daily[: broken.at].mean()), float(daily[broken.at :].mean())
            day: int | None = first_day + broken.at
            least = q[at]
        elif q[len(series) + at] <= Q_MOST:
            half = days // 2
            before, after = float(daily[:half].mean()), float(daily[half:].mean())
            day, least = None, q[len(series) + at]
        else:
            continue
        if after < max(_RISE_LEAST * before, before + _MORE_PER_DAY):
            continue
        found.append(
            Shift(
                rule=rule,
                district=district,
                count=int(daily.sum()),
                q=float(least),
                break_day=day,
                before_per_day=before,
                after_per_day=after,
                slope_per_week=slope,
            )
        )
    return found
