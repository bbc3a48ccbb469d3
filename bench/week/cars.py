"""Service cars that must stay in their quarter, and a closed yard that they must not enter."""

from __future__ import annotations

import math
import random

from city.events import Event, VehiclePosition
from week.lines import Place, moved
from week.truth import DAY_S, HOUR_S, Truth, TruthBook, ms

QUARTER: Place = (41.30, 69.28)
QUARTER_M = 1_200.0  # from its middle to a side
YARD: Place = (41.325, 69.28)
YARD_M = 150.0
EVERY_S = 15.0
CARS = 8


def square(middle: Place, half_m: float) -> tuple[tuple[float, float], ...]:
    """[lon, lat] corners."""
    corners = ((half_m, half_m), (half_m, -half_m), (-half_m, -half_m), (-half_m, half_m))
    return tuple((lon, lat) for lat, lon in (moved(middle, north, east) for north, east in corners))


class Car:
    """Roams its quarter by day; now and then it leaves it, or drives into the yard."""

    def __init__(self, number: int, days: int, truths: TruthBook, chance: random.Random) -> None:
        self.vehicle_id, self._chance = f"car-{number}", chance
        self._phase = chance.uniform(0, 6)
        self._trips: list[tuple[float, float, float, bool]] = []  # from, to, metres beyond the side; into the yard
        self._next_s = chance.uniform(0, EVERY_S)
        for day in range(days):
            for kind, share in (("out", 0.3), ("touch", 0.5), ("yard", 0.15)):
                if chance.random() > share:
                    continue
                at_s = day * DAY_S + chance.uniform(8, 18) * HOUR_S
                if any(begin - 1800 < at_s < end + 1800 for begin, end, _, _ in self._trips):
                    continue
                lasts_s = chance.uniform(300, 1500)
                out_m = {"out": chance.uniform(120, 600), "touch": -12.0, "yard": 0.0}[kind]
                self._trips.append((at_s, at_s + lasts_s, out_m, kind == "yard"))
                if kind != "touch":
                    truths.add(
                        Truth(
                            rule="geofence", key=self.vehicle_id, start_s=at_s, end_s=at_s + lasts_s, label=kind,
                            slack_s=60,
                        )
                    )  # fmt: skip

    def window(self, begin_s: float, end_s: float) -> list[Event]:
        found: list[Event] = []
        while self._next_s < end_s:
            at_s, self._next_s = self._next_s, self._next_s + EVERY_S
            if not 7 <= at_s % DAY_S / HOUR_S < 20:
                continue
            lat, lon = moved(self._place(at_s), self._chance.gauss(0, 4), self._chance.gauss(0, 4))
            found.append(
                VehiclePosition(
                    measured_ms=ms(at_s), received_ms=ms(at_s) + 500, vehicle_id=self.vehicle_id, lat=lat, lon=lon,
                    speed_mps=7.0, mode="car",
                )
            )  # fmt: skip
        return found

    def _place(self, at_s: float) -> Place:
        turn = at_s / 700 + self._phase
        home = moved(QUARTER, 0.8 * QUARTER_M * math.sin(turn), 0.8 * QUARTER_M * math.cos(1.7 * turn))
        for begin, end, out_m, yard in self._trips:
            if begin <= at_s < end:
                if yard:
                    return moved(YARD, 60 * math.sin(turn), 60 * math.cos(turn))
                return moved(QUARTER, 400 * math.sin(turn), QUARTER_M + out_m)
        return home
