"""The thread that makes roll-ups: what is missing is made, what fails is told once and tried again."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "city" / "history"))

from small_city import TO_MS, archived

import ingest.roller
from city.archive.archive import Archive
from city.config import Config, load_config
from ingest.roller import RollerThread

ROOT = Path(__file__).resolve().parents[3]
FEED = "rollup_mahalla_900"
LATER_MS = TO_MS + 3_600_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(
        ROOT / "config.yaml",
        {"MARKAZ_HISTORY__URL": str(tmp_path), "MARKAZ_HISTORY__ROLLUPS": '[{"by": "mahalla", "every_s": 900}]'},
    )


@pytest.fixture
def archive(config: Config, tmp_path: Path) -> Archive:
    archived(tmp_path)
    (tmp_path / "small").rename(tmp_path / config.city)
    return Archive.open(config.history.url, config.city)


def rolled(archive: Archive) -> list[tuple[str, int]]:
    archive.refresh()
    return sorted((file.date, file.hour) for file in archive.all_files() if file.feed == FEED)


def wait(true: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_round_makes_all_that_is_missing_and_the_next_one_nothing(config: Config, archive: Archive) -> None:
    hours = {(file.date, file.hour) for file in archive.all_files()}
    roller = RollerThread(config, threading.Event(), lambda: LATER_MS)
    roller._round()
    assert rolled(archive) == sorted(hours), "each hour once"
    number = archive.number
    roller._round()
    archive.refresh()
    assert archive.number == number


def test_the_archive_is_opened_once(config: Config, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large one takes seconds of the whole process."""
    opened: list[str] = []
    really = Archive.open

    def counted(url: str, *rest: Any, **more: Any) -> Archive:
        opened.append(url)
        return really(url, *rest, **more)

    monkeypatch.setattr(Archive, "open", counted)
    roller = RollerThread(config, threading.Event(), lambda: LATER_MS)
    for _ in range(3):
        roller._round()
    assert opened == [config.history.url]
    assert rolled(archive)


def test_what_is_over_for_longer_than_it_is_kept_is_not_made_again_and_again(config: Config, archive: Archive) -> None:
    kept = config.model_copy(update={"history": config.history.model_copy(update={"keep_days": {FEED: 1.5 / 24}})})
    RollerThread(kept, threading.Event(), lambda: LATER_MS)._round()
    assert rolled(archive) == [("2026-05-04", 19)], "the youngest hour alone"


def test_an_archive_that_is_not_there_yet_is_no_error(config: Config) -> None:
    RollerThread(config, threading.Event(), lambda: LATER_MS)._round()


def test_while_the_archive_is_away_it_is_said_once_and_then_it_goes_on(
    config: Config, archive: Archive, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ingest.roller, "_EVERY_S", 0.01)
    root = archive.folder.local
    assert root is not None
    away = root.with_name("away")
    root.rename(away)
    root.write_text("no folder")
    stop = threading.Event()
    thread = RollerThread(config, stop, lambda: LATER_MS)
    thread.start()
    try:
        time.sleep(0.3)
        root.unlink()
        away.rename(root)
        wait(lambda: rolled(archive))
    finally:
        stop.set()
        thread.join(20)
    assert capsys.readouterr().out.count("rollups_wait") == 1
    assert not thread.is_alive()
