"""Where a bus is after so many metres of its line. Own arithmetic: the detectors' must not judge itself."""

from __future__ import annotations

import bisect
import math
from itertools import pairwise

import numpy as np

from city.routes import Line

METRES_PER_DEGREE = 111_195.0
Place = tuple[float, float]  # lat, lon


def apart_m(one: Place, other: Place) -> float:
    east = (other[1] - one[1]) * math.cos(math.radians(one[0]))
    return METRES_PER_DEGREE * math.hypot(other[0] - one[0], east)


def moved(place: Place, north_m: float, east_m: float) -> Place:
    lat, lon = place
    return lat + north_m / METRES_PER_DEGREE, lon + east_m / METRES_PER_DEGREE / math.cos(math.radians(lat))


class Track:
    """One direction of a line."""

    def __init__(self, line: Line) -> None:
        self.route, self.direction = line.route, line.direction
        self.points = line.points
        self._along = [0.0]
        for one, other in pairwise(line.points):
            self._along.append(self._along[-1] + apart_m(one, other))
        self.length_m = self._along[-1]
        inner = [stop.along_m for stop in line.stops if 30 < stop.along_m < self.length_m - 30]
        # Ends are served as stops too.
        self.stops_m = [0.0, *sorted(set(inner)), self.length_m]

    def at(self, along_m: float) -> Place:
        """Place after so many metres."""
        at = min(max(bisect.bisect_right(self._along, along_m) - 1, 0), len(self._along) - 2)
        begin, end = self._along[at], self._along[at + 1]
        share = min(1.0, max(0.0, (along_m - begin) / (end - begin))) if end > begin else 0.0
        (lat, lon), (lat1, lon1) = self.points[at], self.points[at + 1]
        return lat + share * (lat1 - lat), lon + share * (lon1 - lon)

    def across(self, from_m: float, to_m: float) -> Place:
        """Unit vector (north, east) to the right of the chord between two places of the line."""
        (lat, lon), (lat1, lon1) = self.at(from_m), self.at(to_m)
        north, east = lat1 - lat, (lon1 - lon) * math.cos(math.radians(lat))
        length = math.hypot(north, east) or 1.0
        return -east / length, north / length

    def away_m(self, place: Place) -> float:
        """Metres from the line."""
        grid = np.array([self.at(x) for x in np.arange(0.0, self.length_m, 20.0)])
        east = (grid[:, 1] - place[1]) * math.cos(math.radians(place[0]))
        return float(METRES_PER_DEGREE * np.sqrt(np.min((grid[:, 0] - place[0]) ** 2 + east**2)))
