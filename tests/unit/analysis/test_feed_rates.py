"""Rates from counters."""

import pytest

from analysis.feed_rates import ExpectedRates, FeedRate, FeedRates, UsualRates
from city.messages import FeedCount


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


def look(rate_per_s: float | None) -> list[FeedRate]:
    count = FeedCount(feed="gps", received=1, stored=1, late=0, rejected={}, last_received_ms=1)
    return [FeedRate(count=count, rate_per_s=rate_per_s, age_s=0.0)]


@pytest.mark.parametrize(
    ("rate_per_s", "late_after_s"), [(300.0, 4.0), (4.0, 5.0), (1.0, 20.0), (0.1, 120.0), (None, 120.0)]
)
def test_a_feed_is_late_sooner_the_faster_it_usually_speaks(rate_per_s: float | None, late_after_s: float) -> None:
    usual = UsualRates()
    usual.update(look(rate_per_s), 1_000)
    assert usual.late_after_s("gps", 120.0) == pytest.approx(late_after_s)


def test_what_a_feed_usually_does_outlives_its_silence_and_fades_slowly() -> None:
    usual = UsualRates()
    usual.update(look(2.0), 1_000)
    for second in range(60):
        usual.update(look(0.0), 2_000 + second * 1000)
    assert usual.late_after_s("gps", 120.0) == pytest.approx(10.7, abs=0.1)


def test_a_feed_that_may_be_silent_for_ever_is_never_late() -> None:
    usual = UsualRates()
    usual.update(look(50.0), 1_000)
    assert usual.late_after_s("gps", None) is None
    assert usual.late_after_s("unheard", 60.0) == 60.0


def minutes_of(expected: ExpectedRates, per_s: list[float], begin_s: int = 0) -> FeedRate:
    """A look a second at a feed that brings so much in each minute; the last one."""
    rates, total, feed = FeedRates(), 0.0, look(None)[0]
    for second in range(len(per_s) * 60):
        total += per_s[second // 60]
        rates.update(counts(gps=int(total)), (begin_s + second) * 1000)
        (feed,) = rates.feeds((begin_s + second) * 1000)
        expected.update([feed], (begin_s + second) * 1000)
    return feed


def test_the_minutes_rate_is_unknown_at_first_and_is_over_a_minute_then() -> None:
    rates = FeedRates()
    for second in range(10):
        rates.update(counts(gps=second), second * 1000)
    assert rates.feeds(10_000)[0].minute_per_s is None
    for second in range(10, 130):
        rates.update(counts(gps=second if second < 100 else 100), second * 1000)
    (feed,) = rates.feeds(130_000)
    assert feed.rate_per_s == 0
    assert feed.minute_per_s == pytest.approx(31 / 60)


def test_completeness_is_the_last_minute_against_the_configured_rate() -> None:
    expected = ExpectedRates({"gps": 10.0})
    assert expected.completeness(minutes_of(expected, [6.0, 6.0])) == pytest.approx(0.6, abs=0.01)
    assert expected.completeness(minutes_of(expected, [30.0])) == 1.0
    assert expected.completeness(look(5.0)[0]) is None


def test_without_a_setting_a_feed_is_compared_with_what_it_usually_brings() -> None:
    expected = ExpectedRates({})
    assert expected.per_s("gps") is None
    half = minutes_of(expected, [10.0] * 6 + [5.0])
    assert expected.per_s("gps") == pytest.approx(10, abs=0.2)
    assert expected.completeness(half) == pytest.approx(0.5, abs=0.05)


def test_one_burst_does_not_make_the_usual_rate() -> None:
    expected = ExpectedRates({})
    minutes_of(expected, [500.0] + [2.0] * 6)
    assert expected.per_s("gps") == pytest.approx(2, abs=0.1)


def test_a_dead_feed_is_compared_with_what_it_was_however_long_it_is_dead() -> None:
    expected = ExpectedRates({})
    dead = minutes_of(expected, [10.0] * 5 + [0.0] * 120)
    assert expected.completeness(dead) == 0.0


def test_of_a_feed_that_seldom_speaks_a_minute_says_nothing() -> None:
    expected = ExpectedRates({})
    assert expected.completeness(minutes_of(expected, [0.2] * 10)) is None
