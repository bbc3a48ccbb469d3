"""The hour of the day."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from sim.traffic import Daytime, block_shares


def _daytime(hour_utc: int, minute: int = 0) -> Daytime:
    moment = datetime(2026, 3, 18, hour_utc, minute, tzinfo=UTC)
    return Daytime(int(moment.timestamp() * 1000), ZoneInfo("Asia/Tashkent"))


def test_rush_hour_is_told_by_the_citys_clock() -> None:
    rush, night = _daytime(3), _daytime(22)  # 08:00 and 03:00 in Tashkent
    assert rush.demand_share(0) == 1.0
    assert night.demand_share(0) == 0.05
    assert rush.speed_share(0) < 0.7 < night.speed_share(0)


def test_the_day_goes_on_past_midnight() -> None:
    evening = _daytime(18)  # 23:00
    assert evening.demand_share(2 * 3600) == pytest.approx(0.06)


def test_within_a_quarter_of_an_hour_nothing_changes() -> None:
    begun_early, begun_late = _daytime(2, 30), _daytime(2, 44)
    assert begun_early.speed_share(0) == begun_late.speed_share(0) == begun_early.speed_share(899)
    assert begun_early.speed_share(900) != begun_early.speed_share(899)


def test_every_stretch_of_every_line_has_a_speed() -> None:
    first, share = block_shares(np.array([1200.0, 499.0]), np.random.default_rng(1))
    assert first.tolist() == [0, 3]
    assert len(share) == 4
    assert ((share >= 0.45) & (share <= 1.15)).all()
