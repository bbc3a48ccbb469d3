"""Vehicle silent: a vehicle that was at work says nothing any more.

At work is who drove, or ran its engine, on a route within the last minutes before the silence: a parked bus may be
silent. While the whole feed is silent nothing is said of its vehicles; the silence of a feed is a rule of its own.
Silence counts by the time of receipt.
"""

from __future__ import annotations

from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.spell import vehicle_key
from city.events import VehiclePosition
from city.rules.transport import VehicleSilent

RULE = "vehicle_silent"
# Faster than this is driving, whatever jitters.
DRIVES_MPS = 1.5
# A speaking vehicle's state is written down so often; in between the picture knows better.
NOTE_EVERY_MS = 60_000
# Somebody else must have spoken within so long, or it is the feed that is silent.
FEED_SPOKE_MS = 15_000
# Who has spoken just now is found among the first few of so many; a bound for the time that all are silent.
ASKED_MAX = 2_000
# After the feed's own silence its vehicles get so long to be heard.
AGAIN_AFTER_MS = 30_000


class SilentState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A vehicle at work."""

    vehicle_id: str
    spoke_ms: int  # received last, to NOTE_EVERY_MS
    active_ms: int  # received last while it drove or ran its engine, to NOTE_EVERY_MS
    not_before_ms: int = 0  # the feed was silent: asked again then
    feed_back: bool = False  # and speaks again since the last time
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return True


def step(
    state: SilentState | None, position: VehiclePosition, rule: VehicleSilent, city: City
) -> tuple[SilentState | None, list[Finding]]:
    """Hear a vehicle."""
    at_ms = position.received_ms
    at_work = position.route is not None and _works(position)
    if state is None:
        if not at_work:
            return None, []
        return SilentState(vehicle_id=position.vehicle_id, spoke_ms=at_ms, active_ms=at_ms), []
    if at_ms < state.spoke_ms:
        return state, []
    if state.raised_ms is not None:
        found = [_finding(state, Change.CLEAR, max(at_ms, state.raised_ms), at_ms)]
        fresh = SilentState(vehicle_id=state.vehicle_id, spoke_ms=at_ms, active_ms=at_ms)
        return (fresh if at_work else None), found
    if position.ignition is False or position.route is None:
        return None, []
    if at_work:
        if at_ms - state.active_ms < NOTE_EVERY_MS:
            return state, []
        return replace(state, spoke_ms=at_ms, active_ms=at_ms), []
    return (None if at_ms - state.active_ms > rule.active_within_s * 1000 else state), []


def tick(state: SilentState, now_ms: int, rule: VehicleSilent, city: City) -> tuple[SilentState | None, list[Finding]]:
    """Raise what has said nothing for `silent_after_s` while others spoke; forget it after `forget_after_s`."""
    spoke_ms = state.spoke_ms
    if state.raised_ms is not None:
        gone_ms = state.raised_ms + int(rule.forget_after_s * 1000)
        return (state, []) if now_ms < gone_ms else (None, [_finding(state, Change.CLEAR, gone_ms, gone_ms)])
    silent_ms = int(rule.silent_after_s * 1000)
    if now_ms < max(spoke_ms + silent_ms, state.not_before_ms):
        return state, []
    vehicle = city.picture.vehicles.get(state.vehicle_id)
    newest = vehicle.newest if vehicle else None
    if newest is not None:
        spoke_ms = max(spoke_ms, newest.received_ms)
    due_ms = max(spoke_ms, city.watching_since_ms) + silent_ms
    if now_ms < due_ms:
        return state, []
    if spoke_ms - state.active_ms > rule.active_within_s * 1000 + NOTE_EVERY_MS:
        return None, []
    speak = _others_speak(city, now_ms)
    if not speak or (state.not_before_ms and not state.feed_back):
        return replace(state, not_before_ms=now_ms + AGAIN_AFTER_MS, feed_back=speak), []
    state = replace(state, spoke_ms=spoke_ms, raised_ms=now_ms, not_before_ms=0, feed_back=False)
    return state, [_finding(state, Change.RAISE, now_ms, now_ms)]


def _works(position: VehiclePosition) -> bool:
    """Whether it drives or runs its engine; who tells of neither is taken to."""
    if position.ignition is not None:
        return position.ignition
    return position.speed_mps is None or position.speed_mps > DRIVES_MPS


def _others_speak(city: City, now_ms: int) -> bool:
    since_ms = now_ms - FEED_SPOKE_MS
    some = islice(city.picture.vehicles.values(), ASKED_MAX)
    return any(one.position is not None and one.position.received_ms >= since_ms for one in some)


def _finding(state: SilentState, change: Change, at_ms: int, until_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="vehicle",
        source_id=state.vehicle_id,
        key=state.vehicle_id,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={"silent_min": round((until_ms - state.spoke_ms) / 60_000, 1)},
    )


DETECTOR = Detector(rule=RULE, state=SilentState, takes=(VehiclePosition,), key=vehicle_key, step=step, tick=tick)
