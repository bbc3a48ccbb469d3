"""Overspeed: a vehicle is faster than allowed for longer than it takes to overtake."""

from __future__ import annotations

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Finding
from analysis.detectors.spell import Spell, begin, end, forget, go_on, heard, vehicle_key
from city.events import VehiclePosition
from city.rules.transport import Overspeed

RULE = "overspeed"


def step(
    state: Spell | None, position: VehiclePosition, rule: Overspeed, city: City
) -> tuple[Spell | None, list[Finding]]:
    """Take a speed in. A position without one says nothing; neither does an older one."""
    speed_mps, at_ms = position.speed_mps, position.measured_ms
    if state is None:
        if speed_mps is None or speed_mps <= rule.speed_max_mps:
            return None, []
        state = begin(position.vehicle_id, at_ms, speed_mps)
    elif speed_mps is None or at_ms < state.seen_ms:
        return state, []
    if at_ms - state.seen_ms > rule.forget_after_s * 1000:
        # Nobody knows what was in between.
        told = end(RULE, state, state.seen_ms)
        again, found = step(None, position, rule, city)
        return again, told + found
    if speed_mps <= rule.speed_max_mps - (0.0 if state.raised_ms is None else rule.deadband_mps):
        return None, end(RULE, state, at_ms)
    if speed_mps <= rule.speed_max_mps:
        return heard(state, at_ms), []
    return go_on(
        RULE,
        state,
        at_ms,
        on_delay_s=rule.on_delay_s,
        value=speed_mps,
        values={
            "speed_mps": round(speed_mps, 1),
            "speed_kmh": round(3.6 * speed_mps),
            "limit_kmh": round(3.6 * rule.speed_max_mps),
            "lasted_s": round((at_ms - state.since_ms) / 1000),
        },
    )


def tick(state: Spell, now_ms: int, rule: Overspeed, city: City) -> tuple[Spell | None, list[Finding]]:
    """Forget what is not heard any more."""
    return forget(RULE, state, now_ms, rule.forget_after_s, city.watching_since_ms)


DETECTOR = Detector(rule=RULE, state=Spell, takes=(VehiclePosition,), key=vehicle_key, step=step, tick=tick)
