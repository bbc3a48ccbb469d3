"""The lines of a feed: of each route and direction the way that most trips take."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import shapely

from city.gtfs.reader import Feed
from city.routes import Line, Stop

METRES_PER_DEGREE = 111_195.0  # of a great circle on the IUGG mean radius


def lines_of(feed: Feed) -> tuple[Line, ...]:
    """A line a route and direction, by route id; without a shape it goes straight from stop to stop."""
    stops = feed["stops"]
    places = {
        stop: (float(lat), float(lon), name)
        for stop, lat, lon, name in zip(
            stops["stop_id"], stops["stop_lat"], stops["stop_lon"], stops["stop_name"], strict=True
        )
        if lat and lon
    }
    ways: dict[str, list[tuple[int, str]]] = {}
    times = feed["stop_times"]
    for trip, sequence, stop in zip(times["trip_id"], times["stop_sequence"], times["stop_id"], strict=True):
        ways.setdefault(trip, []).append((int(sequence), stop))
    patterns: dict[tuple[str, int], Counter[tuple[tuple[str, ...], str]]] = {}
    trips = feed["trips"]
    names = ("trip_id", "route_id", "direction_id", "shape_id")
    for trip, route, direction, shape in zip(*(trips[name] for name in names), strict=True):
        if trip in ways:
            way = tuple(stop for _, stop in sorted(ways[trip]))
            patterns.setdefault((route, 2 if direction == "1" else 1), Counter())[way, shape] += 1
    shapes = _shapes(feed)
    found = []
    for (route, direction), counted in sorted(patterns.items()):
        # Equal numbers: the longer way, then the name, so that an import is the same each time.
        (way, shape), _ = max(counted.items(), key=lambda one: (one[1], len(one[0][0]), one[0]))
        found.append(_line(route, direction, [(stop, *places[stop]) for stop in way], shapes.get(shape, [])))
    return tuple(found)


def _shapes(feed: Feed) -> dict[str, list[tuple[float, float]]]:
    rows = feed["shapes"]
    points: dict[str, list[tuple[int, float, float]]] = {}
    names = ("shape_id", "shape_pt_sequence", "shape_pt_lat", "shape_pt_lon")
    for shape, sequence, lat, lon in zip(*(rows[name] for name in names), strict=True):
        points.setdefault(shape, []).append((int(sequence), float(lat), float(lon)))
    return {shape: [(lat, lon) for _, lat, lon in sorted(of_shape)] for shape, of_shape in points.items()}


def _line(
    route: str, direction: int, way: list[tuple[str, float, float, str]], shape: list[tuple[float, float]]
) -> Line:
    points = shape or [(lat, lon) for _, lat, lon, _ in way]
    middle = math.cos(math.radians(points[0][0]))
    drawn = shapely.LineString([(lon * middle * METRES_PER_DEGREE, lat * METRES_PER_DEGREE) for lat, lon in points])
    spots = [shapely.Point(lon * middle * METRES_PER_DEGREE, lat * METRES_PER_DEGREE) for _, lat, lon, _ in way]
    along_m = [float(drawn.project(spot)) for spot in spots]
    if any(after < before for before, after in pairwise(along_m)):
        # A way that crosses itself: the shares of the straight ways between stops.
        steps = [0.0, *(a.distance(b) for a, b in pairwise(spots))]
        whole = sum(steps) or 1.0
        along_m = [drawn.length * sum(steps[: at + 1]) / whole for at in range(len(steps))]
    stops = tuple(
        Stop(stop_id=stop, name=name, lat=lat, lon=lon, along_m=here_m)
        for (stop, lat, lon, name), here_m in zip(way, along_m, strict=True)
    )
    return Line(
        route=route,
        direction=direction,
        points=tuple(points),
        stops=stops,
        begins=stops[0].name,
        ends=stops[-1].name,
        length_m=float(drawn.length),
    )
