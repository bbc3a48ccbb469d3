"""Feed silent: a feed that used to speak does not any more.

A feed that never spoke is not silent. Silence counts from the feed's last message or from
`watching_since_ms`, whichever is later: while the store was away, or this worker, nobody could
have heard the feed, and that is no word about the feed.
"""

from __future__ import annotations

from msgspec import Struct

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import FeedSeen
from city.rules.system import FeedSilent

RULE = "feed_silent"


class SilenceState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feed that is silent."""

    feed: str
    last_ms: int  # last message before the silence
    raised_ms: int

    @property
    def waits(self) -> bool:
        """Never: each look at the feed is a step."""
        return False


def step(
    state: SilenceState | None, seen: FeedSeen, rule: FeedSilent, city: City
) -> tuple[SilenceState | None, list[Finding]]:
    """Look at a feed's last message now."""
    feed, last_ms = seen.count.feed, seen.count.last_received_ms
    after_s = rule.silent_after_s.get(feed)
    if state is not None:
        if after_s is not None and (last_ms is None or last_ms <= state.last_ms):
            return state, []
        # It spoke, or nobody wants to know any more.
        at_ms = seen.now_ms if last_ms is None else max(last_ms, state.raised_ms)
        return None, [_finding(state, Change.CLEAR, at_ms)]
    if last_ms is None or after_s is None:
        return None, []
    due_ms = max(last_ms, city.watching_since_ms) + int(after_s * 1000)
    if seen.now_ms < due_ms:
        return None, []
    state = SilenceState(feed=feed, last_ms=last_ms, raised_ms=due_ms)
    return state, [_finding(state, Change.RAISE, due_ms)]


def _finding(state: SilenceState, change: Change, at_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="feed",
        source_id=state.feed,
        key=state.feed,
        raised_ms=state.raised_ms,
        at_ms=at_ms,
        values={"silent_s": round((at_ms - state.last_ms) / 1000, 3)},
    )


def _key(seen: FeedSeen) -> str:
    return seen.count.feed


DETECTOR = Detector(rule=RULE, state=SilenceState, takes=(FeedSeen,), key=_key, step=step)
