"""The archive's folder on file systems that lack something: links, room, a fresh listing, the folder itself."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, NamedTuple
from uuid import uuid4

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from rows import content, fix, rows

import city.archive.files
from city.archive.archive import Archive, ArchiveDown
from city.archive.files import Folder


class Listing(MemoryFileSystem):  # type: ignore[misc]
    """Keeps what it listed until it is told to forget, as clients of object stores do."""

    protocol = "listing"
    listed: ClassVar[dict[str, Any]] = {}

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        key = f"{path}:{detail}"
        if key not in self.listed:
            self.listed[key] = super().ls(path, detail=detail, **kwargs)
        return self.listed[key]

    def invalidate_cache(self, path: str | None = None) -> None:
        self.listed.clear()


@pytest.fixture
def url() -> Iterator[str]:
    fsspec.register_implementation("listing", Listing, clobber=True)
    name = f"listing://{uuid4().hex}"
    yield name
    fsspec.filesystem("listing").rm(name, recursive=True)


def test_commits_of_another_process_are_seen_though_the_client_keeps_listings(url: str) -> None:
    reader, writer = Archive.open(url, "c"), Archive.open(url, "c")
    for n in range(3):
        before = dict(Listing.listed)
        writer.append(rows([fix("a", n)]), {})
        # What the reader's own client has kept since it looked last.
        Listing.listed.clear()
        Listing.listed |= before
        assert reader.refresh()
    assert len(content(reader)) == 3


def test_no_file_is_written_where_the_disk_has_too_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    archive = Archive.open(str(tmp_path), "c", room_min_mb=100)
    archive.append(rows([fix("a", 1)]), {})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(99 << 20))
    with pytest.raises(ArchiveDown, match="too little room"):
        archive.append(rows([fix("a", 2)]), {})
    archive.append({}, {"0": "1-0"})
    assert content(archive) == [fix("a", 1)]
    assert archive.retain({"position": 0.001}) == 1, "what makes room is allowed"


def test_a_commit_needs_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    folder = Folder(str(tmp_path))
    assert folder.create("a.json", b"1") is True
    assert folder.create("a.json", b"2") is False
    assert folder.read("a.json") == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_that_cannot_be_made_is_away_and_not_empty() -> None:
    folder = Folder("/proc/nowhere")
    with pytest.raises(ArchiveDown):
        folder.create("a.json", b"1")
    with pytest.raises(ArchiveDown), folder.writing("a"):
        pass
    with pytest.raises(ArchiveDown), folder.lock(0):
        pass
    with pytest.raises(FileNotFoundError):
        folder.read("a.json")


def test_the_names_of_new_folders_are_brought_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a power cut a commit must not list a file whose folder is gone."""
    synced: list[Path] = []
    monkeypatch.setattr(city.archive.files, "_sync", synced.append)
    with Folder(str(tmp_path)).writing("position/date=2026-05-04/hour=00/x"):
        pass
    assert synced == [
        tmp_path,
        tmp_path / "position",
        tmp_path / "position" / "date=2026-05-04",
        tmp_path / "position" / "date=2026-05-04" / "hour=00",
    ]
