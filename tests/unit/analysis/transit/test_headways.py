"""Headways against a plain loop over the planted departures."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import mean, median, pstdev
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.transit.headways import HeadwayRules, Reference, headways_of, summaries, wait_s
from analysis.transit.passages import LinePassages, passages_of
from tests.unit.analysis.transit.planted import LINE, Bus, fixes, told

ZONE = ZoneInfo("Asia/Tashkent")
# Leaving times with a bunch and a gap: seconds of the day.
LEAVES_S = (0, 600, 1200, 1260, 2400, 3000, 4800, 5400, 6000)


def passages(ahead_s: float | None = None) -> LinePassages:
    buses = [Bus(f"b{at}", leaves, ahead_s=ahead_s) for at, leaves in enumerate(LEAVES_S)]
    return passages_of(fixes(told(buses)), LINE)


def test_headways_are_the_differences_of_departures() -> None:
    found = headways_of(passages(), ZONE)
    for stop in range(7):
        mine = found.headway_s[found.stop == stop]
        assert mine.tolist() == [pytest.approx(b - a, abs=0.2) for a, b in pairwise(LEAVES_S)]
    assert [found.leader[at] for at in range(8)] == list(range(8))


def test_without_a_timetable_the_median_of_stop_and_hour_is_the_measure() -> None:
    """Figures as a loop computes them; 06:00–07:40 local time falls into two hours."""
    made = headways_of(passages(), ZONE)
    assert set(made.reference.tolist()) <= {Reference.USUAL, Reference.NONE}
    summary = next(one for one in summaries(made) if one.stop_id == "S2")
    departs_s = [leaves + 2100 / 10 + 40 + 20 for leaves in LEAVES_S]
    headways: dict[int, list[float]] = {}
    for before, after in pairwise(departs_s):
        headways.setdefault(int(after // 3600), []).append(after - before)
    every = [one for of_hour in headways.values() for one in of_hour]
    pairs = [(one, median(of_hour)) for of_hour in headways.values() if len(of_hour) >= 3 for one in of_hour]
    assert (summary.count, summary.referenced) == (len(every), len(pairs))
    assert summary.mean_s == pytest.approx(mean(every), abs=0.2)
    assert summary.p50_s == pytest.approx(median(every), abs=0.2)
    assert summary.variation == pytest.approx(pstdev(every) / mean(every), abs=1e-3)
    assert summary.bunched == sum(one < 0.25 * usual for one, usual in pairs) == 1
    assert summary.gaps == sum(one > 1.75 * usual for one, usual in pairs)
    waits = sum(one * one for one, _ in pairs) / (2 * sum(one for one, _ in pairs))
    meant = sum(usual * usual for _, usual in pairs) / (2 * sum(usual for _, usual in pairs))
    assert summary.wait_s == pytest.approx(waits, abs=0.2)
    assert summary.excess_wait_s == pytest.approx(waits - meant, abs=0.3)


def test_what_vehicles_say_of_their_schedule_is_the_better_measure() -> None:
    """All on time but one that is 9 minutes late: its headway was to be 600 s."""
    buses = [Bus(f"b{at}", 600 * at + (540 if at == 2 else 0), ahead_s=-540 if at == 2 else 0) for at in range(5)]
    found = headways_of(passages_of(fixes(told(buses)), LINE), ZONE)
    assert set(found.reference.tolist()) == {Reference.DEVIATION}
    assert found.reference_s.tolist() == [pytest.approx(600, abs=0.2)] * len(found)
    (all_stops,) = summaries(found, by_stop=False)
    # 1140 s, then 60 s, at each of 7 stops.
    assert (all_stops.gaps, all_stops.bunched) == (7, 7)
    assert all_stops.reference == "deviation"


def test_a_pause_of_the_service_is_no_headway() -> None:
    buses = [Bus(f"b{at}", leaves) for at, leaves in enumerate((0, 600, 20_000, 20_600))]
    found = headways_of(passages_of(fixes(told(buses)), LINE), ZONE, HeadwayRules(break_s=5400))
    assert len(found) == 7 * 2


def test_hours_are_the_citys() -> None:
    found = headways_of(passages(), ZONE)
    assert set(found.hour.tolist()) == {5, 6}  # UTC 0 and 1


@given(st.lists(st.floats(1, 5000), min_size=1, max_size=30))
def test_nobody_waits_less_than_half_the_mean_headway(headways: list[float]) -> None:
    assert wait_s(np.array(headways)) >= mean(headways) / 2 - 1e-6
    assert math.isclose(wait_s(np.array([headways[0]] * 5)), headways[0] / 2)


def test_without_passages_there_are_no_figures() -> None:
    empty = passages_of(fixes([{"vehicle_id": "b", "measured_ms": 0, "lat": 0.0, "lon": 0.0}]), LINE)
    assert summaries(headways_of(empty, ZONE)) == []
