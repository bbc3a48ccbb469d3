"""What ingest remembers of each entity between batches: only what its steps look back at.

The store decides what is newest; this memory holds the anchors of the speed check and what later
messages leave unsaid. It is bounded in size; what it lacks is asked of the store.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeGuard, TypeVar

from city.events import CameraStatus, Event, Facet, FuelReading, PassengerCount

# Ten times the vehicles and cameras of a city; an entity that falls out begins anew.
_ENTITIES_MAX = 200_000

V = TypeVar("V")


class Bounded(dict[str, V], Generic[V]):
    """A dict that forgets the key set first when it is full."""

    def __init__(self, most: int = _ENTITIES_MAX) -> None:
        super().__init__()
        self._most = most

    def __setitem__(self, key: str, value: V) -> None:
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


# The facets whose later messages leave unsaid what earlier ones told.
Telling = PassengerCount | FuelReading | CameraStatus
_TELLING: frozenset[type[Event]] = frozenset({PassengerCount, FuelReading, CameraStatus})


def tells(event: Event) -> TypeGuard[Telling]:
    """Whether it is one of those. By its type: `isinstance` of what it is not costs eight times as much."""
    return type(event) in _TELLING


@dataclass(slots=True)
class Memory:
    """One worker's memory. Only accepted events change it, and `suspects`."""

    # Whether this worker alone hears an entity: else another may know newer things, and the store is asked each time.
    alone: bool = True
    fixes: Bounded[Fix] = field(default_factory=Bounded)
    suspects: Bounded[Suspects] = field(default_factory=Bounded)
    told: dict[Facet, Bounded[Telling]] = field(default_factory=lambda: {kind.facet: Bounded() for kind in _TELLING})

    def lacks(self, event: Telling) -> bool:
        """Whether the store may know what this event leaves unsaid."""
        if isinstance(event, PassengerCount):
            complete = event.capacity is not None
        elif isinstance(event, FuelReading):
            complete = event.capacity_l is not None
        else:
            complete = False  # whether a camera's status is a last will depends on the one before it
        return not complete and (not self.alone or event.key not in self.told[event.facet])

    def learn(self, events: Iterable[Event]) -> None:
        """Remember the newest of what entities told."""
        for event in events:
            if tells(event):
                told = self.told[event.facet]
                last = told.get(event.key)
                if last is None or event.measured_ms >= last.measured_ms:
                    told[event.key] = event

    def last(self, event: Event) -> Telling | None:
        """What the entity told before, None if nothing is known."""
        told = self.told.get(event.facet)
        return None if told is None else told.get(event.key)
