"""Announced alarms on MQTT: each a retained message on a topic of its own, emptied when it is announced no more.

    markaz/v1/<city>/alarm/<id>

The topics are a state, not a queue: after a start, and after a loss of broker or store, all of it is published anew, so
nothing that was missed meanwhile needs to be remembered. Only which topics may hold something is, in the checkpoint:
before the first message on a topic, so that a crash leaves none behind that nobody would empty.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from secrets import token_hex
from typing import Protocol, TypeVar
from urllib.parse import quote

import msgspec
import structlog
from msgspec import Struct

from analysis.alarm_json import alarm_json
from city.alarms import Alarm
from city.config import Config
from city.store import Store, StoreDown
from ingest.paho_publisher import NotPublished, PahoPublisher
from ingest.session import SessionSettings

log = structlog.get_logger()

T = TypeVar("T")

CHECKPOINT = "alarm_topics"
_READ_BLOCK_MS = 200
_RETRY_S = 1.0
_AT_ONCE = 1000
# What MQTT forbids in a level, what some brokers do (NATS: white space), and the sign that encodes them.
_ENCODED = re.compile(r"[%+#/\s\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Publisher(Protocol):
    """A broker to publish to."""

    connected: bool

    def connect(self) -> None:
        """Raises NotPublished."""

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Retained messages; returns when the broker has them, raises NotPublished."""

    def close(self) -> None: ...


class Published(Struct, frozen=True):
    """The alarms whose topics may hold a message."""

    ids: tuple[str, ...] = ()


_encode = msgspec.json.Encoder().encode
_decode_published = msgspec.json.Decoder(Published).decode


def topic_of(city: str, alarm_id: str) -> str:
    """Where an alarm is published; the id percent-encoded only where it must be."""
    encoded = _ENCODED.sub(lambda found: quote(found[0], safe="", errors="replace"), alarm_id)
    return f"markaz/v1/{city}/alarm/{encoded}"


class AlarmTopics:
    """Keeps the topics as the alarms are."""

    def __init__(self, store: Store, publisher: Publisher, city: str, *, wanted: bool = True) -> None:
        """`wanted`: False empties what an earlier run left."""
        self._store, self._publisher, self._city, self._wanted = store, publisher, city, wanted
        self._published: set[str] = set()
        self._known = False  # whether the checkpoint was read
        self._cursor = ""  # of the alarms' changes; empty: all is to be published anew

    def run(self, stop: threading.Event) -> None:
        """Publish until `stop`; an absent broker or store is waited for."""
        problem = ""
        while not stop.is_set():
            try:
                if not self.turn():
                    break
            except (NotPublished, StoreDown) as error:
                self._cursor = ""
                if not problem:
                    log.warning("alarm_topics_waiting", error=str(error))
                problem = str(error)
                stop.wait(_RETRY_S)
            else:
                if problem:
                    log.info("alarm_topics_back")
                problem = ""
        self._publisher.close()

    def turn(self) -> bool:
        """Publish what changed, waiting a moment for it; False when there is nothing to do any more.

        Raises NotPublished and StoreDown: all is published anew then.
        """
        if not self._known:
            self._published, self._known = self._read(), True
        if not self._wanted and not self._published:
            return False
        if not self._publisher.connected:
            self._cursor = ""
            self._publisher.connect()
        if not self._cursor:
            cursor = self._store.alarm_tip()
            self._all(self._store.alarms() if self._wanted else [])
            self._cursor = cursor
            return True
        self._cursor, changed = self._store.read_alarms(self._cursor, block_ms=_READ_BLOCK_MS)
        self._publish(changed)
        return True

    def _all(self, alarms: Sequence[Alarm]) -> None:
        self._publish(alarm for alarm in alarms if alarm.announced)
        standing = {alarm.id for alarm in alarms if alarm.announced}
        self._empty(self._published - standing)
        log.info("alarm_topics_published", alarms=len(standing))

    def _publish(self, alarms: Iterable[Alarm]) -> None:
        """The newest of each alarm."""
        newest = {alarm.id: alarm for alarm in alarms}
        announced = {name: alarm for name, alarm in newest.items() if alarm.announced}
        self._save(self._published | announced.keys())
        for some in _chunks(announced.values()):
            self._publisher.publish([(topic_of(self._city, one.id), _encode(alarm_json(one))) for one in some])
        self._empty(self._published & newest.keys() - announced.keys())

    def _empty(self, names: set[str]) -> None:
        if not names:
            return
        for some in _chunks(sorted(names)):
            self._publisher.publish([(topic_of(self._city, name), b"") for name in some])
        self._save(self._published - names)

    def _read(self) -> set[str]:
        _, state = self._store.checkpoint(CHECKPOINT)
        try:
            return set(_decode_published(state).ids) if state else set()
        except msgspec.DecodeError as error:
            log.warning("state_not_understood", worker=CHECKPOINT, error=str(error))
            return set()

    def _save(self, published: set[str]) -> None:
        """Know another list when the store has it: before, it is not safe that anybody would empty these topics."""
        if published != self._published:
            self._store.save_checkpoint(CHECKPOINT, {}, _encode(Published(tuple(sorted(published)))))
            self._published = published


def _chunks(values: Iterable[T]) -> Iterator[list[T]]:
    rest = iter(values)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def publisher_of(config: Config) -> PahoPublisher:
    """A publisher to the city's broker, in a session that ends with its connection."""
    # Two processes, one just taking over, must not throw each other out: a name of its own each.
    return PahoPublisher(
        SessionSettings.of(config, client_id=f"markaz-alarms-{token_hex(4)}", topics=(), payload_max_bytes=0)
    )
