"""The replay's own process, so that the live screens never wait for the past.

It starts with the first question, works at low priority on one question at a time, and ends when nobody has asked for a
while, with all that it kept in memory.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import structlog

from analysis.replay import HourLook
from city.archive.files import ArchiveDown
from city.background import end_with
from city.config import Config
from city.store import StoreDown, StoreRefused
from dashboard.replay_frames import AlarmSpan, Bounds
from dashboard.replay_queue import Turns

log = structlog.get_logger()

# Questions that may wait, of all pages and of each: one asks for three chunks, two spans of alarms and how complete a
# day and an hour are.
WAITING_MAX = 96
WAITING_EACH_MAX = 8
IDLE_S = 900.0
_NICE = 10


class TooBusy(Exception):
    """More is asked than the replay's process can answer soon."""


class ProcessLost(Exception):
    """The replay's process was ended while it worked on a question, and so was the next one."""


@dataclass(frozen=True, slots=True, eq=False)
class _Question:
    name: str  # of the method of dashboard.replay_process.Replay
    given: tuple[int, ...]
    answer: asyncio.Future[Any]

    def fail(self, error: Exception) -> None:
        """Tell who waits, if somebody does still."""
        if not self.answer.done():
            self.answer.set_exception(error)


class ReplayDesk:
    """Puts questions to the process, and starts or ends it. On the event loop.

    Every question may raise TooBusy, ProcessLost, StoreDown, StoreRefused and ArchiveDown. `asker` names the page that
    asks: pages have turns. A question whose caller is cancelled is not worked on, unless it is already.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._pool: ProcessPoolExecutor | None = None
        self._waiting = Turns[_Question](WAITING_MAX, WAITING_EACH_MAX)
        self._working: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None
        self._warming: asyncio.Task[None] | None = None  # the loop itself would forget it

    def warm(self) -> None:
        """Start the process if it does not run: its page will ask in a moment. What goes wrong is told to the page."""
        if self._pool is None and (self._warming is None or self._warming.done()):
            self._warming = asyncio.get_running_loop().create_task(self._warm())

    async def _warm(self) -> None:
        with suppress(TooBusy, ProcessLost, StoreDown, StoreRefused, ArchiveDown):
            await self.bounds()

    async def bounds(self, asker: str = "") -> Bounds:
        """What can be played."""
        found: Bounds = await self._ask(asker, "bounds")
        return found

    async def hours(self, from_ms: int, to_ms: int, asker: str = "") -> dict[int, int]:
        """How many positions there are in each hour of a span, by the hour's begin."""
        found: dict[int, int] = await self._ask(asker, "hours", from_ms, to_ms)
        return found

    async def hour(self, hour_ms: int, asker: str = "") -> HourLook:
        """How complete an hour is."""
        found: HourLook = await self._ask(asker, "hour", hour_ms)
        return found

    async def chunk(self, from_ms: int, every_ms: int, samples: int, asker: str = "") -> bytes:
        """All vehicles at `samples` moments, `every_ms` apart, as `dashboard.replay_frames` packs them."""
        found: bytes = await self._ask(asker, "chunk", from_ms, every_ms, samples)
        return found

    async def alarms(self, from_ms: int, to_ms: int, asker: str = "") -> AlarmSpan:
        """The alarms as operators saw them at a moment, and what changed until another."""
        found: AlarmSpan = await self._ask(asker, "alarms", from_ms, to_ms)
        return found

    def close(self) -> None:
        """End the process, and what waits for it."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._working is not None:
            self._working.cancel()
            self._working = None
        while (question := self._waiting.take()) is not None:
            question.fail(ProcessLost("the replay was ended"))
        self._end_process()

    def _end_process(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    async def _ask(self, asker: str, name: str, *given: int) -> Any:
        question = _Question(name, given, asyncio.get_running_loop().create_future())
        pushed_out = self._waiting.put(asker, question)
        if pushed_out is not None:
            pushed_out.fail(TooBusy("newer questions took its place"))
        if self._working is None or self._working.done():
            self._working = asyncio.get_running_loop().create_task(self._work())
        try:
            return await question.answer
        finally:
            # Who asked may have gone: what nobody waits for is not worked on.
            self._waiting.remove(asker, question)

    async def _work(self) -> None:
        """One question after another, until none waits. What the process answers later nobody may want any more."""
        while (question := self._waiting.take()) is not None:
            if question.answer.done():
                continue
            try:
                found = await self._answer(question)
            except Exception as error:  # noqa: BLE001 - whatever it is, who asked is told
                question.fail(error)
            else:
                if not question.answer.done():
                    question.answer.set_result(found)
            finally:
                question.fail(ProcessLost("the replay was ended"))  # where this task was cancelled

    async def _answer(self, question: _Question) -> Any:
        try:
            return await self._run(question)
        except BrokenProcessPool:
            # It was killed, for its memory or by a person: asked once more, of a new one.
            log.warning("replay_process_lost")
        try:
            return await self._run(question)
        except BrokenProcessPool:
            raise ProcessLost("the process that works on the past was ended twice; ask for less at once") from None

    async def _run(self, question: _Question) -> Any:
        loop = asyncio.get_running_loop()
        if self._idle is not None:
            self._idle.cancel()
        self._idle = loop.call_later(IDLE_S, self.close)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                max_workers=1,
                mp_context=multiprocessing.get_context("spawn"),  # a fork would take locks of the loop's threads along
                initializer=_begin,
                initargs=(self._config, os.getpid()),
            )
        pool = self._pool
        try:
            return await loop.run_in_executor(pool, _work, question.name, question.given)
        except BrokenProcessPool:
            if self._pool is pool:
                self._end_process()
            raise


# Of the replay's process alone: the settings, and what answers when the first question came.
_settings: list[Config] = []
_replay: list[Any] = []


def _begin(config: Config, parent: int) -> None:
    os.nice(_NICE)
    end_with(parent)
    _settings.append(config)


def _work(name: str, given: tuple[int, ...]) -> Any:
    if not _replay:
        # Not when the process begins: what goes wrong there would look like a lost process. And not in the dashboard,
        # which needs none of the engines that this loads.
        _replay.append(import_module("dashboard.replay_process").Replay(_settings[0]))
    return getattr(_replay[0], name)(*given)
