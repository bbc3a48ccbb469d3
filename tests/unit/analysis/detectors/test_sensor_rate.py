"""Rates of change as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import Timeline, changes, play
from timelines import reading as read

from analysis.detectors.sensor_rate import DETECTOR
from city.rules.sensors import RateLimit, SensorRate

RULE = SensorRate(
    limits=(RateLimit(network="water", quantity="pressure", unit="bar", rise_max=2, fall_max=1, within_s=300),)
)


def series(values: list[float], every_s: int = 30, start_s: int = 1000, **more: Any) -> list[Any]:
    return [read(start_s + at * every_s, value, **more) for at, value in enumerate(values)]


def test_a_fall_within_the_time_is_an_alarm_until_the_value_rests() -> None:
    found = play(DETECTOR, RULE, series([4.0] * 5 + [2.9] * 20))
    # The median sees the second low reading; after 300 s the high values have left the window.
    assert [one.change for one in found] == ["raise", "clear"]
    assert changes(found)[0] == ("raise", 1000 + 6 * 30)
    assert found[0].values == {
        "quantity": "pressure", "network": "water", "change": -1.1, "value": 2.9, "unit": "bar", "within_s": 300.0,
    }  # fmt: skip
    assert 300 <= changes(found)[1][1] - changes(found)[0][1] <= 420


def test_a_rise_has_its_own_limit() -> None:
    assert play(DETECTOR, RULE, series([2.0] * 5 + [3.5] * 20)) == []
    (found, _) = play(DETECTOR, RULE, series([2.0] * 5 + [4.1] * 20))
    assert found.values["change"] == 2.1


@pytest.mark.parametrize("spike", [0.0, 40.0])
def test_one_reading_that_drops_out_or_jumps_is_no_change(spike: float) -> None:
    assert play(DETECTOR, RULE, series([4.0] * 5 + [spike] + [4.0] * 5 + [spike] + [4.0] * 5)) == []


def test_a_slow_change_is_none() -> None:
    assert play(DETECTOR, RULE, series([6 - 0.05 * at for at in range(100)])) == []


def test_a_change_over_a_gap_is_not_known() -> None:
    assert play(DETECTOR, RULE, [*series([4.0] * 10), *series([1.0] * 10, start_s=5000)]) == []


def test_a_sensor_that_says_nothing_any_more_has_no_rate() -> None:
    found = play(DETECTOR, RULE, [*series([4.0] * 5 + [1.0] * 3), 1509, 1510])
    assert changes(found) == [("raise", 1180), ("clear", 1510)]


def test_another_unit_and_readings_from_before_are_left_out() -> None:
    mixed = series([4.0] * 10) + series([400.0] * 10, start_s=1015, unit="kPa") + series([1.0] * 5, start_s=900)
    assert play(DETECTOR, RULE, mixed) == []


def test_only_quantities_with_a_limit_are_remembered() -> None:
    line = Timeline(DETECTOR, RULE)
    for one in series([4.0] * 10, quantity="flow"):
        line.see(one)
    assert line.states == {}


def test_a_limit_needs_a_number() -> None:
    with pytest.raises(ValueError, match="rise_max or fall_max"):
        RateLimit(quantity="pressure", unit="bar", within_s=1)
