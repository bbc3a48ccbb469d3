"""Vehicles and trips of GTFS-Realtime: VehiclePosition and TripUpdate messages to events.

Source: gtfs.org/documentation/realtime/reference, messages VehiclePosition and TripUpdate.
"""

from __future__ import annotations

import re
from typing import Any

from google.transit import gtfs_realtime_pb2 as pb

from city.events import TripUpdate, VehiclePosition, VehicleStatus
from city.messages import Received, RejectReason
from ingest.decode.gtfs_rt_fields import direction, entity_id, narrow, number, text, time_ms, vehicle_id
from ingest.decode.outcome import Undecodable

# Markaz's own word beside the specification's: the feed took its update of the trip back.
WITHDRAWN = "withdrawn"
_DEVIATION_MAX_S = 864_000
# A crush is above 100; beyond it the number is no share of a vehicle.
_OCCUPANCY_MAX_PCT = 1000
_DATE = re.compile(r"\d{8}", re.ASCII)
_TIME = re.compile(r"\d{1,3}:\d\d:\d\d", re.ASCII)

_Skipped = pb.TripUpdate.StopTimeUpdate.SKIPPED
_NoData = pb.TripUpdate.StopTimeUpdate.NO_DATA


def read_vehicle(vehicle: pb.VehiclePosition, header_ms: int | None, message: Received) -> VehicleStatus:
    """A VehiclePosition, or a plain VehicleStatus where the vehicle does not say its place; raises Undecodable."""
    name = vehicle_id(vehicle.vehicle)
    if name is None:
        raise Undecodable(RejectReason.BAD_ID, "the vehicle has no id, label or license_plate")
    trip, position = vehicle.trip, vehicle.position
    said: dict[str, Any] = {
        "vehicle_id": name,
        "measured_ms": _measured_ms(vehicle.timestamp, header_ms),
        "received_ms": message.received_ms,
        "route": text("route_id", trip.route_id),
        "direction": direction(trip),
        "trip": text("trip_id", trip.trip_id),
        "trip_start_date": _matched("start_date", _DATE, trip.start_date),
        "trip_start_time": _matched("start_time", _TIME, trip.start_time),
        "stop": text("stop_id", vehicle.stop_id),
        "occupancy_pct": _occupancy_pct(vehicle),
        "occupancy_status": _occupancy_status(vehicle),
    }
    if position.HasField("bearing"):
        said["bearing_deg"] = narrow("bearing", position.bearing, 0, 360) % 360
    if position.HasField("speed"):
        # Whether so great a speed is possible is for the checks to say.
        said["speed_mps"] = narrow("speed", position.speed, 0, 1e6)
    if position.HasField("odometer"):
        said["odometer_m"] = number("odometer", position.odometer, 0, 1e10)
    if not vehicle.HasField("position"):
        return VehicleStatus(**said)
    lat = narrow("latitude", position.latitude, -90, 90)
    lon = narrow("longitude", position.longitude, -180, 180)
    return VehiclePosition(lat=lat, lon=lon, **said)


def read_trip(update: pb.TripUpdate, header_ms: int | None, message: Received, *, withdrawn: bool) -> TripUpdate:
    """The deviation and the next stop of a trip; raises Undecodable.

    A trip update that is withdrawn says so instead of a deviation.
    """
    trip = update.trip
    measured_ms = _measured_ms(update.timestamp, header_ms)
    route = entity_id("route_id", trip.route_id) if trip.route_id else None
    if not trip.trip_id and route is None:
        raise Undecodable(RejectReason.BAD_ID, "the trip has neither trip_id nor route_id")
    deviation_s, stop = (None, None) if withdrawn else _deviation(update, measured_ms / 1000)
    return TripUpdate(
        measured_ms=measured_ms,
        received_ms=message.received_ms,
        trip=entity_id("trip_id", trip.trip_id) if trip.trip_id else None,
        route=route,
        direction=direction(trip),
        trip_start_date=_matched("start_date", _DATE, trip.start_date),
        trip_start_time=_matched("start_time", _TIME, trip.start_time),
        vehicle_id=vehicle_id(update.vehicle),
        schedule_deviation_s=deviation_s,
        stop=text("stop_id", stop or ""),
        schedule_relationship=WITHDRAWN if withdrawn else _relationship(trip),
    )


def _measured_ms(own_s: int, header_ms: int | None) -> int:
    measured_ms = time_ms("timestamp", own_s)
    if measured_ms is None:
        measured_ms = header_ms
    if measured_ms is None:
        raise Undecodable(RejectReason.BAD_TIME, "neither the entity nor the header has a timestamp")
    return measured_ms


def _matched(what: str, pattern: re.Pattern[str], given: str | bytes) -> str | None:
    """A service day or a time of it as GTFS writes them; `7:30:00`, which GTFS allows, as `07:30:00`."""
    found = text(what, given)
    if found is None:
        return None
    if pattern.fullmatch(found) is None:
        raise Undecodable(RejectReason.BAD_VALUE, f"{what}: {found[:40]!r}")
    return found.zfill(8)


def _occupancy_pct(vehicle: pb.VehiclePosition) -> float | None:
    if not vehicle.HasField("occupancy_percentage"):
        return None
    return number("occupancy_percentage", vehicle.occupancy_percentage, 0, _OCCUPANCY_MAX_PCT)


def _occupancy_status(vehicle: pb.VehiclePosition) -> str | None:
    if not vehicle.HasField("occupancy_status") or vehicle.occupancy_status == pb.VehiclePosition.NO_DATA_AVAILABLE:
        return None
    return pb.VehiclePosition.OccupancyStatus.Name(vehicle.occupancy_status).lower()


def _relationship(trip: pb.TripDescriptor) -> str | None:
    if not trip.HasField("schedule_relationship"):
        return None
    return pb.TripDescriptor.ScheduleRelationship.Name(trip.schedule_relationship).lower()


def _deviation(update: pb.TripUpdate, at_s: float) -> tuple[float | None, str | bytes | None]:
    """Seconds ahead of schedule at `at_s`, and the next stop; None where the feed does not say.

    The trip's own `delay` is the current one. Else it is that of the next stop, or, with no stop left,
    that of the last one passed, which holds for all after it. A prediction that is only a time
    says nothing of the schedule here: there is no timetable to compare it with.
    """
    passed_s: float | None = None
    for stop in update.stop_time_update:
        if stop.schedule_relationship == _Skipped:
            continue
        for event in [getattr(stop, name) for name in ("arrival", "departure") if stop.HasField(name)]:
            late_s = None if stop.schedule_relationship == _NoData else _late_s(event)
            if event.time and event.time < at_s:
                passed_s = late_s
                continue
            return _ahead_s(update.delay if update.HasField("delay") else late_s), stop.stop_id
        if stop.schedule_relationship == _NoData:
            passed_s = None  # it holds for the stops after it too
    return _ahead_s(update.delay if update.HasField("delay") else passed_s), None


def _late_s(event: pb.TripUpdate.StopTimeEvent) -> float | None:
    if event.HasField("delay"):
        return event.delay
    if event.time and event.scheduled_time:
        return event.time - event.scheduled_time
    return None


def _ahead_s(late_s: float | None) -> float | None:
    """GTFS-Realtime counts what is late as positive, Markaz what is ahead."""
    if late_s is None:
        return None
    return -number("delay", late_s, -_DEVIATION_MAX_S, _DEVIATION_MAX_S) or 0.0
