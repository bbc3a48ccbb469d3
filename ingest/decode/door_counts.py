"""Passenger counts by door and class, as HFP and Waltti APC both carry them.

The shape is the JSON of ITxPT's PassengerDoorCount: doors, each with counts of boarded and
alighted by class. What counts as a passenger is decided here, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct, field

from city.events import PassengerCount
from city.messages import Received, RejectReason
from ingest.decode.outcome import Undecodable
from ingest.decode.wire import Word

# Counted beside the passengers; they take no passenger's place.
_NOT_PASSENGERS = frozenset({"bike", "bicycle", "pram"})
# JSON Schema's integer: 3.0 is one too, which msgspec's int refuses.
Whole = Annotated[float, Meta(ge=0, le=10000, multiple_of=1)]


class ClassCount(Struct):
    """Passengers of one class through one door."""

    kind: Word | None = field(default=None, name="class")
    boarded: Whole = field(default=0, name="in")
    alighted: Whole = field(default=0, name="out")


class DoorCount(Struct):
    """What one door counted. Which one it was is not kept: the sum over the doors is."""

    count: Annotated[list[ClassCount], Meta(max_length=32)] = []


Doors = Annotated[list[DoorCount], Meta(max_length=64)]


def passenger_count(
    vehicle_id: str,
    measured_ms: int,
    message: Received,
    *,
    counted: Sequence[ClassCount],
    load: int | None,
    ratio: float | None,
    quality: str | None,
    stop: str | None,
) -> PassengerCount:
    """The event of one message: people summed over its doors; raises Undecodable if nothing was counted.

    `load` is who is on board (negative where the counters drift, kept), `ratio` that over capacity.
    """
    if load is None and not counted:
        raise Undecodable(RejectReason.BAD_TYPE, "either vehicleload or doorcounts is required")
    people = [one for one in counted if one.kind not in _NOT_PASSENGERS]
    return PassengerCount(
        vehicle_id=vehicle_id,
        measured_ms=measured_ms,
        received_ms=message.received_ms,
        boarded=int(sum(one.boarded for one in people)),
        alighted=int(sum(one.alighted for one in people)),
        onboard=load,
        capacity=_capacity(load, ratio),
        stop=stop,
        quality=quality,
    )


def _capacity(load: int | None, ratio: float | None) -> int | None:
    """Places on board, from how full so many passengers make the vehicle."""
    if not load or not ratio or load * ratio < 0:
        return None
    capacity = load / ratio
    return round(capacity) if 1 <= capacity <= 10000 else None
