"""Feed silent: a feed that used to speak does not any more.

A feed that never spoke is not silent. Silence counts from the feed's last message or from
`watching_since_ms`, whichever is later: while the store was away, or this worker, nobody could
have heard the feed, and that is no word about the feed.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.finding import Change, Finding
from city.messages import FeedCount
from city.rules.system import FeedSilent

RULE = "feed_silent"


class SilenceState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feed; a speaking one need not be kept."""

    feed: str
    last_ms: int = 0  # last message before the silence
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is not None


def step(
    state: SilenceState, count: FeedCount, now_ms: int, watching_since_ms: int, rule: FeedSilent
) -> tuple[SilenceState, list[Finding]]:
    """Look at a feed's last message now."""
    last_ms = count.last_received_ms
    after_s = rule.silent_after_s.get(count.feed)
    if state.raised_ms is not None:
        if after_s is not None and (last_ms is None or last_ms <= state.last_ms):
            return state, []
        # It spoke, or nobody wants to know any more.
        at_ms = now_ms if last_ms is None else max(last_ms, state.raised_ms)
        return SilenceState(feed=count.feed), [_finding(state, Change.CLEAR, state.raised_ms, at_ms)]
    if last_ms is None or after_s is None:
        return state, []
    due_ms = max(last_ms, watching_since_ms) + int(after_s * 1000)
    if now_ms < due_ms:
        return state, []
    state = replace(state, last_ms=last_ms, raised_ms=due_ms)
    return state, [_finding(state, Change.RAISE, due_ms, due_ms)]


def _finding(state: SilenceState, change: Change, raised_ms: int, at_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="feed",
        source_id=state.feed,
        key=state.feed,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values={"silent_s": round((at_ms - state.last_ms) / 1000, 3)},
    )
