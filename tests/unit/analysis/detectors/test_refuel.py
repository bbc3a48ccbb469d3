"""Refuels as timelines, and on whole weeks of a gauge: each is told once, slosh and dropouts are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from levels import SLOSHES, Series, week
from timelines import Timeline, changes, fuel, play, position

from analysis.detectors.finding import Change, Finding
from analysis.detectors.refuel import DETECTOR
from city.rules.transport import Refuel

RULE = Refuel(rise_min_l=20, settle_s=120)


def levels(*litres: float | None, begins_s: int = 1000, every_s: int = 30) -> list[Any]:
    return [fuel(begins_s + every_s * at, level) for at, level in enumerate(litres)]


def filled(found: list[Finding]) -> list[tuple[float, float, float]]:
    return [
        tuple(float(one.values[name]) for name in ("filled_l", "before_l", "level_l"))  # type: ignore[misc]
        for one in found
        if one.change is Change.RAISE
    ]


def told(series: Series) -> list[Finding]:
    timeline = Timeline(DETECTOR, Refuel())
    for at_s, level_l in series.readings:
        timeline.see(fuel(at_s, level_l))
    return timeline.found


def test_a_refuel_is_told_once_with_its_litres_when_the_level_has_settled() -> None:
    found = play(DETECTOR, RULE, levels(50, 50, 50, 80, 120, 150, 150, 150, 150, 150, 150, 150))
    assert [one.change for one in found] == [Change.RAISE, Change.CLEAR]
    assert filled(found) == [(100.0, 50.0, 150.0)]


def test_without_further_readings_the_time_tells_it() -> None:
    rising = levels(50, 50, 50, 150, 150, 150)
    assert play(DETECTOR, RULE, [*rising, 1150 + 119]) == []
    assert changes(play(DETECTOR, RULE, [*rising, 1150 + 120])) == [("raise", 1270), ("clear", 1270)]


@pytest.mark.parametrize(
    "litres",
    [
        [50.0] * 3 + [69.0] * 9,  # too little
        [50, 50, 50, 90, 50, 50, 50, 50],  # a leap of one reading
        [50, 50, 50, 0, 0, None, 0, 0, 50, 50, 50, 50, 50, 50],  # back from a dropout
        [50, 45, 52, 47, 53, 49, 55, 44, 51, 50],
        [150, 140, 130, 120, 110],
    ],
)
def test_what_is_no_refuel(litres: list[float]) -> None:
    assert play(DETECTOR, RULE, [*levels(*litres), 9000]) == []


def test_a_refuel_counts_over_a_gap_of_hours() -> None:
    readings = [*levels(50, 50, 50), *levels(150, 150, 150, 150, 150, 150, 150, 150, begins_s=30_000)]
    assert filled(play(DETECTOR, RULE, readings)) == [(100.0, 50.0, 150.0)]


def test_who_only_drove_in_between_was_not_filled() -> None:
    """A float that sticks on a long slope, or another sensor's litres."""

    def drive(litres: tuple[float, ...], speed_mps: float) -> list[Finding]:
        moments = []
        for reading in levels(*litres):
            moments += [position(reading.measured_ms / 1000, speed_mps=speed_mps), reading]
        return play(DETECTOR, RULE, moments)

    assert drive((50,) * 6 + (80,) * 9, 12.0) == []
    assert filled(drive((50,) * 6 + (80,) * 9, 0.0)) == [(30.0, 50.0, 80.0)]


def test_percent_counts_by_the_capacity_and_is_never_compared_with_litres() -> None:
    by_percent = [
        fuel(1000 + 30 * at, None, level_pct=pct, capacity_l=200) for at, pct in enumerate([20] * 3 + [60] * 9)
    ]
    assert filled(play(DETECTOR, RULE, by_percent)) == [(80.0, 40.0, 120.0)]
    mixed = [*levels(*[50] * 6), *(fuel(2000 + 30 * at, None, level_pct=60, capacity_l=200) for at in range(9))]
    assert play(DETECTOR, RULE, mixed) == []


def test_a_gauge_that_tells_now_litres_now_per_cent_tells_of_a_refuel_once() -> None:
    moments = []
    for at in range(24):
        level_l = 40.0 if at < 8 else 260.0
        at_s = 1000 + 600 * at
        litres = at % 3 != 2
        more = {} if litres else {"level_pct": level_l / 3}
        moments.append(fuel(at_s, level_l if litres else None, capacity_l=300.0, **more))
    found = play(DETECTOR, RULE, moments)
    assert filled(found) == [(220.0, 40.0, 260.0)]


@pytest.mark.parametrize("slosh", SLOSHES)
@pytest.mark.parametrize("every_s", [60, 300])
@pytest.mark.parametrize("seed", [1, 2])
def test_of_a_sloshing_gauge_with_a_day_of_dropout_each_refuel_is_found(slosh: str, every_s: int, seed: int) -> None:
    series = week(seed, slosh=slosh, every_s=every_s, days=9)
    risen = [one.at_ms / 1000 for one in told(series) if one.change is Change.RAISE]
    assert len(series.refuels) == 4
    assert len(risen) == 4
    assert all(0 < at - true < 7200 for at, true in zip(risen, series.refuels, strict=True))


@given(
    st.lists(st.floats(-9, 9), min_size=30, max_size=120),
    st.sampled_from([10, 60, 300]),
    st.lists(st.integers(0, 119), max_size=30),
)
@settings(deadline=None, max_examples=60)
def test_slosh_within_half_the_limit_is_never_a_refuel(slosh: list[float], every_s: int, dropouts: list[int]) -> None:
    litres = [0.0 if at in dropouts else 100 + one for at, one in enumerate(slosh)]
    assert play(DETECTOR, RULE, levels(*litres, every_s=every_s)) == []
