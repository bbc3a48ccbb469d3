"""The way of a batch from the broker's bytes to the store, step by step."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from city.areas import Areas
from city.config import Config
from city.events import LOCATED, CameraStatus, Case, Event, Facet, VehiclePosition
from city.messages import Reject
from city.store import Store
from ingest.batch import Batch
from ingest.checks import Limits, as_last_will, find_problems
from ingest.decode import Decoders
from ingest.enrich import enrich as enrich_event
from ingest.memory import Fix, Memory, tells
from ingest.recent import Known
from ingest.writer import Writer


class Pipeline:
    """The steps with what they need: one worker's decoders, limits, memory, areas and store."""

    def __init__(self, config: Config, areas: Areas, store: Store, *, worker: str | None = None) -> None:
        """`worker` names whose batches these are; two that run at once must not share it."""
        ingest = config.ingest
        self.decoders = Decoders(
            {name: [one.format(city=config.city) for one in filters] for name, filters in ingest.all_topics.items()},
            payload_max_bytes=ingest.payload_max_bytes,
            mappings=ingest.mappings,
        )
        self.limits = Limits.of(ingest.checks, config.profile.bounds)
        self.memory = Memory()
        self.areas = areas
        self.store = store
        self.writer = Writer(store, worker or config.ingest_client_id)

    def resume(self) -> None:
        """Take up memory and batch numbers from the store; raises StoreDown or StoreMismatch."""
        self.store.agree_on_partitions()
        self.writer.resume()
        self.memory = Memory(alone=self.memory.alone)
        for event in self.store.latest(Facet.POSITION):
            if isinstance(event, VehiclePosition):
                self.memory.fixes[event.vehicle_id] = Fix(event.lat, event.lon, event.measured_ms)

    def prepare(self, batch: Batch) -> None:
        """Take a batch through the steps that it has not done.

        Raises StoreDown; called again, it goes on with the step that failed.
        """
        for step in STEPS[batch.steps_done :]:
            step(batch, self)
            batch.steps_done += 1

    def run(self, batch: Batch) -> None:
        """Prepare a batch and write it; raises StoreDown, and goes on where it stopped when called again."""
        self.prepare(batch)
        if not self.writer.holds(batch):
            self.writer.send(batch)
        while self.writer.holds(batch):
            self.writer.settle(wait=True)


Step = Callable[[Batch, Pipeline], None]


def decode(batch: Batch, pipeline: Pipeline) -> None:
    """Bytes to events of the city, or to rejects."""
    pipeline.decoders.decode_all(batch.messages, batch.readings, batch.rejects)


def recognise(batch: Batch, pipeline: Pipeline) -> None:
    """What the broker sends again and the store has already goes no further."""
    again = any(message.again for message in batch.messages)
    if not (again or batch.doubtful):
        return
    recent = pipeline.writer.recent
    parts = pipeline.store.commits.parts(batch.readings, batch.rejects)
    stored: set[Known] = set()
    if again:
        marked = {(part.partition, digest) for part in parts for one, digest in part.items() if one.message.again}
        stored = recent.knows(marked)
    known: set[int] = set()
    for part in parts:
        doubted = recent.may_know(part.partition, part.digests) if batch.doubtful else set()
        if stored or doubted:
            known |= {
                id(one)
                for one, digest in part.items()
                if digest in doubted or (one.message.again and (part.partition, digest) in stored)
            }
    came = len(batch.readings) + len(batch.rejects)
    batch.readings = [one for one in batch.readings if id(one) not in known]
    batch.rejects = [one for one in batch.rejects if id(one) not in known]
    batch.known = came - len(batch.readings) - len(batch.rejects)


def recall(batch: Batch, pipeline: Pipeline) -> None:
    """What entities told before, and their messages now leave unsaid, is in the memory."""
    memory = pipeline.memory
    wanted: dict[Facet, dict[str, None]] = {}
    for reading in batch.readings:
        event = reading.event
        if tells(event) and memory.lacks(event):
            wanted.setdefault(event.facet, {})[event.key] = None
    for facet, keys in wanted.items():
        memory.learn(pipeline.store.latest_of(facet, list(keys)))


def check(batch: Batch, pipeline: Pipeline) -> None:
    """Only what can be true goes on."""
    memory, limits = pipeline.memory, pipeline.limits
    for reading in batch.readings:
        if type(reading.event) is CameraStatus:
            reading.event = as_last_will(reading.event, reading.message, memory, limits)
    batch.readings, problems = find_problems(batch.readings, memory, limits)
    batch.rejects += [
        Reject(feed=reading.feed, reason=problem.reason, detail=problem.detail, message=reading.message)
        for reading, problem in problems
        if reading.feed
    ]


def locate(batch: Batch, pipeline: Pipeline) -> None:
    """Each place gets its district and mahalla."""
    at: list[Event] = []
    lats: list[float] = []
    lons: list[float] = []
    for reading in batch.readings:
        event = reading.event
        if not isinstance(event, LOCATED):
            continue
        lat, lon = event.lat, event.lon
        if lat is not None and lon is not None:
            at.append(event)
            lats.append(lat)
            lons.append(lon)
        elif isinstance(event, Case) and event.address_code:
            reading.event = _by_address(event, event.address_code, pipeline.areas)
    if not at:
        return
    districts, mahallas = pipeline.areas.locate(lats, lons)
    # The batch has its events to itself until they are stored: a copy of each costs more than the rest of this step.
    complete = structs.force_setattr
    for event, district, mahalla in zip(at, districts.tolist(), mahallas.tolist(), strict=True):
        if district is not None:
            complete(event, "district", district)
        if mahalla is not None:
            complete(event, "mahalla", mahalla)


def _by_address(case: Case, address_code: str, areas: Areas) -> Case:
    """A case's areas from the first 10 and 7 digits (SOATO) of its address code."""
    mahalla, district = areas.by_code.get(address_code[:10]), areas.by_code.get(address_code[:7])
    return structs.replace(case, district=district and district.code, mahalla=mahalla and mahalla.code)


def enrich(batch: Batch, pipeline: Pipeline) -> None:
    """What the entity said before completes what it says now."""
    memory = pipeline.memory
    for reading in batch.readings:
        if tells(reading.event):
            reading.event = enrich_event(reading.event, memory)
            memory.learn((reading.event,))


# What is left then goes to the store: `ingest.writer.Writer`.
STEPS: tuple[Step, ...] = (decode, recognise, recall, check, locate, enrich)
