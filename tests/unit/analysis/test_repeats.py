"""Repeated alarms, and rules that became more in a district."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.repeats import repeats, shifts
from city.alarms import Transition
from tests.unit.analysis.risen import CLOCK, DAY_MS, HOUR_MS, MONDAY_MS, noise, read, rise

FIRST = CLOCK.local(MONDAY_MS).toordinal()
WEEKS = 6


def test_an_alarm_far_more_often_than_its_like_is_a_repeat_with_its_numbers() -> None:
    told = noise(np.random.default_rng(1), 3000, WEEKS, ("overspeed",))
    for n in range(60):
        told += rise("overspeed", "wild", MONDAY_MS + n * 16 * HOUR_MS, (1, 1))
    rises = read(told)
    (one,) = repeats(rises, FIRST, 3)
    assert rises.alarms[one.alarm] == "overspeed:wild"
    assert (one.count, one.weeks_with, one.mtbf_h) == (60, 6, 16.0)
    assert one.share == pytest.approx(60 / 3060)
    assert one.expected == pytest.approx(3, abs=0.5)
    assert one.q is not None
    assert one.q < 1e-10


def test_a_bad_day_is_no_repeat() -> None:
    told = noise(np.random.default_rng(2), 3000, WEEKS, ("overspeed",))
    for n in range(60):
        told += rise("overspeed", "wild", MONDAY_MS + n * 60_000, (1, 1), stood_ms=1000)
    assert repeats(read(told), FIRST, 3) == []


def test_noise_repeats_nothing() -> None:
    for seed in range(5):
        assert repeats(read(noise(np.random.default_rng(seed), 5000, WEEKS)), FIRST, 3) == []


def test_the_only_source_of_a_rule_is_a_repeat_without_significance() -> None:
    rises = read([t for week in range(6) for t in rise("disk_full", "d", MONDAY_MS + week * 7 * DAY_MS, None)])
    (one,) = repeats(rises, FIRST, 3)
    assert (one.q, one.expected, one.share) == (None, None, 1.0)


def planted(rng: np.random.Generator, per_day: list[float]) -> list[Transition]:
    told: list[Transition] = []
    for day, mean in enumerate(per_day):
        for _ in range(rng.poisson(mean)):
            at_ms = MONDAY_MS + day * DAY_MS + int(rng.integers(DAY_MS))
            told += rise("gap", f"r{rng.integers(50)}", at_ms, (2, int(rng.integers(12))))
    return told


@pytest.mark.parametrize("day", [14, 25, 30])
def test_a_planted_break_is_found_at_its_day(day: int) -> None:
    rng = np.random.default_rng(day)
    rises = read(planted(rng, [3.0] * day + [9.0] * (42 - day)))
    (one,) = shifts(rises, FIRST, 42)
    assert one.break_day is not None
    assert abs(one.break_day - FIRST - day) <= 2
    assert one.before_per_day == pytest.approx(3, abs=1)
    assert one.after_per_day == pytest.approx(9, abs=1.5)
    assert one.q <= 0.05


def test_what_became_less_is_no_problem() -> None:
    rises = read(planted(np.random.default_rng(4), [9.0] * 21 + [3.0] * 21))
    assert shifts(rises, FIRST, 42) == []


def test_noise_has_no_breaks_beyond_the_rate_that_is_held() -> None:
    false = sum(bool(shifts(read(noise(np.random.default_rng(s), 1500, WEEKS)), FIRST, 42)) for s in range(30))
    assert false <= 4


def test_four_weeks_are_the_least_for_a_break() -> None:
    rises = read(planted(np.random.default_rng(5), [1.0] * 14 + [20.0] * 14))
    assert shifts(rises, FIRST, 27) == []
    assert len(shifts(rises, FIRST, 28)) == 1


def test_what_chatters_within_an_hour_is_counted_once() -> None:
    told = noise(np.random.default_rng(6), 3000, WEEKS, ("overspeed",))
    # Once a week, as others, but each time it comes and goes a dozen times.
    for week in range(WEEKS):
        for n in range(12):
            told += rise("overspeed", "loose", MONDAY_MS + week * 7 * DAY_MS + n * 240_000, (1, 1), stood_ms=1000)
    assert repeats(read(told), FIRST, 3) == []


def test_sources_that_all_have_bad_days_repeat_nothing() -> None:
    """Each has as many bad days as chance gives it, and a dozen alarms on each."""
    false = 0
    for seed in range(5):
        rng = np.random.default_rng(70 + seed)
        told: list[Transition] = []
        for _ in range(300):
            source, day = f"bus-{rng.integers(200)}", int(rng.integers(7 * WEEKS))
            for hour in rng.choice(24, 12, replace=False):
                told += rise("overspeed", source, MONDAY_MS + day * DAY_MS + int(hour) * HOUR_MS, (1, 1))
        false += len(repeats(read(told), FIRST, 3))
    assert false <= 1
