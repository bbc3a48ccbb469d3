"""Passages of planted buses: the times that they were given come out again."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from analysis.transit.passages import LinePassages, passages_of
from analysis.transit.projection import grid
from tests.unit.analysis.transit.planted import (
    BACK,
    CORNERS,
    DAY_MS,
    LINE,
    STOPS_M,
    Bus,
    fix,
    fixes,
    place,
    spot,
    told,
    way,
)


def times_s(passages: LinePassages, run: int = 0) -> dict[int, tuple[float, float]]:
    """stop → arrival and departure, in seconds of the day."""
    return {
        int(passages.stop[at]): (
            (int(passages.arrival_ms[at]) - DAY_MS) / 1000,
            (int(passages.departure_ms[at]) - DAY_MS) / 1000,
        )
        for at in range(len(passages))
        if passages.run[at] == run
    }


def test_times_between_fixes_are_those_that_the_bus_kept() -> None:
    """To the millisecond's rounding, although it was heard every 5 s only."""
    bus = Bus("b", 3_601.3, speed_mps=9.7, dwell_s=(20, 31, 17, 0, 25, 40, 20), trip="t1")
    passages = passages_of(fixes(told([bus])), LINE)
    found = times_s(passages)
    assert sorted(found) == list(range(7))
    for stop, (arrival_s, departure_s) in found.items():
        assert arrival_s == pytest.approx(bus.arrival_s[stop], abs=0.05), stop
        assert departure_s == pytest.approx(bus.departure_s[stop], abs=0.05), stop
    (run,) = passages.runs
    assert (run.vehicle_id, run.trip) == ("b", "t1")
    assert run.driven_m == pytest.approx(8000, abs=1)


@settings(max_examples=40, deadline=None)
@given(
    speed=st.floats(4, 18),
    dwell=st.floats(12, 90),
    every=st.floats(1, 6),
    leaves=st.floats(0, 1000),
    back=st.booleans(),
)
def test_any_even_drive_comes_out_within_a_tenth_of_a_second(
    speed: float, dwell: float, every: float, leaves: float, back: bool
) -> None:
    bus = Bus("b", leaves, speed, (dwell,) * 7, back=back)
    found = times_s(passages_of(fixes(told([bus], every)), BACK if back else LINE))
    assert sorted(found) == list(range(7))
    for stop, (arrival_s, departure_s) in found.items():
        # Heard once before its first stop or after its last, nobody knows the speed: within an interval then.
        assert arrival_s == pytest.approx(bus.arrival_s[stop], abs=every if stop == 0 else 0.1)
        assert departure_s == pytest.approx(bus.departure_s[stop], abs=every if stop == 6 else 0.1)


def test_a_bus_that_does_not_stop_passes_at_one_moment() -> None:
    bus = Bus("b", 0, dwell_s=(0,) * 7)
    for stop, (arrival_s, departure_s) in times_s(passages_of(fixes(told([bus], 7)), LINE)).items():
        assert arrival_s == departure_s == pytest.approx(bus.arrival_s[stop], abs=0.05)


def test_jitter_of_satellite_fixes_moves_times_by_seconds_only() -> None:
    """8 m of jitter: half of all times within an interval, none far off, no stop lost, none twice."""
    buses = [Bus(f"b{at:02}", 600.0 * at) for at in range(20)]
    passages = passages_of(fixes(told(buses, 5, jitter_m=8)), LINE)
    assert len(passages.runs) == 20
    assert len(passages) == 20 * 7
    off = []
    for at, bus in enumerate(buses):
        for stop, (arrival_s, departure_s) in times_s(passages, at).items():
            off += [abs(arrival_s - bus.arrival_s[stop]), abs(departure_s - bus.departure_s[stop])]
    assert sorted(off)[len(off) // 2] < 3
    assert max(off) < 20


def test_one_reflected_fix_changes_nothing() -> None:
    bus = Bus("b", 0)
    rows = told([bus])
    rows[40]["lat"], rows[40]["lon"] = place(*spot(CORNERS, 7000.0))
    found = times_s(passages_of(fixes(rows), LINE))
    for stop, (arrival_s, _) in found.items():
        assert arrival_s == pytest.approx(bus.arrival_s[stop], abs=0.1)


def test_a_gap_hides_the_stops_in_it_and_no_others() -> None:
    bus = Bus("b", 0)
    dark = (bus.departure_s[2] + 20, bus.departure_s[4] + 200)
    rows = [row for row in told([bus]) if not dark[0] < (int(str(row["measured_ms"])) - DAY_MS) / 1000 < dark[1]]
    assert dark[1] - dark[0] > 180
    passages = passages_of(fixes(rows), LINE)
    assert set(times_s(passages)) == {0, 1, 2, 5, 6} - ({5} if dark[1] > bus.arrival_s[5] else set())


def test_a_short_gap_gives_an_estimate_and_says_so() -> None:
    bus = Bus("b", 0)
    stop_s = bus.arrival_s[3]
    rows = [row for row in told([bus]) if abs((int(str(row["measured_ms"])) - DAY_MS) / 1000 - stop_s) > 45]
    passages = passages_of(fixes(rows), LINE)
    estimated = {int(stop) for stop, one in zip(passages.stop, passages.estimated, strict=True) if one}
    assert estimated == {3}
    assert times_s(passages)[3][0] == pytest.approx(stop_s, abs=45)


def test_both_directions_are_told_apart() -> None:
    there, back = Bus("b", 0), Bus("b", 1_500, back=True)
    rows = told([there, back])
    assert [times_s(passages_of(fixes(rows), line))[0][1] for line in (LINE, BACK)] == [
        pytest.approx(there.departure_s[0], abs=0.1),
        pytest.approx(back.departure_s[0], abs=0.1),
    ]
    assert [len(passages_of(fixes(rows), line).runs) for line in (LINE, BACK)] == [1, 1]


def test_a_vehicle_that_does_not_say_its_direction_is_taken_by_its_way() -> None:
    there, back = Bus("b", 0), Bus("b", 1_200, back=True)
    rows = [{**row, "direction": None} for row in told([there, back])]
    for line, bus in ((LINE, there), (BACK, back)):
        found = times_s(passages_of(fixes(rows), line))
        assert [found[stop][0] for stop in range(1, 6)] == [pytest.approx(one, abs=0.1) for one in bus.arrival_s[1:6]]


def test_a_trip_that_turns_back_ends_where_it_turned() -> None:
    """Its device says direction 1 on the way back too: that leg is counted as against, and gives no passage."""
    short = Bus("b", 0, until_m=5000)
    rows = told([short])
    turned_s = short.knots[-1][0]
    for step in range(1, 400):
        x_m, y_m = spot(CORNERS, max(0.0, 5000 - 10 * 5 * step))
        lat, lon = place(x_m, y_m)
        rows.append({**rows[0], "measured_ms": DAY_MS + round((turned_s + 5 * step) * 1000), "lat": lat, "lon": lon})
    passages = passages_of(fixes(rows), LINE)
    assert set(times_s(passages)) == {0, 1, 2, 3, 4}
    assert (len(passages.runs), passages.against) == (1, 1)


def test_a_wait_at_the_terminal_is_no_trip() -> None:
    """An hour of jitter at the line's beginning, then a drive."""
    bus = Bus("b", 3_600)
    chance = random.Random(5)
    waiting = [fix(bus, second, 10, chance) for second in range(0, 3_600, 5)]
    passages = passages_of(fixes(waiting + told([bus])), LINE)
    assert len(passages.runs) == 1
    assert times_s(passages)[0][1] == pytest.approx(bus.departure_s[0], abs=0.1)


def test_a_vehicle_far_from_the_line_passes_nothing() -> None:
    rows = [{**row, "lat": float(str(row["lat"])) + 0.05} for row in told([Bus("b", 0)])]
    assert len(passages_of(fixes(rows), LINE)) == 0


def test_a_line_that_goes_back_the_street_it_came_keeps_its_order() -> None:
    """Out and back along one street, 15 m apart: every fix has two places on the line."""
    corners = ((0.0, 0.0), (2000.0, 0.0), (2000.0, 15.0), (0.0, 15.0))
    line = way(corners, (200.0, 1000.0, 1800.0, 2215.0, 3015.0, 3815.0))
    rows = []
    for step in range(402):
        lat, lon = place(*spot(corners, min(10.0 * step, 4015.0)))
        rows.append({"vehicle_id": "b", "measured_ms": DAY_MS + 1000 * step, "lat": lat, "lon": lon, "direction": 1})
    passages = passages_of(fixes(rows), line)
    found = [times_s(passages)[stop][0] for stop in range(6)]
    assert found == [pytest.approx(one, abs=1) for one in (20, 100, 180, 221.5, 301.5, 381.5)]


def test_two_poles_of_one_stop_share_their_times() -> None:
    """A register may also put stops onto the terminal: none of them is lost."""
    line = way(CORNERS, (0.0, 0.0, 100.0, 110.0, 900.0))
    bus = Bus("b", 0)
    found = times_s(passages_of(fixes(told([bus])), line))
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert found[0] == found[1]
    assert (
        found[2] == found[3] == (pytest.approx(bus.arrival_s[0], abs=0.1), pytest.approx(bus.departure_s[0], abs=0.1))
    )


def test_arrivals_that_a_vehicle_tells_are_believed() -> None:
    """HFP: `ars` before `arr`, `dep`; the rest stays computed."""
    bus = Bus("b", 0)
    rows = [{**row, "kind": "vp"} for row in told([bus])]
    at_s = {"arr": bus.arrival_s[2] - 4, "ars": bus.arrival_s[2] + 1, "dep": bus.departure_s[2] + 6}
    rows += [{**fix(bus, second), "kind": kind, "stop": "S2"} for kind, second in at_s.items()]
    found = times_s(passages_of(fixes(rows), LINE))
    assert found[2] == (pytest.approx(at_s["ars"], abs=0.01), pytest.approx(at_s["dep"], abs=0.01))
    assert found[3][0] == pytest.approx(bus.arrival_s[3], abs=0.1)


def test_a_vehicle_only_on_its_way_to_the_line_is_not_on_it() -> None:
    rows = [{**row, "kind": "upcoming/vp"} for row in told([Bus("b", 0)])]
    assert len(passages_of(fixes(rows), LINE)) == 0


def test_a_fix_told_twice_is_one() -> None:
    rows = told([Bus("b", 0)])
    once, twice = passages_of(fixes(rows), LINE), passages_of(fixes(rows + rows), LINE)
    assert times_s(once) == times_s(twice)


def test_the_order_of_rows_does_not_matter_and_times_never_go_back() -> None:
    rows = told([Bus("a", 0), Bus("b", 300)], jitter_m=10)
    shuffled = random.Random(3).sample(rows, len(rows))
    first, second = passages_of(fixes(rows), LINE), passages_of(fixes(shuffled), LINE)
    assert [times_s(first, run) for run in (0, 1)] == [times_s(second, run) for run in (0, 1)]
    for run in (0, 1):
        flat = [moment for _, times in sorted(times_s(first, run).items()) for moment in times]
        assert all(a <= b for a, b in pairwise(flat))


def test_the_deviation_is_that_at_departure() -> None:
    passages = passages_of(fixes(told([Bus("b", 0, ahead_s=-75)])), LINE)
    assert set(passages.deviation_s.tolist()) == {-75.0}
    assert len(STOPS_M) == len(passages)


def test_a_long_line_across_a_country_takes_little_memory() -> None:
    """300 km on the diagonal: its bounding box has 28 million cells, near it lie a few thousandths of them."""
    long = way(((0.0, 0.0), (212_000.0, 212_000.0)), (100.0, 290_000.0))
    made = grid(long, 60.0)
    assert made.columns * made.rows > 25_000_000
    assert len(made.cells) + len(made.first) + len(made.piece) < 150_000
    places = made.project(np.array([long.stops[1].lat]), np.array([long.stops[1].lon]))
    assert places.along_m.tolist() == [pytest.approx(290_000, rel=0.01)]


def test_a_line_that_stays_at_one_place_has_no_passages() -> None:
    still = replace(LINE, points=(LINE.points[0], LINE.points[0]))
    assert len(passages_of(fixes(told([Bus("b", 0)])), still)) == 0
