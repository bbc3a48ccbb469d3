"""Trends, breaks and the false discovery rate against values of the literature and other implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, theilslopes

from analysis.breaks import false_discovery, find_break, persistence, trend, without_week


def test_a_rising_series_has_its_slope_and_a_small_p() -> None:
    found = trend(np.arange(10.0) * 2)
    assert found.slope == 2
    # S = 45, variance 125: z = 44 / √125
    assert found.z == pytest.approx(44 / np.sqrt(125))
    assert found.p < 0.001


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0, 3.0], [5.0] * 20])
def test_what_is_too_short_or_never_changes_has_no_trend(values: list[float]) -> None:
    assert trend(np.array(values)).p == 1


@given(st.lists(st.integers(0, 20), min_size=4, max_size=30))
def test_the_slope_is_that_of_theil_and_sen(values: list[int]) -> None:
    assert trend(np.array(values, dtype=float)).slope == pytest.approx(theilslopes(values).slope)


@given(st.lists(st.integers(0, 20), min_size=4, max_size=30))
def test_a_mirrored_series_has_the_mirrored_trend(values: list[int]) -> None:
    series = np.array(values, dtype=float)
    assert trend(series).z == pytest.approx(-trend(series[::-1]).z)


@pytest.mark.parametrize("day", [15, 30, 40])
def test_a_break_is_found_at_its_day(day: int) -> None:
    rng = np.random.default_rng(day)
    series = np.concatenate([rng.poisson(3, day), rng.poisson(9, 56 - day)]).astype(float)
    found = find_break(series)
    assert found is not None
    assert abs(found.at - day) <= 1
    assert found.p < 0.001
    assert found.before < 4
    assert found.after > 7


def test_noise_has_a_significant_break_as_seldom_as_it_says() -> None:
    rng = np.random.default_rng(1)
    found = [find_break(rng.poisson(4, 56).astype(float)) for _ in range(400)]
    assert sum(one is not None and one.p <= 0.05 for one in found) <= 0.07 * 400


def persistent(rng: np.random.Generator, days: int, rho: float) -> np.ndarray:
    """Daily counts without trend or break, where something of a bad day is left on the next: AR(1)."""
    noise = rng.normal(size=days + 30)
    series = np.zeros(days + 30)
    for day in range(1, days + 30):
        series[day] = rho * series[day - 1] + noise[day]
    return np.maximum(0, np.round(10 + 3 * series[30:]))


@pytest.mark.parametrize("days", [28, 56])
@pytest.mark.parametrize("rho", [0, 0.3, 0.5])
def test_days_that_hang_together_make_no_break_and_no_trend(days: int, rho: float) -> None:
    """Taken as independent one of four of them has one."""
    rng = np.random.default_rng(2)
    weekdays = np.arange(days) % 7
    breaks = trends = 0
    for _ in range(300):
        values = without_week(persistent(rng, days, rho), weekdays)
        found = find_break(values)
        breaks += found is not None and found.p <= 0.05
        trends += trend(values).p <= 0.05
    assert breaks <= 0.08 * 300
    assert trends <= 0.1 * 300


def test_a_trend_in_days_that_hang_together_is_seen_all_the_same() -> None:
    rng = np.random.default_rng(3)
    seen = [trend(persistent(rng, 56, 0.3) + 0.25 * np.arange(56)).p <= 0.05 for _ in range(50)]
    assert sum(seen) >= 45


@pytest.mark.parametrize("rho", [0.0, 0.4, 0.7])
def test_persistence_is_estimated_without_being_drawn_down(rho: float) -> None:
    rng = np.random.default_rng(4)
    steps = np.arange(56)
    found = [persistence(v - trend(v).slope * steps, 3, 5) for v in (persistent(rng, 56, rho) for _ in range(200))]
    # It is never below 0: where there is none it is a little above.
    assert np.mean(found) == pytest.approx(rho, abs=0.1)


def test_too_few_values_have_no_persistence() -> None:
    assert persistence(np.arange(19.0), 3, 5) == 0
    assert persistence(np.ones(40), 3, 5) == 0


def test_a_weekly_rhythm_is_no_break() -> None:
    series = np.tile([9.0, 9, 9, 9, 9, 1, 1], 8)
    assert np.ptp(without_week(series, np.arange(56) % 7)) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_q_values_are_those_of_benjamini_and_hochberg(values: list[float]) -> None:
    p = np.array(values)
    np.testing.assert_allclose(false_discovery(p), false_discovery_control(p))
