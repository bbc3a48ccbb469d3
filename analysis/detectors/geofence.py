"""Geofence: a vehicle is inside a place that it must not enter, or outside one that it must not leave.

A vehicle has one alarm, whatever the fences that it stands against: they are named in it. Crossing a fence counts
once it has lasted for the on-delay, so that a jittering fix on its border says nothing. Only who was inside can leave.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.spell import NOTE_EVERY_MS, Values, vehicle_key
from analysis.geometry import inside
from city.events import VehiclePosition
from city.rules.transport import Fence, Geofence

RULE = "geofence"


class FenceState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vehicle and the fences that it has to do with; one that is and was in none need not be kept."""

    vehicle_id: str
    seen_ms: int  # to NOTE_EVERY_MS
    inside: tuple[str, ...] = ()
    left: tuple[str, ...] = ()  # fences that it must not leave, and did
    turning: dict[str, int] = {}  # fence → since when, epoch ms, it is seen on the other side
    raised_ms: int | None = None
    values: Values = {}

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is not None


def step(
    state: FenceState | None, position: VehiclePosition, rule: Geofence, city: City
) -> tuple[FenceState | None, list[Finding]]:
    """Take a place in."""
    at_ms = position.measured_ms
    if state is None:
        if not any(_concerns(fence, position) and _holds(fence, position) for fence in rule.fences.values()):
            return None, []
        state = FenceState(vehicle_id=position.vehicle_id, seen_ms=at_ms)
    elif at_ms < state.seen_ms:
        return state, []
    now, left, turning = set(state.inside), set(state.left), dict(state.turning)
    for name, fence in rule.fences.items():
        was, is_in = name in now, _concerns(fence, position) and _holds(fence, position)
        if was == is_in:
            turning.pop(name, None)
        elif at_ms - turning.setdefault(name, at_ms) >= int(rule.on_delay_s * 1000):
            del turning[name]
            now.symmetric_difference_update((name,))
            if was and fence.when == "leaves" and _concerns(fence, position):
                left.add(name)
            else:
                left.discard(name)
    # A fence that is gone from the settings, or is no business of this vehicle any more, holds nothing.
    known = {name for name, fence in rule.fences.items() if _concerns(fence, position)}
    now, left, turning = now & set(rule.fences), left & known, {k: v for k, v in turning.items() if k in rule.fences}
    after = replace(state, inside=tuple(sorted(now)), left=tuple(sorted(left)), turning=turning)
    if after == state:
        if at_ms - state.seen_ms < NOTE_EVERY_MS or not state.waits:
            return (state if state.inside or state.left or state.turning else None), []
        return replace(state, seen_ms=at_ms), []
    return _told(replace(after, seen_ms=at_ms), rule)


def tick(state: FenceState, now_ms: int, rule: Geofence, city: City) -> tuple[FenceState | None, list[Finding]]:
    """Forget what is not heard any more."""
    after_ms = int(rule.forget_after_s * 1000)
    if state.raised_ms is None or now_ms < max(state.seen_ms, city.watching_since_ms) + after_ms:
        return state, []
    return None, [_finding(state, Change.CLEAR, state.seen_ms + after_ms)]


def _told(state: FenceState, rule: Geofence) -> tuple[FenceState | None, list[Finding]]:
    entered = [name for name in state.inside if rule.fences[name].when == "enters"]
    names = ", ".join(sorted([*entered, *state.left]))
    at_ms = state.seen_ms
    if not names:
        found = [] if state.raised_ms is None else [_finding(state, Change.CLEAR, at_ms)]
        state = replace(state, raised_ms=None, values={})
        return (state if state.inside or state.left or state.turning else None), found
    values: Values = {"fence": names, "fences": len(entered) + len(state.left)}
    if state.raised_ms is None:
        state = replace(state, raised_ms=at_ms, values=values)
        return state, [_finding(state, Change.RAISE, at_ms)]
    if values == state.values:
        return state, []
    state = replace(state, values=values)
    return state, [_finding(state, Change.UPDATE, at_ms)]


def _concerns(fence: Fence, position: VehiclePosition) -> bool:
    return (not fence.vehicles or position.vehicle_id in fence.vehicles) and (
        not fence.routes or position.route in fence.routes
    )


def _holds(fence: Fence, position: VehiclePosition) -> bool:
    if fence.areas:
        return position.district in fence.areas or position.mahalla in fence.areas
    return inside(fence.polygon, position.lon, position.lat)


def _finding(state: FenceState, change: Change, at_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="vehicle",
        source_id=state.vehicle_id,
        key=state.vehicle_id,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=max(at_ms, state.raised_ms or 0),
        values=state.values,
    )


DETECTOR = Detector(rule=RULE, state=FenceState, takes=(VehiclePosition,), key=vehicle_key, step=step, tick=tick)
