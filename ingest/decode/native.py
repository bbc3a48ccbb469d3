"""Markaz's own format: `markaz/v1/<city>/<feed>/<id>/<kind>` with one JSON object.

`docs/contracts.md` lists topics and fields. Fields that it does not name are ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import msgspec
from msgspec import Struct, field

from city.models import (
    CameraEvent,
    CameraStatus,
    Case,
    Event,
    FuelReading,
    PassengerCount,
    Reading,
    Received,
    RejectReason,
    SensorReading,
    VehiclePosition,
    VehicleStatus,
)
from ingest.decode.outcome import (
    UNKNOWN_FEED,
    Format,
    Outcome,
    Read,
    Undecodable,
    check_id,
    read_json,
    reading,
    refusing,
    rejected,
)
from ingest.decode.times import WireTime, read_time_ms
from ingest.decode.wire import (
    Bearing,
    Capacity,
    Count,
    Deviation,
    Lat,
    Litres,
    Lon,
    LongText,
    Metres,
    Name,
    Onboard,
    Passengers,
    Percent,
    Share,
    Speed,
    Text,
    Url,
    Word,
    name_text,
)

_TOPIC_LEVELS = 6


class _Wire(Struct):
    ts: WireTime


class _Position(_Wire):
    lat: Lat | None  # required, but a device without a fix may say null
    lon: Lon | None
    speed_mps: Speed | None = None
    bearing_deg: Bearing | None = None
    route: Name | None = None
    direction: Literal[1, 2] | None = None
    trip: Name | None = None
    odometer_m: Metres | None = None
    ignition: bool | None = None
    vin: Word | None = None
    mode: Word | None = None
    schedule_deviation_s: Deviation | None = None


class _Passengers(_Wire):
    boarded: Passengers | None = field(default=None, name="in")
    alighted: Passengers | None = field(default=None, name="out")
    onboard: Onboard | None = None
    capacity: Capacity | None = None
    stop: Name | None = None
    door: Name | None = None


class _Fuel(_Wire):
    level_l: Litres | None = None
    level_pct: Percent | None = None
    capacity_l: Litres | None = None
    used_l: Litres | None = None
    ignition: bool | None = None


class _CameraEvent(_Wire):
    kind: Word
    severity: Literal["info", "alert"] | None = None
    score: Share | None = None
    zone: Text | None = None
    plate: Word | None = None
    snapshot_url: Url | None = None
    count: Count | None = None
    event_id: Text | None = None
    phase: Literal["new", "update", "end"] | None = None


class _CameraStatus(_Wire):
    online: bool
    stream_url: Url | None = None
    name: Text | None = None
    lat: Lat | None = None
    lon: Lon | None = None


class _Sensor(_Wire):
    quantity: Word
    value: float
    unit: Word
    lat: Lat | None = None
    lon: Lon | None = None
    network: Word | None = None


class _Case(_Wire):
    category: Text
    status: Literal["open", "in_progress", "closed", "rejected"]
    lat: Lat | None = None
    lon: Lon | None = None
    address_code: Text | None = None
    title: LongText | None = None
    text: LongText | None = None
    severity: Text | None = None
    agency: Text | None = None
    due_at: WireTime | None = None
    reporter: Text | None = None


_read_position = msgspec.json.Decoder(_Position).decode
_read_passengers = msgspec.json.Decoder(_Passengers).decode
_read_fuel = msgspec.json.Decoder(_Fuel).decode
_read_camera_event = msgspec.json.Decoder(_CameraEvent).decode
_read_camera_status = msgspec.json.Decoder(_CameraStatus).decode
_read_sensor = msgspec.json.Decoder(_Sensor).decode
_read_case = msgspec.json.Decoder(_Case).decode


def bind(topic: str) -> Read:
    """The reader of a native topic."""
    levels = topic.split("/")
    if len(levels) == _TOPIC_LEVELS and levels[3] == "case":
        return _case_reader(levels[4], levels[5])
    kind = KINDS.get((levels[3], levels[5])) if len(levels) == _TOPIC_LEVELS else None
    if kind is None:
        problem = Undecodable(RejectReason.UNKNOWN_TOPIC, "expected markaz/v1/<city>/<feed>/<id>/<kind>")
        return refusing(UNKNOWN_FEED, problem)
    feed = f"{levels[3]}/{levels[5]}"
    try:
        return kind(feed, check_id(levels[3], levels[4]))
    except Undecodable as problem:
        return refusing(feed, problem)


def _position_reader(feed: str, vehicle_id: str) -> Read:
    def read(message: Received) -> tuple[Outcome, ...]:
        try:
            wire = read_json(_read_position, message.payload)
            measured_ms = read_time_ms(wire.ts)
        except Undecodable as problem:
            return (rejected(feed, problem, message),)
        lat, lon = wire.lat, wire.lon
        if lat is None or lon is None:
            # What else a vehicle without a fix says is still true.
            no_position = Undecodable(RejectReason.NO_POSITION, "lat or lon is null")
            status = Reading("", _status(vehicle_id, wire, measured_ms, message), message)
            return (rejected(feed, no_position, message), status)
        bearing_deg = wire.bearing_deg
        route, trip = wire.route, wire.trip
        # Spelled out, not shared with `_status`: this is the path of nearly every message.
        position = VehiclePosition(
            vehicle_id=vehicle_id,
            measured_ms=measured_ms,
            received_ms=message.received_ms,
            lat=lat,
            lon=lon,
            speed_mps=wire.speed_mps,
            bearing_deg=bearing_deg if bearing_deg is None or bearing_deg < 360 else bearing_deg - 360,
            route=route if type(route) is str and route else name_text(route),
            direction=wire.direction,
            trip=trip if type(trip) is str and trip else name_text(trip),
            odometer_m=wire.odometer_m,
            ignition=wire.ignition,
            vin=wire.vin,
            mode=wire.mode,
            schedule_deviation_s=wire.schedule_deviation_s,
        )
        return (Reading(feed, position, message),)

    return read


def _status(vehicle_id: str, wire: _Position, measured_ms: int, message: Received) -> VehicleStatus:
    return VehicleStatus(
        vehicle_id=vehicle_id,
        measured_ms=measured_ms,
        received_ms=message.received_ms,
        speed_mps=wire.speed_mps,
        bearing_deg=None if wire.bearing_deg is None else wire.bearing_deg % 360,
        route=name_text(wire.route),
        direction=wire.direction,
        trip=name_text(wire.trip),
        odometer_m=wire.odometer_m,
        ignition=wire.ignition,
        vin=wire.vin,
        mode=wire.mode,
        schedule_deviation_s=wire.schedule_deviation_s,
    )


def _passengers(vehicle_id: str, message: Received) -> Event:
    wire = read_json(_read_passengers, message.payload)
    if wire.onboard is None and (wire.boarded is None or wire.alighted is None):
        raise Undecodable(RejectReason.BAD_TYPE, "either in and out, or onboard, is required")
    return PassengerCount(
        vehicle_id=vehicle_id,
        measured_ms=read_time_ms(wire.ts),
        received_ms=message.received_ms,
        boarded=wire.boarded,
        alighted=wire.alighted,
        onboard=wire.onboard,
        capacity=wire.capacity,
        stop=name_text(wire.stop),
        door=name_text(wire.door),
    )


def _fuel(vehicle_id: str, message: Received) -> Event:
    wire = read_json(_read_fuel, message.payload)
    if wire.level_l is None and wire.level_pct is None:
        raise Undecodable(RejectReason.BAD_TYPE, "either level_l or level_pct is required")
    return FuelReading(
        vehicle_id=vehicle_id,
        measured_ms=read_time_ms(wire.ts),
        received_ms=message.received_ms,
        level_l=wire.level_l,
        level_pct=wire.level_pct,
        capacity_l=wire.capacity_l,
        used_l=wire.used_l,
        ignition=wire.ignition,
    )


def _camera_event(camera_id: str, message: Received) -> Event:
    wire = read_json(_read_camera_event, message.payload)
    return CameraEvent(
        camera_id=camera_id,
        measured_ms=read_time_ms(wire.ts),
        received_ms=message.received_ms,
        kind=wire.kind,
        severity=wire.severity or "info",
        score=wire.score,
        zone=wire.zone,
        plate=wire.plate,
        snapshot_url=wire.snapshot_url,
        count=wire.count,
        event_id=wire.event_id,
        phase=wire.phase,
    )


def _camera_status(camera_id: str, message: Received) -> Event:
    wire = read_json(_read_camera_status, message.payload)
    _need_both(wire.lat, wire.lon)
    return CameraStatus(
        camera_id=camera_id,
        measured_ms=read_time_ms(wire.ts),
        received_ms=message.received_ms,
        online=wire.online,
        stream_url=wire.stream_url,
        name=wire.name,
        lat=wire.lat,
        lon=wire.lon,
    )


def _sensor(sensor_id: str, message: Received) -> Event:
    wire = read_json(_read_sensor, message.payload)
    _need_both(wire.lat, wire.lon)
    return SensorReading(
        sensor_id=sensor_id,
        measured_ms=read_time_ms(wire.ts),
        received_ms=message.received_ms,
        quantity=wire.quantity,
        value=wire.value,
        unit=wire.unit,
        lat=wire.lat,
        lon=wire.lon,
        network=wire.network,
    )


def _case(source: str, case_id: str, message: Received) -> Event:
    wire = read_json(_read_case, message.payload)
    _need_both(wire.lat, wire.lon)
    if wire.lat is None and not wire.address_code:
        raise Undecodable(RejectReason.BAD_TYPE, "either lat and lon, or address_code, is required")
    return Case(
        source=source,
        case_id=case_id,
        measured_ms=read_time_ms(wire.ts),
        received_ms=message.received_ms,
        category=wire.category,
        status=wire.status,
        lat=wire.lat,
        lon=wire.lon,
        address_code=wire.address_code,
        title=wire.title,
        text=wire.text,
        severity=wire.severity,
        agency=wire.agency,
        due_ms=None if wire.due_at is None else read_time_ms(wire.due_at, "due_at"),
        reporter=wire.reporter,
    )


def _case_reader(source: str, case_id: str) -> Read:
    try:
        return reading("case", partial(_case, check_id("source", source), check_id("case", case_id)))
    except Undecodable as problem:
        return refusing("case", problem)


def _reader(read: Callable[[str, Received], Event]) -> Callable[[str, str], Read]:
    """(feed, id) → reader, for topics whose every message is one event."""
    return lambda feed, entity_id: reading(feed, partial(read, entity_id))


def _need_both(lat: float | None, lon: float | None) -> None:
    if (lat is None) != (lon is None):
        raise Undecodable(RejectReason.BAD_TYPE, "lat and lon go together")


# Topic levels 3 and 5 → (feed, id) → reader. A case's last level is its id.
KINDS: Mapping[tuple[str, str], Callable[[str, str], Read]] = {
    ("vehicle", "position"): _position_reader,
    ("vehicle", "passengers"): _reader(_passengers),
    ("vehicle", "fuel"): _reader(_fuel),
    ("camera", "event"): _reader(_camera_event),
    ("camera", "status"): _reader(_camera_status),
    ("sensor", "reading"): _reader(_sensor),
}

FORMAT = Format(bind)
