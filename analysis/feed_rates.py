"""How fast every feed speaks: from the growth of its counters."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from city.models import FeedCount


class FeedRate(Struct, frozen=True, kw_only=True):
    """One feed's counters with what they say now."""

    count: FeedCount
    rate_per_s: float | None  # messages a second over the window; None after one look only
    age_s: float | None  # since the last message; None if there never was one


@dataclass(slots=True)
class FeedRates:
    """Looks at the counters now and then; rates are over the last `window_s`."""

    window_s: float = 10.0
    _looks: deque[tuple[int, dict[str, int]]] = field(default_factory=deque)
    _counts: tuple[FeedCount, ...] = ()

    def update(self, counts: Sequence[FeedCount], now_ms: int) -> None:
        """Take a look in. Counters that fell (an emptied store) start the window anew."""
        received = {count.feed: count.received for count in counts}
        if self._looks and any(received.get(feed, 0) < before for feed, before in self._looks[-1][1].items()):
            self._looks.clear()
        self._looks.append((now_ms, received))
        # The oldest look is the first at or before the window's begin.
        while len(self._looks) > 2 and self._looks[1][0] <= now_ms - self.window_s * 1000:
            self._looks.popleft()
        self._counts = tuple(counts)

    def feeds(self, now_ms: int) -> list[FeedRate]:
        """Every feed as it was at the last look, its age as of now."""
        return [
            FeedRate(
                count=count,
                rate_per_s=self._rate(count.feed),
                age_s=None if count.last_received_ms is None else max(0.0, (now_ms - count.last_received_ms) / 1000),
            )
            for count in self._counts
        ]

    def per_s(self) -> float | None:
        """Messages a second of all feeds, None after one look only."""
        rates = [self._rate(count.feed) for count in self._counts]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known else None

    @property
    def last_received_ms(self) -> int | None:
        """When the last message of any feed came."""
        return max((c.last_received_ms for c in self._counts if c.last_received_ms is not None), default=None)

    def _rate(self, feed: str) -> float | None:
        if len(self._looks) < 2:
            return None
        (first_ms, first), (last_ms, last) = self._looks[0], self._looks[-1]
        if last_ms <= first_ms:
            return None
        return (last.get(feed, 0) - first.get(feed, 0)) * 1000 / (last_ms - first_ms)


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
