"""Fields of GTFS-Realtime's protobuf messages, within Markaz's bounds: what is beyond them is refused, never cut."""

from __future__ import annotations

import numpy as np
from google.transit import gtfs_realtime_pb2 as pb

from city.messages import RejectReason
from ingest.decode.outcome import Undecodable, check_id
from ingest.decode.times import read_time_ms

NAME_MAX_CHARS = 256


def text(what: str, given: str | bytes, most: int = NAME_MAX_CHARS) -> str | None:
    """A text of at most `most` characters; an empty one is none.

    The bindings hand over as bytes what is not UTF-8.
    """
    if isinstance(given, bytes):
        raise Undecodable(RejectReason.NOT_UTF8, f"{what} is not UTF-8")
    if len(given) > most:
        raise Undecodable(RejectReason.BAD_VALUE, f"{what}: {len(given)} characters, {most} are allowed")
    return given or None


def entity_id(what: str, given: str | bytes) -> str:
    """An id that can name an entity; raises Undecodable."""
    if isinstance(given, bytes):
        raise Undecodable(RejectReason.NOT_UTF8, f"{what} is not UTF-8")
    return check_id(what, given)


def number(what: str, given: float, least: float, most: float) -> float:
    """The number itself; raises Undecodable when it is beyond its bounds or NaN."""
    if not least <= given <= most:
        raise Undecodable(RejectReason.BAD_VALUE, f"{what}: {given} is not between {least:g} and {most:g}")
    return given


def narrow(what: str, given: float, least: float, most: float) -> float:
    """The shortest number that is the same in the 32 bits of the message: 41.3, not 41.29999923706055."""
    return float(str(np.float32(number(what, given, least, most))))


def time_ms(what: str, given_s: int) -> int | None:
    """Epoch milliseconds of POSIX seconds; 0, which senders write for "not known", is none."""
    return read_time_ms(given_s, what) if given_s else None


def direction(selector: pb.TripDescriptor | pb.EntitySelector) -> int | None:
    """1 or 2 of GTFS's direction_id, which is 0 or 1."""
    if not selector.HasField("direction_id"):
        return None
    return int(number("direction_id", selector.direction_id, 0, 1)) + 1


def vehicle_id(vehicle: pb.VehicleDescriptor) -> str | None:
    """The vehicle's id, else its label, else its plate; None where it has no name at all."""
    given = vehicle.id or vehicle.label or vehicle.license_plate
    return entity_id("vehicle", given) if given else None
