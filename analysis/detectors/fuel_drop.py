"""Fuel drop: litres vanish from a tank while the vehicle stands.

Driving burns fuel and shakes the gauge, so a loss counts only from the level with which the vehicle
came to stand. It may be confirmed by readings after it drove on: `confirm_readings` of them at most.
A vehicle whose motion is unknown counts as standing: no bus burns `drop_min_l` within the window.
"""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.finding import Change, Finding
from analysis.detectors.fuel_level import Gauge, Level, Loss, restart, steady, take
from city.events import FuelReading, VehiclePosition
from city.rules.transport import FuelDrop

RULE = "fuel_drop"
# A satellite fix at rest jitters: one reading over the rule's speed is a twitch, up to so many times that speed.
TWITCH = 5
# Without a speed, a vehicle moves when it is so far from where it was, and stands after so long near it.
MOVED_M = 30.0
RESTS_AFTER_MS = 60_000
# The last word about motion is worth nothing after so long.
MOTION_FORGOTTEN_MS = 300_000
METRES_PER_DEGREE = 111_195.0
# Gauges are remembered to the millilitre, and a thousandth of a per cent: short to keep.
DIGITS = 3
ROUNDING_L = 0.01


class FuelState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vehicle's tank and motion."""

    vehicle_id: str
    moving: bool | None = None
    twitched: bool = False
    stopped_ms: int = 0  # when it came to stand last
    driven_readings: int = 0  # fuel readings since it drove off
    anchor: tuple[int, float, float] | None = None  # ms, lat, lon; of vehicles that give no speed
    capacity_l: float | None = None
    seen_ms: int = 0  # newest fuel reading
    litres: Gauge = Gauge()
    percents: Gauge = Gauge()
    raised_ms: int | None = None
    changed_ms: int = 0  # last loss of the open alarm
    lost_l: float = 0.0  # of the open alarm
    level_l: float = 0.0

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is not None


def motion(state: FuelState, position: VehiclePosition, rule: FuelDrop) -> FuelState:
    """Take the vehicle's motion in; the same state while nothing changes."""
    speed_mps = position.speed_mps
    if speed_mps is None:
        return _motion_by_place(state, position, rule)
    if speed_mps <= rule.standing_speed_mps:
        if state.moving is False:
            return replace(state, twitched=False) if state.twitched else state
        return _stop(state, position.measured_ms, rule)
    if state.moving:
        return state
    if state.moving is False and not state.twitched and speed_mps <= TWITCH * rule.standing_speed_mps:
        return replace(state, twitched=True)
    return replace(state, moving=True, twitched=False, driven_readings=0)


def step(
    state: FuelState, reading: FuelReading, rule: FuelDrop, motion_ms: int | None
) -> tuple[FuelState, list[Finding]]:
    """Take a fuel reading in; `motion_ms` is when the vehicle last told where it is."""
    if reading.measured_ms <= state.seen_ms:
        return state, []
    state, findings = tick(state, reading.measured_ms, rule)
    state = replace(state, seen_ms=reading.measured_ms, capacity_l=reading.capacity_l or state.capacity_l)
    if state.moving and (motion_ms is None or reading.measured_ms - motion_ms > MOTION_FORGOTTEN_MS):
        state = replace(_stop(state, reading.measured_ms, rule), moving=None)
    if state.moving:
        state = replace(state, driven_readings=state.driven_readings + 1)
    # The gauge's own litres where it gives them; a percentage and a capacity may disagree with them,
    # so the two are never compared with each other.
    if reading.level_l is not None:
        gauge, value, litres = state.litres, reading.level_l, 1.0
    elif reading.level_pct is not None and state.capacity_l:
        gauge, value, litres = state.percents, reading.level_pct, state.capacity_l / 100
    else:
        return state, findings
    confirm = rule.confirm_readings
    gauge, loss = take(
        gauge,
        Level(reading.measured_ms, round(value, DIGITS)),
        confirm=confirm,
        window_ms=int(rule.window_s * 1000),
        since_ms=state.stopped_ms,
    )
    if state.moving and state.driven_readings > confirm:
        gauge, loss = Gauge(gauge.recent), None
    lost_l = loss.amount * litres if loss else 0.0
    # An open alarm follows a loss that goes on in halves of the threshold.
    needed_l = rule.drop_min_l if state.raised_ms is None else rule.drop_min_l / 2
    if loss is None or lost_l < needed_l - ROUNDING_L:
        return _with_gauge(state, reading, gauge), findings
    # Both gauges start again: what was found once must not be found by the other too.
    state = replace(state, litres=Gauge(), percents=Gauge())
    state = _with_gauge(state, reading, restart(gauge, confirm=confirm))
    return _lost(state, reading, loss, litres, findings)


def tick(state: FuelState, now_ms: int, rule: FuelDrop) -> tuple[FuelState, list[Finding]]:
    """Clear what lost nothing more for `clear_after_s`: the litres do not come back by themselves."""
    due_ms = state.changed_ms + int(rule.clear_after_s * 1000)
    if state.raised_ms is None or now_ms < due_ms:
        return state, []
    values: dict[str, float | str] = {"lost_l": round(state.lost_l, 1), "level_l": round(state.level_l, 1)}
    finding = _finding(state, Change.CLEAR, state.raised_ms, due_ms, values)
    return replace(state, raised_ms=None, lost_l=0.0), [finding]


def _lost(
    state: FuelState, reading: FuelReading, loss: Loss, litres: float, findings: list[Finding]
) -> tuple[FuelState, list[Finding]]:
    at_ms = reading.measured_ms
    risen = state.raised_ms is None
    raised_ms = at_ms if state.raised_ms is None else state.raised_ms
    state = replace(
        state,
        raised_ms=raised_ms,
        changed_ms=at_ms,
        lost_l=state.lost_l + loss.amount * litres,
        level_l=loss.now * litres,
    )
    values: dict[str, float | str] = {
        "lost_l": round(state.lost_l, 1),
        "before_l": round(state.level_l + state.lost_l, 1),
        "level_l": round(state.level_l, 1),
        "within_s": round(loss.within_ms / 1000),
    }
    findings.append(_finding(state, Change.RAISE if risen else Change.UPDATE, raised_ms, at_ms, values))
    return state, findings


def _stop(state: FuelState, at_ms: int, rule: FuelDrop) -> FuelState:
    """The vehicle came to stand: from here on a loss counts, against the level it came with."""
    confirm = rule.confirm_readings
    suspected = state.driven_readings <= confirm and (
        _sunken_l(state.litres, 1.0) >= rule.drop_min_l
        or _sunken_l(state.percents, (state.capacity_l or 0) / 100) >= rule.drop_min_l
    )
    if suspected or state.moving is None:
        # A loss at the last stop is not confirmed yet; or this is no stop, only the first word of one.
        return replace(state, moving=False, twitched=False, driven_readings=0)
    return replace(
        state,
        moving=False,
        twitched=False,
        driven_readings=0,
        stopped_ms=at_ms,
        litres=restart(state.litres, confirm=confirm),
        percents=restart(state.percents, confirm=confirm),
    )


def _sunken_l(gauge: Gauge, litres: float) -> float:
    if not gauge.peaks or not gauge.recent:
        return 0.0
    return (gauge.peaks[0].value - steady(gauge.recent[-1:])) * litres


def _motion_by_place(state: FuelState, position: VehiclePosition, rule: FuelDrop) -> FuelState:
    here = (position.measured_ms, position.lat, position.lon)
    if state.anchor is None:
        return replace(state, anchor=here)
    since_ms, lat, lon = state.anchor
    east_m = (position.lon - lon) * METRES_PER_DEGREE * math.cos(math.radians(lat))
    if math.hypot((position.lat - lat) * METRES_PER_DEGREE, east_m) > MOVED_M:
        driven = state.driven_readings if state.moving else 0
        return replace(state, anchor=here, moving=True, twitched=False, driven_readings=driven)
    if state.moving is not False and position.measured_ms - since_ms > RESTS_AFTER_MS:
        return _stop(state, position.measured_ms, rule)
    return state


def _with_gauge(state: FuelState, reading: FuelReading, gauge: Gauge) -> FuelState:
    return replace(state, litres=gauge) if reading.level_l is not None else replace(state, percents=gauge)


def _finding(state: FuelState, change: Change, raised_ms: int, at_ms: int, values: dict[str, float | str]) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="vehicle",
        source_id=state.vehicle_id,
        key=state.vehicle_id,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values=values,
    )
