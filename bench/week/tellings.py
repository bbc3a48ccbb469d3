"""What a bus's devices say of what it does: positions, fuel and passengers, as they are measured."""

from __future__ import annotations

import bisect
from collections.abc import Iterator

from city.events import Event, FuelReading, PassengerCount, VehiclePosition
from week.buses import Bus
from week.lines import Place, moved
from week.trips import Leg, Trip, beside
from week.truth import DAY_S, ms

POSITION_EVERY_S = 25.0
FUEL_EVERY_S = 60.0
FIX_M = 5.0
SLEEPS_AFTER_S = 2_700.0
WAKES_BEFORE_S = 600.0


class Telling:
    """One bus's messages, asked hour by hour."""

    def __init__(self, bus: Bus, days: int) -> None:
        self.bus, self.days = bus, days
        self._day = -1
        self._begins: list[float] = []
        self._next_position_s = bus.chance.uniform(0, bus.parked_every_s)
        self._next_fuel_s = bus.chance.uniform(0, bus.parked_every_s)
        self._fuel_at_s = 0.0
        self._counts: list[tuple[float, int, Trip, int]] = []

    def window(self, begin_s: float, end_s: float) -> list[Event]:
        """Everything measured in a time; days are planned as they come."""
        if int(begin_s // DAY_S) > self._day:
            self._day += 1
            self.bus.plan(self._day)
            self._begins = [leg.begin_s for leg in self.bus.legs]
            counts = [(one.at_s, one.onboard, trip, one.stop) for trip in self.bus.trips for one in trip.counts]
            self._counts = [one for one in self._counts if one[0] >= begin_s] + counts
        found: list[Event] = [*self._positions(end_s), *self._passengers(end_s)]
        if not self.bus.service.electric:
            found += self._fuel(end_s)
        return found

    def _at(self, at_s: float) -> int:
        return max(0, bisect.bisect_right(self._begins, at_s) - 1)

    def _quiet(self, at_s: float, place: int) -> bool:
        """Muted, or asleep at the depot."""
        legs = self.bus.legs
        leg = legs[place]
        if any(begin <= at_s < end for begin, end in self.bus.mutes[-6:]):
            return True
        if not self.bus.sleeps or leg.engine or leg.route_shown or leg.moves:
            return False
        # The night is a leg before midnight and one after it.
        slept_s = legs[place - 1].begin_s if place and not legs[place - 1].engine else leg.begin_s
        evening = place == len(legs) - 1
        return at_s > slept_s + SLEEPS_AFTER_S and (evening or at_s < leg.end_s - WAKES_BEFORE_S)

    def _positions(self, end_s: float) -> Iterator[Event]:
        bus, chance, route = self.bus, self.bus.chance, self.bus.service.there.route
        while self._next_position_s < end_s:
            at_s = self._next_position_s
            number = self._at(at_s)
            leg = bus.legs[number]
            parked = not leg.engine and not leg.route_shown and not leg.moves
            # A device wakes with the engine.
            self._next_position_s += POSITION_EVERY_S + chance.uniform(-1, 1)
            if parked:
                self._next_position_s = max(self._next_position_s, _wakes_s(at_s + bus.parked_every_s, leg))
            if self._quiet(at_s, number):
                continue
            share = min(1.0, (at_s - leg.begin_s) / (leg.end_s - leg.begin_s))
            place, along_m = self._place(leg, share)
            speed_mps = 0.0
            if leg.moves:
                mean_mps = leg.way_m / (leg.end_s - leg.begin_s)
                speed_mps = mean_mps * chance.uniform(0.8, 1.2) if mean_mps < 19 else mean_mps
            elif chance.random() < 0.02:
                speed_mps = chance.uniform(0.2, 1.2)
            shift_m = (chance.gauss(0, FIX_M), chance.gauss(0, FIX_M)) if leg.moves or share < 0.05 else (
                chance.gauss(0, 1), chance.gauss(0, 1)
            )  # fmt: skip
            lat, lon = moved(place, *shift_m)
            trip = leg.trip
            shown = leg.route_shown
            yield VehiclePosition(
                measured_ms=ms(at_s), received_ms=ms(at_s) + chance.randrange(200, 2500), vehicle_id=bus.vehicle_id,
                lat=round(lat, 6), lon=round(lon, 6), speed_mps=round(speed_mps, 1) if bus.tells_speed else None,
                bearing_deg=90.0 if leg.moves else None, route=route if shown else None,
                direction=None if not shown else (trip.track.direction if trip else 1),
                odometer_m=round(leg.odometer_m + share * leg.way_m), mode="bus",
                ignition=leg.engine if bus.tells_ignition else None,
                schedule_deviation_s=self._ahead(trip, along_m, at_s) if bus.service.tells_schedule else None,
                district="1726269", mahalla=None,
            )  # fmt: skip

    def _place(self, leg: Leg, share: float) -> tuple[Place, float]:
        if leg.track is None:
            (lat, lon), (lat1, lon1) = leg.start, leg.end
            return (lat + share * (lat1 - lat), lon + share * (lon1 - lon)), 0.0
        along_m = leg.from_m + share * (leg.to_m - leg.from_m)
        place = leg.track.at(along_m)
        if leg.trip is not None and leg.trip.shift is not None:
            place = beside(place, leg.trip, along_m)
        return place, along_m

    def _ahead(self, trip: Trip | None, along_m: float, at_s: float) -> float | None:
        if trip is None:
            return None
        stops_m, scheduled = trip.track.stops_m, trip.scheduled_s
        at = min(max(bisect.bisect_right(stops_m, along_m) - 1, 0), len(stops_m) - 2)
        share = (along_m - stops_m[at]) / (stops_m[at + 1] - stops_m[at])
        return float(round(scheduled[at] + share * (scheduled[at + 1] - scheduled[at]) - at_s))

    def _passengers(self, end_s: float) -> Iterator[Event]:
        bus = self.bus
        while self._counts and self._counts[0][0] < end_s:
            at_s, onboard, trip, stop = self._counts.pop(0)
            if self._quiet(at_s, self._at(at_s)):
                continue
            yield PassengerCount(
                measured_ms=ms(at_s), received_ms=ms(at_s) + 900, vehicle_id=bus.vehicle_id,
                onboard=max(0, onboard + bus.chance.choice((-1, 0, 0, 1))),
                capacity=bus.capacity if bus.tells_capacity else None, stop=f"{trip.track.route}-{stop}",
            )  # fmt: skip

    def _fuel(self, end_s: float) -> Iterator[Event]:
        bus, tank, chance = self.bus, self.bus.tank, self.bus.chance
        while self._next_fuel_s < end_s:
            at_s = self._next_fuel_s
            number = self._at(at_s)
            leg = bus.legs[number]
            parked = not leg.engine and not leg.route_shown and not leg.moves
            self._next_fuel_s += FUEL_EVERY_S
            if parked:
                self._next_fuel_s = max(self._next_fuel_s, _wakes_s(at_s + bus.parked_every_s, leg))
            share = min(1.0, (at_s - leg.begin_s) / (leg.end_s - leg.begin_s))
            odometer_m = leg.odometer_m + share * leg.way_m
            tank.step(at_s, odometer_m, (at_s - self._fuel_at_s) if leg.engine else 0.0)
            self._fuel_at_s = at_s
            if self._quiet(at_s, number):
                continue
            told_l = tank.told_l(leg.moves)
            unit = tank.gauge.unit
            litres = unit == "litres" or (unit == "both" and chance.random() < 0.5)
            yield FuelReading(
                measured_ms=ms(at_s), received_ms=ms(at_s) + 700, vehicle_id=bus.vehicle_id,
                level_l=told_l if litres else None,
                level_pct=None if litres else round(100 * told_l / tank.capacity_l, 1), capacity_l=tank.capacity_l,
                ignition=leg.engine if bus.tells_ignition else None,
            )  # fmt: skip


def _wakes_s(next_s: float, leg: Leg) -> float:
    """When a device speaks next that sleeps until then, or until the engine runs; a night's leg ends at midnight."""
    return next_s if leg.end_s % DAY_S == 0 else min(next_s, leg.end_s)
