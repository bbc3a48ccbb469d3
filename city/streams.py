"""Waiting for new entries of several streams at once.

One server answers for all of them in one command. In a cluster the streams lie in different slots, which
no command may join: each is waited for on a connection of its own.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping
from typing import Any

from redis.exceptions import RedisError

from city.link import Link, told

Entries = list[tuple[bytes, dict[bytes, bytes]]]
# A question that the store has not answered for so long is asked anew, on another connection if need be.
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
            return list(self._each(cursors, block_ms, count))
        except (RedisError, OSError) as error:
            for name in cursors:
                self._forget(name)
            self._link.hang_up()
            raise told(error) from error

    def _each(self, cursors: Mapping[str, str], block_ms: int, count: int) -> Iterator[tuple[str, Entries]]:
        for name, cursor in cursors.items():
            asked = self._asked.get(name)
            if asked is not None and asked.cursor != cursor:
                self._forget(name)
                asked = None
            if asked is None:
                self._asked[name] = _Asked(self._link, name, cursor, count)
        waiting = {self._asked[name].socket: name for name in cursors}
        until = time.monotonic() + block_ms / 1000
        found = False
        while not found and waiting:
            readable, _, _ = select.select(list(waiting), [], [], max(0.0, until - time.monotonic()))
            if not readable:
                return
            for ready in readable:
                name = waiting[ready]
                entries = self._asked[name].answer()
                if entries:
                    found = True
                    yield name, entries
                    self._asked[name].cursor = entries[-1][0].decode()
                self._asked[name].ask()

    def _forget(self, name: str) -> None:
        asked = self._asked.pop(name, None)
        if asked is not None:
            asked.close()


class _Asked:
    """One stream's connection with its question on the way."""

    def __init__(self, link: Link, name: str, cursor: str, count: int) -> None:
        self.cursor = cursor
        self._name = name
        self._count = count
        self._pool = link.pool_of(name)
        self._connection: Any = self._pool.get_connection()
        self.ask()

    @property
    def socket(self) -> Any:
        return self._connection._sock

    def ask(self) -> None:
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
