"""OwnTracks: where a phone or tracker is, as its app tells it.

Topic `<base>/<user>/<device>`; the vehicle is `<user>-<device>`. The payload's `_type` says what it
is. What tells where the device is or that it has gone is kept; what configures the app or is shown in
it (cards, waypoints, steps …) is refused as `not_wanted`, and so is what is encrypted.

Source: owntracks.org/booklet/tech/json.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from city.events import VehiclePosition, VehicleStatus
from city.messages import Reading, Received, RejectReason
from ingest.decode.outcome import (
    UNKNOWN_FEED,
    Format,
    Outcome,
    Read,
    Undecodable,
    check_id,
    read_json,
    refusing,
    rejected,
)
from ingest.decode.times import WireTime, read_time_ms
from ingest.decode.wire import Lat, Lon, Word

FEED = "owntracks"
_USER, _DEVICE = 1, 2
_KMH_PER_MPS = 3.6
# All that the app sends or takes beside locations, transitions and wills.
NOT_WANTED = frozenset(
    {
        "beacon", "card", "cmd", "configuration", "dump", "encrypted", "request", "status", "steps",
        "waypoint", "waypoints",
    }
)  # fmt: skip
_ENCRYPTED = "the payload is encrypted and Markaz has no key: send it without, over TLS"


class _Message(Struct):
    """The fields of all types that are read; which of them a type needs is looked at later."""

    type: Word = field(name="_type")
    tst: WireTime | None = None  # when it was measured, or when the app connected (lwt)
    lat: Lat | None = None
    lon: Lon | None = None
    # Older apps write -1 for what they do not know.
    vel: Annotated[float, Meta(ge=-1)] | None = None  # km/h
    cog: Annotated[float, Meta(ge=-1, le=360)] | None = None
    event: Word | None = None  # enter or leave


_decode = msgspec.json.Decoder(_Message).decode


def bind(topic: str) -> Read:
    """The reader of a device's topic; levels after the device are not looked at."""
    levels = topic.split("/")
    if len(levels) <= _DEVICE:
        problem = Undecodable(RejectReason.UNKNOWN_TOPIC, "expected <base>/<user>/<device>")
        return refusing(UNKNOWN_FEED, problem)
    try:
        vehicle_id = check_id("device", f"{levels[_USER]}-{levels[_DEVICE]}")
    except Undecodable as problem:
        return refusing(FEED, problem)
    return partial(_read, vehicle_id)


def _read(vehicle_id: str, message: Received) -> tuple[Outcome, ...]:
    try:
        wire = read_json(_decode, message.payload)
        if wire.type == "location":
            return _where(vehicle_id, wire, "", message)
        if wire.type == "transition":
            return _where(vehicle_id, wire, _transition(wire), message)
        if wire.type == "lwt":
            return (Reading(FEED, _gone(vehicle_id, wire, message), message),)
        raise _refusal(wire.type)
    except Undecodable as problem:
        return (rejected(FEED, problem, message),)


def _where(vehicle_id: str, wire: _Message, kind: str, message: Received) -> tuple[Outcome, ...]:
    said: dict[str, Any] = {
        "vehicle_id": vehicle_id,
        "measured_ms": _tst_ms(wire),
        "received_ms": message.received_ms,
        "kind": kind,
        "speed_mps": wire.vel / _KMH_PER_MPS if wire.vel is not None and wire.vel >= 0 else None,
        "bearing_deg": wire.cog % 360 if wire.cog is not None and wire.cog >= 0 else None,
    }
    if wire.lat is not None and wire.lon is not None:
        return (Reading(FEED, VehiclePosition(lat=wire.lat, lon=wire.lon, **said), message),)
    no_position = Undecodable(RejectReason.NO_POSITION, "lat or lon is null or missing")
    return (rejected(FEED, no_position, message), Reading("", VehicleStatus(**said), message))


def _gone(vehicle_id: str, wire: _Message, message: Received) -> VehicleStatus:
    """The app's last will: the broker lost it.

    `tst` is when it had connected, so a live will counts from its arrival. One that the broker
    repeats to a new subscriber is of no known time and keeps the only one that it has.
    """
    measured_ms = _tst_ms(wire) if message.retained else message.received_ms
    return VehicleStatus(vehicle_id=vehicle_id, measured_ms=measured_ms, received_ms=message.received_ms, kind="lwt")


def _transition(wire: _Message) -> Literal["enter", "leave"]:
    if wire.event == "enter":
        return "enter"
    if wire.event == "leave":
        return "leave"
    raise Undecodable(RejectReason.BAD_VALUE, "event: a transition is enter or leave")


def _tst_ms(wire: _Message) -> int:
    if wire.tst is None:
        raise Undecodable(RejectReason.BAD_TYPE, "Object missing required field `tst`")
    return read_time_ms(wire.tst, "tst")


def _refusal(kind: str) -> Undecodable:
    if kind == "encrypted":
        return Undecodable(RejectReason.NOT_WANTED, _ENCRYPTED)
    if kind in NOT_WANTED:
        return Undecodable(RejectReason.NOT_WANTED, f"_type {kind} tells nothing of where the device is")
    return Undecodable(RejectReason.BAD_VALUE, f"_type {kind!r} is none of OwnTracks'")


FORMAT = Format(bind)
