"""Rates from counters."""

from analysis.feed_rates import FeedRates
from city.models import FeedCount


def counts(**received: int) -> list[FeedCount]:
    return [
        FeedCount(feed=feed, received=n, stored=n, late=0, rejected={}, last_received_ms=1000)
        for feed, n in received.items()
    ]


def test_one_look_is_no_rate() -> None:
    rates = FeedRates()
    rates.update(counts(hfp=5), 0)
    assert rates.per_s() is None
    assert [(feed.rate_per_s, feed.age_s) for feed in rates.feeds(3000)] == [(None, 2.0)]


def test_the_rate_is_over_the_window_alone() -> None:
    rates = FeedRates(window_s=10)
    total = 0
    for second in range(60):
        total += 100 if second < 30 else 2
        rates.update(counts(hfp=total), second * 1000)
    assert rates.per_s() == 2.0


def test_an_emptied_store_starts_anew_instead_of_a_negative_rate() -> None:
    rates = FeedRates()
    rates.update(counts(hfp=1000), 0)
    rates.update(counts(hfp=3), 1000)
    assert rates.per_s() is None
    rates.update(counts(hfp=5), 2000)
    assert rates.per_s() == 2.0


def test_a_feed_that_begins_counts_from_nothing() -> None:
    rates = FeedRates()
    rates.update(counts(hfp=10), 0)
    rates.update(counts(hfp=10, case=4), 2000)
    assert [feed.rate_per_s for feed in rates.feeds(2000)] == [0.0, 2.0]
