"""A store in memory that keeps the promises of the scripts, and faults that a test can plant."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum, auto

from city.commits import KEEP, Commits, Part
from city.events import Event, Facet, VehiclePosition
from city.keys import Keys
from city.link import StoreDown, StoreRefused
from city.messages import Reading, Received, Reject, WorkerFigures
from ingest.batch import Batch

NOW = 1_777_870_800_000
RING = 256  # batch numbers that the scripts remember a worker

Outcome = list[Reading] | StoreDown | StoreRefused


class Fault(Enum):
    """What befalls one sending."""

    NOT_SENT = auto()
    NOT_ARRIVED = auto()  # sent, and the connection broke before the store read it
    NOT_ANSWERED = auto()  # written, and the connection broke before the answer


class PlayedSent:
    """Answers on their way. The order in which they are read, and on which connection, is checked."""

    def __init__(self, store: PlayedStore, outcomes: list[Outcome]) -> None:
        self.sockets: list[socket.socket] = []
        self._store = store
        self._outcomes = outcomes

    @property
    def pending(self) -> PlayedSent:
        return self

    def ready(self) -> bool:
        return not self._store.silent

    def outcomes(self) -> list[Outcome]:
        assert self in self._store.unanswered, "the answers of a lost connection are not asked for"
        assert self._store.unanswered.popleft() is self, "answers are read in the order of sending"
        if any(isinstance(outcome, StoreDown) for outcome in self._outcomes):
            self._store.hang_up()
        return self._outcomes


class PlayedStore:
    """Each partition, and the rejects, take a batch number once; a part is written whole or refused whole."""

    def __init__(self, latest: Sequence[Event] = (), *, partitions: int = 4) -> None:
        self.keys = Keys("tashkent", partitions)
        self.commits = Commits(self.keys, KEEP)
        self.link = self
        self.readings: list[Reading] = []  # written, in order
        self.rejects: list[Reject] = []
        self.looked_at: list[Reading] = []  # duplicates that were kept to be looked at
        self.numbers: list[int] = []  # of every part that was sent
        self.faults: deque[Fault | None] = deque()  # of the next sendings
        self.duplicates_fault: StoreDown | StoreRefused | None = None
        self.poison: Callable[[Part], bool] = lambda part: False
        self.silent = False
        self.hang_ups = 0
        self.asked_for: list[tuple[Facet, list[str]]] = []
        self.lately: set[tuple[int | None, int]] = set()
        self.figures: list[WorkerFigures] = []
        self.last = -1
        self.down = False
        self.unanswered: deque[PlayedSent] = deque()
        self._broken = False  # what is sent on this connection now does not arrive
        self._latest = list(latest)
        self._rings: dict[tuple[int | None, int], tuple[int, list[Reading]]] = {}
        self._seen: set[tuple[str, str, int, str]] = set()

    def send(self, worker: str, parts: Sequence[tuple[int, Part]], *, now_ms: int) -> PlayedSent:
        fault = self.faults.popleft() if self.faults else None
        if self._broken and fault is not Fault.NOT_SENT:
            fault = Fault.NOT_ARRIVED
        self._broken = fault is not None
        if self.down or fault is Fault.NOT_SENT:
            self.hang_up()
            raise StoreDown("refused connection")
        self.numbers += [number for number, _ in parts]
        outcomes: list[Outcome] = []
        for number, part in parts:
            written = StoreDown("not read") if fault is Fault.NOT_ARRIVED else self._write(number, part)
            outcomes.append(StoreDown("no answer") if fault is Fault.NOT_ANSWERED else written)
        sent = PlayedSent(self, outcomes)
        self.unanswered.append(sent)
        return sent

    def hang_up(self) -> None:
        self.hang_ups += 1
        self._broken = False
        self.unanswered.clear()

    def keep_duplicates(self, worker: str, number: int, duplicates: Sequence[Reading]) -> None:
        if duplicates and self.duplicates_fault is not None:
            fault, self.duplicates_fault = self.duplicates_fault, None
            raise fault
        self.looked_at += duplicates

    def agree_on_partitions(self) -> None:
        """It has never known another number."""

    def fence(self, worker: str, number: int) -> None:
        """Nobody else writes here."""

    def last_batch(self, worker: str) -> int:
        self._answer()
        return self.last

    def lately_stored(self) -> set[tuple[int | None, int]]:
        self._answer()
        return self.lately

    def latest(self, facet: Facet) -> Iterator[Event]:
        self._answer()
        return iter([event for event in self._latest if event.facet is facet])

    def latest_of(self, facet: Facet, wanted: Sequence[str]) -> list[Event]:
        self._answer()
        self.asked_for.append((facet, list(wanted)))
        return [event for event in self._latest if event.facet is facet and event.key in wanted]

    def save_worker(self, figures: WorkerFigures) -> None:
        self._answer()
        self.figures.append(figures)

    def _answer(self) -> None:
        if self.down:
            raise StoreDown("refused connection")

    def _write(self, number: int, part: Part) -> Outcome:
        ring = (part.partition, number % RING)
        known = self._rings.get(ring)
        if known is not None and known[0] == number:
            return known[1]
        if self.poison(part):
            return StoreRefused("WRONGTYPE")
        duplicates = []
        for reading in part.readings:
            event = reading.event
            what = (event.facet.value, event.slot, event.measured_ms, event.mark)
            if what in self._seen:
                duplicates.append(reading)
            else:
                self._seen.add(what)
                self.readings.append(reading)
        self.rejects += part.rejects
        self._rings[ring] = number, duplicates
        return duplicates


def poisoned(entities: Iterable[str]) -> Callable[[Part], bool]:
    """Refuses every part that holds a reading of one of the entities."""
    bad = frozenset(entities)
    return lambda part: any(reading.event.entity in bad for reading in part.readings)


def position(vehicle: str, at: int = 0, *, packet_id: int = 1) -> Reading:
    """A fix of a vehicle, `at` milliseconds after NOW, with bytes of its own."""
    event = VehiclePosition(vehicle_id=vehicle, measured_ms=NOW + at, received_ms=NOW, lat=41.3, lon=69.2)
    return Reading("vehicle/position", event, Received("t", f"{vehicle}@{at}".encode(), NOW, packet_id=packet_id))


def batch_of(*readings: Reading, rejects: Sequence[Reject] = ()) -> Batch:
    """A batch that has gone through the steps."""
    messages = [one.message for one in readings] + [one.message for one in rejects]
    return Batch(messages, NOW, list(readings), list(rejects))
