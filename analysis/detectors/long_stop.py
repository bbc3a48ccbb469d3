"""Long stop: a vehicle on its route's line stands far from any stop or terminal: broken down, blocked, in an accident.

Off the line it is the business of another rule, and a depot is no street.
"""

from __future__ import annotations

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Finding
from analysis.detectors.spell import end, forget, go_on, unmoved, vehicle_key
from analysis.detectors.standing import Stand, stands, stop, with_spell
from city.events import VehiclePosition
from city.rules.transport import LongStop

RULE = "long_stop"
# What is farther from the line is not on the route's street.
ON_LINE_M = 80.0


def step(
    state: Stand | None, position: VehiclePosition, rule: LongStop, city: City
) -> tuple[Stand | None, list[Finding]]:
    """Take a place in."""
    at_ms, route = position.measured_ms, position.route
    found: list[Finding] = []
    if state is not None:
        if at_ms < state.spell.seen_ms:
            return state, []
        if route is not None and stands(state, position, rule.standing_speed_mps):
            if unmoved(state.spell, at_ms, rule.stand_max_s):
                return state, []
            minutes = round((at_ms - state.spell.since_ms) / 60_000)
            values: dict[str, float | str] = {"stood_min": minutes, "route": route}
            spell, found = go_on(RULE, state.spell, at_ms, on_delay_s=rule.stand_max_s, values=values)
            return with_spell(state, spell), found
        found = end(RULE, state.spell, at_ms)
    if route is None or (position.speed_mps is not None and position.speed_mps > rule.standing_speed_mps):
        return None, found
    return (stop(position, rule.standing_speed_mps) if _on_the_road(position, rule, city) else None), found


def tick(state: Stand, now_ms: int, rule: LongStop, city: City) -> tuple[Stand | None, list[Finding]]:
    """Forget what is not heard any more."""
    spell, found = forget(RULE, state.spell, now_ms, rule.forget_after_s, city.watching_since_ms)
    return (state if spell is state.spell else None), found


def _on_the_road(position: VehiclePosition, rule: LongStop, city: City) -> bool:
    """On the route's line, and at none of its stops and terminals."""
    route, lat, lon = position.route, position.lat, position.lon
    if route is None or route not in city.routes:
        return False
    # Either direction's: devices turn the sign round at different moments.
    return (
        city.routes.stop_at(route, None, lat, lon, rule.stop_within_m) is None
        and city.routes.terminal(route, None, lat, lon, rule.terminal_within_m) is None
        and (city.routes.distance_m(route, lat, lon) or 0.0) <= ON_LINE_M
    )


DETECTOR = Detector(rule=RULE, state=Stand, takes=(VehiclePosition,), key=vehicle_key, step=step, tick=tick)
