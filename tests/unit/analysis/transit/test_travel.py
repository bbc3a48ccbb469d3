"""Travel times, dwell, commercial speed and punctuality against plain loops over planted buses."""

from __future__ import annotations

import random
from statistics import mean
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from analysis.transit.passages import LinePassages, passages_of
from analysis.transit.punctuality import OnTime, punctuality
from analysis.transit.travel import commercial_speeds, dwells, travel_times
from tests.unit.analysis.transit.planted import CORNERS, LINE, STOPS_M, Bus, fixes, told, way

ZONE = ZoneInfo("Asia/Tashkent")


def planted() -> tuple[list[Bus], LinePassages]:
    """30 buses of different speeds and dwells, over some hours."""
    chance = random.Random(7)
    buses = [
        Bus(
            f"b{at:02}",
            at * 400.0,
            chance.uniform(5, 14),
            [chance.choice((0.0, 12.0, 25.0, 40.0)) for _ in STOPS_M],
            ahead_s=chance.choice((-400, -300, -20, 0, 60, 61)),
        )
        for at in range(30)
    ]
    return buses, passages_of(fixes(told(buses, 4)), LINE)


def test_travel_times_are_from_departure_to_arrival() -> None:
    buses, passages = planted()
    for hop, found in enumerate(travel_times(passages, ZONE)):
        took = [bus.arrival_s[hop + 1] - bus.departure_s[hop] for bus in buses]
        assert (found.from_stop, found.to_stop, found.count) == (f"S{hop}", f"S{hop + 1}", 30)
        assert found.distance_m == pytest.approx(STOPS_M[hop + 1] - STOPS_M[hop])
        for figure, share in ((found.p10_s, 10), (found.p50_s, 50), (found.p90_s, 90)):
            assert figure == pytest.approx(float(np.percentile(took, share)), abs=0.2)
        assert found.mean_s == pytest.approx(mean(took), abs=0.2)


def test_hours_are_those_of_departure() -> None:
    buses, passages = planted()
    found = travel_times(passages, ZONE, [(1, 4)], by_hour=True)
    counted: dict[int, int] = {}
    for bus in buses:
        hour = (int(bus.departure_s[1]) // 3600 + 5) % 24
        counted[hour] = counted.get(hour, 0) + 1
    assert {one.hour: one.count for one in found} == counted
    assert found[0].distance_m == 4700 - 900


def test_commercial_speed_counts_the_stops_too() -> None:
    buses, passages = planted()
    (found,) = commercial_speeds(passages, ZONE)
    way_m = 30 * (STOPS_M[-1] - STOPS_M[0])
    took_s = sum(bus.arrival_s[-1] - bus.departure_s[0] for bus in buses)
    assert found.speed_kmh == pytest.approx(3.6 * way_m / took_s, rel=1e-3)
    assert (found.runs, found.distance_km) == (30, pytest.approx(way_m / 1000))


def test_dwell_is_of_those_that_stood_between_the_ends() -> None:
    buses, passages = planted()
    found = dwells(passages, ZONE)
    assert [one.stop_id for one in found] == ["S1", "S2", "S3", "S4", "S5"]
    for stop, one in enumerate(found, start=1):
        all_s = [bus.departure_s[stop] - bus.arrival_s[stop] for bus in buses]
        stood = [dwell for dwell in all_s if dwell > 0]
        assert (one.count, one.stood) == (30, len(stood))
        assert one.mean_s == pytest.approx(mean(stood), abs=0.2)
        assert one.p90_s == pytest.approx(float(np.percentile(stood, 90)), abs=0.2)


def test_a_wait_at_the_terminal_is_no_dwell_also_at_its_other_stops() -> None:
    line = way(CORNERS, (100.0, 110.0, 900.0, 7900.0))
    found = dwells(passages_of(fixes(told([Bus("b", 0, dwell_s=(400, 15, 15, 15, 15, 15, 15))])), line), ZONE)
    assert [one.stop_id for one in found] == ["S2"]


def test_on_time_is_between_a_minute_early_and_five_late_both_counted_in() -> None:
    buses, passages = planted()
    (found,) = punctuality(passages, ZONE, OnTime(), by_stop=False)
    late = [-float(bus.ahead_s or 0) for bus in buses for _ in STOPS_M]
    assert found.compared == found.count == len(late)
    assert found.early == sum(one < -60 for one in late)
    assert found.late == sum(one > 300 for one in late)
    assert found.on_time == sum(-60 <= one <= 300 for one in late)
    assert found.on_time_share == pytest.approx(found.on_time / len(late))
    assert found.mean_late_s == pytest.approx(mean(late))


def test_passages_without_a_schedule_are_told_apart() -> None:
    passages = passages_of(fixes(told([Bus("a", 0, ahead_s=0), Bus("b", 600)])), LINE)
    (found,) = punctuality(passages, ZONE, by_stop=False)
    assert (found.count, found.compared, found.on_time_share) == (14, 7, 1.0)
    (none,) = punctuality(passages_of(fixes(told([Bus("b", 600)])), LINE), ZONE, by_stop=False)
    assert none.on_time_share is None
