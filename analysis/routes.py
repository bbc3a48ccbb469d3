"""Where a place lies to the city's routes: how far from a route's line, at which of its stops or terminals.

Each route has a grid of small cells with the pieces of line that may be near, so that a look is one or two
microseconds. What is far from the line takes longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import shapely

from analysis.geometry import Plane, Segment, least_m, plane, segment
from city.routes import Line, Stop

# A cell knows every piece of line and every stop within REACH_M of any of its points.
CELL_M = 80.0
REACH_M = 80.0
# A satellite fix is off by more; a third of the points is left.
SIMPLE_M = 1.0
# A cell's number is column * _ROW + row: no city is so high.
_ROW = 1 << 24

# A cell's middle is so near to a piece that it knows, with half a diagonal; its other points are half a diagonal more.
CELL_IS_WITHIN_M = REACH_M + 2 * CELL_M * math.sqrt(0.5)

Point = tuple[Stop, float, float]  # with metres east and north
Here = tuple[float, float, int]  # metres east and north, and the cell


class _Places:
    """Stops by cell."""

    __slots__ = ("_all", "_cells")

    def __init__(self, stops: Iterable[Stop], flat: Plane) -> None:
        self._all = tuple((stop, *flat.at(stop.lat, stop.lon)) for stop in stops)
        self._cells: dict[int, list[Point]] = {}
        for point in self._all:
            for column, row in _cells(point[1], point[2], point[1], point[2]):
                self._cells.setdefault(column * _ROW + row, []).append(point)

    def nearest(self, here: Here, within_m: float) -> Stop | None:
        x, y, cell = here
        near: Sequence[Point] | None
        if within_m <= REACH_M:
            near = self._cells.get(cell)
            if near is None:
                return None
        else:
            near = self._all
        found, least = None, within_m * within_m
        for stop, stop_x, stop_y in near:
            squared = (stop_x - x) ** 2 + (stop_y - y) ** 2
            if squared <= least:
                found, least = stop, squared
        return found


class _Shape:
    """The lines of one route, both directions."""

    __slots__ = ("_cells", "_segments", "ends", "stops")

    def __init__(self, lines: list[Line], flat: Plane) -> None:
        # The way back along the same line has the same pieces.
        ways = {min(line.points, line.points[::-1]) for line in lines}
        pieces = [piece for way in ways for piece in _pieces(way, flat)]
        self._cells: dict[int, list[Segment]] = {}
        for one in pieces:
            for column, row in _cells(one.x, one.y, one.x + one.dx, one.y + one.dy):
                if _may_reach(one, column, row):
                    self._cells.setdefault(column * _ROW + row, []).append(one)
        self._segments = np.array(pieces).T
        self.stops = {line.direction: _Places(line.stops, flat) for line in lines}
        self.stops[0] = _Places([stop for line in lines for stop in line.stops], flat)
        self.ends = {line.direction: _Places(terminals(line), flat) for line in lines}
        self.ends[0] = _Places([stop for line in lines for stop in terminals(line)], flat)

    def distance_m(self, here: Here) -> float:
        x, y, cell = here
        near = self._cells.get(cell)
        if near is not None:
            found_m = least_m(near, x, y)
            if found_m <= REACH_M:
                return found_m
        return self._far_m(x, y)

    def within(self, here: Here, within_m: float) -> bool:
        # Every point of a cell that has pieces is near some of them.
        if within_m >= CELL_IS_WITHIN_M and here[2] in self._cells:
            return True
        return self.distance_m(here) <= within_m

    def _far_m(self, x: float, y: float) -> float:
        """The same of all pieces at once."""
        x0, y0, dx, dy, inverse = self._segments
        px, py = x - x0, y - y0
        along = np.clip((px * dx + py * dy) * inverse, 0.0, 1.0)
        return math.sqrt(float(np.min((px - along * dx) ** 2 + (py - along * dy) ** 2)))


class Routes:
    """The lines of a city's routes; without any, every route is unknown."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.lines = {(line.route, line.direction): line for line in lines}
        corners = [point for line in self.lines.values() for point in line.points]
        lats, lons = [lat for lat, _ in corners], [lon for _, lon in corners]
        self._flat = plane((min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2) if corners else plane(0.0, 0.0)
        of_route: dict[str, list[Line]] = {}
        for line in self.lines.values():
            of_route.setdefault(line.route, []).append(line)
        self._lat = self._lon = math.nan
        self._at: Here = (0.0, 0.0, 0)
        self._order = {
            (line.route, line.direction): {stop.stop_id: at for at, stop in reversed(list(enumerate(line.stops)))}
            for line in self.lines.values()
        }
        self._shapes = {route: _Shape(ways, self._flat) for route, ways in of_route.items()}

    def __contains__(self, route: object) -> bool:
        return route in self._shapes

    def distance_m(self, route: str, lat: float, lon: float) -> float | None:
        """Metres (± 1) from the route's line, of either direction; None for an unknown route."""
        shape = self._shapes.get(route)
        return None if shape is None else shape.distance_m(self._here(lat, lon))

    def within(self, route: str, lat: float, lon: float, within_m: float) -> bool:
        """Whether a place is not farther than that from the route's line; False for an unknown route."""
        shape = self._shapes.get(route)
        return shape is not None and shape.within(self._here(lat, lon), within_m)

    def stop_at(self, route: str, direction: int | None, lat: float, lon: float, within_m: float) -> Stop | None:
        """The nearest stop of the route, of both directions where none is named, not farther than `within_m`."""
        shape = self._shapes.get(route)
        if shape is None:
            return None
        return shape.stops[direction if direction in shape.stops else 0].nearest(self._here(lat, lon), within_m)

    def terminal(self, route: str, direction: int | None, lat: float, lon: float, within_m: float) -> Stop | None:
        """The nearest terminal likewise: an end of the line, or its first or last stop."""
        shape = self._shapes.get(route)
        if shape is None:
            return None
        return shape.ends[direction if direction in shape.ends else 0].nearest(self._here(lat, lon), within_m)

    def stops(self, route: str, direction: int) -> tuple[Stop, ...]:
        """The stops of a route and direction in driving order."""
        line = self.lines.get((route, direction))
        return () if line is None else line.stops

    def order(self, route: str, direction: int) -> dict[str, int]:
        """The place of each stop among those of a route and direction, by its id."""
        return self._order.get((route, direction), {})

    def is_end(self, route: str, direction: int, stop_id: str) -> bool:
        """Whether a stop is the first or the last one of a route and direction."""
        stops = self.stops(route, direction)
        return bool(stops) and stop_id in (stops[0].stop_id, stops[-1].stop_id)

    def _here(self, lat: float, lon: float) -> Here:
        """The place on the plane. Several rules ask of one position, one after another."""
        if lat != self._lat or lon != self._lon:
            x, y = self._flat.at(lat, lon)
            self._at = (x, y, math.floor(x / CELL_M) * _ROW + math.floor(y / CELL_M))
            self._lat, self._lon = lat, lon
        return self._at


def terminals(line: Line) -> tuple[Stop, ...]:
    """Where vehicles of a line wait for their departure: its two ends, and its first and last stop.

    A drawn line may go on for a kilometre beyond the last stop that is known.
    """
    (lat, lon), (end_lat, end_lon) = line.points[0], line.points[-1]
    begins = Stop(stop_id="", name=line.begins, lat=lat, lon=lon, along_m=0.0)
    ends = Stop(stop_id="", name=line.ends, lat=end_lat, lon=end_lon, along_m=line.length_m)
    return (begins, *line.stops[:1], *line.stops[-1:], ends)


def _pieces(way: tuple[tuple[float, float], ...], flat: Plane) -> list[Segment]:
    """A line's pieces, without the points that change it by less than SIMPLE_M."""
    corners = shapely.LineString([flat.at(lat, lon) for lat, lon in way]).simplify(SIMPLE_M).coords
    return [segment(*start, *end) for start, end in pairwise(corners)]


def _cells(x0: float, y0: float, x1: float, y1: float) -> list[tuple[int, int]]:
    """The cells (column, row) with a point within REACH_M of a box."""
    west, east = math.floor((min(x0, x1) - REACH_M) / CELL_M), math.floor((max(x0, x1) + REACH_M) / CELL_M)
    south, north = math.floor((min(y0, y1) - REACH_M) / CELL_M), math.floor((max(y0, y1) + REACH_M) / CELL_M)
    return [(column, row) for column in range(west, east + 1) for row in range(south, north + 1)]


def _may_reach(one: Segment, column: int, row: int) -> bool:
    """Whether a point of the cell may be within REACH_M of the piece: its middle is, and half a diagonal more."""
    return least_m((one,), (column + 0.5) * CELL_M, (row + 0.5) * CELL_M) <= REACH_M + CELL_M * math.sqrt(0.5)
