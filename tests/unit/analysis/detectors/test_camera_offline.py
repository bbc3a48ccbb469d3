"""Camera offline as timelines."""

from __future__ import annotations

import pytest
from timelines import camera_status as status
from timelines import changes, play

from analysis.detectors.camera_offline import DETECTOR
from city.rules.cameras import CameraOffline

RULE = CameraOffline(on_delay_s=30)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([status(0, True), status(10, False), 39, 40, 41, status(100, True)], [("raise", 40), ("clear", 100)]),
        ([status(10, False), status(39, True), 60], []),  # a restart
        ([status(10, False), status(30, False), status(45, False), status(60, False), 90], [("raise", 40)]),
        ([status(10, False), status(100, True)], [("raise", 40), ("clear", 100)]),  # read late
        ([status(10, False), 40, status(5, True), 50], [("raise", 40)]),  # from before the outage
        ([status(10, False), status(50, True), status(60, False), 90], [("raise", 40), ("clear", 50), ("raise", 90)]),
    ],
)
def test_an_outage_of_the_on_delay_is_one_alarm(moments: list[object], expected: list[tuple[str, float]]) -> None:
    assert changes(play(DETECTOR, RULE, moments)) == expected


def test_the_alarm_says_how_long_it_has_lasted() -> None:
    found = play(DETECTOR, RULE, [status(10, False), 40, status(100, True)])
    assert [one.values["offline_s"] for one in found] == [30.0, 90.0]


def test_an_online_camera_needs_no_memory() -> None:
    city = None
    assert DETECTOR.step(None, status(1, True), RULE, city) == (None, [])  # type: ignore[arg-type]
