"""Late and early vehicles as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import Timeline, changes, play, position

from analysis.detectors.schedule_deviation import DETECTOR
from city.events import TripUpdate
from city.rules.transport import ScheduleDeviation

RULE = ScheduleDeviation(late_max_s=600, early_max_s=120, deadband_s=60, on_delay_s=180, forget_after_s=600)


def told(*moments: tuple[float, float | None]) -> list[Any]:
    """Deviations at seconds, positive is ahead."""
    return [position(at_s, schedule_deviation_s=ahead_s) for at_s, ahead_s in moments]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (told((0, -601), (100, -700), (180, -601)), [("raise", 180)]),
        (told((0, 121), (180, 121)), [("raise", 180)]),
        (told((0, -600), (180, -600)), []),
        (told((0, -601), (90, -590), (180, -601)), []),  # in time for a moment
        (told((0, -650), (180, -650), (240, -560), (300, -540)), [("raise", 180), ("clear", 300)]),
        (told((0, 150), (180, 150), (240, 70), (300, 60)), [("raise", 180), ("clear", 300)]),
        (told((0, -650), (180, -650), (240, None)), [("raise", 180)]),
        ([*told((0, -650), (180, -650)), position(240, route=None)], [("raise", 180), ("clear", 240)]),
        ([*told((0, -650), (180, -650)), 779, 780], [("raise", 180), ("clear", 780)]),
    ],
)
def test_late_or_early_for_the_delay(moments: list[Any], expected: list[tuple[str, float]]) -> None:
    assert changes(play(DETECTOR, RULE, moments)) == expected


def test_the_explanation_names_minutes_and_the_alarm_follows_a_growing_delay() -> None:
    found = play(DETECTOR, RULE, told((0, -660), (180, -660), (300, -700), (400, -900)))
    assert [one.values for one in found] == [{"deviation_min": m, "route": "7"} for m in (-11.0, -15.0)]


def test_the_deviation_of_the_trip_stands_in() -> None:
    timeline = Timeline(DETECTOR, RULE)
    for at_s in (0, 180):
        update = TripUpdate(
            measured_ms=at_s * 1000, received_ms=0, trip="t", vehicle_id="bus", schedule_deviation_s=-700
        )
        timeline.city.picture.apply(update)
        timeline.see(position(at_s, trip="t"))
    assert changes(timeline.found) == [("raise", 180)]
