"""Feed silence as timelines."""

from __future__ import annotations

from timelines import DAY_S, HOUR_S, S, changes, play

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


def nights(days: int, failing: int | None = None) -> list[FeedSeen]:
    """A look a minute at a feed that speaks by day and is silent for seven hours each night; or fails on one noon."""
    looks = []
    last_s = 0
    for at_s in range(0, days * DAY_S, 60):
        hour = at_s % DAY_S / HOUR_S
        fails = at_s // DAY_S == failing and 12 <= hour < 13
        if 6 <= hour < 23 and not fails:
            last_s = at_s
        looks.append(look(at_s, last_s))
    return looks


def test_a_feed_that_rests_at_night_is_known_after_two_nights() -> None:
    raised = [at_s for change, at_s in changes(play(DETECTOR, RULE, nights(5))) if change == "raise"]
    assert [at_s // DAY_S for at_s in raised] == [0, 0, 1]  # before the first morning, and two nights


def test_a_feed_that_fails_by_day_is_told_and_one_failure_teaches_nothing() -> None:
    told = changes(play(DETECTOR, RULE, [*nights(6, failing=3)]))
    raised = [at_s for change, at_s in told if change == "raise" and at_s > 2 * DAY_S]
    assert raised == [3 * DAY_S + 12 * HOUR_S]  # a minute after the last one, at 11:59
    again = changes(play(DETECTOR, RULE, [*nights(6, failing=3), *fails_again(6)]))
    assert [at_s for change, at_s in again if change == "raise"][-1] == 6 * DAY_S + 12 * HOUR_S + 60


def fails_again(day: int) -> list[FeedSeen]:
    begin_s = day * DAY_S
    spoken = [look(begin_s + at_s, begin_s + at_s) for at_s in range(6 * HOUR_S, 12 * HOUR_S + 60, 60)]
    return [
        *spoken,
        *(look(begin_s + at_s, begin_s + 12 * HOUR_S) for at_s in range(12 * HOUR_S, 12 * HOUR_S + 300, 5)),
    ]


def test_a_feed_that_is_silent_in_the_morning_is_told_an_hour_after_its_time() -> None:
    """The hour after the night still has the night's measure."""
    begin_s = 5 * DAY_S
    late = [look(begin_s + at_s, begin_s - HOUR_S - 60) for at_s in range(0, 9 * HOUR_S, 60)]
    raised = [at_s for change, at_s in changes(play(DETECTOR, RULE, [*nights(5), *late])) if change == "raise"]
    assert raised[-1] - begin_s == 7 * HOUR_S
