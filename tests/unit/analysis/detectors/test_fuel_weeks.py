"""Fuel theft on whole weeks of a gauge: what is planted is found, and nothing else is."""

from __future__ import annotations

import random
from typing import Any

import pytest
from levels import HOUR_S, SLOSHES, Series, week
from timelines import Timeline, fuel, position

from analysis.detectors.finding import Change, Finding
from analysis.detectors.fuel_drop import DETECTOR
from city.rules.transport import FuelDrop


def thefts(moments: list[Any]) -> list[Finding]:
    timeline = Timeline(DETECTOR, FuelDrop())
    for moment in moments:
        timeline.see(moment)
    return [one for one in timeline.found if one.change is Change.RAISE]


def readings(series: Series) -> list[Any]:
    return [fuel(at_s, level_l) for at_s, level_l in series.readings]


@pytest.mark.parametrize("slosh", SLOSHES)
@pytest.mark.parametrize("every_s", [60, 300])
@pytest.mark.parametrize("seed", [1, 2])
def test_nine_litres_of_slosh_a_day_of_dropout_and_four_refuels_are_no_theft(
    slosh: str, every_s: int, seed: int
) -> None:
    """Nobody tells whether the bus moves."""
    series = week(seed, slosh=slosh, every_s=every_s, days=9)
    assert len(series.refuels) == 4
    assert thefts(readings(series)) == []


@pytest.mark.parametrize("lost_l", [8.0, 9.0, 12.0, 20.0])
def test_thefts_in_the_night_are_found_without_a_word_about_motion(lost_l: float) -> None:
    series = week(3, slosh_l=0.5, thefts_l=(lost_l,) * 6, dropout_s=0, refuels=9)
    found = [one.at_ms / 1000 for one in thefts(readings(series))]
    assert len(series.thefts) == 6
    assert len(found) == 6
    assert all(0 <= at - true < 900 for at, (true, _) in zip(found, series.thefts, strict=True))


def day(seed: int, lost_l: float | None) -> tuple[list[Any], float]:
    """A bus that drives and rests, sloshing by 9 litres on the road, and perhaps loses fuel at a rest."""
    chance = random.Random(seed)
    level_l, at_s, moments, stolen_s = 180.0, 1000, [], 0.0
    robbed = chance.randrange(2, 8)
    for rest in range(10):
        for _ in range(chance.randint(20, 60)):
            at_s += 10
            level_l -= 0.03
            moments.append(position(at_s, speed_mps=9.0))
            moments.append(fuel(at_s, round(level_l + chance.uniform(-9, 9), 1)))
        stays = chance.randint(20, 60)
        begins = chance.randint(6, 9)
        for step in range(stays):
            at_s += 10
            if lost_l is not None and rest == robbed and begins <= step < begins + 4:
                level_l -= lost_l / 4
                stolen_s = stolen_s or at_s
            moments.append(position(at_s, speed_mps=0.0))
            moments.append(fuel(at_s, round(level_l + chance.uniform(-0.3, 0.3), 1)))
        if rest == 8:
            level_l += 90
    return moments, stolen_s


def test_of_a_hundred_thefts_at_rest_95_are_found_at_once() -> None:
    """From 8 litres on, between stretches of ±9 litres on the road."""
    found = 0
    for seed in range(100):
        moments, stolen_s = day(seed, 8.0 + seed % 30)
        risen = thefts(moments)
        found += len(risen) == 1 and 0 <= risen[0].at_ms / 1000 - stolen_s <= 600
    assert found >= 95


def test_a_hundred_clean_days_have_no_theft() -> None:
    assert [seed for seed in range(100) if thefts(day(seed, None)[0])] == []


def test_a_refuel_that_settles_leaves_no_theft() -> None:
    """Foam and a float that overshoots: 15 litres above what was filled in, for a minute."""
    levels = [40.0] * 6 + [90.0, 150.0, 195.0, 195.0, 195.0, 194.0, 190.0, 185.0] + [180.0] * 30
    moments = [
        one for at, level in enumerate(levels) for one in (position(20 * at, speed_mps=0.0), fuel(20 * at, level))
    ]
    assert thefts(moments) == []


def test_a_theft_while_the_device_sleeps_counts_only_where_the_bus_stayed() -> None:
    before = [one for at in range(0, 200, 20) for one in (position(at, speed_mps=0.0), fuel(at, 150.0))]

    def after(east_m: float) -> list[Any]:
        wakes = 8 * HOUR_S
        return [
            one
            for at in range(wakes, wakes + 200, 20)
            for one in (position(at, speed_mps=0.0, east_m=east_m), fuel(at, 120.0))
        ]

    assert len(thefts([*before, *after(0.0)])) == 1
    assert thefts([*before, *after(400.0)]) == []  # it drove there
    unheard = [one for one in [*before, *after(0.0)] if type(one).__name__ == "FuelReading"]
    assert thefts(unheard) == []
