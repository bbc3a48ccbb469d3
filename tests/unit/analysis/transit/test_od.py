"""Origin and destination: the table keeps its margins, and says what it does not know."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from analysis.transit.counts import Counted
from analysis.transit.od import OdEstimate, OdRefused, OdRules, estimate, fit, seed_of
from analysis.transit.passages import LinePassages, Run
from tests.unit.analysis.transit.planted import LINE

STOPS = len(LINE.stops)


def line(trips: np.ndarray, runs: int, *, missing: float = 0.0, lost: float = 0.0, seed: int = 1) -> Counted:
    """Runs with Poisson passengers of a true table (a run); `missing`: passages without counts."""
    chance = np.random.default_rng(seed)
    boarded, alighted = np.zeros((runs, STOPS)), np.zeros((runs, STOPS))
    for run in range(runs):
        drawn = chance.poisson(trips)
        boarded[run], alighted[run] = drawn.sum(axis=1), drawn.sum(axis=0)
    alighted *= 1 - lost
    none = chance.random((runs, STOPS)) < missing
    boarded[none] = alighted[none] = np.nan
    size = runs * STOPS
    passages = LinePassages(
        line=LINE,
        runs=tuple(Run(vehicle_id=f"b{at}", trip=None, first_ms=0, last_ms=0, driven_m=0) for at in range(runs)),
        run=np.repeat(np.arange(runs), STOPS),
        stop=np.tile(np.arange(STOPS), runs),
        arrival_ms=np.zeros(size, np.int64),
        departure_ms=np.zeros(size, np.int64),
        deviation_s=np.full(size, np.nan),
        estimated=np.zeros(size, bool),
    )
    return Counted(passages=passages, boarded=boarded.ravel(), alighted=alighted.ravel(), load=np.full(size, np.nan))


TRUE = np.triu(np.arange(1, STOPS * STOPS + 1).reshape(STOPS, STOPS) % 5, 1).astype(float)


def test_the_estimate_keeps_who_got_on_and_off() -> None:
    one = line(TRUE, 40)
    found = estimate(one)
    assert isinstance(found, OdEstimate)
    on = {f"S{stop}": float(one.boarded[stop::STOPS].sum()) for stop in range(STOPS)}
    off = {f"S{stop}": float(one.alighted[stop::STOPS].sum()) for stop in range(STOPS)}
    for stop, number in on.items():
        rows = sum(pair.passengers for pair in found.pairs if pair.from_stop == stop)
        columns = sum(pair.passengers for pair in found.pairs if pair.to_stop == stop)
        assert (rows, columns) == (pytest.approx(number, rel=1e-6), pytest.approx(off[stop], rel=1e-6))
    assert found.residual < 1e-6
    assert found.imbalance == 0
    assert found.passengers == sum(on.values())


def test_the_mean_trip_is_what_loads_and_distances_say() -> None:
    """Passenger-metres over passengers: the counts alone give it, whatever the table."""
    one = line(TRUE, 40)
    found = estimate(one)
    assert isinstance(found, OdEstimate)
    on, off = (np.array([values[stop::STOPS].sum() for stop in range(STOPS)]) for values in (one.boarded, one.alighted))
    along_m = [stop.along_m for stop in LINE.stops]
    metres, load = 0.0, 0.0
    for stop in range(STOPS - 1):
        load += on[stop] - off[stop]
        metres += load * (along_m[stop + 1] - along_m[stop])
    assert found.mean_trip_m == pytest.approx(metres / on.sum(), rel=1e-6)


def test_a_table_of_the_seeds_own_kind_is_found_again() -> None:
    """Planted demand that follows the seed: the estimate is near it, within its interval for most pairs."""
    true = seed_of(np.array([stop.along_m for stop in LINE.stops])) * np.outer(np.arange(1, STOPS + 1), np.ones(STOPS))
    found = estimate(line(true, 200))
    assert isinstance(found, OdEstimate)
    inside = 0
    for pair in found.pairs:
        meant = 200 * true[int(pair.from_stop[1:]), int(pair.to_stop[1:])]
        assert pair.passengers == pytest.approx(meant, rel=0.25)
        assert pair.low <= pair.passengers <= pair.high
        inside += pair.low <= meant <= pair.high
    assert inside >= 0.6 * len(found.pairs)


def test_nobody_rides_back() -> None:
    found = estimate(line(TRUE, 20))
    assert isinstance(found, OdEstimate)
    assert all(int(pair.from_stop[1:]) < int(pair.to_stop[1:]) for pair in found.pairs)


@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        (line(TRUE, 40, missing=0.7), "coverage"),
        (line(TRUE, 9), "runs"),
        (line(TRUE, 40, lost=0.4), "imbalance"),
        (line(np.zeros((STOPS, STOPS)), 40), "passengers"),
    ],
    ids=["coverage", "runs", "imbalance", "passengers"],
)
def test_counts_that_do_not_allow_it_are_refused_with_the_reason(counted: Counted, reason: str) -> None:
    found = estimate(counted)
    assert isinstance(found, OdRefused)
    assert found.reason == reason
    assert abs(found.value) != found.needed


def test_runs_with_more_off_than_aboard_are_left_out_and_told() -> None:
    """Thirty get off where five can be aboard."""
    one = line(TRUE, 40)
    boarded, alighted = one.boarded.reshape(40, STOPS).copy(), one.alighted.reshape(40, STOPS).copy()
    boarded[:5] = [5, 0, 25, 0, 0, 0, 0]
    alighted[:5] = [0, 30, 0, 0, 0, 0, 0]
    found = estimate(replace(one, boarded=boarded.ravel(), alighted=alighted.ravel()))
    assert isinstance(found, OdEstimate)
    assert (found.runs, found.impossible) == (35, 5)
    assert found.residual < 1e-6
    boarded[:], alighted[:] = boarded[0], alighted[0]
    refused = estimate(replace(one, boarded=boarded.ravel(), alighted=alighted.ravel()))
    assert isinstance(refused, OdRefused)
    assert refused.reason == "runs"


def test_counts_that_contradict_each_other_are_refused() -> None:
    """Small errors on every run that one run may have, and no table can meet together."""
    boarded = np.tile([4.0, 0, 40, 0, 0, 0, 0], (40, 1))
    alighted = np.tile([0.0, 8, 0, 0, 0, 0, 36], (40, 1))
    one = replace(line(TRUE, 40), boarded=boarded.ravel(), alighted=alighted.ravel())
    found = estimate(one)
    assert isinstance(found, OdRefused)
    assert (found.reason, found.value > found.needed == 0.05) == ("residual", True)


def test_a_run_without_its_first_stop_is_not_whole() -> None:
    one = line(TRUE, 12)
    boarded, alighted = one.boarded.reshape(12, STOPS).copy(), one.alighted.reshape(12, STOPS).copy()
    boarded[:4, 0] = alighted[:4, 0] = np.nan
    found = estimate(replace(one, boarded=boarded.ravel(), alighted=alighted.ravel()))
    assert isinstance(found, OdRefused)
    assert (found.reason, found.value) == ("runs", 8)


def test_how_much_the_seed_decides_is_told() -> None:
    """Margins alone leave many tables; a seed without distances gives another one."""
    found = estimate(line(TRUE, 40))
    assert isinstance(found, OdEstimate)
    assert 0 < found.seed_share < 0.5


def test_what_one_may_ask_less_strictly_is_told_with_its_error() -> None:
    found = estimate(line(TRUE, 40, lost=0.3), OdRules(imbalance_max=0.5))
    assert isinstance(found, OdEstimate)
    assert found.imbalance == pytest.approx(0.3, abs=1e-9)


def test_the_interval_narrows_with_more_runs() -> None:
    few, many = (estimate(line(TRUE, runs)) for runs in (15, 240))
    assert isinstance(few, OdEstimate)
    assert isinstance(many, OdEstimate)

    def width(one: OdEstimate) -> float:
        return sum((pair.high - pair.low) for pair in one.pairs) / one.passengers

    assert width(many) < 0.5 * width(few)


def test_the_same_counts_give_the_same_interval() -> None:
    assert estimate(line(TRUE, 20)) == estimate(line(TRUE, 20))


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 8), st.integers(0, 10_000))
def test_fitted_tables_have_the_margins_of_any_possible_counts(size: int, seed: int) -> None:
    """Rows and columns of a real table can always be met."""
    chance = np.random.default_rng(seed)
    true = np.triu(chance.integers(1, 20, (size, size)), 1).astype(float)
    found = fit(np.triu(np.ones((size, size)), 1), true.sum(axis=1), true.sum(axis=0))
    assert np.allclose(found.sum(axis=1), true.sum(axis=1), rtol=1e-3)
    assert np.allclose(found.sum(axis=0), true.sum(axis=0), rtol=1e-3)
    assert (np.tril(found) == 0).all()
