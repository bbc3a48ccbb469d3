"""Geofences as timelines: places in, an alarm while a vehicle is where it must not be."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import changes, play, position

from analysis.detectors.finding import Finding
from analysis.detectors.geofence import DETECTOR
from city.rules.transport import Fence, Geofence


def box(east_m: float, size_m: float = 1000.0) -> tuple[tuple[float, float], ...]:
    corners = [(0.0, 0.0), (size_m, 0.0), (size_m, size_m), (0.0, size_m)]
    places = [position(0, east_m=east_m + x, north_m=y) for x, y in corners]
    return tuple((place.lon, place.lat) for place in places)


def rule(**fences: Fence) -> Geofence:
    return Geofence(fences=fences, on_delay_s=10, forget_after_s=3600)


ZONE = Fence(when="enters", polygon=box(0))
HOME = Fence(when="leaves", polygon=box(0))


def run(settings: Geofence, *moments: Any) -> list[Finding]:
    return play(DETECTOR, settings, moments)


def at(at_s: float, east_m: float, **more: Any) -> Any:
    return position(at_s, east_m=east_m, north_m=500.0, **more)


def test_entering_rises_after_the_delay_and_clears_outside() -> None:
    found = run(rule(zone=ZONE), at(0, -500), at(100, 500), at(110, 500), at(200, -500), at(205, -500), at(210, -500))
    assert changes(found) == [("raise", 110), ("clear", 210)]
    assert found[0].values == {"fence": "zone", "fences": 1}


def test_a_fix_that_jitters_over_the_border_says_nothing() -> None:
    assert run(rule(zone=ZONE), *(at(7 * n, -5 if n % 2 else 5) for n in range(30))) == []


def test_leaving_counts_only_for_who_was_inside() -> None:
    assert run(rule(home=HOME), at(0, -500), at(100, -500)) == []
    found = run(rule(home=HOME), at(0, 500), at(10, 500), at(100, -500), at(110, -500), at(200, 500), at(210, 500))
    assert changes(found) == [("raise", 110), ("clear", 210)]


def test_several_fences_are_one_alarm_that_names_them() -> None:
    settings = rule(zone=ZONE, other=Fence(when="enters", polygon=box(500)))
    found = run(settings, at(0, 200), at(10, 200), at(20, 800), at(30, 800), at(40, 1200), at(50, 1200), at(60, -100),
                at(70, -100))  # fmt: skip
    assert [(one.change.value, one.values["fence"]) for one in found] == [
        ("raise", "zone"),
        ("update", "other, zone"),
        ("update", "other"),
        ("clear", "other"),
    ]


def test_a_fence_may_be_of_some_vehicles_or_routes_and_of_areas() -> None:
    inside = [at(at_s, 500, district="1726262") for at_s in (0, 20)]
    assert run(rule(zone=Fence(polygon=box(0), vehicles=("x",))), *inside) == []
    assert run(rule(zone=Fence(polygon=box(0), routes=("8",))), *inside) == []
    assert changes(run(rule(zone=Fence(areas=("1726262",), vehicles=("bus",), routes=("7",))), *inside)) == [
        ("raise", 20)
    ]


def test_an_older_place_changes_nothing_and_a_silent_vehicle_is_forgotten() -> None:
    risen = [at(0, 500), at(10, 500)]
    assert changes(run(rule(zone=ZONE), *risen, at(5, -500))) == [("raise", 10)]
    assert changes(run(rule(zone=ZONE), *risen, 3609, 3610)) == [("raise", 10), ("clear", 3610)]


@pytest.mark.parametrize(
    ("fence", "why"),
    [
        ({"polygon": [[69, 41], [69.1, 41]]}, "three points"),
        ({"polygon": [[41, 169], [41.1, 169], [41.1, 168]]}, "degrees"),
        ({"polygon": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "Self-intersection"),
        ({}, "either a polygon or areas"),
        ({"polygon": [[0, 0], [1, 1], [1, 0]], "areas": ["1"]}, "either a polygon or areas"),
        ({"areas": ["1"], "when": "passes"}, "enters"),
    ],
)
def test_a_fence_that_encloses_nothing_is_refused(fence: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Geofence.model_validate({"fences": {"zone": fence}})
