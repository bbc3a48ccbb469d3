"""Questions to the past end with who asked them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from dashboard.api_replay import _answered
from dashboard.problems import Problem
from dashboard.replay import ProcessLost, TooBusy


class Asker:
    """A connection that is hung up after a while."""

    def __init__(self, stays_s: float) -> None:
        self._until_s = time.monotonic() + stays_s

    async def is_disconnected(self) -> bool:
        return time.monotonic() > self._until_s


def answered(asker: Asker, question: Any) -> Any:
    return asyncio.run(_answered(asker, question))  # type: ignore[arg-type]


def test_a_question_is_taken_back_when_its_asker_hangs_up() -> None:
    cancelled = []

    async def question() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    began = time.monotonic()
    with pytest.raises(Problem):
        answered(Asker(0.1), question())
    assert time.monotonic() - began < 2
    assert cancelled


def test_who_stays_is_answered() -> None:
    async def question() -> int:
        await asyncio.sleep(0.4)
        return 7

    assert answered(Asker(10), question()) == 7


@pytest.mark.parametrize("error", [TooBusy("many wait"), ProcessLost("it was ended twice")])
def test_what_cannot_be_answered_now_is_503_with_its_reason(error: Exception) -> None:
    async def question() -> None:
        raise error

    with pytest.raises(Problem) as raised:
        answered(Asker(10), question())
    assert (raised.value.status, raised.value.detail) == (503, str(error))
