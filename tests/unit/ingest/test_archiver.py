"""Who writes in which archive: the archiver finds the right one, and nobody else writes to another one."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "city" / "archive"))

from rows import HOUR, MAY_4, Clock, fix, rows

from city.archive.archive import Archive, ArchiveReplaced
from city.archive.verify import verify
from city.archive_figures import ArchiveFigures
from city.archive_source import KnownArchive
from city.config import Config, load_config
from ingest.archiver import Archiver
from ingest.right_archive import RightArchive
from ingest.roller import RollerThread
from ingest.tidier import Tidier

ROOT = Path(__file__).resolve().parents[3]
CITY = "helsinki"


class Source:
    """A store with one silent stream, which remembers an archive."""

    streams = ("0",)

    def __init__(self, known: KnownArchive | None) -> None:
        self.remembered = known

    def known(self) -> KnownArchive | None:
        return self.remembered

    def archived(self, cursors: object, archive: KnownArchive | None = None) -> None:
        self.remembered = archive

    def hold(self) -> set[str]:
        return set()

    def trim(self, *_: object) -> None: ...

    def tell(self, figures: ArchiveFigures) -> None: ...

    def read(self, cursors: object, *, block_ms: int, count: int) -> list[object]:
        time.sleep(0.005)
        return []

    def standing(self, streams: object) -> dict[str, object]:
        return {}

    def oldest_ms(self, cursors: object) -> None:
        return None

    def marks(self) -> dict[str, str]:
        return {}


class Place:
    """Where the archive is to lie, with one or another one mounted."""

    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "place"
        self._disks = tmp_path
        self.clock = Clock(MAY_4 + 30 * HOUR)
        self.config = load_config(
            ROOT / "config.yaml",
            {
                "MARKAZ_CITY": CITY,
                "MARKAZ_HISTORY__URL": str(self.path),
                "MARKAZ_HISTORY__ROLLUPS": '[{"by": "district", "every_s": 3600}]',
            },
        )

    def filled(self, disk: str, commits: int, vehicle: str = "a") -> Archive:
        archive = Archive.open(str(self._disks / disk), CITY, self.clock)
        for n in range(archive.number, commits):
            archive.append(rows([fix(vehicle, n)]), {"0": f"{n + 1}-0"})
        return archive

    def copied(self, disk: str, into: str) -> None:
        shutil.copytree(self._disks / disk, self._disks / into)

    def mount(self, disk: str) -> None:
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(self._disks / disk)

    def archive(self) -> Archive:
        return Archive.open(str(self.path), CITY, self.clock)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def archiver(place: Place, source: Source, right: RightArchive | None = None) -> Archiver:
    return Archiver(place.config, source, place.clock, right=right)  # type: ignore[arg-type]


def wait(true: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_after_a_foreign_archive_the_right_one_is_begun_with_nothing_of_the_other(place: Place) -> None:
    right = place.filled("right", 12)
    place.filled("other", 5, "x")
    source = Source(KnownArchive(right.identity(), 12))
    place.mount("other")
    writer = archiver(place, source)
    with pytest.raises(ArchiveReplaced, match="is the right place mounted"):
        writer.step()
    stop = threading.Event()
    thread = threading.Thread(target=writer.run, args=[stop])
    thread.start()
    try:
        time.sleep(0.1)
        place.mount("right")
        wait(lambda: writer._begun)
    finally:
        stop.set()
        thread.join(20)
    assert writer._archive is not None
    assert {file.path for file in writer._archive.all_files()} == {file.path for file in right.all_files()}


def test_in_an_older_copy_nobody_writes_so_that_it_stays_known_as_one(place: Place) -> None:
    """Commits of a merge there counted on to the known one, and the archiver went on in the copy."""
    place.filled("right", 8)
    place.copied("right", "copy")
    source = Source(KnownArchive(place.filled("right", 12).identity(), 12))
    place.mount("copy")
    gate = RightArchive()
    writer, tidier = archiver(place, source, gate), Tidier(place.config, place.clock, right=gate)
    roller = RollerThread(place.config, threading.Event(), place.clock, right=gate)
    for _ in range(3):
        with pytest.raises(ArchiveReplaced):
            writer.step()
        assert not tidier.step()
        roller._round()
    assert place.archive().number == 8
    place.mount("right")
    writer._archive = None  # as `run` does
    writer.step()
    assert tidier.step(), "a merge"
    roller._round()
    assert place.archive().number > 13
    assert verify(place.archive(), deep=True).problems == []


def test_who_tidies_does_not_begin_in_an_older_copy_that_the_archiver_has_not_seen_yet(place: Place) -> None:
    place.filled("right", 8)
    place.copied("right", "copy")
    source = Source(KnownArchive(place.filled("right", 12).identity(), 12))
    place.mount("right")
    gate = RightArchive()
    archiver(place, source, gate).step()
    place.mount("copy")
    for other in (Tidier(place.config, place.clock, right=gate).step, _round(place.config, place.clock, gate)):
        with pytest.raises(ArchiveReplaced):
            other()
    assert place.archive().number == 8


def test_when_the_archiver_loses_its_archive_the_others_wait_too(place: Place) -> None:
    right = place.filled("right", 3)
    place.filled("other", 5, "x")
    place.mount("right")
    gate = RightArchive()
    writer = archiver(place, Source(KnownArchive(right.identity(), 3)), gate)
    stop = threading.Event()
    thread = threading.Thread(target=writer.run, args=[stop])
    thread.start()
    try:
        wait(lambda: gate.known)
        place.mount("other")
        writer._begun = False  # as after another one's commit: it looks anew
        wait(lambda: not gate.known)
        place.mount("right")
        wait(lambda: gate.known)
    finally:
        stop.set()
        thread.join(20)


def _round(config: Config, clock: Clock, gate: RightArchive) -> Callable[[], None]:
    return RollerThread(config, threading.Event(), clock, right=gate)._round
