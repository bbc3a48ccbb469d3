"""Rejects full: the stream of rejected messages is near the size from which its oldest ones go.

Until then every rejected message can be read and replayed; after that the oldest are lost.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.finding import Change, Finding
from city.rules.system import RejectsFull

RULE = "rejects_full"
KEY = "rejects"


class FullState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one reject stream; an emptier one need not be kept."""

    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is not None


def step(
    state: FullState, size_bytes: int, max_bytes: int, now_ms: int, rule: RejectsFull
) -> tuple[FullState, list[Finding]]:
    """Look at the stream's size now."""
    share = size_bytes / max_bytes
    if state.raised_ms is None:
        if share < rule.share_max:
            return state, []
        state = replace(state, raised_ms=now_ms)
        return state, [_finding(Change.RAISE, now_ms, now_ms, share)]
    if share > rule.share_clear:
        return state, []
    return FullState(), [_finding(Change.CLEAR, state.raised_ms, now_ms, share)]


def _finding(change: Change, raised_ms: int, at_ms: int, share: float) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="store",
        source_id=KEY,
        key=KEY,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values={"full_pct": round(100 * share, 1)},
    )
