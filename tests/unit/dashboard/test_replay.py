"""The desk of the replay: one process, however many ask, and however often it is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from city.config import Config
from dashboard import replay
from dashboard.replay import ProcessLost, ReplayDesk, TooBusy

SLOW_S = 0.2


def begin(config: Config, parent: int) -> None:
    """In place of the real process's: nothing is loaded."""


def work(name: str, given: tuple[int, ...]) -> Any:
    if name == "hour":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "alarms":
        raise ValueError("a question that cannot be answered")
    time.sleep(SLOW_S)
    return os.getpid() if name == "bounds" else given


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> ReplayDesk:
    monkeypatch.setattr(replay, "_begin", begin)
    monkeypatch.setattr(replay, "_work", work)
    return ReplayDesk(None)  # type: ignore[arg-type]


async def pid_of(desk: ReplayDesk) -> int:
    found: Any = await desk.bounds()
    return int(found)


def test_a_killed_process_is_started_once_however_many_wait(desk: ReplayDesk) -> None:
    async def scenario() -> None:
        first = await pid_of(desk)
        waiting = [asyncio.ensure_future(pid_of(desk)) for _ in range(6)]
        await asyncio.sleep(SLOW_S / 2)
        os.kill(first, signal.SIGKILL)
        second = set(await asyncio.gather(*waiting))
        assert len(second) == 1, "all were answered by one new process"
        assert first not in second
        desk.close()

    asyncio.run(scenario())


def test_a_question_that_ends_two_processes_is_refused_and_the_next_is_answered(desk: ReplayDesk) -> None:
    async def scenario() -> None:
        deadly = asyncio.ensure_future(desk.hour(0))
        after = asyncio.ensure_future(pid_of(desk))
        with pytest.raises(ProcessLost):
            await deadly
        assert await after
        with pytest.raises(ValueError, match="cannot be answered"):
            await desk.alarms(0, 1)
        assert await pid_of(desk) == await after
        desk.close()

    asyncio.run(scenario())


def test_what_nobody_waits_for_is_not_worked_on(desk: ReplayDesk) -> None:
    async def scenario() -> None:
        await desk.bounds()
        gone = [asyncio.ensure_future(desk.chunk(n, 1, 1, "page")) for n in range(6)]
        await asyncio.sleep(SLOW_S / 4)
        for one in gone:
            one.cancel()
        began = time.monotonic()
        await desk.bounds("page")
        assert time.monotonic() - began < 3 * SLOW_S, "behind the one that was worked on already, not behind six"
        desk.close()

    asyncio.run(scenario())


def test_a_page_that_asks_without_end_does_not_lock_out_others(desk: ReplayDesk) -> None:
    async def scenario() -> None:
        await desk.bounds()
        many = [asyncio.ensure_future(desk.chunk(n, 1, 1, "held key")) for n in range(100)]
        await asyncio.sleep(SLOW_S / 4)
        began = time.monotonic()
        assert await pid_of(desk)
        assert time.monotonic() - began < 4 * SLOW_S
        answers = await asyncio.gather(*many, return_exceptions=True)
        refused = [isinstance(one, TooBusy) for one in answers]
        assert sum(refused) == 100 - replay.WAITING_EACH_MAX
        newest: Any = answers[-1]
        assert newest == (99, 1, 1), "the newest is what it wants"
        desk.close()

    asyncio.run(scenario())


def test_who_waits_when_the_desk_is_closed_is_told(desk: ReplayDesk) -> None:
    async def scenario() -> None:
        waiting = [asyncio.ensure_future(pid_of(desk)) for _ in range(3)]
        await asyncio.sleep(SLOW_S / 2)
        desk.close()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(one, ProcessLost) for one in answers)
        assert await pid_of(desk), "a closed desk opens again"
        desk.close()

    asyncio.run(scenario())
