"""An archive in a folder and in an object store's stand-in: commits, merges, two writers, what a killed one leaves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import fsspec
import pytest
from rows import EVER, HOUR, MAY_4, Clock, content, fix, fixes, key, parquet_files, rows

import city.archive.archive
import city.archive.journal
from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.archive.archive import Archive, ArchiveDown, Overtaken
from city.archive.columns import batch_of
from city.archive.layout import commit_path, hour_of, read_name
from city.archive.log import Gap, read_commit
from city.events import CameraStatus, FuelReading


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an archive may lie: a folder, and what behaves as an object store does."""
    if request.param == "file":
        yield str(tmp_path)
        return
    name = f"memory://{uuid4().hex}"
    yield name
    fsspec.filesystem("memory").rm(name, recursive=True)


def test_what_is_appended_is_read_by_who_opens_it_later(url: str) -> None:
    archive = Archive.open(url, "tashkent", Clock())
    said = fixes(3, range(0, 2 * HOUR, 600_000))
    fuel = FuelReading(vehicle_id="v", measured_ms=MAY_4, received_ms=MAY_4, level_l=50.5)
    archive.append(rows(said) | {"fuel": [batch_of("fuel", [fuel], False)]}, {"0": "5-1"}, entries={"0": 7})
    other = Archive.open(url, "tashkent")
    assert content(other) == sorted(said, key=key)
    assert content(other, "fuel") == [fuel]
    assert (other.cursors(), other.entries(), other.number) == ({"0": "5-1"}, {"0": 7}, 1)
    assert other.feeds == ["fuel", "position"]
    assert other.problems == []


def test_an_archive_that_is_not_there_is_empty_and_opening_it_makes_nothing(tmp_path: Path) -> None:
    archive = Archive.open(str(tmp_path / "none"), "tashkent")
    assert (archive.number, archive.cursors(), archive.feeds, archive.files("position", *EVER)) == (0, {}, [], [])
    assert not (tmp_path / "none").exists()


def test_rows_lie_by_feed_day_and_hour_of_their_measuring_sorted_by_entity_and_time(tmp_path: Path) -> None:
    archive = Archive.open(str(tmp_path), "tashkent")
    archive.append(rows(fixes(2, [HOUR + 5, 10, HOUR - 1, HOUR])), {})
    names = [path.relative_to(tmp_path).as_posix() for path in parquet_files(tmp_path)]
    writer = names[0][-16:-8]
    assert names == [
        f"tashkent/position/date=2026-05-04/hour=00/000000000001-0-{writer}.parquet",
        f"tashkent/position/date=2026-05-04/hour=01/000000000001-1-{writer}.parquet",
    ]
    (first, second) = archive.files("position", *EVER)
    assert (first.rows, first.min_ms, first.max_ms) == (4, MAY_4 + 10, MAY_4 + HOUR - 1)
    assert first.bytes == Path(first.url).stat().st_size
    assert (second.hour, second.place.from_ms) == (1, MAY_4 + HOUR)


def test_files_are_found_by_the_times_in_them(url: str) -> None:
    archive = Archive.open(url, "tashkent")
    archive.append(rows([fix("a", 100), fix("a", 200)]), {})
    archive.append(rows([fix("a", 300)]), {})
    found = [
        len(archive.files("position", MAY_4 + a, MAY_4 + b))
        for a, b in [(0, 100), (0, 101), (200, 300), (201, 300), (200, 301)]
    ]
    assert found == [0, 1, 1, 0, 2]
    assert archive.files("fuel", *EVER) == []


def test_a_reader_goes_on_to_what_was_committed_since(url: str) -> None:
    writer, reader = Archive.open(url, "c"), Archive.open(url, "c")
    writer.append(rows([fix("a", 1)]), {"0": "1-0"})
    assert reader.cursors() == {}
    assert reader.refresh() is True
    assert (reader.cursors(), reader.refresh()) == ({"0": "1-0"}, False)


def test_a_writer_that_follows_on_what_another_one_wrote_meanwhile_writes_nothing(url: str) -> None:
    """Both read the same entries of the stream; one of them commits first."""
    first, second = Archive.open(url, "c"), Archive.open(url, "c")
    first.append(rows([fix("a", 1)]), {"0": "1-0"}, since={"0": "0-0"})
    with pytest.raises(Overtaken):
        second.append(rows([fix("a", 1)]), {"0": "1-0"}, since={"0": "0-0"})
    assert content(second) == [fix("a", 1)]
    second.append(rows([fix("a", 2)]), {"0": "2-0"}, since={"0": "1-0"})
    assert content(first) == [fix("a", 1), fix("a", 2)]


def test_a_commit_that_two_writers_make_at_once_is_made_by_one_and_the_other_leaves_no_files(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no lock the second finds the number taken only when it commits."""
    first, second = Archive.open(url, "c"), Archive.open(url, "c")
    write = Archive._write

    def and_meanwhile(self: Archive, *arguments: Any) -> Any:
        monkeypatch.setattr(Archive, "_write", write)
        monkeypatch.setattr(first.folder, "lock", second.folder.lock)
        file = write(self, *arguments)
        number, cursors = 1, {"0": "9-0"}
        data = city.archive.log.encode(
            city.archive.log.Commit(number=number, kind="append", at_ms=0, by="x", cursors=cursors)
        )
        assert first.folder.create(commit_path(number), data)
        return file

    monkeypatch.setattr(Archive, "_write", and_meanwhile)
    with pytest.raises(Overtaken):
        second.append(rows([fix("b", 1)]), {"0": "1-0"}, since={"0": "0-0"})
    first.refresh()
    assert first.cursors() == {"0": "9-0"}
    assert [path for path, _ in first.folder.walk() if path.endswith((".parquet", ".part"))] == []


class Killed(BaseException):
    """As if the process had ended here: nobody cleans up."""


@pytest.mark.parametrize("where", ["before the files", "between files", "before the commit", "after the commit"])
def test_what_a_killed_writer_left_is_cleared_by_the_next_and_nothing_is_lost_or_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    said = fixes(2, [5, HOUR + 5])
    victim = Archive.open(str(tmp_path), "c")
    written = 0

    def write(self: Archive, *arguments: Any) -> Any:
        nonlocal written
        if where == "before the files" or (where == "between files" and written == 1):
            raise Killed
        written += 1
        return write_file(self, *arguments)

    def commit(self: Any, *arguments: Any) -> None:
        if where == "before the commit":
            raise Killed
        make_commit(self, *arguments)
        if where == "after the commit":
            raise Killed

    write_file, make_commit = Archive._write, city.archive.journal.Journal.commit
    with monkeypatch.context() as dead:
        dead.setattr(Archive, "_write", write)
        dead.setattr(city.archive.journal.Journal, "commit", commit)
        dead.setattr(city.archive.journal.Journal, "_clear", lambda *_: None)
        dead.setattr(type(victim.folder), "remove", lambda *_: None)
        with pytest.raises(Killed):
            victim.append(rows(said), {"0": "1-0"}, since={"0": "0-0"})
    survivor = Archive.open(str(tmp_path), "c")
    if where == "after the commit":
        assert survivor.cursors() == {"0": "1-0"}
    else:
        assert survivor.cursors() == {}
        survivor.append(rows(said), {"0": "1-0"}, since={"0": "0-0"})
    survivor.append({}, {"0": "2-0"})
    assert content(survivor) == sorted(said, key=key)
    assert len(parquet_files(tmp_path)) == 2
    assert [path for path, _ in survivor.folder.walk() if "writing" in path or path.endswith(".part")] == []


def test_the_answer_to_a_commit_may_be_lost_and_the_commit_is_not(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object store wrote it, and the connection broke: what is tried again then finds it done."""
    archive = Archive.open(url, "c")
    create = type(archive.folder).create

    def lost(self: Any, path: str, data: bytes) -> bool:
        made = create(self, path, data)
        if path == commit_path(1):
            raise ArchiveDown("the connection broke")
        return bool(made)

    with monkeypatch.context() as broken:
        broken.setattr(type(archive.folder), "create", lost)
        with pytest.raises(ArchiveDown):
            archive.append(rows([fix("a", 1)]), {"0": "1-0"}, since={"0": "0-0"})
    with pytest.raises(Overtaken):
        archive.append(rows([fix("a", 1)]), {"0": "1-0"}, since={"0": "0-0"})
    assert archive.cursors() == {"0": "1-0"}
    assert content(archive) == [fix("a", 1)]


# --- merging ----------------------------------------------------------------------------------------


def test_the_small_files_of_a_past_hour_become_one_sorted_file_with_the_same_rows(url: str) -> None:
    clock = Clock()
    archive = Archive.open(url, "c", clock)
    said = []
    for minute in range(20):
        part = fixes(30, [minute * 60_000 + 7, minute * 60_000])
        said += part
        archive.append(rows(part, late=minute == 3), {"0": f"{minute}-0"})
    assert archive.compact() == 1
    (file,) = archive.files("position", *EVER)
    assert file.rows == len(said)
    assert content(archive) == sorted(said, key=key)
    with archive.folder.open(file.path) as opened:
        table = city.archive.parquet.opened(opened).read()
    assert city.archive.parquet.is_in_order("position", table)
    assert table.column("late").to_pylist().count(True) == 60
    assert archive.cursors() == {"0": "19-0"}


def test_what_was_merged_stays_for_who_reads_it_and_is_deleted_after_a_while(tmp_path: Path) -> None:
    clock = Clock()
    archive = Archive.open(str(tmp_path), "c", clock)
    for n in range(3):
        archive.append(rows([fix("a", n)]), {})
    before = [Path(file.url) for file in archive.files("position", *EVER)]
    archive.compact()
    assert archive.sweep() == 0
    assert all(path.exists() for path in before)
    clock.now_ms += 600_000
    assert Archive.open(str(tmp_path), "c", clock).sweep() == 3
    assert len(parquet_files(tmp_path)) == 1


def test_late_rows_of_a_closed_hour_join_it_when_nothing_more_is_to_be_expected(url: str) -> None:
    clock = Clock(MAY_4 + HOUR + 400_000)
    archive = Archive.open(url, "c", clock)
    archive.append(rows(fixes(50, range(0, HOUR, 60_000))), {})
    archive.append(rows([fix("v001", 59)], late=True), {})
    assert archive.compact() == 0  # 3,000 rows are not written again for one
    clock.now_ms += 2 * HOUR
    assert archive.compact() == 1
    assert len(archive.files("position", *EVER)) == 1
    assert fix("v001", 59) in content(archive)


def test_a_merged_file_holds_no_more_rows_than_it_may(url: str) -> None:
    archive = Archive.open(url, "c", Clock())
    for n in range(10):
        archive.append(rows(fixes(10, range(n * 1000, n * 1000 + 10))), {})
    archive.compact(rows_max=350)
    assert sorted(file.rows for file in archive.files("position", *EVER)) == [100, 300, 300, 300]
    assert len(content(archive)) == 1000


def test_merging_goes_on_when_another_writer_has_merged_the_same_files(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Archive.open(url, "c", Clock()), Archive.open(url, "c", Clock())
    for n in range(4):
        first.append(rows([fix("a", n)]), {})
    second.refresh()
    merge = Archive._merge

    def late(self: Archive, what: Any) -> None:
        if self is second:
            first.compact()
        merge(self, what)

    monkeypatch.setattr(Archive, "_merge", late)
    assert second.compact() == 0
    assert len(content(second)) == 4
    assert len(second.files("position", *EVER)) == 1


@pytest.mark.parametrize("how", ["empty", "cut", "flipped", "foreign", "gone"])
def test_a_damaged_file_is_named_and_left_and_the_others_are_merged(tmp_path: Path, how: str) -> None:
    archive = Archive.open(str(tmp_path), "c", Clock())
    for n in range(5):
        archive.append(rows(fixes(200, [n])), {})
    victim = Path(archive.files("position", *EVER)[2].url)
    data = victim.read_bytes()
    broken = {"empty": b"", "cut": data[: len(data) // 2], "foreign": b"hello", "gone": None}
    broken["flipped"] = data[:200] + bytes([data[200] ^ 0xFF]) + data[201:]
    if (content_ := broken[how]) is None:
        victim.unlink()
    else:
        victim.write_bytes(content_)
    assert archive.compact() == 1
    (problem,) = archive.problems
    assert problem.path == victim.relative_to(tmp_path / "c").as_posix()
    assert problem.why
    assert victim.exists() == (how != "gone")
    assert sorted(file.rows for file in archive.files("position", *EVER)) == [200, 800]
    assert len(parquet_files(tmp_path)) == 5 + 1 - (how == "gone")


def test_columns_that_were_added_since_are_null_in_merged_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of an older version merge with those of this one."""
    archive = Archive.open(str(tmp_path), "c", Clock())
    batch = batch_of("position", [fix("a", 1, route="7")], False)
    older = batch.select([name for name in batch.schema.names if name != "route"])
    archive.append({"position": [older]}, {})
    archive.append(rows([fix("a", 2, route="8")]), {})
    archive.compact()
    assert [event.route for event in content(archive)] == [None, "8"]  # type: ignore[attr-defined]


# --- the log ----------------------------------------------------------------------------------------


def test_the_log_is_cut_short_behind_snapshots_and_says_the_same(url: str) -> None:
    clock = Clock()
    archive = Archive.open(url, "c", clock)
    early = Archive.open(url, "c", clock)
    for n in range(330):
        archive.append(rows([fix("a", n)]) if n % 60 == 0 else {}, {"0": f"{n}-0"})
    names = archive.folder.names("_log")
    assert sum(name.endswith(".snapshot.json") for name in names) == 2
    assert len(names) < 240
    for reader in (Archive.open(url, "c"), early):
        assert len(content(reader)) == 6
        assert (reader.number, reader.cursors()) == (330, {"0": "329-0"})
        assert reader.problems == []


def test_a_commit_that_cannot_be_read_is_named_and_the_archive_goes_on(tmp_path: Path) -> None:
    archive = Archive.open(str(tmp_path), "c")
    for n in range(3):
        archive.append(rows([fix("a", n)]), {"0": f"{n}-0"})
    (tmp_path / "c" / commit_path(2)).write_bytes(b"")
    reader = Archive.open(str(tmp_path), "c")
    assert [problem.path for problem in reader.problems] == [commit_path(2)]
    assert content(reader) == [fix("a", 0), fix("a", 2)]
    reader.append(rows([fix("a", 9)]), {"0": "9-0"})
    assert reader.number == 4


def test_a_snapshot_that_cannot_be_read_is_named_and_the_one_before_is_taken(tmp_path: Path) -> None:
    archive = Archive.open(str(tmp_path), "c")
    for n in range(250):
        archive.append(rows([fix("a", n)]), {})
    log = tmp_path / "c" / "_log"
    last = sorted(log.glob("*.snapshot.json"))[-1]
    last.write_bytes(b"{")
    reader = Archive.open(str(tmp_path), "c")
    assert [problem.path for problem in reader.problems] == [f"_log/{last.name}"]
    assert len(content(reader)) == 250


def test_gaps_stay_in_the_archive(url: str) -> None:
    gap = Gap(stream="1", from_ms=5, to_ms=9, entries=3)
    Archive.open(url, "c").append({}, {"1": "9-0"}, gaps=[gap])
    assert Archive.open(url, "c").gaps == [gap]


def test_a_commit_says_what_it_did(tmp_path: Path) -> None:
    archive = Archive.open(str(tmp_path), "c", Clock())
    for n in range(2):
        archive.append(rows([fix("a", n)]), {"0": f"{n}-0"})
    archive.compact()
    commits = [read_commit((tmp_path / "c" / commit_path(n)).read_bytes(), n) for n in (1, 2, 3)]
    assert [(one.kind, len(one.add), len(one.remove)) for one in commits] == [
        ("append", 1, 0),
        ("append", 1, 0),
        ("compact", 1, 2),
    ]


def test_a_feed_is_kept_for_its_days_and_others_for_ever(url: str) -> None:
    clock = Clock(MAY_4 + 26 * HOUR)
    archive = Archive.open(url, "c", clock)
    fuel = FuelReading(vehicle_id="v", measured_ms=MAY_4, received_ms=MAY_4)
    archive.append(rows(fixes(1, [0, HOUR, 2 * HOUR])) | {"fuel": [batch_of("fuel", [fuel], False)]}, {})
    assert archive.retain({"position": 1}) == 1
    assert [event.measured_ms - MAY_4 for event in content(archive)] == [HOUR, 2 * HOUR]
    assert content(archive, "fuel") == [fuel]
    assert archive.retain({"position": 1}) == 0


def test_a_folder_that_cannot_be_written_is_told_and_works_again_later(tmp_path: Path) -> None:
    archive = Archive.open(str(tmp_path), "c")
    archive.append(rows([fix("a", 1)]), {"0": "1-0"})
    home = tmp_path / "c" / "position"
    aside = tmp_path / "aside"
    shutil.move(home, aside)
    home.write_text("a file in the place of a folder")
    with pytest.raises(ArchiveDown, match="position"):
        archive.append(rows([fix("a", 2)]), {"0": "2-0"}, since={"0": "1-0"})
    home.unlink()
    shutil.move(aside, home)
    archive.append(rows([fix("a", 2)]), {"0": "2-0"}, since={"0": "1-0"})
    assert content(archive) == [fix("a", 1), fix("a", 2)]


def test_a_url_that_nothing_speaks_is_told() -> None:
    with pytest.raises(ArchiveDown, match="nowhere"):
        Archive.open("nowhere://bucket/history", "c")


def test_hours_are_utc() -> None:
    assert hour_of("fuel", MAY_4 + 23 * HOUR).folder == "fuel/date=2026-05-04/hour=23"


# --- what must not be taken for true ------------------------------------------------------------------


def test_another_file_in_the_place_of_a_listed_one_is_not_merged(tmp_path: Path) -> None:
    """Merged and deleted, what is left of it would be taken for all that there ever was."""
    archive = Archive.open(str(tmp_path), "c", Clock(MAY_4 + 30 * HOUR))
    archive.append(rows(fixes(3, [1, 2, 3])), {})
    archive.append(rows([fix("b", 2)]), {})
    victim, shorter = parquet_files(tmp_path)
    shutil.copy(shorter, victim)
    assert archive.compact() == 0
    assert [problem.path for problem in archive.problems] == [victim.relative_to(tmp_path / "c").as_posix()]
    assert archive.totals.rows == 10


def test_a_file_that_could_not_be_merged_is_tried_again_after_an_hour(tmp_path: Path) -> None:
    """The disk or the network may have failed, and not the file."""
    clock = Clock(MAY_4 + 30 * HOUR)
    archive = Archive.open(str(tmp_path), "c", clock)
    for n in range(2):
        archive.append(rows([fix("a", n)]), {})
    victim = parquet_files(tmp_path)[0]
    data = victim.read_bytes()
    victim.write_bytes(b"")
    assert (archive.compact(), len(archive.problems)) == (0, 1)
    victim.write_bytes(data)
    assert archive.compact() == 0
    clock.now_ms += HOUR
    assert (archive.compact(), archive.problems) == (1, [])


def test_who_forgets_what_another_one_forgot_meanwhile_goes_on(tmp_path: Path) -> None:
    clock = Clock(MAY_4 + 30 * HOUR)
    first = Archive.open(str(tmp_path), "c", clock)
    first.append(rows([fix("a", 1)]), {})
    second = Archive.open(str(tmp_path), "c", clock)
    assert first.retain({"position": 0.1}) == 1
    assert second.retain({"position": 0.1}) == 0
    assert second.number == first.number


def test_a_clock_that_is_wrong_by_a_year_ends_nothing(tmp_path: Path) -> None:
    clock = Clock()
    archive = Archive.open(str(tmp_path), "c", clock)
    archive.append(rows([fix("a", 1)]), {})
    clock.now_ms += 400 * 24 * HOUR
    assert archive.retain({"position": 365}) == 0
    archive.append({}, {"0": "1-0"})
    assert archive.retain({"position": 365}) == 0, "nor when it is in a commit"


def test_nor_what_our_own_clock_wrote_then(tmp_path: Path) -> None:
    """An alarm that rises while the clock is a year ahead bears its time; what the devices measured does not."""
    clock = Clock()
    archive = Archive.open(str(tmp_path), "c", clock)
    archive.append(rows([fix("a", 1)]), {})
    clock.now_ms += 400 * 24 * HOUR
    risen = Transition(
        alarm="overload:a", version=1, action=Action.RISE, before=AlarmState.NORMAL,
        after=AlarmState.UNACKNOWLEDGED, at_ms=clock.now_ms, rule="overload", priority=AlarmPriority.MEDIUM,
        source_kind="vehicle", source_id="a",
    )  # fmt: skip
    will = CameraStatus(camera_id="x", online=False, measured_ms=clock.now_ms, received_ms=clock.now_ms)
    archive.append(
        {
            "transition": [batch_of("transition", [risen], False)],
            "camera_status": [batch_of("camera_status", [will], False)],
        },
        {"alarm_log": f"{clock.now_ms}-0"},
    )
    for one in (archive, Archive.open(str(tmp_path), "c", clock)):
        assert one.retain({"position": 365}) == 0


def test_a_year_of_three_digits_has_a_folder_that_is_read_back() -> None:
    place = hour_of("case", -46_388_678_400_000)
    assert place.date == "0500-01-01"
    assert read_name(place.file(7, 1, "0123abcd4567")) == (place, 7, 1, "0123abcd")
    assert read_name(f"{place.folder}/000000000007-1.parquet") == (place, 7, 1, ""), "of an older version"


def test_totals_are_those_of_the_listed_files(url: str) -> None:
    clock = Clock()
    archive = Archive.open(url, "c", clock)
    for n in range(5):
        archive.append(rows(fixes(3, [n, HOUR + n])), {})
    archive.compact()
    archive.retain({"position": 0.44})
    for one in (archive, Archive.open(url, "c", clock)):
        files = one.all_files()
        sums = (len(files), sum(file.rows for file in files), sum(file.bytes for file in files))
        assert one.totals == sums
    assert archive.totals.rows == 15
