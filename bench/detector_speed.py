"""What an event costs one alarms worker: the picture, all detectors, their memory, and the store's entries decoded.

2,000 buses on the city's routes with a position every two seconds, fuel every half a minute and passengers at stops;
1,000 cameras and 2,000 sensors. Rounds of all subjects are taken in turn, so that a noisy minute hits them alike; the
medians count.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from week.lines import Track
from week.truth import HOUR_S, ms

from analysis.detection import Detection
from analysis.detectors import DETECTORS
from analysis.picture import Picture
from analysis.routes import Routes
from analysis.schedule import Clock
from city.events import (
    EVENT_TYPES,
    CameraEvent,
    CameraStatus,
    Event,
    FuelReading,
    PassengerCount,
    SensorReading,
    VehiclePosition,
)
from city.routes import load_routes
from city.rules import Alarms

ROOT = Path(__file__).resolve().parent.parent
CITY_DIR = ROOT / "data" / "tashkent"
VEHICLES, CAMERAS, SENSORS = 2_000, 1_000, 2_000
BEGIN_S = 33 * HOUR_S  # Tuesday, nine o'clock
MOVES_S, STANDS_S, MPS = 70.0, 20.0, 7.5
WARM_S = 60
WRITE_EVERY_S = 2
BATCH = 500  # events of an entry


class Speed(Struct, frozen=True):
    """How much is measured."""

    seconds: float
    rounds: int


class Mover:
    """A bus that goes and stops along its line, and back."""

    def __init__(self, number: int, tracks: Sequence[Track], chance: random.Random) -> None:
        self.vehicle_id, self._chance = f"{number % 90:02}-{number:04}", chance
        self._tracks = tracks
        self._at_m = chance.uniform(0, tracks[0].length_m)
        self._phase_s = chance.uniform(0, MOVES_S + STANDS_S)
        self._level_l = chance.uniform(60, 200)
        self._onboard = chance.randint(5, 70)

    def second(self, at_s: int, number: int) -> list[Event]:
        """What it says in a second."""
        chance, found = self._chance, list[Event]()
        moves = (at_s + self._phase_s) % (MOVES_S + STANDS_S) < MOVES_S
        if moves:
            self._at_m += MPS
            self._level_l -= 0.0025
        if (at_s + number) % 2 == 0:
            way_m = self._tracks[0].length_m
            back = int(self._at_m // way_m) % 2
            along_m = self._at_m % way_m
            lat, lon = self._tracks[back].at(along_m)
            found.append(
                VehiclePosition(
                    measured_ms=ms(at_s) + number % 1000, received_ms=ms(at_s) + 600, vehicle_id=self.vehicle_id,
                    lat=round(lat + chance.gauss(0, 3e-5), 6), lon=round(lon + chance.gauss(0, 3e-5), 6),
                    speed_mps=round(chance.uniform(5, 10), 2) if moves else 0.0, bearing_deg=chance.uniform(0, 359),
                    route=self._tracks[0].route, direction=1 + back, trip=f"t{number}",
                    odometer_m=round(1e6 + self._at_m),
                    ignition=True, mode="bus", schedule_deviation_s=float(round(chance.gauss(-60, 90))),
                    district="1726269", mahalla="1726269001",
                )
            )  # fmt: skip
        if (at_s + 7 * number) % 30 == 0:
            slosh_l = chance.uniform(-4, 4) if moves else chance.uniform(-0.4, 0.4)
            found.append(
                FuelReading(
                    measured_ms=ms(at_s) + number % 1000, received_ms=ms(at_s) + 700, vehicle_id=self.vehicle_id,
                    level_l=round(self._level_l + slosh_l, 1), capacity_l=250.0, ignition=True,
                )
            )  # fmt: skip
        if (at_s + 13 * number) % 90 == 0:
            self._onboard = max(0, self._onboard + chance.randint(-12, 12))
            found.append(
                PassengerCount(
                    measured_ms=ms(at_s) + number % 1000, received_ms=ms(at_s) + 700, vehicle_id=self.vehicle_id,
                    onboard=self._onboard, capacity=90,
                )
            )  # fmt: skip
        return found


def city(seconds: int, seed: int = 1) -> list[list[Event]]:
    """The events of each second."""
    chance = random.Random(seed)
    lines = load_routes(CITY_DIR)
    ways = {line.route: [Track(one) for one in lines if one.route == line.route] for line in lines}
    movers = [
        Mover(number, ways[chance.choice(list(ways))], random.Random(chance.random())) for number in range(VEHICLES)
    ]
    found = []
    for at_s in range(BEGIN_S, BEGIN_S + seconds):
        events = [event for number, one in enumerate(movers) for event in one.second(at_s, number)]
        at = {"measured_ms": ms(at_s), "received_ms": ms(at_s) + 300}
        for number in range(CAMERAS):
            if chance.random() < 1 / 60:
                events.append(
                    CameraEvent(
                        **at, camera_id=f"cam-{number}", kind="car", event_id=f"{at_s}-{number}", phase="new",
                        score=round(chance.random(), 3),
                    )
                )  # fmt: skip
            if chance.random() < 1 / 300:
                events.append(CameraStatus(**at, camera_id=f"cam-{number}", online=True, lat=41.3, lon=69.3))
        for number in range(SENSORS):
            if (at_s + number) % 60 == 0:
                kind = (("electricity", "voltage", "V", 230.0), ("water", "pressure", "bar", 4.0))[number % 2]
                events.append(
                    SensorReading(
                        **at, sensor_id=f"s{number}", network=kind[0], quantity=kind[1], unit=kind[2], lat=41.3,
                        lon=69.3,
                        value=round(kind[3] * chance.uniform(0.99, 1.01), 2), district="1726269", mahalla="1726269001",
                    )
                )  # fmt: skip
        found.append(events)
    return found


class Costs(Struct):
    """Seconds that one pass took, in parts."""

    apply_s: float = 0.0
    tick_s: float = 0.0
    memory_s: float = 0.0
    memory_bytes: int = 0
    events: int = 0


def one_pass(detection: Detection, seconds: Sequence[Sequence[Event]]) -> Costs:
    """All seconds before the detectors; the first ones only fill their memory."""
    costs, clock = Costs(), time.process_time
    detection.tick(ms(BEGIN_S))
    for at, events in enumerate(seconds):
        pairs = [(event, False) for event in events]
        counts = at >= WARM_S
        begin = clock()
        for place in range(0, len(pairs), BATCH):
            detection.apply(pairs[place : place + BATCH])
        applied = clock()
        detection.tick(ms(BEGIN_S + at + 1))
        ticked = clock()
        size = 0
        if at % WRITE_EVERY_S == 0:
            size = sum(map(len, detection.changed_memory()[0].values()))
            detection.written()
        if counts:
            costs.apply_s += applied - begin
            costs.tick_s += ticked - applied
            costs.memory_s += clock() - ticked
            costs.memory_bytes += size
            costs.events += len(events)
    return costs


def picture_s(seconds: Sequence[Sequence[Event]]) -> float:
    """Seconds that the picture alone takes of the counted part."""
    picture, took = Picture(), 0.0
    for at, events in enumerate(seconds):
        begin = time.process_time()
        for event in events:
            picture.apply(event)
        took += time.process_time() - begin if at >= WARM_S else 0.0
    return took


def decode_s(seconds: Sequence[Sequence[Event]]) -> float:
    """Seconds that what the store's entries hold takes to be events again, by facet as `Store.read_events` does it."""
    decoders = {kind: msgspec.json.Decoder(list[kind]).decode for kind in EVENT_TYPES.values()}  # type: ignore[valid-type]
    entries: list[tuple[type[Event], bytes]] = []
    for events in seconds[WARM_S:]:
        by_kind: dict[type[Event], list[Event]] = {}
        for event in events:
            by_kind.setdefault(type(event), []).append(event)
        entries += [(kind, msgspec.json.encode(some)) for kind, some in by_kind.items()]
    begin = time.process_time()
    for kind, entry in entries:
        decoders[kind](entry)
    return time.process_time() - begin


def detection_of(rules: Alarms, routes: Routes, only: str | None) -> Detection:
    """All rules, one alone, or (an empty name) none."""
    if only is not None:
        changed = {
            name: getattr(rules, name).model_copy(update={"enabled": False})
            for name in Alarms.model_fields
            if name != only
        }
        rules = rules.model_copy(update=changed)
    return Detection(rules, 80, Clock(ZoneInfo("Asia/Tashkent")), routes)


def speed(size: Speed, rules: Alarms) -> dict[str, object]:
    """Print and give the microseconds of an event, altogether and by detector."""
    seconds = city(WARM_S + int(size.seconds))
    routes = Routes(load_routes(CITY_DIR))
    counted = sum(map(len, seconds[WARM_S:]))
    taken: dict[str, list[float]] = {}
    memory: list[float] = []
    for _ in range(size.rounds):
        taken.setdefault("decode", []).append(decode_s(seconds))
        taken.setdefault("picture", []).append(picture_s(seconds))
        whole = one_pass(detection_of(rules, routes, None), seconds)
        for name, took in (
            ("detectors with picture", whole.apply_s),
            ("ticks", whole.tick_s),
            ("memory", whole.memory_s),
        ):
            taken.setdefault(name, []).append(took)
        memory.append(whole.memory_bytes / size.seconds)
        taken.setdefault("everything", []).append(taken["decode"][-1] + whole.apply_s + whole.tick_s + whole.memory_s)
        bare = one_pass(detection_of(rules, routes, ""), seconds)
        taken.setdefault("apply without detectors", []).append(bare.apply_s)
        for detector in DETECTORS:
            if any(issubclass(kind, Event) for kind in detector.takes):
                one = one_pass(detection_of(rules, routes, detector.rule), seconds)
                taken.setdefault(detector.rule, []).append(one.apply_s - bare.apply_s)
    us = {name: round(statistics.median(values) / counted * 1e6, 2) for name, values in taken.items()}
    per_s = round(1e6 / us["everything"])
    print(
        f"\n{counted:,} events of {size.seconds:.0f} s, {counted / size.seconds:,.0f} a second; µs an event of any kind"
    )
    for name, value in us.items():
        print(f"{name:28}{value:>8.2f}")
    print(f"one worker: {per_s:,} events/s; memory written: {statistics.median(memory) / 1e6:.2f} MB/s")
    return {"us_an_event": us, "events_per_s": per_s, "memory_bytes_per_s": round(statistics.median(memory))}
