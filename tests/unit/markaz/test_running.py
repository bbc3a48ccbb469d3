"""The lock and the note of a data directory."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from markaz.running import AlreadyRunning, Running, remove_note, running, take_lock, write_note

NOTE = Running(
    pid=os.getpid(),
    city="tashkent",
    started_at=datetime(2026, 3, 21, 9, 30, tzinfo=UTC),
    http_url="http://127.0.0.1:8050/",
    mqtt_url="mqtt://127.0.0.1:1883",
    redis_url=None,
)


def test_what_runs_is_known_to_others(tmp_path: Path) -> None:
    lock = take_lock(tmp_path, patience_s=0)
    write_note(tmp_path, NOTE)
    assert running(tmp_path) == NOTE
    os.close(lock)


def test_a_second_one_on_the_same_directory_learns_of_the_first(tmp_path: Path) -> None:
    lock = take_lock(tmp_path, patience_s=0)
    write_note(tmp_path, NOTE)
    with pytest.raises(AlreadyRunning) as caught:
        take_lock(tmp_path, patience_s=0)
    assert caught.value.by == NOTE
    os.close(lock)


def test_a_note_without_its_lock_is_of_the_past(tmp_path: Path) -> None:
    """A supervisor that was killed leaves its note; the lock is gone with it."""
    os.close(take_lock(tmp_path, patience_s=0))
    write_note(tmp_path, NOTE)
    assert running(tmp_path) is None
    os.close(take_lock(tmp_path, patience_s=0))


def test_remains_of_a_dead_supervisor_are_nobody_to_name(tmp_path: Path) -> None:
    """Its store may still hold the lock: the directory is taken, by nobody who could be asked."""
    lock = take_lock(tmp_path, patience_s=0)
    gone = os.fork()
    if gone == 0:
        os._exit(0)
    os.waitpid(gone, 0)
    write_note(tmp_path, Running(**{name: getattr(NOTE, name) for name in NOTE.__struct_fields__} | {"pid": gone}))
    with pytest.raises(AlreadyRunning) as caught:
        take_lock(tmp_path, patience_s=0.1)
    assert caught.value.by is None
    os.close(lock)


@pytest.mark.parametrize("text", ["", "{", '{"pid": "one"}'])
def test_a_torn_note_is_no_note(text: str, tmp_path: Path) -> None:
    lock = take_lock(tmp_path, patience_s=0)
    (tmp_path / "run.json").write_text(text)
    assert running(tmp_path) is None
    os.close(lock)


def test_nothing_runs_where_nothing_ever_did(tmp_path: Path) -> None:
    remove_note(tmp_path)
    assert running(tmp_path / "never") is None
