"""Store lost: Markaz's own store did not answer for a while.

Alarms are kept in the store, so this one is seen when the store is back: risen when the outage had lasted for the
on-delay, returned when it ended, and to be acknowledged like any other. Meanwhile the pages say by themselves that the
store is away. It is given, after each outage, when it began, and then that the store answers (`StoreSeen`).
"""

from __future__ import annotations

from msgspec import Struct

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import StoreSeen
from city.rules.system import StoreLost

RULE = "store_lost"
KEY = "state"


class LostState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The store while it does not answer."""

    since_ms: int
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is None


def step(
    state: LostState | None, seen: StoreSeen, rule: StoreLost, city: City
) -> tuple[LostState | None, list[Finding]]:
    """Take in whether the store answers."""
    if state is None:
        if seen.lost_since_ms is None:
            return None, []
        state = LostState(since_ms=seen.lost_since_ms)
    if seen.lost_since_ms is None and seen.now_ms < state.since_ms:
        return state, []
    # It may have been due before the store came back, and only be told now.
    state, findings = tick(state, seen.now_ms, rule, city)
    if seen.lost_since_ms is not None:
        return state, findings
    if state.raised_ms is not None:
        findings.append(_finding(state, Change.CLEAR, state.raised_ms, max(seen.now_ms, state.raised_ms)))
    return None, findings


def tick(state: LostState, now_ms: int, rule: StoreLost, city: City) -> tuple[LostState, list[Finding]]:
    """Raise what is away for the on-delay."""
    del city
    due_ms = state.since_ms + int(rule.on_delay_s * 1000)
    if state.raised_ms is not None or now_ms < due_ms:
        return state, []
    state = LostState(since_ms=state.since_ms, raised_ms=due_ms)
    return state, [_finding(state, Change.RAISE, due_ms, due_ms)]


def _finding(state: LostState, change: Change, raised_ms: int, at_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="store",
        source_id=KEY,
        key=KEY,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values={"lost_s": round((at_ms - state.since_ms) / 1000)},
    )


def _key(seen: StoreSeen) -> str:
    del seen
    return KEY


DETECTOR = Detector(rule=RULE, state=LostState, takes=(StoreSeen,), key=_key, step=step, tick=tick)
