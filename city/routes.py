"""The city's bus routes: their lines and stops.

`data/<city>/bus_routes.geojson`, `bus_stops.geojson` and `route_stops.csv` are read once. A city without the
first has no routes; a route of which only one direction is drawn goes back along the same line.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

Name = str | int
Feature = TypeVar("Feature", bound=Struct)


class RoutesError(Exception):
    """A file of routes cannot be used. The message is one line and names file and feature."""


class Stop(Struct, frozen=True, kw_only=True):
    """A stop of one line."""

    stop_id: str
    name: str
    lat: float
    lon: float
    along_m: float  # metres from the line's beginning


class Line(Struct, frozen=True, kw_only=True):
    """One direction of one route."""

    route: str  # as vehicles send it
    direction: int  # 1 or 2
    points: tuple[tuple[float, float], ...]  # (lat, lon) in driving order, two or more
    stops: tuple[Stop, ...]  # in driving order
    begins: str  # name of the place
    ends: str
    length_m: float


class _RouteProperties(Struct):
    route_ref: Name
    direction: Literal[1, 2] = 1
    begins: str = msgspec.field(default="", name="from")
    ends: str = msgspec.field(default="", name="to")
    length_km: float | None = None


class _LineString(Struct, tag="LineString", tag_field="type"):
    coordinates: list[tuple[float, float]]


class _RouteFeature(Struct):
    properties: _RouteProperties
    geometry: _LineString


class _StopProperties(Struct):
    osm_id: Name
    name_uz: str | None = None
    name_ru: str | None = None


class _Point(Struct, tag="Point", tag_field="type"):
    coordinates: tuple[float, float]


class _StopFeature(Struct):
    properties: _StopProperties
    geometry: _Point


class _Collection(Struct):
    features: list[Raw]


def load_routes(city_dir: Path) -> tuple[Line, ...]:
    """Both directions of every route of `data/<city>/`, by route and direction; raises RoutesError."""
    routes_file, stops_file = city_dir / "bus_routes.geojson", city_dir / "bus_stops.geojson"
    if not routes_file.exists():
        return ()
    drawn = _features(routes_file, _RouteFeature)
    places = {str(one.properties.osm_id): one for one in _features(stops_file, _StopFeature)}
    called = {str(one.properties.route_ref) for one in drawn}
    stops = _stops(city_dir / "route_stops.csv", places, called)
    lines: dict[tuple[str, int], Line] = {}
    for number, feature in enumerate(drawn, start=1):
        line = _line(feature, stops)
        where = f"{routes_file}: feature {number} (route {line.route})"
        if len(line.points) < 2:
            raise RoutesError(f"{where}: geometry: a line needs two points")
        if not all(-90 <= lat <= 90 and -180 <= lon <= 180 for lat, lon in line.points):
            raise RoutesError(f"{where}: geometry: not longitude and latitude in degrees")
        if (line.route, line.direction) in lines:
            raise RoutesError(f"{where}: direction {line.direction} is there already")
        lines[line.route, line.direction] = line
    for line in list(lines.values()):
        lines.setdefault((line.route, 3 - line.direction), way_back(line))
    return tuple(lines[key] for key in sorted(lines))


def way_back(line: Line) -> Line:
    """The same line from its end."""
    return replace(
        line,
        direction=3 - line.direction,
        points=line.points[::-1],
        stops=tuple(replace(stop, along_m=line.length_m - stop.along_m) for stop in reversed(line.stops)),
        begins=line.ends,
        ends=line.begins,
    )


def _line(feature: _RouteFeature, stops: dict[str, list[Stop]]) -> Line:
    properties = feature.properties
    route = str(properties.route_ref)
    # route_stops.csv tells of one direction; where both are drawn, the stops are the first one's.
    own = tuple(stops.get(route, ())) if properties.direction == 1 else ()
    longest_m = max((stop.along_m for stop in own), default=0.0)
    return Line(
        route=route,
        direction=properties.direction,
        points=tuple((lat, lon) for lon, lat in feature.geometry.coordinates),
        stops=own,
        begins=properties.begins,
        ends=properties.ends,
        length_m=max(longest_m, 1000 * (properties.length_km or 0.0)),
    )


def _features(path: Path, kind: type[Feature]) -> list[Feature]:
    if not path.exists():
        return []
    try:
        collection = msgspec.json.decode(path.read_bytes(), type=_Collection)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RoutesError(f"{path}: not a GeoJSON feature collection (RFC 7946): {error}") from error
    found: list[Feature] = []
    for number, raw in enumerate(collection.features, start=1):
        try:
            found.append(msgspec.json.decode(raw, type=kind))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RoutesError(f"{path}: feature {number}: {error}") from error
    return found


def _stops(path: Path, places: dict[str, _StopFeature], routes: set[str]) -> dict[str, list[Stop]]:
    """The stops of each route in the order of `sequence`."""
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise RoutesError(f"{path}: {error}") from error
    found: dict[str, list[tuple[int, Stop]]] = {}
    for number, row in enumerate(rows, start=2):
        try:
            place, route = places.get(row["osm_id"]), row["route_ref"]
            if place is None or route not in routes:
                raise ValueError(f"no feature is the {'stop ' + row['osm_id'] if place is None else 'route ' + route}")
            found.setdefault(route, []).append((int(row["sequence"]), _stop(place, float(row["along_m"]))))
        except KeyError as error:
            raise RoutesError(f"{path}: there is no column {error}") from error
        except (ValueError, TypeError) as error:
            raise RoutesError(f"{path}: line {number}: {error}") from error
    return {route: [stop for _, stop in sorted(stops, key=lambda one: one[0])] for route, stops in found.items()}


def _stop(place: _StopFeature, along_m: float) -> Stop:
    lon, lat = place.geometry.coordinates
    name = place.properties.name_uz or place.properties.name_ru or ""
    return Stop(stop_id=str(place.properties.osm_id), name=name, lat=lat, lon=lon, along_m=along_m)
