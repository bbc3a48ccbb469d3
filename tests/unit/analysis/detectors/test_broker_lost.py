"""Workers without their broker as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import changes, play, worker

from analysis.detectors.broker_lost import DETECTOR
from city.rules.system import BrokerLost

RULE = BrokerLost(on_delay_s=15, off_delay_s=10)


def spoken(*spans: tuple[int, int, bool]) -> list[Any]:
    return [worker(at, connected=connected) for begin, end, connected in spans for at in range(begin, end)]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (spoken((10, 60, False)), [("raise", 25)]),
        (spoken((10, 24, False), (24, 60, True)), []),  # it reconnects
        (spoken((10, 60, False), (60, 80, True)), [("raise", 25), ("clear", 70)]),
        (spoken((10, 60, False), (60, 65, True), (65, 99, False)), [("raise", 25)]),
        ([worker(at, at_s=10, connected=False) for at in range(30, 99)], []),  # old figures
    ],
)
def test_a_worker_without_its_broker(moments: list[Any], expected: list[tuple[str, float]]) -> None:
    assert changes(play(DETECTOR, RULE, moments)) == expected


def test_how_long_the_broker_was_away_is_told() -> None:
    found = play(DETECTOR, RULE, spoken((10, 60, False), (60, 80, True)))
    assert [one.values["lost_s"] for one in found] == [15, 60]
