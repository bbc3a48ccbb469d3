"""A planted line and buses on it, whose passages are known exactly."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pyarrow as pa

from analysis.geometry import METRES_PER_DEGREE
from analysis.transit.columns import Fixes, fixes_of
from city.routes import Line, Stop, way_back

LAT, LON = 41.3, 69.2
DAY_MS = 1_767_225_600_000  # 2026-01-01T00:00:00Z
PER_LON = METRES_PER_DEGREE * math.cos(math.radians(LAT))


def place(x_m: float, y_m: float) -> tuple[float, float]:
    """(lat, lon) of metres east and north."""
    return LAT + y_m / METRES_PER_DEGREE, LON + x_m / PER_LON


def way(corners: Sequence[tuple[float, float]], stops_m: Sequence[float], route: str = "7", direction: int = 1) -> Line:
    """A line through corners in metres, with stops at metres along it."""
    length_m = sum(math.dist(a, b) for a, b in pairwise(corners))
    stops = []
    for at, along_m in enumerate(stops_m):
        lat, lon = place(*spot(corners, along_m))
        stops.append(Stop(stop_id=f"S{at}", name=f"Stop {at}", lat=lat, lon=lon, along_m=along_m))
    return Line(
        route=route, direction=direction, points=tuple(place(*one) for one in corners), stops=tuple(stops),
        begins="A", ends="B", length_m=length_m,
    )  # fmt: skip


def spot(corners: Sequence[tuple[float, float]], along_m: float) -> tuple[float, float]:
    """Metres east and north of a place along the corners."""
    for (x0, y0), (x1, y1) in pairwise(corners):
        step_m = math.dist((x0, y0), (x1, y1))
        if along_m <= step_m:
            return x0 + (x1 - x0) * along_m / step_m, y0 + (y1 - y0) * along_m / step_m
        along_m -= step_m
    return corners[-1]


CORNERS = ((0.0, 0.0), (3000.0, 0.0), (3000.0, 2000.0), (6000.0, 2000.0))
STOPS_M = (100.0, 900.0, 2100.0, 3300.0, 4700.0, 6100.0, 7900.0)
LINE = way(CORNERS, STOPS_M)
BACK = way_back(LINE)


class Bus:
    """A bus that drives at one speed and stands at each stop; its true times are kept."""

    def __init__(
        self,
        vehicle_id: str,
        leaves_s: float,
        speed_mps: float = 10.0,
        dwell_s: Sequence[float] = (20.0,) * len(STOPS_M),
        *,
        back: bool = False,
        until_m: float = 8000.0,
        trip: str | None = None,
        ahead_s: float | None = None,
    ) -> None:
        self.vehicle_id, self.back, self.trip, self.ahead_s = vehicle_id, back, trip, ahead_s
        stops_m = [8000.0 - one for one in reversed(STOPS_M)] if back else list(STOPS_M)
        self.knots: list[tuple[float, float]] = [(leaves_s, 0.0)]  # (seconds, metres along)
        self.arrival_s: list[float] = []
        self.departure_s: list[float] = []
        now_s, at_m = leaves_s, 0.0
        for stop_m, rest_s in zip(stops_m, dwell_s, strict=True):
            if stop_m > until_m:
                break
            now_s, at_m = now_s + (stop_m - at_m) / speed_mps, stop_m
            self.knots.append((now_s, at_m))
            self.arrival_s.append(now_s)
            now_s += rest_s
            self.knots.append((now_s, at_m))
            self.departure_s.append(now_s)
        self.knots.append((now_s + (until_m - at_m) / speed_mps, until_m))

    def along_m(self, second: float) -> float:
        for (t0, a0), (t1, a1) in pairwise(self.knots):
            if t0 <= second <= t1:
                return a0 if t1 == t0 else a0 + (a1 - a0) * (second - t0) / (t1 - t0)
        return self.knots[-1][1] if second > self.knots[-1][0] else 0.0


def fix(bus: Bus, second: float, jitter_m: float = 0.0, chance: random.Random | None = None) -> dict[str, object]:
    """The position that a bus tells at a second of the day."""
    along_m = bus.along_m(second)
    x_m, y_m = spot(CORNERS, 8000.0 - along_m if bus.back else along_m)
    if jitter_m and chance is not None:
        x_m, y_m = x_m + chance.gauss(0, jitter_m), y_m + chance.gauss(0, jitter_m)
    lat, lon = place(x_m, y_m)
    return {
        "vehicle_id": bus.vehicle_id, "measured_ms": DAY_MS + round(second * 1000), "lat": lat, "lon": lon,
        "route": "7", "direction": 2 if bus.back else 1, "trip": bus.trip, "schedule_deviation_s": bus.ahead_s,
    }  # fmt: skip


def told(buses: Iterable[Bus], every_s: float = 5.0, jitter_m: float = 0.0, seed: int = 1) -> list[dict[str, object]]:
    """The positions of buses at a fixed interval, from leaving to the end of the way."""
    chance, found = random.Random(seed), []
    for bus in buses:
        second = bus.knots[0][0]
        while second < bus.knots[-1][0]:
            found.append(fix(bus, second, jitter_m, chance))
            second += every_s
        found.append(fix(bus, bus.knots[-1][0], jitter_m, chance))
    return found


def fixes(rows: Iterable[dict[str, object]], route: str = "7") -> Fixes:
    return fixes_of(route, table(rows))


def table(rows: Iterable[dict[str, object]]) -> pa.Table:
    """Rows as columns, with every name that any row has."""
    given = list(rows)
    names = {name: None for row in given for name in row}
    return pa.table({name: [row.get(name) for row in given] for name in names})
