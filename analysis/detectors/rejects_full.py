"""Rejects full: the stream of rejected messages is near the size from which its oldest ones go.

Until then every rejected message can be read and replayed; after that the oldest are lost.
"""

from __future__ import annotations

from msgspec import Struct

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import RejectsSeen
from city.rules.system import RejectsFull

RULE = "rejects_full"
KEY = "rejects"


class FullState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one reject stream while it is nearly full."""

    raised_ms: int

    @property
    def waits(self) -> bool:
        """Never: each look at the size is a step."""
        return False


def step(
    state: FullState | None, seen: RejectsSeen, rule: RejectsFull, city: City
) -> tuple[FullState | None, list[Finding]]:
    """Look at the stream's size now."""
    del city
    share = seen.size_bytes / seen.max_bytes
    if state is None:
        if share < rule.share_max:
            return None, []
        state = FullState(raised_ms=seen.now_ms)
        return state, [_finding(state, Change.RAISE, seen.now_ms, share)]
    if share > rule.share_clear:
        return state, []
    return None, [_finding(state, Change.CLEAR, seen.now_ms, share)]


def _finding(state: FullState, change: Change, at_ms: int, share: float) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="store",
        source_id=KEY,
        key=KEY,
        raised_ms=state.raised_ms,
        at_ms=at_ms,
        values={"full_pct": round(100 * share, 1)},
    )


def _key(seen: RejectsSeen) -> str:
    del seen
    return KEY


DETECTOR = Detector(rule=RULE, state=FullState, takes=(RejectsSeen,), key=_key, step=step)
