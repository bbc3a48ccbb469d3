"""The store: everything that Markaz asks of Redis, in the city's words.

This is the only module that imports redis. One synchronous client serves every process; the
dashboard reads in a thread of its own. Names come from `city.keys`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import redis
import structlog
from msgspec import MsgspecError
from msgspec import json as msgspec_json
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from city.config import Config
from city.keys import Keys, partition_of
from city.models import EVENT_TYPES, Alarm, Event, Facet, FeedCount, Reading, Reject, RejectReason, WorkerFigures

_COMMIT = (Path(__file__).parent / "commit.lua").read_bytes()
_REJECT = (Path(__file__).parent / "reject.lua").read_bytes()
_CONNECT_TIMEOUT_S = 2.0
_SOCKET_TIMEOUT_S = 10.0

log = structlog.get_logger()

T = TypeVar("T")

_encode = msgspec_json.Encoder().encode
_decode_alarm = msgspec_json.Decoder(Alarm).decode
_decode_worker = msgspec_json.Decoder(WorkerFigures).decode
_decoders: dict[str, Callable[[bytes], Any]] = {}
_list_decoders: dict[str, Callable[[bytes], Any]] = {}
for _facet, _type in EVENT_TYPES.items():
    _decoders[_facet] = msgspec_json.Decoder(_type).decode
    _list_decoders[_facet] = msgspec_json.Decoder(list[_type]).decode  # type: ignore[valid-type]


class StoreDown(Exception):
    """The store cannot be reached now; trying again later may work."""


class StoreRefused(Exception):
    """The store answered an error; trying the same again will not help."""


class Stored(NamedTuple):
    """An event read back from a stream."""

    event: Event
    late: bool  # it was older than what its entity had said before


class Entry(NamedTuple):
    """One batch of one partition, as a reader gets it."""

    partition: int
    entry_id: str
    events: list[Stored]


class StoredReject(NamedTuple):
    entry_id: str
    feed: str
    reason: str
    detail: str
    topic: str
    payload: bytes
    received_ms: int


class Store:
    """One connection pool to the city's store. Every method raises StoreDown or StoreRefused."""

    def __init__(
        self,
        url: str,
        city: str,
        partitions: int,
        *,
        password: str | None = None,
        timeout_s: float = _SOCKET_TIMEOUT_S,
    ) -> None:
        self.keys = Keys(city, partitions)
        self._client = redis.Redis.from_url(
            url,
            password=password,
            socket_timeout=timeout_s,
            socket_connect_timeout=_CONNECT_TIMEOUT_S,
            # A socket file has no keepalive.
            **({} if url.startswith("unix:") else {"socket_keepalive": True}),
            # Our callers decide when to try again: a hidden retry would only delay their word of it.
            retry=Retry(NoBackoff(), 0),
        )
        self._shas: dict[bytes, str] = {}
        self.unreadable = 0  # stored values that this version could not read
        self._told: set[str] = set()

    @classmethod
    def of(cls, config: Config, *, timeout_s: float = _SOCKET_TIMEOUT_S) -> Store:
        """The store of the settings; a call that gets no answer within `timeout_s` raises StoreDown."""
        return cls(
            config.redis.url,
            config.city,
            config.store.partitions,
            password=config.redis.password,
            timeout_s=timeout_s,
        )

    def close(self) -> None:
        self._client.close()

    def ping(self) -> None:
        """Raises StoreDown when the store does not answer."""
        self._run(self._client.ping)

    # --- ingest ---------------------------------------------------------------------------

    def commit(
        self,
        worker: str,
        number: int,
        events: Sequence[Reading],
        rejects: Sequence[Reject],
        *,
        now_ms: int,
        events_keep_s: float,
        rejects_max: int,
    ) -> list[Reading]:
        """Write a batch in one round trip; returns the events that the store knew already.

        `number` grows by one a batch and worker; the same number sent again changes nothing.
        """
        by_partition: dict[int, dict[Facet, list[Reading]]] = {}
        for reading in events:
            partition = partition_of(reading.event.entity, self.keys.partitions)
            by_partition.setdefault(partition, {}).setdefault(reading.event.facet, []).append(reading)
        oldest_ms = max(0, now_ms - int(events_keep_s * 1000))
        calls: list[tuple[bytes, list[str], list[Any]]] = []
        orders: list[list[Reading]] = []
        for partition, facets in by_partition.items():
            keys = [self.keys.batches(partition), self.keys.counts(partition), self.keys.events(partition)]
            arguments: list[Any] = [worker, number, now_ms, oldest_ms, len(facets)]
            order: list[Reading] = []
            for facet, group in facets.items():
                keys += [self.keys.latest(partition, facet), self.keys.measured(partition, facet)]
                arguments += [facet.value, len(group)]
                for reading in group:
                    event = reading.event
                    arguments += [event.key, event.slot, event.measured_ms, event.mark, reading.feed, _encode(event)]
                order += group
            calls.append((_COMMIT, keys, arguments))
            orders.append(order)
        if rejects:
            calls.append(self._reject_call(worker, number, rejects, rejects_max, counted=True))
        answers = self._scripts(calls)
        duplicates = [
            order[position - 1] for order, answer in zip(orders, answers, strict=False) for position in answer
        ]
        if duplicates:
            # Counted by the script already; kept here so that a person can look at them.
            seen_twice = [
                Reject(
                    feed=t.feed,
                    reason=RejectReason.DUPLICATE,
                    detail="the store has this measurement",
                    message=t.message,
                )
                for t in duplicates
                if t.feed
            ]
            call = self._reject_call(f"{worker}:duplicates", number, seen_twice, rejects_max, counted=False)
            self._scripts([call])
        return duplicates

    def last_batch(self, worker: str) -> int:
        """The highest batch number that the store has of a worker, -1 if none."""
        pipe = self._client.pipeline(transaction=False)
        for partition in [None, *range(self.keys.partitions)]:
            pipe.hget(self.keys.batches(partition), worker)
        return max(int(number) if number is not None else -1 for number in self._run(pipe.execute))

    def _reject_call(
        self, worker: str, number: int, rejects: Sequence[Reject], rejects_max: int, *, counted: bool
    ) -> tuple[bytes, list[str], list[Any]]:
        keys = [self.keys.batches(None), self.keys.counts(None), self.keys.rejects()]
        arguments: list[Any] = [worker, number, rejects_max, int(counted)]
        for reject in rejects:
            message = reject.message
            topic = message.topic.encode("utf-8", "surrogatepass")
            arguments += [reject.feed, reject.reason.value, reject.detail, topic, message.payload, message.received_ms]
        return _REJECT, keys, arguments

    # --- readers of state -------------------------------------------------------------------

    def latest(self, facet: Facet) -> Iterator[Event]:
        """The newest event of every entity of one facet."""
        decode = _decoders[facet]
        pipe = self._client.pipeline(transaction=False)
        for partition in range(self.keys.partitions):
            pipe.hvals(self.keys.latest(partition, facet))
        for values in self._run(pipe.execute):
            for value in values:
                if (event := self._read(decode, value, facet)) is not None:
                    yield event

    def tips(self) -> dict[int, str]:
        """The id of the last entry of every event stream, by partition."""
        pipe = self._client.pipeline(transaction=False)
        for partition in range(self.keys.partitions):
            pipe.xrevrange(self.keys.events(partition), count=1)
        answers = self._run(pipe.execute)
        return {p: answer[0][0].decode() if answer else "0-0" for p, answer in enumerate(answers)}

    def read_events(
        self, cursors: dict[int, str], *, block_ms: int, count: int = 64, facets: Iterable[Facet] = tuple(Facet)
    ) -> list[Entry]:
        """Entries after `cursors` (moved on in place), at most `count` a partition.

        Waits up to `block_ms` for the first. Only `facets` are decoded.
        """
        wanted = {facet.value for facet in facets}
        streams: dict[Any, Any] = {self.keys.events(p): cursor for p, cursor in cursors.items()}
        names = {self.keys.events(p).encode(): p for p in cursors}
        answer: Any = self._run(lambda: self._client.xread(streams, count=count, block=max(1, block_ms)))
        entries: list[Entry] = []
        for stream, found in answer.items() if isinstance(answer, dict) else answer or []:
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
        pipe = self._client.pipeline(transaction=False)
        for partition in [None, *range(self.keys.partitions)]:
            pipe.hgetall(self.keys.counts(partition))
        totals: dict[str, dict[str, int]] = {}
        for fields in self._run(pipe.execute):
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

    def rejects(self, *, limit: int, before: str | None = None) -> list[StoredReject]:
        """The newest rejects first; `before` is the entry id of the last one seen."""
        top = f"({before}" if before else "+"
        found = self._run(lambda: self._client.xrevrange(self.keys.rejects(), max=top, count=limit))
        return [
            StoredReject(
                entry_id=entry_id.decode(),
                feed=fields[b"feed"].decode(),
                reason=fields[b"reason"].decode(),
                detail=fields[b"detail"].decode("utf-8", "replace"),
                topic=fields[b"topic"].decode("utf-8", "replace"),
                payload=fields[b"payload"],
                received_ms=int(fields[b"received_ms"]),
            )
            for entry_id, fields in found
        ]

    def save_worker(self, figures: WorkerFigures) -> None:
        """Keep a worker's newest figures."""
        self._run(lambda: self._client.hset(self.keys.workers(), figures.worker, _encode(figures)))

    def forget_worker(self, worker: str) -> None:
        self._run(lambda: self._client.hdel(self.keys.workers(), worker))

    def workers(self) -> list[WorkerFigures]:
        """The newest figures of every ingest worker, by name; old ones too."""
        values = self._run(lambda: self._client.hvals(self.keys.workers()))
        found = [one for value in values if (one := self._read(_decode_worker, value, "worker")) is not None]
        return sorted(found, key=lambda figures: figures.worker)

    # --- workers of the streams ---------------------------------------------------------------

    def checkpoint(self, worker: str) -> tuple[dict[int, str], bytes | None]:
        """Where a worker stopped reading, by partition, and the state it kept; empty at first."""
        fields = self._run(lambda: self._client.hgetall(self.keys.checkpoint(worker)))
        cursors = {
            int(name.decode().partition(":")[2]): value.decode()
            for name, value in fields.items()
            if name.startswith(b"cursor:")
        }
        return cursors, fields.get(b"state")

    def save_checkpoint(self, worker: str, cursors: Mapping[int, str], state: bytes) -> None:
        fields: dict[Any, Any] = {f"cursor:{p}": cursor for p, cursor in cursors.items()}
        fields["state"] = state
        self._run(lambda: self._client.hset(self.keys.checkpoint(worker), mapping=fields))

    def save_alarms(self, alarms: Sequence[Alarm], *, now_ms: int, alarms_keep_s: float) -> None:
        """Write risen, changed and cleared alarms together, and one stream entry each."""
        if not alarms:
            return
        oldest = max(0, now_ms - int(alarms_keep_s * 1000))
        pipe = self._client.pipeline(transaction=True)
        for alarm in alarms:
            value = _encode(alarm)
            pipe.hset(self.keys.alarms(), alarm.id, value)
            pipe.xadd(self.keys.alarm_events(), {"alarm": value}, minid=oldest, approximate=True)
        self._run(pipe.execute)

    def alarms(self) -> list[Alarm]:
        """Every alarm that is open or cleared not long ago, newest first."""
        values = self._run(lambda: self._client.hvals(self.keys.alarms()))
        alarms = [alarm for value in values if (alarm := self._read(_decode_alarm, value, "alarm")) is not None]
        return sorted(alarms, key=lambda a: (-a.raised_ms, a.id))

    def forget_alarms(self, ids: Sequence[str]) -> None:
        if ids:
            self._run(lambda: self._client.hdel(self.keys.alarms(), *ids))

    def alarm_tip(self) -> str:
        found = self._run(lambda: self._client.xrevrange(self.keys.alarm_events(), count=1))
        return found[0][0].decode() if found else "0-0"

    def read_alarms(self, cursor: str, *, block_ms: int) -> tuple[str, list[Alarm]]:
        """Alarm transitions after `cursor`, and the cursor behind them."""
        answer: Any = self._run(
            lambda: self._client.xread({self.keys.alarm_events(): cursor}, count=1000, block=max(1, block_ms))
        )
        alarms: list[Alarm] = []
        for _, found in answer.items() if isinstance(answer, dict) else answer or []:
            for entry_id, fields in found:
                cursor = entry_id.decode()
                if (alarm := self._read(_decode_alarm, fields.get(b"alarm", b""), "alarm")) is not None:
                    alarms.append(alarm)
        return cursor, alarms

    # --- samples ------------------------------------------------------------------------------

    def add_sample(self, series: str, at_ms: int, sample: bytes, *, keep_s: float) -> bool:
        """Append a sample under its own time; False if that time or a later one is there already."""
        try:
            self._run(
                lambda: self._client.xadd(
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
        found = self._run(lambda: self._client.xrange(self.keys.samples(series), min=str(since_ms), max=top))
        return [(int(entry_id.partition(b"-")[0]), fields[b"sample"]) for entry_id, fields in found]

    # --- edges ----------------------------------------------------------------------------------

    def _scripts(self, calls: Sequence[tuple[bytes, list[str], list[Any]]]) -> list[Any]:
        """Run scripts in one round trip; loads them first into a store that lost them."""
        answers: list[Any] = [NoScriptError()] * len(calls)
        for _ in range(2):
            todo = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
            pipe = self._client.pipeline(transaction=False)
            for at in todo:
                script, keys, arguments = calls[at]
                pipe.evalsha(self._sha(script), len(keys), *keys, *arguments)
            fresh = self._run(lambda pipe=pipe: pipe.execute(raise_on_error=False)) if todo else []  # type: ignore[misc]
            for at, answer in zip(todo, fresh, strict=True):
                answers[at] = answer
            if any(isinstance(answer, NoScriptError) for answer in answers):
                self._shas.clear()
        for answer in answers:
            if isinstance(answer, Exception):
                raise _refused(answer) from answer
        return answers

    def _sha(self, script: bytes) -> str:
        if script not in self._shas:
            self._shas[script] = self._run(lambda: self._client.script_load(script.decode()))
        return self._shas[script]

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

    @staticmethod
    def _run(call: Callable[[], Any]) -> Any:
        try:
            return call()
        except (RedisConnectionError, RedisTimeoutError, OSError) as error:
            raise StoreDown(str(error) or type(error).__name__) from error
        except ResponseError as error:
            raise _refused(error) from error


def _refused(error: Exception) -> StoreDown | StoreRefused:
    """Loading, read-only, full or clustered-away stores recover by themselves; other errors do not."""
    text = str(error)
    passing = ("LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "OOM", "MISCONF", "NOREPLICAS", "BUSY", "TRYAGAIN")
    if isinstance(error, RedisConnectionError | RedisTimeoutError) or text.startswith(passing):
        return StoreDown(text)
    return StoreRefused(text)


def now_ms() -> int:
    """The store's and the workers' common clock: epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000
