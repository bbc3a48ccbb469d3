"""Clocks as timelines."""

from __future__ import annotations

import pytest
from timelines import S, changes, play, worker

from analysis.detectors.clock_skew import DETECTOR
from analysis.detectors.seen import ArrivalSeen
from city.messages import Arrival
from city.rules.system import ClockSkew

RULE = ClockSkew(ahead_max_s=10, behind_max_s=900, clear_share=0.8, on_delay_s=60, off_delay_s=30)


def arrival(now_s: int, median_s: float) -> ArrivalSeen:
    ages = Arrival(least_s=min(-500.0, median_s), median_s=median_s, most_s=max(9e4, median_s))
    return ArrivalSeen(feed="hfp", arrival=ages, now_ms=now_s * S)


@pytest.mark.parametrize(
    ("medians", "expected"),
    [
        ({10: -11, 40: -11, 70: -11}, [("raise", 70)]),  # ahead: measured after it came
        ({10: -9, 100: 800}, []),
        ({10: 901, 70: 1000}, [("raise", 70)]),
        ({10: -11, 60: -1, 90: -1}, []),
        ({10: -11, 70: -11, 80: -9, 100: -7, 129: -7, 130: -7}, [("raise", 70), ("clear", 130)]),
        ({10: -11, 70: -11, 80: -7, 90: -9, 120: -7, 149: -7}, [("raise", 70)]),
    ],
)
def test_a_feed_whose_clock_is_wrong(medians: dict[int, float], expected: list[tuple[str, float]]) -> None:
    """One device's clock (the least and the most) is nobody's alarm: the median is."""
    looks = [arrival(now_s, median_s) for now_s, median_s in medians.items()]
    assert changes(play(DETECTOR, RULE, looks)) == expected


def test_the_skew_is_positive_when_ahead_and_ends_by_time_alone() -> None:
    found = play(DETECTOR, RULE, [arrival(10, -42), 70, arrival(80, 0), 109, 110])
    assert changes(found) == [("raise", 70), ("clear", 110)]
    assert found[0].values == {"skew_s": 42}
    assert (found[0].source_kind, found[0].key) == ("feed", "feed|hfp")


def test_a_worker_ahead_is_told_and_old_figures_are_not() -> None:
    found = play(DETECTOR, RULE, [worker(10, at_s=30), worker(70, at_s=90)])
    assert changes(found) == [("raise", 70)]
    assert (found[0].source_kind, found[0].source_id) == ("worker", "w1")
    assert play(DETECTOR, RULE, [worker(5000, at_s=10), worker(6000, at_s=10)]) == []
