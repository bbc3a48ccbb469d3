"""Idling as timelines."""

from __future__ import annotations

from typing import Any

from timelines import Timeline, changes, fuel, play, position, street

from analysis.detectors.finding import Finding
from analysis.detectors.idling import DETECTOR
from city.rules.transport import Idling

RULE = Idling(idle_max_s=900, terminal_within_m=200, forget_after_s=1800)
ROUTES = street()


def run(*moments: Any, rule: Idling = RULE) -> list[Finding]:
    return play(DETECTOR, rule, moments, routes=ROUTES)


def stands(at_s: float, east_m: float = 2500.0, **more: Any) -> Any:
    return position(at_s, east_m=east_m, **({"speed_mps": 0.0, "ignition": True} | more))


def test_rises_after_the_time_and_clears_when_it_drives_or_is_switched_off() -> None:
    found = run(stands(0), stands(450), stands(899), stands(900), stands(960, 2600.0, speed_mps=8.0))
    assert changes(found) == [("raise", 900), ("clear", 960)]
    assert found[0].values == {"idled_min": 15}
    assert changes(run(stands(0), stands(900), stands(960, ignition=False))) == [("raise", 900), ("clear", 960)]


def test_is_quiet_with_the_ignition_off_or_unknown() -> None:
    assert run(stands(0, ignition=False), stands(1000, ignition=False)) == []
    assert run(stands(0, ignition=None), stands(1000, ignition=None)) == []
    assert run(stands(0), stands(500, ignition=False), stands(600), stands(1000)) == []


def test_the_ignition_may_be_told_with_the_fuel() -> None:
    readings = [fuel(at_s, 100.0, ignition=True) for at_s in (0, 300, 600, 900)]
    timeline = Timeline(DETECTOR, RULE, routes=ROUTES)
    for reading in readings:
        timeline.city.picture.apply(reading)
        timeline.see(stands(reading.measured_ms / 1000, ignition=None))
    assert changes(timeline.found) == [("raise", 900)]


def test_a_terminal_counts_only_where_the_rule_says_so() -> None:
    at_terminal = [stands(at_s, 100.0) for at_s in (0, 450, 900)]
    assert run(*at_terminal) == []
    assert changes(run(*at_terminal, rule=Idling(idle_max_s=900, terminals=True))) == [("raise", 900)]


def test_a_late_position_changes_nothing_and_a_silent_vehicle_is_forgotten() -> None:
    risen = [stands(0), stands(450), stands(900)]
    assert changes(run(*risen, stands(300, 5000.0))) == [("raise", 900)]
    assert changes(run(*risen, 2700)) == [("raise", 900), ("clear", 2700)]
