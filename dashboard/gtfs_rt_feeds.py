"""Vehicles and cases as GTFS-Realtime 2.0 entities. Pure.

Only what is known is told: no congestion, no stop status, no words for how full a vehicle is where only a number
is known. A route's, trip's or stop's id is the one that came in.

Source: gtfs.org/documentation/realtime/reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.transit import gtfs_realtime_pb2 as pb

from analysis.picture import Vehicle
from city.events import Affected, Case

_OCCUPANCY_MAX_PCT = 1000


def _words(enum: EnumTypeWrapper) -> dict[str, Any]:
    """An enum's values by its words in lower case, as events hold them."""
    return {name.lower(): value for name, value in enum.items()}


_CAUSES, _EFFECTS = _words(pb.Alert.Cause), _words(pb.Alert.Effect)
_SEVERITIES = _words(pb.Alert.SeverityLevel)
_OCCUPANCIES = _words(pb.VehiclePosition.OccupancyStatus)


def empty_feed(at_ms: int) -> pb.FeedMessage:
    """A FULL_DATASET feed of a moment, without an entity yet."""
    header = pb.FeedHeader(
        gtfs_realtime_version="2.0", incrementality=pb.FeedHeader.FULL_DATASET, timestamp=at_ms // 1000
    )
    return pb.FeedMessage(header=header)


def add_vehicles(
    feed: pb.FeedMessage, vehicles: Iterable[Vehicle], least_ms: int, count_least_ms: int, capacity_default: int
) -> None:
    """The vehicles whose position is not older than `least_ms`, with how full they are where that is known.

    A passenger count from before `count_least_ms` says nothing.
    """
    for vehicle in vehicles:
        position = vehicle.position
        if position is None or position.measured_ms < least_ms:
            continue
        entity = feed.entity.add(id=vehicle.vehicle_id)
        told = entity.vehicle
        told.vehicle.id = vehicle.vehicle_id
        told.timestamp = position.measured_ms // 1000
        place = told.position
        place.latitude, place.longitude = position.lat, position.lon
        if position.bearing_deg is not None:
            place.bearing = position.bearing_deg
        if position.speed_mps is not None:
            place.speed = position.speed_mps
        if position.odometer_m is not None:
            place.odometer = position.odometer_m
        if position.trip is not None or position.route is not None:
            trip = told.trip
            if position.trip is not None:
                trip.trip_id = position.trip
            if position.route is not None:
                trip.route_id = position.route
            if position.direction is not None:
                trip.direction_id = position.direction - 1
            if position.trip_start_date is not None:
                trip.start_date = position.trip_start_date
            if position.trip_start_time is not None:
                trip.start_time = position.trip_start_time
        pct = _occupancy_pct(vehicle, count_least_ms, capacity_default)
        if pct is not None:
            told.occupancy_percentage = pct
        if position.occupancy_status in _OCCUPANCIES:
            told.occupancy_status = _OCCUPANCIES[position.occupancy_status]


def _occupancy_pct(vehicle: Vehicle, count_least_ms: int, capacity_default: int) -> int | None:
    count = vehicle.passengers
    if count is not None and count.onboard is not None and count.measured_ms < count_least_ms:
        return None
    load = vehicle.load(capacity_default)
    return None if load is None else min(_OCCUPANCY_MAX_PCT, round(load * 100))


def add_alerts(feed: pb.FeedMessage, cases: Iterable[Case]) -> None:
    """The cases that name a part of the network; others are not for passengers."""
    for case in cases:
        if not case.affects:
            continue
        alert = feed.entity.add(id=f"{case.source}:{case.case_id}").alert
        cause, _, effect = case.category.partition("/")
        if cause in _CAUSES:
            alert.cause = _CAUSES[cause]
        if effect in _EFFECTS:
            alert.effect = _EFFECTS[effect]
        if case.severity in _SEVERITIES:
            alert.severity_level = _SEVERITIES[case.severity]
        if case.starts_ms is not None or case.ends_ms is not None:
            period = alert.active_period.add()
            if case.starts_ms is not None:
                period.start = case.starts_ms // 1000
            if case.ends_ms is not None:
                period.end = case.ends_ms // 1000
        if case.title:
            alert.header_text.translation.add(text=case.title)
        if case.text:
            alert.description_text.translation.add(text=case.text)
        for affected in case.affects:
            _select(alert.informed_entity.add(), affected)


def _select(selector: pb.EntitySelector, affected: Affected) -> None:
    if affected.agency is not None:
        selector.agency_id = affected.agency
    if affected.route is not None:
        selector.route_id = affected.route
    if affected.route_type is not None:
        selector.route_type = affected.route_type
    if affected.direction is not None:
        selector.direction_id = affected.direction - 1
    if affected.stop is not None:
        selector.stop_id = affected.stop
    if affected.trip is not None:
        selector.trip.trip_id = affected.trip
