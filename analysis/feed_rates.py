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
