"""What an event leaves unsaid and earlier ones of the same entity told. Pure."""

from __future__ import annotations

from msgspec import structs

from city.events import CameraStatus, Event, FuelReading, PassengerCount
from ingest.memory import Memory


def enrich(event: Event, memory: Memory) -> Event:
    """The event with what can be derived."""
    last = memory.last(event)
    if isinstance(event, PassengerCount):
        # Who is on board is summed up by the store, where the counts of all workers come together.
        if event.capacity is None and isinstance(last, PassengerCount) and last.capacity is not None:
            return structs.replace(event, capacity=last.capacity)
        return event
    if isinstance(event, FuelReading):
        return _fuel(event, last if isinstance(last, FuelReading) else None)
    if isinstance(event, CameraStatus):
        return _camera(event, last if isinstance(last, CameraStatus) else None)
    return event


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
