"""What the native messages hold, and the events that they are: everything but topics and JSON.

The one place for the native fields' types and bounds, shared by the native topics and by the
mappings of `config.yaml`. `docs/contracts.md` lists the fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from msgspec import Struct, field

from city.events import (
    CameraEvent,
    CameraStatus,
    Case,
    Event,
    FuelReading,
    PassengerCount,
    SensorReading,
    VehiclePosition,
    VehicleStatus,
)
from city.messages import Reading, Received, RejectReason
from ingest.decode.outcome import Outcome, Undecodable, rejected
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


class Message(Struct):
    """What every native message says."""

    ts: WireTime


class PositionMessage(Message):
    """`vehicle/<id>/position`."""

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


class PassengersMessage(Message):
    """`vehicle/<id>/passengers`."""

    boarded: Passengers | None = field(default=None, name="in")
    alighted: Passengers | None = field(default=None, name="out")
    onboard: Onboard | None = None
    capacity: Capacity | None = None
    stop: Name | None = None
    door: Name | None = None


class FuelMessage(Message):
    """`vehicle/<id>/fuel`."""

    level_l: Litres | None = None
    level_pct: Percent | None = None
    capacity_l: Litres | None = None
    used_l: Litres | None = None
    ignition: bool | None = None


class CameraEventMessage(Message):
    """`camera/<id>/event`."""

    kind: Word
    severity: Literal["info", "alert"] | None = None
    score: Share | None = None
    zone: Text | None = None
    plate: Word | None = None
    snapshot_url: Url | None = None
    count: Count | None = None
    event_id: Text | None = None
    phase: Literal["new", "update", "end"] | None = None


class CameraStatusMessage(Message):
    """`camera/<id>/status`."""

    online: bool
    stream_url: Url | None = None
    name: Text | None = None
    lat: Lat | None = None
    lon: Lon | None = None


class SensorMessage(Message):
    """`sensor/<id>/reading`."""

    quantity: Word
    value: float
    unit: Word
    lat: Lat | None = None
    lon: Lon | None = None
    network: Word | None = None


class CaseMessage(Message):
    """`case/<source>/<id>`."""

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


M = TypeVar("M", bound=Message)
# What one message of a known entity says; raises Undecodable.
Tell = Callable[[M, Received], tuple[Outcome, ...]]


def _position(feed: str, vehicle_id: str) -> Tell[PositionMessage]:
    def tell(wire: PositionMessage, message: Received) -> tuple[Outcome, ...]:
        measured_ms = read_time_ms(wire.ts)
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

    return tell


def _status(vehicle_id: str, wire: PositionMessage, measured_ms: int, message: Received) -> VehicleStatus:
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


def _passengers(vehicle_id: str, wire: PassengersMessage, message: Received) -> Event:
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


def _fuel(vehicle_id: str, wire: FuelMessage, message: Received) -> Event:
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


def _camera_event(camera_id: str, wire: CameraEventMessage, message: Received) -> Event:
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


def _camera_status(camera_id: str, wire: CameraStatusMessage, message: Received) -> Event:
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


def _sensor(sensor_id: str, wire: SensorMessage, message: Received) -> Event:
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


def _case(source: str, case_id: str, wire: CaseMessage, message: Received) -> Event:
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


def _need_both(lat: float | None, lon: float | None) -> None:
    if (lat is None) != (lon is None):
        raise Undecodable(RejectReason.BAD_TYPE, "lat and lon go together")


def _event(make: Callable[[str, M, Received], Event]) -> Callable[[str, str], Tell[M]]:
    """(feed, id) → what a message says, where that is one event."""

    def of(feed: str, entity_id: str) -> Tell[M]:
        return lambda wire, message: (Reading(feed, make(entity_id, wire, message), message),)

    return of


def case(feed: str, source: str, case_id: str) -> Tell[CaseMessage]:
    """The one kind whose entity has two names."""
    return lambda wire, message: (Reading(feed, _case(source, case_id, wire, message), message),)


class Kind(NamedTuple, Generic[M]):
    """One kind of native message: what it holds, and (feed, checked id) → what it says."""

    message: type[M]
    of: Callable[[str, str], Tell[M]]


KINDS: Mapping[str, Kind[Any]] = {
    "vehicle/position": Kind(PositionMessage, _position),
    "vehicle/passengers": Kind(PassengersMessage, _event(_passengers)),
    "vehicle/fuel": Kind(FuelMessage, _event(_fuel)),
    "camera/event": Kind(CameraEventMessage, _event(_camera_event)),
    "camera/status": Kind(CameraStatusMessage, _event(_camera_status)),
    "sensor/reading": Kind(SensorMessage, _event(_sensor)),
}
