"""Incidents, and how far their counts vary beyond chance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, poisson

from analysis.incidence import begins_occurrence, binomial_more, dispersion, poisson_more

MINUTE_MS = 60_000
ONE_KIND = np.zeros(56, dtype=np.int64)


def test_an_incident_begins_an_hour_after_the_last_one_began() -> None:
    at = np.array([0, 10, 59, 60, 61, 119, 120]) * MINUTE_MS
    assert list(begins_occurrence(at, np.zeros(7, dtype=np.int64))) == [True, False, False, True, False, False, True]
    assert begins_occurrence(at, np.arange(7)).all()


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 3)), max_size=60))
def test_no_two_incidents_of_a_place_begin_within_an_hour_and_none_is_lost(told: list[tuple[int, int]]) -> None:
    told.sort()
    at = np.array([minute for minute, _ in told], dtype=np.int64) * MINUTE_MS
    place = np.array([where for _, where in told], dtype=np.int64)
    begins = begins_occurrence(at, place)
    for where in set(place.tolist()):
        first = at[begins & (place == where)]
        assert (np.diff(first) >= 60 * MINUTE_MS).all()
        assert all(((moment - first >= 0) & (moment - first < 60 * MINUTE_MS)).any() for moment in at[place == where])


@pytest.mark.parametrize("mean", [0.02, 1.0, 20.0])
def test_chance_has_a_dispersion_of_one_however_sparse(mean: float) -> None:
    rng = np.random.default_rng(1)
    place = rng.gamma(2, 0.5, 100)  # places differ, and days do
    day = rng.gamma(5, 0.2, 56)
    counts = rng.poisson(mean * np.outer(day, place)).astype(float)
    assert dispersion(counts, ONE_KIND) == pytest.approx(1, abs=0.12)


def test_swarms_have_the_dispersion_that_they_are_made_with() -> None:
    rng = np.random.default_rng(2)
    sizes = rng.geometric(1 / 3, (56, 200, 4)) * (np.arange(4) < rng.poisson(0.5, (56, 200))[..., None])
    # Of geometric swarms with mean 3: 2 · 3 − 1.
    assert dispersion(sizes.sum(axis=2).astype(float), ONE_KIND) == pytest.approx(5, rel=0.15)


def test_what_lies_over_a_border_shows_in_the_neighbourhood() -> None:
    rng = np.random.default_rng(3)
    one = rng.poisson(0.5, (56, 50)).astype(float)
    pairs = np.repeat(one, 2, axis=1)
    near = np.kron(np.eye(50), np.ones((2, 2)))
    assert dispersion(pairs, ONE_KIND) == pytest.approx(1, abs=0.1)
    assert dispersion(pairs, ONE_KIND, near) == pytest.approx(2, abs=0.2)


def test_nothing_has_no_dispersion() -> None:
    assert dispersion(np.zeros((56, 5)), ONE_KIND) == 1
    assert dispersion(np.ones((56, 1)), ONE_KIND) == 1


def test_without_dispersion_the_tests_are_the_exact_ones() -> None:
    count = np.arange(0.0, 11)
    np.testing.assert_allclose(binomial_more(count, np.full(11, 10.0), np.full(11, 0.3)), binom.sf(count - 1, 10, 0.3))
    np.testing.assert_allclose(poisson_more(count, np.full(11, 2.5)), poisson.sf(count - 1, 2.5))
    assert (np.diff(poisson_more(count, np.full(11, 2.5), 3.0)) < 0).all()


def test_of_dispersed_counts_no_more_are_significant_than_the_bound_says() -> None:
    rng = np.random.default_rng(4)
    swarms = rng.poisson(12, 20_000)
    counts = np.array([rng.geometric(1 / 3, many).sum() for many in swarms], dtype=float)
    p = poisson_more(counts, np.full(len(counts), 36.0), 5.0)
    assert 0.02 < (p <= 0.05).mean() < 0.075
    assert (poisson_more(counts, np.full(len(counts), 36.0)) <= 0.05).mean() > 0.2
