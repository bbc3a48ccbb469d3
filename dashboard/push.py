"""The push: frames made once a tick, sent to every open page at the pace that page can take.

Dash queues without bound what a frozen browser does not take (measured: gigabytes), so every page
has its own pacing: a page whose queue is long is skipped, and let go when it stays so. A page
that was closed behind a shared socket is noticed because it no longer answers: it is asked now and
then what it has selected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from city.settings import Live as LiveSettings

log = structlog.get_logger()

LIVE_ID = "live"  # the component that takes the frames


class Page(Protocol):
    """One open page, as the push sees it."""

    @property
    def is_open(self) -> bool: ...

    def queued(self) -> int:
        """Messages that wait to be sent to it."""
        ...

    def send(self, name: str, frame: Mapping[str, Any]) -> None: ...


class Frames:
    """The newest frame of every name, and a signal when one changes. Lives on the event loop."""

    def __init__(self) -> None:
        self._newest: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._version = 0
        self._changed = asyncio.Event()

    def put(self, name: str, frame: Mapping[str, Any]) -> None:
        self._version += 1
        self._newest[name] = (self._version, frame)
        self._changed.set()
        self._changed = asyncio.Event()

    def since(self, version: int) -> list[tuple[str, Mapping[str, Any]]]:
        """Frames newer than `version`, oldest change first, so that a roster precedes its vehicles."""
        fresh = [(at, name, frame) for name, (at, frame) in self._newest.items() if at > version]
        return [(name, frame) for _, name, frame in sorted(fresh, key=lambda item: item[0])]

    @property
    def version(self) -> int:
        return self._version

    async def wait(self) -> None:
        """Until the next frame is put."""
        await self._changed.wait()


class Push:
    """Sends frames to pages."""

    def __init__(self, frames: Frames, settings: LiveSettings) -> None:
        self.frames = frames
        self.pages = 0
        self.skipped = 0
        self._settings = settings

    async def stream(self, page: Page, ask: Callable[[], Awaitable[bool]], *, every_s: float) -> None:
        """Serve one page until it is closed, no longer answers, or stays stuck.

        `ask` is called every `every_s` and says whether the page answered.
        """
        self.pages += 1
        why = "closed"
        try:
            why = await self._stream(page, ask, every_s)
        finally:
            self.pages -= 1
            log.info("page_left", why=why, pages=self.pages)

    async def _stream(self, page: Page, ask: Callable[[], Awaitable[bool]], every_s: float) -> str:
        sent = 0
        stuck_since: float | None = None
        question: asyncio.Future[bool] | None = None
        ask_at = time.monotonic() + every_s
        try:
            while page.is_open:
                now = time.monotonic()
                if self.frames.version > sent:
                    if page.queued() > self._settings.queue_max_frames:
                        self.skipped += 1
                        stuck_since = stuck_since or now
                        if now - stuck_since > self._settings.queue_stuck_s:
                            return "stuck"
                    else:
                        stuck_since = None
                        for name, frame in self.frames.since(sent):
                            page.send(name, frame)
                        sent = self.frames.version
                if question is not None and question.done():
                    if not _answered(question):
                        return "no_answer"
                    question = None
                if question is None and now >= ask_at:
                    ask_at = now + every_s
                    question = asyncio.ensure_future(ask())
                await self._next(sent)
        finally:
            if question is not None:
                question.cancel()
        return "closed"

    async def _next(self, sent: int) -> None:
        """Wait for a frame, a second at most, so that closing and answers are noticed."""
        if self.frames.version > sent:
            # A skipped page: its queue needs time, not another frame.
            await asyncio.sleep(0.1)
            return
        try:
            await asyncio.wait_for(self.frames.wait(), timeout=1.0)
        except TimeoutError:
            return


def _answered(question: asyncio.Future[bool]) -> bool:
    try:
        return question.result()
    except Exception:
        # What the page asked for failed, not the page: its map must go on.
        log.exception("question_failed")
        return True
