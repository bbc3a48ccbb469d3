"""Overload: a vehicle carries more than its capacity for longer than a stop's crush.

Hysteresis (raised at `load_max`, cleared at `load_clear`) and an on-delay keep one full stop from
becoming an alarm and a full vehicle from chattering (ISA-18.2-2016, clause 10: deadband and delay).
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.spell import vehicle_key
from city.events import PassengerCount
from city.rules.transport import Overload

RULE = "overload"


class OverloadState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vehicle's fullness; one that is not too full need not be kept."""

    vehicle_id: str
    over_since_ms: int | None = None  # first of the counts in a row at load_max or above
    seen_ms: int = 0  # newest count
    onboard: int = 0
    capacity: int = 0
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.over_since_ms is not None or self.raised_ms is not None


def step(
    state: OverloadState | None, count: PassengerCount, rule: Overload, city: City
) -> tuple[OverloadState | None, list[Finding]]:
    """Take a count in. Counts without a number on board, and older ones, say nothing."""
    if count.onboard is None or (state is not None and count.measured_ms <= state.seen_ms):
        return state, []
    capacity = count.capacity or city.capacity_default
    if state is None:
        if count.onboard < rule.load_max * capacity:
            return None, []
        state = OverloadState(vehicle_id=count.vehicle_id)
    # What was due before this count happened before it, whenever it is read.
    state, findings = _due(state, count.measured_ms, rule)
    load = count.onboard / capacity
    state = replace(
        state,
        seen_ms=count.measured_ms,
        onboard=count.onboard,
        capacity=capacity,
        over_since_ms=(state.over_since_ms or count.measured_ms) if load >= rule.load_max else None,
    )
    if state.raised_ms is not None and load <= rule.load_clear:
        findings.append(_finding(state, Change.CLEAR, state.raised_ms, count.measured_ms))
        return None, findings
    state, risen = _due(state, count.measured_ms, rule)
    return (state if state.waits else None), findings + risen


def tick(state: OverloadState, now_ms: int, rule: Overload, city: City) -> tuple[OverloadState | None, list[Finding]]:
    """What the time alone brings: the end of the on-delay, or of a vehicle that counts no more."""
    state, findings = _due(state, now_ms, rule)
    return (state if state.waits else None), findings


def _due(state: OverloadState, now_ms: int, rule: Overload) -> tuple[OverloadState, list[Finding]]:
    findings: list[Finding] = []
    forgotten_ms = state.seen_ms + int(rule.forget_after_s * 1000)
    if state.over_since_ms is not None and state.raised_ms is None:
        due_ms = state.over_since_ms + int(rule.on_delay_s * 1000)
        if due_ms <= min(now_ms, forgotten_ms):
            findings.append(_finding(state, Change.RAISE, due_ms, due_ms))
            state = replace(state, raised_ms=due_ms)
    if state.waits and now_ms >= forgotten_ms:
        if state.raised_ms is not None:
            findings.append(_finding(state, Change.CLEAR, state.raised_ms, forgotten_ms))
        state = replace(state, raised_ms=None, over_since_ms=None)
    return state, findings


def _finding(state: OverloadState, change: Change, raised_ms: int, at_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="vehicle",
        source_id=state.vehicle_id,
        key=state.vehicle_id,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values={
            "load": round(state.onboard / state.capacity, 3),
            "onboard": state.onboard,
            "capacity": state.capacity,
        },
    )


DETECTOR = Detector(rule=RULE, state=OverloadState, takes=(PassengerCount,), key=vehicle_key, step=step, tick=tick)
