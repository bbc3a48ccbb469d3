"""What lies between the broker and the store: the queue, the batch in hand, the acknowledgements.

A message leaves here when the store has it; while the store is away everything waits.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog

from city.config import Ingest
from city.models import Received
from city.store import StoreDown
from ingest.pipeline import Batch, Pipeline
from ingest.redelivered import Redelivered

log = structlog.get_logger()

# A broker that lost its session keeps nothing for who is away: be back within a second.
_RETRY_MIN_S, _RETRY_MAX_S = 0.05, 1.0


class Arrived(NamedTuple):
    """A message and what its acknowledgement needs."""

    message: Received
    mid: int
    qos: int
    connection: int  # counts connections: acknowledgements are good for the one that brought it
    again: bool  # the broker says that it has sent it before


class Backoff:
    """Growing waits with jitter, so that workers do not come back in step."""

    def __init__(self) -> None:
        self._wait_s = _RETRY_MIN_S
        self.until = 0.0  # of the monotonic clock, in seconds

    def failed(self) -> None:
        self.until = time.monotonic() + self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(_RETRY_MAX_S, self._wait_s * 2)

    def succeeded(self) -> None:
        self._wait_s, self.until = _RETRY_MIN_S, 0.0


class Intake:
    """Bounded queue and batches of one worker."""

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Ingest,
        *,
        store_url: str,
        clock_ms: Callable[[], int],
        acknowledge: Callable[[Arrived], None],
    ) -> None:
        self.totals = {"received": 0, "rejected": 0, "redelivered": 0, "batches": 0}
        self.wait = Backoff()
        self._pipeline = pipeline
        self._settings = settings
        self._store = place(store_url)
        self._clock_ms = clock_ms
        self._acknowledge = acknowledge
        self._queue: deque[Arrived] = deque()
        self._queued_at = 0.0
        self._in_hand: list[Arrived] = []
        self._batch: Batch | None = None
        self._redelivered = Redelivered()
        self._down_since_ms: int | None = None

    def __len__(self) -> int:
        """Messages that the store does not have yet."""
        return len(self._queue) + len(self._in_hand)

    @property
    def full(self) -> bool:
        return len(self) >= self._settings.queue_max

    def resume(self) -> bool:
        """Take up from the store where the last run stopped; False while it cannot be reached."""
        try:
            self._pipeline.resume()
        except StoreDown as down:
            self._lost(down)
            return False
        self._found()
        return True

    def offer(self, arrived: Arrived) -> None:
        """Queue a message."""
        if not self._queue:
            self._queued_at = time.monotonic()
        self._queue.append(arrived)

    def forget_before(self, connection: int) -> None:
        """Drop queued messages that the broker will send again on this connection."""
        self._queue = deque(arrived for arrived in self._queue if not arrived.qos or arrived.connection >= connection)

    def due_in_s(self) -> float | None:
        """Seconds until there is something to do, None while nothing waits."""
        now = time.monotonic()
        if self._batch is not None:
            return max(0.0, self.wait.until - now)
        if not self._queue:
            return None
        if len(self._queue) >= self._settings.batch_max:
            return 0.0
        return max(0.0, self._queued_at + self._settings.batch_window_ms / 1000 - now)

    def work(self) -> None:
        """Write the batch in hand, or take the next one when it is full or old enough."""
        if self.due_in_s() != 0.0:
            return
        if self._batch is None:
            self._in_hand = self._next()
            self._batch = Batch([arrived.message for arrived in self._in_hand], self._clock_ms())
            self._queued_at = time.monotonic()
        self._write(self._batch)

    def _next(self) -> list[Arrived]:
        """The next messages that the store does not have."""
        fresh: list[Arrived] = []
        while self._queue and len(fresh) < self._settings.batch_max:
            arrived = self._queue.popleft()
            # Asked here and not at arrival: the batch in hand then may have held it.
            if arrived.again and self._redelivered.is_stored(arrived.message.topic, arrived.message.payload):
                self.totals["redelivered"] += 1
                self._acknowledge(arrived)
            else:
                fresh.append(arrived)
        return fresh

    def finish(self, until: float) -> None:
        """Write the batch in hand, trying until a time of the monotonic clock."""
        while self._batch is not None and time.monotonic() < until:
            self._write(self._batch)
            if self._batch is not None:
                time.sleep(max(0.0, min(until, self.wait.until) - time.monotonic()))

    def _write(self, batch: Batch) -> None:
        try:
            self._pipeline.run(batch)
        except StoreDown as down:
            self._lost(down)
            return
        self._found()
        self.totals["received"] += len(batch.messages)
        self.totals["rejected"] += len(batch.rejects)
        self.totals["batches"] += 1
        for arrived in self._in_hand:
            if arrived.qos:
                self._redelivered.remember(arrived.message.topic, arrived.message.payload)
                self._acknowledge(arrived)
        self._batch, self._in_hand = None, []

    def _lost(self, down: StoreDown) -> None:
        self.wait.failed()
        if self._down_since_ms is None:
            self._down_since_ms = self._clock_ms()
            log.warning("waiting_for_store", store=self._store, error=str(down))

    def _found(self) -> None:
        self.wait.succeeded()
        if self._down_since_ms is not None:
            away_s = (self._clock_ms() - self._down_since_ms) / 1000
            log.info("store_back", away_s=round(away_s, 1), queued=len(self._queue))
            self._down_since_ms = None


def place(url: str) -> str:
    """Host and port of a URL, without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or parts.path
