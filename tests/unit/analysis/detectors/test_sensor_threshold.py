"""Limits of a sensor as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from timelines import Timeline, changes, play
from timelines import reading as read

from analysis.detectors.sensor_threshold import DETECTOR
from city.alarms import AlarmPriority
from city.rules.sensors import SensorLimit, SensorThreshold

LIMIT: dict[str, Any] = {
    "network": "water", "quantity": "pressure", "unit": "bar",
    "high_high": 8, "high": 6, "low": 2, "low_low": 1, "deadband": 0.5, "on_delay_s": 60, "off_delay_s": 30,
}  # fmt: skip
RULE = SensorThreshold(limits=(SensorLimit(**LIMIT),))
AT_ONCE = SensorThreshold(limits=(SensorLimit(**{**LIMIT, "on_delay_s": 0, "off_delay_s": 0}),))


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([read(10, 4), read(20, 6), 79, 80], [("raise", 80)]),
        ([read(10, 6.1), read(60, 5.9), 100], []),  # it did not last
        ([read(10, 2), 70], [("raise", 70)]),
        # The deadband: 5.6 is not back, 5.5 is, for the off-delay.
        ([read(10, 7), 70, read(80, 5.6), 200, read(210, 5.5), 239, 240], [("raise", 70), ("clear", 240)]),
        ([read(10, 7), 70, read(80, 5), read(100, 6.2), 200], [("raise", 70)]),  # back too shortly
        ([read(10, 7), read(500, 4), read(600, 4)], [("raise", 70), ("clear", 530)]),  # nobody looked at the clock
        ([read(10, 7), 70, read(5, 4), 100], [("raise", 70)]),  # from before
        ([read(10, 7, network="gas"), 70, read(80, 7, quantity="flow"), 200], []),  # other limits' business
    ],
)
def test_a_limit_with_its_delays_and_deadband(moments: list[object], expected: list[tuple[str, float]]) -> None:
    assert changes(play(DETECTOR, RULE, moments)) == expected


def test_beyond_the_extreme_limit_it_rises_again_with_another_priority() -> None:
    found = play(DETECTOR, AT_ONCE, [read(10, 7), read(20, 9), read(30, 7), read(40, 4)])
    assert [(one.change, one.at_ms // 1000, one.values["level"], one.priority) for one in found] == [
        ("raise", 10, "high", AlarmPriority.MEDIUM),
        ("clear", 20, "high", AlarmPriority.MEDIUM),
        ("raise", 20, "high_high", AlarmPriority.CRITICAL),
        ("update", 30, "high", AlarmPriority.MEDIUM),
        ("clear", 40, "high", AlarmPriority.MEDIUM),
    ]


def test_from_high_to_low_without_a_value_between_is_another_alarm() -> None:
    found = play(DETECTOR, AT_ONCE, [read(10, 9), read(20, 0.5), read(30, 4)])
    assert [(one.change.value, one.at_ms // 1000, one.values["level"]) for one in found] == [
        ("raise", 10, "high_high"), ("clear", 20, "high_high"), ("raise", 20, "low_low"), ("clear", 30, "low_low")
    ]  # fmt: skip


def test_the_alarm_says_value_limit_and_place() -> None:
    (found,) = play(DETECTOR, RULE, [read(10, 7.123456789, lat=41.3, lon=69.2), 70])
    assert found.values == {
        "quantity": "pressure", "network": "water", "level": "high", "value": 7.12346, "unit": "bar",
        "limit": 6.0, "limit_unit": "bar",
    }  # fmt: skip
    assert (found.source_kind, found.source_id, found.key) == ("sensor", "s1", "s1|pressure")
    assert (found.lat, found.lon, found.district, found.mahalla) == (41.3, 69.2, "1726262", "1726262001")


def test_another_unit_is_said_once_and_never_compared() -> None:
    """430 kPa are 4.3 bar: no limit is passed, only the unit is wrong."""
    mixed = [read(10 + 20 * at, 430 if at % 2 else 4.3, unit="kPa" if at % 2 else "bar") for at in range(100)]
    (found,) = play(DETECTOR, AT_ONCE, [*mixed, 2100])
    assert (found.change, found.values["level"], found.values["unit"]) == ("raise", "unit", "kPa")
    assert found.priority is AlarmPriority.LOW


def test_a_unit_that_is_right_for_an_hour_is_right_again() -> None:
    found = play(DETECTOR, RULE, [read(10, 430, unit="kPa"), read(20, 4), 3619, 3620])
    assert changes(found) == [("raise", 10), ("clear", 3620)]


def test_readings_of_a_wrong_unit_leave_a_standing_alarm_alone() -> None:
    found = play(DETECTOR, AT_ONCE, [read(10, 7), read(20, 430, unit="kPa"), read(30, 7), 100])
    assert [(one.change, one.values["level"]) for one in found] == [("raise", "high")]


def test_a_limit_that_is_set_no_more_ends_its_alarm() -> None:
    line = Timeline(DETECTOR, AT_ONCE)
    line.see(read(10, 7))
    line.rule = SensorThreshold()
    line.see(read(20, 7))
    assert changes(line.found) == [("raise", 10), ("clear", 20)]
    assert line.states == {}


def test_ordinary_readings_need_no_memory() -> None:
    line = Timeline(DETECTOR, RULE)
    for at in range(100):
        line.see(read(at, 4 + at / 100))
    assert line.states == {}


def test_a_limit_of_named_sensors_goes_before_that_of_all() -> None:
    rule = SensorThreshold(
        limits=(
            SensorLimit(quantity="pressure", unit="bar", high=20, sensors=("s1",), on_delay_s=0),
            SensorLimit(quantity="pressure", unit="bar", high=6, on_delay_s=0),
        )
    )
    assert [one.source_id for one in play(DETECTOR, rule, [read(10, 9), read(10, 9, sensor="s2")])] == ["s2"]


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"high": None, "high_high": None, "low": None, "low_low": None}, "at least one"),
        ({"high": 9}, "must rise"),
        ({"low": 6}, "must rise"),
        ({"deadband": 2}, "leave room"),
    ],
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        SensorLimit(**{**LIMIT, **wrong})


@given(
    st.lists(
        st.tuples(st.integers(0, 1000), st.floats(0, 10), st.sampled_from(["bar", "bar", "bar", "kPa"]), st.booleans()),
        max_size=40,
    )
)
def test_any_order_of_readings_alternates_and_survives_restarts(
    moments: list[tuple[int, float, str, bool]],
) -> None:
    """Late, doubled and wild readings: rises and ends alternate (checked by the timeline), whatever comes."""
    seen = [at + 1 if is_tick else read(at + 1, value, unit=unit) for at, value, unit, is_tick in moments]
    lines = [Timeline(DETECTOR, RULE, restarts=restarts) for restarts in (False, True)]
    for line in lines:
        for moment in seen:
            if isinstance(moment, int):
                line.tick(moment)
            else:
                line.see(moment)
    assert lines[0].found == lines[1].found
