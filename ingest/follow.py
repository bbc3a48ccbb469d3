"""Follow the event streams: read from where the worker stopped, beat by the clock, checkpoint.

A worker keeps what it wants again together with where it stopped reading. What it has written beside that, it
reads the events of again after a kill. A worker that never ran begins with the oldest event that is kept.
"""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import structlog

from city.events import Facet
from city.store import Entry, Store, StoreDown, now_ms

log = structlog.get_logger()

OLDEST = "0-0"
READ_BLOCK_MS = 200  # also how long a stop signal may have to wait
READ_COUNT = 64  # entries a partition and read; fewer in all means that the worker has caught up
RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
CHECKPOINT_EVERY_S = 2.0
# A large state is written less often: the store's append-only file takes every byte of it.
CHECKPOINT_BYTES_PER_S = 250_000


class Worker(Protocol):
    """What a process on the streams does. Every method but `take` may raise StoreDown.

    What could not be written then must be kept and written by a later call, or be found again by `begin`.
    """

    name: str
    facets: tuple[Facet, ...]
    anew: bool  # whether it begins again, from what the store has, when the store was away

    def begin(self) -> Mapping[int, str]:
        """Take up what was kept; the cursors by partition that were kept with it, empty at the first start."""

    def take(self, entries: Sequence[Entry]) -> None:
        """Take events in; after a crash those since the last `keep` again."""

    def caught_up(self, now_ms: int) -> None:
        """Called once, when everything that was waiting at the start is read; beats follow."""

    def beat(self, now_ms: int) -> None:
        """Do what the time brings; called after every read, about five times a second."""

    def keep(self, cursors: Mapping[int, str], *, due: bool) -> int | None:
        """Write what `begin` wants again, with the cursors behind the last `take`; the bytes written.

        None where nothing was written: it need not be until `due`.
        """


def follow(store: Store, worker: Worker, stop: threading.Event, clock: Callable[[], int] = now_ms) -> None:
    """Run the worker until `stop`; an absent store is waited for, at most a second between tries."""
    follower = _Follower(store, worker, clock)
    down_since_ms: int | None = None
    retry_s = RETRY_MIN_S
    while not stop.is_set():
        try:
            if down_since_ms is not None:
                store.ping()
                follower.begun = follower.begun and not worker.anew
            follower.step()
        except StoreDown as down:
            if down_since_ms is None:
                down_since_ms = clock()
                log.warning("store_down", worker=worker.name, error=str(down))
            stop.wait(retry_s * random.uniform(0.5, 1.0))
            retry_s = min(RETRY_MAX_S, retry_s * 2)
            continue
        if down_since_ms is not None:
            log.info("store_back", worker=worker.name, away_s=round((clock() - down_since_ms) / 1000, 1))
            down_since_ms, retry_s = None, RETRY_MIN_S
    try:
        follower.keep(due=True)
    except StoreDown as down:
        log.warning("checkpoint_missed", worker=worker.name, error=str(down))


def stop_on_signals() -> threading.Event:
    """An event that SIGTERM and Ctrl-C set; for a process's main thread."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


class _Follower:
    """The cursors of one worker and what is due when."""

    def __init__(self, store: Store, worker: Worker, clock: Callable[[], int]) -> None:
        self._store, self._worker, self._clock = store, worker, clock
        self._cursors: dict[int, str] = {}
        self._tips: Mapping[int, str] = {}  # where the streams ended when it began
        self._caught_up = False
        self._next_checkpoint = 0.0
        self.begun = False

    def step(self) -> None:
        """One read and what follows from it."""
        if not self.begun:
            self._begin()
        entries = self._store.read_events(
            self._cursors, block_ms=READ_BLOCK_MS, count=READ_COUNT, facets=self._worker.facets
        )
        self._worker.take(entries)
        now = self._clock()
        if not self._caught_up and len(entries) < READ_COUNT and self._past_tips():
            self._worker.caught_up(now)
            self._caught_up = True
            log.info("caught_up", worker=self._worker.name)
        if self._caught_up:
            self._worker.beat(now)
        self.keep(due=time.monotonic() >= self._next_checkpoint)

    def keep(self, *, due: bool) -> None:
        if not self.begun:
            return
        written = self._worker.keep(self._cursors, due=due)
        if written is not None:
            self._next_checkpoint = time.monotonic() + max(CHECKPOINT_EVERY_S, written / CHECKPOINT_BYTES_PER_S)

    def _past_tips(self) -> bool:
        """Whether all that was there at the start is read: in a cluster some nodes answer later than others."""
        return all(_entry_id(self._cursors[p]) >= _entry_id(tip) for p, tip in self._tips.items())

    def _begin(self) -> None:
        cursors = self._worker.begin()
        self._cursors = {p: cursors.get(p, OLDEST) for p in range(self._store.keys.partitions)}
        self._tips = self._store.tips()
        self.begun = True
        self._caught_up = False
        log.info("begun", worker=self._worker.name, first_time=not cursors)


def _entry_id(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-"))
