"""High-frequency positioning v2, as Helsinki's and other Finnish vehicles send it.

Topic: `/hfp/v2/<journey|deadrun>/<temporal>/<event>/<mode>/<operator>/<vehicle>/…`; the payload
is one object under the event's upper-case name. The topic's operator and vehicle together name the
vehicle: the payload's operator may be the one that the journey was bought from. Levels after
the vehicle are not needed (a vehicle without a journey leaves them out). Passenger counts come
as `apc` and `apc-partial`, in lower case from the vehicle and in camel case from the back end.

Source: digitransit.fi, "High-frequency positioning"; Waltti APC schema 1-2-0.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from city.models import PassengerCount, Reading, Received, RejectReason, VehiclePosition, VehicleStatus
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
    Deviation,
    Lat,
    Lon,
    Metres,
    Name,
    Onboard,
    Passengers,
    Percent,
    Word,
    name_text,
)

FEED = "hfp"
# The topic begins with a slash, so level 0 is empty.
_EVENT, _MODE, _OPERATOR, _VEHICLE = 5, 6, 7, 8
_COUNTING_EVENTS = frozenset({"apc", "apc-partial"})
# Waltti counts these beside the passengers; they take no passenger's place.
_NOT_PASSENGERS = frozenset({"bike", "bicycle", "pram"})


class _Journey(Struct):
    """The fields that all events share. `lat` and `long` are required but may be null."""

    tst: WireTime
    lat: Lat | None
    long: Lon | None
    spd: Annotated[float, Meta(ge=-10)] | None = None
    hdg: Bearing | None = None
    odo: Metres | None = None
    drst: Literal[0, 1] | None = None  # any door open
    dl: Deviation | None = None  # seconds ahead of (+) or behind (-) schedule
    occu: Percent | None = None
    route: Name | None = None
    dir: Literal["1", "2"] | None = None
    jrn: Name | None = None
    stop: Name | None = None


class _ClassCount(Struct):
    # `class` from the vehicle, `clazz` from the back end
    kind: Word | None = field(default=None, name="class")
    clazz: Word | None = None
    boarded: Passengers = field(default=0, name="in")
    alighted: Passengers = field(default=0, name="out")


class _DoorCount(Struct):
    count: Annotated[list[_ClassCount], Meta(max_length=16)] = []


_Doors = Annotated[list[_DoorCount], Meta(max_length=32)]


class _Counts(Struct):
    vehicleload: Onboard | None = None
    vehicleloadratio: float | None = None
    doorcounts: _Doors = []


class _CamelCounts(Struct):
    load: Onboard | None = field(default=None, name="vehicleLoad")
    ratio: float | None = field(default=None, name="vehicleLoadRatio")
    doors: _Doors = field(default_factory=list, name="doorCounts")


class _Apc(Struct):
    tst: WireTime
    vehiclecounts: _Counts | None = None
    camel: _CamelCounts | None = field(default=None, name="vehicleCounts")
    stop: Name | None = None


class _WrappedApc(Struct):
    wrapped: _Apc | UnsetType = field(default=UNSET, name="APC")


_read_journey = msgspec.json.Decoder(dict[str, _Journey]).decode
_read_wrapped_apc = msgspec.json.Decoder(_WrappedApc).decode
_read_bare_apc = msgspec.json.Decoder(_Apc).decode


def bind(topic: str) -> Read:
    """The reader of an HFP topic."""
    levels = topic.split("/")
    if len(levels) <= _VEHICLE or not levels[_EVENT]:
        expected = "/hfp/v2/journey/<temporal>/<event>/<mode>/<operator>/<vehicle>"
        return refusing(UNKNOWN_FEED, Undecodable(RejectReason.UNKNOWN_TOPIC, f"expected {expected}"))
    try:
        # A sender whose broker takes no spaces in topics writes %20.
        vehicle_id = check_id("vehicle", f"{unquote(levels[_OPERATOR])}-{unquote(levels[_VEHICLE])}")
    except Undecodable as problem:
        return refusing(FEED, problem)
    if levels[_EVENT] in _COUNTING_EVENTS:
        return reading(FEED, partial(_passengers, vehicle_id))
    return partial(_read_message, vehicle_id, levels)


def _read_message(vehicle_id: str, levels: list[str], message: Received) -> tuple[Outcome, ...]:
    try:
        status = _journey(vehicle_id, levels, message)
    except Undecodable as problem:
        return (rejected(FEED, problem, message),)
    if isinstance(status, VehiclePosition):
        return (Reading(FEED, status, message),)
    no_position = Undecodable(RejectReason.NO_POSITION, "lat or long is null")
    return (rejected(FEED, no_position, message), Reading("", status, message))


def _journey(vehicle_id: str, levels: list[str], message: Received) -> VehicleStatus:
    """A VehiclePosition, or a plain VehicleStatus where the vehicle does not know its place."""
    kind = check_id("event", unquote(levels[_EVENT]))
    mode = check_id("mode", unquote(levels[_MODE])) if levels[_MODE] else None
    wire = read_json(_read_journey, message.payload).get(kind.upper())
    if wire is None:
        raise Undecodable(RejectReason.BAD_TYPE, f"Object missing required field `{kind.upper()}`")
    said: dict[str, Any] = {
        "vehicle_id": vehicle_id,
        "measured_ms": read_time_ms(wire.tst, "tst"),
        "received_ms": message.received_ms,
        "kind": kind,
        # Seen from odometers without a satellite fix: -1 beside a null heading. It is no speed.
        "speed_mps": wire.spd if wire.spd is not None and wire.spd >= 0 else None,
        "bearing_deg": None if wire.hdg is None else wire.hdg % 360,
        "route": name_text(wire.route),
        "direction": None if wire.dir is None else int(wire.dir),
        "trip": name_text(wire.jrn),
        "odometer_m": wire.odo,
        "mode": mode,
        "schedule_deviation_s": wire.dl,
        "occupancy_pct": wire.occu,
        "doors_open": None if wire.drst is None else bool(wire.drst),
        "stop": name_text(wire.stop),
    }
    if wire.lat is None or wire.long is None:
        return VehicleStatus(**said)
    return VehiclePosition(lat=wire.lat, lon=wire.long, **said)


def _passengers(vehicle_id: str, message: Received) -> PassengerCount:
    wire = read_json(_read_wrapped_apc, message.payload).wrapped
    if wire is UNSET:
        wire = read_json(_read_bare_apc, message.payload)
    if wire.camel is not None:
        load, ratio, doors = wire.camel.load, wire.camel.ratio, wire.camel.doors
    elif wire.vehiclecounts is not None:
        counts = wire.vehiclecounts
        load, ratio, doors = counts.vehicleload, counts.vehicleloadratio, counts.doorcounts
    else:
        raise Undecodable(RejectReason.BAD_TYPE, "Object missing required field `vehiclecounts`")
    if load is None and not doors:
        raise Undecodable(RejectReason.BAD_TYPE, "either vehicleload or doorcounts is required")
    people = [c for door in doors for c in door.count if (c.kind or c.clazz) not in _NOT_PASSENGERS]
    return PassengerCount(
        vehicle_id=vehicle_id,
        measured_ms=read_time_ms(wire.tst, "tst"),
        received_ms=message.received_ms,
        boarded=sum(c.boarded for c in people),
        alighted=sum(c.alighted for c in people),
        onboard=load,
        capacity=_capacity(load, ratio),
        stop=name_text(wire.stop),
    )


def _capacity(load: int | None, ratio: float | None) -> int | None:
    """Places on board, from how full so many passengers make the vehicle."""
    if not load or not ratio or load * ratio < 0:
        return None
    capacity = load / ratio
    return round(capacity) if 1 <= capacity <= 10000 else None


# Nearly every message has a topic of its own: the next stop and the geohash are in it.
FORMAT = Format(bind, topics_repeat=False)
