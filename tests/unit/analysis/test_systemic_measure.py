"""Before and after: a drop is told where there is one, and not where there is only chance, silence or a quiet city."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.rises import DAY_MS
from analysis.systemic_measure import Others, Reopening, measure, others_of, silent_spans, times_of
from city.alarms import AlarmPriority
from city.systemic import DayKind, Pattern, PatternKind
from tests.unit.analysis.risen import HOUR_MS, MONDAY_MS, code, read, rise


def every(hours: float, since_day: float, until_day: float) -> np.ndarray:
    return np.arange(since_day * DAY_MS, until_day * DAY_MS, hours * HOUR_MS).astype(np.int64)


def test_a_drop_beyond_chance_is_told() -> None:
    times = np.concatenate([every(12, 0, 35), every(96, 35, 56)])
    found = measure(times, 0, 28 * DAY_MS, 35 * DAY_MS, 56 * DAY_MS)
    assert (found.before, found.before_days, found.after, found.after_days) == (56, 28, 6, 21)
    assert found.ratio == pytest.approx((6 / 21) / 2)
    assert found.dropped
    assert not found.returned


def test_what_goes_on_as_before_has_returned_after_a_week() -> None:
    times = every(12, 0, 56)
    week = measure(times, 0, 28 * DAY_MS, 35 * DAY_MS, 42 * DAY_MS)
    assert week.returned
    assert not week.dropped
    assert not measure(times, 0, 28 * DAY_MS, 35 * DAY_MS, 41 * DAY_MS).returned
    assert not measure(times, 0, 28 * DAY_MS, None, 56 * DAY_MS).returned


def test_the_time_before_is_four_weeks_or_what_is_known() -> None:
    times = every(24, 0, 60)
    assert measure(times, 0, 50 * DAY_MS, None, 60 * DAY_MS).before_days == 28
    assert measure(times, 40 * DAY_MS, 50 * DAY_MS, None, 60 * DAY_MS).before_days == 10
    nothing = measure(times, 50 * DAY_MS, 50 * DAY_MS, None, 60 * DAY_MS)
    assert (nothing.ratio, nothing.p_drop, nothing.dropped) == (None, 1.0, False)


def spot(areas: tuple[str, ...], hours: tuple[int, ...] = (), **more: object) -> Pattern:
    given = {"kind": PatternKind.HOT_SPOT, "rule": "gap"} | more
    return Pattern(areas=areas, hours=hours, **given)  # type: ignore[arg-type]


def test_the_times_of_a_pattern_are_those_at_its_place_and_hours() -> None:
    told = []
    for day in range(7):
        told += rise("gap", f"r{day}", MONDAY_MS + day * DAY_MS + 7 * HOUR_MS, (0, 0))
        told += rise("gap", f"r{day}x", MONDAY_MS + day * DAY_MS + 9 * HOUR_MS, (0, 0))
        told += rise("gap", f"r{day}y", MONDAY_MS + day * DAY_MS + 7 * HOUR_MS, (1, 0))
    rises = read(told)
    pattern = spot((code(0, 0),), (7,), days=DayKind.WORKDAY)
    assert list(times_of(pattern, rises, ())) == [MONDAY_MS + day * DAY_MS + 7 * HOUR_MS for day in range(5)]
    assert len(times_of(spot((), (), kind=PatternKind.REPEAT, alarm="gap:r1"), rises, ())) == 1
    assert len(times_of(spot((code(0, 0),), rule="unheard"), rises, ())) == 0


def test_reopened_incidents_have_their_times_too() -> None:
    some = [
        Reopening(incident=f"i{at}", at_ms=at, rule="place", district=where, priority=AlarmPriority.LOW)
        for at, where in ((2, "d"), (1, "d"), (3, "e"))
    ]
    assert list(times_of(spot(("d",), rule="place", kind=PatternKind.REOPENED), read([]), some)) == [1, 2]


SINCE, UNTIL = 28 * DAY_MS, 56 * DAY_MS


def drops(rng: np.random.Generator, *, burst: float, left: float = 1.0) -> tuple[int, int]:
    """Sources with rates of their own that never change; how many are taken on for being high, and "dropped" then.

    With `left` that part of the occurrences of those is left afterwards. Incidents come in swarms of some days' length.
    """
    sources = 6000
    rate = rng.gamma(4, 0.5, sources) / burst

    def occurrences(mean: np.ndarray, begin: int) -> list[np.ndarray]:
        found = []
        for many in rng.poisson(mean):
            times = [
                begin + int(rng.integers(27 * DAY_MS)) + np.sort(rng.integers(DAY_MS, size=rng.geometric(1 / burst)))
                for _ in range(many)
            ]
            found.append(np.sort(np.concatenate(times)) if times else np.zeros(0, dtype=np.int64))
        return found

    before = occurrences(rate, 0)
    chosen = [n for n, times in enumerate(before) if len(times) >= 8]
    kept = np.ones(sources)
    kept[chosen] = left
    after = occurrences(rate * kept, SINCE)
    at_ms = np.concatenate([*before, *after]).astype(np.int64)
    place = np.concatenate([np.full(len(times), n) for times in (before, after) for n, times in enumerate(times)])
    dropped = 0
    for n in chosen[:60]:
        others = Others(at_ms=at_ms[place != n], place=place[place != n].astype(np.int64), like=1)
        times = np.concatenate([before[n], after[n]]).astype(np.int64)
        dropped += measure(times, 0, SINCE, SINCE, UNTIL, others).dropped
    return dropped, len(chosen[:60])


@pytest.mark.parametrize("burst", [1.0, 3.0])
def test_what_was_high_by_chance_and_is_usual_again_has_not_dropped(burst: float) -> None:
    """Nothing is done to any of them; held against their own count alone a fifth to two thirds have dropped."""
    dropped, of = drops(np.random.default_rng(1), burst=burst)
    assert of >= 25
    assert dropped <= 0.1 * of


def city_of(rng: np.random.Generator, per_day: float, days: int = 56, sources: int = 40) -> Others:
    counts = rng.poisson(per_day, (days, sources))
    day, place = np.nonzero(counts)
    times = counts[day, place]
    at_ms = np.repeat(day, times) * DAY_MS + rng.integers(DAY_MS, size=times.sum())
    return Others(at_ms=at_ms.astype(np.int64), place=np.repeat(place, times).astype(np.int64), like=1)


def test_a_real_drop_of_a_bad_one_is_told_beside_others_that_go_on() -> None:
    times = np.concatenate([every(8, 0, 28), every(56, 28, 56)])
    found = measure(times, 0, SINCE, SINCE, UNTIL, city_of(np.random.default_rng(2), 0.2))
    assert found.dropped
    assert found.expected == pytest.approx(84, rel=0.15)
    assert found.ratio == pytest.approx(1 / 7, rel=0.2)


def test_where_the_whole_city_is_silent_nothing_has_dropped() -> None:
    everyone = city_of(np.random.default_rng(3), 0.5)
    until = everyone.at_ms < SINCE + DAY_MS
    silent = Others(at_ms=everyone.at_ms[until], place=everyone.place[until], like=1)
    times = every(8, 0, 29)
    assert measure(times, 0, SINCE, SINCE, UNTIL, everyone).dropped
    assert not measure(times, 0, SINCE, SINCE, UNTIL, silent).dropped


def test_while_a_source_is_not_heard_it_cannot_drop() -> None:
    others = city_of(np.random.default_rng(4), 0.2)
    times = every(24, 0, 29)
    assert measure(times, 0, SINCE, SINCE, UNTIL, others).dropped
    found = measure(times, 0, SINCE, SINCE, UNTIL, others, [(29 * DAY_MS, UNTIL)])
    assert found.heard == pytest.approx(1 / 28)
    assert not found.dropped
    assert not measure(times, 0, SINCE, SINCE, UNTIL, others, [(SINCE, UNTIL)]).dropped


def test_a_source_is_silent_while_its_own_alarm_of_that_stands() -> None:
    told = [
        *rise("overspeed", "bus-1", MONDAY_MS, (0, 0)),
        *rise("vehicle_silent", "bus-1", MONDAY_MS + DAY_MS, (0, 0), stood_ms=2 * DAY_MS),
        *rise("vehicle_silent", "bus-2", MONDAY_MS + DAY_MS, (0, 0), stood_ms=2 * DAY_MS),
        rise("vehicle_silent", "bus-1", MONDAY_MS + 5 * DAY_MS, (0, 0))[0],
    ]
    pattern = Pattern(kind=PatternKind.REPEAT, rule="overspeed", alarm="overspeed:bus-1")
    until = MONDAY_MS + 9 * DAY_MS
    spans = [(MONDAY_MS + DAY_MS, MONDAY_MS + 3 * DAY_MS), (MONDAY_MS + 5 * DAY_MS, until)]
    assert silent_spans(pattern, ("vehicle", "bus-1"), read(told), until) == spans
    assert silent_spans(pattern, None, read(told), until) == []
    # Of silence itself its own alarms are the matter.
    silence = Pattern(kind=PatternKind.REPEAT, rule="vehicle_silent", alarm="vehicle_silent:bus-1")
    assert silent_spans(silence, ("vehicle", "bus-1"), read(told), until) == []


def test_a_pattern_is_compared_with_the_other_places_of_its_rule_at_its_hours() -> None:
    told = []
    for n in range(6):
        told += rise("gap", f"r{n}", MONDAY_MS + 7 * HOUR_MS, (n, 0))
        told += rise("gap", f"s{n}", MONDAY_MS + 9 * HOUR_MS, (n, 0))
    found = others_of(spot((code(0, 0), code(1, 0)), (7,)), read(told))
    assert found is not None
    assert (len(found.at_ms), len(set(found.place)), found.like) == (4, 4, 2)
    one = others_of(spot((), kind=PatternKind.REPEAT, alarm="gap:r1"), read(told))
    assert one is not None
    assert (len(one.at_ms), one.like) == (11, 1)
    assert others_of(spot(("d",), kind=PatternKind.REOPENED), read(told)) is None


def test_alarms_of_one_place_within_an_hour_are_one_incident_of_its_measure() -> None:
    told = [t for n in range(12) for t in rise("gap", f"r{n}", MONDAY_MS + n * 200_000, (0, 0))]
    told += rise("gap", "r", MONDAY_MS + 3 * HOUR_MS, (0, 0))
    assert list(times_of(spot((code(0, 0),)), read(told), ())) == [MONDAY_MS, MONDAY_MS + 3 * HOUR_MS]
