"""Rows of a file: those that fit and are new are added, the rest is told; and out again as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from rows import EVER, HOUR, MAY_4, Clock, content, fix, fixes, key, rows

from city.archive.archive import Archive
from city.archive.exports import export
from city.archive.files import Folder, Unreadable
from city.archive.imports import Imported, NotOfFeed, import_file

DAY = (MAY_4, MAY_4 + 24 * HOUR)


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive.open(str(tmp_path / "archive"), "c")


def file_of(tmp_path: Path, **columns: list[object]) -> Path:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def refuse(error: Unreadable) -> None:
    raise AssertionError(error)


def test_what_was_exported_is_imported_as_it_was(archive: Archive, tmp_path: Path) -> None:
    said = fixes(4, range(0, 3 * HOUR, 100_000))
    archive.append(rows(said), {})
    assert export(archive, "position", *DAY, tmp_path / "day.parquet", refuse) == len(said)
    other = Archive.open(str(tmp_path / "other"), "c")
    assert import_file(other, tmp_path / "day.parquet", "position") == Imported(len(said), len(said), 0, 3)
    assert content(other) == sorted(said, key=key)


def test_rows_that_are_there_or_stand_twice_in_the_file_are_left_out(archive: Archive, tmp_path: Path) -> None:
    """The same is: of one entity, time and kind. Another kind at the same time is another event."""
    archive.append(rows([fix("a", 1), fix("a", 2, kind="due")]), {})
    path = file_of(
        tmp_path,
        vehicle_id=["a", "a", "a", "b", "b"],
        kind=["", "", "due", "", ""],
        measured_ms=[MAY_4 + 1, MAY_4 + 2, MAY_4 + 2, MAY_4 + 1, MAY_4 + 1],
        lat=[41.3] * 5,
        lon=[69.2] * 5,
    )
    assert import_file(archive, path, "position") == Imported(rows=5, added=2, known=3, files=1)
    found = [(event.entity, event.measured_ms - MAY_4, event.kind) for event in content(archive)]  # type: ignore[attr-defined]
    assert sorted(found) == [("a", 1, ""), ("a", 2, ""), ("a", 2, "due"), ("b", 1, "")]
    assert import_file(archive, path, "position").added == 0


GOOD: dict[str, list[object]] = {
    "vehicle_id": ["a"],
    "kind": [""],
    "measured_ms": [MAY_4],
    "lat": [41.3],
    "lon": [69.2],
}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mood": ["fine"]}, "no column mood"),
        ({"lat": None}, "column lat_e7 is missing"),
        ({"lat": [91.0]}, "lat is in degrees, not 91"),
        ({"lon": [float("nan")]}, "lon is in degrees"),
        ({"vehicle_id": [None]}, "vehicle_id"),
        ({"measured_ms": [MAY_4 // 1000]}, "epoch milliseconds"),
        ({"measured_ms": ["yesterday"]}, "column measured_ms is no int64"),
        ({"direction": [1.5]}, "column direction is no int64"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_whole_with_the_column(
    archive: Archive, tmp_path: Path, change: dict[str, list[object] | None], says: str
) -> None:
    columns = {name: cells for name, cells in (GOOD | change).items() if cells is not None}
    with pytest.raises(NotOfFeed, match=says) as caught:
        import_file(archive, file_of(tmp_path, **columns), "position")
    assert "\n" not in str(caught.value)
    assert archive.number == 0


def test_a_file_that_fits_but_for_what_may_be_empty_is_taken(archive: Archive, tmp_path: Path) -> None:
    assert import_file(archive, file_of(tmp_path, **GOOD), "position").added == 1
    (event,) = content(archive)
    assert event == fix("a", 0, received_ms=MAY_4)


def test_csv_and_geojson_have_the_rows_of_the_span_in_degrees(archive: Archive, tmp_path: Path) -> None:
    archive.append(rows([fix("a", 1, speed_mps=8.33), fix("b", 2), fix("c", 3)]), {})
    span = (MAY_4 + 1, MAY_4 + 3)
    assert export(archive, "position", *span, tmp_path / "x.csv", refuse) == 2
    table = pyarrow.csv.read_csv(tmp_path / "x.csv")
    assert table.select(["vehicle_id", "lat", "lon"]).to_pylist()[0] == {"vehicle_id": "a", "lat": 41.3, "lon": 69.2}
    assert export(archive, "position", *span, tmp_path / "x.geojson", refuse) == 2
    found = json.loads((tmp_path / "x.geojson").read_text())
    assert found["features"][0]["geometry"] == {"type": "Point", "coordinates": [69.2, 41.3]}
    assert found["features"][0]["properties"]["speed_mps"] == 8.33
    assert export(archive, "position", 0, 1, tmp_path / "none.geojson", refuse) == 0
    assert json.loads((tmp_path / "none.geojson").read_text())["features"] == []


def test_a_damaged_file_is_told_and_the_others_are_exported(archive: Archive, tmp_path: Path) -> None:
    archive.append(rows(fixes(1, [0, HOUR])), {})
    damaged = archive.files("position", *EVER)[0]
    Path(damaged.url).write_bytes(b"PAR1")
    skipped: list[Unreadable] = []
    assert export(archive, "position", *DAY, tmp_path / "x.csv", skipped.append) == 1
    assert [error.path for error in skipped] == [damaged.path]


def test_two_imports_at_once_add_each_row_once(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one commits between the comparison and the commit."""
    other = Archive.open(str(tmp_path / "archive"), "c")
    path = file_of(tmp_path, **GOOD)
    append = Archive.append

    def and_meanwhile(self: Archive, *arguments: Any, **more: Any) -> Any:
        monkeypatch.setattr(Archive, "append", append)
        assert import_file(other, path, "position").added == 1
        return append(self, *arguments, **more)

    monkeypatch.setattr(Archive, "append", and_meanwhile)
    assert import_file(archive, path, "position") == Imported(rows=1, added=0, known=1, files=0)
    assert len(content(archive)) == 1


def test_rows_that_may_still_come_from_the_streams_are_refused(archive: Archive, tmp_path: Path) -> None:
    path = file_of(tmp_path, **GOOD)
    archive.append({}, {"0": f"{MAY_4 + HOUR - 1}-0", "1": f"{MAY_4 + HOUR}-0", "2": "0-0", "alarm_log": "1-0"})
    with pytest.raises(NotOfFeed, match="what the city said itself"):
        import_file(archive, path, "position", stale_max_s=3600)  # one stream is read to just before its last moment
    archive.append({}, {"0": f"{MAY_4 + HOUR}-0"})
    assert import_file(archive, path, "position", stale_max_s=3600).added == 1


def test_a_stream_in_which_nothing_is_said_holds_no_import_up(archive: Archive, tmp_path: Path) -> None:
    path = file_of(tmp_path, **GOOD)
    archive.append({}, {"0": f"{MAY_4 - 9 * HOUR}-0", "1": f"{MAY_4 + 2 * HOUR - 1}-0"})
    with pytest.raises(NotOfFeed, match="what the city said itself"):
        import_file(archive, path, "position", stale_max_s=3600, hold_s=3600)
    archive.append({}, {"1": f"{MAY_4 + 2 * HOUR}-0"})
    assert import_file(archive, path, "position", stale_max_s=3600, hold_s=3600).added == 1


def test_rows_of_the_future_are_refused(archive: Archive, tmp_path: Path) -> None:
    """With them in the archive all other rows would be older than they are kept."""
    path = file_of(tmp_path, **GOOD)
    with pytest.raises(NotOfFeed, match="has rows of"):
        import_file(archive, path, "position", clock=lambda: MAY_4 - 24 * HOUR - 1)
    assert archive.all_files() == []
    assert import_file(archive, path, "position", clock=lambda: MAY_4 - 24 * HOUR).added == 1


def test_an_export_has_the_rows_of_hours_that_are_merged_while_it_runs(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(MAY_4 + 30 * HOUR)
    writer = Archive.open(str(tmp_path / "archive"), "c", clock)
    for n in range(4):
        writer.append(rows(fixes(3, [n, 5 * HOUR + n])), {})
    archive.refresh()
    folder_open = Folder.open
    opened = 0

    def slow(self: Folder, path: str) -> Any:
        nonlocal opened
        opened += 1
        if opened == 2:
            monkeypatch.setattr(Folder, "open", folder_open)
            writer.compact()
            writer.sweep(grace_s=0)
        return folder_open(self, path)

    monkeypatch.setattr(Folder, "open", slow)
    skipped: list[Unreadable] = []
    out = tmp_path / "day.parquet"
    assert export(archive, "position", *DAY, out, skipped.append) == 24
    assert skipped == []
    assert len({(row["vehicle_id"], row["measured_ms"]) for row in pq.read_table(out).to_pylist()}) == 24
