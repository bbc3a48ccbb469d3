"""What a worker counts of itself."""

from __future__ import annotations

import pytest
from played_store import batch_of

from city.events import FuelReading
from city.messages import Reading, Received, Reject, RejectReason, WorkerFigures
from ingest.batch import Batch
from ingest.figures import Figures

S = 1000


@pytest.fixture
def figures() -> Figures:
    return Figures("markaz-tashkent", 5 * S)


def reading(age_s: float, *, feed: str = "fuel", received_ms: int = 0, retained: bool = False) -> Reading:
    message = Received("t", b"{}", received_ms, retained)
    measured_ms = received_ms - round(age_s * S)
    return Reading(feed, FuelReading(vehicle_id="a", measured_ms=measured_ms, received_ms=received_ms), message)


def reject() -> Reject:
    return Reject(feed="f", reason=RejectReason.NOT_JSON, detail="d", message=Received("t", b"", 0))


def snapshot(figures: Figures, at_ms: int) -> WorkerFigures:
    return figures.snapshot(at_ms=at_ms, connected=True, queued=7, in_flight=9)


def test_a_new_worker_has_counted_nothing(figures: Figures) -> None:
    told = snapshot(figures, 6 * S)
    assert (told.worker, told.started_ms, told.at_ms, told.connected) == ("markaz-tashkent", 5 * S, 6 * S, True)
    assert (told.received, told.redelivered, told.batches, told.queued, told.in_flight) == (0, 0, 0, 7, 9)
    assert sum(told.batch_messages.counts) == 0
    assert told.arrivals == {}


def test_messages_batches_and_rejects_add_up(figures: Figures) -> None:
    known = batch_of(reading(0), reading(0))
    known.known = 2
    figures.stored(batch_of(reading(0), rejects=[reject(), reject()]), store_s=0.003, now_ms=0)
    figures.stored(known, store_s=0.003, now_ms=0)
    told = snapshot(figures, 0)
    assert (told.received, told.redelivered, told.batches) == (5, 2, 2)
    assert figures.rejected == 2


def test_a_value_at_a_bound_counts_below_it_and_one_above_all_bounds_last(figures: Figures) -> None:
    """As Prometheus counts: a bucket's bound is inclusive."""
    for messages, store_s in ((10, 0.01), (11, 0.011), (5000, 99.0)):
        figures.stored(Batch([Received("t", b"", 0)] * messages, 0), store_s=store_s, now_ms=0)
    told = snapshot(figures, 0)
    sizes = dict(zip((*told.batch_messages.bounds, None), told.batch_messages.counts, strict=True))
    assert {bound: count for bound, count in sizes.items() if count} == {10: 1, 30: 1, None: 1}
    assert told.batch_messages.total == 5021
    waits = dict(zip((*told.store_s.bounds, None), told.store_s.counts, strict=True))
    assert {bound: count for bound, count in waits.items() if count} == {0.01: 1, 0.02: 1, None: 1}
    assert told.store_s.total == pytest.approx(99.021)


def test_lag_is_from_the_arrival_of_a_batchs_oldest_message_until_the_store_has_it(figures: Figures) -> None:
    messages = [Received("t", b"", 10 * S), Received("t", b"", 11 * S)]
    figures.stored(Batch(messages, 0), store_s=0, now_ms=10 * S + 300)
    # A clock that was set back gives no negative lag.
    figures.stored(Batch(messages, 0), store_s=0, now_ms=9 * S)
    figures.stored(Batch([], 0), store_s=0, now_ms=0)
    told = snapshot(figures, 0)
    assert told.lag_s.total == pytest.approx(0.3)
    assert sum(told.lag_s.counts) == 2


def test_arrivals_tell_delay_and_clocks_of_a_feed_in_the_last_minute(figures: Figures) -> None:
    figures.stored(batch_of(*(reading(age_s) for age_s in (2, -1, 0.5))), store_s=0, now_ms=0)
    figures.stored(batch_of(reading(30, feed="gps")), store_s=0, now_ms=30 * S)
    told = snapshot(figures, 60 * S).arrivals
    assert (told["fuel"].least_s, told["fuel"].median_s, told["fuel"].most_s) == (-1, 0.5, 2)
    assert told["gps"].median_s == 30
    assert set(snapshot(figures, 60 * S + 1).arrivals) == {"gps"}
    assert snapshot(figures, 91 * S).arrivals == {}


def test_retained_and_uncounted_readings_say_nothing_of_arrivals(figures: Figures) -> None:
    """What the broker kept since yesterday did not take a day to come."""
    figures.stored(batch_of(reading(86_400, retained=True), reading(1, feed="")), store_s=0, now_ms=0)
    assert snapshot(figures, 0).arrivals == {}


def test_however_many_come_so_many_arrivals_are_kept_that_telling_them_holds_nothing_up(figures: Figures) -> None:
    batch = batch_of(*(reading(1) for _ in range(40)))
    for at_ms in range(0, 120 * S, 20):
        figures.stored(batch, store_s=0, now_ms=at_ms)
        if at_ms % S == 0:
            snapshot(figures, at_ms)
    assert 60 * 20 <= len(figures._arrivals["fuel"]) <= 60 * 40


def test_a_large_batch_is_looked_at_from_end_to_end_and_not_whole(figures: Figures) -> None:
    ages = [*range(100)]
    figures.stored(batch_of(*(reading(age_s) for age_s in ages)), store_s=0, now_ms=0)
    told = snapshot(figures, 0).arrivals["fuel"]
    assert told.least_s == 0
    assert told.most_s >= 80
    assert 40 <= told.median_s <= 60
    assert len(figures._arrivals["fuel"]) <= 16
