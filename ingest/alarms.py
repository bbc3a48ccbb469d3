"""The process that watches: event streams in, alarms out.

It begins, the first time, with the oldest events that are kept (store.events_keep_s), so that what
went wrong just before is found too. Killed at any moment it reads the events since its checkpoint
again and finds the same alarms under the same names.

While the store is away nobody can hear the feeds: their silence counts from the moment it is back.
The same holds for this process's own absence.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import msgspec
import structlog

from analysis.detection import Detection, Memory, decode_memory, encode_memory
from city.alarms import Alarm
from city.config import Config
from city.events import Facet
from city.store import Entry, Store
from ingest.follow import follow, stop_on_signals

log = structlog.get_logger()

TICK_EVERY_MS = 1_000
FORGET_EVERY_MS = 60_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The process has no options of its own."""
    parser.description = "Watch the city: detect alarms in the event streams and write them to the store."


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Watch until SIGTERM or Ctrl-C; 0."""
    del arguments
    stop = stop_on_signals()
    store = Store.of(config)
    try:
        follow(store, AlarmWorker(store, config), stop)
    finally:
        store.close()
    return 0


class AlarmWorker:
    """Feeds the detectors and writes what they change."""

    name = "alarms"
    facets: tuple[Facet, ...] = (
        Facet.POSITION,
        Facet.VEHICLE_STATUS,
        Facet.PASSENGERS,
        Facet.FUEL,
        Facet.CAMERA_EVENT,
        Facet.CAMERA_STATUS,
    )

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self._detection = self._fresh(Memory())
        self._unwritten: dict[str, Alarm] = {}  # by id: only an alarm's newest state is worth writing
        self._next_tick_ms = 0
        self._next_forget_ms = 0

    def begin(self, state: bytes | None) -> None:
        detection = self._fresh(_memory_of(state))
        for facet in (Facet.POSITION, Facet.VEHICLE_STATUS, Facet.PASSENGERS, Facet.CAMERA_STATUS):
            for event in self._store.latest(facet):
                detection.picture.apply(event)
        detection.book.restore(self._store.alarms())
        detection.adopt()
        self._detection = detection

    def take(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._changed(self._detection.apply(entry.events))

    def caught_up(self, now_ms: int) -> None:
        self._changed(self._detection.seed(now_ms))
        self._changed(self._detection.settle(now_ms))
        self._write(now_ms)

    def beat(self, now_ms: int) -> None:
        if now_ms >= self._next_tick_ms or now_ms < self._next_tick_ms - TICK_EVERY_MS:
            self._changed(self._detection.tick(now_ms, self._store.counts()))
            size_bytes, max_bytes = self._store.rejects_kept().size_bytes, self._config.store.rejects_max_bytes
            self._changed(self._detection.weigh_rejects(size_bytes, max_bytes, now_ms))
            self._next_tick_ms = now_ms + TICK_EVERY_MS
        self._write(now_ms)
        if now_ms >= self._next_forget_ms:
            self._detection.forget(now_ms)
            gone = self._detection.book.forget(now_ms - int(self._config.store.alarms_keep_s * 1000))
            self._store.forget_alarms(gone)
            self._next_forget_ms = now_ms + FORGET_EVERY_MS

    def resume(self) -> None:
        """Write again what the store lost: with appendfsync everysec up to a second of alarms."""
        stored = {alarm.id: alarm for alarm in self._store.alarms()}
        lost = [alarm for alarm in self._detection.book.alarms.values() if stored.get(alarm.id) != alarm]
        if lost:
            log.warning("alarms_written_again", alarms=len(lost))
        self._changed(lost)

    def state(self) -> bytes:
        return encode_memory(self._detection.memory)

    def _fresh(self, memory: Memory) -> Detection:
        return Detection(self._config.alarms, self._config.kpis.capacity_default, memory=memory)

    def _changed(self, alarms: Sequence[Alarm]) -> None:
        for alarm in alarms:
            self._unwritten[alarm.id] = alarm

    def _write(self, now_ms: int) -> None:
        if self._unwritten:
            alarms = list(self._unwritten.values())
            self._store.save_alarms(alarms, now_ms=now_ms, alarms_keep_s=self._config.store.alarms_keep_s)
            self._unwritten.clear()
            risen = sum(alarm.cleared_ms is None for alarm in alarms)
            log.info("alarms_changed", open=risen, cleared=len(alarms) - risen)


def _memory_of(state: bytes | None) -> Memory:
    if state is None:
        return Memory()
    try:
        return decode_memory(state)
    except msgspec.DecodeError as error:
        # A newer version remembers otherwise: the kept events bring back what matters.
        log.warning("state_not_understood", worker="alarms", error=str(error))
        return Memory()
