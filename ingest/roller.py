"""Keeps the archive's roll-ups true in a thread of its own, which yields to everything else in its process."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

import structlog

from city.archive.archive import Archive, ArchiveDown, ArchiveReplaced
from city.config import Config
from city.history.engines import HistoryError, engine_of
from city.history.history import History
from city.store import now_ms
from ingest.right_archive import RightArchive
from ingest.rollups import refresh_rollups

log = structlog.get_logger()

_EVERY_S = 30.0
_STEPS = 4  # hours a round; then it looks whether it is to stop
_NICE = 15


class RollerThread(threading.Thread):
    """Looks at the archive twice a minute and makes what is missing. What fails is told and tried again."""

    def __init__(
        self,
        config: Config,
        stop: threading.Event,
        clock: Callable[[], int] = now_ms,
        *,
        right: RightArchive | None = None,
    ) -> None:
        """`right`: who knows the archive that may be written to; None: the one that is there is."""
        # It may be in the middle of a question when its process ends: nothing is committed by then.
        super().__init__(name="roller", daemon=True)
        self._config, self._stop_all, self._clock, self._right = config, stop, clock, right
        self._archive: Archive | None = None  # kept: a large one takes seconds to open
        self._unread: dict[str, int] = {}  # files that could not be read, and when
        self._failing = False

    def run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            # On Linux a thread has a niceness of its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._stop_all.wait(_EVERY_S):
            try:
                self._round()
            except (ArchiveDown, HistoryError) as error:
                if isinstance(error, ArchiveReplaced):
                    self._archive = None
                if not self._failing:
                    log.warning("rollups_wait", error=str(error))
                self._failing = True
            except Exception:
                # Roll-ups only save time: the archive goes on without them.
                log.exception("rollups_failed")
            else:
                self._failing = False

    def _round(self) -> None:
        history = self._config.history
        if self._right is not None and not self._right.known:
            self._archive = None
            return
        archive = self._archive
        if archive is None:
            archive = Archive.open(history.url, self._config.city, self._clock, room_min_mb=history.room_min_mb)
            if self._right is not None:
                self._right.check(archive)
            self._archive = archive
        archive.refresh()
        if archive.number == 0:
            return
        # What is written is read by the same ledger; the engine would keep memory that the process needs elsewhere.
        away = archive.folder.filesystem if archive.folder.local is None else None
        reader = History(archive, engine_of(history, filesystem=away), None)
        try:
            while not self._stop_all.is_set():
                made = refresh_rollups(
                    archive,
                    reader,
                    history.rollups,
                    self._clock(),
                    steps=_STEPS,
                    keep_days=history.keep_days,
                    unread=self._unread,
                )
                if not made:
                    return
        finally:
            reader.close()
