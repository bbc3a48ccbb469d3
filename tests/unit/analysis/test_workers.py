"""What workers' figures say of the last minute."""

from __future__ import annotations

from math import inf

import pytest

from analysis.workers import WorkerLooks, WorkerState, cumulated, difference, quantile
from city.messages import Arrival, Histogram, WorkerFigures

BOUNDS = (0.01, 0.1, 1.0)


def histogram(*counts: int, total: float = 0.0) -> Histogram:
    return Histogram(bounds=BOUNDS, counts=counts, total=total)


def figures(
    at_s: int, received: int, lag: Histogram, *, worker: str = "w", started_s: int = 0, connected: bool = True,
    arrivals: dict[str, Arrival] | None = None,
) -> WorkerFigures:  # fmt: skip
    return WorkerFigures(
        worker=worker,
        started_ms=started_s * 1000,
        at_ms=at_s * 1000,
        connected=connected,
        received=received,
        redelivered=0,
        batches=sum(lag.counts),
        queued=0,
        in_flight=0,
        batch_messages=Histogram(bounds=BOUNDS, counts=lag.counts, total=float(received)),
        store_s=lag,
        lag_s=lag,
        arrivals=arrivals or {},
    )


def test_buckets_are_cumulated_up_to_the_infinite_one() -> None:
    assert cumulated(histogram(1, 2, 0, 3)) == [(0.01, 1), (0.1, 3), (1.0, 3), (inf, 6)]


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ((10, 0, 0, 0), 0.5, 0.005),
        ((5, 5, 0, 0), 0.5, 0.01),
        ((5, 5, 0, 0), 1.0, 0.1),
        ((0, 4, 0, 0), 0.25, 0.0325),
        ((0, 0, 0, 9), 0.99, 1.0),
        ((0, 0, 0, 0), 0.5, None),
    ],
)
def test_a_quantile_is_linear_within_its_bucket(counts: tuple[int, ...], share: float, value: float | None) -> None:
    assert quantile(histogram(*counts), share) == (value if value is None else pytest.approx(value))


def test_histograms_with_other_bounds_are_not_compared() -> None:
    other = Histogram(bounds=(1.0,), counts=(5, 5), total=1.0)
    assert difference(histogram(1, 1, 1, 1), other) == histogram(1, 1, 1, 1)
    assert difference(histogram(3, 2, 1, 1, total=4.0), histogram(1, 2, 0, 1, total=1.5)) == histogram(
        2, 0, 1, 0, total=2.5
    )


def test_rates_and_delays_are_those_of_the_last_minute_not_of_the_workers_life() -> None:
    looks = WorkerLooks()
    for second in range(100, 200):
        # A bad start: a thousand slow batches; a quick batch of ten messages a second since.
        looks.update([figures(second, 50_000 + second * 10, histogram(second, 0, 1000, 0))])
    (report,) = looks.reports(200_000)
    assert report.rate_per_s == pytest.approx(10)
    assert report.batch_messages == pytest.approx(10)
    assert report.lag_p99_s is not None
    assert report.lag_p99_s <= 0.01


def test_at_first_the_figures_since_the_workers_start_are_told() -> None:
    looks = WorkerLooks()
    looks.update([figures(100, 500, histogram(0, 10, 0, 0))])
    (report,) = looks.reports(100_000)
    assert report.rate_per_s == 5
    assert report.batch_messages == 50


def test_a_worker_that_started_again_begins_anew() -> None:
    looks = WorkerLooks()
    for second in range(50):
        looks.update([figures(second, 1000 * second, histogram(second, 0, 0, 0))])
    looks.update([figures(52, 20, histogram(2, 0, 0, 0), started_s=50)])
    (report,) = looks.reports(52_000)
    assert report.rate_per_s == 10


def test_a_worker_is_silent_when_its_figures_are_old_and_forgotten_when_it_left() -> None:
    looks = WorkerLooks()
    looks.update(
        [figures(1, 1, histogram(1, 0, 0, 0)), figures(1, 1, histogram(1, 0, 0, 0), worker="x", connected=False)]
    )
    assert [report.state for report in looks.reports(5_000)] == [WorkerState.CONNECTED, WorkerState.DISCONNECTED]
    assert [(report.state, report.rate_per_s) for report in looks.reports(12_000)] == [(WorkerState.SILENT, None)] * 2
    looks.update([figures(13, 2, histogram(1, 0, 0, 0))])
    assert [report.figures.worker for report in looks.reports(13_000)] == ["w"]


def test_the_clocks_of_a_feed_are_those_of_all_workers_that_are_heard() -> None:
    looks = WorkerLooks()
    one, two = Arrival(least_s=-2, median_s=0.2, most_s=3), Arrival(least_s=0, median_s=0.4, most_s=9)
    gone = Arrival(least_s=-900, median_s=1, most_s=900)
    looks.update(
        [
            figures(100, 1, histogram(1, 0, 0, 0), worker="a", arrivals={"hfp": one}),
            figures(100, 1, histogram(1, 0, 0, 0), worker="b", arrivals={"hfp": two, "case": two}),
            figures(50, 1, histogram(1, 0, 0, 0), worker="c", arrivals={"hfp": gone}),
        ]
    )
    found = looks.arrivals(101_000)
    assert found["case"] == two
    assert (found["hfp"].least_s, found["hfp"].most_s) == (-2, 9)
    assert found["hfp"].median_s == pytest.approx(0.3)
