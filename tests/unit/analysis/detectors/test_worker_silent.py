"""Workers that tell nothing as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import DAY_S, changes, play, worker

from analysis.detectors.worker_silent import DETECTOR
from city.rules.system import WorkerSilent

RULE = WorkerSilent(silent_after_s=30, forget_after_s=DAY_S)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([worker(at, at_s=10) for at in (11, 39, 40, 41, 100)], [("raise", 40)]),
        ([worker(40, at_s=10), worker(50, at_s=49)], [("raise", 40), ("clear", 50)]),
        ([worker(40, at_s=10), worker(41, at_s=9)], [("raise", 40)]),  # older figures are no word
        ([worker(40, at_s=10), DAY_S + 9, DAY_S + 10], [("raise", 40), ("clear", DAY_S + 10)]),
        ([worker(3 * DAY_S, at_s=10)], []),  # gone long before
    ],
)
def test_a_worker_that_tells_nothing(moments: list[Any], expected: list[tuple[str, float]]) -> None:
    assert changes(play(DETECTOR, RULE, moments)) == expected


def test_a_worker_that_nobody_could_hear_is_not_silent() -> None:
    looks = [worker(at, at_s=10) for at in (1000, 1019, 1020)]
    assert changes(play(DETECTOR, RULE, looks, watching_s=990)) == [("raise", 1020)]
