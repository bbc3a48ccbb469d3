"""Which messages are stored although the broker may not have heard their acknowledgement."""

from __future__ import annotations

# More than a broker keeps in flight to one receiver, a few times over.
_REMEMBERED_MAX = 100_000


class Redelivered:
    """Remembers stored messages, to acknowledge them quietly when the broker sends them again.

    Only for messages that carry the broker's own mark of a redelivery: a device that sends the
    same bytes twice has sent two messages.
    """

    def __init__(self, most: int = _REMEMBERED_MAX) -> None:
        self._most = most
        self._stored: dict[int, None] = {}

    def remember(self, topic: str, payload: bytes) -> None:
        self._stored[hash((topic, payload))] = None
        if len(self._stored) > self._most:
            del self._stored[next(iter(self._stored))]

    def is_stored(self, topic: str, payload: bytes) -> bool:
        return hash((topic, payload)) in self._stored
