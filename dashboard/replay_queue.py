"""Who asks the replay next: every page has its turn, and none can fill the queue for the others."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Questions that wait, by who asked. Each asker's go in the order in which he asked: what is urgent he asks first.

    There is always room for the newest question: where there are too many, the oldest goes of who has the most, or of
    who asked if he has too many himself. So a page that asks without end pushes out only its own past.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self._most, self._most_each = most, most_each
        self._waiting: OrderedDict[str, deque[T]] = OrderedDict()  # whose turn is next stands first
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, asker: str, question: T) -> T | None:
        """Let a question wait; the one that had to make room for it, if any."""
        mine = self._waiting.setdefault(asker, deque())
        mine.append(question)
        self._count += 1
        if len(mine) > self._most_each:
            return self._first_of(asker)
        if self._count > self._most:
            return self._first_of(max(self._waiting, key=lambda one: len(self._waiting[one])))
        return None

    def take(self) -> T | None:
        """The next question; then it is the other askers' turn."""
        if not self._waiting:
            return None
        asker = next(iter(self._waiting))
        self._waiting.move_to_end(asker)
        return self._first_of(asker)

    def remove(self, asker: str, question: T) -> None:
        """Forget a question that nobody waits for any more; nothing where it does not wait."""
        mine = self._waiting.get(asker)
        if mine is not None and question in mine:
            mine.remove(question)
            self._left(asker)

    def _first_of(self, asker: str) -> T:
        question = self._waiting[asker].popleft()
        self._left(asker)
        return question

    def _left(self, asker: str) -> None:
        self._count -= 1
        if not self._waiting[asker]:
            del self._waiting[asker]
