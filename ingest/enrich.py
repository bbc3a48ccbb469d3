"""What an event leaves unsaid and earlier ones of the same entity told. Pure."""

from __future__ import annotations

from msgspec import structs

from city.models import CameraStatus, Event, FuelReading, PassengerCount
from ingest.memory import Memory


def enrich(event: Event, memory: Memory) -> Event:
    """The event with what can be derived; late events stay as they are."""
    if isinstance(event, PassengerCount):
        return _passengers(event, memory.passengers.get(event.vehicle_id))
    if isinstance(event, FuelReading):
        return _fuel(event, memory.fuel.get(event.vehicle_id))
    if isinstance(event, CameraStatus):
        return _camera(event, memory.cameras.get(event.camera_id))
    return event


def _passengers(event: PassengerCount, last: PassengerCount | None) -> PassengerCount:
    """Sum up who is on board where the vehicle only counts doors; keep its capacity in mind.

    The sum begins with the first count seen and is marked as an estimate. A late count is not
    added: after a redelivery it would count twice.
    """
    if last is not None and event.measured_ms < last.measured_ms:
        return event
    capacity = event.capacity if event.capacity is not None or last is None else last.capacity
    if event.onboard is not None:
        return event if capacity == event.capacity else structs.replace(event, capacity=capacity)
    before = last.onboard if last is not None and last.onboard is not None else 0
    onboard = before + (event.boarded or 0) - (event.alighted or 0)
    return structs.replace(event, onboard=onboard, capacity=capacity, estimated=True)


def _fuel(event: FuelReading, last: FuelReading | None) -> FuelReading:
    """Litres from percent and percent from litres, once the tank's size is known."""
    capacity_l = event.capacity_l if event.capacity_l is not None or last is None else last.capacity_l
    if not capacity_l:
        return event
    level_l, level_pct = event.level_l, event.level_pct
    if level_l is None and level_pct is not None:
        level_l = capacity_l * level_pct / 100
    if level_pct is None and level_l is not None:
        level_pct = min(100.0, 100 * level_l / capacity_l)
    if (level_l, level_pct, capacity_l) == (event.level_l, event.level_pct, event.capacity_l):
        return event
    return structs.replace(event, level_l=level_l, level_pct=level_pct, capacity_l=capacity_l)


def _camera(event: CameraStatus, last: CameraStatus | None) -> CameraStatus:
    """A camera's place, name and stream stay what they were: a last will only says offline."""
    if last is None:
        return event
    if event.lat is None:
        event = structs.replace(event, lat=last.lat, lon=last.lon, district=last.district, mahalla=last.mahalla)
    return structs.replace(event, name=event.name or last.name, stream_url=event.stream_url or last.stream_url)
