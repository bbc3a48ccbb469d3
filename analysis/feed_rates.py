"""How fast every feed speaks: from the growth of its counters."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from msgspec import Struct

from city.messages import FeedCount


class FeedRate(Struct, frozen=True, kw_only=True):
    """One feed's counters with what they say now."""

    count: FeedCount
    rate_per_s: float | None  # messages a second over the window; None after one look only
    age_s: float | None  # since the last message; None if there never was one
    minute_per_s: float | None = None  # messages a second over the last minute; None in the first ten seconds


@dataclass(slots=True)
class FeedRates:
    """Looks at the counters now and then; rates are over the last `window_s` and `long_window_s`."""

    window_s: float = 10.0
    long_window_s: float = 60.0
    _looks: deque[tuple[int, dict[str, int]]] = field(default_factory=deque)
    _counts: tuple[FeedCount, ...] = ()

    def update(self, counts: Sequence[FeedCount], now_ms: int) -> None:
        """Take a look in. Counters that fell (an emptied store) start the window anew."""
        received = {count.feed: count.received for count in counts}
        if self._looks and any(received.get(feed, 0) < before for feed, before in self._looks[-1][1].items()):
            self._looks.clear()
        self._looks.append((now_ms, received))
        # The oldest look is the first at or before the window's begin.
        while len(self._looks) > 2 and self._looks[1][0] <= now_ms - self.long_window_s * 1000:
            self._looks.popleft()
        self._counts = tuple(counts)

    def feeds(self, now_ms: int) -> list[FeedRate]:
        """Every feed as it was at the last look, its age as of now."""
        return [
            FeedRate(
                count=count,
                rate_per_s=self._rate(count.feed, self.window_s),
                minute_per_s=self._long_rate(count.feed),
                age_s=None if count.last_received_ms is None else max(0.0, (now_ms - count.last_received_ms) / 1000),
            )
            for count in self._counts
        ]

    def per_s(self) -> float | None:
        """Messages a second of all feeds, None after one look only."""
        rates = [self._rate(count.feed, self.window_s) for count in self._counts]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known else None

    @property
    def last_received_ms(self) -> int | None:
        """When the last message of any feed came."""
        return max((c.last_received_ms for c in self._counts if c.last_received_ms is not None), default=None)

    def _rate(self, feed: str, window_s: float) -> float | None:
        """Since the last look at or before the window's begin, or since the first one."""
        if len(self._looks) < 2:
            return None
        last_ms, last = self._looks[-1]
        begin_ms = last_ms - window_s * 1000
        # Looked for from the end: the short window is asked for the most.
        first_ms, first = next((look for look in reversed(self._looks) if look[0] <= begin_ms), self._looks[0])
        if last_ms <= first_ms:
            return None
        return (last.get(feed, 0) - first.get(feed, 0)) * 1000 / (last_ms - first_ms)

    def _long_rate(self, feed: str) -> float | None:
        # A few seconds would say of a minute what they do not know.
        if not self._looks or self._looks[-1][0] - self._looks[0][0] < self.window_s * 1000:
            return None
        return self._rate(feed, self.long_window_s)


# A feed is late after the time in which it usually brings so many messages. Were they independent of each
# other, a living feed would be called late once in e^20 such times.
LATE_MESSAGES = 20
LATE_LEAST_S = 4.0
# A usual rate is forgotten by half in ten minutes without it.
_KEEPS_PER_S = 0.5 ** (1 / 600)


@dataclass(slots=True)
class UsualRates:
    """What rate each feed has had lately, to tell a dead feed from a slow one."""

    _usual: dict[str, float] = field(default_factory=dict)
    _updated_ms: int = 0

    def update(self, feeds: Sequence[FeedRate], now_ms: int) -> None:
        """Take the rates of this moment in."""
        kept = _KEEPS_PER_S ** (max(0, now_ms - self._updated_ms) / 1000) if self._updated_ms else 1.0
        self._updated_ms = now_ms
        for feed in feeds:
            name = feed.count.feed
            self._usual[name] = max(feed.rate_per_s or 0.0, self._usual.get(name, 0.0) * kept)

    def late_after_s(self, feed: str, most_s: float | None) -> float | None:
        """Seconds of silence from which the feed is late: `most_s` at most; None if it may be silent for ever."""
        usual = self._usual.get(feed, 0.0)
        if most_s is None or usual <= 0:
            return most_s
        return min(most_s, max(LATE_LEAST_S, LATE_MESSAGES / usual))


# The usual rate is the median of so many minutes in which the feed spoke, three at least.
_MINUTES, _MINUTES_LEAST = 60, 3
_MINUTE_MS = 60_000
# Of a feed that brings fewer messages a minute, chance alone makes a minute a quarter short (Poisson: 1/√20).
_MINUTE_LEAST = 20


@dataclass(slots=True)
class ExpectedRates:
    """What each feed should bring: as configured, else the median of its last hour's minutes.

    Minutes of silence are not taken in: a feed that died is compared with what it was.
    """

    configured: Mapping[str, float]  # messages a second by feed
    _minutes: dict[str, deque[float]] = field(default_factory=dict)
    _taken_ms: int = 0

    def update(self, feeds: Sequence[FeedRate], now_ms: int) -> None:
        """Take the rates of this moment in, once a minute."""
        if not self._taken_ms:
            self._taken_ms = now_ms
        if now_ms - self._taken_ms < _MINUTE_MS:
            return
        self._taken_ms = now_ms
        for feed in feeds:
            if feed.minute_per_s:
                self._minutes.setdefault(feed.count.feed, deque(maxlen=_MINUTES)).append(feed.minute_per_s)

    def per_s(self, feed: str) -> float | None:
        """Messages a second that are expected of a feed, None while that is not known."""
        if feed in self.configured:
            return self.configured[feed]
        minutes = self._minutes.get(feed, ())
        if len(minutes) < _MINUTES_LEAST:
            return None
        usual = median(minutes)
        return usual if usual * 60 >= _MINUTE_LEAST else None

    def completeness(self, feed: FeedRate) -> float | None:
        """The last minute's rate over the expected one, 0–1; None while either is not known."""
        expected = self.per_s(feed.count.feed)
        if expected is None or feed.minute_per_s is None:
            return None
        return min(1.0, feed.minute_per_s / expected)
