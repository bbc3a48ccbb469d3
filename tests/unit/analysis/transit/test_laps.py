"""Loops are cut at their end, and a vehicle that was silent goes on with its way."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from analysis.transit.headways import headways_of, summaries
from analysis.transit.laps import laps_of
from analysis.transit.passages import LinePassages, passages_of
from analysis.transit.scheduled import schedule_of, with_schedule
from city.gtfs.timetable import Timetable, Trips, Visits
from city.routes import Line, Stop
from tests.unit.analysis.transit.planted import DAY_MS, LINE, Bus, fixes, place, spot, told

ZONE = "Asia/Tashkent"  # DAY_MS is 05:00 there
CORNERS = ((0.0, 0.0), (2000.0, 0.0), (2000.0, 1500.0), (0.0, 1500.0), (0.0, 0.0))
LENGTH_M, LAP_S = 7000.0, 900
STOPS_M = (0.0, 1000.0, 2750.0, 4500.0, 7000.0)
NAMES = ("A", "B", "C", "D", "A")


def loop() -> Line:
    stops = []
    for name, along_m in zip(NAMES, STOPS_M, strict=True):
        lat, lon = place(*spot(CORNERS, along_m))
        stops.append(Stop(stop_id=name, name=name, lat=lat, lon=lon, along_m=along_m))
    return Line(
        route="7", direction=1, points=tuple(place(*one) for one in CORNERS), stops=tuple(stops), begins="A", ends="A",
        length_m=LENGTH_M,
    )  # fmt: skip


def driven(laps: int, *, named: bool = True) -> LinePassages:
    """One bus on the loop, lap after lap: 700 s on its way at 10 m/s, 200 s at the end."""
    rows = []
    for second in range(0, laps * LAP_S + 1, 5):
        lap, inside = divmod(second, LAP_S)
        lat, lon = place(*spot(CORNERS, min(inside * 10.0, LENGTH_M)))
        trip = f"t{lap}" if named else None
        rows.append({"vehicle_id": "b", "measured_ms": DAY_MS + second * 1000, "lat": lat, "lon": lon, "trip": trip,
                     "direction": 1, "route": "7"})  # fmt: skip
    return passages_of(fixes(rows), loop())


def timetable(laps: int) -> Timetable:
    times = [5 * 3600 + LAP_S * lap + round(along_m / 10) for lap in range(laps) for along_m in STOPS_M]
    return Timetable(
        agency="A", agency_url="https://example.org", timezone=ZONE, stop_ids=("A", "B", "C", "D"),
        trips=Trips(
            trip_id=tuple(f"t{at}" for at in range(laps)), route_id=("7",) * laps, short_name=("7",) * laps,
            direction=np.ones(laps, np.int64), service=np.zeros(laps, np.int64),
        ),
        visits=Visits(
            trip=np.repeat(np.arange(laps), 5), stop=np.tile([0, 1, 2, 3, 0], laps), arrival_s=np.array(times),
            departure_s=np.array(times),
        ),
        services=("s",), dates={date(2026, 1, 1): (0,)}, lines=(loop(),),
    )  # fmt: skip


@pytest.mark.parametrize("named", [True, False])
def test_every_lap_of_a_loop_is_a_run_from_its_first_stop_to_its_last(named: bool) -> None:
    found = driven(6, named=named)
    assert found.against == 0
    assert len(found.runs) == 6
    for lap in range(6):
        assert found.stop[found.run == lap].tolist() == [0, 1, 2, 3, 4]


def test_a_bus_that_never_rests_is_at_the_end_of_one_lap_and_the_beginning_of_the_next() -> None:
    """Round and round at 10 m/s, a fix every 7 s."""
    rows = []
    for second in range(0, 2100, 7):
        lat, lon = place(*spot(CORNERS, second * 10.0 % LENGTH_M))
        rows.append({"vehicle_id": "b", "measured_ms": DAY_MS + second * 1000, "lat": lat, "lon": lon, "route": "7"})
    found = passages_of(fixes(rows), loop())
    assert (len(found.runs), found.against) == (3, 0)
    for stop, at_s in ((0, (0, 700, 1400)), (2, (275, 975, 1675)), (4, (700, 1400))):
        seconds = ((found.departure_ms[found.stop == stop] - DAY_MS) / 1000).tolist()
        assert seconds[: len(at_s)] == [pytest.approx(one, abs=2) for one in at_s]


def test_a_loop_on_time_is_on_time_at_its_end_and_has_no_gaps() -> None:
    schedule = schedule_of(timetable(6), (loop(),), DAY_MS, DAY_MS)
    passages = with_schedule(driven(6), schedule)
    on_way = passages.stop > 0  # where it begins it stands from the lap before on
    assert np.abs(passages.deviation_s[on_way]).max() < 15
    (line,) = summaries(headways_of(passages, ZoneInfo(ZONE), schedule=schedule), by_stop=False)
    assert (line.reference, line.gaps, line.bunched) == ("timetable", 0, 0)
    assert line.reference_s == LAP_S


def test_a_stop_that_was_passed_unseen_makes_no_gap() -> None:
    """The second of three buses is silent for 8 minutes on its way."""
    buses = [Bus(f"b{at}", 600.0 * at) for at in range(3)]
    rows = [
        row
        for row in told(buses)
        if row["vehicle_id"] != "b1" or not 700 < (int(str(row["measured_ms"])) - DAY_MS) / 1000 < 1180
    ]
    found = headways_of(passages_of(fixes(rows), LINE), ZoneInfo(ZONE))
    assert found.headway_s.tolist() == [pytest.approx(600, abs=5)] * len(found)
    (line,) = summaries(found, by_stop=False)
    assert (line.count, line.unseen, line.pauses) == (6, 8, 0)


def test_a_vehicle_that_stands_silent_at_a_stop_is_no_headway_behind_itself() -> None:
    """Twenty minutes at a stop without a word: two runs, one way."""
    bus = Bus("b", 0, dwell_s=(20, 20, 20, 1500, 20, 20, 20))
    quiet = (bus.arrival_s[3] + 30, bus.departure_s[3] - 30)
    rows = [row for row in told([bus]) if not quiet[0] < (int(str(row["measured_ms"])) - DAY_MS) / 1000 < quiet[1]]
    passages = passages_of(fixes(rows), LINE)
    assert len(passages.runs) == 2
    assert laps_of(passages).tolist() == [0, 0]
    assert len(headways_of(passages, ZoneInfo(ZONE))) == 0


def test_the_next_trip_of_a_vehicle_is_a_way_of_its_own() -> None:
    passages = passages_of(fixes(told([Bus("b", 0), Bus("b", 3_000)])), LINE)
    assert laps_of(passages).tolist() == [0, 1]
    assert len(headways_of(passages, ZoneInfo(ZONE))) == 7
