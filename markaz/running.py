"""What runs on a data directory: a lock that one supervisor holds, and a note of its addresses.

The lock is a flock on `up.lock`. The supervisor's children inherit it, so that it is free only
when the last broker or store that writes below the directory is gone, however its parent died.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from city.config import Config, ConfigError

_POLL_S = 0.05


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """The note that `markaz up` leaves for other commands, in `run.json`."""

    pid: int
    city: str
    started_at: datetime  # UTC
    http_url: str
    mqtt_url: str | None  # of the embedded broker; None: a configured one is used
    redis_url: str | None  # of the embedded store; None: a configured one is used


class AlreadyRunning(Exception):
    """Somebody else holds the data directory; `by` is unknown when they are only starting or stopping."""

    def __init__(self, by: Running | None) -> None:
        super().__init__("already running")
        self.by = by


def data_directory(config: Config) -> Path:
    """The absolute path of `data_dir`; a relative one lies beside the settings' file."""
    return (config.root / config.data_dir).resolve()


def take_lock(directory: Path, *, patience_s: float) -> int:
    """Hold the directory: a file descriptor to keep open. Raises AlreadyRunning.

    What a killed supervisor left behind gets `patience_s` to end.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = os.open(directory / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(f"data_dir: {directory}: {error.strerror}") from None
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            by = _read_note(directory)
            if by is not None or time.monotonic() > deadline:
                os.close(lock)
                raise AlreadyRunning(by) from None
            time.sleep(_POLL_S)
        else:
            return lock


def running(directory: Path) -> Running | None:
    """What runs on the directory now, None if nothing does."""
    try:
        lock = os.open(directory / "up.lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read_note(directory)
    finally:
        os.close(lock)
    return None


def write_note(directory: Path, note: Running) -> None:
    """Leave the note, whole or not at all."""
    fresh = directory / "run.json.new"
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(note)))
    fresh.replace(directory / "run.json")


def remove_note(directory: Path) -> None:
    (directory / "run.json").unlink(missing_ok=True)


def _read_note(directory: Path) -> Running | None:
    """The note, unless the process that wrote it is gone."""
    with suppress(OSError, msgspec.MsgspecError):
        note = msgspec.json.decode((directory / "run.json").read_bytes(), type=Running)
        with suppress(PermissionError):
            os.kill(note.pid, 0)
        return note
    return None
