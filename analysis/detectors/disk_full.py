"""Disk full: the file system of the data folder runs full.

A store that cannot write its log refuses every message. It is given the file system's sizes every minute or so by the
alarms process, so it sees that machine's disk: with a store elsewhere, that machine's own watch is needed.
"""

from __future__ import annotations

from msgspec import Struct

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import DiskSeen
from city.rules.system import DiskFull

RULE = "disk_full"
KEY = "disk"
GIGABYTE = 1e9


class DiskState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The one disk while it is nearly full."""

    raised_ms: int

    @property
    def waits(self) -> bool:
        """Never: each look at the disk is a step."""
        return False


def step(state: DiskState | None, seen: DiskSeen, rule: DiskFull, city: City) -> tuple[DiskState | None, list[Finding]]:
    """Look at the disk now. A size of 0 is a file system that does not tell."""
    del city
    if seen.total_bytes <= 0 or (state is not None and seen.now_ms < state.raised_ms):
        return state, []
    share = seen.free_bytes / seen.total_bytes
    if state is None:
        if share > rule.free_min:
            return None, []
        state = DiskState(raised_ms=seen.now_ms)
        return state, [_finding(state, Change.RAISE, seen)]
    if share < rule.free_clear or share <= rule.free_min:
        return state, []
    return None, [_finding(state, Change.CLEAR, seen)]


def _finding(state: DiskState, change: Change, seen: DiskSeen) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="store",
        source_id=KEY,
        key=KEY,
        raised_ms=state.raised_ms,
        at_ms=seen.now_ms,
        values={
            "free_pct": round(100 * seen.free_bytes / seen.total_bytes, 1),
            "free_gb": round(seen.free_bytes / GIGABYTE, 1),
        },
    )


def _key(seen: DiskSeen) -> str:
    del seen
    return KEY


DETECTOR = Detector(rule=RULE, state=DiskState, takes=(DiskSeen,), key=_key, step=step)
