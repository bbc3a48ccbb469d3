"""Fuel use of the fleet: litres burned over metres driven, of the last minutes.

Litres come from the vehicles' own counters (`used_l`); where those are missing, from the gauge's
level between two readings with driving in between, where thefts and refuels are too large to pass.
Metres come from odometers; where those are missing, from place to place. Only vehicles that give
both count, from when both are known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct

from city.events import Event, FuelReading, VehiclePosition

BUCKET_MS = 60_000
# Below so much driving the quotient says more about rounding than about fuel.
DRIVEN_MIN_M = 1_000.0
# Between two readings a counter steps at most so far; further is a reset or another vehicle's unit.
USED_STEP_MAX_L = 30.0
SPEED_MAX_MPS = 45.0
# A level changes by driving no more than this between two readings; more is theft, refuel or a fault.
LEVEL_STEP_MAX_L = 3.0
DROVE_MIN_M = 50.0
# From place to place: nearer is the jitter of a satellite fix, longer ago is a way that nobody saw.
PLACE_STEP_MIN_M = 10.0
PLACE_STEP_MAX_MS = 60_000
METRES_PER_DEGREE = 111_195.0


class _Tank(Struct):
    """What the next reading of one vehicle is compared with."""

    position_ms: int = 0
    lat: float = 0.0
    lon: float = 0.0
    odometer_m: float | None = None
    fuel_ms: int = 0
    used_l: float | None = None
    level_l: float | None = None
    since_level_m: float = 0.0  # driven since the last level


class MeterState(Struct):
    """What a meter keeps over a restart."""

    tanks: dict[str, _Tank] = {}
    buckets: dict[int, tuple[float, float]] = {}


@dataclass(slots=True)
class FuelMeter:
    """Sums of burned litres and driven metres by minute; feed it every event in order."""

    window_s: float
    state: MeterState = field(default_factory=MeterState)
    measured_ms: int = 0  # newest that was counted

    def apply(self, event: Event) -> None:
        """Take an event in; older ones than the vehicle's last say nothing."""
        if isinstance(event, VehiclePosition):
            tank = self.state.tanks.get(event.vehicle_id)
            # Vehicles without fuel readings are not followed: their metres would thin the litres.
            if tank is not None and event.measured_ms > tank.position_ms:
                self._drive(tank, event)
        elif isinstance(event, FuelReading):
            tank = self.state.tanks.get(event.vehicle_id)
            if tank is None:
                tank = self.state.tanks[event.vehicle_id] = _Tank()
            if event.measured_ms > tank.fuel_ms:
                self._burn(tank, event)

    def sums(self, now_ms: int) -> tuple[float, float]:
        """Burned litres and driven metres of the last `window_s`."""
        oldest = (now_ms - int(self.window_s * 1000)) // BUCKET_MS
        buckets = self.state.buckets
        for gone in [bucket for bucket in buckets if bucket < oldest]:
            del buckets[gone]
        return sum(b for b, _ in buckets.values()), sum(d for _, d in buckets.values())

    def l_per_100km(self, now_ms: int) -> float | None:
        """Litres for 100 km, None until the fleet has driven far enough."""
        burned_l, driven_m = self.sums(now_ms)
        return max(0.0, burned_l) / driven_m * 100_000 if driven_m >= DRIVEN_MIN_M else None

    def forget(self, before_ms: int) -> None:
        """Drop vehicles that were not heard of since."""
        tanks = self.state.tanks
        for gone in [name for name, tank in tanks.items() if max(tank.fuel_ms, tank.position_ms) < before_ms]:
            del tanks[gone]

    def _drive(self, tank: _Tank, position: VehiclePosition) -> None:
        elapsed_ms = position.measured_ms - tank.position_ms
        driven_m = 0.0
        place_kept = False
        if position.odometer_m is not None:
            if tank.odometer_m is not None:
                driven_m = position.odometer_m - tank.odometer_m
        elif tank.position_ms and elapsed_ms <= PLACE_STEP_MAX_MS:
            north_m = (position.lat - tank.lat) * METRES_PER_DEGREE
            east_m = (position.lon - tank.lon) * METRES_PER_DEGREE * math.cos(math.radians(position.lat))
            driven_m = math.hypot(north_m, east_m)
            # Stay where we were until it is a step: slow driving must not vanish in the jitter.
            place_kept = driven_m < PLACE_STEP_MIN_M
        tank.odometer_m = position.odometer_m
        if place_kept:
            return
        tank.position_ms, tank.lat, tank.lon = position.measured_ms, position.lat, position.lon
        if 0 < driven_m <= SPEED_MAX_MPS * elapsed_ms / 1000:
            tank.since_level_m += driven_m
            if tank.used_l is not None or tank.level_l is not None:
                self._add(position.measured_ms, 0.0, driven_m)

    def _burn(self, tank: _Tank, reading: FuelReading) -> None:
        tank.fuel_ms = reading.measured_ms
        if reading.used_l is not None:
            burned_l = reading.used_l - tank.used_l if tank.used_l is not None else 0.0
            if tank.position_ms and 0 < burned_l <= USED_STEP_MAX_L:
                self._add(reading.measured_ms, burned_l, 0.0)
            tank.used_l = reading.used_l
            return
        level_l = reading.level_l
        if level_l is None and reading.level_pct is not None and reading.capacity_l:
            level_l = reading.level_pct / 100 * reading.capacity_l
        if level_l is None or tank.used_l is not None:
            return
        if tank.level_l is not None:
            # Rises count too: slosh goes both ways, and only the sum of both is what was burned.
            if tank.since_level_m < DROVE_MIN_M and abs(tank.level_l - level_l) <= LEVEL_STEP_MAX_L:
                return
            if abs(tank.level_l - level_l) <= LEVEL_STEP_MAX_L:
                self._add(reading.measured_ms, tank.level_l - level_l, 0.0)
        tank.level_l, tank.since_level_m = level_l, 0.0

    def _add(self, at_ms: int, burned_l: float, driven_m: float) -> None:
        bucket = at_ms // BUCKET_MS
        burned, driven = self.state.buckets.get(bucket, (0.0, 0.0))
        self.state.buckets[bucket] = (burned + burned_l, driven + driven_m)
        self.measured_ms = max(self.measured_ms, at_ms)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(MeterState).decode


def encode_meter(meter: FuelMeter) -> bytes:
    """What `decode_meter` reads."""
    return _encode(meter.state)


def decode_meter(state: bytes, window_s: float) -> FuelMeter:
    """The meter as it was; raises msgspec.DecodeError on another version's state."""
    meter = FuelMeter(window_s, _decode(state))
    meter.measured_ms = max((tank.fuel_ms for tank in meter.state.tanks.values()), default=0)
    return meter
