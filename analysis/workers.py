"""What the ingest workers' figures say of the last minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from math import inf
from statistics import median

from msgspec import Struct

from city.messages import Arrival, Histogram, WorkerFigures

# Figures come every second or two: older ones are those of a worker that has gone or hangs.
SILENT_AFTER_MS = 10_000
_WINDOW_MS = 60_000
# Fewer seconds would tell a single batch; the figures since the worker's start are told instead.
_WINDOW_LEAST_MS = 10_000


class WorkerState(StrEnum):
    """How a worker is."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"  # from the broker
    SILENT = "silent"  # its figures are old


class WorkerReport(Struct, frozen=True, kw_only=True):
    """One worker: its newest figures, and what it did in the last minute (since its start where that is not known).

    Quantiles and means are None where nothing was written.
    """

    figures: WorkerFigures
    state: WorkerState
    rate_per_s: float | None  # messages
    batch_messages: float | None  # mean
    lag_p50_s: float | None
    lag_p99_s: float | None
    store_p50_s: float | None
    store_p99_s: float | None


@dataclass(slots=True)
class WorkerLooks:
    """Keeps a minute of every worker's figures."""

    _looks: dict[str, deque[WorkerFigures]] = field(default_factory=dict)

    def update(self, workers: Sequence[WorkerFigures]) -> None:
        """Take the newest figures of all workers in; a worker that is not among them is forgotten."""
        for gone in self._looks.keys() - {figures.worker for figures in workers}:
            del self._looks[gone]
        for figures in workers:
            looks = self._looks.setdefault(figures.worker, deque())
            if looks and looks[-1].started_ms != figures.started_ms:
                looks.clear()
            if not looks or looks[-1].at_ms < figures.at_ms:
                looks.append(figures)
            while len(looks) > 2 and looks[1].at_ms <= figures.at_ms - _WINDOW_MS:
                looks.popleft()

    def newest(self) -> list[WorkerFigures]:
        """The newest figures of every worker, by name."""
        return [looks[-1] for _, looks in sorted(self._looks.items())]

    def reports(self, now_ms: int) -> list[WorkerReport]:
        """Every worker, by name."""
        return [_report(looks[0], looks[-1], now_ms) for _, looks in sorted(self._looks.items())]

    def arrivals(self, now_ms: int) -> dict[str, Arrival]:
        """How old messages are when they come, by feed: of all workers that are heard of."""
        heard = [figures for figures in self.newest() if now_ms - figures.at_ms <= SILENT_AFTER_MS]
        feeds = sorted({feed for figures in heard for feed in figures.arrivals})
        return {
            feed: _together(figures.arrivals[feed] for figures in heard if feed in figures.arrivals) for feed in feeds
        }


def _report(first: WorkerFigures, last: WorkerFigures, now_ms: int) -> WorkerReport:
    since = first if last.at_ms - first.at_ms >= _WINDOW_LEAST_MS else None
    seconds = (last.at_ms - (since.at_ms if since else last.started_ms)) / 1000
    batches = difference(last.batch_messages, since.batch_messages if since else None)
    lag = difference(last.lag_s, since.lag_s if since else None)
    store = difference(last.store_s, since.store_s if since else None)
    count = sum(batches.counts)
    if now_ms - last.at_ms > SILENT_AFTER_MS:
        state = WorkerState.SILENT
    else:
        state = WorkerState.CONNECTED if last.connected else WorkerState.DISCONNECTED
    rate_per_s = None
    if seconds > 0 and state is not WorkerState.SILENT:  # nobody knows what a silent one does
        rate_per_s = (last.received - (since.received if since else 0)) / seconds
    return WorkerReport(
        figures=last,
        state=state,
        rate_per_s=rate_per_s,
        batch_messages=batches.total / count if count else None,
        lag_p50_s=quantile(lag, 0.5),
        lag_p99_s=quantile(lag, 0.99),
        store_p50_s=quantile(store, 0.5),
        store_p99_s=quantile(store, 0.99),
    )


def _together(arrivals: Iterable[Arrival]) -> Arrival:
    """Several workers' arrivals as one; the median is that of their medians."""
    each = list(arrivals)
    return Arrival(
        least_s=min(one.least_s for one in each),
        median_s=median(one.median_s for one in each),
        most_s=max(one.most_s for one in each),
    )


def difference(now: Histogram, before: Histogram | None) -> Histogram:
    """What fell into a histogram since `before`; all of it where the two cannot be compared."""
    if before is None or before.bounds != now.bounds:
        return now
    counts = tuple(max(0, n - b) for n, b in zip(now.counts, before.counts, strict=True))
    return Histogram(bounds=now.bounds, counts=counts, total=now.total - before.total)


def cumulated(histogram: Histogram) -> list[tuple[float, int]]:
    """Each bound with how many values are not above it; the last one is infinite (Prometheus' buckets)."""
    bounds = (*histogram.bounds, inf)
    return list(zip(bounds, accumulate(histogram.counts), strict=True))


def quantile(histogram: Histogram, share: float) -> float | None:
    """The value that `share` of all values do not exceed, None of an empty histogram.

    Linear within a bucket from 0 on, as Prometheus' `histogram_quantile` has it; what is above the last bound counts as
    that bound.
    """
    buckets = cumulated(histogram)
    total = buckets[-1][1]
    if total == 0:
        return None
    rank = share * total
    lower, below = 0.0, 0
    for bound, up_to in buckets:
        if up_to >= rank and up_to > below:
            if bound == inf:
                return lower
            return lower + (bound - lower) * (rank - below) / (up_to - below)
        lower, below = bound, up_to
    return lower
