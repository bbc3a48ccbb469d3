"""Off route as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import changes, play, position, street

from analysis.detectors.finding import Finding
from analysis.detectors.off_route import DETECTOR
from city.rules.transport import OffRoute

RULE = OffRoute(distance_max_m=200, distance_clear_m=100, on_delay_s=60, forget_after_s=600)
ROUTES = street()


def run(*moments: Any) -> list[Finding]:
    return play(DETECTOR, RULE, moments, routes=ROUTES)


def at(at_s: float, north_m: float, **more: Any) -> Any:
    return position(at_s, north_m=north_m, east_m=2500.0, **more)


def test_rises_after_the_delay_and_clears_near_the_line() -> None:
    found = run(at(0, 20), at(10, 250), at(40, 300), at(70, 310), at(80, 150), at(90, 99))
    assert changes(found) == [("raise", 70), ("clear", 90)]
    assert found[0].values == {"distance_m": 310, "route": "7", "lasted_s": 60}


@pytest.mark.parametrize(
    "moments",
    [
        [at(0, 900), at(60, 900), at(600, 900)],  # it was never on the line: it comes from the depot
        [at(0, 0), at(10, 250), at(40, 190), at(70, 250), at(120, 250)],  # back for a moment
        [at(0, 0), at(10, 900), at(40, 900, ignition=False), at(90, 900)],  # its work is over
        [at(0, 0), at(10, 900), at(40, 900, route=None), at(90, 900, route=None)],  # a deadrun
        [at(0, 0, route="99"), at(10, 900, route="99"), at(90, 900, route="99")],  # a route without a line
        [at(0, 0), at(10, 900, route="99"), at(90, 900, route="99")],
        [at(0, 0), at(100, 900), at(50, 900), at(90, 900), at(150, 0)],  # late ones do not turn the clock back
    ],
)
def test_is_quiet(moments: list[Any]) -> None:
    assert run(*moments) == []


@pytest.mark.parametrize("ends", [{"route": None}, {"route": "8"}, {"ignition": False}])
def test_the_alarm_ends_with_the_work_on_the_route(ends: dict[str, Any]) -> None:
    assert changes(run(at(0, 0), at(10, 900), at(70, 900), at(80, 900, **ends))) == [("raise", 70), ("clear", 80)]


def test_the_alarm_ends_when_the_vehicle_is_not_heard() -> None:
    assert changes(run(at(0, 0), at(10, 900), at(70, 900), 669, 670)) == [("raise", 70), ("clear", 670)]
