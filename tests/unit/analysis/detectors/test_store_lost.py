"""A store that does not answer as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import S, Timeline, changes

from analysis.detectors.seen import StoreSeen
from analysis.detectors.store_lost import DETECTOR
from city.rules.system import StoreLost


def store(now_s: int, lost_s: int | None) -> StoreSeen:
    return StoreSeen(lost_since_ms=None if lost_s is None else lost_s * S, now_ms=now_s * S)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([store(70, 10), store(70, None)], [("raise", 20), ("clear", 70)]),  # told when it is back
        ([store(11, 10), 19, 20, store(30, 10), store(70, None)], [("raise", 20), ("clear", 70)]),
        ([store(15, 10), store(16, None), 100], []),
        ([store(10, None)], []),
        (
            [store(70, 10), store(70, None), store(100, 90), store(101, None)],
            [("raise", 20), ("clear", 70), ("raise", 100), ("clear", 101)],
        ),
    ],
)
def test_a_store_that_did_not_answer(moments: list[Any], expected: list[tuple[str, float]]) -> None:
    timeline = Timeline(DETECTOR, StoreLost(on_delay_s=10))
    for moment in moments:
        if isinstance(moment, int):
            timeline.tick(moment)
        else:
            timeline.see(moment)
    assert changes(timeline.found) == expected


def test_how_long_the_store_was_away_is_told() -> None:
    timeline = Timeline(DETECTOR, StoreLost(on_delay_s=10), restarts=True)
    timeline.see(store(70, 10))
    timeline.see(store(70, None))
    assert [one.values["lost_s"] for one in timeline.found] == [10, 60]
