"""Hot spots in space and time: where a rule's alarms are more than chance would put there, at which hours, and whether
that comes back.

The statistic is Gi* of Getis and Ord (1992, Geographical Analysis 24; 1995, 27): the sum of a mahalla and its
neighbours against what it would be anywhere. Each rule is looked at as a whole and in 48 slices: every hour of the day,
on workdays and at weekends; a slice is compared within itself, so that the rhythm of the day is no hot spot.

Significance is under constant risk (Waller and Gotway 2004, Applied Spatial Statistics for Public Health Data, ch. 7):
each rise of a slice falls into any mahalla with the probability of its exposure, or with the same one where no exposure
is known; the sum of a neighbourhood is binomial then, exactly. Shuffling mahallas instead, as Gi* is usually tested,
cannot see one bad mahalla alone: its p is never below the share of neighbourhoods that hold it. Of all slices and
mahallas together the false discovery rate is held (`analysis.breaks.false_discovery`). Beside it stand the z of Gi* and
the pseudo p of esda's conditional permutations (`G_Local`), which tell whether the neighbours are hot too.

What is tested are occurrences: a rule's alarms in one mahalla within an hour are one, however many buses told of it,
and one alarm counts once in an hour wherever it is. What still comes in swarms, for hours or over several mahallas,
makes the counts vary more than by chance; they are divided by that (`analysis.incidence`). Then it is asked whether it
comes back week by week.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from analysis.breaks import false_discovery, trend
from analysis.incidence import begins_occurrence, dispersion
from analysis.neighbourhoods import Mesh, constant_risk, gi_star, groups, permuted, smoothed_rates
from analysis.rises import NOWHERE, Floats, Ints, Rises, chosen, in_turn, is_weekend
from city.systemic import Course, DayKind

# Fewer occurrences than this in a slice cannot make a hot spot of several sources.
SLICE_LEAST = 12
Q_MOST = 0.05
_ONE_ALARM_MOST = 0.5
_WEEK_P = 0.05
_TREND_P = 0.1
_PERSISTENT = 0.9
# Who is hot at so many hours of a kind of day is hot all day.
_ALL_DAY_HOURS = 16
# So much of what is more must lie at the hot hours, or on one kind of days, for them to be told.
_HOURS_SHARE = 0.6
_DAYS_SHARE = 0.9
_WEEKS_FOR_TREND = 6
# Smaller ones are not worth a line: so much more than the rest of the city lets expect.
_RATIO_LEAST = 1.5
_MAHALLAS_LEAST = 10
_EXPOSURE_LEAST = 0.1
_DAY_KINDS = (DayKind.WORKDAY, DayKind.WEEKEND)
_SLICES = 48


class HotSpot(Struct, frozen=True, kw_only=True):
    """One hot spot of one rule: mahallas that touch, at hours that follow each other."""

    rule: int
    areas: tuple[str, ...]  # the hottest first
    days: DayKind
    hours: tuple[int, ...]  # none: all
    z: float  # Gi* of the hottest, over the hours together
    q: float  # the least of its slices and mahallas
    pseudo_p: float
    count: int  # alarms, each once an hour
    occurrences: int
    dispersion: float  # variance of the counts of occurrences over that by chance
    expected: float  # alarms that the rest of the city's mahallas would have in its place
    exposure_h: float | None
    weeks: int
    weeks_hot: int
    course: Course


def hot_spots(
    rises: Rises, mesh: Mesh, first_day: int, weeks: int, exposure_h: Mapping[str, Floats], *, seed: int = 1
) -> list[HotSpot]:
    """Hot spots of all rules over whole weeks from `first_day` on; none where there are fewer than ten mahallas.

    `exposure_h`: by kind of source, hours of a day that such sources are there, by hour (24 rows) and mahalla. What is
    of a kind that is not in it is compared by counts.
    """
    n = len(mesh.codes)
    if n < _MAHALLAS_LEAST or not len(rises):
        return []
    place = _places(rises, mesh)
    # A row for each alarm and hour, the first.
    once = np.zeros(len(rises), dtype=bool)
    once[np.unique(np.stack([rises.alarm, rises.day, rises.hour]), axis=1, return_index=True)[1]] = True
    counted = once & (place != NOWHERE)
    looks: list[_Look] = []
    for rule in range(len(rises.rules)):
        rows = np.flatnonzero(counted & (rises.rule == rule))
        if len(rows) >= SLICE_LEAST:
            looks.append(_look(rises, mesh, rule, rows, place, first_day, weeks, exposure_h))
    if not looks:
        return []
    q = false_discovery(np.concatenate([look.p.ravel() for look in looks]))
    found: list[HotSpot] = []
    at = 0
    for look in looks:
        own = q[at : at + look.p.size].reshape(look.p.shape)
        at += look.p.size
        for cluster in _clusters(look, own, mesh):
            spot = _hot_spot(rises, mesh, look, cluster, place, first_day, weeks, seed)
            if spot is not None:
                found.append(spot)
    return found


class _Look(Struct, frozen=True, kw_only=True, eq=False):
    """A rule's occurrences by slice and mahalla, the last slice all of them."""

    rule: int
    rows: Ints  # alarms, each once an hour
    begins: npt.NDArray[np.bool_]  # which of these rows begin an occurrence
    counts: Floats
    exposure: Floats  # by slice and mahalla, in hours, or all alike
    known: bool  # whether it is in hours
    dispersion: Floats  # by slice, of the neighbourhoods
    slices: Ints  # those with enough occurrences
    p: Floats  # of the neighbourhoods in them
    own_p: Floats  # of each mahalla alone, in all slices


def _look(
    rises: Rises,
    mesh: Mesh,
    rule: int,
    rows: Ints,
    place: Ints,
    first_day: int,
    weeks: int,
    exposure_h: Mapping[str, Floats],
) -> _Look:
    n, days = len(mesh.codes), 7 * weeks
    begins = begins_occurrence(rises.at_ms[rows], place[rows])
    firsts = rows[begins]
    hour = (rises.day[firsts] - first_day) * 24 + rises.hour[firsts] % 24
    cells = np.bincount(hour * n + place[firsts], minlength=days * 24 * n)[: days * 24 * n]
    hourly: Floats = cells.reshape(days * 24, n).astype(np.float64)
    weekend = is_weekend(first_day + np.arange(days)).astype(np.int64)
    slot: Ints = np.repeat(weekend * 24, 24) + np.tile(np.arange(24), days)
    counts = np.stack([hourly[slot == at].sum(axis=0) for at in range(_SLICES)])
    counts = np.vstack([counts, counts.sum(axis=0)])
    daily: Floats = hourly.reshape(days, 24, n).sum(axis=1)

    def varied(near: Floats | None) -> Floats:
        by_hour, by_day = dispersion(hourly, slot, near), dispersion(daily, weekend, near)
        return np.array([by_hour] * _SLICES + [by_day])

    exposure, known = _exposure(exposure_h.get(_kind_of(rises, rows)), counts, weeks)
    kept = np.flatnonzero(counts.sum(axis=1) >= SLICE_LEAST)
    near = varied(mesh.near)
    return _Look(
        rule=rule,
        rows=rows,
        begins=begins,
        counts=counts,
        exposure=exposure,
        known=known,
        dispersion=near,
        slices=kept,
        p=constant_risk(counts[kept], exposure[kept], mesh.near, near[kept]),
        own_p=constant_risk(counts, exposure, np.eye(n), varied(None)),
    )


class _Cluster(Struct, frozen=True, kw_only=True):
    areas: tuple[int, ...]
    days: DayKind
    hours: tuple[int, ...]
    q: float


def _places(rises: Rises, mesh: Mesh) -> Ints:
    numbers = {code: at for at, code in enumerate(mesh.codes)}
    table = np.array([*(numbers.get(code, NOWHERE) for code in rises.mahallas), NOWHERE], dtype=np.int64)
    return table[rises.mahalla]  # NOWHERE is the last one


def _kind_of(rises: Rises, rows: Ints) -> str:
    """The kind of source that most of a rule's alarms are of."""
    kinds = Counter(rises.sources[int(alarm)][0] for alarm in np.unique(rises.alarm[rows]))
    return max(kinds, key=lambda kind: (kinds[kind], kind))


def _exposure(by_hour: Floats | None, counts: Floats, weeks: int) -> tuple[Floats, bool]:
    """The exposure of the whole span by slice and mahalla, and whether it is known.

    An hour in which nothing was seen of such sources is taken to be as all hours are. A mahalla where hardly any was
    seen has a tenth of the mean: one alarm must not make it hot.
    """
    if by_hour is None or not by_hour.sum():
        return np.ones_like(counts), False
    hours = np.where(by_hour.sum(axis=1, keepdims=True) > 0, by_hour, by_hour.mean(axis=0, keepdims=True))
    hours = np.maximum(hours, _EXPOSURE_LEAST * hours.mean(axis=1, keepdims=True))
    found = np.vstack([hours * 5 * weeks, hours * 2 * weeks])
    return np.vstack([found, found.sum(axis=0)]), True


def _clusters(look: _Look, q: Floats, mesh: Mesh) -> list[_Cluster]:
    """Hot mahallas that touch at an hour, as one cluster each with all its hours; all day where no hours stand out."""
    hot = [(int(look.slices[row]), int(area)) for row, area in zip(*np.nonzero(q <= Q_MOST), strict=True)]
    if not hot:
        return []
    rows = {int(number): row for row, number in enumerate(look.slices)}
    # A mahalla beside a hot one is high by its neighbour alone: among these each must be more by itself.
    alone = false_discovery(np.array([look.own_p[cell] for cell in hot]))
    cells = {cell: float(q[rows[cell[0]], cell[1]]) for cell, own in zip(hot, alone, strict=True) if own <= Q_MOST}
    return [_cluster(look, group, min(cells[cell] for cell in group)) for group in groups(cells, mesh)]


def _cluster(look: _Look, group: Sequence[tuple[int, int]], q: float) -> _Cluster:
    areas = sorted({area for _, area in group}, key=lambda area: (-look.counts[_SLICES, area], area))
    more = np.array(
        [look.counts[at, areas].sum() - _expected(look.counts[at], look.exposure[at], areas) for at in range(_SLICES)]
    )
    slots = sorted({slot for slot, _ in group if slot != _SLICES})
    hours = tuple(sorted({slot % 24 for slot in slots}))
    if more[slots].sum() < _HOURS_SHARE * more.sum() or len(hours) >= _ALL_DAY_HOURS:
        slots, hours = list(range(_SLICES)), ()
    in_week = more[[slot for slot in slots if slot < 24]].sum() / max(more[slots].sum(), 1e-9)
    return _Cluster(
        areas=tuple(areas),
        days=DayKind.WORKDAY
        if in_week >= _DAYS_SHARE
        else DayKind.WEEKEND
        if in_week <= 1 - _DAYS_SHARE
        else DayKind.ALL,
        hours=in_turn(hours),
        q=q,
    )


def _hot_spot(
    rises: Rises,
    mesh: Mesh,
    look: _Look,
    cluster: _Cluster,
    place: Ints,
    first_day: int,
    weeks: int,
    seed: int,
) -> HotSpot | None:
    """The numbers of a cluster; None where one alarm makes most of it: that is a repeat, no hot spot."""
    n = len(mesh.codes)
    fits = chosen(rises, look.rule, cluster.days, cluster.hours)[look.rows]
    alarms, rows = look.rows[fits], look.rows[fits & look.begins]
    inside = alarms[np.isin(place[alarms], cluster.areas)]
    if np.bincount(rises.alarm[inside]).max() > _ONE_ALARM_MOST * len(inside):
        return None
    counts = np.bincount(place[rows], minlength=n).astype(float)
    exposure = _exposure_of(look.exposure, cluster)
    expected = _expected(np.bincount(place[alarms], minlength=n).astype(float), exposure, cluster.areas)
    occurrences = int(counts[list(cluster.areas)].sum())
    if (
        min(
            len(inside) - _RATIO_LEAST * expected,
            occurrences - _RATIO_LEAST * _expected(counts, exposure, cluster.areas),
        )
        < 0
    ):
        return None
    varied = float(look.dispersion[0 if cluster.hours else _SLICES])
    values = smoothed_rates(counts[None], exposure[None])[0] if look.known else counts
    z, pseudo_p = permuted(values, mesh, seed)
    hottest = max(cluster.areas, key=lambda at: float(z[at]))
    week = (rises.day[rows] - first_day) // 7
    weekly = np.bincount(week * n + place[rows], minlength=weeks * n)[: weeks * n].reshape(weeks, n).astype(float)
    hot = constant_risk(weekly, np.tile(exposure, (weeks, 1)), mesh.near, varied)[:, hottest] <= _WEEK_P
    if weeks >= _WEEKS_FOR_TREND:
        course_of = gi_star(_by_time(weekly, exposure), mesh.near)[:, hottest]
    else:
        days = rises.day[rows] - first_day
        daily = np.bincount(days * n + place[rows], minlength=7 * weeks * n)[: 7 * weeks * n]
        daily_z = gi_star(_by_time(daily.reshape(7 * weeks, n).astype(float), exposure), mesh.near)[:, hottest]
        looked = np.isin(np.arange(7 * weeks), np.unique(days)) if cluster.days is not DayKind.ALL else slice(None)
        course_of = daily_z[looked]
    return HotSpot(
        rule=look.rule,
        areas=tuple(mesh.codes[at] for at in (hottest, *(one for one in cluster.areas if one != hottest))),
        days=cluster.days,
        hours=cluster.hours,
        z=float(z[hottest]),
        q=cluster.q,
        pseudo_p=float(pseudo_p[hottest]),
        count=len(inside),
        occurrences=occurrences,
        dispersion=varied,
        expected=expected,
        exposure_h=float(exposure[list(cluster.areas)].sum()) if look.known else None,
        weeks=weeks,
        weeks_hot=int(hot.sum()),
        course=_course(course_of, int(hot.sum()), weeks),
    )


def _by_time(counts: Floats, exposure: Floats) -> Floats:
    """Rates of equal steps of the span, as if the exposure were the same in each."""
    return smoothed_rates(counts, np.tile(exposure / len(counts), (len(counts), 1)))


def _exposure_of(exposure: Floats, cluster: _Cluster) -> Floats:
    slots = [
        day * 24 + hour
        for day, kind in enumerate(_DAY_KINDS)
        for hour in (cluster.hours or range(24))
        if cluster.days in (DayKind.ALL, kind)
    ]
    found: Floats = exposure[slots].sum(axis=0)
    return found


def _expected(counts: Floats, exposure: Floats, areas: Sequence[int]) -> float:
    """What the mahallas would have had at the rate of all others."""
    inside = list(areas)
    rest = exposure.sum() - exposure[inside].sum()
    return float((counts.sum() - counts[inside].sum()) * exposure[inside].sum() / rest) if rest > 0 else 0.0


def _course(z: Floats, hot: int, weeks: int) -> Course:
    """By the trend of z over time, as in emerging hot spot analysis: Mann–Kendall on the series of Gi*."""
    found = trend(z)
    if found.p <= _TREND_P and found.slope:
        return Course.EMERGING if found.slope > 0 else Course.DIMINISHING
    return Course.PERSISTENT if hot >= _PERSISTENT * weeks else Course.SPORADIC
