"""Which messages are stored although the broker may not have heard their acknowledgement."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Known = tuple[int | None, int]  # partition (None: a reject), digest of the message

# More than a broker keeps in flight to one receiver, a few times over.
_REMEMBERED_MAX = 100_000


class Recent:
    """What was stored lately: by this worker from memory, by all workers from the store.

    Asked only about messages that carry the broker's own mark of a redelivery: a device that sends
    the same bytes twice has sent two messages.
    """

    def __init__(self, ask_store: Callable[[], set[Known]], most: int = _REMEMBERED_MAX) -> None:
        self._ask_store = ask_store
        self._most = most
        self._size = 0
        self._written: deque[tuple[int | None, list[int]]] = deque()
        self._known: set[Known] | None = None  # of `_written`, made when it is first asked for

    def remember(self, partition: int | None, digests: list[int]) -> None:
        """Keep what is sent to the store: it will be stored there, or become a reject, before this worker ends."""
        self._written.append((partition, digests))
        self._size += len(digests)
        if self._known is not None:
            self._known.update((partition, digest) for digest in digests)
        while self._size > self._most:
            _, gone = self._written.popleft()
            self._size -= len(gone)
            self._known = None

    def knows(self, wanted: set[Known]) -> set[Known]:
        """Those of `wanted` that are stored; raises StoreDown."""
        if self._known is None:
            self._known = {(partition, digest) for partition, digests in self._written for digest in digests}
        found = wanted & self._known
        if len(found) < len(wanted):
            # Another worker may have stored them, or this one before it was killed.
            found |= wanted & self._ask_store()
        return found
