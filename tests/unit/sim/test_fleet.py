"""The fleet in motion."""

from __future__ import annotations

import numpy as np
import pytest

from sim.fleet import ACCELERATION_MPS2, BRAKING_MPS2, DRIVING, Motion, fresh_fleet
from sim.network import Network
from sim.registry import register
from sim.traffic import SPEED_MAX_MPS


def _motion(network: Network, vehicles: int = 12) -> tuple[Motion, np.ndarray]:
    rng = np.random.default_rng(5)
    fleet = fresh_fleet(network, register(network.lines, vehicles, 5), 0.0, rng)
    first = np.arange(len(network.lines)) * 10.0
    motion = Motion(network, fleet, (first, np.ones(len(network.lines) * 10)), rng)
    return motion, np.arange(vehicles)


@pytest.mark.parametrize("dt_s", [0.05, 0.5, 1.0])
def test_speed_and_its_change_stay_within_bounds(cross: Network, dt_s: float) -> None:
    motion, everybody = _motion(cross)
    fleet = motion._fleet
    before = fleet.speed_mps.copy()
    for _ in range(round(150 / dt_s)):
        motion.step(everybody, dt_s, 1.0)
        change = (fleet.speed_mps - before) / dt_s
        assert fleet.speed_mps.max() <= SPEED_MAX_MPS
        assert fleet.speed_mps.min() >= 0
        assert change.max() <= ACCELERATION_MPS2 + 1e-9
        # Within 0.1 m of the line the last crawl ends at once, from little above twice the braking.
        assert (-change[before > 2.1 * BRAKING_MPS2]).max(initial=0.0) <= BRAKING_MPS2 + 1e-6
        before = fleet.speed_mps.copy()


def test_a_vehicle_comes_to_rest_exactly_at_its_target(cross: Network) -> None:
    motion, everybody = _motion(cross)
    fleet = motion._fleet
    arrived: set[int] = set()
    for _ in range(400):
        _, now = motion.step(everybody, 1.0, 1.0)
        fleet.phase[now] = 1
        arrived |= set(now)
    assert arrived == set(range(12))
    assert fleet.at_m.tolist() == cross.target_m[fleet.target].tolist()
    assert (fleet.speed_mps == 0).all()


def test_the_odometer_counts_the_metres_driven(cross: Network) -> None:
    motion, everybody = _motion(cross)
    fleet = motion._fleet
    at_m, odometer_m = fleet.at_m.copy(), fleet.odometer_m.copy()
    for _ in range(60):
        motion.step(everybody, 1.0, 0.8)
    assert (fleet.at_m > at_m).all()
    assert fleet.odometer_m - odometer_m == pytest.approx(fleet.at_m - at_m)


def test_a_standing_vehicle_stays_where_it_is(cross: Network) -> None:
    motion, everybody = _motion(cross)
    fleet = motion._fleet
    fleet.phase[:] = DRIVING + 1
    at_m = fleet.at_m.copy()
    moved, arrived = motion.step(everybody, 1.0, 1.0)
    assert arrived == []
    assert not moved.any()
    assert (fleet.at_m == at_m).all()


def test_traffic_slows_the_fleet(cross: Network) -> None:
    speeds = []
    for share in (1.0, 0.5):
        motion, everybody = _motion(cross)
        for _ in range(15):
            motion.step(everybody, 1.0, share)
        speeds.append(motion._fleet.speed_mps.mean())
    assert speeds[1] < 0.75 * speeds[0]


def test_a_fresh_fleet_is_spread_over_both_ways_of_every_route(network: Network) -> None:
    papers = register(network.lines, 300, 1)
    fleet = fresh_fleet(network, papers, 0.0, np.random.default_rng(1))
    assert set(fleet.line.tolist()) == set(range(28))
    assert ((fleet.at_m >= 0) & (fleet.at_m < network.length_m[fleet.line])).all()
    assert (network.target_m[fleet.target] > fleet.at_m).all()
