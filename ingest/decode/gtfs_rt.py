"""GTFS-Realtime 2.0: a feed's vehicles, trip updates and service alerts as protobuf.

Topic: `gtfs-rt/<name>`, the last level names the feed; the payload is a FeedMessage. Every entity of it is
read, counted and, where it is refused, kept by itself. A FULL_DATASET message is one reading more: it says that
what it does not hold is over, which ends the alerts that vanished from it (`CaseList`). So nothing has to
be remembered here: it holds after a restart, with several workers and for messages out of order.

Source: gtfs.org/documentation/realtime/reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

from google.protobuf.message import DecodeError, EncodeError
from google.transit import gtfs_realtime_pb2 as pb
from msgspec import structs

from city.events import CaseList, VehiclePosition
from city.messages import Reading, Received, RejectReason
from ingest.decode.gtfs_rt_alerts import read_alert
from ingest.decode.gtfs_rt_fields import time_ms
from ingest.decode.gtfs_rt_trips import read_trip, read_vehicle
from ingest.decode.outcome import ID_MAX_CHARS, Format, Outcome, Read, Undecodable, check_id, refusing, rejected

FEED = "gtfs_rt"
VEHICLES, TRIPS, ALERTS = f"{FEED}/vehicle", f"{FEED}/trip", f"{FEED}/alert"
SOURCE_PREFIX = "gtfs-rt-"

# A message holds a whole fleet: at 120 bytes a vehicle, 400 a trip update and 1,000 an alert, as one agency's feeds
# were measured, so much is a country's 40,000 trips.
_PAYLOAD_MAX_BYTES = 16 * 2**20
# An entity in use has a hundred bytes and more; millions of empty ones would fill the memory with rejects.
_ENTITIES_MAX = 100_000
# It goes with every refused entity. In use it has some thirty bytes.
_HEADER_MAX_BYTES = 1024
_UNREAD_MAX = 1000
_LENGTH_DELIMITED = 2
# Bytes of a field that is not length-delimited, by wire type (protobuf.dev, "Encoding"); groups are not used.
_FIXED_BYTES = {1: 8, 5: 4}


class _Message(NamedTuple):
    """A FeedMessage taken apart."""

    header: pb.FeedHeader
    header_ms: int | None
    entities: list[bytes]


def bind(topic: str) -> Read:
    """The reader of a feed's topic."""
    try:
        source = check_id("feed", SOURCE_PREFIX + topic.rpartition("/")[2])
    except Undecodable as problem:
        return refusing(FEED, problem)
    return partial(_read_message, source)


def _read_message(source: str, message: Received) -> tuple[Outcome, ...]:
    try:
        parts = _take_apart(message.payload)
    except Undecodable as problem:
        return (rejected(FEED, problem, message),)
    outcomes: list[Outcome] = []
    unread: list[str] = []
    complete = parts.header.incrementality == pb.FeedHeader.FULL_DATASET
    # The header that goes with one entity alone is DIFFERENTIAL, whatever the whole was: when a refused one is
    # read again later, it must not end every other alert.
    head = _header_alone(parts.header, pb.FeedHeader.DIFFERENTIAL)
    for raw in parts.entities:
        one = structs.replace(message, payload=head + b"\x12" + _varint(len(raw)) + raw)
        try:
            entity = pb.FeedEntity.FromString(raw)
        except DecodeError as error:
            outcomes.append(rejected(FEED, Undecodable(RejectReason.BAD_TYPE, str(error)), one))
            complete = False
            continue
        outcomes += _read_entity(entity, source, parts.header_ms, one, unread)
    if complete and len(unread) <= _UNREAD_MAX:
        outcomes.append(_list(source, parts, tuple(unread), message))
    return tuple(outcomes)


def _read_entity(
    entity: pb.FeedEntity, source: str, header_ms: int | None, message: Received, unread: list[str]
) -> Iterator[Outcome]:
    """What an entity says: one outcome, or one for each kind where a sender puts several into it."""
    known = [kind for kind in ("vehicle", "trip_update", "alert") if entity.HasField(kind)]
    if not known and entity.is_deleted:
        # Nothing else is known by its entity's id.
        known = ["alert"]
    if not known:
        nothing = Undecodable(RejectReason.NOT_WANTED, "the entity holds no vehicle, trip_update or alert")
        yield rejected(FEED, nothing, message)
    if "vehicle" in known:
        yield from _read_vehicle(entity, header_ms, message)
    if "trip_update" in known:
        try:
            _require(entity.trip_update, "trip_update")
            trip = read_trip(entity.trip_update, header_ms, message, withdrawn=entity.is_deleted)
            yield Reading(TRIPS, trip, message)
        except Undecodable as problem:
            yield rejected(TRIPS, problem, message)
    if "alert" in known:
        try:
            _require(entity.alert, "alert")
            yield Reading(ALERTS, read_alert(entity, source, header_ms, message), message)
        except Undecodable as problem:
            if isinstance(entity.id, str) and len(entity.id) <= ID_MAX_CHARS:
                unread.append(entity.id)
            yield rejected(ALERTS, problem, message)


def _read_vehicle(entity: pb.FeedEntity, header_ms: int | None, message: Received) -> Iterator[Outcome]:
    try:
        _require(entity.vehicle, "vehicle")
        if entity.is_deleted:
            raise Undecodable(RejectReason.NOT_WANTED, "is_deleted: the vehicle has left the feed")
        status = read_vehicle(entity.vehicle, header_ms, message)
    except Undecodable as problem:
        yield rejected(VEHICLES, problem, message)
        return
    if isinstance(status, VehiclePosition):
        yield Reading(VEHICLES, status, message)
        return
    yield rejected(VEHICLES, Undecodable(RejectReason.NO_POSITION, "the vehicle says no position"), message)
    yield Reading("", status, message)


def _list(source: str, parts: _Message, unread: tuple[str, ...], message: Received) -> Outcome:
    """What a FULL_DATASET message says by what it does not hold."""
    # The header by itself: read again it says the same, for only what was told before its time is over.
    alone = structs.replace(message, payload=_header_alone(parts.header, pb.FeedHeader.FULL_DATASET))
    if parts.header_ms is None:
        return rejected(FEED, Undecodable(RejectReason.BAD_TIME, "the header has no timestamp"), alone)
    complete = CaseList(source=source, unread=unread, measured_ms=parts.header_ms, received_ms=message.received_ms)
    return Reading(FEED, complete, alone)


def _header_alone(header: pb.FeedHeader, incrementality: pb.FeedHeader.Incrementality) -> bytes:
    """A FeedMessage with nothing but this header."""
    alone = pb.FeedMessage(header=header)
    alone.header.incrementality = incrementality
    return alone.SerializeToString()


def _require(part: pb.VehiclePosition | pb.TripUpdate | pb.Alert | pb.FeedHeader, what: str) -> None:
    """Raises Undecodable when a required field is missing: the bindings read such messages, and do not write them."""
    if part.IsInitialized():
        return
    try:
        part.SerializeToString()
    except EncodeError as error:
        raise Undecodable(RejectReason.BAD_TYPE, f"{what}: {error}") from None


def _take_apart(payload: bytes) -> _Message:
    """Header and entities of a FeedMessage, the entities not read yet: a broken one must not cost the others."""
    header_bytes = b""
    entities: list[bytes] = []
    for number, content in _fields(payload):
        if number == 1:
            header_bytes += content  # twice the same field is one, joined
            if len(header_bytes) > _HEADER_MAX_BYTES:
                raise Undecodable(RejectReason.BAD_VALUE, f"the header is above {_HEADER_MAX_BYTES} bytes")
        elif number == 2:
            entities.append(content)
            if len(entities) > _ENTITIES_MAX:
                raise Undecodable(RejectReason.BAD_VALUE, f"more than {_ENTITIES_MAX} entities")
    header = pb.FeedHeader()
    try:
        header.MergeFromString(header_bytes)
    except DecodeError as error:
        raise Undecodable(RejectReason.BAD_TYPE, f"header: {error}") from None
    _require(header, "header")
    if not entities and header.incrementality == pb.FeedHeader.DIFFERENTIAL:
        raise Undecodable(RejectReason.NOT_WANTED, "a DIFFERENTIAL message without an entity says nothing")
    return _Message(header, time_ms("header.timestamp", header.timestamp), entities)


def _fields(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Number and content of every length-delimited field of a protobuf message; raises Undecodable."""
    at = 0
    try:
        while at < len(payload):
            tag, at = _read_varint(payload, at)
            number, wire_type = tag >> 3, tag & 7
            if wire_type == _LENGTH_DELIMITED and number:
                length, at = _read_varint(payload, at)
                content = payload[at : at + length]
                if len(content) != length:
                    raise Undecodable(RejectReason.BAD_TYPE, f"no FeedMessage, or cut off: {len(payload)} bytes")
                at += length
                yield number, content
            elif wire_type == 0 and number:
                _, at = _read_varint(payload, at)
            else:
                at += _FIXED_BYTES[wire_type]
    except (IndexError, KeyError):
        raise Undecodable(RejectReason.BAD_TYPE, f"no FeedMessage: byte {at} is not protobuf") from None
    if at != len(payload):
        raise Undecodable(RejectReason.BAD_TYPE, f"no FeedMessage, or cut off: {len(payload)} bytes")


def _read_varint(payload: bytes, at: int) -> tuple[int, int]:
    """The number that begins at `at`, and where it ends; raises IndexError."""
    value = 0
    for shift in range(0, 70, 7):
        byte = payload[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise IndexError("longer than ten bytes")


def _varint(value: int) -> bytes:
    written = bytearray()
    while value > 0x7F:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


FORMAT = Format(bind, payload_max_bytes=_PAYLOAD_MAX_BYTES)
