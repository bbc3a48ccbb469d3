"""Waltti APC 1-2-0: passenger counts that a vehicle's counting system sends at stops.

Topic: `apc-from-vehicle/v1/fi/waltti/<vendor>/<counting system>`. A vehicle has one counting system,
and its id, unique in the world by the specification, is the vehicle's: the topic's, or the payload's
`countingSystemId` where a relay has put the message on a topic of another shape. Counts are those
since the last message; nothing says how many are on board. HSL's vehicles send the same shape with
`vehicleload`, which is read where it is there: to the schema it is any additional property, so one of
another shape is ignored, not refused.

Source: Waltti-APC vehicle specification, apc-from-vehicle.schema.json 1-2-0.
"""

from __future__ import annotations

from functools import partial

import msgspec
from msgspec import Struct, field

from city.events import PassengerCount
from city.messages import Received
from ingest.decode.door_counts import Doors, passenger_count
from ingest.decode.outcome import Format, Read, Undecodable, check_id, read_json, reading, refusing
from ingest.decode.times import WireTime, read_time_ms
from ingest.decode.wire import Word

FEED = "waltti_apc"
_TOPIC_ROOT = "apc-from-vehicle"
_TOPIC_LEVELS = 6
_LOAD_MAX = 10000  # either side of 0, as in every other format


class _VehicleCounts(Struct):
    doorcounts: Doors
    countquality: Word | None = None
    vehicleload: object = None
    vehicleloadratio: object = None


class _Apc(Struct):
    tst: WireTime
    vehiclecounts: _VehicleCounts
    system: str | None = field(default=None, name="countingSystemId")


class _Message(Struct):
    apc: _Apc = field(name="APC")


_read = msgspec.json.Decoder(_Message).decode


def bind(topic: str) -> Read:
    """The reader of a counting system's topic."""
    levels = topic.split("/")
    if levels[0] != _TOPIC_ROOT or len(levels) != _TOPIC_LEVELS:
        return reading(FEED, partial(_passengers, None))
    try:
        return reading(FEED, partial(_passengers, check_id("counting system", levels[-1])))
    except Undecodable as problem:
        return refusing(FEED, problem)


def _passengers(vehicle_id: str | None, message: Received) -> PassengerCount:
    wire = read_json(_read, message.payload).apc
    counts = wire.vehiclecounts
    load, ratio = counts.vehicleload, counts.vehicleloadratio
    return passenger_count(
        vehicle_id or check_id("countingSystemId", wire.system or ""),
        read_time_ms(wire.tst, "tst"),
        message,
        counted=[one for door in counts.doorcounts for one in door.count],
        load=load if type(load) is int and abs(load) <= _LOAD_MAX else None,
        ratio=ratio if type(ratio) is float else None,
        quality=counts.countquality,
        stop=None,
    )


FORMAT = Format(bind)
