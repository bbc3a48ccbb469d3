"""Brings a batch into the store exactly once, and past what the store refuses.

A batch is written under a number that grows by one; the store ignores a number that it has.
When the store answers an error, the batch is cut into ever smaller shares until the one
message that it refuses stands alone and becomes a reject.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import structlog
from msgspec import Struct

from city.keys import partition_of
from city.models import Reading, Received, Reject, RejectReason
from city.store import Store, StoreRefused

log = structlog.get_logger()


class Share(Struct):
    """A part of a batch that is written in one go.

    The number is given when it is first sent: numbers must grow in the order of sending, or the
    store would take a later share for one that it has.
    """

    events: list[Reading]
    rejects: list[Reject]
    number: int | None = None


class Writer:
    """One worker's way into the store."""

    def __init__(self, store: Store, worker: str, *, events_keep_s: float, rejects_max: int) -> None:
        self._store = store
        self._worker = worker
        self._events_keep_s = events_keep_s
        self._rejects_max = rejects_max
        self._next_number = 0

    def resume(self) -> None:
        """Go on with the number after the last one that the store has; raises StoreDown."""
        self._next_number = self._store.last_batch(self._worker) + 1

    def write(self, shares: deque[Share], *, now_ms: int) -> None:
        """Write the shares in order and take each away when it is stored.

        Raises StoreDown; called again with the same shares, it goes on where it stopped.
        """
        while shares:
            share = shares[0]
            if share.number is None:
                share.number = self._next_number
                self._next_number += 1
            try:
                self._store.commit(
                    self._worker,
                    share.number,
                    share.events,
                    share.rejects,
                    now_ms=now_ms,
                    events_keep_s=self._events_keep_s,
                    rejects_max=self._rejects_max,
                )
            except StoreRefused as refused:
                smaller = self._narrow(share, str(refused))
                shares.popleft()
                shares.extendleft(reversed(smaller))
            else:
                shares.popleft()

    def _narrow(self, share: Share, error: str) -> list[Share]:
        parts = self._by_key(share)
        if len(parts) > 1:
            return parts
        if len(share.events) > 1:
            half = len(share.events) // 2
            return [Share(share.events[:half], []), Share(share.events[half:], [])]
        if share.events:
            reading = share.events[0]
            log.error("message_refused_by_store", topic=reading.message.topic, error=error)
            if not reading.feed:  # its message has been rejected already
                return []
            detail = f"the store answered: {error[:200]}"
            reject = Reject(
                feed=reading.feed, reason=RejectReason.STORE_REFUSED, detail=detail, message=reading.message
            )
            return [Share([], [reject])]
        if len(share.rejects) > 1:
            half = len(share.rejects) // 2
            return [Share([], share.rejects[:half]), Share([], share.rejects[half:])]
        return _last_resort(share.rejects, error)

    def _by_key(self, share: Share) -> list[Share]:
        """The share by what one script writes: the rejects, then each partition.

        Scripts run by themselves: those that succeeded have the share's number and ignore it now,
        so the parts keep it, and what was stored is not stored twice.
        """
        parts: dict[int, list[Reading]] = {}
        for reading in share.events:
            partition = partition_of(reading.event.entity, self._store.keys.partitions)
            parts.setdefault(partition, []).append(reading)
        rejects = [Share([], share.rejects, share.number)] if share.rejects else []
        return rejects + [Share(events, [], share.number) for events in parts.values()]


def _last_resort(rejects: Sequence[Reject], error: str) -> list[Share]:
    """A reject that the store refuses goes without its words and bytes; then it is only logged."""
    smaller: list[Share] = []
    for reject in rejects:
        message = reject.message
        log.error("reject_refused_by_store", topic=message.topic, reason=reject.reason, error=error)
        if message.topic or message.payload:
            bare = Received("", b"", message.received_ms)
            detail = "the store refused the message's topic and bytes"
            smaller.append(Share([], [Reject(feed=reject.feed, reason=reject.reason, detail=detail, message=bare)]))
    return smaller
