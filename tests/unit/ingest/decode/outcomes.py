"""A message with one reading or one reject, taken apart for tests."""

from __future__ import annotations

from typing import NamedTuple

from city.events import Event
from city.messages import Reading, Reject
from ingest.decode.outcome import Outcome


class Decoded(NamedTuple):
    """What became of a message that says at most one thing; beside a reject an uncounted event may stand."""

    feed: str
    event: Event | None
    reject: Reject | None

    @classmethod
    def of(cls, outcomes: tuple[Outcome, ...]) -> Decoded:
        readings = [one for one in outcomes if isinstance(one, Reading)]
        rejects = [one for one in outcomes if isinstance(one, Reject)]
        assert outcomes
        assert len(readings) <= 1
        assert len(rejects) <= 1
        assert not (rejects and readings and readings[0].feed), "a message counts once"
        feed = rejects[0].feed if rejects else readings[0].feed
        return cls(feed, readings[0].event if readings else None, rejects[0] if rejects else None)
