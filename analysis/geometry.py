"""A city on a plane: metres east and north, good to 0.1 % within some ten kilometres of its middle."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

METRES_PER_DEGREE = 111_195.0  # of a great circle on the IUGG mean radius


class Plane(Struct, frozen=True):
    """The plane that touches the earth at a point."""

    lat: float
    lon: float
    metres_per_lon: float

    def at(self, lat: float, lon: float) -> tuple[float, float]:
        """Metres east and north of the plane's point."""
        return (lon - self.lon) * self.metres_per_lon, (lat - self.lat) * METRES_PER_DEGREE


def plane(lat: float, lon: float) -> Plane:
    """The plane that touches the earth at a point."""
    return Plane(lat, lon, METRES_PER_DEGREE * math.cos(math.radians(lat)))


def distance_m(lat: float, lon: float, other_lat: float, other_lon: float) -> float:
    """Metres between two near points, on the plane that touches the earth there."""
    east_m = (other_lon - lon) * math.cos(math.radians(lat))
    return METRES_PER_DEGREE * math.hypot(other_lat - lat, east_m)


class Segment(NamedTuple):
    """A straight piece of a line on the plane."""

    x: float
    y: float
    dx: float
    dy: float
    inverse: float  # 1 / length², 0 for a point


def segment(x0: float, y0: float, x1: float, y1: float) -> Segment:
    """The piece from one point to another."""
    dx, dy = x1 - x0, y1 - y0
    squared = dx * dx + dy * dy
    return Segment(x0, y0, dx, dy, 1 / squared if squared else 0.0)


def least_m(segments: Iterable[Segment], x: float, y: float) -> float:
    """Metres from a point to the nearest of some pieces."""
    least = math.inf
    for x0, y0, dx, dy, inverse in segments:
        px, py = x - x0, y - y0
        along = (px * dx + py * dy) * inverse
        if along > 0.0:
            if along > 1.0:  # noqa: PLR1730 - a call of min() takes as long as all the rest
                along = 1.0
            px -= along * dx
            py -= along * dy
        squared = px * px + py * py
        if squared < least:  # noqa: PLR1730
            least = squared
    return math.sqrt(least)


def inside(polygon: tuple[tuple[float, float], ...], x: float, y: float) -> bool:
    """Whether a point is in a polygon, by the number of its sides to the right (even-odd rule)."""
    found = False
    x0, y0 = polygon[-1]
    for x1, y1 in polygon:
        if (y0 > y) != (y1 > y) and x < (x0 - x1) * (y - y1) / (y0 - y1) + x1:
            found = not found
        x0, y0 = x1, y1
    return found
