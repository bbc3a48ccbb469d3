"""The whole city: everything that is measured, hour by hour, and what was true in the end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from city.events import Event
from city.routes import load_routes
from week import grown
from week.buses import Bus, Service
from week.cameras import Camera
from week.cars import CARS, Car
from week.lines import Track, moved
from week.sensors import all_sensors
from week.system import Watch
from week.tellings import Telling
from week.timetable import cycle_s
from week.trips import Visit
from week.truth import DAY_S, HOUR_S, MONDAY_MS, Truth, TruthBook

BUSES, ROUTES, CAMERAS = 120, 12, 60
HOURS = 24
# Truths that need a feed, by the first word of their rule.
NEEDS = {
    "vehicle/position": ("bunching", "gap", "overspeed", "off_route", "long_stop", "geofence", "schedule_deviation",
                         "idling"),
    "vehicle/passengers": ("overload",),
    "vehicle/fuel": ("fuel_drop", "refuel"),
    "camera/event": ("camera_alert", "camera_frozen", "camera_storm"),
    "camera/status": ("camera_offline",),
    "sensor/reading": ("sensor_threshold", "sensor_rate", "sensor_flat", "network_failure", "network_failure_local"),
}  # fmt: skip


class City:
    """A week of a city; with `thieves` some tanks are robbed."""

    def __init__(self, seed: int, days: int, city_dir: Path, *, thieves: bool = True) -> None:
        chance = random.Random(seed)
        self.days, self.truths = days, TruthBook()
        self._tracks = {(line.route, line.direction): Track(line) for line in load_routes(city_dir)}
        self._services = self._served(chance)
        buses = [
            Bus(f"bus-{service.there.route}-{number}", number, service, self.truths, random.Random(chance.random()),
                robbed=thieves and number % 2 == 0 and not service.electric)
            for service in self._services
            for number in range(service.buses)
        ]  # fmt: skip
        self._buses = [Telling(bus, days) for bus in buses]
        self._cameras = [Camera(number, days, self.truths, random.Random(chance.random())) for number in range(CAMERAS)]
        self._sensors = all_sensors(days, self.truths, random.Random(chance.random()))
        self._cars = [Car(number, days, self.truths, random.Random(chance.random())) for number in range(CARS)]
        self.watch = Watch(days, self.truths, random.Random(chance.random()))
        self._visits: dict[tuple[str, int], list[Visit]] = {}
        self._held: dict[tuple[str, int], list[float]] = {}

    def _served(self, chance: random.Random) -> list[Service]:
        routes = sorted({route for route, _ in self._tracks})[:ROUTES]
        ways = [(self._tracks[route, 1], self._tracks[route, 2]) for route in routes]
        whole = sum(cycle_s(*way) for way in ways)
        found = []
        for place, (there, back) in enumerate(ways):
            depot = moved(there.at(0.0), chance.choice((-1, 1)) * chance.uniform(900, 1500), chance.uniform(-600, 600))
            share = cycle_s(there, back) / whole
            found.append(
                Service(
                    there, back, depot, buses=max(6, round(BUSES * share)), tells_schedule=place % 3 != 0,
                    busy=chance.uniform(0.75, 1.02), electric=there.route.endswith("T"),
                )
            )  # fmt: skip
        return found

    def hours(self) -> Iterator[list[Event]]:
        """The events of each hour by the time of measuring; what a silent feed would have told is left out."""
        for hour in range(self.days * HOURS):
            begin_s, end_s = hour * HOUR_S, (hour + 1) * HOUR_S
            found: list[Event] = []
            for one in (*self._buses, *self._cars, *self._cameras, *self._sensors):
                found += one.window(begin_s, end_s)
            if hour % HOURS == 0:
                self._note_trips()
            found = [one for one in found if not self.watch.mutes(one, (one.measured_ms - MONDAY_MS) / 1000)]
            found.sort(key=lambda one: one.measured_ms)
            yield found

    def _note_trips(self) -> None:
        for telling in self._buses:
            for trip in telling.bus.trips:
                line = (trip.track.route, trip.track.direction)
                last = len(trip.track.stops_m) - 1
                self._visits.setdefault(line, []).extend(one for one in trip.visits if 0 < one.stop < last)
                if any(one.kind in ("hold", "breakdown") for one in trip.incidents) or trip.shift:
                    self._held.setdefault(line, []).append(trip.visits[0].at_s)
                    self._held.setdefault((line[0], 3 - line[1]), []).append(trip.visits[-1].at_s)

    def truth(self) -> list[Truth]:
        """What was true, once all hours are over. Nothing is asked of what a silent feed hid, nor of the last hours."""
        for (route, direction), visits in self._visits.items():
            grown.headways(route, direction, visits, self._held.get((route, direction), ()), self.truths)
        dark: dict[str, list[tuple[float, float]]] = {}
        for begin, end, feed in self.watch.spans["feed_silent"]:
            for rule in NEEDS[feed]:
                dark.setdefault(rule, []).append((begin - 300, end + 300))
        mutes = {one.bus.vehicle_id: [span for span in one.bus.mutes if span[1] - span[0] > 300] for one in self._buses}
        found = []
        for truth in self.truths:
            hidden = [*dark.get(truth.rule, ()), (self.days * DAY_S - 2 * HOUR_S, 1e9)]
            if truth.rule in ("overload", "schedule_deviation", "overspeed", "fuel_drop", "refuel", "idling"):
                hidden += mutes.get(truth.key, [])
            if any(begin < truth.end_s and end > truth.start_s for begin, end in hidden):
                found.append(msgspec.structs.replace(truth, must=False))
            else:
                found.append(truth)
        return found
