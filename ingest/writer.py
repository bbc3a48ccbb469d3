"""Brings batches into the store exactly once, and past what the store refuses.

A batch is written under a number that grows by one; the store ignores a number that it has. The next
batch may be sent before the store has answered for this one. When the store answers an error, the part
of the batch is cut into ever smaller ones until the one message that it refuses stands alone and becomes
a reject.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import structlog

from city.commits import Part
from city.link import StoreDown, StoreFenced, StoreRefused
from city.messages import Reading, Received, Reject, RejectReason
from city.store import Sent, Store
from ingest.batch import Batch
from ingest.recent import Recent

log = structlog.get_logger()

# A message may bring a whole fleet: what one script writes is kept short for the store's other clients.
_PART_MAX = 4000
# A store that hangs is left, and asked again on another connection.
_ANSWER_WITHIN_S = 10.0


class Flight:
    """A batch on its way: what of it the store has not confirmed yet."""

    def __init__(self, batch: Batch, parts: Iterable[tuple[int, Part]], number: int) -> None:
        self.batch = batch
        self.number = number
        # Numbers are given when a part is first sent and kept until it is answered.
        self.parts: deque[tuple[int, Part]] = deque(parts)
        self.sent: Sent | None = None  # None: not on its way
        self.refused: list[tuple[Part, str]] = []
        self.waiting: deque[Part] = deque()  # pieces of what was refused, in order; not sent yet
        self.duplicates: list[Reading] = []
        self.sent_at = time.monotonic()


class Writer:
    """One worker's way into the store."""

    def __init__(self, store: Store, worker: str) -> None:
        self.recent = Recent(store.lately_stored)
        self.store_s = 0.0  # how long the store took for the last batch
        self._store = store
        self._worker = worker
        self._next_number = 0
        self._flights: deque[Flight] = deque()

    def __len__(self) -> int:
        """Batches on their way."""
        return len(self._flights)

    def resume(self) -> None:
        """Go on behind the last number that the store has; raises StoreDown."""
        if not self._flights:
            # By the clock too: two processes of one name, one of them about to end or started by mistake, must not
            # give one number to two batches. The store would take the second for the first.
            self._next_number = max(self._store.last_batch(self._worker) + 1, time.time_ns() // 1000)
            self._store.fence(self._worker, self._next_number)

    def holds(self, batch: Batch) -> bool:
        """Whether a batch is on its way."""
        return any(flight.batch is batch for flight in self._flights)

    def send(self, batch: Batch) -> None:
        """Take a batch and put it on its way; it is held from now on, whether this raises StoreDown or not."""
        number = self._next_number
        numbered: list[tuple[int, Part]] = []
        for part in self._store.commits.parts(batch.readings, batch.rejects):
            self.recent.remember(part.partition, part.digests)
            # Each partition has its own count of numbers: only pieces of one need different ones.
            pieces = part.pieces(_PART_MAX)
            numbered += enumerate(pieces, start=number)
            self._next_number = max(self._next_number, number + len(pieces))
        flight = Flight(batch, numbered, number)
        self._flights.append(flight)
        if all(earlier.sent is not None for earlier in self._flights if earlier is not flight):
            self._send(flight)

    def settle(self, *, wait: bool) -> list[Batch]:
        """The batches that the store has now, in the order in which they came.

        With `wait` for the first one at least. Raises StoreDown; called again, it sends again what is unanswered.
        """
        done: list[Batch] = []
        try:
            self._settle(done, wait=wait)
        except StoreDown:
            # What the store has is told first; the next call finds it down again.
            if not done:
                raise
        return done

    def _settle(self, done: list[Batch], *, wait: bool) -> None:
        while self._flights:
            flight = self._flights[0]
            if flight.sent is None and flight.parts:
                # After a loss one at a time: a node that comes up may refuse this one and take the one behind it,
                # whose measurements would make these late.
                self._send(flight)
            if flight.sent is not None and not wait and not flight.sent.pending.ready():
                if time.monotonic() - flight.sent_at > _ANSWER_WITHIN_S:
                    self._store.link.hang_up()
                    self._all_unanswered()
                    raise StoreDown(f"no answer for {_ANSWER_WITHIN_S:.0f} s")
                break
            self._collect(flight)
            if flight.refused or flight.waiting:
                self._narrow_all()
            self._keep_duplicates(flight)
            self.store_s = time.monotonic() - flight.sent_at
            self._flights.popleft()
            done.append(flight.batch)
            wait = False

    def pendings(self) -> Iterator[Sent]:
        """What is on its way, the oldest first."""
        return (flight.sent for flight in self._flights if flight.sent is not None)

    def _send(self, flight: Flight) -> None:
        flight.sent_at = time.monotonic()
        if not flight.parts:
            return
        try:
            flight.sent = self._store.send(self._worker, list(flight.parts), now_ms=flight.batch.now_ms)
        except StoreDown:
            self._all_unanswered()
            raise

    def _collect(self, flight: Flight) -> None:
        """Read the answers for a flight; raises StoreDown when there is one without, or StoreFenced."""
        if flight.sent is None:
            return
        outcomes = flight.sent.outcomes()
        flight.sent = None
        parts, flight.parts = flight.parts, deque()
        lost: StoreDown | None = None
        for (number, part), outcome in zip(parts, outcomes, strict=True):
            if isinstance(outcome, StoreDown):
                lost = outcome
                flight.parts.append((number, part))
            elif isinstance(outcome, StoreFenced):
                flight.parts = parts  # not stored, and not by us
                raise outcome
            elif isinstance(outcome, StoreRefused):
                flight.refused.append((part, str(outcome)))
            else:
                flight.duplicates += outcome
        if lost is not None:
            self._all_unanswered()
            raise lost

    def _all_unanswered(self) -> None:
        # The connection is gone, and with it every answer.
        for flight in self._flights:
            flight.sent = None

    def _keep_duplicates(self, flight: Flight) -> None:
        if not flight.duplicates:
            return
        try:
            self._store.keep_duplicates(self._worker, flight.number, flight.duplicates)
        except StoreRefused as refused:
            # They are counted, and the state has what they say: only nobody can look at them.
            log.error("duplicates_refused_by_store", duplicates=len(flight.duplicates), error=str(refused))

    # --- what the store refuses -------------------------------------------------------------------

    def _narrow_all(self) -> None:
        """Cut what the store refused until it takes it. Nothing else is on its way meanwhile.

        So there are never more numbers unanswered than the store remembers.
        """
        for flight in self._flights:
            self._collect(flight)
        for flight in self._flights:
            while flight.refused or flight.waiting:
                # Before what was behind it, one at a time: each partition's messages stay in their order.
                for part, error in reversed(flight.refused):
                    flight.waiting.extendleft(reversed(_smaller(part, error)))
                flight.refused.clear()
                if flight.waiting:
                    flight.parts.append((self._next_number, flight.waiting.popleft()))
                    self._next_number += 1
                    self._send(flight)
                    self._collect(flight)


def _smaller(part: Part, error: str) -> list[Part]:
    """What to try instead of a part that the store refused."""
    if len(part) > 1:
        return part.halves()
    if part.readings:
        reading = part.readings[0]
        log.error("message_refused_by_store", topic=reading.message.topic, error=error)
        if not reading.feed:  # its message has been rejected already
            return []
        detail = f"the store answered: {error[:200]}"
        reject = Reject(feed=reading.feed, reason=RejectReason.STORE_REFUSED, detail=detail, message=reading.message)
        return [Part(None, [], [reject], part.digests)]
    rejects = _last_resort(part.rejects, error)
    return [Part(None, [], rejects, part.digests)] if rejects else []


def _last_resort(rejects: Sequence[Reject], error: str) -> list[Reject]:
    """A reject that the store refuses goes without its words and bytes; then it is only logged."""
    smaller: list[Reject] = []
    for reject in rejects:
        message = reject.message
        log.error("reject_refused_by_store", topic=message.topic, reason=reject.reason, error=error)
        if message.topic or message.payload:
            bare = Received("", b"", message.received_ms)
            detail = "the store refused the message's topic and bytes"
            smaller.append(Reject(feed=reject.feed, reason=reject.reason, detail=detail, message=bare))
    return smaller
