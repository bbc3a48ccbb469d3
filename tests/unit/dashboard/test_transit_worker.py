"""From archived events to figures and to a GTFS zip: the whole way, with planted buses."""

from __future__ import annotations

import argparse
import csv
import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from analysis.transit.diagram import RunWay
from analysis.transit.headways import HeadwaySummary
from analysis.transit.study import TransitQuestion, What, read_passages
from analysis.transit.summary import LineSummary
from analysis.transit.vehicles import VehicleUse
from city.archive.archive import Archive
from city.archive.columns import batch_of
from city.config import Config
from city.events import PassengerCount, VehiclePosition
from city.gtfs.stored import folder, save, stored
from city.gtfs.timetable import load
from city.settings import CityProfile
from dashboard import transit_files
from dashboard.transit_desk import (
    CannotBeMade,
    FileAsked,
    NotAnswered,
    NothingSeen,
    NotWanted,
    Table,
    TookTooLong,
    TransitDesk,
)
from dashboard.transit_worker import work
from markaz import gtfs
from tests.unit.analysis.transit.planted import DAY_MS, LINE, Bus, told
from tests.unit.city.gtfs.feeds import departures

BUSES = [Bus(f"b{at}", 600.0 * at) for at in range(6)]
HOUR_MS = 3_600_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A city with one line, and an archive of its first hours."""
    data = tmp_path / "data" / "tashkent"
    data.mkdir(parents=True)
    line = {
        "type": "Feature",
        "properties": {"route_ref": "7", "direction": 1, "length_km": LINE.length_m / 1000, "from": "A", "to": "B"},
        "geometry": {"type": "LineString", "coordinates": [[lon, lat] for lat, lon in LINE.points]},
    }
    stops = [
        {
            "type": "Feature",
            "properties": {"osm_id": stop.stop_id, "name_uz": stop.name},
            "geometry": {"type": "Point", "coordinates": [stop.lon, stop.lat]},
        }
        for stop in LINE.stops
    ]
    (data / "bus_routes.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [line]}))
    (data / "bus_stops.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": stops}))
    rows = [f"7,{at},{stop.stop_id},{stop.along_m}" for at, stop in enumerate(LINE.stops, start=1)]
    (data / "route_stops.csv").write_text("\n".join(["route_ref,sequence,osm_id,along_m", *rows]))
    archive = Archive.open(str(tmp_path / "history"), "tashkent")
    archive.append({"position": [batch_of("position", list(positions()), False)]}, {})
    archive.append({"passengers": [batch_of("passengers", list(counts()), False)]}, {})
    profile = CityProfile(names={"en": "Tashkent"}, bounds=(69, 41, 70, 42), timezone="Asia/Tashkent")
    made = Config(cities={"tashkent": profile}, root=tmp_path, data_dir=tmp_path / "var")
    # Nothing answers there: what is in the archive is told all the same.
    redis = made.redis.model_copy(update={"url": "redis://127.0.0.1:1/0"})
    history = made.history.model_copy(update={"url": str(tmp_path / "history")})
    return made.model_copy(update={"history": history, "redis": redis})


def positions() -> Iterator[VehiclePosition]:
    for row in told(BUSES):
        at_ms = int(str(row["measured_ms"]))
        yield VehiclePosition(
            measured_ms=at_ms,
            received_ms=at_ms + 300,
            vehicle_id=str(row["vehicle_id"]),
            lat=float(str(row["lat"])),
            lon=float(str(row["lon"])),
            route="7",
            direction=1,
        )


def counts() -> Iterator[PassengerCount]:
    for number, bus in enumerate(BUSES):
        for stop, second in enumerate(bus.departure_s):
            at_ms = DAY_MS + round(second * 1000)
            yield PassengerCount(
                measured_ms=at_ms,
                received_ms=at_ms,
                vehicle_id=bus.vehicle_id,
                boarded=number if stop < 3 else 0,
                alighted=0 if stop < 3 else number if stop < 6 else 0,
            )


def asked(what: What, **more: object) -> TransitQuestion:
    fields = {"what": what, "route": "7", "from_ms": DAY_MS, "to_ms": DAY_MS + 4 * HOUR_MS, **more}
    return TransitQuestion(**fields)  # type: ignore[arg-type]


def test_archived_positions_give_the_planted_headways(config: Config) -> None:
    found = work(config, asked(What.HEADWAYS, direction=1))
    assert [row.stop_id for row in found.answer.rows] == [f"S{at}" for at in range(7)]  # type: ignore[attr-defined]
    for row in found.answer.rows:
        assert isinstance(row, HeadwaySummary)
        assert row.count == 5
        assert row.p50_s == pytest.approx(600, abs=0.3)
    assert (found.answer.runs, found.origin.archived_rows > 0, found.scheduled) == (6, True, False)


def test_archived_counts_give_the_load(config: Config) -> None:
    rows = work(config, asked(What.LOAD, direction=1)).answer.rows
    assert [row.boarded for row in rows] == [15, 15, 15, 0, 0, 0, 0]  # type: ignore[attr-defined]
    assert [row.load_max for row in rows] == [5, 10, 15, 10, 5, 0, 0]  # type: ignore[attr-defined]


def test_the_process_of_the_desk_answers_and_says_what_it_cannot(config: Config) -> None:
    desk = TransitDesk(config)
    try:
        assert desk.ask(asked(What.DWELL)).answer.runs == 6
        (config.root / "data" / "tashkent" / "bus_routes.geojson").write_text("no geojson")
        with pytest.raises(NotAnswered, match="not a GeoJSON"):
            desk.ask(asked(What.DWELL))
    finally:
        desk.stop()


def test_a_question_that_nobody_waits_for_any_more_is_ended_and_the_next_is_answered(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk, unwanted = TransitDesk(config), threading.Event()
    monkeypatch.setattr("dashboard.transit_desk._work", _sleep)
    said: list[type[BaseException]] = []

    def wait() -> None:
        try:
            desk.ask(asked(What.DWELL), unwanted)
        except NotWanted as error:
            said.append(type(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(1)  # it is worked on
    monkeypatch.undo()
    answers: list[int] = []
    behind = threading.Thread(target=lambda: answers.append(desk.ask(asked(What.DWELL), threading.Event()).answer.runs))
    behind.start()
    time.sleep(0.2)  # it waits for the first one
    unwanted.set()
    waiting.join(10)
    behind.join(40)
    desk.stop()
    assert (said, answers) == ([NotWanted], [6])


def test_work_that_runs_out_of_time_is_its_own_error_and_no_wait_for_ever(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = TransitDesk(config)
    monkeypatch.setattr("dashboard.transit_desk._work", _late)
    try:
        with pytest.raises(TimeoutError, match="of the store"):
            desk.ask(asked(What.DWELL), threading.Event())
    finally:
        desk.stop()


def _late(_config: Config, _asked: TransitQuestion) -> None:
    raise TimeoutError("of the store")


def test_the_timetable_is_read_once_until_another_is_imported(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own stops and trips, only of the route that was asked about."""
    read: list[Path] = []

    def counted(kept: Path) -> object:
        read.append(kept)
        return stored(kept)

    monkeypatch.setattr("dashboard.transit_worker.stored", counted)
    export = FileAsked(
        kind="gtfs", routes=("7",), from_ms=DAY_MS, to_ms=DAY_MS + 4 * HOUR_MS, form="zip",
        agency_url="https://example.org",
    )  # fmt: skip
    made = transit_files.work(config, export, tmp_path)
    save(load(made)[0], folder(config.data_dir, "tashkent"), "observed.zip", 1_000)
    first = work(config, asked(What.HEADWAYS, direction=1))
    assert (first.scheduled, first.answer.scheduled_share) == (True, 1)
    assert {row.reference for row in first.answer.rows} == {"timetable"}  # type: ignore[attr-defined]
    times = len(read)
    work(config, asked(What.PUNCTUALITY))
    assert len(read) == times


def _sleep(_config: Config, _asked: TransitQuestion) -> None:
    time.sleep(60)


def test_several_questions_of_one_span_read_its_positions_once(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def counted(question: TransitQuestion, *more: object) -> object:
        read.append(1)
        return read_passages(question, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("dashboard.transit_worker.read_passages", counted)
    first = work(config, asked(What.HEADWAYS))
    second = work(config, asked(What.PUNCTUALITY))
    load = work(config, asked(What.LOAD))
    assert len(read) == 1
    assert first.origin == second.origin
    assert load.origin.archived_rows > first.origin.archived_rows
    work(config, asked(What.HEADWAYS, to_ms=DAY_MS + 2 * HOUR_MS))
    assert len(read) == 2


def test_a_line_is_told_in_one_row(config: Config) -> None:
    (row,) = work(config, asked(What.SUMMARY, direction=1)).answer.rows
    assert isinstance(row, LineSummary)
    assert (row.runs, row.vehicles, row.passages, row.compared, row.late_share) == (6, 6, 42, 0, None)
    assert row.mean_headway_s == pytest.approx(600, abs=0.3)
    # 10 m/s over 7.8 km with five dwells of 20 s between.
    assert row.speed_kmh == pytest.approx(3.6 * 7800 / (780 + 100), rel=0.01)


def test_trips_are_told_stop_by_stop_for_the_diagram(config: Config) -> None:
    rows = work(config, asked(What.TRIPS, direction=1)).answer.rows
    assert [row.vehicle_id for row in rows] == [bus.vehicle_id for bus in BUSES]  # type: ignore[attr-defined]
    for row, bus in zip(rows, BUSES, strict=True):
        assert isinstance(row, RunWay)
        assert row.stops == tuple(range(7))
        moments = [row.first_ms / 1000 + second for second in row.departures_s[1:-1]]
        assert moments == pytest.approx([DAY_MS / 1000 + one for one in bus.departure_s[1:-1]], abs=1)


def test_boardings_are_told_by_mahalla(config: Config) -> None:
    west, east = LINE.stops[0].lon - 0.01, (LINE.stops[1].lon + LINE.stops[2].lon) / 2
    corners = [[west, 0], [east, 0], [east, 89], [west, 89], [west, 0]]
    feature = {
        "type": "Feature",
        "properties": {"soato": "1726269001", "code": "1726269001", "district_code": "1726269", "name_uz": "M"},
        "geometry": {"type": "Polygon", "coordinates": [corners]},
    }
    text = json.dumps({"type": "FeatureCollection", "features": [feature]})
    (config.root / "data" / "tashkent" / "mahallas.geojson").write_text(text)
    rows = work(config, asked(What.BOARDINGS, direction=1)).answer.rows
    assert {(row.area, row.stops, row.boarded) for row in rows} == {  # type: ignore[attr-defined]
        ("1726269001", 2, 30),
        (None, 5, 15),
    }


def test_vehicles_use_is_told_in_hours_kilometres_and_trips(config: Config) -> None:
    rows = work(config, asked(What.USE)).answer.rows
    assert len(rows) == len(BUSES)
    for row, bus in zip(rows, BUSES, strict=True):
        assert isinstance(row, VehicleUse)
        driven_h = (bus.knots[-1][0] - bus.knots[0][0]) / 3600
        assert (row.trips, row.odometer_km) == (1, None)
        assert row.service_h == pytest.approx(driven_h, rel=0.02)
        assert row.gps_km == pytest.approx(8, rel=0.03)


@pytest.mark.parametrize(
    ("kind", "rows"), [("stop_visits", 42), ("trips_performed", 6), ("passenger_events", 0), ("vehicle_locations", 0)]
)
def test_tables_of_tides_come_as_csv_and_parquet(config: Config, tmp_path: Path, kind: Table, rows: int) -> None:
    def of(form: Literal["csv", "parquet"]) -> bytes:
        span = FileAsked(kind=kind, routes=("7",), from_ms=DAY_MS, to_ms=DAY_MS + 4 * HOUR_MS, form=form)
        return transit_files.work(config, span, tmp_path).read_bytes()

    table = pq.read_table(io.BytesIO(of("parquet")))
    assert len(table) == rows or (rows == 0 and len(table) > 0)
    listed = list(csv.DictReader(io.StringIO(of("csv").decode())))
    assert len(listed) == len(table)
    assert list(listed[0]) == table.column_names


def test_the_observed_timetable_needs_an_agency_and_something_seen(config: Config, tmp_path: Path) -> None:
    span = FileAsked(kind="gtfs", routes=("7",), from_ms=DAY_MS, to_ms=DAY_MS + 4 * HOUR_MS, form="zip")
    with pytest.raises(CannotBeMade, match="agency_url"):
        transit_files.work(config, span, tmp_path)
    signed = replace(span, agency_url="https://example.org")
    out = transit_files.work(config, signed, tmp_path)
    assert len(load(out)[0].trips.trip_id) == 6
    with pytest.raises(NothingSeen):
        transit_files.work(config, replace(signed, from_ms=DAY_MS + 5 * HOUR_MS, to_ms=DAY_MS + 6 * HOUR_MS), tmp_path)


def test_a_file_of_too_many_rows_is_refused(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dashboard.transit_files.ROWS_MAX", 10)
    span = FileAsked(kind="vehicle_locations", routes=("7",), from_ms=DAY_MS, to_ms=DAY_MS + 4 * HOUR_MS, form="csv")
    with pytest.raises(CannotBeMade, match="more than 10 rows"):
        transit_files.work(config, span, tmp_path)


def test_an_answer_that_takes_too_long_is_none(config: Config) -> None:
    hurried = config.model_copy(update={"history": config.history.model_copy(update={"query_timeout_s": 0.02})})
    with pytest.raises(TookTooLong, match="no answer within"):
        work(hurried, asked(What.HEADWAYS))


def test_the_observed_timetable_is_exported_and_comes_in_again(
    config: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    gtfs.add_arguments(parser)
    out = tmp_path / "observed.zip"
    words = ["export", "--from", "2026-01-01", "--out", str(out), "--agency-url", "https://example.org"]
    assert gtfs.run(config, parser.parse_args(words)) == 0
    assert "6 trips, 42 stop times" in capsys.readouterr().out
    timetable, _ = load(out)
    at_stop = [departures(timetable, trip)["S2"] for trip in timetable.trips.trip_id]
    assert at_stop == [pytest.approx(5 * 3600 + bus.departure_s[2], abs=1) for bus in BUSES]
    nothing = ["export", "--from", "2026-02-01", "--out", str(out), "--agency-url", "https://example.org"]
    assert gtfs.run(config, parser.parse_args(nothing)) == 1
