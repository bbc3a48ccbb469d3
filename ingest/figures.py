"""What one worker counts of itself, for the store, the log and `/metrics`."""

from __future__ import annotations

import statistics
from bisect import bisect_left

from city.messages import Arrival, Histogram, WorkerFigures
from ingest.batch import Batch

_BATCH_BOUNDS = (1, 3, 10, 30, 100, 300, 1000)
_SECONDS_BOUNDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10)
# Of a batch so many readings are looked at for the clocks: enough for a median, and no cost.
_SAMPLED_PER_BATCH = 8
# And of a feed so many a second: a minute of them is sorted every second, while messages wait.
_SAMPLED_PER_S = 30
_ARRIVALS_KEPT_MS = 60_000


class _Counted:
    """A histogram that grows."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def histogram(self) -> Histogram:
        return Histogram(bounds=self._bounds, counts=tuple(self._counts), total=self._total)


class Figures:
    """Grows from the worker's start on."""

    def __init__(self, worker: str, started_ms: int) -> None:
        self._worker = worker
        self._started_ms = started_ms
        self.received = self.redelivered = self.rejected = self.batches = 0
        self.age_s: float | None = None  # of what the last batch brought, when it arrived; in the median
        self._batch_messages = _Counted(_BATCH_BOUNDS)
        self._store_s = _Counted(_SECONDS_BOUNDS)
        self._lag_s = _Counted(_SECONDS_BOUNDS)
        self._arrivals: dict[str, list[tuple[int, float]]] = {}  # feed → (when, age in seconds)

    def stored(self, batch: Batch, *, store_s: float, now_ms: int) -> None:
        """Count a batch that the store has."""
        messages = batch.messages
        self.batches += 1
        self.received += len(messages)
        self.rejected += len(batch.rejects)
        self.redelivered += batch.known
        self._batch_messages.add(len(messages))
        self._store_s.add(store_s)
        if messages:
            self._lag_s.add(max(0.0, (now_ms - messages[0].received_ms) / 1000))
        readings = batch.readings
        ages: list[float] = []
        for reading in readings[:: max(1, len(readings) // _SAMPLED_PER_BATCH)]:
            if reading.feed and not reading.message.retained:
                ages.append((reading.message.received_ms - reading.event.measured_ms) / 1000)
                seen = self._arrivals.setdefault(reading.feed, [])
                if len(seen) < _SAMPLED_PER_S or now_ms - seen[-_SAMPLED_PER_S][0] >= 1000:
                    seen.append((now_ms, ages[-1]))
        if ages:
            self.age_s = statistics.median(ages)

    def snapshot(self, *, at_ms: int, connected: bool, queued: int, in_flight: int) -> WorkerFigures:
        """What the store is told."""
        return WorkerFigures(
            worker=self._worker,
            started_ms=self._started_ms,
            at_ms=at_ms,
            connected=connected,
            received=self.received,
            redelivered=self.redelivered,
            batches=self.batches,
            queued=queued,
            in_flight=in_flight,
            batch_messages=self._batch_messages.histogram(),
            store_s=self._store_s.histogram(),
            lag_s=self._lag_s.histogram(),
            arrivals=self._told_arrivals(at_ms),
        )

    def _told_arrivals(self, at_ms: int) -> dict[str, Arrival]:
        told: dict[str, Arrival] = {}
        for feed, seen in list(self._arrivals.items()):
            recent = [one for one in seen if at_ms - one[0] <= _ARRIVALS_KEPT_MS]
            if not recent:
                del self._arrivals[feed]
                continue
            self._arrivals[feed] = recent
            ages = [age_s for _, age_s in recent]
            told[feed] = Arrival(least_s=min(ages), median_s=statistics.median(ages), most_s=max(ages))
        return told
