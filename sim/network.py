"""The road under the buses: lines with their stops and signals, and where a point of a line lies.

A route gives two lines: direction 1 as drawn, direction 2 the same line reversed. Everything
that a moving fleet asks is kept in flat arrays, so that one call answers for all vehicles.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import shapely
from msgspec import Struct
from shapely import LineString, Point

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

EARTH_RADIUS_M = 6_371_008.8
# The files know one stop by several OSM objects (pole, platform): closer ones are one place to stop.
_SAME_STOP_M = 30.0
_CROSSING_APART_M = 150.0
_ON_LINE_DEG = 0.0002  # about 20 m: a crossing this near lies on the line
# Between two lines in the flat distance table, so that no search slips into the neighbour.
_LINE_GAP_M = 1000.0

STOP, SIGNAL, TERMINAL = 0, 1, 2


class NoRoutesError(Exception):
    """The city has no routes to drive on. The message is one line."""


class Stop(Struct, frozen=True):
    """A place where passengers board, on one line."""

    stop_id: str
    name: str
    along_m: float
    lat: float
    lon: float


class Line(Struct, frozen=True):
    """One direction of one route."""

    route_ref: str
    direction: int  # 1 as drawn, 2 the way back
    mode: str
    operator: str
    lat: tuple[float, ...]
    lon: tuple[float, ...]
    stops: tuple[Stop, ...]  # in driving order
    length_m: float


class Crossing(Struct, frozen=True):
    """A point where two routes meet or part."""

    lat: float
    lon: float
    routes: tuple[str, ...]


class Places(NamedTuple):
    """Where vehicles are: degrees, and the road's bearing (0 north, clockwise)."""

    lat: F64
    lon: F64
    bearing_deg: F64


class _RouteProperties(Struct):
    route_ref: str
    mode: str = "bus"
    operator: str = ""
    length_km: float | None = None


class _LineGeometry(Struct):
    coordinates: list[tuple[float, float]]


class _RouteFeature(Struct):
    properties: _RouteProperties
    geometry: _LineGeometry


class _Routes(Struct):
    features: list[_RouteFeature]


class _StopProperties(Struct):
    osm_id: int
    name_ru: str | None = None


class _PointGeometry(Struct):
    coordinates: tuple[float, float]


class _StopFeature(Struct):
    properties: _StopProperties
    geometry: _PointGeometry


class _Stops(Struct):
    features: list[_StopFeature]


class Network:
    """Lines, and for each the flat list of targets (signals, stops, terminal) in driving order.

    Line `2 * r` is direction 1 of route r, `2 * r + 1` its way back: `line ^ 1` turns round.
    """

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.crossings = find_crossings(lines[::2])
        self.length_m: F64 = np.array([line.length_m for line in lines])
        self.target_stop: list[Stop | None] = []
        lat, lon, flat, bearing, base, line_last = [], [], [], [], [], []
        target_m: list[float] = []
        target_kind: list[int] = []
        first, next_base = [], 0.0
        for line in lines:
            line_lat, line_lon = np.array(line.lat), np.array(line.lon)
            base.append(next_base)
            flat.append(next_base + cumulative_m(line_lat, line_lon))
            bearings = bearings_deg(line_lat, line_lon)
            bearing.append(np.append(bearings, bearings[-1]))
            lat.append(line_lat)
            lon.append(line_lon)
            line_last.append(sum(map(len, flat)) - 1)
            next_base += line.length_m + _LINE_GAP_M
            first.append(len(target_m))
            for along_m, kind, stop in _targets(line, self.crossings):
                target_m.append(along_m)
                target_kind.append(kind)
                self.target_stop.append(stop)
        self._base_m: F64 = np.array(base)
        self._last = np.array(line_last)
        self._flat_m, self._lat, self._lon = np.concatenate(flat), np.concatenate(lat), np.concatenate(lon)
        self._bearing: F64 = np.concatenate(bearing)
        self.first_target: I64 = np.array(first)
        self.target_m: F64 = np.array(target_m)
        self.target_kind: I64 = np.array(target_kind)

    def locate(self, line: I64, at_m: F64) -> Places:
        """Position and bearing of points `at_m` metres along lines number `line`."""
        flat = self._base_m[line] + at_m
        segment = np.minimum(np.searchsorted(self._flat_m, flat, side="right") - 1, self._last[line] - 1)
        start, end = self._flat_m[segment], self._flat_m[segment + 1]
        share = np.clip((flat - start) / np.maximum(end - start, 1e-9), 0.0, 1.0)
        lat = self._lat[segment] + share * (self._lat[segment + 1] - self._lat[segment])
        lon = self._lon[segment] + share * (self._lon[segment + 1] - self._lon[segment])
        return Places(lat, lon, self._bearing[segment])

    def target_after(self, line: int, at_m: float) -> int:
        """Index of the first target of a line beyond `at_m`; its terminal at the latest."""
        target = int(self.first_target[line])
        while self.target_m[target] <= at_m and self.target_kind[target] != TERMINAL:
            target += 1
        return target


def load_network(city_dir: Path) -> Network:
    """The network of `bus_routes.geojson`, `bus_stops.geojson` and `route_stops.csv`; raises NoRoutesError."""
    routes_file = city_dir / "bus_routes.geojson"
    try:
        routes = msgspec.json.decode(routes_file.read_bytes(), type=_Routes)
        stops = msgspec.json.decode((city_dir / "bus_stops.geojson").read_bytes(), type=_Stops)
        with (city_dir / "route_stops.csv").open(encoding="utf-8", newline="") as file:
            rows = [(row["route_ref"], row["osm_id"], float(row["along_m"])) for row in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise NoRoutesError(f"{error.filename}: no such file: the simulator needs a city with routes") from None
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise NoRoutesError(f"{city_dir}: the route files cannot be read: {error}") from None
    if not routes.features:
        raise NoRoutesError(f"{routes_file}: holds no route")
    places = {str(f.properties.osm_id): f for f in stops.features}
    lines: list[Line] = []
    electric = _electrified([feature.properties for feature in routes.features])
    for feature in routes.features:
        properties = feature.properties
        lon = tuple(point[0] for point in feature.geometry.coordinates)
        lat = tuple(point[1] for point in feature.geometry.coordinates)
        length_m = float(cumulative_m(np.array(lat), np.array(lon))[-1])
        # The file's metres were measured on the ellipsoid, ours on a sphere: half a per mille apart.
        scale = length_m / (properties.length_km * 1000) if properties.length_km else 1.0
        way = tuple(
            Stop(osm_id, place.properties.name_ru or "", min(along_m * scale, length_m), *_lat_lon(place))
            for route_ref, osm_id, along_m in rows
            if route_ref == properties.route_ref and (place := places.get(osm_id)) is not None
        )
        mode = "trolleybus" if properties.route_ref in electric else properties.mode
        out = Line(properties.route_ref, 1, mode, properties.operator, lat, lon, way, length_m)
        lines += [out, reversed_line(out)]
    return Network(lines)


def reversed_line(line: Line) -> Line:
    """The way back: the same line from its end."""
    stops = tuple(msgspec.structs.replace(s, along_m=line.length_m - s.along_m) for s in reversed(line.stops))
    return msgspec.structs.replace(
        line, direction=3 - line.direction, lat=line.lat[::-1], lon=line.lon[::-1], stops=stops
    )


def cumulative_m(lat: F64, lon: F64) -> F64:
    """Metres along a polyline at each of its vertices, haversine on the mean radius."""
    phi, lam = np.radians(lat), np.radians(lon)
    half = np.sin(np.diff(phi) / 2) ** 2 + np.cos(phi[:-1]) * np.cos(phi[1:]) * np.sin(np.diff(lam) / 2) ** 2
    steps = 2 * EARTH_RADIUS_M * np.arcsin(np.sqrt(half))
    return np.concatenate([[0.0], np.cumsum(steps)])


def bearings_deg(lat: F64, lon: F64) -> F64:
    """Initial bearing of each segment of a polyline, 0–360 from north, clockwise."""
    phi, step = np.radians(lat), np.radians(np.diff(lon))
    east = np.sin(step) * np.cos(phi[1:])
    north = np.cos(phi[:-1]) * np.sin(phi[1:]) - np.sin(phi[:-1]) * np.cos(phi[1:]) * np.cos(step)
    bearings: F64 = np.degrees(np.arctan2(east, north)) % 360
    return bearings


def find_crossings(lines: list[Line]) -> tuple[Crossing, ...]:
    """Points where two routes meet, cross or part, at least 150 m from each other."""
    shapes = [LineString(zip(line.lon, line.lat, strict=True)) for line in lines]
    found: list[Point] = []
    for at, shape in enumerate(shapes):
        for other in shapes[at + 1 :]:
            common = shape.intersection(other)
            for part in getattr(common, "geoms", [common]):
                if isinstance(part, Point) and not part.is_empty:
                    found.append(part)
                elif isinstance(part, LineString) and not part.is_empty:
                    found += [Point(part.coords[0]), Point(part.coords[-1])]
    kept: list[Point] = []
    for point in sorted(found, key=lambda p: (p.x, p.y)):
        if all(_distance_m(point, other) >= _CROSSING_APART_M for other in kept):
            kept.append(point)
    return tuple(
        Crossing(
            point.y,
            point.x,
            tuple(
                line.route_ref
                for line, shape in zip(lines, shapes, strict=True)
                if shapely.distance(shape, point) < _ON_LINE_DEG
            ),
        )
        for point in kept
    )


def _electrified(routes: list[_RouteProperties]) -> frozenset[str]:
    """Routes driven by trolleybuses: those that the file calls so, else the shortest seventh.

    Tashkent's own trolleybuses left in 2010; the simulated city keeps some so that vehicles
    without a tank are seen too.
    """
    if any(route.mode == "trolleybus" for route in routes):
        return frozenset()
    by_length = sorted(routes, key=lambda route: (route.length_km or 0.0, route.route_ref))
    return frozenset(route.route_ref for route in by_length[: len(routes) // 7])


def _targets(line: Line, crossings: tuple[Crossing, ...]) -> list[tuple[float, int, Stop | None]]:
    """What makes a bus of this line stop, in driving order; the last is the terminal."""
    targets: list[tuple[float, int, Stop | None]] = []
    for stop in sorted(line.stops, key=lambda s: s.along_m):
        past = targets[-1][0] if targets else 0.0
        if stop.along_m - past >= _SAME_STOP_M and line.length_m - stop.along_m >= _SAME_STOP_M:
            targets.append((stop.along_m, STOP, stop))
    shape = LineString(zip(line.lon, line.lat, strict=True))
    places = np.array(line.lat), np.array(line.lon)
    vertices_m = cumulative_m(*places)
    taken = [0.0, line.length_m, *(m for m, _, _ in targets)]
    for crossing in crossings:
        point = Point(crossing.lon, crossing.lat)
        if shapely.distance(shape, point) >= _ON_LINE_DEG:
            continue
        nearest = int(np.argmin((places[0] - crossing.lat) ** 2 + (places[1] - crossing.lon) ** 2))
        along_m = float(vertices_m[nearest])
        if all(abs(along_m - other) >= 2 * _SAME_STOP_M for other in taken):
            targets.append((along_m, SIGNAL, None))
            taken.append(along_m)
    targets.sort(key=lambda target: target[0])
    end = next((s for s in reversed(line.stops) if line.length_m - s.along_m < _SAME_STOP_M), None)
    return [*targets, (line.length_m, TERMINAL, end)]


def _lat_lon(feature: _StopFeature) -> tuple[float, float]:
    lon, lat = feature.geometry.coordinates
    return lat, lon


def _distance_m(a: Point, b: Point) -> float:
    """Metres between two near points, on the plane that touches the earth there."""
    north, east = math.radians(a.y - b.y), math.radians(a.x - b.x) * math.cos(math.radians(a.y))
    return EARTH_RADIUS_M * math.hypot(north, east)
