"""Distances to lines, stops and terminals, held against plain geometry."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
import shapely

from analysis.geometry import METRES_PER_DEGREE
from analysis.routes import SIMPLE_M, Routes
from city.routes import load_routes

TASHKENT = Path(__file__).resolve().parents[3] / "data" / "tashkent"
LAT = 41.3


@pytest.fixture(scope="module")
def routes() -> Routes:
    return Routes(load_routes(TASHKENT))


def flat(lat: float, lon: float) -> tuple[float, float]:
    return lon * METRES_PER_DEGREE * math.cos(math.radians(LAT)), lat * METRES_PER_DEGREE


def somewhere(chance: random.Random, routes: Routes, off_deg: float) -> tuple[str, int, float, float]:
    """A place near a point of some line."""
    (route, direction), line = chance.choice(sorted(routes.lines.items()))
    lat, lon = chance.choice(line.points)
    return route, direction, lat + chance.uniform(-off_deg, off_deg), lon + chance.uniform(-off_deg, off_deg)


@pytest.mark.parametrize("off_deg", [1e-4, 1e-3, 5e-2])
def test_the_distance_is_that_of_plain_geometry(routes: Routes, off_deg: float) -> None:
    """Within a metre, and within 0.2 % far away."""
    chance = random.Random(1)
    shapes = {
        route: shapely.LineString([flat(lat, lon) for lat, lon in line.points])
        for (route, direction), line in routes.lines.items()
        if direction == 1
    }
    for _ in range(2000):
        route, _, lat, lon = somewhere(chance, routes, off_deg)
        true_m = shapes[route].distance(shapely.Point(flat(lat, lon)))
        assert routes.distance_m(route, lat, lon) == pytest.approx(true_m, abs=SIMPLE_M + 0.05, rel=2e-3)


@pytest.mark.parametrize("within_m", [45.0, 80.0, 300.0])
def test_the_nearest_stop_within_reach_is_found(routes: Routes, within_m: float) -> None:
    chance = random.Random(2)
    found = 0
    for _ in range(2000):
        route, direction, lat, lon = somewhere(chance, routes, 5e-4)
        stops = routes.lines[route, direction].stops
        near = min(stops, key=lambda stop: math.dist(flat(stop.lat, stop.lon), flat(lat, lon)))
        near_m = math.dist(flat(near.lat, near.lon), flat(lat, lon))
        stop = routes.stop_at(route, direction, lat, lon, within_m)
        if abs(near_m - within_m) > 1:
            assert (stop is not None) == (near_m <= within_m)
        if stop is not None:
            found += 1
            assert math.dist(flat(stop.lat, stop.lon), flat(lat, lon)) == pytest.approx(near_m, abs=0.5)
    assert found > 50


@pytest.mark.parametrize("within_m", [40.0, 100.0, 200.0, 1000.0])
@pytest.mark.parametrize("off_deg", [1e-3, 3e-3, 5e-2])
def test_within_says_what_the_distance_says(routes: Routes, within_m: float, off_deg: float) -> None:
    chance = random.Random(3)
    said = set()
    for _ in range(2_000):
        route, _, lat, lon = somewhere(chance, routes, off_deg)
        found_m = routes.distance_m(route, lat, lon)
        assert found_m is not None
        said.add(found_m <= within_m)
        assert routes.within(route, lat, lon, within_m) == (found_m <= within_m)
    assert True in said


def test_stops_have_their_place_in_the_order_of_driving(routes: Routes) -> None:
    for (route, direction), line in routes.lines.items():
        order = routes.order(route, direction)
        for stop in line.stops:
            assert line.stops[order[stop.stop_id]].stop_id == stop.stop_id
        if line.stops:
            assert routes.is_end(route, direction, line.stops[0].stop_id)
            assert routes.is_end(route, direction, line.stops[-1].stop_id)
    middle = routes.lines["1", 1].stops[5]
    assert not routes.is_end("1", 1, middle.stop_id)
    assert routes.order("999", 1) == {}


def test_terminals_are_the_ends_and_the_first_and_last_stop(routes: Routes) -> None:
    line = routes.lines["1", 1]
    first, last = line.stops[0], line.stops[-1]
    for lat, lon in (line.points[0], line.points[-1], (first.lat, first.lon), (last.lat, last.lon)):
        assert routes.terminal("1", 1, lat, lon, 50.0) is not None
    middle = line.stops[len(line.stops) // 2]
    assert routes.terminal("1", 1, middle.lat, middle.lon, 200.0) is None
    assert routes.terminal("1", None, *line.points[0], 50.0) is not None


def test_without_a_direction_the_stops_of_both_count(routes: Routes) -> None:
    stop = routes.stops("11", 2)[3]
    assert routes.stop_at("11", None, stop.lat, stop.lon, 10.0) is not None
    assert routes.stop_at("11", 7, stop.lat, stop.lon, 10.0) is not None


def test_an_unknown_route_is_nowhere(routes: Routes) -> None:
    for known in (routes, Routes()):
        assert "999" not in known
        assert known.distance_m("999", LAT, 69.2) is None
        assert known.stop_at("999", 1, LAT, 69.2, 50.0) is None
        assert known.terminal("999", 1, LAT, 69.2, 50.0) is None
        assert known.stops("999", 1) == ()
        assert not known.within("999", LAT, 69.2, 1e6)
    assert "1" in routes
