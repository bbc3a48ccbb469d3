"""Overspeed as timelines: positions in, an alarm after the delay."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import changes, play, position

from analysis.detectors.finding import Change
from analysis.detectors.overspeed import DETECTOR
from city.rules.transport import Overspeed

RULE = Overspeed(speed_max_mps=20, deadband_mps=2, on_delay_s=15, forget_after_s=300)


def drives(*moments: tuple[float, float | None]) -> list[Any]:
    """Speeds at seconds."""
    return [position(at_s, speed_mps=speed) for at_s, speed in moments]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (drives((10, 21), (20, 21), (24, 21)), []),
        (drives((10, 21), (20, 25), (25, 21)), [("raise", 25)]),
        (drives((10, 21), (20, 20), (25, 21), (39, 21)), []),  # it was slow enough in between
        (drives((10, 21), (25, 21), (30, 19), (40, 18)), [("raise", 25), ("clear", 40)]),  # the deadband
        (drives((10, 21), (25, 21), (30, 19), (35, 21)), [("raise", 25)]),
        (drives((10, 21), (20, None), (25, 21)), [("raise", 25)]),  # no speed is no news
        (drives((10, 21), (25, 21), (15, 10)), [("raise", 25)]),  # read late
        ([*drives((10, 21)), 400], []),  # once fast and then silent is not fast for long
        ([*drives((10, 21), (25, 21)), 324, 325], [("raise", 25), ("clear", 325)]),
        (drives((10, 21), (600, 21), (610, 21)), []),  # nobody knows what was in between
        (drives((10, 21), (25, 21), (600, 21), (615, 21)), [("raise", 25), ("clear", 25), ("raise", 615)]),
    ],
)
def test_faster_than_allowed_for_the_delay(moments: list[Any], expected: list[tuple[str, float]]) -> None:
    assert changes(play(DETECTOR, RULE, moments)) == expected


def test_the_explanation_names_speed_limit_and_time() -> None:
    found = play(DETECTOR, RULE, drives((10, 22), (30, 25)))
    assert found[0].values == {"speed_mps": 25.0, "speed_kmh": 90, "limit_kmh": 72, "lasted_s": 20}


def test_an_alarm_follows_a_much_higher_speed() -> None:
    found = play(DETECTOR, RULE, drives((10, 21), (25, 21), (40, 22), (60, 30)))
    assert [(one.change, one.values["speed_mps"]) for one in found] == [(Change.RAISE, 21.0), (Change.UPDATE, 30.0)]


def test_after_an_outage_it_is_not_forgotten_before_it_can_be_heard() -> None:
    found = play(DETECTOR, RULE, [*drives((10, 21), (25, 21)), 1000, 1299, 1300], watching_s=1000)
    assert changes(found) == [("raise", 25), ("clear", 325)]


def test_a_journey_that_the_vehicle_is_only_on_its_way_to_says_nothing() -> None:
    assert play(DETECTOR, RULE, [position(at, speed_mps=30.0, kind="upcoming/vp") for at in (10, 30)]) == []


def test_a_deadband_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="deadband_mps must be below speed_max_mps"):
        Overspeed(speed_max_mps=10, deadband_mps=10)
