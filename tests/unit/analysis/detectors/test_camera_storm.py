"""Too many events of one camera as timelines."""

from __future__ import annotations

import pytest
from timelines import camera_event as event
from timelines import changes, play

from analysis.detectors.camera_storm import DETECTOR
from city.rules.cameras import CameraStorm

RULE = CameraStorm(events_max=6, events_clear=2, window_s=60)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([event(at) for at in range(60, 66)], [("raise", 65)]),
        ([event(at) for at in (60, 72, 84, 96, 108, 120, 132)], []),  # never six in a window
        # The last one at 65: at 120 its sixth of a minute leaves the window.
        ([*(event(at) for at in range(60, 66)), 119, 120, 121], [("raise", 65), ("clear", 120)]),
        ([*(event(at) for at in range(60, 66)), event(300)], [("raise", 65), ("clear", 120)]),  # read late
        # It falls to four and rises again: one alarm.
        ([*(event(at) for at in range(60, 66)), *(event(at) for at in (75, 85, 95, 105, 115)), 120], [("raise", 65)]),
        ([event(60), *(event(61 + at, phase="update") for at in range(9))], []),
        ([*(event(at) for at in range(60, 65)), event(59), 70], [("raise", 59)]),  # a late one in the window counts
        ([*(event(at) for at in range(160, 165)), event(59), 170], []),  # one from before it does not
    ],
)
def test_more_events_than_allowed_in_the_window(moments: list[object], expected: list[tuple[str, float]]) -> None:
    assert changes(play(DETECTOR, RULE, moments)) == expected


def test_limits_that_would_chatter_are_refused() -> None:
    with pytest.raises(ValueError, match="events_clear must be below events_max"):
        CameraStorm(events_max=6, events_clear=6)
