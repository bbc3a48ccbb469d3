"""The observed timetable is a valid GTFS feed that says what was driven."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.transit.observed import Agency, observed_feed
from analysis.transit.passages import LinePassages, passages_of
from city.gtfs.timetable import Timetable, load
from city.gtfs.writer import feed_bytes, write_feed
from tests.unit.analysis.transit.planted import BACK, DAY_MS, LINE, Bus, fixes, told
from tests.unit.city.gtfs.feeds import departures

AGENCY = Agency(name="Toshkent, avtobus", url="https://example.org", timezone="Asia/Tashkent", language="uz")
# 23:40 local time on 1 January, and before the service day of the 2nd begins at 3:00.
LATE_S = (18 * 60 + 40) * 60


def imported(tmp_path: Path, passages: list[LinePassages]) -> Timetable:
    out = tmp_path / "observed.zip"
    write_feed(observed_feed(passages, AGENCY), out)
    timetable, notes = load(out)
    assert notes == []
    return timetable


def test_an_export_is_imported_again_without_a_fault(tmp_path: Path) -> None:
    buses = [Bus("a", 0), Bus("b", 600.4), Bus("a", 1_500, back=True), Bus("c", LATE_S, speed_mps=3)]
    rows = told(buses)
    lines = [passages_of(fixes(rows), line) for line in (LINE, BACK)]
    timetable = imported(tmp_path, lines)
    assert len(timetable.trips.trip_id) == 4
    assert sorted(timetable.trips.direction.tolist()) == [1, 1, 1, 2]
    assert [day.isoformat() for day in timetable.dates] == ["2026-01-01"]
    there = [name for name in timetable.trips.trip_id if "_1_" in name]
    for bus, trip in zip((buses[0], buses[1], buses[3]), there, strict=True):
        for stop in range(7):
            # DAY_MS is 05:00 in Tashkent.
            assert departures(timetable, trip)[f"S{stop}"] == pytest.approx(5 * 3600 + bus.departure_s[stop], abs=1)
    assert max(timetable.visits.departure_s) > 24 * 3600


def test_lines_and_stops_come_back_where_they_were(tmp_path: Path) -> None:
    timetable = imported(tmp_path, [passages_of(fixes(told([Bus("a", 0)])), LINE)])
    (line,) = timetable.lines
    assert (line.route, line.direction, len(line.points)) == ("7", 1, len(LINE.points))
    for stop, meant in zip(line.stops, LINE.stops, strict=True):
        assert (stop.stop_id, stop.name) == (meant.stop_id, meant.name)
        assert stop.along_m == pytest.approx(meant.along_m, rel=0.002)
        assert (stop.lat, stop.lon) == (pytest.approx(meant.lat, abs=1e-7), pytest.approx(meant.lon, abs=1e-7))


def test_jittered_passages_make_a_valid_feed_too(tmp_path: Path) -> None:
    rows = told([Bus(f"b{at}", at * 300.0, dwell_s=(1,) * 7) for at in range(10)], 3, jitter_m=15)
    timetable = imported(tmp_path, [passages_of(fixes(rows), LINE)])
    assert len(timetable.trips.trip_id) == 10


def test_a_run_with_one_stop_is_no_trip() -> None:
    feed = observed_feed([passages_of(fixes(told([Bus("b", 0, until_m=400)])), LINE)], AGENCY)
    assert not feed["trips"]
    assert not feed["stop_times"]


def test_the_same_days_give_the_same_bytes() -> None:
    passages = [passages_of(fixes(told([Bus("a", 0)])), LINE)]
    assert feed_bytes(observed_feed(passages, AGENCY)) == feed_bytes(observed_feed(passages, AGENCY))


def test_a_new_year_of_service_begins_at_three(tmp_path: Path) -> None:
    """A trip that leaves at 02:50 local time is one of the day before, at 26:50."""
    bus = Bus("b", (21 * 60 + 50) * 60)
    timetable = imported(tmp_path, [passages_of(fixes(told([bus])), LINE)])
    assert [day.isoformat() for day in timetable.dates] == ["2026-01-01"]
    assert min(timetable.visits.departure_s) == pytest.approx(26 * 3600 + 50 * 60 + 30, abs=2)
    assert DAY_MS % 86_400_000 == 0


def test_a_layover_before_the_first_departure_is_not_part_of_the_trip(tmp_path: Path) -> None:
    bus = Bus("a", 0, dwell_s=(3600.0, *(20.0,) * 6))
    timetable = imported(tmp_path, [passages_of(fixes(told([bus])), LINE)])
    assert timetable.visits.arrival_s[0] == timetable.visits.departure_s[0]
