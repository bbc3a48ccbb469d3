"""Merging beside a writer: nobody waits for it, and what a killed one left goes away."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rows import HOUR, Clock, content, fixes, key, parquet_files, rows

import city.archive.archive
from city.archive.archive import Archive, ArchiveDown
from city.archive.verify import verify

HOURS = 3_600_000


def an_hour_in_three_files(folder: Path, clock: Clock) -> Archive:
    archive = Archive.open(str(folder), "tashkent", clock)
    for begin in range(3):
        archive.append(rows(fixes(2, range(begin, HOUR, 60_000))), {})
    clock.now_ms += 4 * HOURS
    return archive


def test_who_appends_does_not_wait_for_a_merge_and_the_merge_does_not_undo_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    writer = an_hour_in_three_files(tmp_path, clock)
    before = content(writer)
    begun, go_on = threading.Event(), threading.Event()
    real = city.archive.archive.merged

    def slowly(*given: Any) -> Iterator[Any]:
        begun.set()
        assert go_on.wait(20)
        yield from real(*given)

    monkeypatch.setattr(city.archive.archive, "merged", slowly)
    merger = Archive.open(str(tmp_path), "tashkent", clock)
    thread = threading.Thread(target=lambda: merger.compact(steps=1))
    thread.start()
    try:
        assert begun.wait(20)
        more = fixes(1, [7])
        writer.append(rows(more), {"0": "9-1"})
        assert Archive.open(str(tmp_path), "tashkent").number == 4, "while the merge is being written"
    finally:
        go_on.set()
        thread.join()
    reader = Archive.open(str(tmp_path), "tashkent")
    assert (reader.number, len(reader.all_files()), reader.cursors()) == (5, 2, {"0": "9-1"})
    assert content(reader) == sorted([*before, *more], key=key)
    assert list((tmp_path / "tashkent" / "_merge").iterdir()) == []


def test_a_merge_that_fails_leaves_nothing_and_the_next_one_does_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    archive = an_hour_in_three_files(tmp_path, clock)
    before, files = content(archive), parquet_files(tmp_path)
    real = city.archive.archive.write

    def full(file: Any, tables: Any) -> Any:
        real(file, tables)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(city.archive.archive, "write", full)
        with pytest.raises(ArchiveDown, match="No space left"):
            archive.compact()
    assert parquet_files(tmp_path) == files
    assert list((tmp_path / "tashkent" / "_merge").iterdir()) == []
    assert archive.compact() == 1
    assert content(archive) == before
    assert verify(archive, deep=True).problems == []


def test_what_a_killed_merge_left_is_no_part_of_the_archive_and_goes_when_it_is_old(tmp_path: Path) -> None:
    clock = Clock()
    archive = an_hour_in_three_files(tmp_path, clock)
    staging = tmp_path / "tashkent" / "_merge"
    staging.mkdir()
    old, young = staging / "a.part", staging / "b.part"
    for left, age_s in ((old, 7 * 3600), (young, 60)):
        left.write_bytes(b"half")
        os.utime(left, (clock.now_ms / 1000 - age_s,) * 2)
    assert verify(archive, deep=True).problems == []
    assert archive.compact() == 1
    assert list(staging.iterdir()) == [young], "of the young one the writer may live"
