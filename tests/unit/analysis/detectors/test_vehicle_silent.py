"""Vehicles that fall silent at work, as timelines."""

from __future__ import annotations

from typing import Any

from timelines import changes, play, position

from analysis.detectors.finding import Finding
from analysis.detectors.vehicle_silent import DETECTOR
from city.rules.transport import VehicleSilent

RULE = VehicleSilent(silent_after_s=300, active_within_s=300, forget_after_s=3600)


def others(*at_s: float) -> list[Any]:
    """Another vehicle, parked, that goes on speaking."""
    return [position(at, vehicle_id="other", speed_mps=0.0, route=None) for at in at_s]


def run(*moments: Any, watching_s: int = 0) -> list[Finding]:
    return play(DETECTOR, RULE, moments, watching_s=watching_s)


def test_rises_while_others_speak_and_clears_when_it_speaks() -> None:
    found = run(position(1000), *others(1290), 1299, *others(1299), 1300, position(1400))
    assert changes(found) == [("raise", 1300), ("clear", 1400)]
    assert [one.values["silent_min"] for one in found] == [5.0, 6.7]


def test_a_long_talk_counts_from_its_last_word_not_from_what_was_written_down() -> None:
    talk = [position(at_s) for at_s in range(1000, 1100, 10)]
    assert changes(run(*talk, *others(1380), 1389, *others(1390), 1390)) == [("raise", 1390)]


def test_a_parked_vehicle_may_be_silent() -> None:
    assert run(position(1000), position(1010, ignition=False), *others(1400), 1400) == []
    assert run(position(1000), position(1010, route=None), *others(1400), 1400) == []
    assert run(position(1000, speed_mps=0.0), *others(1400), 1400) == []
    stood = [position(at_s, speed_mps=0.0) for at_s in range(1010, 1500, 30)]
    assert run(position(1000), *stood, *others(1900), 1900) == []


def test_a_vehicle_that_stood_in_a_jam_is_at_work() -> None:
    stood = [position(at_s, speed_mps=0.0) for at_s in range(1010, 1200, 30)]
    assert changes(run(position(1000), *stood, *others(1490), 1490)) == [("raise", 1490)]


def test_the_silence_of_the_whole_feed_is_not_its_vehicles() -> None:
    feed_back = [position(1500, vehicle_id="b"), 1501, position(1510), 1600]
    assert run(position(1000), position(1000, vehicle_id="b"), 1300, 1400, *feed_back) == []


def test_one_that_does_not_come_back_with_its_feed_is_silent() -> None:
    spoken = [position(at_s, vehicle_id="b") for at_s in range(1500, 1560, 10)]
    later = [position(at_s, vehicle_id="b") for at_s in range(1560, 1590, 10)]
    moments = [position(1000), position(1000, vehicle_id="b"), 1300, 1490, *spoken, 1550, *later, 1579]
    assert run(*moments) == []
    assert [(one.key, one.change.value) for one in run(*moments, 1580)] == [("bus", "raise")]


def test_nothing_is_said_of_a_time_in_which_nobody_watched() -> None:
    assert run(position(1000), *others(5010), 5010, *others(5290), 5290, watching_s=5000) == []
    assert changes(run(position(1000), *others(5290), 5300, watching_s=5000)) == [("raise", 5300)]


def test_is_forgotten_after_its_time() -> None:
    assert changes(run(position(1000), *others(1300), 1300, 4899, 4900)) == [("raise", 1300), ("clear", 4900)]
