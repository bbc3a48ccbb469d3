"""Boarding and alighting."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sim.network import Network
from sim.passengers import Crowds, alighting, dwell_s, room


@given(onboard=st.integers(0, 200), way=st.floats(0, 1), seed=st.integers(0, 1000))
def test_nobody_gets_off_who_was_not_on_board(onboard: int, way: float, seed: int) -> None:
    assert 0 <= alighting(onboard, way, np.random.default_rng(seed)) <= onboard


@given(onboard=st.integers(0, 300), capacity=st.integers(20, 200))
def test_a_bus_takes_no_more_than_a_crush_load(onboard: int, capacity: int) -> None:
    assert room(onboard, capacity) >= 0
    assert onboard + room(onboard, capacity) <= max(onboard, 1.45 * capacity)


def test_a_late_bus_finds_a_larger_crowd(cross: Network) -> None:
    """The cause of bunching: those who wait grow with the gap."""
    means = []
    for gap_s in (60.0, 600.0):
        crowds = Crowds(cross, np.full(4, 600.0), np.random.default_rng(3))
        waiting = []
        for number in range(200):
            crowds.board(0, number * 1e4, 0, 0)
            waiting.append(crowds.waiting(0, number * 1e4 + gap_s, 1.0))
        means.append(sum(waiting) / 200)
    assert means[1] > 5 * means[0]


def test_who_is_left_behind_mostly_waits_for_the_next_bus(cross: Network) -> None:
    crowds = Crowds(cross, np.full(4, 600.0), np.random.default_rng(3))
    crowds.board(0, 100.0, waiting=30, boarded=10)
    assert crowds.waiting(0, 100.0, 0.0) == 14


def test_doors_stay_open_longer_for_more_people_but_not_for_ever() -> None:
    assert dwell_s(0, 0) < dwell_s(10, 0) < dwell_s(30, 0)
    assert dwell_s(500, 500) == 75.0
