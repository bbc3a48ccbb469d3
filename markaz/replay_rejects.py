"""Rejected messages through ingest once more, by the rules of now.

Each message is judged with the time at which it was received then. One that passes is stored and leaves the reject
stream; one that is refused again stays there. What is stored counts as received once more.

Killed between storing and deleting, it leaves messages that the next run finds to be duplicates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from city.areas import load_areas
from city.config import Config
from city.events import Event, Facet
from city.messages import Reading, Received, Reject, RejectReason
from city.store import Store, StoredReject, now_ms
from ingest.batch import Batch
from ingest.pipeline import STEPS, Pipeline

# So many whole messages are in memory at once.
BATCH_MESSAGES = 100
# Who was killed holds the name for so long; each batch renews it.
_CLAIM_S = 60

Outcome = Literal["stored", "refused", "cut"]
_Message = tuple[str, bytes, int]
_Measurement = tuple[Facet, str, int, str]


class AlreadyReplaying(Exception):
    """Somebody else replays rejects of this city now."""


class Verdict(Struct, frozen=True, kw_only=True):
    """What became of one rejected message."""

    reject: StoredReject
    outcome: Outcome  # "cut": its bytes are not kept whole
    reason: str = ""  # why it was refused again
    detail: str = ""


class _Prepared(NamedTuple):
    """A message as the steps left it."""

    fresh: list[Reading]  # that the store does not have
    wrong: list[Reject]  # of the whole message: each has its entry in the stream
    wrong_parts: list[Reject]  # of single parts of it, which were never told by themselves


class Replay:
    """One run over rejects, under a worker's name that only one run has at a time."""

    def __init__(self, config: Config, store: Store, holder: str) -> None:
        """`holder` tells this run from others. Raises StoreDown."""
        self._worker = f"markaz-{config.city}-replay"
        self._holder = holder
        self._store = store
        self._passed: set[_Measurement] = set()
        self._hold()
        self._pipeline = Pipeline(config, load_areas(config.city_dir), store, worker=self._worker)
        # The city's own workers write at the same time: what an entity told before is asked of the store.
        self._pipeline.memory.alone = False
        self._pipeline.resume()

    def close(self) -> None:
        self._store.release(self._worker, self._holder)

    def judge(self, rejects: Sequence[StoredReject]) -> list[Verdict]:
        """What would become of each; nothing is written."""
        return [verdict for verdict, _ in self._judged(rejects)]

    def store(self, rejects: Sequence[StoredReject]) -> list[Verdict]:
        """Store what passes now and take it out of the reject stream. Raises StoreDown, AlreadyReplaying."""
        judged = list(self._judged(rejects))
        prepared = [one for _, one in judged if one is not None]
        refused: list[StoredReject] = []
        if prepared:
            # Another run under the same name would give its batches the same numbers.
            self._hold()
            refused = self._write(prepared)
        again = {(_message(one), one.feed): one for one in refused}
        verdicts = [_after_writing(verdict, again) for verdict, _ in judged]
        # What the store itself refused is in the stream anew, with that reason: the old entry goes too.
        gone = [
            v.reject.entry_id for v in verdicts if v.outcome == "stored" or (_message(v.reject), v.reject.feed) in again
        ]
        self._store.delete_rejects(gone)
        return verdicts

    def _judged(self, rejects: Sequence[StoredReject]) -> Iterator[tuple[Verdict, _Prepared | None]]:
        """Each reject's verdict, and what is to be written for it.

        A message that says several things may have several rejects: it is prepared and written once.
        """
        known: dict[_Message, _Prepared] = {}
        written: set[_Message] = set()
        for reject in rejects:
            message = _message(reject)
            if reject.reason == RejectReason.TOO_LARGE or not reject.topic:
                yield Verdict(reject=reject, outcome="cut"), None
                continue
            if message not in known:
                known[message] = self._prepare(reject)
            verdict = _verdict(reject, known[message])
            if verdict.outcome == "stored" and message not in written:
                written.add(message)
                self._passed |= {_measurement(reading.event) for reading in known[message].fresh}
                yield verdict, known[message]
            else:
                yield verdict, None

    def _prepare(self, reject: StoredReject) -> _Prepared:
        """A message through every step but the last, which writes."""
        batch = Batch([Received(reject.topic, reject.payload, reject.received_ms)], now_ms())
        self._pipeline.prepare(batch)
        return _Prepared(
            fresh=[reading for reading in batch.readings if not self._knows(reading.event)],
            wrong=[one for one in batch.rejects if one.message.payload == reject.payload],
            wrong_parts=[one for one in batch.rejects if one.message.payload != reject.payload],
        )

    def _knows(self, event: Event) -> bool:
        """Whether the store has a measurement, as far as can be told before it is written."""
        if _measurement(event) in self._passed:
            return True
        if event.key != event.entity:
            return False
        return any(_measurement(one) == _measurement(event) for one in self._store.latest_of(event.facet, [event.key]))

    def _write(self, prepared: Sequence[_Prepared]) -> list[StoredReject]:
        """Take prepared messages through the last step; returns what of them the store refused."""
        before = self._store.rejects(limit=1)
        last = before[0].entry_id if before else "0-0"
        # As of then: a feed that is silent now must not seem to speak.
        received_ms = [reading.message.received_ms for one in prepared for reading in one.fresh]
        batch = Batch([], max(received_ms, default=now_ms()))
        batch.readings = [reading for one in prepared for reading in one.fresh]
        batch.rejects = [reject for one in prepared for reject in one.wrong_parts]
        batch.steps_done = len(STEPS)
        self._pipeline.run(batch)
        messages = {(r.message.topic, r.message.payload, r.message.received_ms) for r in batch.readings}
        refused: list[StoredReject] = []
        while newer := self._store.rejects_between(last, "+", count=BATCH_MESSAGES):
            last = newer[-1].entry_id
            refused += [reject for reject in newer if _message(reject) in messages]
        return refused

    def _hold(self) -> None:
        if not self._store.claim(self._worker, self._holder, keep_s=_CLAIM_S):
            raise AlreadyReplaying(f"another replay of rejects runs, or was killed less than {_CLAIM_S} s ago")


def _message(reject: StoredReject) -> _Message:
    return reject.topic, reject.payload, reject.received_ms


def _measurement(event: Event) -> _Measurement:
    return event.facet, event.slot, event.measured_ms, event.mark


def _verdict(reject: StoredReject, prepared: _Prepared) -> Verdict:
    """What becomes of one reject of a message: it goes when its feed has nothing against the message any more.

    Of a message with several things in it those that were stored at once are known now.
    """
    new = any(reading.feed for reading in prepared.fresh)
    wrong = [one for one in prepared.wrong if one.feed == reject.feed or not new] or (
        [] if new else prepared.wrong_parts
    )
    if wrong:
        return Verdict(reject=reject, outcome="refused", reason=wrong[0].reason.value, detail=wrong[0].detail)
    if not new:
        reason = RejectReason.DUPLICATE.value
        return Verdict(reject=reject, outcome="refused", reason=reason, detail="the store has this measurement")
    return Verdict(reject=reject, outcome="stored")


def _after_writing(verdict: Verdict, refused: dict[tuple[_Message, str], StoredReject]) -> Verdict:
    again = refused.get((_message(verdict.reject), verdict.reject.feed))
    if again is None or verdict.outcome != "stored":
        return verdict
    return Verdict(reject=verdict.reject, outcome="refused", reason=again.reason, detail=again.detail)
