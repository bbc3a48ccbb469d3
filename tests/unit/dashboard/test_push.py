"""The push: every page gets the newest state at its own pace, and no page can hurt the server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from city.settings import Live
from dashboard.push import Frames, Push


class FakePage:
    """A page whose queue drains only when told to."""

    def __init__(self, *, drains: bool = True) -> None:
        self.is_open = True
        self.drains = drains
        self.got: list[tuple[str, Mapping[str, Any]]] = []
        self.waiting = 0

    def queued(self) -> int:
        return self.waiting

    def send(self, name: str, frame: Mapping[str, Any]) -> None:
        self.got.append((name, frame))
        if not self.drains:
            self.waiting += 1


async def always() -> bool:
    return True


def test_a_page_that_comes_later_gets_every_newest_frame_and_no_older_one() -> None:
    async def scenario() -> list[tuple[str, Mapping[str, Any]]]:
        push = Push(Frames(), Live())
        push.frames.put("vehicles", {"seq": 1})
        push.frames.put("alarms", {"total": 0})
        push.frames.put("vehicles", {"seq": 2})
        page = FakePage()
        task = asyncio.create_task(push.stream(page, always, every_s=60))
        await asyncio.sleep(0.05)
        page.is_open = False
        push.frames.put("vehicles", {"seq": 3})
        await task
        return page.got

    assert asyncio.run(scenario())[:2] == [("alarms", {"total": 0}), ("vehicles", {"seq": 2})]


def test_a_roster_put_before_its_vehicles_is_sent_before_them() -> None:
    frames = asyncio.run(_frames())
    assert [name for name, _ in frames] == ["roster", "vehicles"]


async def _frames() -> list[tuple[str, Mapping[str, Any]]]:
    frames = Frames()
    frames.put("vehicles", {"rev": 1})
    frames.put("roster", {"rev": 2})
    frames.put("vehicles", {"rev": 2})
    return frames.since(0)


def test_a_frozen_page_gets_no_more_than_its_queue_takes_and_is_let_go() -> None:
    settings = Live(queue_max_frames=3, queue_stuck_s=0.4)

    async def scenario() -> tuple[FakePage, Push]:
        push = Push(Frames(), settings)
        page = FakePage(drains=False)
        task = asyncio.create_task(push.stream(page, always, every_s=60))
        for number in range(200):
            push.frames.put("vehicles", {"seq": number})
            await asyncio.sleep(0.01)
            if task.done():
                break
        await asyncio.wait_for(task, timeout=2)
        return page, push

    page, push = asyncio.run(scenario())
    assert page.is_open
    assert len(page.got) == settings.queue_max_frames + 1
    assert push.skipped > 0
    assert push.pages == 0


def test_a_slow_page_that_recovers_gets_the_newest_state() -> None:
    async def scenario() -> FakePage:
        push = Push(Frames(), Live(queue_max_frames=1))
        page = FakePage(drains=False)
        task = asyncio.create_task(push.stream(page, always, every_s=60))
        for number in range(10):
            push.frames.put("vehicles", {"seq": number})
            await asyncio.sleep(0.02)
        page.waiting = 0
        await asyncio.sleep(0.3)
        page.is_open = False
        push.frames.put("end", {})
        await task
        return page

    got = [frame["seq"] for name, frame in asyncio.run(scenario()).got if name == "vehicles"]
    assert got[-1] == 9
    assert len(got) < 10


def test_a_page_that_does_not_answer_any_more_is_let_go() -> None:
    async def never() -> bool:
        return False

    async def scenario() -> FakePage:
        push = Push(Frames(), Live())
        page = FakePage()
        push.frames.put("vehicles", {})
        await asyncio.wait_for(push.stream(page, never, every_s=0.05), timeout=5)
        return page

    assert asyncio.run(scenario()).is_open


def test_a_question_that_fails_does_not_take_the_map(capsys: object) -> None:
    async def fails() -> bool:
        raise ValueError("a bug in the panel")

    async def scenario() -> list[tuple[str, Mapping[str, Any]]]:
        push = Push(Frames(), Live())
        page = FakePage()
        task = asyncio.create_task(push.stream(page, fails, every_s=0.02))
        for number in range(20):
            push.frames.put("vehicles", {"seq": number})
            await asyncio.sleep(0.02)
        assert not task.done()
        page.is_open = False
        push.frames.put("end", {})
        await task
        return page.got

    assert len(asyncio.run(scenario())) >= 19
