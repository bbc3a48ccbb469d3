"""Archive gap: the store deleted events before they were archived; they are in no file and never will be.

The archive keeps a note of every gap for ever. The alarm tells of the newest loss, and grows with it.
"""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import ArchiveSeen
from city.archive_figures import ArchiveLoss
from city.rules.system import ArchiveGap

RULE = "archive_gap"
KEY = "archive"


class GapState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The newest loss."""

    loss: ArchiveLoss
    raised_ms: int

    @property
    def waits(self) -> bool:
        """Never: each look at the archive is a step."""
        return False


def step(
    state: GapState | None, seen: ArchiveSeen, rule: ArchiveGap, city: City
) -> tuple[GapState | None, list[Finding]]:
    """Look at what the archive lost last."""
    del city
    now_ms, loss = seen.now_ms, seen.figures.lost
    young = loss is not None and now_ms < loss.found_ms + rule.clear_after_s * 1000
    if state is None:
        if loss is None or not young:
            return None, []
        state = GapState(loss=loss, raised_ms=loss.since_ms)
        return state, [_finding(state, Change.RAISE, loss.since_ms)]
    if loss is None or not young:
        # Without a loss it is another archive, or one that was emptied.
        return None, [_finding(state, Change.CLEAR, max(now_ms, state.raised_ms))]
    if loss == state.loss:
        return state, []
    state = replace(state, loss=loss)
    return state, [_finding(state, Change.UPDATE, max(loss.found_ms, state.raised_ms))]


def _finding(state: GapState, change: Change, at_ms: int) -> Finding:
    loss = state.loss
    return Finding(
        rule=RULE,
        change=change,
        source_kind="store",
        source_id=KEY,
        key=KEY,
        raised_ms=state.raised_ms,
        at_ms=at_ms,
        values={
            "batches": loss.entries,
            "streams": ", ".join(loss.streams),
            "from_at": _utc(loss.from_ms),
            "to_at": _utc(loss.to_ms),
        },
    )


def _utc(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _key(seen: ArchiveSeen) -> str:
    del seen
    return KEY


DETECTOR = Detector(rule=RULE, state=GapState, takes=(ArchiveSeen,), key=_key, step=step)
