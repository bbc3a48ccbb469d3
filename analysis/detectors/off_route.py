"""Off route: a vehicle on a route is farther from the route's line than any street beside it.

A vehicle that comes from the depot bears its route before it reaches the line: only who was on the line can leave it.
With the ignition off it has ended its work. A route without a line says nothing.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Finding
from analysis.detectors.spell import Spell, begin, end, forget, go_on, heard, vehicle_key
from city.events import VehiclePosition
from city.rules.transport import OffRoute

RULE = "off_route"


class OffRouteState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A vehicle that was on its route's line."""

    route: str
    on_ms: int  # when it came to the line
    away: Spell | None = None

    @property
    def raised_ms(self) -> int | None:
        """When the alarm that stands rose, epoch ms."""
        return None if self.away is None else self.away.raised_ms

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.away is not None


def step(
    state: OffRouteState | None, position: VehiclePosition, rule: OffRoute, city: City
) -> tuple[OffRouteState | None, list[Finding]]:
    """Take a place in."""
    at_ms, route, away = position.measured_ms, position.route, None
    if state is not None:
        away = state.away
        if at_ms < (state.on_ms if away is None else away.seen_ms):
            return state, []
    if away is None and state is not None and route == state.route and position.speed_mps == 0.0:
        return state, []  # it stands where it was
    if (
        away is None
        and state is not None
        and route == state.route
        and position.ignition is not False
        and city.routes.within(route, position.lat, position.lon, rule.distance_max_m)
    ):
        return state, []
    if route is None or position.ignition is False:
        return None, [] if away is None else end(RULE, away, at_ms)
    distance_m = city.routes.distance_m(route, position.lat, position.lon)
    if state is None or route != state.route or distance_m is None:
        told = [] if away is None else end(RULE, away, at_ms)
        on_line = distance_m is not None and distance_m <= rule.distance_clear_m
        return (OffRouteState(route=route, on_ms=at_ms) if on_line else None), told
    if away is None:
        if distance_m <= rule.distance_max_m:
            return state, []
        away = begin(position.vehicle_id, at_ms, distance_m)
    elif distance_m <= (rule.distance_max_m if away.raised_ms is None else rule.distance_clear_m):
        return replace(state, away=None), end(RULE, away, at_ms)
    elif distance_m <= rule.distance_max_m:
        return _with(state, heard(away, at_ms)), []
    values: dict[str, float | str] = {
        "distance_m": round(distance_m),
        "route": route,
        "lasted_s": round((at_ms - away.since_ms) / 1000),
    }
    away, found = go_on(RULE, away, at_ms, on_delay_s=rule.on_delay_s, value=distance_m, values=values)
    return _with(state, away), found


def tick(state: OffRouteState, now_ms: int, rule: OffRoute, city: City) -> tuple[OffRouteState | None, list[Finding]]:
    """Forget what is not heard any more."""
    if state.away is None:
        return state, []
    away, found = forget(RULE, state.away, now_ms, rule.forget_after_s, city.watching_since_ms)
    return (state if away is state.away else None), found


def _with(state: OffRouteState, away: Spell) -> OffRouteState:
    return state if away is state.away else replace(state, away=away)


DETECTOR = Detector(rule=RULE, state=OffRouteState, takes=(VehiclePosition,), key=vehicle_key, step=step, tick=tick)
