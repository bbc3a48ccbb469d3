"""What to do about an alarm that asks too much, proposed with the numbers behind it.

On-delay and off-delay against fleeting and chattering alarms, deadband against noise (ISA-18.2-2016, clause 10, basic
alarm design; recommended values: ISA-TR18.2.3), repair or removal of what stands for days.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from msgspec import Struct

# Upper bounds in seconds, the delays that may be proposed; one more count is for what is longer.
BOUNDS_S = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300)
SLOTS = len(BOUNDS_S) + 1
# A delay that catches fewer would trade reaction time for little.
CAUGHT_SHARE = 0.8
_DAY_MS = 86_400_000
_FLEETING_SHARE = 0.5
# An alarm a day and source is what a design allows (EEMUA 191: about 150 a day for one operator, over all sources).
_OFTEN_PER_DAY = 1.0


class Proposal(Struct, frozen=True):
    """A sentence of the catalogue and the numbers that stand in it."""

    reason: str  # load.mend, load.off_delay, load.deadband, load.on_delay or load.review
    values: dict[str, float] = {}


def slot(seconds: float) -> int:
    """Which of the counts by duration it belongs to."""
    return bisect_left(BOUNDS_S, seconds)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often one alarm did what."""

    announced: int = 0
    chattered: int = 0
    fleeting: int = 0
    stood: Sequence[int] = ()  # returns by how long it stood, a count a slot
    gaps: Sequence[int] = ()  # rises by how long it was gone before, likewise


def propose(tally: Tally, stands_ms: int, elapsed_ms: int) -> Proposal | None:
    """What would help most; None where nothing asks for it.

    `stands_ms`: for how long it stands now, 0 if it does not; `elapsed_ms`: what the tally is of.
    """
    if stands_ms > _DAY_MS:
        return Proposal("load.mend", {"days": stands_ms / _DAY_MS})
    if tally.chattered:
        caught = _delay(tally.gaps)
        if caught is None:
            return Proposal("load.deadband", {"times": float(tally.chattered)})
        return Proposal("load.off_delay", {"seconds": caught[0], "share_pct": 100 * caught[1]})
    if tally.announced and tally.fleeting >= _FLEETING_SHARE * tally.announced:
        caught = _delay(tally.stood)
        if caught is not None:
            return Proposal("load.on_delay", {"seconds": caught[0], "share_pct": 100 * caught[1]})
    per_day = tally.announced * _DAY_MS / max(elapsed_ms, _DAY_MS)
    return Proposal("load.review", {"per_day": per_day}) if per_day > _OFTEN_PER_DAY else None


def _delay(counts: Sequence[int]) -> tuple[float, float] | None:
    """The shortest delay that catches enough of them, and the share that it catches."""
    total, up_to = sum(counts), 0
    for bound_s, count in zip(BOUNDS_S, counts, strict=False):
        up_to += count
        if total and up_to >= CAUGHT_SHARE * total:
            return float(bound_s), up_to / total
    return None
