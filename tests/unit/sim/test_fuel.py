"""Tanks and thefts."""

from __future__ import annotations

import numpy as np
import pytest

from sim.fleet import LAYOVER, Fleet, fresh_fleet
from sim.fuel import Thieves, burn, gauge_l, refuel_if_low
from sim.network import Network
from sim.registry import register


@pytest.fixture
def fleet(cross: Network) -> Fleet:
    fleet = fresh_fleet(cross, register(cross.lines, 6, 1), 0.0, np.random.default_rng(1))
    fleet.level_l[:] = 100.0
    return fleet


def _burn(fleet: Fleet, moved_m: float, dt_s: float = 1.0, *, ignition: bool = True) -> None:
    everybody = np.arange(fleet.size)
    burn(
        fleet, everybody, np.full(fleet.size, moved_m), dt_s,
        capacity=np.full(fleet.size, 90.0), ignition=np.full(fleet.size, ignition),
    )  # fmt: skip


def test_a_city_bus_burns_35_to_45_litres_over_100_km(fleet: Fleet) -> None:
    """At 18 km/h, half full, engine always on."""
    fleet.onboard[:] = 45
    used_l = fleet.used_l.copy()
    for _ in range(2000):
        _burn(fleet, 5.0)
    per_100_km = (fleet.used_l - used_l) / (2000 * 5.0) * 1e5
    assert ((per_100_km > 35) & (per_100_km < 45)).all()


def test_with_the_engine_off_nothing_burns(fleet: Fleet) -> None:
    _burn(fleet, 0.0, 60.0, ignition=False)
    assert (fleet.level_l == 100.0).all()


def test_an_empty_tank_does_not_go_below_empty(fleet: Fleet) -> None:
    fleet.level_l[:] = 0.001
    _burn(fleet, 1000.0)
    assert (fleet.level_l == 0.0).all()


def test_the_gauge_is_within_half_a_litre_moving_and_quieter_at_rest() -> None:
    rng = np.random.default_rng(1)
    level = np.full(2000, 100.0)
    moving = gauge_l(level, np.full(2000, True), np.full(2000, 250.0), rng) - 100
    resting = gauge_l(level, np.full(2000, False), np.full(2000, 250.0), rng) - 100
    assert abs(moving).max() <= 0.5
    assert abs(resting).max() <= 0.15
    assert moving.std() > 2 * resting.std()


def test_a_low_tank_is_filled_to_95_percent_while_standing(fleet: Fleet) -> None:
    fleet.level_l[0] = 30.0
    takes_s = refuel_if_low(fleet, 0, 250.0)
    assert takes_s > 60
    for _ in range(int(takes_s) + 2):
        _burn(fleet, 0.0, ignition=False)
    assert fleet.level_l[0] == pytest.approx(0.95 * 250)
    assert fleet.refuelled_l[0] == pytest.approx(0.95 * 250 - 30)


def test_neither_a_full_tank_nor_a_trolleybus_is_filled(fleet: Fleet) -> None:
    assert refuel_if_low(fleet, 0, 250.0) == 0
    fleet.level_l[1] = 0.0
    assert refuel_if_low(fleet, 1, 0.0) == 0


def test_thieves_take_15_to_60_litres_in_30_to_90_seconds_from_a_bus_at_rest(fleet: Fleet) -> None:
    thieves = Thieves(np.full(fleet.size, 250.0), np.random.default_rng(1))
    fleet.phase[2] = LAYOVER
    fleet.since_s[2] = 0.0
    theft = next(found for t in range(200) if (found := thieves.step(fleet, float(t))))
    assert theft.vehicle == 2
    assert 15 <= theft.litres <= 60
    assert 30 <= theft.end_s - theft.start_s <= 90
    assert theft.start_s >= 40
    # The bus stays until several readings have shown the loss.
    assert fleet.until_s[2] >= theft.end_s + 60
    for _ in range(91):
        _burn(fleet, 0.0, ignition=False)
    assert fleet.level_l[2] == pytest.approx(100.0 - theft.litres)
    assert fleet.stolen_l.tolist() == pytest.approx([0, 0, theft.litres, 0, 0, 0])


def test_nothing_is_stolen_from_a_bus_that_drives_or_has_just_come(fleet: Fleet) -> None:
    thieves = Thieves(np.full(fleet.size, 250.0), np.random.default_rng(1))
    fleet.phase[0] = LAYOVER
    fleet.since_s[0] = 1e9
    assert not any(thieves.step(fleet, float(t)) for t in range(600))


def test_a_city_of_trolleybuses_has_no_thieves(fleet: Fleet) -> None:
    thieves = Thieves(np.zeros(fleet.size), np.random.default_rng(1))
    fleet.phase[:] = LAYOVER
    assert not any(thieves.step(fleet, float(t)) for t in range(600))
