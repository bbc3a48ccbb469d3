"""Values that do not move as timelines."""

from __future__ import annotations

from typing import Any

from timelines import DAY_S, HOUR_S, Timeline, changes, play
from timelines import reading as read

from analysis.detectors.sensor_flat import DETECTOR
from city.rules.sensors import SensorFlat

RULE = SensorFlat(flat_min_s=6 * HOUR_S, times_usual=3, changes_min=10, learn_s=DAY_S)


def lively(start_s: int, end_s: int, every_s: int = 600) -> list[Any]:
    return [read(at, 4 + (at // every_s) % 7 / 10) for at in range(start_s, end_s, every_s)]


def flat(start_s: int, end_s: int, value: float = 4.35, every_s: int = 600) -> list[Any]:
    return [read(at, value) for at in range(start_s, end_s, every_s)]


def test_a_gauge_that_hangs_is_an_alarm_until_it_moves() -> None:
    start = 2 * DAY_S
    found = play(DETECTOR, RULE, [*lively(0, start), *flat(start, start + DAY_S), read(start + DAY_S, 4.4)])
    assert changes(found) == [("raise", start + 6 * HOUR_S), ("clear", start + DAY_S)]
    assert found[0].values == {
        "quantity": "pressure", "network": "water", "value": 4.35, "unit": "bar", "flat_s": 6 * HOUR_S
    }  # fmt: skip


def test_a_sensor_that_never_changes_is_not_flat() -> None:
    assert play(DETECTOR, RULE, flat(0, 20 * DAY_S, value=0, every_s=1800)) == []


def test_a_stretch_that_is_usual_is_none() -> None:
    """Nothing is drawn at night, for eight hours; by day it changes all the time."""
    nights: list[Any] = []
    for day in range(8):
        nights += lively(day * DAY_S, day * DAY_S + 16 * HOUR_S)
        nights += flat(day * DAY_S + 16 * HOUR_S, (day + 1) * DAY_S, value=0)
    assert play(DETECTOR, RULE, nights) == []
    found = play(DETECTOR, RULE, [*nights, *flat(8 * DAY_S, 10 * DAY_S, value=0)])
    assert [one.change for one in found] == ["raise"]
    assert 20 * HOUR_S < changes(found)[0][1] - (7 * DAY_S + 16 * HOUR_S) < 30 * HOUR_S


def test_on_its_first_day_nothing_is_said() -> None:
    assert play(DETECTOR, RULE, [*lively(0, 12 * HOUR_S), *flat(12 * HOUR_S, 3 * DAY_S)]) == []


def test_a_gap_and_another_unit_begin_anew() -> None:
    start = 2 * DAY_S
    gap = [*flat(start, start + 5 * HOUR_S), *flat(start + 10 * HOUR_S, start + 15 * HOUR_S)]
    assert play(DETECTOR, RULE, [*lively(0, start), *gap]) == []
    found = play(
        DETECTOR, RULE, [*lively(0, start), *flat(start, start + DAY_S), read(start + DAY_S, 4.35, unit="kPa")]
    )
    assert [one.change for one in found] == ["raise", "clear"]


def test_noise_below_epsilon_is_no_change() -> None:
    start = 2 * DAY_S
    noise = [read(at, 4.35 + 0.001 * (at // 600 % 2)) for at in range(start, start + DAY_S, 600)]
    assert play(DETECTOR, RULE, [*lively(0, start), *noise]) == []
    quiet = RULE.model_copy(update={"epsilon": 0.01})
    assert [one.change for one in play(DETECTOR, quiet, [*lively(0, start), *noise])] == ["raise"]


def test_a_late_reading_changes_nothing() -> None:
    start = 2 * DAY_S
    line = Timeline(DETECTOR, RULE)
    for one in [*lively(0, start), *flat(start, start + 7 * HOUR_S)]:
        line.see(one)
    line.see(read(start - 3000, 9))
    assert [one.change for one in line.found] == ["raise"]


def test_a_lively_sensor_is_written_down_seldom() -> None:
    """A value a second: two changes of the memory in a sixtieth of flat_min_s."""
    line, states = Timeline(DETECTOR, RULE), set()
    for at in range(HOUR_S):
        line.see(read(at, at % 10))
        states.add(line.states["s1|pressure"])
    assert len(states) <= 21
