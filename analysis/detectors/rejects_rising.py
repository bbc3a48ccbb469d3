"""Rejects rising: a large share of a feed's messages cannot be taken.

A sender that changed its format, its clock or its units does that. The share is that of the last `window_s`, and says
nothing of fewer than `messages_min` messages; the reasons in `ordinary` are part of any healthy feed and do not
count. It is given the feeds' counters every second; between two looks further apart than the window nobody counted,
and counters that fell (an emptied store) begin anew.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import FeedSeen
from city.messages import FeedCount
from city.rules.system import RejectsRising

RULE = "rejects_rising"
# The window moves on in so many steps: short to keep, and seldom written.
PIECES = 10


class Look(Struct, frozen=True, array_like=True):
    """A feed's counters at a time."""

    ms: int
    received: int
    rejected: int


class RisingState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feed's window."""

    feed: str
    looks: tuple[Look, ...]  # oldest first
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Never: each look at the feed is a step."""
        return False


def step(
    state: RisingState | None, seen: FeedSeen, rule: RejectsRising, city: City
) -> tuple[RisingState | None, list[Finding]]:
    """Look at a feed's counters now."""
    del city
    look = Look(seen.now_ms, seen.count.received, _rejected(seen.count, rule))
    if state is None:
        return RisingState(feed=seen.count.feed, looks=(look,)), []
    last = state.looks[-1]
    if look.ms <= last.ms:
        return state, []
    window_ms = int(rule.window_s * 1000)
    if look.received < last.received or look.rejected < last.rejected or look.ms - last.ms > window_ms:
        state = replace(state, looks=(look,))
    elif look.ms - last.ms >= window_ms // PIECES:
        kept = [one for one in state.looks if one.ms > look.ms - window_ms]
        # The last one at or before the window's begin is what the window is counted from.
        state = replace(state, looks=(*state.looks[-len(kept) - 1 :], look))
    first = state.looks[0]
    received, rejected = look.received - first.received, look.rejected - first.rejected
    share = rejected / received if received else 0.0
    if state.raised_ms is None and received >= rule.messages_min and share >= rule.share_max:
        state = replace(state, raised_ms=look.ms)
        return state, [_finding(state, Change.RAISE, look.ms, share, rejected, rule)]
    # Half a window at least: a window that has just begun anew knows nothing yet.
    if state.raised_ms is not None and share <= rule.share_clear and look.ms - first.ms >= window_ms // 2:
        finding = _finding(state, Change.CLEAR, look.ms, share, rejected, rule)
        return replace(state, raised_ms=None), [finding]
    return state, []


def _rejected(count: FeedCount, rule: RejectsRising) -> int:
    return sum(messages for reason, messages in count.rejected.items() if reason not in rule.ordinary)


def _finding(
    state: RisingState, change: Change, at_ms: int, share: float, rejected: int, rule: RejectsRising
) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="feed",
        source_id=state.feed,
        key=state.feed,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={"rejected_pct": round(100 * share, 1), "rejected": rejected, "window_s": rule.window_s},
    )


def _key(seen: FeedSeen) -> str:
    return seen.count.feed


DETECTOR = Detector(rule=RULE, state=RisingState, takes=(FeedSeen,), key=_key, step=step)
