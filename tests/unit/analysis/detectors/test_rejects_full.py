"""The alarm comes before the oldest rejects go, and leaves when there is room again."""

from __future__ import annotations

import pytest
from timelines import S, play

from analysis.detectors.rejects_full import DETECTOR
from analysis.detectors.seen import RejectsSeen
from city.rules.system import RejectsFull

RULE = RejectsFull(share_max=0.8, share_clear=0.6)


def timeline(*sizes: int) -> list[tuple[int, str, float]]:
    looks = [RejectsSeen(size_bytes=size, max_bytes=1000, now_ms=at * S) for at, size in enumerate(sizes)]
    found = play(DETECTOR, RULE, looks)
    return [(one.at_ms // S, one.change.value, float(one.values["full_pct"])) for one in found]


def test_it_rises_once_at_the_limit_and_clears_below_the_lower_one() -> None:
    assert timeline(0, 799, 800, 950, 1000, 700, 601, 600, 0) == [(2, "raise", 80.0), (7, "clear", 60.0)]


def test_each_rise_is_an_alarm_of_its_own() -> None:
    assert [change for _, change, _ in timeline(900, 100, 900)] == ["raise", "clear", "raise"]


def test_limits_that_would_chatter_are_refused() -> None:
    with pytest.raises(ValueError, match="share_clear must not be above share_max"):
        RejectsFull(share_max=0.5, share_clear=0.6)
