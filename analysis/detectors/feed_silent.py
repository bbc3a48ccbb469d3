"""Feed silent: a feed that used to speak does not any more.

A feed that never spoke is not silent. Silence counts from the feed's last message or from
`watching_since_ms`, whichever is later: while the store was away, or this worker, nobody could
have heard the feed, and that is no word about the feed.

Nobody boards a bus at night, and a few cameras recognise nothing for minutes: a feed that was silent for longer at this
hour of the day, or the one before, on two of the last seven days is given half as much again. One failure teaches
nothing so, and Sundays are known after one weekend. Hours are those of UTC.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import FeedSeen
from city.rules.system import FeedSilent

RULE = "feed_silent"
HOUR_MS, DAY_HOURS = 3_600_000, 24
DAYS_KEPT = 7
# What was so long on two days may be half as much longer.
LONGER = 1.5
# A silence is written down from this share of the rule's time on, and again when it is so many times as long.
NOTED_FROM, NOTED_AGAIN = 0.5, 1.2


class SilenceState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feed: its silence if it is silent, and how silent it is by the hour."""

    feed: str
    last_ms: int = 0  # last message before the silence
    raised_ms: int | None = None
    hour: int = 0  # since 1970, that is watched now
    longest_s: int = 0  # the longest silence in it; 0: none to speak of
    usual_s: dict[int, tuple[int, ...]] = {}  # by hour of the day (UTC): that of the last days, newest last

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
    found: list[Finding] = []
    if last_ms is None or after_s is None:
        # An emptied store, or nobody wants to know any more.
        if state is not None and state.raised_ms is not None:
            at_ms = seen.now_ms if last_ms is None else max(last_ms, state.raised_ms)
            found = [_finding(state, Change.CLEAR, at_ms, state.raised_ms)]
        return None, found
    state = state or SilenceState(feed=feed)
    before = state
    if state.raised_ms is not None and last_ms > state.last_ms:
        found = [_finding(state, Change.CLEAR, max(last_ms, state.raised_ms), state.raised_ms)]
        state = replace(state, last_ms=0, raised_ms=None)
    since_ms = max(last_ms, city.watching_since_ms)
    state = _learned(state, seen.now_ms, (seen.now_ms - since_ms) / 1000, after_s)
    if state.raised_ms is None:
        due_ms = since_ms + int(max(after_s, LONGER * _usual_s(state, seen.now_ms)) * 1000)
        if seen.now_ms >= due_ms:
            if state.usual_s:
                # In the hour before it was given more time.
                due_ms = max(due_ms, seen.now_ms // HOUR_MS * HOUR_MS)
            state = replace(state, last_ms=last_ms, raised_ms=due_ms)
            found.append(_finding(state, Change.RAISE, due_ms, due_ms))
    known = state.raised_ms is not None or state.longest_s or state.usual_s
    return (before if state == before else state) if known else None, found


def _learned(state: SilenceState, now_ms: int, silent_s: float, after_s: float) -> SilenceState:
    """The state with a silence that lasts; at the end of an hour its longest one is put to those of other days."""
    hour = now_ms // HOUR_MS
    if hour > state.hour:
        usual = dict(state.usual_s)
        # Hours in which nobody watched are left out.
        of_day = state.hour % DAY_HOURS
        days = (*usual.get(of_day, ()), state.longest_s)[-DAYS_KEPT:]
        if any(days):
            usual[of_day] = days
        else:
            usual.pop(of_day, None)
        state = replace(state, hour=hour, longest_s=0, usual_s=usual)
    if silent_s >= NOTED_FROM * after_s and silent_s > NOTED_AGAIN * state.longest_s:
        state = replace(state, longest_s=int(silent_s))
    return state


def _usual_s(state: SilenceState, now_ms: int) -> float:
    """The silence that two of the last days had at this hour, or at the one before."""
    hour = now_ms // HOUR_MS % DAY_HOURS
    both = (state.usual_s.get(hour, ()), state.usual_s.get((hour - 1) % DAY_HOURS, ()))
    return max(sorted(days)[-2] if len(days) > 1 else 0 for days in both)


def _finding(state: SilenceState, change: Change, at_ms: int, raised_ms: int) -> Finding:
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


def _key(seen: FeedSeen) -> str:
    return seen.count.feed


DETECTOR = Detector(rule=RULE, state=SilenceState, takes=(FeedSeen,), key=_key, step=step)
