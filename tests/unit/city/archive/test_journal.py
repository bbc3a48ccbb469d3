"""The log of an archive when things go wrong: killed in the act, unmounted, foreign or damaged files among its own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rows import HOUR, MAY_4, Clock, content, fix, fixes, parquet_files, rows

import city.archive.archive
import city.archive.files
from city.archive.archive import Archive, ArchiveDown, ArchiveReplaced, Overtaken
from city.archive.files import Folder
from city.archive.layout import commit_path, snapshot_path
from city.archive.verify import verify


def log_of(folder: Path) -> set[str]:
    return {path.name for path in (folder / "c" / "_log").iterdir()}


def test_who_is_interrupted_in_the_middle_of_a_commit_deletes_nothing_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit stands when its name is there, whatever came of the words after it."""
    clock = Clock(MAY_4 + 30 * HOUR)
    archive = Archive.open(str(tmp_path), "c", clock)
    archive.append(rows([fix("a", 1)]), {})
    archive.append(rows([fix("b", 2)]), {})
    sync = city.archive.files._sync

    def interrupted(folder: Path) -> None:
        if (folder / "000000000003.json").exists():
            raise KeyboardInterrupt
        sync(folder)

    with monkeypatch.context() as ended:
        ended.setattr(city.archive.files, "_sync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            archive.compact()
    other = Archive.open(str(tmp_path), "c", clock)
    assert content(other) == [fix("a", 1), fix("b", 2)]
    archive.append({}, {"0": "1-0"})
    assert verify(archive, deep=True).problems == []
    assert not any(name.startswith("writing") for name in log_of(tmp_path))


def test_who_loses_the_race_for_a_commit_leaves_the_winners_files_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no lock two writers may write the same hour for the same commit."""
    url = f"memory://{uuid4().hex}"
    winner, loser = Archive.open(url, "c"), Archive.open(url, "c")
    write = Archive._write

    def and_meanwhile(self: Archive, *arguments: Any) -> Any:
        monkeypatch.setattr(Archive, "_write", write)
        winner.append(rows(fixes(5, [1, 2])), {"0": "1-0"}, since={"0": "0-0"})
        return write(self, *arguments)

    monkeypatch.setattr(Archive, "_write", and_meanwhile)
    with pytest.raises(Overtaken):
        loser.append(rows([fix("b", 3)]), {}, kind="import")
    found = verify(Archive.open(url, "c"), deep=True)
    assert (found.rows, found.problems) == (10, [])


def test_a_folder_that_is_not_mounted_is_waited_for_and_nothing_is_written_in_its_place(tmp_path: Path) -> None:
    place, disk = tmp_path / "place", tmp_path / "disk"
    archive = Archive.open(str(place), "c")
    archive.append(rows([fix("a", 1)]), {"0": "1-0"})
    place.rename(disk)
    place.mkdir()
    with pytest.raises(ArchiveDown):
        archive.append(rows([fix("a", 2)]), {"0": "2-0"}, since={"0": "1-0"})
    with pytest.raises(ArchiveDown, match="not the archive that it was"):
        archive.refresh()
    assert list(place.rglob("*.json")) == []
    place.rename(tmp_path / "aside")
    disk.rename(place)
    archive.append(rows([fix("a", 2)]), {"0": "2-0"}, since={"0": "1-0"})
    assert content(archive) == [fix("a", 1), fix("a", 2)]


def test_another_archive_in_the_same_place_is_not_gone_on_with(tmp_path: Path) -> None:
    archive = Archive.open(str(tmp_path / "a"), "c")
    archive.append({}, {"0": "1-0"})
    other = Archive.open(str(tmp_path / "b"), "c")
    for n in range(1, 4):
        other.append({}, {"0": f"{n}-0"})
    assert "" not in {archive.identity(), other.identity()}
    assert archive.identity() != other.identity()
    shutil.rmtree(tmp_path / "a")
    (tmp_path / "b").rename(tmp_path / "a")
    with pytest.raises(ArchiveDown, match="not the archive that it was"):
        archive.append({}, {"0": "2-0"})


def test_who_merged_in_an_older_copy_does_not_go_on_in_the_archive_that_it_was_copied_from(tmp_path: Path) -> None:
    """It deleted there what it had merged in the copy."""
    clock = Clock(MAY_4 + 30 * HOUR)
    home, copy = tmp_path / "home", tmp_path / "copy"
    right = Archive.open(str(home), "c", clock)
    for n in range(8):
        right.append(rows([fix("a", n)]), {"0": f"{n + 1}-0"})
    shutil.copytree(home, copy)
    for n in range(8, 12):
        right.append(rows([fix("a", n)]), {"0": f"{n + 1}-0"})
    (aside := tmp_path / "aside").mkdir()
    home.rename(aside / "home")
    copy.rename(home)
    tidier = Archive.open(str(home), "c", clock)
    assert tidier.compact(steps=1) == 1
    home.rename(copy)
    (aside / "home").rename(home)
    clock.now_ms += HOUR
    for deed in (tidier.refresh, tidier.sweep, tidier.compact):
        with pytest.raises(ArchiveReplaced, match="not the archive"):
            deed()
    found = verify(Archive.open(str(home), "c", clock), deep=True)
    assert (found.rows, found.problems) == (12, [])


def test_nothing_is_committed_to_a_copy_that_went_on_to_the_same_number(tmp_path: Path) -> None:
    home, copy, aside = tmp_path / "home", tmp_path / "copy", tmp_path / "aside"
    right = Archive.open(str(home), "c")
    right.append(rows([fix("a", 1)]), {"0": "1-0"})
    shutil.copytree(home, copy)
    right.append(rows([fix("a", 2)]), {"0": "2-0"})
    Archive.open(str(copy), "c").append(rows([fix("b", 2)]), {"0": "2-0"})
    home.rename(aside)
    copy.rename(home)
    with pytest.raises(ArchiveReplaced):
        right.append(rows([fix("a", 3)]), {"0": "3-0"})
    assert content(Archive.open(str(home), "c")) == [fix("a", 1), fix("b", 2)]


def test_who_read_a_foreign_shorter_archive_takes_none_of_the_right_one_on_top_of_it(tmp_path: Path) -> None:
    home, other, aside = tmp_path / "home", tmp_path / "other", tmp_path / "aside"
    for place, vehicle, commits in ((home, "a", 5), (other, "b", 3)):
        archive = Archive.open(str(place), "c")
        for n in range(commits):
            archive.append(rows([fix(vehicle, n)]), {"0": f"{n + 1}-0"})
    home.rename(aside)
    other.rename(home)
    reader = Archive.open(str(home), "c")
    home.rename(other)
    aside.rename(home)
    with pytest.raises(ArchiveReplaced):
        reader.refresh()
    assert content(Archive.open(str(home), "c")) == [fix("a", n) for n in range(5)]


def test_a_log_of_an_older_version_is_read_and_gone_on_with(tmp_path: Path) -> None:
    """Its commits and snapshots do not say what they follow on."""
    archive = Archive.open(str(tmp_path), "c")
    for n in range(105):
        archive.append(rows([fix("a", n)]) if n > 99 else {}, {"0": f"{n}-0"})
    for path in (tmp_path / "c" / "_log").glob("0*.json"):
        said = json.loads(path.read_bytes())
        path.write_text(json.dumps({name: what for name, what in said.items() if name not in {"prev", "digest"}}))
    assert (tmp_path / "c" / snapshot_path(100)).exists()
    readers = [Archive.open(str(tmp_path), "c") for _ in range(2)]
    readers[0].append(rows([fix("a", 105)]), {})
    for one in (*readers, Archive.open(str(tmp_path), "c")):
        assert content(one) == [fix("a", n) for n in range(100, 106)]
        assert (one.number, one.problems) == (106, [])


def test_a_log_that_was_put_together_from_two_copies_is_read_and_told(tmp_path: Path) -> None:
    home, copy = tmp_path / "home", tmp_path / "copy"
    right = Archive.open(str(home), "c")
    right.append(rows([fix("a", 1)]), {"0": "1-0"})
    shutil.copytree(home, copy)
    Archive.open(str(copy), "c").append({}, {"0": "7-0"})
    for n in (2, 3):
        right.append(rows([fix("a", n)]), {"0": f"{n}-0"})
    shutil.copy(copy / "c" / commit_path(2), home / "c" / commit_path(2))
    reader = Archive.open(str(home), "c")
    assert [problem.path for problem in reader.problems] == [commit_path(3)]
    assert content(reader) == [fix("a", 1), fix("a", 3)]


def test_a_foreign_file_far_ahead_is_named_once_and_counting_goes_on(tmp_path: Path) -> None:
    archive = Archive.open(str(tmp_path), "c")
    archive.append(rows([fix("a", 1)]), {})
    for name in (commit_path(2_000_000), snapshot_path(3_000_000)):
        (tmp_path / "c" / name).write_bytes(b"x")
    reader = Archive.open(str(tmp_path), "c")
    assert (reader.number, len(reader.problems)) == (1, 2)
    for n in range(230):
        reader.append({}, {"0": f"{n}-0"})
    assert (reader.number, len(reader.problems)) == (231, 2)
    assert len(log_of(tmp_path)) < 200, "its own log is cut short all the same"
    assert {commit_path(2_000_000)[5:], snapshot_path(3_000_000)[5:]} <= log_of(tmp_path)


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_commit_that_cannot_be_read_is_told_for_ever_and_what_there_is_of_it_is_kept(
    tmp_path: Path, how: str
) -> None:
    archive = Archive.open(str(tmp_path), "c")
    for n in range(3):
        archive.append(rows([fix("a", n)]), {"0": f"{n}-0"})
    victim = tmp_path / "c" / commit_path(2)
    if how == "damaged":
        victim.write_bytes(b"{")
    else:
        victim.unlink()
    writer = Archive.open(str(tmp_path), "c")
    for n in range(230):
        writer.append({}, {"1": f"{n}-0"})
    assert not (tmp_path / "c" / commit_path(1)).exists()
    assert victim.exists() == (how == "damaged")
    reader = Archive.open(str(tmp_path), "c")
    assert [problem.path for problem in reader.problems] == [commit_path(2)]
    assert content(reader) == [fix("a", 0), fix("a", 2)]
    assert len(parquet_files(tmp_path)) == 3


def test_a_listing_with_a_hole_loses_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is listed while commits are made may show one and not the one before it."""
    writer, reader = Archive.open(str(tmp_path), "c"), Archive.open(str(tmp_path), "c")
    for n in range(3):
        writer.append(rows([fix("a", n)]), {})
    names = Folder.names
    monkeypatch.setattr(
        Folder, "names", lambda self, folder: [name for name in names(self, folder) if "0002.json" not in name]
    )
    assert content(reader) == [fix("a", n) for n in range(3)]
    assert reader.problems == []


def test_half_written_files_of_others_are_left_alone_and_own_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive.open(str(tmp_path), "c")
    archive.append(rows([fix("a", 1)]), {})
    hour = parquet_files(tmp_path)[0].parent
    theirs = [hour / "mine.part", tmp_path / "c" / "_log" / "mine.part"]
    own = [hour / "000000000002-0-0123abcd.parquet.7.part", tmp_path / "c" / "_log" / "000000000002.json.7.part"]
    for path in (*theirs, *own):
        path.write_text("half")

    def fail(*_: Any) -> None:
        raise RuntimeError

    with monkeypatch.context() as broken:
        broken.setattr(city.archive.archive, "write", fail)
        with pytest.raises(RuntimeError):
            archive.append(rows([fix("a", 2)]), {})
    archive.append({}, {"0": "1-0"})
    assert [path.exists() for path in (*theirs, *own)] == [True, True, False, False]
