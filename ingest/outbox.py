"""The outbox: what others are to be told waits in the store until they have taken it.

Every receiver has its own queue, told in order, one at a time: a receiver that is away holds up nobody else. What fails
is tried again after growing pauses, for as long as it takes. A message leaves the queue only when it was taken, so one
that was sent just before a crash is sent again, under the same id: receivers know it by that.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from typing import Protocol

import structlog
from msgspec import Struct

from city.link import StoreRefused
from city.notices import Notice, Sending
from city.outbox_store import Queued
from city.store import StoreDown, now_ms

log = structlog.get_logger()

# A message that a receiver calls wrong so many times running is put aside: some servers say so of a fault of their own.
REFUSED_TRIES = 5
_LOOK_EVERY_S = 0.2


class NotSent(Exception):
    """It did not arrive, or nobody said that it did; it is tried again."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        """`after_s`: the receiver asks for a pause of so long."""
        super().__init__(reason)
        self.reason = reason
        self.after_s = after_s


class Refused(NotSent):
    """The receiver calls this one message wrong; others may pass."""


class Stopped(NotSent):
    """The receiver wants nothing any more."""


class Sender(Protocol):
    """Tells one receiver; called in a thread of its own."""

    def send(self, notice: Notice) -> None:
        """Return when the receiver has it; raises NotSent, Refused or Stopped."""


class Queues(Protocol):
    """What the outbox needs of the store; both may raise StoreDown."""

    def outbox_heads(self, receivers: Sequence[str]) -> Mapping[str, Queued]:
        """The oldest entry of each receiver's queue, of those that have one."""

    def outbox_drop(self, receiver: str, entry: str, *, refused: str = "") -> None:
        """Take an entry out of its queue. With a reason it is kept beside, for a person to look at."""


class LeftQueues(Protocol):
    """What tells of queues that nobody empties."""

    def outbox_left(self, receivers: Collection[str]) -> Mapping[str, int]:
        """How many notices wait for others than these, by receiver."""


def warn_of_left(store: LeftQueues, receivers: Collection[str]) -> None:
    """Log what waits for receivers that the settings do not name any more; it is kept, should they come back."""
    try:
        left = store.outbox_left(receivers)
    except (StoreDown, StoreRefused) as error:
        log.warning("outbox_left_unknown", error=str(error))
        return
    for name, waiting in sorted(left.items()):
        log.warning("outbox_without_receiver", receiver=name, waiting=waiting)


class ReceiverState(Struct, frozen=True, kw_only=True):
    """How one receiver does."""

    tries: int = 0  # of the oldest message, that failed
    failing_since_ms: int | None = None
    error: str = ""
    stopped: str = ""  # why it is told nothing any more; until the process starts anew


@dataclass(slots=True)
class _Receiver:
    name: str
    sender: Sender
    tries: int = 0
    refusals: int = 0  # of the oldest message, one after another
    next_ms: int = 0
    failing_since_ms: int | None = None
    error: str = ""
    stopped: str = ""
    served: int = 0  # when it last had its turn, counted
    under_way: Queued | None = None
    to_drop: tuple[str, str] | None = None  # entry and reason, that the store does not know yet


class Outbox:
    """Empties the queues of the receivers that there are senders for.

    What is under way when the process ends is cut off; if it arrived all the same it is sent once more.
    """

    def __init__(
        self,
        store: Queues,
        senders: Mapping[str, Sender],
        settings: Sending,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store, self._settings, self._chance = store, settings, chance
        self._receivers = {name: _Receiver(name, sender) for name, sender in senders.items()}
        self._futures: dict[Future[None], _Receiver] = {}
        self._turns = 0

    def run(self, stop: threading.Event, clock: Callable[[], int] = now_ms) -> None:
        """Send until `stop`; while the store is away nothing new is begun."""
        down = False
        while not stop.is_set():
            try:
                self.beat(clock())
                down = False
            except StoreDown as error:
                if not down:
                    log.warning("outbox_store_down", error=str(error))
                down = True
            if self._futures and not down:
                wait(self._futures, timeout=_LOOK_EVERY_S, return_when=FIRST_COMPLETED)
            else:
                stop.wait(_LOOK_EVERY_S)

    def beat(self, at_ms: int) -> None:
        """See what has been sent, and begin what is due. Raises StoreDown; what was sent is then remembered."""
        for future in [future for future in self._futures if future.done()]:
            self._ended(self._futures.pop(future), future, at_ms)
        for receiver in self._receivers.values():
            self._drop(receiver)
        free = self._settings.at_once - len(self._futures)
        ready = [
            one
            for one in self._receivers.values()
            if one.under_way is None and not one.stopped and self._due(one, at_ms)
        ]
        if free <= 0 or not ready:
            return
        heads = self._store.outbox_heads([one.name for one in ready])
        # Who waited longest comes first: one with a long queue must not keep the threads to itself.
        for receiver in sorted((one for one in ready if one.name in heads), key=lambda one: one.served)[:free]:
            self._turns += 1
            receiver.served, receiver.under_way = self._turns, heads[receiver.name]
            self._futures[_in_a_thread(receiver.sender, heads[receiver.name].notice)] = receiver

    def states(self) -> dict[str, ReceiverState]:
        """How every receiver does, by name."""
        return {
            one.name: ReceiverState(
                tries=one.tries, failing_since_ms=one.failing_since_ms, error=one.error, stopped=one.stopped
            )
            for one in self._receivers.values()
        }

    def _due(self, receiver: _Receiver, at_ms: int) -> bool:
        # No pause is longer than the longest: one that is was made before the clock was set back.
        return not 0 < receiver.next_ms - at_ms <= 1000 * self._settings.retry_max_s

    def _ended(self, receiver: _Receiver, future: Future[None], at_ms: int) -> None:
        queued, receiver.under_way = receiver.under_way, None
        problem = future.exception()
        if queued is None:
            return
        if problem is None:
            receiver.to_drop = (queued.entry, "")
            if receiver.failing_since_ms is not None:
                away_s = (at_ms - receiver.failing_since_ms) / 1000
                log.info("receiver_back", receiver=receiver.name, away_s=round(away_s, 1), tries=receiver.tries)
            receiver.tries, receiver.next_ms, receiver.failing_since_ms, receiver.error = 0, 0, None, ""
            receiver.refusals = 0
            return
        self._failed(receiver, queued, problem, at_ms)

    def _failed(self, receiver: _Receiver, queued: Queued, problem: BaseException, at_ms: int) -> None:
        receiver.tries += 1
        receiver.refusals = receiver.refusals + 1 if isinstance(problem, Refused) else 0
        receiver.error = problem.reason if isinstance(problem, NotSent) else repr(problem)
        if receiver.failing_since_ms is None:
            receiver.failing_since_ms = at_ms
            # A fault of ours comes with its trace: it is tried again, for a message must not be lost by it.
            trace = None if isinstance(problem, NotSent) else problem
            log.warning("receiver_failing", receiver=receiver.name, error=receiver.error, exc_info=trace)
        if isinstance(problem, Stopped):
            receiver.stopped = receiver.error
            log.error("receiver_stopped", receiver=receiver.name, error=receiver.error)
        elif receiver.refusals >= REFUSED_TRIES:
            log.error("notice_refused", receiver=receiver.name, notice=queued.notice.id, error=receiver.error)
            receiver.to_drop = (queued.entry, receiver.error)
            receiver.tries, receiver.refusals, receiver.next_ms = 0, 0, 0
        else:
            asked_s = problem.after_s if isinstance(problem, NotSent) else None
            receiver.next_ms = at_ms + round(1000 * pause_s(receiver.tries, self._settings, self._chance(), asked_s))

    def _drop(self, receiver: _Receiver) -> None:
        if receiver.to_drop is not None:
            entry, refused = receiver.to_drop
            self._store.outbox_drop(receiver.name, entry, refused=refused)
            receiver.to_drop = None


def _in_a_thread(sender: Sender, notice: Notice) -> Future[None]:
    future: Future[None] = Future()

    def send() -> None:
        try:
            sender.send(notice)
        except BaseException as problem:  # noqa: BLE001 - who looks at the future tells it
            future.set_exception(problem)
        else:
            future.set_result(None)

    # Not of an executor: Python waits for those at its end, and a receiver that hangs would hold up the stop.
    threading.Thread(target=send, name=f"outbox-{notice.receiver}", daemon=True).start()
    return future


def pause_s(tries: int, settings: Sending, chance: float, asked_s: float | None = None) -> float:
    """The pause after so many failures, in seconds: doubling, with a jitter of a half (`chance` 0…1).

    A receiver may ask for a longer one, up to `retry_max_s`.
    """
    doubled = settings.retry_min_s * 2.0 ** min(tries - 1, 64)
    pause = min(doubled, settings.retry_max_s) * (0.5 + chance / 2)
    return pause if asked_s is None else max(pause, min(asked_s, settings.retry_max_s))
