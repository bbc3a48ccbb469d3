"""The wire contract as the simulator speaks it: native topics and their JSON payloads."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from msgspec import Struct

encode = msgspec.json.Encoder().encode


class Outgoing(NamedTuple):
    """A message for the broker."""

    topic: str
    payload: bytes
    retain: bool = False


class Position(Struct):
    """`vehicle/<id>/position`"""

    ts: str
    lat: float
    lon: float
    speed_mps: float
    bearing_deg: float
    route: str
    direction: int
    trip: str
    odometer_m: float
    ignition: bool
    vin: str
    mode: str
    schedule_deviation_s: float


class Passengers(Struct, rename={"boarded": "in", "alighted": "out"}, omit_defaults=True):
    """`vehicle/<id>/passengers`"""

    ts: str
    boarded: int
    alighted: int
    onboard: int
    capacity: int
    stop: str | None = None


class Fuel(Struct):
    """`vehicle/<id>/fuel`"""

    ts: str
    level_l: float
    capacity_l: float
    used_l: float
    ignition: bool


class CameraEvent(Struct, omit_defaults=True):
    """`camera/<id>/event`"""

    ts: str
    kind: str
    severity: str
    event_id: str
    phase: str
    score: float
    count: int | None = None
    zone: str | None = None
    plate: str | None = None


class CameraStatus(Struct):
    """`camera/<id>/status`, retained; place and name so that a new camera shows by itself."""

    ts: str
    online: bool
    lat: float
    lon: float
    name: str


class SensorReading(Struct):
    """`sensor/<id>/reading`"""

    ts: str
    quantity: str
    value: float
    unit: str
    lat: float
    lon: float
    network: str


def vehicle_topics(city: str, vehicle_id: str) -> tuple[str, str, str]:
    """(position, passengers, fuel) topics of a vehicle."""
    stem = f"markaz/v1/{city}/vehicle/{vehicle_id}/"
    return f"{stem}position", f"{stem}passengers", f"{stem}fuel"


def camera_topics(city: str, camera_id: str) -> tuple[str, str]:
    """(event, status) topics of a camera."""
    stem = f"markaz/v1/{city}/camera/{camera_id}/"
    return f"{stem}event", f"{stem}status"


def sensor_topic(city: str, sensor_id: str) -> str:
    """The reading topic of a sensor."""
    return f"markaz/v1/{city}/sensor/{sensor_id}/reading"
