"""Where questions to the transport analysis wait for the one process that works on them.

The engines are imported there alone.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal, TypeVar

from msgspec import Struct

from analysis.transit.study import TransitAnswer, TransitQuestion
from city.background import end_with, step_back
from city.config import Config
from city.history.origin import Origin

_LOOK_S = 0.25  # how often somebody who waits looks whether the answer is still wanted
_KILLED_WITHIN_S = 5.0

Given = TypeVar("Given")
Table = Literal["vehicle_locations", "stop_visits", "trips_performed", "passenger_events"]


class NotAnswered(Exception):
    """There is no answer; the message says why."""


class TookTooLong(NotAnswered):
    """It was given up after `history.query_timeout_s`."""


class CannotBeMade(NotAnswered):
    """What was asked for lacks something that the message names."""


class NothingSeen(NotAnswered):
    """History has nothing of it."""


class TooManyQuestions(Exception):
    """So many questions wait that no further one is taken."""


class NotWanted(Exception):
    """Who asked has gone."""


class Answered(Struct, frozen=True, kw_only=True):
    """An answer, and where its numbers come from."""

    answer: TransitAnswer
    origin: Origin
    at_ms: int
    scheduled: bool  # whether the city has a timetable


class FileAsked(Struct, frozen=True, kw_only=True):
    """A file about routes over a span: a table of TIDES, or the timetable that was driven as GTFS."""

    kind: Table | Literal["gtfs"]
    routes: tuple[str, ...]
    from_ms: int
    to_ms: int
    form: Literal["csv", "parquet", "zip"]
    agency_url: str | None = None  # for GTFS; None: that of the city's timetable


class TransitDesk:
    """One process of low priority; as many questions wait as `history.query_waiting_max`. For any thread."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._waiting = 0

    def ask(self, asked: TransitQuestion, unwanted: threading.Event | None = None) -> Answered:
        """The answer, waited for: not in the event loop's thread. Raises NotAnswered, TooManyQuestions, NotWanted."""
        return self._ask(_work, asked, unwanted)

    def file(self, asked: FileAsked, unwanted: threading.Event | None = None) -> Path:
        """A file in a folder of its own, which the caller deletes, likewise: two processes should not hold it."""
        folder = Path(tempfile.mkdtemp(prefix="markaz-transit-"))
        try:
            return self._ask(partial(_work_file, folder), asked, unwanted)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def stop(self) -> None:
        """End the process; what is not answered never will be."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, work: Callable[[Config, Struct], Given], asked: Struct, unwanted: threading.Event | None) -> Given:
        with self._lock:
            # One of them is worked on.
            if self._waiting > self._config.history.query_waiting_max:
                raise TooManyQuestions(f"{self._waiting - 1} questions are waiting")
            self._waiting += 1
        try:
            while True:
                pool, future = self._submit(work, asked)
                try:
                    return self._wait(pool, future, unwanted)
                except (BrokenProcessPool, CancelledError):
                    with self._lock:
                        given_up = self._pool is not pool
                        if not given_up:
                            self._pool = None
                    # The one that was worked on was wanted no more, and its process ended: this one begins anew.
                    if given_up and not (unwanted is not None and unwanted.is_set()):
                        continue
                    # It was killed: by the kernel for its memory, most likely.
                    raise NotAnswered("the process that worked on it was ended; ask for less at once") from None
        finally:
            with self._lock:
                self._waiting -= 1

    def _wait(self, pool: ProcessPoolExecutor, future: Future[Given], unwanted: threading.Event | None) -> Given:
        if unwanted is None:
            return future.result()
        while True:
            try:
                return future.result(_LOOK_S)
            except TimeoutError:
                # The work itself may have raised the same error.
                if future.done():
                    return future.result()
                if not unwanted.is_set():
                    continue
                if not future.cancel():
                    self._end(pool)
                raise NotWanted from None

    def _end(self, pool: ProcessPoolExecutor) -> None:
        """End a process that works on what nobody wants: the engine heeds nothing else."""
        with self._lock:
            if self._pool is pool:
                self._pool = None
        processes = list((pool._processes or {}).values())
        for process in processes:
            process.kill()
            process.join(_KILLED_WITHIN_S)
        pool.shutdown(wait=False, cancel_futures=True)

    def _submit(
        self, work: Callable[[Config, Struct], Given], asked: Struct
    ) -> tuple[ProcessPoolExecutor, Future[Given]]:
        with self._lock:
            if self._pool is None:
                # Not forked: threads and sockets of the dashboard stay with it. It comes with the first question.
                context = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, mp_context=context, initializer=_begin, initargs=(os.getpid(),))
            return self._pool, self._pool.submit(work, self._config, asked)


def _begin(parent: int) -> None:
    """What is live must not wait for this process."""
    step_back()
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the dashboard, which ends this


def _work(config: Config, asked: Struct) -> Answered:
    found: Answered = import_module("dashboard.transit_worker").work(config, asked)
    return found


def _work_file(folder: Path, config: Config, asked: Struct) -> Path:
    found: Path = import_module("dashboard.transit_files").work(config, asked, folder)
    return found
