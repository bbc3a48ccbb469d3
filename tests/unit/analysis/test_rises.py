"""Rises as columns: what is counted, and by which clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from city.alarms import AlarmPriority, AlarmState
from tests.unit.analysis.risen import CLOCK, DAY_MS, HOUR_MS, MONDAY_MS, read, rise


def test_a_rise_has_its_place_its_length_and_its_people() -> None:
    rises = read(rise("overload", "bus-1", MONDAY_MS, (0, 0), stood_ms=120_000, onboard=80))
    assert (rises.rules, rises.alarms, rises.sources) == (("overload",), ("overload:bus-1",), (("vehicle", "bus-1"),))
    assert (rises.stood_ms[0], rises.people[0], rises.mahallas[rises.mahalla[0]]) == (120_000, 80.0, "1726200000")


def test_hours_and_days_are_the_citys() -> None:
    """Monday 00:30 in Tashkent is still Sunday by UTC."""
    rises = read(rise("gap", "r", MONDAY_MS + HOUR_MS // 2, None) + rise("gap", "r", MONDAY_MS + 6 * DAY_MS, None))
    assert list(rises.hour) == [0, 6 * 24]
    assert datetime.fromtimestamp(MONDAY_MS / 1000, UTC).weekday() == 6
    assert rises.day[0] == CLOCK.local(MONDAY_MS).toordinal()
    assert rises.day[1] - rises.day[0] == 6


@pytest.mark.parametrize(
    ("after", "priority", "counted"),
    [
        (AlarmState.UNACKNOWLEDGED, AlarmPriority.LOW, 1),
        (AlarmState.SHELVED, AlarmPriority.LOW, 1),
        (AlarmState.SUPPRESSED, AlarmPriority.LOW, 0),
        (AlarmState.OUT_OF_SERVICE, AlarmPriority.LOW, 0),
        (AlarmState.UNACKNOWLEDGED, AlarmPriority.JOURNAL, 0),
    ],
)
def test_what_another_alarm_explains_is_not_counted_and_what_is_put_away_is(
    after: AlarmState, priority: AlarmPriority, counted: int
) -> None:
    assert len(read(rise("gap", "r", MONDAY_MS, None, after=after, priority=priority))) == counted


def test_an_alarm_that_stands_has_no_length_yet() -> None:
    assert read(rise("gap", "r", MONDAY_MS, None)[:1]).stood_ms[0] == -1
