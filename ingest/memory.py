"""What ingest remembers of each entity between batches: only what its steps compare with.

The store decides in the end what is newest; this memory spares it the obvious and holds the
anchors of the speed check. It is read back from the store at the start and bounded in size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from city.models import CameraStatus, Event, Facet, FuelReading, PassengerCount, VehiclePosition

# Ten times the vehicles and cameras of a city; an entity that falls out begins anew.
_ENTITIES_MAX = 200_000
_MARKS_MAX = 63  # events of one slot and one time
# The facets that steps look back at.
SEEDED = (Facet.POSITION, Facet.PASSENGERS, Facet.FUEL, Facet.CAMERA_STATUS)

V = TypeVar("V")


class Bounded(dict[str, V], Generic[V]):
    """A dict that forgets the key set longest ago when it is full."""

    def __init__(self, most: int = _ENTITIES_MAX) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: str, value: V) -> None:
        self.pop(key, None)
        super().__setitem__(key, value)
        if len(self) > self._most:
            del self[next(iter(self))]


@dataclass(slots=True)
class Fix:
    """Where and when a vehicle was."""

    lat: float
    lon: float
    measured_ms: int


@dataclass(slots=True)
class Suspects:
    """Fixes that cannot follow from the last accepted one, yet follow from each other."""

    last: Fix
    count: int = 1


@dataclass(slots=True)
class Stamp:
    """The newest measurement of a slot."""

    measured_ms: int
    marks: tuple[str, ...]  # of the events of that time


@dataclass(slots=True)
class Reachable:
    """What a camera last said of itself."""

    measured_ms: int
    online: bool


@dataclass(slots=True)
class Memory:
    """One worker's memory. Only accepted events change it, and `suspects`."""

    slots: dict[Facet, Bounded[Stamp]] = field(default_factory=lambda: {facet: Bounded() for facet in Facet})
    fixes: Bounded[Fix] = field(default_factory=Bounded)
    suspects: Bounded[Suspects] = field(default_factory=Bounded)
    reachable: Bounded[Reachable] = field(default_factory=Bounded)
    passengers: Bounded[PassengerCount] = field(default_factory=Bounded)
    fuel: Bounded[FuelReading] = field(default_factory=Bounded)
    cameras: Bounded[CameraStatus] = field(default_factory=Bounded)

    def accept(self, event: Event) -> None:
        """Remember an event that passed the checks, if it is the newest of its kind."""
        slots = self.slots[event.facet]
        slot = event.slot
        stamp = slots.get(slot)
        if stamp is None or event.measured_ms > stamp.measured_ms:
            slots[slot] = Stamp(event.measured_ms, (event.mark,))
        elif event.measured_ms == stamp.measured_ms:
            slots[slot] = Stamp(event.measured_ms, (*stamp.marks[-_MARKS_MAX:], event.mark))
        if isinstance(event, VehiclePosition):
            fix = self.fixes.get(event.vehicle_id)
            if fix is None or event.measured_ms >= fix.measured_ms:
                self.fixes[event.vehicle_id] = Fix(event.lat, event.lon, event.measured_ms)
        elif isinstance(event, CameraStatus):
            last = self.reachable.get(event.camera_id)
            if last is None or event.measured_ms >= last.measured_ms:
                self.reachable[event.camera_id] = Reachable(event.measured_ms, event.online)

    def complete(self, event: Event) -> None:
        """Remember an event as it goes to the store, for what later ones leave unsaid."""
        if isinstance(event, PassengerCount):
            _keep_newest(self.passengers, event)
        elif isinstance(event, FuelReading):
            _keep_newest(self.fuel, event)
        elif isinstance(event, CameraStatus):
            _keep_newest(self.cameras, event)


AnyEvent = TypeVar("AnyEvent", bound=Event)


def _keep_newest(known: Bounded[AnyEvent], event: AnyEvent) -> None:
    last = known.get(event.key)
    if last is None or event.measured_ms >= last.measured_ms:
        known[event.key] = event
