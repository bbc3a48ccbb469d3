"""The whole simulated city: fleet, passengers, tanks, cameras and meters, a slice of a second at a time.

Every vehicle has a moment of its own within the period of its messages, so that a city of
thousands speaks evenly and not in bursts. All chance comes from the seed: the same seed, start
and size give the same messages.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

import numpy as np
from msgspec import Struct

from sim.cameras import CameraWatch, place_cameras
from sim.fleet import LAYOVER, TIME_FIELDS, Motion, fresh_fleet
from sim.fuel import Thieves, burn, gauge_l
from sim.messages import Fuel, Outgoing, Passengers, Position, encode, vehicle_topics
from sim.network import F64, I64, Network
from sim.passengers import Crowds
from sim.registry import register
from sim.sensors import Meter, MeterWatch
from sim.service import PASSENGERS_EVERY_S, Service, Timetable
from sim.traffic import Daytime, block_shares
from sim.truth import Anomaly, rfc3339

# A fresh city runs so long before anybody looks: buses bunch, stand at stops and at terminals.
WARM_UP_S = 900
FUEL_EVERY_S = 10.0
_STEP_MAX_S = 1.0
# At the start every load is told within so many seconds.
_FIRST_COUNTS_S = 4.0


class TownPlan(Struct, frozen=True, kw_only=True):
    """What makes one simulated city."""

    city: str
    vehicles: int
    cameras: int
    rate_hz: float  # positions a second and vehicle
    seed: int
    start_ms: int  # epoch ms of simulated second 0
    zone: tzinfo
    crowded_from: float = 1.2  # load that the truth calls crowding
    slice_s: float = 0.02  # moments at which vehicles speak are so far apart


class Memory(Struct, frozen=True):
    """A city as it was when a run ended, to go on from."""

    start_ms: int
    t: float
    arrays: dict[str, F64 | I64]


class Town:
    """The city at simulated second `t`; `step` brings the next slice."""

    def __init__(
        self, network: Network, plan: TownPlan, memory: Memory | None = None, *, meters: Sequence[Meter] = ()
    ) -> None:
        self._network = network
        self._plan = plan
        self.start_ms = plan.start_ms
        seeds = np.random.SeedSequence(plan.seed).spawn(7)
        # Who comes later is added at the end: the others' chance stays as it was.
        rng_fleet, rng_service, rng_fuel, rng_cameras, rng_roads, rng_crowds, rng_meters = map(
            np.random.default_rng, seeds
        )
        self._daytime = Daytime(plan.start_ms, plan.zone)
        self.papers = register(network.lines, plan.vehicles, plan.seed)
        self._capacity = np.array([float(p.capacity) for p in self.papers])
        self._tank_l = np.array([p.tank_l for p in self.papers])
        self._topics = [vehicle_topics(plan.city, p.vehicle_id) for p in self.papers]
        self._rng = rng_fuel
        self.fleet = fresh_fleet(network, self.papers, -WARM_UP_S, rng_fleet)
        blocks = block_shares(network.length_m, rng_roads)
        timetable = Timetable(network, blocks)
        headway_s = timetable.headways_s(self.papers, self._daytime.speed_share(0.0))
        self._crowds = Crowds(network, headway_s, rng_crowds)
        self._service = Service(
            network,
            self.papers,
            self.fleet,
            crowds=self._crowds,
            daytime=self._daytime,
            timetable=timetable,
            rng=rng_service,
        )
        self._motion = Motion(network, self.fleet, blocks, rng_fleet)
        self._thieves = Thieves(self._tank_l, rng_fuel)
        self.cameras = place_cameras(network, plan.cameras, plan.seed)
        self._watch = CameraWatch(plan.city, self.cameras, rng_cameras, self.stamp, self.epoch_ms)
        self._meters = MeterWatch(plan.city, meters, rng_meters, self.stamp, self.epoch_ms)
        self._crowded_since: dict[int, tuple[float, float]] = {}  # vehicle → (since, highest load)
        self._planted: list[Anomaly] = []

        self._period_s = 1 / plan.rate_hz
        count = max(1, round(self._period_s / plan.slice_s))
        self.slice_s = self._period_s / count
        deal = rng_fleet.permutation(plan.vehicles)
        self._slices: list[I64] = [np.sort(deal[n::count]) for n in range(count)]
        self._number = 0
        self._everybody = np.arange(plan.vehicles)
        self._before_start(-float(WARM_UP_S) if memory is None else self._recall(memory))
        self.fleet.passengers_due_s[:] = rng_fleet.uniform(0.0, _FIRST_COUNTS_S, plan.vehicles)
        self.fleet.fuel_due_s[:] = rng_fleet.uniform(0.0, FUEL_EVERY_S, plan.vehicles)

    @property
    def t(self) -> float:
        """Simulated seconds from the start to the slice that `step` brings next."""
        return self._number * self.slice_s

    def epoch_ms(self, t: float) -> int:
        return self.start_ms + round(t * 1000)

    def stamp(self, t: float) -> str:
        return rfc3339(self.epoch_ms(t))

    def announce(self) -> None:
        """Tell cameras' statuses and vehicles' loads anew, to a broker that just came (back)."""
        self._watch.announce()
        self.fleet.passengers_due_s[:] = np.minimum(
            self.fleet.passengers_due_s, self.t + np.linspace(0.0, _FIRST_COUNTS_S, self.fleet.size)
        )

    def step(self, *, listening: bool = True) -> list[Outgoing]:
        """The next slice's messages; without a listener the city lives on and says nothing."""
        t = self.t
        index = self._slices[self._number % len(self._slices)]
        self._number += 1
        out: list[Outgoing] | None = [] if listening else None
        if len(index):
            moved = self._drive(index, t, self._period_s)
            self._burn(index, moved, t, self._period_s)
            if out is not None:
                self._speak(index, t, out)
        theft = self._thieves.step(self.fleet, t)
        if theft is not None:
            self._planted.append(
                Anomaly(
                    kind="fuel_theft",
                    entity=self.papers[theft.vehicle].vehicle_id,
                    start_ms=self.epoch_ms(theft.start_s),
                    end_ms=self.epoch_ms(theft.end_s),
                    numbers={"litres": theft.litres},
                )
            )
        self._planted += self._watch.step(t, 0.3 + 0.7 * self._daytime.demand_share(t), out)
        self._planted += self._meters.step(t, self._daytime.load_share(t), out)
        return out or []

    def planted(self, *, final: bool = False) -> list[Anomaly]:
        """Anomalies since the last call; `final` adds those that are not over."""
        if final:
            self._planted += [self._crowding(vehicle, None) for vehicle in sorted(self._crowded_since)]
            self._crowded_since.clear()
        planted, self._planted = self._planted, []
        return planted

    def remember(self) -> Memory:
        """Everything that a later run needs to go on without a jump."""
        crowds = {"crowd_left_s": self._crowds.left_s, "crowd_left_behind": self._crowds.left_behind}
        return Memory(self.start_ms, self.t, {**self.fleet.arrays(), **crowds})

    def skip_time(self, lost_s: float) -> None:
        """The clock jumps (a machine that slept): the city goes on from where it was."""
        self.start_ms += round(lost_s * 1000)

    def _recall(self, memory: Memory) -> float:
        """Take over a former run's state; returns its time, on this run's clock."""
        shift_s = (self._plan.start_ms - memory.start_ms) / 1000
        for name, array in self.fleet.arrays().items():
            array[:] = memory.arrays[name] - shift_s if name in TIME_FIELDS else memory.arrays[name]
        self._crowds.left_s[:] = memory.arrays["crowd_left_s"] - shift_s
        self._crowds.left_behind[:] = memory.arrays["crowd_left_behind"]
        return memory.t - shift_s

    def _before_start(self, since_s: float) -> None:
        """Live through the time from `since_s` to second 0 unheard, in steps of about a second."""
        if since_s == -WARM_UP_S:
            self._service.begin(since_s)
        steps = max(0, math.ceil(-since_s))
        for number in range(steps):
            t = since_s * (1 - (number + 1) / steps)
            dt_s = -since_s / steps
            moved = self._drive(self._everybody, t, dt_s)
            self._burn(self._everybody, moved, t, dt_s)
        self.fleet.boarded[:] = 0
        self.fleet.alighted[:] = 0

    def _burn(self, index: I64, moved_m: F64, t: float, dt_s: float) -> None:
        ignition = self._service.ignition(t, index)
        burn(self.fleet, index, moved_m, dt_s, capacity=self._capacity[index], ignition=ignition)

    def _drive(self, index: I64, t: float, period_s: float) -> F64:
        """Move vehicles through the period that ends at `t`; returns the metres of each."""
        steps = max(1, math.ceil(period_s / _STEP_MAX_S))
        total = np.zeros(len(index))
        for number in range(steps):
            now = t - period_s * (1 - (number + 1) / steps)
            self._service.leave_if_due(now, index)
            moved, arrived = self._motion.step(index, period_s / steps, self._daytime.speed_share(now))
            for vehicle in arrived:
                self._service.arrive(vehicle, now)
            total += moved
        return total

    def _speak(self, index: I64, t: float, out: list[Outgoing]) -> None:
        fleet, ts = self.fleet, self.stamp(t)
        places = self._network.locate(fleet.line[index], fleet.at_m[index])
        ignition = self._service.ignition(t, index)
        rows = zip(
            index.tolist(),
            np.round(places.lat, 6).tolist(),
            np.round(places.lon, 6).tolist(),
            np.round(places.bearing_deg, 1).tolist(),
            np.round(fleet.speed_mps[index], 2).tolist(),
            np.round(fleet.odometer_m[index], 1).tolist(),
            np.round(self._service.schedule_deviation_s(t, index)).tolist(),
            ignition.tolist(),
            fleet.line[index].tolist(),
            strict=True,
        )
        for vehicle, lat, lon, bearing, speed, odometer, deviation, engine, number in rows:
            line, papers = self._network.lines[number], self.papers[vehicle]
            position = Position(
                ts=ts,
                lat=lat,
                lon=lon,
                speed_mps=speed,
                bearing_deg=bearing % 360,
                route=line.route_ref,
                direction=line.direction,
                trip=self._trip(vehicle, line.route_ref, line.direction),
                odometer_m=odometer,
                ignition=engine,
                vin=papers.vin,
                mode=papers.mode,
                schedule_deviation_s=deviation,
            )
            out.append(Outgoing(self._topics[vehicle][0], encode(position)))
        for vehicle in index[fleet.passengers_due_s[index] <= t].tolist():
            self._speak_passengers(vehicle, t, ts, out)
        due = index[(fleet.fuel_due_s[index] <= t) & (self._tank_l[index] > 0)]
        gauges = gauge_l(fleet.level_l[due], fleet.speed_mps[due] > 0, self._tank_l[due], self._rng)
        engines = self._service.ignition(t, due)
        for vehicle, level, engine in zip(due.tolist(), np.round(gauges, 1).tolist(), engines.tolist(), strict=True):
            used_l = round(float(fleet.used_l[vehicle]), 2)
            fuel = Fuel(ts, level, self.papers[vehicle].tank_l, used_l, engine)
            out.append(Outgoing(self._topics[vehicle][2], encode(fuel)))
        # After a silence the next one is ten seconds from now, not from when it was due.
        fleet.fuel_due_s[due] += FUEL_EVERY_S * np.ceil((t - fleet.fuel_due_s[due] + 1e-9) / FUEL_EVERY_S)

    def _speak_passengers(self, vehicle: int, t: float, ts: str, out: list[Outgoing]) -> None:
        fleet, papers = self.fleet, self.papers[vehicle]
        boarded, alighted = int(fleet.boarded[vehicle]), int(fleet.alighted[vehicle])
        onboard = int(fleet.onboard[vehicle])
        stop = self._service.stop_at[vehicle] if boarded or alighted else None
        count = Passengers(ts, boarded, alighted, onboard, papers.capacity, stop)
        out.append(Outgoing(self._topics[vehicle][1], encode(count)))
        fleet.boarded[vehicle] = fleet.alighted[vehicle] = 0
        fleet.passengers_due_s[vehicle] = t + PASSENGERS_EVERY_S
        load = onboard / papers.capacity
        since_s, highest = self._crowded_since.get(vehicle, (t, 0.0))
        if load >= self._plan.crowded_from:
            self._crowded_since[vehicle] = since_s, max(highest, load)
        elif vehicle in self._crowded_since:
            self._planted.append(self._crowding(vehicle, t))
            del self._crowded_since[vehicle]

    def _crowding(self, vehicle: int, end_s: float | None) -> Anomaly:
        since_s, highest = self._crowded_since[vehicle]
        return Anomaly(
            kind="crowding",
            entity=self.papers[vehicle].vehicle_id,
            start_ms=self.epoch_ms(since_s),
            end_ms=None if end_s is None else self.epoch_ms(end_s),
            numbers={"load": highest},
        )

    def _trip(self, vehicle: int, route_ref: str, direction: int) -> str:
        """Route, direction and scheduled departure (UTC), as one word."""
        departs = datetime.fromtimestamp(self.start_ms / 1000 + float(self.fleet.trip_start_s[vehicle]), UTC)
        return f"{route_ref}-{direction}-{departs:%Y%m%dT%H%M%S}"

    def standing_at_terminals(self) -> int:
        return int(np.count_nonzero(self.fleet.phase == LAYOVER))
