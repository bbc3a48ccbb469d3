"""Feed silence as timelines."""

from __future__ import annotations

from timelines import S, changes, play

from analysis.detectors.feed_silent import DETECTOR
from analysis.detectors.seen import FeedSeen
from city.messages import FeedCount
from city.rules.system import FeedSilent

RULE = FeedSilent(silent_after_s={"hfp": 60})


def look(now_s: int, last_s: int | None, feed: str = "hfp") -> FeedSeen:
    last_ms = None if last_s is None else last_s * S
    count = FeedCount(feed=feed, received=1, stored=1, late=0, rejected={}, last_received_ms=last_ms)
    return FeedSeen(count=count, now_ms=now_s * S)


def test_rises_once_after_its_time_and_clears_when_it_speaks() -> None:
    found = play(DETECTOR, RULE, [look(159, 100), look(160, 100), look(500, 100), look(502, 501), look(503, 501)])
    assert changes(found) == [("raise", 160), ("clear", 501)]
    assert [one.values["silent_s"] for one in found] == [60.0, 401.0]


def test_a_feed_that_never_spoke_or_that_nobody_minds_is_not_silent() -> None:
    assert play(DETECTOR, RULE, [look(10_000, None), look(10_000, 1, "case")]) == []


def test_a_feed_that_nobody_minds_any_more_is_cleared() -> None:
    _, found = DETECTOR.step(
        DETECTOR.state(feed="case", last_ms=S, raised_ms=61 * S),
        look(100, 1, "case"),
        RULE,
        None,  # type: ignore[arg-type]
    )
    assert changes(found) == [("clear", 61)]


def test_nobody_listening_is_not_silence() -> None:
    """The last message is from before the outage: silence counts from its end."""
    found = play(DETECTOR, RULE, [look(1000, 100), look(1049, 100), look(1050, 100)], watching_s=990)
    assert changes(found) == [("raise", 1050)]
    assert found[0].values["silent_s"] == 950.0
