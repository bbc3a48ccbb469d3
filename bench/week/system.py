"""Markaz's own state through the week: feeds that fall silent, rejects, clocks, broker, worker, store and disk."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from analysis.detectors.seen import ArrivalSeen, DiskSeen, FeedSeen, RejectsSeen, StoreSeen, WorkerSeen
from city.events import CameraEvent, CameraStatus, Event, FuelReading, PassengerCount, SensorReading, VehiclePosition
from city.messages import Arrival, FeedCount, Histogram, WorkerFigures
from week.truth import DAY_S, HOUR_S, Truth, TruthBook, ms

FEEDS: dict[type, str] = {
    VehiclePosition: "vehicle/position",
    PassengerCount: "vehicle/passengers",
    FuelReading: "vehicle/fuel",
    CameraEvent: "camera/event",
    CameraStatus: "camera/status",
    SensorReading: "sensor/reading",
}
NOTHING = Histogram(bounds=(1.0,), counts=(0, 0), total=0)
# What goes wrong: the rule that tells of it, how often a week, and its seconds; then the same for what is no alarm.
PLANTED = {
    "feed_silent": (10, (0, 0)),  # by feed: SILENT_S
    "rejects_rising": (8, (900, 2400)),
    "clock_skew": (6, (1200, 4000)),
    "broker_lost": (5, (40, 600)),
    "worker_silent": (4, (60, 600)),
    "store_lost": (4, (20, 400)),
    "disk_full": (2, (7200, 20000)),
    "rejects_full": (2, (7200, 20000)),
}
# How long a feed's silence is clear to everybody.
SILENT_S = {
    "vehicle/position": (60, 300),
    "vehicle/passengers": (400, 900),
    "vehicle/fuel": (400, 900),
    "camera/event": (300, 900),
    "camera/status": (1300, 2400),
    "sensor/reading": (1500, 2700),
}
BLIPS = {"clock_skew": (6, (60, 200)), "broker_lost": (10, (3, 10)), "worker_silent": (6, (5, 20)),
         "store_lost": (6, (1, 6)),
         "rejects_rising": (6, (600, 1500))}  # fmt: skip


class Watch:
    """What the watching process is shown beside events."""

    def __init__(self, days: int, truths: TruthBook, chance: random.Random) -> None:
        self._chance = chance
        self.spans: dict[str, list[tuple[float, float, str]]] = {}
        self.blips: dict[str, list[tuple[float, float, str]]] = {}
        feeds = list(FEEDS.values())
        for table, into in ((PLANTED, self.spans), (BLIPS, self.blips)):
            for rule, (a_week, lasts) in table.items():
                for _ in range(max(1, round(a_week * days / 7))):
                    begin_s = chance.uniform(8 * HOUR_S, days * DAY_S - 3 * HOUR_S)
                    # What passengers do at night is no silence of their counters.
                    begin_s = begin_s // DAY_S * DAY_S + (7 + begin_s % DAY_S / DAY_S * 13) * HOUR_S
                    feed = chance.choice(feeds)
                    seconds = SILENT_S[feed] if rule == "feed_silent" else lasts
                    span = (begin_s, begin_s + chance.uniform(*seconds))
                    others = [*self.spans.get(rule, ()), *self.blips.get(rule, ())]
                    if any(begin < span[1] + HOUR_S and end > span[0] - HOUR_S for begin, end, _ in others):
                        continue
                    into.setdefault(rule, []).append((*span, feed))
                    if into is self.spans:
                        truths.add(Truth(rule=rule, key=_key(rule, feed), start_s=span[0], end_s=span[1], slack_s=600))
        self._counted = {feed: [0, 0, 0, 0, 0] for feed in feeds}  # received, rejected, duplicates, last, …
        self._received = 0

    def mutes(self, event: Event, at_s: float) -> bool:
        """Whether the feed of an event says nothing now."""
        return any(
            begin <= at_s < end and FEEDS.get(type(event)) == feed for begin, end, feed in self.spans["feed_silent"]
        )

    def count(self, events: Sequence[Event]) -> None:
        """Messages that came."""
        for event in events:
            counted = self._counted[FEEDS[type(event)]]
            counted[0] += 1
            counted[3] = event.received_ms

    def looks(self, at_s: float, every_s: float) -> Iterator[object]:
        """What is seen at a moment."""
        now_ms, chance = ms(at_s), self._chance
        for feed, counted in self._counted.items():
            wrong = self._at("rejects_rising", at_s, feed)
            often = any(begin <= at_s < end and one == feed for begin, end, one in self.blips.get("rejects_rising", ()))
            if wrong or chance.random() < 0.02:
                refused = chance.randint(20, 60) if wrong else 1
                counted[0] += refused
                counted[1] += refused
            if often:
                counted[0] += 50
                counted[2] += 50
            received, rejected, duplicates, last, _ = counted
            stored = received - rejected - duplicates
            yield FeedSeen(
                count=FeedCount(
                    feed=feed, received=received, stored=stored, late=0, last_received_ms=last or None,
                    rejected={"bad_value": rejected, "duplicate": duplicates},
                ),
                now_ms=now_ms,
            )  # fmt: skip
            skewed = self._at("clock_skew", at_s, feed) or any(
                begin <= at_s < end and one == feed for begin, end, one in self.blips.get("clock_skew", ())
            )
            age_s = (-40.0 if len(feed) % 2 else 1_500.0) if skewed else chance.uniform(0.3, 2.0)
            yield ArrivalSeen(
                feed=feed, arrival=Arrival(least_s=age_s - 0.2, median_s=age_s, most_s=age_s + 5), now_ms=now_ms
            )
        lost = self._any("broker_lost", at_s)
        silent = list(self._begun("worker_silent", at_s))
        at_ms = ms(silent[0]) if silent else now_ms
        self._received += 1000
        yield WorkerSeen(
            figures=WorkerFigures(
                worker="ingest", started_ms=0, at_ms=at_ms, connected=not lost, received=self._received, redelivered=0,
                batches=1, queued=0, in_flight=0, batch_messages=NOTHING, store_s=NOTHING, lag_s=NOTHING, arrivals={},
            ),
            now_ms=now_ms,
        )  # fmt: skip
        yield from self._store(at_s, every_s)
        full = 0.05 if self._any("disk_full", at_s) else 0.4
        yield DiskSeen(free_bytes=round(full * 1e12), total_bytes=10**12, now_ms=now_ms)
        size = 0.9 if self._any("rejects_full", at_s) else 0.2
        yield RejectsSeen(size_bytes=round(size * 1e8), max_bytes=10**8, now_ms=now_ms)

    def _store(self, at_s: float, every_s: float) -> Iterator[object]:
        for begin, end, _ in (*self.spans["store_lost"], *self.blips["store_lost"]):
            if at_s - every_s < end <= at_s:
                yield StoreSeen(lost_since_ms=ms(begin), now_ms=ms(end))
                yield StoreSeen(lost_since_ms=None, now_ms=ms(end))

    def _at(self, rule: str, at_s: float, feed: str) -> bool:
        return any(begin <= at_s < end and one == feed for begin, end, one in self.spans.get(rule, ()))

    def _any(self, rule: str, at_s: float) -> bool:
        return bool(list(self._begun(rule, at_s)))

    def _begun(self, rule: str, at_s: float) -> Iterator[float]:
        """When what lasts now began."""
        for begin, end, _ in (*self.spans.get(rule, ()), *self.blips.get(rule, ())):
            if begin <= at_s < end:
                yield begin


def _key(rule: str, feed: str) -> str:
    return {
        "feed_silent": feed,
        "rejects_rising": feed,
        "clock_skew": f"feed|{feed}",
        "broker_lost": "ingest",
        "worker_silent": "ingest",
        "store_lost": "state",
        "disk_full": "disk",
        "rejects_full": "rejects",
    }.get(rule, "")
