"""The archive is kept tidy beside its writer: merged, forgotten, and what is damaged named once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from city.archive.archive import Archive
from city.archive.columns import batch_of
from city.config import Config, load_config
from city.events import VehiclePosition
from ingest.tidier import Tidier, TidierThread

ROOT = Path(__file__).resolve().parents[3]
NOW_MS = 1_777_870_800_000
DAY_MS = 86_400_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(
        ROOT / "config.yaml",
        {
            "MARKAZ_HISTORY__URL": str(tmp_path),
            "MARKAZ_HISTORY__KEEP_DAYS": '{"position": 2, "rollup_mahalla_900": 9}',
            "MARKAZ_HISTORY__COMPACT_ROWS": "1000",
        },
    )


def put(config: Config, at_ms: int, files: int = 2) -> Archive:
    archive = Archive.open(config.history.url, config.city, lambda: NOW_MS)
    for number in range(files):
        said = [
            VehiclePosition(vehicle_id=f"v{number}", measured_ms=at_ms + n, received_ms=at_ms, lat=41.3, lon=69.2)
            for n in range(10)
        ]
        archive.append({"position": [batch_of("position", said, False)]}, {})
    return archive


def test_one_step_is_one_merge_and_the_last_one_forgets_what_is_past_its_time(config: Config) -> None:
    put(config, NOW_MS - DAY_MS // 4)
    put(config, NOW_MS - DAY_MS // 2)
    archive = put(config, NOW_MS - 3 * DAY_MS, files=1)
    tidier = Tidier(config, lambda: NOW_MS)
    assert [tidier.step(), tidier.step(), tidier.step()] == [True, True, False]
    archive.refresh()
    assert sorted(file.rows for file in archive.all_files()) == [20, 20]


def test_a_file_that_cannot_be_merged_is_named_and_stays(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    archive = put(config, NOW_MS - DAY_MS // 2)
    root = archive.folder.local
    assert root is not None
    broken = root / archive.all_files()[0].path
    broken.write_bytes(b"damaged")
    tidier = Tidier(config, lambda: NOW_MS)
    assert [tidier.step(), tidier.step()] == [False, False]
    assert [problem.path for problem in tidier.problems] == [archive.all_files()[0].path]
    assert capsys.readouterr().out.count("archive_file_skipped") == 1
    assert broken.read_bytes() == b"damaged"


def test_while_the_folder_is_away_it_is_tried_again(config: Config) -> None:
    archive = put(config, NOW_MS - DAY_MS // 2)
    root = archive.folder.local
    assert root is not None
    away = root.with_name("away")
    root.rename(away)
    root.write_text("no folder")
    stop = threading.Event()
    thread = TidierThread(Tidier(config, lambda: NOW_MS), stop, every_s=0.02)
    thread.start()
    try:
        time.sleep(0.1)
        root.unlink()
        away.rename(root)
        until = time.monotonic() + 20
        while len(archive.all_files()) != 1 and time.monotonic() < until:
            time.sleep(0.05)
            archive.refresh()
    finally:
        stop.set()
        thread.join(10)
    assert len(archive.all_files()) == 1
    assert not thread.is_alive()


def test_what_is_no_feed_cannot_be_kept_by_days(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="keep_days"):
        load_config(ROOT / "config.yaml", {"MARKAZ_HISTORY__KEEP_DAYS": '{"rollup_street_900": 9}'})
