"""Long stops between stops as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import changes, play, position, street

from analysis.detectors.finding import Finding
from analysis.detectors.long_stop import DETECTOR
from city.rules.transport import LongStop

RULE = LongStop(stand_max_s=420, stop_within_m=60, terminal_within_m=200, forget_after_s=1800)
ROUTES = street()


def run(*moments: Any) -> list[Finding]:
    return play(DETECTOR, RULE, moments, routes=ROUTES)


def stands(at_s: float, east_m: float = 2500.0, **more: Any) -> Any:
    return position(at_s, east_m=east_m, **({"speed_mps": 0.0} | more))


def test_rises_between_stops_and_clears_when_it_drives_on() -> None:
    found = run(stands(0), stands(200), stands(419), stands(420), stands(500), stands(520, 2600.0, speed_mps=8.0))
    assert changes(found) == [("raise", 420), ("clear", 520)]
    assert found[0].values == {"stood_min": 7, "route": "7"}


@pytest.mark.parametrize(
    "where",
    [
        {"east_m": 2050.0},  # at a stop
        {"east_m": 180.0},  # at a terminal
        {"east_m": 2500.0, "north_m": 150.0},  # beside the line: a depot
        {"east_m": 2500.0, "route": None},
        {"east_m": 2500.0, "route": "99"},
    ],
)
def test_standing_where_a_bus_may_stand_is_none(where: dict[str, Any]) -> None:
    assert run(*(position(at_s, speed_mps=0.0, **where) for at_s in range(0, 1000, 60))) == []


def test_a_jittering_fix_at_rest_still_stands_and_a_creeping_queue_moves() -> None:
    jitter = [stands(60 * n, 2500.0 + (-1) ** n * 15, speed_mps=0.9 * (n % 2)) for n in range(9)]
    assert changes(run(*jitter)) == [("raise", 420)]
    assert run(*(stands(60 * n, 2200.0 + 40 * n) for n in range(12))) == []


def test_a_vehicle_without_a_speed_stands_by_its_place() -> None:
    found = run(*(stands(60 * n, speed_mps=None) for n in range(9)), stands(600, 2600.0, speed_mps=None))
    assert changes(found) == [("raise", 420), ("clear", 600)]


def test_an_alarm_ends_with_the_route_and_when_nothing_is_heard() -> None:
    risen = [stands(0), stands(430)]
    assert changes(run(*risen, stands(500, route=None))) == [("raise", 430), ("clear", 500)]
    assert changes(run(*risen, 2229, 2230)) == [("raise", 430), ("clear", 2230)]
