"""The store: everything that Markaz asks of Redis, in the city's words.

One synchronous client serves every process; the dashboard reads in a thread of its own. Names come
from `city.keys`, connections from `city.link`.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import structlog
from msgspec import MsgspecError
from msgspec import json as msgspec_json

from city.alarm_store import AlarmStore
from city.archive_figures import ArchiveFigures
from city.commits import KEEP, Commits, Keep, Part
from city.config import Config
from city.events import EVENT_TYPES, Event, Facet
from city.keys import Keys
from city.link import IN_MEMORY, Durability, Link, Pending, StoreDown, StoreFenced, StoreMismatch, StoreRefused
from city.messages import FeedCount, Reading, Reject, RejectReason, WorkerFigures
from city.outbox_store import OutboxStore
from city.reject_store import RejectsKept, RejectStore, StoredReject
from city.shift_store import ShiftStore
from city.streams import Streams
from city.systemic_store import SystemicStore

__all__ = ["RejectsKept", "Store", "StoreDown", "StoreFenced", "StoreMismatch", "StoreRefused", "StoredReject"]

_SOCKET_TIMEOUT_S = 10.0

log = structlog.get_logger()

T = TypeVar("T")

_encode = msgspec_json.Encoder().encode
_decode_worker = msgspec_json.Decoder(WorkerFigures).decode
_decode_archive = msgspec_json.Decoder(ArchiveFigures).decode
_decoders: dict[str, Callable[[bytes], Any]] = {}
_list_decoders: dict[str, Callable[[bytes], Any]] = {}
for _facet, _type in EVENT_TYPES.items():
    _decoders[_facet] = msgspec_json.Decoder(_type).decode
    _list_decoders[_facet] = msgspec_json.Decoder(list[_type]).decode  # type: ignore[valid-type]


class Stored(NamedTuple):
    """An event read back from a stream."""

    event: Event
    late: bool  # it was older than what its entity had said before


class Entry(NamedTuple):
    """One batch of one partition, as a reader gets it."""

    partition: int
    entry_id: str
    events: list[Stored]


class Sent:
    """Parts of a batch on their way to the store."""

    def __init__(self, store: Store, parts: Sequence[Part], pending: Pending) -> None:
        self._store = store
        self._parts = parts
        self.pending = pending

    def outcomes(self) -> list[list[Reading] | StoreDown | StoreRefused]:
        """What became of each part: the readings in it that were duplicates, or why it was not written."""
        found: list[list[Reading] | StoreDown | StoreRefused] = []
        for part, answer in zip(self._parts, self.pending.answers(), strict=True):
            if isinstance(answer, StoreDown | StoreRefused):
                found.append(answer)
            elif part.partition is None or not answer:
                found.append([])
            else:
                order = self._store.commits.order(part)
                found.append([order[position - 1] for position in answer])
        return found


class Store(RejectStore, AlarmStore, OutboxStore, ShiftStore, SystemicStore):
    """The city's store. Every method raises StoreDown or StoreRefused."""

    def __init__(
        self,
        url: str,
        city: str,
        partitions: int,
        *,
        password: str | None = None,
        timeout_s: float = _SOCKET_TIMEOUT_S,
        durability: Durability = IN_MEMORY,
        keep: Keep = KEEP,
    ) -> None:
        self.keys = Keys(city, partitions)
        self.link = Link(url, password=password, timeout_s=timeout_s, durability=durability)
        self.commits = Commits(self.keys, keep)
        self.streams = Streams(self.link)
        self.unreadable = 0  # stored values that this version could not read
        self._told: set[str] = set()

    @classmethod
    def of(cls, config: Config, *, timeout_s: float = _SOCKET_TIMEOUT_S) -> Store:
        """The store of the settings; a call that gets no answer within `timeout_s` raises StoreDown."""
        settings = config.store
        return cls(
            config.redis.url,
            config.city,
            settings.partitions,
            password=config.redis.password,
            timeout_s=timeout_s,
            durability=Durability(disk=settings.durability == "disk", replicas=settings.replicas),
            keep=Keep(
                events_s=settings.events_keep_s,
                rejects_max_bytes=settings.rejects_max_bytes,
                hold_s=config.history.hold_s,
            ),
        )

    def close(self) -> None:
        self.link.close()

    def ping(self) -> None:
        """Raises StoreDown when the store does not answer."""
        self.link.ping()

    # --- ingest ---------------------------------------------------------------------------

    def agree_on_partitions(self) -> None:
        """Hold the city to the number of partitions that its first writer had; raises StoreMismatch."""

        def fill(pipe: Any) -> None:
            pipe.set(self.keys.agreed_partitions(), self.keys.partitions, nx=True)
            pipe.get(self.keys.agreed_partitions())

        if (agreed := int(self.link.together(fill)[-1])) != self.keys.partitions:
            raise StoreMismatch(
                f"store.partitions: is {self.keys.partitions}, but the store's data lies in {agreed}; "
                f"set it to {agreed}, or begin with an empty store"
            )

    def send(self, worker: str, parts: Sequence[tuple[int, Part]], *, now_ms: int) -> Sent:
        """Put numbered parts of batches on their way, in one go; raises StoreDown.

        Numbers grow by one a batch; a part that comes again under its number changes nothing.
        """
        calls = [self.commits.call(worker, number, part, now_ms) for number, part in parts]
        return Sent(self, [part for _, part in parts], self.link.send(calls))

    def commit(
        self, worker: str, number: int, readings: Sequence[Reading], rejects: Sequence[Reject], *, now_ms: int
    ) -> list[Reading]:
        """Write a batch and wait for it; returns the readings that the store knew already."""
        parts = self.commits.parts(readings, list(rejects))
        if not parts:
            return []
        outcomes = self.send(worker, [(number, part) for part in parts], now_ms=now_ms).outcomes()
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome
        duplicates = [reading for outcome in outcomes if isinstance(outcome, list) for reading in outcome]
        self.keep_duplicates(worker, number, duplicates)
        return duplicates

    def keep_duplicates(self, worker: str, number: int, duplicates: Sequence[Reading]) -> None:
        """Put duplicates, which their script has counted already, where a person can look at them."""
        rejects = [
            Reject(
                feed=reading.feed,
                reason=RejectReason.DUPLICATE,
                detail="the store has this measurement",
                message=reading.message,
            )
            for reading in duplicates
            if reading.feed
        ]
        if rejects:
            # Not among the batches on their way: their answers would be taken for this one's.
            self.link.call(self.commits.reject_call(f"{worker}:duplicates", number, rejects, b"", counted=False))

    def last_batch(self, worker: str) -> int:
        """The highest batch number that the store has of a worker, or that it was fenced at; -1 if none."""
        found = self._each(self._of_batches(), "hmget", [worker, f"{worker}:fence"])
        return max(int(number) if number is not None else -1 for numbers in found for number in numbers)

    def fence(self, worker: str, number: int) -> None:
        """From now on the store takes no batch of `worker` below `number`: raises StoreFenced at who sends one."""
        self._each(self._of_batches(), "hset", f"{worker}:fence", number)

    def _of_batches(self) -> list[str]:
        return [self.keys.batches(partition) for partition in [None, *range(self.keys.partitions)]]

    def lately_stored(self) -> set[tuple[int | None, int]]:
        """(partition, digest) of what all workers stored in their last batches; see `Part.digests`."""
        partitions: list[int | None] = [None, *range(self.keys.partitions)]
        found: set[tuple[int | None, int]] = set()
        for partition, packed in zip(
            partitions, self._each([self.keys.digests(p) for p in partitions], "hvals"), strict=True
        ):
            for value in packed:
                found.update((partition, digest) for digest in struct.unpack(f"<{len(value) // 8}Q", value))
        return found

    def latest_of(self, facet: Facet, wanted: Sequence[str]) -> list[Event]:
        """The newest event of each of `wanted` (keys of `facet`, each its own entity) that the store has."""
        by_partition: dict[int, list[str]] = {}
        for key in wanted:
            by_partition.setdefault(self.commits.crc(key) % self.keys.partitions, []).append(key)

        def fill(pipe: Any) -> None:
            for partition, keys in by_partition.items():
                pipe.hmget(self.keys.latest(partition, facet), keys)

        decode = _decoders[facet]
        values = [value for answer in self.link.together(fill) for value in answer if value is not None]
        return [event for value in values if (event := self._read(decode, value, facet)) is not None]

    # --- readers of state -------------------------------------------------------------------

    def latest(self, facet: Facet) -> Iterator[Event]:
        """The newest event of every entity of one facet."""
        decode = _decoders[facet]
        names = [self.keys.latest(partition, facet) for partition in range(self.keys.partitions)]
        for values in self._each(names, "hvals"):
            for value in values:
                if (event := self._read(decode, value, facet)) is not None:
                    yield event

    def tips(self) -> dict[int, str]:
        """The id of the last entry of every event stream, by partition."""
        names = [self.keys.events(partition) for partition in range(self.keys.partitions)]
        answers = self._each(names, "xrevrange", count=1)
        return {p: answer[0][0].decode() if answer else "0-0" for p, answer in enumerate(answers)}

    def read_events(
        self, cursors: dict[int, str], *, block_ms: int, count: int = 64, facets: Iterable[Facet] = tuple(Facet)
    ) -> list[Entry]:
        """Entries after `cursors` (moved on in place), at most `count` a partition.

        Waits up to `block_ms` for the first. Only `facets` are decoded.
        """
        wanted = {facet.value for facet in facets}
        streams = {self.keys.events(p): cursor for p, cursor in cursors.items()}
        names = {self.keys.events(p): p for p in cursors}
        entries: list[Entry] = []
        for stream, found in self.streams.read(streams, block_ms=max(1, block_ms), count=count):
            partition = names[stream]
            for entry_id, fields in found:
                events: list[Stored] = []
                for name, value in fields.items():
                    facet, _, late = name.decode().partition(":")
                    if facet in wanted and (read := self._read(_list_decoders[facet], value, facet)) is not None:
                        events += [Stored(event, bool(late)) for event in read]
                cursors[partition] = entry_id.decode()
                entries.append(Entry(partition, cursors[partition], events))
        return entries

    def counts(self) -> list[FeedCount]:
        """What became of every feed's messages, sorted by feed."""
        names = [self.keys.counts(partition) for partition in [None, *range(self.keys.partitions)]]
        totals: dict[str, dict[str, int]] = {}
        for fields in self._each(names, "hgetall"):
            for name, value in fields.items():
                feed, _, what = name.decode().partition(":")
                feed_totals = totals.setdefault(feed, {})
                if what == "last_ms":
                    feed_totals[what] = max(feed_totals.get(what, 0), int(value))
                else:
                    feed_totals[what] = feed_totals.get(what, 0) + int(value)
        return [
            FeedCount(
                feed=feed,
                received=counted.get("received", 0),
                stored=counted.get("stored", 0),
                late=counted.get("late", 0),
                rejected={k.partition(":")[2]: v for k, v in sorted(counted.items()) if k.startswith("rejected:")},
                last_received_ms=counted.get("last_ms"),
            )
            for feed, counted in sorted(totals.items())
        ]

    def save_worker(self, figures: WorkerFigures) -> None:
        """Keep a worker's newest figures."""
        self.link.run(lambda client: client.hset(self.keys.workers(), figures.worker, _encode(figures)))

    def forget_worker(self, worker: str) -> None:
        self.link.run(lambda client: client.hdel(self.keys.workers(), worker))

    def workers(self) -> list[WorkerFigures]:
        """The newest figures of every ingest worker, by name; old ones too."""
        values = self.link.run(lambda client: client.hvals(self.keys.workers()))
        found = [one for value in values if (one := self._read(_decode_worker, value, "worker")) is not None]
        return sorted(found, key=lambda figures: figures.worker)

    def archive_figures(self) -> ArchiveFigures | None:
        """How the archive stands, as its writer told last; None where no archive was ever written."""
        value = self.link.run(lambda client: client.get(self.keys.archive()))
        return None if value is None else self._read(_decode_archive, value, "archive")

    def claim(self, worker: str, holder: str, *, keep_s: int) -> bool:
        """Hold, or hold on to, a worker's name for `keep_s`; False while another holder has it."""
        key = self.keys.held(worker)

        def fill(pipe: Any) -> None:
            pipe.set(key, holder, nx=True, ex=keep_s)
            pipe.get(key)

        if self.link.together(fill)[-1] != holder.encode():
            return False
        self.link.run(lambda client: client.expire(key, keep_s))
        return True

    def release(self, worker: str, holder: str) -> None:
        """Give a claimed name back."""
        key = self.keys.held(worker)
        if self.link.run(lambda client: client.get(key)) == holder.encode():
            self.link.run(lambda client: client.delete(key))

    # --- workers of the streams ---------------------------------------------------------------

    def checkpoint(self, worker: str) -> tuple[dict[int, str], bytes | None]:
        """Where a worker stopped reading, by partition, and the state it kept; empty at first."""
        fields = self.link.run(lambda client: client.hgetall(self.keys.checkpoint(worker)))
        cursors = {
            int(name.decode().partition(":")[2]): value.decode()
            for name, value in fields.items()
            if name.startswith(b"cursor:")
        }
        return cursors, fields.get(b"state")

    def save_checkpoint(self, worker: str, cursors: Mapping[int, str], state: bytes) -> None:
        fields: dict[Any, Any] = {f"cursor:{p}": cursor for p, cursor in cursors.items()}
        fields["state"] = state
        self.link.run(lambda client: client.hset(self.keys.checkpoint(worker), mapping=fields))

    # --- samples ------------------------------------------------------------------------------

    def add_sample(self, series: str, at_ms: int, sample: bytes, *, keep_s: float) -> bool:
        """Append a sample under its own time; False if that time or a later one is there already."""
        try:
            self.link.run(
                lambda client: client.xadd(
                    self.keys.samples(series),
                    {"sample": sample},
                    id=f"{at_ms}-0",
                    minid=max(0, at_ms - int(keep_s * 1000)),
                    approximate=True,
                )
            )
        except StoreRefused as refused:
            if "equal or smaller" not in str(refused):
                raise
            return False
        return True

    def samples(self, series: str, since_ms: int, until_ms: int | None = None) -> list[tuple[int, bytes]]:
        """Samples of a time range, oldest first: (time in epoch ms, JSON)."""
        top = "+" if until_ms is None else str(until_ms)
        found = self.link.run(lambda client: client.xrange(self.keys.samples(series), min=str(since_ms), max=top))
        return [(int(entry_id.partition(b"-")[0]), fields[b"sample"]) for entry_id, fields in found]

    # --- edges ----------------------------------------------------------------------------------

    def _each(self, names: Sequence[str], command: str, *arguments: Any, **options: Any) -> list[Any]:
        """One command on each of several keys, in one round trip."""

        def fill(pipe: Any) -> None:
            for name in names:
                getattr(pipe, command)(name, *arguments, **options)

        return self.link.together(fill)

    def _read(self, decode: Callable[[bytes], T], value: bytes, what: str) -> T | None:
        """What `value` says; None, counted and told once a kind, where another version wrote it."""
        try:
            return decode(value)
        except MsgspecError as error:
            self.unreadable += 1
            if what not in self._told:
                self._told.add(what)
                log.error("stored_value_unreadable", what=what, reason=str(error))
            return None


def now_ms() -> int:
    """The store's and the workers' common clock: epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000
