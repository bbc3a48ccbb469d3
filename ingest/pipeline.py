"""The way of a batch from the broker's bytes to the store, step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from msgspec import structs

from city.areas import Areas
from city.config import Config
from city.models import CameraStatus, Case, Reading, Received, Reject, SensorReading, VehiclePosition
from city.store import Store
from ingest.checks import Limits, as_last_will, find_problem, is_repetition
from ingest.decode import Decoders
from ingest.enrich import enrich as enrich_event
from ingest.memory import SEEDED, Memory
from ingest.writer import Share, Writer

_Located = VehiclePosition | CameraStatus | SensorReading | Case


@dataclass(slots=True)
class Batch:
    """Messages on their way. Each ends as counted readings or rejects, or is a repetition."""

    messages: list[Received]
    now_ms: int
    readings: list[Reading] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    shares: deque[Share] | None = None  # what is still to be written; None until the last step
    steps_done: int = 0


class Pipeline:
    """The steps with what they need: one worker's decoders, limits, memory, areas and store."""

    def __init__(self, config: Config, areas: Areas, store: Store) -> None:
        ingest = config.ingest
        self.topics: dict[str, tuple[str, ...]] = {
            name: tuple(one.format(city=config.city) for one in filters) for name, filters in ingest.topics.items()
        }
        self.decoders = Decoders(self.topics, payload_max_bytes=ingest.payload_max_bytes)
        self.limits = Limits.of(ingest.checks, config.profile.bounds)
        self.memory = Memory()
        self.areas = areas
        self.writer = Writer(
            store,
            config.ingest_client_id,
            events_keep_s=config.store.events_keep_s,
            rejects_max=config.store.rejects_max,
        )
        self._store = store

    def resume(self) -> None:
        """Take up memory and batch numbers from the store; raises StoreDown."""
        self.writer.resume()
        self.memory = Memory()
        for facet in SEEDED:
            for event in self._store.latest(facet):
                self.memory.accept(event)
                self.memory.complete(event)

    def run(self, batch: Batch) -> None:
        """Take a batch through the steps that it has not done.

        Raises StoreDown; called again, it goes on with the step that failed.
        """
        for step in STEPS[batch.steps_done :]:
            step(batch, self)
            batch.steps_done += 1


Step = Callable[[Batch, Pipeline], None]


def decode(batch: Batch, pipeline: Pipeline) -> None:
    """Bytes to events of the city, or to rejects."""
    read = pipeline.decoders.decode
    for message in batch.messages:
        for outcome in read(message):
            if isinstance(outcome, Reading):
                batch.readings.append(outcome)
            else:
                batch.rejects.append(outcome)


def check(batch: Batch, pipeline: Pipeline) -> None:
    """Only what can be true goes on."""
    memory, limits = pipeline.memory, pipeline.limits
    passed: list[Reading] = []
    for reading in batch.readings:
        message = reading.message
        if is_repetition(reading.event, message, memory):
            continue
        reading.event = as_last_will(reading.event, message, memory, limits)
        problem = find_problem(reading.event, message, memory, limits)
        if problem is None:
            memory.accept(reading.event)
            passed.append(reading)
        elif reading.feed:
            batch.rejects.append(
                Reject(feed=reading.feed, reason=problem.reason, detail=problem.detail, message=message)
            )
    batch.readings = passed


def locate(batch: Batch, pipeline: Pipeline) -> None:
    """Each place gets its district and mahalla."""
    at: list[Reading] = []
    lats: list[float] = []
    lons: list[float] = []
    for reading in batch.readings:
        event = reading.event
        if not isinstance(event, _Located):
            continue
        if event.lat is not None and event.lon is not None:
            at.append(reading)
            lats.append(event.lat)
            lons.append(event.lon)
        elif isinstance(event, Case) and event.address_code:
            reading.event = _by_address(event, event.address_code, pipeline.areas)
    if not at:
        return
    districts, mahallas = pipeline.areas.locate(lats, lons)
    for reading, district, mahalla in zip(at, districts.tolist(), mahallas.tolist(), strict=True):
        if district is not None or mahalla is not None:
            reading.event = structs.replace(reading.event, district=district, mahalla=mahalla)


def _by_address(case: Case, address_code: str, areas: Areas) -> Case:
    """A case's areas from the first 10 and 7 digits (SOATO) of its address code."""
    mahalla, district = areas.by_code.get(address_code[:10]), areas.by_code.get(address_code[:7])
    return structs.replace(case, district=district and district.code, mahalla=mahalla and mahalla.code)


def enrich(batch: Batch, pipeline: Pipeline) -> None:
    """What the entity said before completes what it says now."""
    for reading in batch.readings:
        reading.event = enrich_event(reading.event, pipeline.memory)
        pipeline.memory.complete(reading.event)


def store(batch: Batch, pipeline: Pipeline) -> None:
    """One round trip; after it the broker may forget the messages."""
    if batch.shares is None:
        batch.shares = deque([Share(batch.readings, batch.rejects)] if batch.readings or batch.rejects else [])
    pipeline.writer.write(batch.shares, now_ms=batch.now_ms)


STEPS: tuple[Step, ...] = (decode, check, locate, enrich, store)
