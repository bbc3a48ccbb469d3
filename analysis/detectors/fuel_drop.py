"""Fuel drop: litres vanish from a tank while the vehicle stands.

Driving burns fuel and shakes the gauge, so a loss counts only from the level with which the vehicle
came to stand. It may be confirmed by readings after it drove on, but one at least must see it at rest.
A vehicle whose motion is unknown counts as standing: no bus burns `drop_min_l` within the window.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.fuel_level import (
    DIGITS,
    SWING_FACTOR,
    SWING_FACTOR_UNHEARD,
    Gauge,
    Level,
    Loss,
    dropped_out,
    drove,
    forgotten,
    needed,
    restart,
    scattered,
    shaken,
    steady,
    take,
    untaught,
)
from analysis.detectors.spell import vehicle_key
from analysis.geometry import distance_m
from city.events import FuelReading, VehiclePosition
from city.rules.transport import FuelDrop

RULE = "fuel_drop"
# A satellite fix at rest jitters: one reading over the rule's speed is a twitch, up to so many times that speed.
TWITCH = 5
# Who is so far from where it stood has driven, whatever its speed says; without a speed, it stands after so long near
# a place.
MOVED_M = 30.0
RESTS_AFTER_MS = 60_000
# From rest, with an even acceleration, a way takes twice as long as at the speed of its end.
LEFT_SLOWER = 2.0
# Without a speed: it left within so long before its next place, about.
LEFT_WITHIN_MS = 30_000
# The last word about motion is worth nothing after so long.
MOTION_FORGOTTEN_MS = 300_000
# … and that a vehicle with its engine on stands, after so long.
FRESH_MS = 45_000
# Nobody draws a tank in less.
STANDS_MIN_MS = 60_000
ROUNDING_L = 0.01
# The readings that confirm a loss tremble: each of them must see so much of it, their median the whole. Where some were
# taken on the road all must see the whole.
SURELY_SHARE = 0.7
# What comes back with more than this was filled up; with less the loss before it was slosh.
SURELY_FILLED_L = 20.0
# Of a tank whose motion nobody tells, a day shows how it sloshes; until then only more than any slosh is a loss.
STRANGE_MS = 86_400_000


class FuelState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vehicle's tank and motion."""

    vehicle_id: str
    moving: bool | None = None
    twitched: bool = False
    stopped_ms: int = 0  # when it came to stand last
    driven_readings: int = 0  # fuel readings since it drove off
    away: bool = False  # it stands elsewhere, and a loss at its last stop is not confirmed yet
    anchor: tuple[int, float, float] | None = None  # ms, lat, lon: where it stands, or may
    capacity_l: float | None = None
    first_ms: int = 0  # first fuel reading
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


def step(
    state: FuelState | None, seen: VehiclePosition | FuelReading, rule: FuelDrop, city: City
) -> tuple[FuelState | None, Sequence[Finding]]:
    """Take a fuel reading or the vehicle's motion in. Who never read a tank has no state."""
    if isinstance(seen, VehiclePosition):
        return (None if state is None else motion(state, seen, rule)), ()
    vehicle = city.picture.vehicles.get(seen.vehicle_id)
    position = vehicle.position if vehicle else None
    if state is None:
        state = FuelState(vehicle_id=seen.vehicle_id)
        if position is not None:
            state = motion(state, position, rule)
    return read(state, seen, rule, None if position is None else position.measured_ms)


def motion(state: FuelState, position: VehiclePosition, rule: FuelDrop) -> FuelState:
    """Take the vehicle's motion in; the same state while nothing changes."""
    speed_mps = position.speed_mps
    if speed_mps is None:
        return _motion_by_place(state, position, rule)
    if speed_mps <= rule.standing_speed_mps:
        if state.moving is False and _shift_m(state, position) <= MOVED_M:
            return replace(state, twitched=False) if state.twitched else state
        return _stop(state, position, position.measured_ms, rule)
    if state.moving:
        return state
    if state.moving is False and not state.twitched and speed_mps <= TWITCH * rule.standing_speed_mps:
        return replace(state, twitched=True)
    driven = state.driven_readings
    if state.moving is False and not state.away:
        if position.measured_ms - state.stopped_ms < STANDS_MIN_MS:
            driven = rule.confirm_readings  # what a reading at such a stop saw is slosh
        elif _left_ms(state, position, speed_mps) < state.seen_ms:
            driven = 1  # that reading was taken on the road, whatever the last position before it said
    return replace(state, moving=True, twitched=False, driven_readings=driven)


def read(
    state: FuelState, reading: FuelReading, rule: FuelDrop, motion_ms: int | None
) -> tuple[FuelState, list[Finding]]:
    """Take a fuel reading in; `motion_ms` is when the vehicle last told where it is."""
    at_ms = reading.measured_ms
    if at_ms <= state.seen_ms:
        return state, []
    state, findings = _cleared(state, at_ms, rule)
    state = replace(
        state, seen_ms=at_ms, first_ms=state.first_ms or at_ms, capacity_l=reading.capacity_l or state.capacity_l
    )
    known = motion_ms is not None and at_ms - motion_ms <= MOTION_FORGOTTEN_MS
    if state.moving and not known:
        state = replace(_stop(state, None, at_ms, rule), moving=None)
    # The gauge's own litres where it gives them; a percentage and a capacity may disagree with them,
    # so the two are never compared with each other.
    if reading.level_l is not None:
        gauge, value, litres = state.litres, reading.level_l, 1.0
    elif reading.level_pct is not None and state.capacity_l:
        gauge, value, litres = state.percents, reading.level_pct, state.capacity_l / 100
    else:
        return state, findings
    if dropped_out(gauge.recent[-1].value if gauge.recent else None, value):
        return state, findings
    if state.moving is False and motion_ms is not None and reading.ignition and at_ms - motion_ms > FRESH_MS:
        # Its engine runs and nobody tells where it is: it may have left.
        state = replace(state, away=True)
    if state.moving or state.away:
        state = replace(state, driven_readings=state.driven_readings + 1)
    confirm, least = rule.confirm_readings, rule.drop_min_l / litres
    gauge, loss = take(
        gauge,
        Level(at_ms, round(value, DIGITS)),
        confirm=confirm,
        window_ms=int(rule.window_s * 1000),
        since_ms=state.stopped_ms,
        fills=least,
        surely_filled=SURELY_FILLED_L / litres,
        # Who stands where it stood before the gap has not burned it.
        over_gaps=known and state.moving is False,
    )
    if state.driven_readings:
        gauge = untaught(gauge, _gauge(state, reading))
    if state.moving:
        gauge = shaken(gauge, SURELY_FILLED_L / litres)
    if (state.moving or state.away) and state.driven_readings >= confirm:
        # Slosh while driving says nothing of the slosh at rest.
        gauge, loss = drove(gauge, _gauge(state, reading)), None
        if state.away:
            # Stop and go is no rest: what was not confirmed by now is over, and this is a stop like any other.
            state = replace(state, away=False, driven_readings=0, stopped_ms=at_ms)
    # An open alarm follows a loss that goes on in halves of the threshold.
    factor = SWING_FACTOR_UNHEARD if state.moving is None else SWING_FACTOR
    needed_l = litres * needed(gauge, least if state.raised_ms is None else least / 2, at_ms, factor)
    if state.moving is None and at_ms - state.first_ms < STRANGE_MS:
        needed_l = max(needed_l, SURELY_FILLED_L)
    if (
        loss is None
        or loss.amount * litres < needed_l - ROUNDING_L
        or loss.surely * litres < (1.0 if state.driven_readings else SURELY_SHARE) * needed_l - ROUNDING_L
        or scattered(gauge, loss)
    ):
        return _with_gauge(state, reading, gauge), findings
    # Both gauges start again: what was found once must not be found by the other too.
    state = replace(state, litres=forgotten(state.litres), percents=forgotten(state.percents))
    state = _with_gauge(state, reading, restart(gauge, confirm=confirm, loss=loss))
    return _lost(state, reading, loss, litres, findings)


def tick(state: FuelState, now_ms: int, rule: FuelDrop, city: City) -> tuple[FuelState, list[Finding]]:
    """Clear what lost nothing more for `clear_after_s`: the litres do not come back by themselves."""
    return _cleared(state, now_ms, rule)


def _cleared(state: FuelState, now_ms: int, rule: FuelDrop) -> tuple[FuelState, list[Finding]]:
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


def _stop(state: FuelState, position: VehiclePosition | None, at_ms: int, rule: FuelDrop) -> FuelState:
    """The vehicle came to stand: from here on a loss counts, against the level it came with."""
    away = state.away
    if position is not None and position.speed_mps is not None:
        away = away or (state.anchor is not None and _way_m(state.anchor, position) > MOVED_M)
        state = replace(state, anchor=(at_ms, position.lat, position.lon))
    confirm = rule.confirm_readings
    suspected = state.driven_readings < confirm and _suspected(state, rule)
    if suspected or state.moving is None:
        # A loss at the last stop is not confirmed yet; or this is no stop, only the first word of one.
        # Who stands elsewhere and was not seen to drive there may have been read on its way.
        unseen = state.moving is False
        readings = max(state.driven_readings, unseen) if away and suspected else 0
        return replace(state, moving=False, twitched=False, driven_readings=readings, away=away and suspected)
    return replace(
        state,
        moving=False,
        twitched=False,
        driven_readings=0,
        away=False,
        stopped_ms=at_ms,
        litres=restart(state.litres, confirm=confirm, road=True),
        percents=restart(state.percents, confirm=confirm, road=True),
    )


def _suspected(state: FuelState, rule: FuelDrop) -> bool:
    """Whether the newest reading sees a loss."""
    return (
        _sunken_l(state.litres, 1.0) >= rule.drop_min_l
        or _sunken_l(state.percents, (state.capacity_l or 0) / 100) >= rule.drop_min_l
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
    if distance_m(lat, lon, position.lat, position.lon) > MOVED_M:
        driven = state.driven_readings if state.moving else 0
        if state.moving is False and not state.away and position.measured_ms - state.seen_ms <= LEFT_WITHIN_MS:
            driven = 1  # the last reading may be from after it left
        return replace(state, anchor=here, moving=True, twitched=False, driven_readings=driven)
    if state.moving is not False and position.measured_ms - since_ms > RESTS_AFTER_MS:
        return _stop(state, position, position.measured_ms, rule)
    return state


def _left_ms(state: FuelState, position: VehiclePosition, speed_mps: float) -> int:
    """When a vehicle that drives now left where it stood, by its way and its speed."""
    if state.anchor is None:
        return position.measured_ms
    took_ms = 1000 * LEFT_SLOWER * _way_m(state.anchor, position) / speed_mps
    return position.measured_ms - min(MOTION_FORGOTTEN_MS, int(took_ms))


def _way_m(anchor: tuple[int, float, float], position: VehiclePosition) -> float:
    return distance_m(anchor[1], anchor[2], position.lat, position.lon)


def _shift_m(state: FuelState, position: VehiclePosition) -> float:
    """Metres from where it came to stand."""
    if state.anchor is None or (state.anchor[1] == position.lat and state.anchor[2] == position.lon):
        return 0.0
    return _way_m(state.anchor, position)


def _gauge(state: FuelState, reading: FuelReading) -> Gauge:
    return state.litres if reading.level_l is not None else state.percents


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


DETECTOR = Detector(
    rule=RULE,
    state=FuelState,
    takes=(FuelReading, VehiclePosition),
    key=vehicle_key,
    step=step,
    tick=tick,
)
