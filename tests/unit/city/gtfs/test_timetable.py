"""What an import makes of a feed, and how it is kept."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from city.gtfs import stored as stored_module
from city.gtfs.stored import About, StoredError, save, stored
from city.gtfs.timetable import Timetable, load
from tests.unit.city.gtfs.feeds import RIGHT, departures, folder


def test_services_run_on_their_weekdays_and_exceptions(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    # Two working weeks from Monday 4 May; Saturday 9 more, Monday 11 not, Sunday 10 the feast.
    assert [day.day for day in timetable.dates] == [4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15]
    feast = timetable.runs_on(date(2026, 5, 10))
    assert {timetable.trips.trip_id[at] for at in np.flatnonzero(feast)} == {
        "t3@09:00:00",
        "t3@09:20:00",
        "t3@09:40:00",
    }
    assert not timetable.runs_on(date(2026, 5, 11)).any()


def test_a_stop_without_a_time_lies_evenly_between(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    assert departures(timetable, "t1") == {"A": 8 * 3600, "B": 8 * 3600 + 300, "C": 8 * 3600 + 600}


def test_times_after_midnight_stay_above_a_day(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    assert departures(timetable, "night")["C"] == 25 * 3600 + 300


def test_trips_are_found_by_route_id_and_by_its_short_name(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    assert timetable.trips_of("r1").tolist() == timetable.trips_of("7").tolist()
    assert len(timetable.trips_of("r1")) == 5
    assert timetable.trips_of("r9").tolist() == []
    # What the frequency repeats, at its last stop.
    repeated = [f"t3@09:{minute}:00" for minute in ("00", "20", "40")]
    assert [departures(timetable, trip)["A"] for trip in repeated] == [9 * 3600 + 720 + 1200 * at for at in range(3)]


def test_all_routes_of_one_short_name_are_the_route(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path, routes=RIGHT["routes.txt"].replace("r2,1,,Uzun", "r2,1,7,Uzun")))
    assert len(timetable.trips_of("7")) == len(timetable.trips.trip_id)
    assert len(timetable.trips_of("r2")) == 1


def test_lines_follow_the_shape_with_stops_along_it(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    line = next(line for line in timetable.lines if (line.route, line.direction) == ("r1", 1))
    assert [stop.stop_id for stop in line.stops] == ["A", "B", "C"]
    assert [stop.along_m for stop in line.stops] == [pytest.approx(one, abs=2) for one in (0, 835, 1670)]
    assert len(line.points) == 3


def test_a_kept_timetable_is_read_as_it_was(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    kept = tmp_path / "gtfs" / "tashkent"
    assert stored(kept) is None
    save(timetable, kept, "feed", 1_000)
    found = stored(kept)
    assert found is not None
    again, about = found
    assert (about.source, about.imported_ms) == ("feed", 1_000)
    assert again.trips.trip_id == timetable.trips.trip_id
    assert again.visits.departure_s.tolist() == timetable.visits.departure_s.tolist()
    assert (again.dates, again.lines, again.stop_ids) == (timetable.dates, timetable.lines, timetable.stop_ids)


def test_a_second_import_takes_the_place_of_the_first(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    kept = tmp_path / "gtfs"
    for at, source in ((1_000, "old"), (2_000, "new")):
        save(timetable, kept, source, at)
    found = stored(kept)
    assert found is not None
    assert found[1].source == "new"
    assert sorted(one.name for one in kept.iterdir()) == [".lock", "0000000001000", "0000000002000", "current"]


def test_a_third_import_removes_the_first_and_what_killed_ones_left(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    kept = tmp_path / "gtfs"
    save(timetable, kept, "first", 1_000)
    (kept / ".0000000000500.77").mkdir()
    (kept / ".current.77").write_text("half")
    for at in (2_000, 2_000):
        save(timetable, kept, "again", at)
    assert sorted(one.name for one in kept.iterdir()) == [".lock", "0000000002000", "0000000002001", "current"]


def test_a_reader_that_was_overtaken_by_imports_reads_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`current` is read, then two imports come and the folder is gone."""
    timetable, _ = load(folder(tmp_path))
    kept = tmp_path / "gtfs"
    save(timetable, kept, "old", 1_000)
    read = stored_module._read_all

    def overtaken(here: Path) -> tuple[Timetable, About]:
        monkeypatch.undo()
        save(timetable, kept, "newer", 2_000)
        save(timetable, kept, "newest", 3_000)
        return read(here)

    monkeypatch.setattr("city.gtfs.stored._read_all", overtaken)
    found = stored(kept)
    assert found is not None
    assert found[1].source == "newest"


def test_imports_wait_for_each_other(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    kept = tmp_path / "gtfs"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda at: save(timetable, kept, str(at), 1_000 + at), range(24)))
    assert stored(kept) is not None
    assert len([one for one in kept.iterdir() if one.is_dir()]) == 2


def test_a_write_that_fails_leaves_the_old_timetable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timetable, _ = load(folder(tmp_path))
    kept = tmp_path / "gtfs"
    save(timetable, kept, "old", 1_000)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("city.gtfs.stored._write", full)
    with pytest.raises(OSError, match="No space"):
        save(timetable, kept, "new", 2_000)
    found = stored(kept)
    assert found is not None
    assert found[1].source == "old"
    assert sorted(one.name for one in kept.iterdir()) == [".lock", "0000000001000", "current"]


def test_a_spoilt_store_is_one_clear_error(tmp_path: Path) -> None:
    timetable, _ = load(folder(tmp_path))
    kept = tmp_path / "gtfs"
    save(timetable, kept, "feed", 1_000)
    (kept / "0000000001000" / "visits.arrow").write_bytes(b"not arrow")
    with pytest.raises(StoredError, match="not a stored timetable"):
        stored(kept)
