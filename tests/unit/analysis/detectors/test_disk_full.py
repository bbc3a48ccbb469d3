"""A disk that fills as a timeline."""

from __future__ import annotations

import pytest
from timelines import S, changes, play

from analysis.detectors.disk_full import DETECTOR
from analysis.detectors.seen import DiskSeen
from city.rules.system import DiskFull


def test_a_disk_that_fills_and_is_emptied() -> None:
    free = [50, 11, 10, 5, 0, 12, 14, 15, 50]
    looks = [DiskSeen(free_bytes=one * 10**9, total_bytes=10**11, now_ms=at * S) for at, one in enumerate(free, 1)]
    found = play(DETECTOR, DiskFull(free_min=0.1, free_clear=0.15), looks)
    assert changes(found) == [("raise", 3), ("clear", 8)]
    assert found[0].values == {"free_pct": 10.0, "free_gb": 10.0}


def test_a_disk_that_does_not_tell_its_size_is_not_full() -> None:
    assert play(DETECTOR, DiskFull(), [DiskSeen(free_bytes=0, total_bytes=0, now_ms=S)]) == []


def test_limits_that_would_chatter_are_refused() -> None:
    with pytest.raises(ValueError, match="free_clear must not be below free_min"):
        DiskFull(free_min=0.2, free_clear=0.1)
