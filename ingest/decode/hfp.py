"""High-frequency positioning v2, as Helsinki's and other Finnish vehicles send it.

Topic: `/hfp/v2/<journey|deadrun|signoff>/<ongoing|upcoming>/<event>/<mode>/<operator>/<vehicle>/…`;
the payload is one object under the event's upper-case name. The topic's operator and vehicle
together name the vehicle: the payload's operator may be the one that the journey was bought from.
Levels after the vehicle are not needed (a vehicle without a journey leaves them out).

Events: `vp` every second; `due arr ars pde dep pas wait` at stops; `doo doc` of doors; `tlr tla` of
traffic lights; `da dout ba bout vja vjout` where driver, block and journey begin and end. All carry
time and place; the last six but `vja` and `vjout` leave out what belongs to a journey, `ttarr` and
`ttdep` come with events at stops, `tlp-…` with those of traffic lights. What an event leaves out or
sends as null is not known, so any event, an unknown one too, is read in the same way. Passenger
counts come as `apc` and `apc-partial`, in lower case from the vehicle and in camel case from the
back end.

Source: digitransit.fi, "High-frequency positioning".
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal
from urllib.parse import unquote

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from city.events import PassengerCount, SignalPriority, VehiclePosition, VehicleStatus
from city.messages import Reading, Received, RejectReason
from ingest.decode.door_counts import ClassCount, Doors, passenger_count
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
from ingest.decode.wire import Bearing, Count, Deviation, Lat, Lon, Metres, Name, Onboard, Percent, Word, name_text

FEED = "hfp"
# The topic begins with a slash, so level 0 is empty.
_TEMPORAL, _EVENT, _MODE, _OPERATOR, _VEHICLE = 4, 5, 6, 7, 8
_COUNTING_EVENTS = frozenset({"apc", "apc-partial"})
_LOCATION_SOURCES = {"GPS": "gps", "ODO": "odometer", "MAN": "manual", "DR": "dead_reckoning", "N/A": None}


class _Journey(Struct):
    """The fields of all events. `lat` and `long` are required but may be null."""

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
    desi: Name | None = None
    dir: Literal["0", "1", "2"] | None = None
    jrn: Name | None = None
    oday: Word | None = None
    start: Word | None = None
    stop: Name | None = None
    ttarr: WireTime | None = None
    ttdep: WireTime | None = None
    loc: Word | None = None
    sid: Name | None = None
    signal_group: Name | None = field(default=None, name="signal-groupid")
    request: Name | None = field(default=None, name="tlp-requestid")
    attempt: Count | None = field(default=None, name="tlp-att-seq")
    request_type: Word | None = field(default=None, name="tlp-requesttype")
    level: Word | None = field(default=None, name="tlp-prioritylevel")
    reason: Word | None = field(default=None, name="tlp-reason")
    decision: Word | None = field(default=None, name="tlp-decision")


class _BackEndClassCount(ClassCount):
    clazz: Word | None = None


class _BackEndDoorCount(Struct):
    count: Annotated[list[_BackEndClassCount], Meta(max_length=32)] = []


class _Counts(Struct):
    vehicleload: Onboard | None = None
    vehicleloadratio: float | None = None
    countquality: Word | None = None
    doorcounts: Doors = []


class _CamelCounts(Struct):
    load: Onboard | None = field(default=None, name="vehicleLoad")
    ratio: float | None = field(default=None, name="vehicleLoadRatio")
    quality: Word | None = field(default=None, name="countQuality")
    doors: Annotated[list[_BackEndDoorCount], Meta(max_length=64)] = field(default_factory=list, name="doorCounts")


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
    event = check_id("event", unquote(levels[_EVENT]))
    mode = check_id("mode", unquote(levels[_MODE])) if levels[_MODE] else None
    wire = read_json(_read_journey, message.payload).get(event.upper())
    if wire is None:
        raise Undecodable(RejectReason.BAD_TYPE, f"Object missing required field `{event.upper()}`")
    said: dict[str, Any] = {
        "vehicle_id": vehicle_id,
        "measured_ms": read_time_ms(wire.tst, "tst"),
        "received_ms": message.received_ms,
        # A vehicle on its way to a journey tells of both at one time: the one that it is on must not
        # make the other a duplicate.
        "kind": f"upcoming/{event}" if levels[_TEMPORAL] == "upcoming" else event,
        # Seen from odometers without a satellite fix: -1 beside a null heading. It is no speed.
        "speed_mps": wire.spd if wire.spd is not None and wire.spd >= 0 else None,
        "bearing_deg": None if wire.hdg is None else wire.hdg % 360,
        "route": name_text(wire.route),
        # The metro has a direction 0 on dead runs: none.
        "direction": int(wire.dir) or None if wire.dir else None,
        "trip": name_text(wire.jrn),
        "odometer_m": wire.odo,
        "mode": mode,
        "schedule_deviation_s": wire.dl,
        "occupancy_pct": wire.occu,
        "doors_open": None if wire.drst is None else bool(wire.drst),
        "stop": name_text(wire.stop),
        "route_short_name": name_text(wire.desi),
        # 2023-10-29 and 15:21, in the spelling of GTFS-Realtime.
        "trip_start_date": wire.oday and wire.oday.replace("-", ""),
        "trip_start_time": f"{wire.start}:00" if wire.start and wire.start.count(":") == 1 else wire.start,
        "location_source": _LOCATION_SOURCES.get(wire.loc, wire.loc.lower()) if wire.loc else None,
    }
    if wire.ttarr is not None:
        said["scheduled_arrival_ms"] = read_time_ms(wire.ttarr, "ttarr")
    if wire.ttdep is not None:
        said["scheduled_departure_ms"] = read_time_ms(wire.ttdep, "ttdep")
    if wire.request is not None or wire.level is not None or wire.decision is not None:
        said["signal_priority"] = _signal_priority(wire)
    if wire.lat is None or wire.long is None:
        return VehicleStatus(**said)
    return VehiclePosition(lat=wire.lat, lon=wire.long, **said)


def _signal_priority(wire: _Journey) -> SignalPriority:
    """A request to a traffic light (`tlr`) or its answer (`tla`)."""
    return SignalPriority(
        junction=name_text(wire.sid),
        signal_group=name_text(wire.signal_group),
        request=name_text(wire.request),
        attempt=wire.attempt,
        kind=wire.request_type and wire.request_type.lower(),
        level=wire.level and wire.level.lower(),
        reason=wire.reason and wire.reason.lower(),
        granted={"ACK": True, "NAK": False}.get(wire.decision or ""),
    )


def _passengers(vehicle_id: str, message: Received) -> PassengerCount:
    wire = read_json(_read_wrapped_apc, message.payload).wrapped
    if wire is UNSET:
        wire = read_json(_read_bare_apc, message.payload)
    counted: list[ClassCount]
    if wire.camel is not None:
        load, ratio, quality = wire.camel.load, wire.camel.ratio, wire.camel.quality
        counted = [_with_class(one) for door in wire.camel.doors for one in door.count]
    elif wire.vehiclecounts is not None:
        counts = wire.vehiclecounts
        load, ratio, quality = counts.vehicleload, counts.vehicleloadratio, counts.countquality
        counted = [one for door in counts.doorcounts for one in door.count]
    else:
        raise Undecodable(RejectReason.BAD_TYPE, "Object missing required field `vehiclecounts`")
    return passenger_count(
        vehicle_id,
        read_time_ms(wire.tst, "tst"),
        message,
        counted=counted,
        load=load,
        ratio=ratio,
        quality=quality,
        stop=name_text(wire.stop),
    )


def _with_class(one: _BackEndClassCount) -> ClassCount:
    """The back end writes `clazz` for `class`."""
    return one if one.kind else ClassCount(kind=one.clazz, boarded=one.boarded, alighted=one.alighted)


# Nearly every message has a topic of its own: the next stop and the geohash are in it.
FORMAT = Format(bind, topics_repeat=False)
