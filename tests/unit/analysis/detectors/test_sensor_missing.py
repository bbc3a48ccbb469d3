"""Sensors that stop speaking as timelines."""

from __future__ import annotations

import random
from typing import Any

import pytest
from timelines import DAY_S, HOUR_S, Timeline, changes, play
from timelines import reading as read

from analysis.detectors.sensor_missing import DETECTOR
from city.rules.sensors import SensorMissing

RULE = SensorMissing(times_usual=10, missing_min_s=600, missing_max_s=DAY_S, intervals_min=5)


def every(step_s: int, count: int, start_s: int = 0) -> list[Any]:
    return [read(start_s + at * step_s, 4) for at in range(count)]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([*every(10, 10), 689, 690, read(700, 4)], [("raise", 690), ("clear", 700)]),  # missing_min_s
        ([*every(300, 10), 2700 + 2999, 2700 + 3000], [("raise", 5700)]),  # ten of its intervals
        ([*every(300, 10), read(9000, 4)], [("raise", 5700), ("clear", 9000)]),  # nobody looked at the clock
        ([*every(8 * HOUR_S, 10), 4 * DAY_S, 5 * DAY_S], [("raise", 9 * 8 * HOUR_S + DAY_S)]),  # missing_max_s
        ([*every(10, 5), DAY_S], []),  # four intervals are too few
        ([read(10, 4), DAY_S], []),
        ([*every(10, 10), 690, read(50, 4), 700], [("raise", 690)]),  # a late word does not end it
    ],
)
def test_a_sensor_is_missing_by_its_own_habit(moments: list[object], expected: list[tuple[str, float]]) -> None:
    assert changes(play(DETECTOR, RULE, moments)) == expected


def test_the_alarm_says_both_times() -> None:
    (found,) = play(DETECTOR, RULE, [*every(300, 10), 6000])
    assert found.values == {"quantity": "pressure", "network": "water", "silent_s": 3000, "usual_s": 300}


def test_a_long_silence_of_late_is_waited_for_twice() -> None:
    """Every ten seconds, once nothing for 500: the next 500 are no alarm, a thousand are."""
    days = [*every(10, 360), *every(10, 360, start_s=3590 + 500)]
    assert play(DETECTOR, RULE, [*days, 3590 + 500 + 3590 + 950]) == []
    assert len(play(DETECTOR, RULE, [*days, 3590 + 500 + 3590 + 1001])) == 1


def test_a_failure_is_not_learned() -> None:
    found = play(DETECTOR, RULE, [*every(10, 10), 690, *every(10, 10, start_s=50_000), 50_090 + 600])
    assert changes(found) == [("raise", 690), ("clear", 50_000), ("raise", 50_690)]


def test_nobody_listening_is_no_silence() -> None:
    found = play(DETECTOR, RULE, [*every(10, 10), 5599, 5600], watching_s=5000)
    assert changes(found) == [("raise", 5600)]


def test_a_wrong_clock_is_no_silence() -> None:
    behind = [read(at, 4, received_s=at + 3000) for at in range(0, 5000, 10)]
    moments = [moment for one in behind for moment in (one, one.received_ms / 1000 + 5)]
    assert play(DETECTOR, RULE, moments) == []


def test_chance_alone_does_not_raise_it() -> None:
    """Readings by exception, at random: default settings say nothing in a month."""
    rng = random.Random(3)
    line, at_s = Timeline(DETECTOR, SensorMissing()), 0.0
    while at_s < 30 * DAY_S:
        next_s = at_s + rng.expovariate(1 / 600)
        line.tick(next_s)
        line.see(read(next_s, 4))
        at_s = next_s
    assert line.found == []
