"""Idling: the ignition is on and the vehicle does not move."""

from __future__ import annotations

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Finding
from analysis.detectors.spell import end, forget, go_on, unmoved, vehicle_key
from analysis.detectors.standing import Stand, stands, stop, with_spell
from city.events import VehiclePosition
from city.rules.transport import Idling

RULE = "idling"
# A fuel reading's word about the ignition is worth nothing after so long.
IGNITION_KNOWN_MS = 300_000


def step(
    state: Stand | None, position: VehiclePosition, rule: Idling, city: City
) -> tuple[Stand | None, list[Finding]]:
    """Take a place and the ignition in. A position that does not tell of the ignition ends nothing."""
    at_ms, ignition = position.measured_ms, position.ignition
    found: list[Finding] = []
    if state is not None and at_ms < state.spell.seen_ms:
        return state, []
    if ignition is None:
        ignition = _ignition_by_fuel(position, city)
    if state is not None:
        if ignition is not False and stands(state, position, rule.standing_speed_mps):
            if unmoved(state.spell, at_ms, rule.idle_max_s):
                return state, []
            minutes = round((at_ms - state.spell.since_ms) / 60_000)
            spell, found = go_on(RULE, state.spell, at_ms, on_delay_s=rule.idle_max_s, values={"idled_min": minutes})
            return with_spell(state, spell), found
        found = end(RULE, state.spell, at_ms)
    if position.speed_mps is not None and position.speed_mps > rule.standing_speed_mps:
        return None, found
    if not ignition or (not rule.terminals and _at_terminal(position, rule, city)):
        return None, found
    return stop(position, rule.standing_speed_mps), found


def tick(state: Stand, now_ms: int, rule: Idling, city: City) -> tuple[Stand | None, list[Finding]]:
    """Forget what is not heard any more."""
    spell, found = forget(RULE, state.spell, now_ms, rule.forget_after_s, city.watching_since_ms)
    return (state if spell is state.spell else None), found


def _ignition_by_fuel(position: VehiclePosition, city: City) -> bool | None:
    vehicle = city.picture.vehicles.get(position.vehicle_id)
    fuel = vehicle.fuel if vehicle else None
    if fuel is None or abs(position.measured_ms - fuel.measured_ms) > IGNITION_KNOWN_MS:
        return None
    return fuel.ignition


def _at_terminal(position: VehiclePosition, rule: Idling, city: City) -> bool:
    route = position.route
    if route is None:
        return False
    return city.routes.terminal(route, None, position.lat, position.lon, rule.terminal_within_m) is not None


DETECTOR = Detector(rule=RULE, state=Stand, takes=(VehiclePosition,), key=vehicle_key, step=step, tick=tick)
