"""Schedule deviation: a vehicle is later, or earlier, than its passengers can be asked to bear.

The deviation is the vehicle's own, else its trip's (GTFS-Realtime `delay`, turned round: positive is ahead).
"""

from __future__ import annotations

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Finding
from analysis.detectors.spell import Spell, begin, end, forget, go_on, heard, vehicle_key
from city.events import VehiclePosition
from city.rules.transport import ScheduleDeviation

RULE = "schedule_deviation"


def step(
    state: Spell | None, position: VehiclePosition, rule: ScheduleDeviation, city: City
) -> tuple[Spell | None, list[Finding]]:
    """Take a deviation in. The peak is how many times its limit it was over."""
    at_ms, ahead_s = position.measured_ms, position.schedule_deviation_s
    if ahead_s is None:
        vehicle = city.picture.vehicles.get(position.vehicle_id)
        ahead_s = vehicle.schedule_deviation_s if vehicle else None
    if state is not None and at_ms < state.seen_ms:
        return state, []
    if position.route is None or ahead_s is None:
        # A journey is over when the route is gone; a position that does not tell is no news.
        over = position.route is None
        return (None, end(RULE, state, at_ms)) if over and state is not None else (state, [])
    times = max(-ahead_s / rule.late_max_s, ahead_s / rule.early_max_s)
    if state is None:
        if times <= 1:
            return None, []
        state = begin(position.vehicle_id, at_ms, times)
    elif times <= 1:
        limit_s = rule.late_max_s if ahead_s <= 0 else rule.early_max_s
        if state.raised_ms is None or abs(ahead_s) <= limit_s - rule.deadband_s:
            return None, end(RULE, state, at_ms)
        return heard(state, at_ms), []
    values: dict[str, float | str] = {
        "deviation_min": round(ahead_s / 60, 1),
        "route": position.route,
    }
    return go_on(RULE, state, at_ms, on_delay_s=rule.on_delay_s, value=times, values=values)


def tick(state: Spell, now_ms: int, rule: ScheduleDeviation, city: City) -> tuple[Spell | None, list[Finding]]:
    """Forget what is not heard any more."""
    return forget(RULE, state, now_ms, rule.forget_after_s, city.watching_since_ms)


DETECTOR = Detector(rule=RULE, state=Spell, takes=(VehiclePosition,), key=vehicle_key, step=step, tick=tick)
