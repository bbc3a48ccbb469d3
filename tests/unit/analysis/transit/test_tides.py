"""Tables of TIDES say what was planted, in its names."""

from __future__ import annotations

import csv
import io
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet
import pytest

from analysis.transit.counts import counted, counts_of
from analysis.transit.passages import passages_of
from analysis.transit.tides import (
    Days,
    as_csv,
    as_parquet,
    passenger_events,
    stop_visits,
    trips_performed,
    vehicle_locations,
)
from tests.unit.analysis.transit.planted import DAY_MS, LINE, Bus, fixes, table, told

DAYS = Days(ZoneInfo("Asia/Tashkent"))
BUS = Bus("b", 0, trip="t1", ahead_s=-90)
COUNTS = counts_of(
    table(
        [
            {"vehicle_id": "b", "measured_ms": DAY_MS + round(BUS.departure_s[2] * 1000), "boarded": 4, "alighted": 0},
            {"vehicle_id": "b", "measured_ms": DAY_MS + round(BUS.departure_s[5] * 1000), "boarded": 1, "alighted": 3},
        ]
    )
)
PASSAGES = passages_of(fixes(told([BUS])), LINE)


def test_a_stop_visit_has_its_times_distance_and_counts() -> None:
    rows = stop_visits(counted(COUNTS, [PASSAGES]), DAYS).to_pylist()
    assert len(rows) == 7
    visit = rows[2]
    assert visit["service_date"] == date(2026, 1, 1)
    assert (visit["stop_id"], visit["trip_stop_sequence"], visit["scheduled_stop_sequence"]) == ("S2", 3, 3)
    assert (visit["boarding_1"], visit["alighting_1"], visit["dwell"], visit["distance"]) == (4, 0, 20, 1200)
    came = datetime.fromisoformat(visit["actual_arrival_time"])
    assert came.utcoffset() == ZoneInfo("Asia/Tashkent").utcoffset(came)
    assert came.timestamp() == pytest.approx(DAY_MS / 1000 + BUS.arrival_s[2], abs=1)
    # Late by 90 s: it should have left 90 s before.
    left, meant = (datetime.fromisoformat(visit[f"{one}_departure_time"]) for one in ("actual", "schedule"))
    assert (left - meant).total_seconds() == 90
    assert rows[3]["boarding_1"] is None
    assert rows[0]["dwell"] is None  # the line's end: a wait, no dwell


def test_a_trip_performed_joins_its_visits() -> None:
    (trip,) = trips_performed([PASSAGES], DAYS).to_pylist()
    visits = stop_visits(counted(COUNTS, [PASSAGES]), DAYS)
    assert set(visits["trip_id_performed"].to_pylist()) == {trip["trip_id_performed"]}
    assert (trip["trip_id_scheduled"], trip["route_id"], trip["direction_id"]) == ("t1", "7", 0)
    assert (trip["trip_start_stop_id"], trip["trip_end_stop_id"]) == ("S0", "S6")


def test_locations_have_unique_ids_and_count_late_as_positive() -> None:
    made = vehicle_locations(fixes(told([BUS, Bus("c", 10)])), DAYS)
    assert len(set(made["location_ping_id"].to_pylist())) == len(made)
    assert set(made["schedule_deviation"].to_pylist()) == {90, None}


def test_passenger_events_count_each_kind() -> None:
    made = passenger_events(COUNTS, DAYS).to_pylist()
    assert [(one["event_type"], one["event_count"]) for one in made] == [
        ("Passenger boarded", 4),
        ("Passenger alighted", 3),
        ("Passenger boarded", 1),
    ]
    assert len({one["passenger_event_id"] for one in made}) == 3


def test_tables_come_as_csv_and_parquet() -> None:
    made = trips_performed([PASSAGES], DAYS)
    (row,) = csv.DictReader(io.StringIO(as_csv(made).decode()))
    assert (row["vehicle_id"], row["service_date"]) == ("b", "2026-01-01")
    assert pa.parquet.read_table(io.BytesIO(as_parquet(made))).equals(made)
