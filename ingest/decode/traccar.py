"""Traccar: positions and events as its server forwards them in JSON.

A forwarded position is `{"position": …, "device": …}`, a forwarded event `{"event": …, "device": …}`
with the position that made it and the geofence, where there are any. Which one a message is says the
message, not its topic: the topics are free in Traccar's settings (`forward.topic`,
`event.forward.topic`).

One position may say two things: where the vehicle was, and how much fuel it had. Each is a reading
of its own, and one that is wrong does not take the other with it.

Source: traccar.org, "Position Forwarding" and "Event Forwarding"; org.traccar.forward.PositionData,
EventData; org.traccar.model.Position, Event, Device.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from city.events import FuelReading, VehiclePosition, VehicleStatus
from city.messages import Reading, Received, RejectReason
from ingest.decode.outcome import Format, Outcome, Read, Undecodable, check_id, read_json, rejected
from ingest.decode.times import WireTime, read_time_ms
from ingest.decode.wire import Bearing, Lat, Litres, Lon, Metres, Percent, Speed, Text, Word

POSITION_FEED = "traccar/position"
FUEL_FEED = "traccar/fuel"
EVENT_FEED = "traccar/event"

_METRES_PER_NAUTICAL_MILE = 1852
# Traccar's icons for a device that nobody gave a category.
_NO_CATEGORY = frozenset({"", "default", "arrow"})
_IGNITION = {"ignitionOn": True, "ignitionOff": False}


class _DeviceAttributes(Struct):
    vin: Word | None = None


class _Device(Struct, rename="camel"):
    unique_id: str | None = None
    category: Text | None = None
    attributes: _DeviceAttributes | None = None


class _Position(Struct, rename="camel"):
    device_id: int | None = None
    fix_time: WireTime | None = None  # when it was there
    device_time: WireTime | None = None  # when it said so, and what its attributes are of
    valid: bool | None = None
    outdated: bool | None = None  # the message bore no place: Traccar repeats the last one
    latitude: Lat | None = None
    longitude: Lon | None = None
    speed: Speed | None = None  # knots
    course: Bearing | None = None
    attributes: Raw = Raw(b"null")


class _Attributes(Struct, rename="camel"):
    ignition: bool | None = None
    odometer: Metres | None = None  # the vehicle's own
    total_distance: Metres | None = None  # as Traccar sums it up
    vin: Word | None = None


class _Fuel(Struct, rename="camel"):
    fuel: Litres | None = None
    fuel_level: Percent | None = None
    fuel_used: Litres | None = None


class _EventAttributes(Struct):
    alarm: Text | None = None


class _Event(Struct, rename="camel"):
    kind: Word = field(name="type")
    event_time: WireTime
    device_id: int | None = None
    attributes: _EventAttributes | None = None


class _Geofence(Struct):
    id: int | None = None
    name: Text | None = None


class _Message(Struct):
    device: _Device | None = None
    position: _Position | None = None
    event: _Event | None = None
    geofence: _Geofence | None = None


_read_message = msgspec.json.Decoder(_Message).decode
_read_attributes = msgspec.json.Decoder(_Attributes | None).decode
_read_fuel = msgspec.json.Decoder(_Fuel | None).decode


def bind(topic: str) -> Read:
    """The reader of a topic that Traccar forwards to."""
    # Only for what cannot be read: whether it was to be an event nobody else can tell.
    unread_feed = EVENT_FEED if "events" in topic.split("/") else POSITION_FEED
    return partial(_read, unread_feed)


def _read(unread_feed: str, message: Received) -> tuple[Outcome, ...]:
    feed = unread_feed
    try:
        wire = read_json(_read_message, message.payload)
        if wire.event is not None:
            feed = EVENT_FEED
            return (Reading(feed, _status_by_event(wire, wire.event, message), message),)
        if wire.position is not None:
            feed = POSITION_FEED
            return _said_by_position(wire, wire.position, message)
        raise Undecodable(RejectReason.BAD_TYPE, "either position or event is required")
    except Undecodable as problem:
        return (rejected(feed, problem, message),)


def _said_by_position(wire: _Message, position: _Position, message: Received) -> tuple[Outcome, ...]:
    vehicle_id = _vehicle_id(wire)
    attributes = _attributes(position)
    told_ms = _told_ms(position)
    outcomes: list[Outcome] = []
    said: dict[str, Any] = {
        "vehicle_id": vehicle_id,
        "received_ms": message.received_ms,
        "mode": _mode(wire.device),
        **_moving(wire, position, attributes),
    }
    lat, lon = position.latitude, position.longitude
    problem = _no_fix(position)
    if problem is None and lat is not None and lon is not None and position.fix_time is not None:
        fix_ms = read_time_ms(position.fix_time, "fixTime")
        outcomes.append(Reading(POSITION_FEED, VehiclePosition(lat=lat, lon=lon, measured_ms=fix_ms, **said), message))
    else:
        no_position = Undecodable(RejectReason.NO_POSITION, problem or "latitude, longitude or fixTime is missing")
        outcomes.append(rejected(POSITION_FEED, no_position, message))
        outcomes.append(Reading("", VehicleStatus(measured_ms=told_ms, **said), message))
    try:
        fuel = _fuel(vehicle_id, position, attributes, told_ms, message)
    except Undecodable as wrong:
        outcomes.append(rejected(FUEL_FEED, wrong, message))
    else:
        outcomes += [] if fuel is None else [Reading(FUEL_FEED, fuel, message)]
    return tuple(outcomes)


def _fuel(
    vehicle_id: str, position: _Position, attributes: _Attributes, told_ms: int, message: Received
) -> FuelReading | None:
    said = read_json(_read_fuel, bytes(position.attributes))
    if said is None or (said.fuel is None and said.fuel_level is None and said.fuel_used is None):
        return None
    return FuelReading(
        vehicle_id=vehicle_id,
        measured_ms=told_ms,
        received_ms=message.received_ms,
        level_l=said.fuel,
        level_pct=said.fuel_level,
        used_l=said.fuel_used,
        ignition=attributes.ignition,
    )


def _status_by_event(wire: _Message, event: _Event, message: Received) -> VehicleStatus:
    event_ms = read_time_ms(event.event_time, "eventTime")
    said: dict[str, Any] = {}
    position = wire.position
    # An event that no position made comes with none, or with one of another time.
    if position is not None and event_ms in (_told_ms(position), _ms(position.fix_time, "fixTime")):
        said = _moving(wire, position, _attributes(position))
    if event.kind in _IGNITION:
        said["ignition"] = _IGNITION[event.kind]
    return VehicleStatus(
        vehicle_id=_vehicle_id(wire),
        measured_ms=event_ms,
        received_ms=message.received_ms,
        kind=_kind(wire, event),
        mode=_mode(wire.device),
        **said,
    )


def _kind(wire: _Message, event: _Event) -> str:
    """The event's word, and which alarm or geofence it is about: two at one time are two events."""
    about: str | int | None = None
    if event.attributes is not None and event.attributes.alarm:
        about = event.attributes.alarm
    elif wire.geofence is not None:
        about = wire.geofence.name or wire.geofence.id
    return event.kind if about is None else f"{event.kind}:{about}"


def _moving(wire: _Message, position: _Position, attributes: _Attributes) -> dict[str, Any]:
    """What a position says of the vehicle beside its place, by the fields' names in VehicleStatus."""
    speed, course = position.speed, position.course
    of_device = wire.device.attributes if wire.device is not None else None
    return {
        "speed_mps": None if speed is None else speed * _METRES_PER_NAUTICAL_MILE / 3600,
        "bearing_deg": None if course is None else course % 360,
        "odometer_m": attributes.total_distance if attributes.odometer is None else attributes.odometer,
        "ignition": attributes.ignition,
        "vin": attributes.vin or (of_device.vin if of_device is not None else None),
    }


def _attributes(position: _Position) -> _Attributes:
    return read_json(_read_attributes, bytes(position.attributes)) or _Attributes()


def _no_fix(position: _Position) -> str | None:
    if position.outdated:
        return "outdated: the device told no place"
    return "valid is false: the device has no fix" if position.valid is False else None


def _told_ms(position: _Position) -> int:
    """When the device said it: its own clock's time, where there is none that of the fix."""
    if position.device_time is not None:
        return read_time_ms(position.device_time, "deviceTime")
    if position.fix_time is not None:
        return read_time_ms(position.fix_time, "fixTime")
    raise Undecodable(RejectReason.BAD_TYPE, "fixTime or deviceTime is required")


def _ms(given: WireTime | None, name: str) -> int | None:
    return None if given is None else read_time_ms(given, name)


def _vehicle_id(wire: _Message) -> str:
    given = wire.device.unique_id if wire.device is not None else None
    if given is None:
        numbers = [part.device_id for part in (wire.position, wire.event) if part is not None]
        given = next((str(number) for number in numbers if number is not None), None)
    if given is None:
        raise Undecodable(RejectReason.BAD_TYPE, "device.uniqueId or deviceId is required")
    return check_id("device", given)


def _mode(device: _Device | None) -> str | None:
    category = (device.category or "").lower() if device is not None else ""
    return None if category in _NO_CATEGORY else category


FORMAT = Format(bind)
