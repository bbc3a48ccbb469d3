"""What lies between the broker and the store: the queue, the batches on their way, the acknowledgements.

A message leaves here when the store has it; while the store is away everything waits.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any

import structlog

from city.messages import Received
from city.settings import Ingest
from city.store import StoreDown, StoreFenced
from ingest.batch import Batch
from ingest.figures import Figures
from ingest.pipeline import Pipeline
from ingest.session import Backoff, place

log = structlog.get_logger()

# A broker that was killed may have forgotten acknowledgements, and its mark on what it sends again then.
_DOUBTFUL_S = 10.0


class Intake:
    """Bounded queue and batches of one worker."""

    def __init__(
        self,
        pipeline: Pipeline,
        settings: Ingest,
        figures: Figures,
        *,
        store_url: str,
        clock_ms: Callable[[], int],
        acknowledge: Callable[[Sequence[Received]], None],
    ) -> None:
        self.wait = Backoff()
        self._pipeline = pipeline
        self._settings = settings
        self._figures = figures
        self._store = place(store_url)
        self._clock_ms = clock_ms
        self._acknowledge = acknowledge
        self._queue: deque[Received] = deque()
        self._queued_at = 0.0
        self._bytes = 0  # of payloads queued and in hand
        self._doubtful_until = 0.0  # of the monotonic clock
        self._prepared: Batch | None = None  # taken from the queue, not on its way yet
        self._in_hand = 0  # messages taken from the queue that the store does not have yet
        self._down_since_ms: int | None = None

    def __len__(self) -> int:
        """Messages that the store does not have yet."""
        return len(self._queue) + self._in_hand

    @property
    def full(self) -> bool:
        return len(self) >= self._settings.queue_max or self._bytes >= self._settings.queue_max_bytes

    @property
    def store_up(self) -> bool:
        return self._down_since_ms is None

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def in_hand(self) -> int:
        return self._in_hand

    def resume(self) -> bool:
        """Take up from the store where the last run stopped; False while it cannot be reached."""
        try:
            self._pipeline.resume()
        except StoreDown as down:
            self._lost(down)
            return False
        self._found()
        return True

    def offer(self, messages: list[Received]) -> None:
        """Queue messages."""
        if not self._queue:
            self._queued_at = time.monotonic()
        self._queue.extend(messages)
        self._bytes += sum([len(message.payload) for message in messages])

    def forget_before(self, connection: int) -> None:
        """Drop queued messages that the broker will send again on this connection."""
        self._doubtful_until = math.inf  # until the first batch sets it: that one is doubted in any case
        self._pipeline.writer.recent.ask_anew()
        kept = [one for one in self._queue if not one.packet_id or one.connection >= connection]
        self._bytes -= sum(len(one.payload) for one in self._queue) - sum(len(one.payload) for one in kept)
        self._queue = deque(kept)

    def due_in_s(self) -> float | None:
        """Seconds until there is something to do, None while only answers are awaited, or nothing."""
        if self._down_since_ms is not None:
            return max(0.0, self.wait.until - time.monotonic())
        return self._sendable_in_s()

    def _sendable_in_s(self) -> float | None:
        if self._prepared is not None:
            return 0.0
        if not self._queue or len(self._pipeline.writer) >= self._settings.batches_in_flight:
            return None
        if len(self._queue) >= self._settings.batch_max:
            return 0.0
        return max(0.0, self._queued_at + self._settings.batch_window_ms / 1000 - time.monotonic())

    def sockets(self) -> list[Any]:
        """Of the store, where answers will come."""
        return [one for sent in self._pipeline.writer.pendings() for one in sent.pending.sockets]

    def work(self) -> None:
        """Take the store's answers, and send what is due."""
        if self._down_since_ms is not None and time.monotonic() < self.wait.until:
            return
        try:
            if len(self._pipeline.writer):
                self._settle(wait=self._down_since_ms is not None)
            while self._sendable_in_s() == 0.0:
                self._send_next()
            self._found()
        except StoreDown as down:
            self._lost(down)

    def finish(self, until: float) -> None:
        """Write what is in hand, trying until a time of the monotonic clock."""
        while self._in_hand and time.monotonic() < until:
            try:
                if self._prepared is not None:
                    self._send_next()
                self._settle(wait=True)
            except StoreFenced:
                return
            except StoreDown as down:
                self._lost(down)
                time.sleep(max(0.0, min(until, self.wait.until) - time.monotonic()))

    def _send_next(self) -> None:
        batch = self._prepared
        if batch is None:
            now = time.monotonic()
            batch = self._prepared = Batch(self._take(), self._clock_ms(), doubtful=now < self._doubtful_until)
            if self._doubtful_until == math.inf:
                self._doubtful_until = now + _DOUBTFUL_S
        self._pipeline.prepare(batch)
        self._prepared = None
        self._pipeline.writer.send(batch)

    def _take(self) -> list[Received]:
        queue = self._queue
        most = self._settings.batch_max
        if len(queue) <= most:
            messages = list(queue)
            queue.clear()
        else:
            messages = list(islice(queue, most))
            for _ in range(most):
                queue.popleft()
        self._in_hand += len(messages)
        self._queued_at = time.monotonic()
        return messages

    def _settle(self, *, wait: bool) -> None:
        writer = self._pipeline.writer
        for batch in writer.settle(wait=wait and len(writer) > 0):
            messages = batch.messages
            self._acknowledge(messages)
            self._in_hand -= len(messages)
            self._bytes -= sum([len(message.payload) for message in messages])
            self._figures.stored(batch, store_s=writer.store_s, now_ms=self._clock_ms())

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
