"""Keeps the archive tidy: merges small files, forgets what is kept no longer, deletes what was replaced.

In a thread of its own, which yields to everything else in its process. A merge of a large hour takes seconds; the
writer's commits go on meanwhile, because rows are written outside the archive's lock.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

import pyarrow as pa
import structlog

from city.archive.archive import Archive, ArchiveDown, ArchiveReplaced, Problem
from city.config import Config
from city.settings import History
from city.store import now_ms
from ingest.right_archive import RightArchive

log = structlog.get_logger()

EVERY_S = 20.0
_NICE = 15


class Tidier:
    """One archive kept tidy. For one thread, but for `problems`."""

    def __init__(self, config: Config, clock: Callable[[], int] = now_ms, *, right: RightArchive | None = None) -> None:
        """`right`: who knows the archive that may be written to; None: the one that is there is."""
        self._right = right
        self._settings: History = config.history
        self._city = config.city
        self._clock = clock
        self._archive: Archive | None = None
        self._told: set[Problem] = set()

    @property
    def problems(self) -> list[Problem]:
        """Files that were skipped."""
        return [] if self._archive is None else self._archive.problems

    def step(self) -> bool:
        """One merge, or where there is none what else is due; whether there may be more to merge.

        Raises ArchiveDown.
        """
        settings = self._settings
        if self._right is not None and not self._right.known:
            self.forget()
            return False
        archive = self._archive
        if archive is None:
            archive = Archive.open(settings.url, self._city, self._clock, room_min_mb=settings.room_min_mb)
            if self._right is not None:
                self._right.check(archive)
            self._archive = archive
        merged = archive.compact(files_max=settings.compact_files, rows_max=settings.compact_rows, steps=1)
        if merged:
            # A merge takes some hundred megabytes for seconds: nothing else in the process needs them.
            pa.default_memory_pool().release_unused()
        else:
            archive.retain(settings.keep_days)
            archive.sweep()
        for problem in archive.problems:
            if problem not in self._told:
                log.error("archive_file_skipped", file=problem.path, reason=problem.why)
        self._told = set(archive.problems)
        return merged > 0

    def forget(self) -> None:
        """Open the archive anew: it is another one, or was not mounted."""
        self._archive = None


class TidierThread(threading.Thread):
    """Looks after the archive three times a minute. What fails is told once and tried again."""

    def __init__(self, tidier: Tidier, stop: threading.Event, every_s: float = EVERY_S) -> None:
        # It may be in the middle of a merge when its process ends: nothing is committed by then.
        super().__init__(name="tidier", daemon=True)
        self._tidier, self._stop_all, self._every_s = tidier, stop, every_s
        self._failing = False

    def run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):
            # On Linux a thread has a niceness of its own.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._stop_all.wait(self._every_s):
            try:
                while self._tidier.step() and not self._stop_all.is_set():
                    pass
            except ArchiveDown as error:
                if isinstance(error, ArchiveReplaced):
                    self._tidier.forget()
                if not self._failing:
                    log.warning("archive_tidying_waits", error=str(error))
                self._failing = True
            except Exception:
                # An untidy archive is slower to read, and whole.
                log.exception("archive_tidying_failed")
            else:
                self._failing = False
