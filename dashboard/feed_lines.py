"""The feeds and the workers as the API and the page of feeds tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, to_builtins

from analysis.feed_rates import ExpectedRates, FeedRate
from analysis.workers import WorkerReport
from city.messages import Arrival, FeedCount
from dashboard.feed import CityState


class FeedLine(Struct, frozen=True, kw_only=True):
    """One feed: what became of its messages since the state began, and how it does now."""

    feed: str
    received: int
    stored: int
    late: int
    rejected: dict[str, int]  # by reason
    rate_per_s: float | None
    age_s: float | None  # of the last message
    expected_rate_per_s: float | None
    completeness: float | None  # 0–1: the last minute's rate over the expected one
    clock: Arrival | None  # how old its messages are when they come


def feed_lines(state: CityState, expected: ExpectedRates, now_ms: int) -> list[FeedLine]:
    """Every feed that was heard of, and those that are expected and were not, by name."""
    feeds = state.rates.feeds(now_ms)
    unheard = expected.configured.keys() - {feed.count.feed for feed in feeds} if state.read_ms else ()
    arrivals = state.workers.arrivals(state.moment_ms())
    lines = [_line(feed, expected, arrivals) for feed in (*feeds, *(_nothing(feed) for feed in unheard))]
    return sorted(lines, key=lambda line: line.feed)


def _line(feed: FeedRate, expected: ExpectedRates, arrivals: Mapping[str, Arrival]) -> FeedLine:
    count = feed.count
    return FeedLine(
        feed=count.feed,
        received=count.received,
        stored=count.stored,
        late=count.late,
        rejected=count.rejected,
        rate_per_s=_rounded(feed.rate_per_s, 2),
        age_s=feed.age_s,
        expected_rate_per_s=_rounded(expected.per_s(count.feed), 2),
        completeness=_rounded(expected.completeness(feed), 3),
        clock=arrivals.get(count.feed),
    )


def _nothing(feed: str) -> FeedRate:
    count = FeedCount(feed=feed, received=0, stored=0, late=0, rejected={}, last_received_ms=None)
    return FeedRate(count=count, rate_per_s=0.0, age_s=None, minute_per_s=0.0)


def feeds_frame(
    state: CityState, lines: Sequence[FeedLine], late_after_s: Mapping[str, float | None], now_ms: int
) -> dict[str, Any]:
    """What the page of feeds draws."""
    return {
        "at": now_ms,
        "feeds": [{**to_builtins(line), "late_after_s": late_after_s.get(line.feed)} for line in lines],
        # While the store is lost nothing is heard of anybody: what was known of them stands still.
        "workers": [worker_json(report, now_ms) for report in state.workers.reports(state.moment_ms())],
        "rejects_kept": state.rejects_kept.messages if state.rejects_kept else None,
    }


def worker_json(report: WorkerReport, now_ms: int) -> dict[str, Any]:
    """One worker in plain values; times in epoch milliseconds."""
    figures = report.figures
    return {
        "worker": figures.worker,
        "state": report.state.value,
        "connected": figures.connected,
        "started_ms": figures.started_ms,
        "age_s": max(0.0, (now_ms - figures.at_ms) / 1000),
        "received": figures.received,
        "redelivered": figures.redelivered,
        "batches": figures.batches,
        "queued": figures.queued,
        "in_flight": figures.in_flight,
        "rate_per_s": _rounded(report.rate_per_s, 2),
        "batch_messages": _rounded(report.batch_messages, 1),
        "lag_p50_s": _rounded(report.lag_p50_s, 4),
        "lag_p99_s": _rounded(report.lag_p99_s, 4),
        "store_p50_s": _rounded(report.store_p50_s, 4),
        "store_p99_s": _rounded(report.store_p99_s, 4),
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
