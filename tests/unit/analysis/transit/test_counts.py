"""Counts put to stops, loads and boardings, against planted passengers."""

from __future__ import annotations

import random
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from analysis.transit.counts import Counted, by_area, counted, counts_of, of_visits, profile
from analysis.transit.passages import LinePassages, passages_of
from city.routes import way_back
from tests.unit.analysis.transit.planted import BACK, CORNERS, DAY_MS, LINE, Bus, fixes, table, told, way

ZONE = ZoneInfo("Asia/Tashkent")
Ride = tuple[list[int], list[int]]  # on and off by stop


def ride(chance: random.Random, stops: int = 7) -> Ride:
    """Who gets on and off at each stop: nobody off at the first, all off at the last."""
    on, off, load = [], [], 0
    for stop in range(stops):
        left = 0 if stop == 0 else load if stop == stops - 1 else chance.randint(0, load)
        got = 0 if stop == stops - 1 else chance.randint(0, 12)
        load += got - left
        on.append(got)
        off.append(left)
    return on, off


def messages(bus: Bus, of_ride: Ride, *, onboard: bool, stops: bool) -> list[dict[str, object]]:
    """A count a stop, sent as the bus leaves."""
    found, load = [], 0
    for stop, (got, left) in enumerate(zip(*of_ride, strict=True)):
        load += got - left
        found.append(
            {
                "vehicle_id": bus.vehicle_id,
                "measured_ms": DAY_MS + round(bus.departure_s[stop] * 1000),
                "boarded": got,
                "alighted": left,
                "onboard": load if onboard else None,
                "stop": f"S{6 - stop if bus.back else stop}" if stops else None,
            }
        )
    return found


@pytest.fixture(params=[(True, True), (False, False), (False, True)], ids=["all", "bare", "stops"])
def planted(request: pytest.FixtureRequest) -> tuple[list[Ride], Counted, LinePassages]:
    onboard, stops = request.param
    chance = random.Random(4)
    buses = [Bus(f"b{at:02}", 700.0 * at) for at in range(12)]
    rides = [ride(chance) for _ in buses]
    rows = [
        row for bus, one in zip(buses, rides, strict=True) for row in messages(bus, one, onboard=onboard, stops=stops)
    ]
    passages = passages_of(fixes(told(buses)), LINE)
    (found,) = counted(counts_of(table(rows)), [passages])
    return rides, found, passages


def test_every_count_comes_to_its_stop(planted: tuple[list[Ride], Counted, LinePassages]) -> None:
    rides, found, passages = planted
    for run, stop, on, off in zip(passages.run, passages.stop, found.boarded, found.alighted, strict=True):
        assert (on, off) == (rides[run][0][stop], rides[run][1][stop])
    assert found.coverage == 1


def test_the_profile_is_that_of_a_loop(planted: tuple[list[Ride], Counted, LinePassages]) -> None:
    rides, found, _ = planted
    for stop, one in enumerate(profile(found, ZONE)):
        loads = [sum(on[: stop + 1]) - sum(off[: stop + 1]) for on, off in rides]
        assert one.stop_id == f"S{stop}"
        assert one.boarded == sum(on[stop] for on, _ in rides)
        assert one.alighted_mean == pytest.approx(np.mean([off[stop] for _, off in rides]))
        assert (one.load_mean, one.load_max) == (pytest.approx(np.mean(loads)), pytest.approx(max(loads)))


def test_boardings_by_area_add_up(planted: tuple[list[Ride], Counted, LinePassages]) -> None:
    rides, found, _ = planted
    area_of = {"S0": "17262620001", "S1": "17262620001", "S2": "17262620002"}
    areas = {one.area: one for one in by_area([found], area_of)}
    assert areas["17262620001"].boarded == sum(on[0] + on[1] for on, _ in rides)
    assert areas["17262620002"].alighted == sum(off[2] for _, off in rides)
    assert sum(one.boarded for one in areas.values()) == sum(sum(on) for on, _ in rides)
    assert areas[None].stops == 4


def test_counters_of_several_doors_are_added() -> None:
    bus = Bus("b", 0)
    at_ms = DAY_MS + round(bus.departure_s[2] * 1000)
    rows = [
        {"vehicle_id": "b", "measured_ms": at_ms, "boarded": on, "alighted": 1, "door": door}
        for on, door in ((2, "1"), (3, "2"))
    ]
    passages = passages_of(fixes(told([bus])), LINE)
    (found,) = counted(counts_of(table(rows)), [passages])
    assert (found.boarded[2], found.alighted[2]) == (5, 2)
    assert np.isnan(found.boarded[3])
    assert found.coverage == pytest.approx(1 / 7)


def test_at_the_terminal_who_gets_off_came_and_who_gets_on_goes() -> None:
    """One count of both, sent as the bus leaves for the way back."""
    there, back = Bus("b", 0), Bus("b", 1_400, back=True)
    rows = [{"vehicle_id": "b", "measured_ms": DAY_MS + round(back.departure_s[0] * 1000), "boarded": 8, "alighted": 5}]
    lines = [passages_of(fixes(told([there, back])), line) for line in (LINE, BACK)]
    first, second = counted(counts_of(table(rows)), lines)
    assert (first.alighted[6], first.boarded[6]) == (5, 0)
    assert (second.alighted[0], second.boarded[0]) == (0, 8)


def test_stops_of_one_terminal_change_over_together() -> None:
    """A register that puts three stops onto the terminal: the count is at the last of them."""
    line = way(CORNERS, (100.0, 900.0, 7880.0, 7900.0))
    other = way_back(line)
    there, back = Bus("b", 0), Bus("b", 1_400, back=True)
    rows = [{"vehicle_id": "b", "measured_ms": DAY_MS + round(back.departure_s[0] * 1000), "boarded": 8, "alighted": 5}]
    lines = [passages_of(fixes(told([there, back])), one) for one in (line, other)]
    first, second = counted(counts_of(table(rows)), lines)
    assert (np.nansum(first.alighted), np.nansum(first.boarded)) == (5, 0)
    assert (np.nansum(second.alighted), np.nansum(second.boarded)) == (0, 8)


def test_a_count_of_another_vehicle_or_hour_belongs_to_nobody() -> None:
    rows = [
        {"vehicle_id": "x", "measured_ms": DAY_MS + 100_000, "boarded": 8, "alighted": 0},
        {"vehicle_id": "b", "measured_ms": DAY_MS + 9_000_000, "boarded": 8, "alighted": 0},
        {"vehicle_id": "b", "measured_ms": DAY_MS - 90_000, "boarded": 8, "alighted": 0},
    ]
    (found,) = counted(counts_of(table(rows)), [passages_of(fixes(told([Bus("b", 0)])), LINE)])
    assert found.coverage == 0


def test_counts_of_another_route_are_left_out_of_what_belongs_to_a_visit() -> None:
    bus = Bus("b", 0)
    mine = {"vehicle_id": "b", "measured_ms": DAY_MS + round(bus.departure_s[2] * 1000), "boarded": 3, "alighted": 1}
    before = {"vehicle_id": "b", "measured_ms": DAY_MS - 3_600_000, "boarded": 8, "alighted": 0}
    found = of_visits(counts_of(table([before, mine])), [passages_of(fixes(told([bus])), LINE)])
    assert found.measured_ms.tolist() == [mine["measured_ms"]]
    assert (found.boarded.tolist(), found.vehicle[0]) == ([3], "b")
    assert len(of_visits(counts_of(table([before])), []).measured_ms) == 0


def test_a_drifting_counter_does_not_fill_the_bus() -> None:
    """One in five who get off is not seen: scaled, the bus is empty at its end."""
    bus = Bus("b", 0)
    on, off = [10, 0, 0, 0, 0, 0, 0], [0, 4, 0, 0, 4, 0, 0]
    rows = messages(bus, (on, off), onboard=False, stops=False)
    (found,) = counted(counts_of(table(rows)), [passages_of(fixes(told([bus])), LINE)])
    assert found.load.tolist() == [pytest.approx(one) for one in (10, 5, 5, 5, 0, 0, 0)]


def test_counters_that_tell_no_zeros_mean_one_by_their_silence() -> None:
    """Buses whose counters speak only where somebody gets on or off: loads are known, at every stop."""
    buses = [Bus("b", 2_000.0 * at) for at in range(8)]
    rides: list[Ride] = [([5, 0, 2, 0, 0, 0, 0], [0, 0, 0, 0, 3, 0, 4]) for _ in buses]
    rows = [row for bus, one in zip(buses, rides, strict=True) for row in messages(bus, one, onboard=False, stops=True)]
    spoken = [row for row in rows if row["boarded"] or row["alighted"]]
    (found,) = counted(counts_of(table(spoken)), [passages_of(fixes(told(buses)), LINE)])
    assert (found.coverage, found.assumed) == (1, 3 * len(buses))
    assert [one.load_mean for one in profile(found, ZONE)] == [5, 5, 7, 7, 4, 4, 0]
    # One that tells zeros was not heard where it is silent.
    (heard,) = counted(counts_of(table([*spoken, rows[1]])), [passages_of(fixes(told(buses)), LINE)])
    assert (heard.assumed, heard.coverage < 1) == (0, True)


def test_an_unknown_load_is_unknown_and_not_nobody() -> None:
    bus = Bus("b", 0)
    rows = messages(bus, ([4, 2, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 5]), onboard=False, stops=True)[:2]
    (found,) = counted(counts_of(table(rows)), [passages_of(fixes(told([bus])), LINE)])
    shown = profile(found, ZONE)
    assert [(one.boarded, one.load_mean, one.load_p90, one.load_max, one.loaded) for one in shown] == [
        (4, None, None, None, 0), (2, None, None, None, 0),
    ]  # fmt: skip


def test_counters_that_know_only_who_is_on_board_give_a_profile() -> None:
    bus = Bus("b", 0)
    rows = [{**row, "boarded": None, "alighted": None} for row in
            messages(bus, ([4, 2, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 5]), onboard=True, stops=True)]  # fmt: skip
    (found,) = counted(counts_of(table(rows)), [passages_of(fixes(told([bus])), LINE)])
    shown = profile(found, ZONE)
    assert [one.load_mean for one in shown] == [4, 6, 5, 5, 5, 5, 0]
    assert {one.boarded_mean for one in shown} == {None}


def test_a_run_that_was_not_seen_from_its_first_stop_has_no_load_of_its_own() -> None:
    """Heard from the third stop on: who was aboard before nobody told, unless the counter does."""
    bus = Bus("b", 0)
    of_ride: Ride = ([9, 9, 1, 1, 0, 0, 0], [0, 0, 2, 3, 5, 5, 5])
    half = [row for row in told([bus]) if int(str(row["measured_ms"])) > DAY_MS + 1000 * bus.departure_s[1] + 40_000]
    passages = passages_of(fixes(half), LINE)
    assert passages.stop.tolist() == [2, 3, 4, 5, 6]
    late = messages(bus, of_ride, onboard=False, stops=True)[2:]
    (found,) = counted(counts_of(table(late)), [passages])
    assert np.isnan(found.load).all()
    late[1]["onboard"] = 15
    (anchored,) = counted(counts_of(table(late)), [passages])
    assert anchored.load.tolist() == [17, 15, 10, 5, 0]


def test_what_a_counter_calls_defect_or_markaz_has_summed_up_is_not_believed() -> None:
    bus = Bus("b", 0)
    rows = messages(bus, ([4, 2, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 5]), onboard=True, stops=True)
    passages = passages_of(fixes(told([bus])), LINE)
    summed = [{**row, "onboard": 40, "estimated": True} for row in rows]
    (found,) = counted(counts_of(table(summed)), [passages])
    assert found.load.tolist() == pytest.approx([4, 6, 5, 5, 5, 5, 0])
    defect = [{**row, "quality": "defect" if at == 1 else "regular"} for at, row in enumerate(rows)]
    (found,) = counted(counts_of(table(defect)), [passages])
    assert np.isnan(found.boarded).tolist() == [False, True, *[False] * 5]


def test_fewer_than_nobody_is_nobody_and_told() -> None:
    bus = Bus("b", 0)
    rows = messages(bus, ([4, 2, 0, 0, 0, 0, 0], [0, 0, 1, 0, 0, 0, 8]), onboard=True, stops=True)
    (found,) = counted(counts_of(table(rows)), [passages_of(fixes(told([bus])), LINE)])
    assert found.load.tolist() == [4, 6, 5, 5, 5, 5, 0]
    assert found.clamped == 1
