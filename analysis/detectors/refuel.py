"""Refuel: litres came into a tank. An event for the journal: raised and cleared at once, when the level has settled.

The loss of a tank turned upside down (`fuel_level`): a rise that every one of several readings sees, above what the
gauge swings by itself. It counts over gaps of any length too, because fuel never comes by itself. Readings on the road
take part, but somewhere between the level before and the level now the vehicle must have stood, or not been heard.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.fuel_level import DIGITS, Gauge, Level, dropped_out, forgotten, needed, restart, scattered, take
from analysis.detectors.spell import vehicle_key
from city.events import FuelReading
from city.rules.transport import Refuel

RULE = "refuel"
# A tank upside down: no bus has a higher one, and what is left of this number is never zero.
TOP = 1e6
# What sinks by more was burned, and is no slosh.
SURELY_BURNED_L = 20.0
# The last word about motion is worth nothing after so long.
MOTION_FORGOTTEN_MS = 120_000
# So much more, in litres, is still the same refuel going on.
STILL_RISES_L = 1.0
# A tank that is filled for longer than this is told as it is then.
FILLS_MAX_MS = 3_600_000


class Filling(Struct, frozen=True, array_like=True, gc=False):
    """A refuel that goes on."""

    before_l: float
    level_l: float
    since_ms: int
    risen_ms: int  # when the level was seen to rise last
    litres: float  # in one unit of the gauge that saw it


class RefuelState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vehicle's tank, upside down."""

    vehicle_id: str
    seen_ms: int = 0
    stood_ms: int = 0  # newest reading at rest, or first after a gap
    capacity_l: float | None = None
    litres: Gauge = Gauge()
    percents: Gauge = Gauge()
    filling: Filling | None = None

    @property
    def raised_ms(self) -> int | None:
        """A refuel is over when it is told."""
        return None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.filling is not None


def step(
    state: RefuelState | None, reading: FuelReading, rule: Refuel, city: City
) -> tuple[RefuelState | None, Sequence[Finding]]:
    """Take a fuel reading in."""
    at_ms = reading.measured_ms
    if state is None:
        state = RefuelState(vehicle_id=reading.vehicle_id)
    elif at_ms <= state.seen_ms:
        return state, ()
    capacity_l = reading.capacity_l or state.capacity_l
    if reading.level_l is not None:
        gauge, value, litres = state.litres, reading.level_l, 1.0
    elif reading.level_pct is not None and capacity_l:
        gauge, value, litres = state.percents, reading.level_pct, capacity_l / 100
    else:
        return replace(state, capacity_l=capacity_l), ()
    if value >= TOP or dropped_out(TOP - gauge.recent[-1].value if gauge.recent else None, value):
        return state, ()
    confirm, least = rule.confirm_readings, rule.rise_min_l / litres
    silent = at_ms - state.seen_ms > MOTION_FORGOTTEN_MS
    stood_ms = at_ms if silent or not _drives(reading, rule, city) else state.stood_ms
    gauge, rise = take(
        gauge,
        Level(at_ms, round(TOP - value, DIGITS)),
        confirm=confirm,
        window_ms=int(rule.window_s * 1000),
        since_ms=0,
        fills=TOP,
        surely_filled=SURELY_BURNED_L / litres,
        over_gaps=True,
    )
    state = replace(state, seen_ms=at_ms, stood_ms=stood_ms, capacity_l=capacity_l)
    found: Sequence[Finding] = ()
    if state.filling is not None:
        now_l = litres * (TOP - max(one.value for one in gauge.recent[-confirm:]))
        state = _goes_on(state, state.filling, now_l, at_ms, litres)
        state, found = tick(state, at_ms, rule, city)
        gauge = restart(gauge, confirm=confirm)
    elif (
        rise is not None
        and rise.surely >= needed(gauge, least, at_ms)
        and stood_ms >= at_ms - rise.within_ms
        and not scattered(gauge, rise)
    ):
        before_l, level_l = litres * (TOP - rise.before), litres * (TOP - rise.now)
        state = replace(state, filling=Filling(before_l, level_l, at_ms, at_ms, litres))
        gauge = restart(gauge, confirm=confirm)
        # What was found once must not be found by the other gauge too.
        state = replace(state, litres=forgotten(state.litres), percents=forgotten(state.percents))
    return (replace(state, litres=gauge) if reading.level_l is not None else replace(state, percents=gauge)), found


def tick(state: RefuelState, now_ms: int, rule: Refuel, city: City) -> tuple[RefuelState, Sequence[Finding]]:
    """Tell of the refuel when its level has settled."""
    filling = state.filling
    if filling is None:
        return state, ()
    due_ms = min(filling.risen_ms + int(rule.settle_s * 1000), filling.since_ms + FILLS_MAX_MS)
    if now_ms < due_ms:
        return state, ()
    values: dict[str, float | str] = {
        "filled_l": round(filling.level_l - filling.before_l, 1),
        "before_l": round(filling.before_l, 1),
        "level_l": round(filling.level_l, 1),
    }
    found = tuple(
        Finding(
            rule=RULE,
            change=change,
            source_kind="vehicle",
            source_id=state.vehicle_id,
            key=state.vehicle_id,
            raised_ms=due_ms,
            at_ms=due_ms,
            values=values,
        )
        for change in (Change.RAISE, Change.CLEAR)
    )
    return replace(state, filling=None), found


def _goes_on(state: RefuelState, filling: Filling, level_l: float, at_ms: int, litres: float) -> RefuelState:
    if litres != filling.litres or level_l < filling.level_l + STILL_RISES_L:
        return state
    return replace(state, filling=replace(filling, level_l=level_l, risen_ms=at_ms))


def _drives(reading: FuelReading, rule: Refuel, city: City) -> bool:
    """Whether the vehicle is known to drive."""
    vehicle = city.picture.vehicles.get(reading.vehicle_id)
    position = vehicle.position if vehicle else None
    if position is None or position.speed_mps is None:
        return False
    fresh = abs(reading.measured_ms - position.measured_ms) <= MOTION_FORGOTTEN_MS
    return fresh and position.speed_mps > rule.standing_speed_mps


DETECTOR = Detector(rule=RULE, state=RefuelState, takes=(FuelReading,), key=vehicle_key, step=step, tick=tick)
