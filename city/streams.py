"""Waiting for new entries of several streams at once.

One server answers for all of them in one command. In a cluster the streams lie in different slots, which
no command may join: each is waited for on a connection of its own.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Mapping
from typing import Any

from redis.exceptions import AskError, TryAgainError

from city.link import ERRORS, Link

Entries = list[tuple[bytes, dict[bytes, bytes]]]
# How long the store holds one question; then it is asked anew.
_ASK_MS = 1000


class Streams:
    """The reader's side of streams. One thread a stream."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._asked: dict[str, _Asked] = {}

    def read(self, cursors: Mapping[str, str], *, block_ms: int, count: int) -> list[tuple[str, Entries]]:
        """Entries after each stream's cursor, at most `count` a stream; waits up to `block_ms` for the first.

        Raises StoreDown or StoreRefused.
        """
        if not self._link.clustered:
            answer = self._link.run(lambda client: client.xread(dict(cursors), count=count, block=block_ms))
            return [(name.decode(), entries) for name, entries in _items(answer)]
        try:
            self._ask(cursors, count)
            return self._take(cursors, block_ms)
        except ERRORS as error:
            for name in cursors:
                self._forget(name)
            raise self._link.told(error) from error

    def _ask(self, cursors: Mapping[str, str], count: int) -> None:
        """See to it that there is a question on its way for every stream."""
        for name, cursor in cursors.items():
            asked = self._asked.get(name)
            if asked is not None and asked.cursor != cursor:
                self._forget(name)
                asked = None
            if asked is None:
                self._asked[name] = _Asked(self._link, name, cursor, count)

    def _take(self, cursors: Mapping[str, str], block_ms: int) -> list[tuple[str, Entries]]:
        """The answers that there are now, or that come within `block_ms`."""
        found: list[tuple[str, Entries]] = []
        until = time.monotonic() + block_ms / 1000
        # select() itself ends at file 1024, which a dashboard with many screens passes.
        with selectors.DefaultSelector() as selector:
            for name in cursors:
                selector.register(self._asked[name].socket, selectors.EVENT_READ, name)
            while not found:
                ready = selector.select(max(0.0, until - time.monotonic()))
                for key, _ in ready:
                    name = key.data
                    try:
                        entries = self._asked[name].answer()
                    except (AskError, TryAgainError) as error:
                        # Its slot moves, or has moved, to another node: that one is asked next time, nothing is lost.
                        self._link.told(error)
                        selector.unregister(key.fileobj)
                        self._forget(name)
                        continue
                    if entries:
                        found.append((name, entries))
                    self._asked[name].ask(entries[-1][0].decode() if entries else None)
                if not ready:
                    self._check_silence(cursors)
                    break
        return found

    def _check_silence(self, cursors: Mapping[str, str]) -> None:
        """Raise where a node has not answered for longer than it may hold a question."""
        within_s = max(self._link.timeout_s, 2 * _ASK_MS / 1000)
        now = time.monotonic()
        for name in cursors:
            asked = self._asked.get(name)
            if asked is not None and now - asked.at > within_s:
                raise TimeoutError(f"no answer for {within_s:g} s about {name}")

    def _forget(self, name: str) -> None:
        asked = self._asked.pop(name, None)
        if asked is not None:
            asked.close()


class _Asked:
    """One stream's connection with its question on the way."""

    def __init__(self, link: Link, name: str, cursor: str, count: int) -> None:
        self.cursor = cursor
        self.at = 0.0  # of the monotonic clock: when it was asked
        self._name = name
        self._count = count
        self._pool = link.pool_of(name)
        self._connection: Any = self._pool.get_connection()
        self.ask()

    @property
    def socket(self) -> Any:
        return self._connection._sock

    def ask(self, cursor: str | None = None) -> None:
        """Ask for what is behind `cursor`, or again for the same."""
        if cursor is not None:
            self.cursor = cursor
        self.at = time.monotonic()
        self._connection.send_command(
            "XREAD", "COUNT", self._count, "BLOCK", _ASK_MS, "STREAMS", self._name, self.cursor
        )

    def answer(self) -> Entries:
        for _, entries in _items(self._connection.read_response()):
            return [(entry_id, _fields(fields)) for entry_id, fields in entries]
        return []

    def close(self) -> None:
        self._connection.disconnect()
        self._pool.release(self._connection)


def _items(answer: Any) -> list[tuple[bytes, Any]]:
    """(name, entries) of XREAD's answer: a map by protocol 3, a list by protocol 2, nothing when it waited in vain."""
    return list(answer.items() if isinstance(answer, dict) else answer or [])


def _fields(fields: Any) -> dict[bytes, bytes]:
    return fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
