"""Which messages are stored although the broker may not have heard their acknowledgement."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

Known = tuple[int | None, int]  # partition (None: a reject), digest of the message

# More than a broker keeps in flight to one receiver, a few times over.
_REMEMBERED_MAX = 100_000


class Recent:
    """What was stored lately: by this worker from memory, by all workers from the store.

    Asked only about messages that carry the broker's own mark of a redelivery, and about all for some seconds after
    it took up a session: a device that sends the same bytes twice has sent two messages.
    """

    def __init__(self, ask_store: Callable[[], set[Known]], most: int = _REMEMBERED_MAX) -> None:
        self._ask_store = ask_store
        self._most = most
        self._size = 0
        self._written: deque[tuple[int | None, list[int]]] = deque()
        # By partition, of `_written`; made when it is first asked for.
        self._known: dict[int | None, set[int]] | None = None
        self._gone = 0  # of `_known` that are not in `_written` any more; they are stored none the less
        # The store's answers at the beginnings of sessions: what it had then it may forget by the time it comes again.
        self._stored: dict[int | None, set[int]] = {}
        self._asked = False  # since the session began

    def remember(self, partition: int | None, digests: list[int]) -> None:
        """Keep what is sent to the store: it will be stored there, or become a reject, before this worker ends."""
        self._written.append((partition, digests))
        self._size += len(digests)
        if self._known is not None:
            self._known.setdefault(partition, set()).update(digests)
        while self._size > self._most:
            _, gone = self._written.popleft()
            self._size -= len(gone)
            self._gone += len(gone)
            if self._gone > self._most:
                self._known, self._gone = None, 0

    def knows(self, wanted: set[Known]) -> set[Known]:
        """Those of `wanted` that are stored; raises StoreDown."""
        own, stored = self._own(), self._stored
        found = {one for one in wanted if one[1] in own.get(one[0], ()) or one[1] in stored.get(one[0], ())}
        if len(found) < len(wanted):
            # Another worker may have stored them, or this one before it was killed.
            found |= wanted & self._ask_store()
        return found

    def may_know(self, partition: int | None, digests: list[int]) -> set[int]:
        """Those of `digests` that are sent, or that the store had when `ask_anew` was told; raises StoreDown.

        Cheaper than `knows`: the store is asked once, not for every message that is new.
        """
        if not self._asked:
            answer = self._ask_store()
            if sum(map(len, self._stored.values())) > self._most:
                self._stored = {}
            for stored_in, digest in answer:
                self._stored.setdefault(stored_in, set()).add(digest)
            self._asked = True
        wanted = set(digests)
        return wanted & self._own().get(partition, set()) | wanted & self._stored.get(partition, set())

    def ask_anew(self) -> None:
        """A session begins: what the store has now may come again."""
        self._asked = False

    def _own(self) -> dict[int | None, set[int]]:
        if self._known is None:
            self._known, self._gone = {}, 0
            for partition, digests in self._written:
                self._known.setdefault(partition, set()).update(digests)
        return self._known
