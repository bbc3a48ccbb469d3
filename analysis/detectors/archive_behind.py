"""Archive behind: events wait for the archive so long that the store will soon delete them unarchived.

The archive's writer tells the age of the oldest event that it has not archived. A writer that tells nothing any more
archives nothing either: since its last figures that age has grown with the clock, as far as somebody watched. After a
stop of everything the writer has much to catch up with, and does in seconds: hence the delay.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import ArchiveSeen
from city.archive_figures import ArchiveFigures
from city.rules.system import ArchiveBehind

RULE = "archive_behind"
KEY = "archive"
# A writer tells its figures every two seconds.
_SILENT_MS = 30_000
# While it gets worse the numbers are told again, at every tenth of what the store holds.
_PARTS = 10


class BehindState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one archive while it is behind."""

    since_ms: int
    raised_ms: int | None = None
    told: int = 0  # how many such tenths were told

    @property
    def waits(self) -> bool:
        """Never: each look at the archive is a step."""
        return False


def step(
    state: BehindState | None, seen: ArchiveSeen, rule: ArchiveBehind, city: City
) -> tuple[BehindState | None, list[Finding]]:
    """Look at the archive's figures now."""
    now_ms = seen.now_ms
    lag_s = unarchived_s(seen.figures, now_ms, city.watching_since_ms)
    share = min(1.0, lag_s / seen.figures.hold_s)
    if state is None or state.raised_ms is None:
        if share < rule.share_max:
            return None, []
        if state is None or now_ms < state.since_ms:
            state = BehindState(since_ms=now_ms)
        if now_ms < state.since_ms + rule.on_delay_s * 1000:
            return state, []
        state = replace(state, raised_ms=now_ms, told=_parts(share))
        return state, [_finding(state, Change.RAISE, seen, lag_s)]
    if now_ms < state.raised_ms:
        return state, []
    if share <= rule.share_clear:
        return None, [_finding(state, Change.CLEAR, seen, lag_s)]
    if _parts(share) <= state.told:
        return state, []
    state = replace(state, told=_parts(share))
    return state, [_finding(state, Change.UPDATE, seen, lag_s)]


def unarchived_s(figures: ArchiveFigures, now_ms: int, watching_since_ms: int = 0) -> float:
    """Age of the oldest event that is not archived, at most, in seconds."""
    return figures.lag_s + max(0, now_ms - max(figures.at_ms, watching_since_ms)) / 1000


def _parts(share: float) -> int:
    return int(share * _PARTS + 1e-9)


def _finding(state: BehindState, change: Change, seen: ArchiveSeen, lag_s: float) -> Finding:
    assert state.raised_ms is not None
    figures = seen.figures
    silent = seen.now_ms - figures.at_ms > _SILENT_MS
    return Finding(
        rule=RULE,
        change=change,
        source_kind="store",
        source_id=KEY,
        key=KEY,
        raised_ms=state.raised_ms,
        at_ms=seen.now_ms,
        values={
            "lag_min": round(lag_s / 60, 1),
            "hold_min": round(figures.hold_s / 60, 1),
            "left_min": round(max(0.0, figures.hold_s - lag_s) / 60, 1),
            "waits_for": "process" if silent else figures.waits_for or "nothing",
        },
    )


def _key(seen: ArchiveSeen) -> str:
    del seen
    return KEY


DETECTOR = Detector(rule=RULE, state=BehindState, takes=(ArchiveSeen,), key=_key, step=step)
