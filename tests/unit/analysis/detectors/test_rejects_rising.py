"""The share of a feed's rejects as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import S, Timeline, changes, play

from analysis.detectors.rejects_rising import DETECTOR
from analysis.detectors.seen import FeedSeen
from city.messages import FeedCount
from city.rules.system import RejectsRising

RULE = RejectsRising(share_max=0.2, share_clear=0.1, window_s=300, messages_min=50)


def feed(now_s: int, received: int, **rejected: int) -> FeedSeen:
    count = FeedCount(feed="hfp", received=received, stored=0, late=0, rejected=rejected, last_received_ms=now_s * S)
    return FeedSeen(count=count, now_ms=now_s * S)


def rejected_over(spans: list[tuple[int, float]], *, reason: str = "bad_type", per_s: int = 1) -> list[Any]:
    """A feed's looks every second: (seconds, share of rejects) one after another."""
    looks, now_s, received, rejected = [], 1000, 0, 0.0
    for seconds, share in spans:
        for _ in range(seconds):
            now_s, received, rejected = now_s + 1, received + per_s, rejected + share * per_s
            looks.append(feed(now_s, received, **{reason: int(rejected)}))
    return looks


def test_a_large_share_of_rejects_is_an_alarm_until_the_window_is_good_again() -> None:
    found = play(DETECTOR, RULE, rejected_over([(600, 0.02), (300, 0.5), (600, 0.02)]))
    assert [one.change for one in found] == ["raise", "clear"]
    risen_s, cleared_s = (at_s for _, at_s in changes(found))
    assert 1600 + 60 < risen_s < 1600 + 180  # 0.2 of a window that holds some good minutes
    assert 1900 + 150 < cleared_s < 1900 + 320
    assert set(found[0].values) == {"rejected_pct", "rejected", "window_s"}
    assert found[0].source_id == "hfp"


def test_ordinary_reasons_and_a_few_rejects_are_none() -> None:
    assert play(DETECTOR, RULE, rejected_over([(900, 0.9)], reason="duplicate")) == []
    assert play(DETECTOR, RULE, rejected_over([(900, 0.15)])) == []


def test_of_a_few_messages_nothing_is_said() -> None:
    slow = [feed(1000 + at, at // 10, bad_type=at // 10) for at in range(900)]
    assert play(DETECTOR, RULE, slow) == []


def test_counters_that_fall_and_a_long_absence_begin_anew() -> None:
    emptied = [*rejected_over([(300, 0.0)]), feed(1400, 0), *(feed(1400 + at, at) for at in range(1, 100))]
    assert play(DETECTOR, RULE, emptied) == []
    away = [
        feed(1000, 1000),
        feed(9000, 9000, bad_type=8000),
        *(feed(9000 + at, 9000 + at, bad_type=8000) for at in range(1, 400)),
    ]
    assert play(DETECTOR, RULE, away) == []


def test_the_window_is_written_down_in_steps() -> None:
    line, states = Timeline(DETECTOR, RULE), set()
    for look in rejected_over([(900, 0.0)]):
        line.see(look)
        states.add(line.states["hfp"])
    assert len(states) <= 32
    assert max(len(one.looks) for one in states) <= 12


def test_limits_that_would_chatter_are_refused() -> None:
    with pytest.raises(ValueError, match="share_clear must not be above share_max"):
        RejectsRising(share_max=0.1, share_clear=0.2)
