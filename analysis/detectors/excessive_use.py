"""Excessive use: a vehicle burns much more a kilometre than it used to: a fault, a way of driving, or a slow theft.

Use is taken over windows of `min_km` by the odometer, from the vehicle's counter of litres burned, else from the level.
A refuel begins the window anew. The baseline is the median of the vehicle's own earlier windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.fuel_level import dropped_out
from analysis.detectors.spell import Values, vehicle_key
from city.events import FuelReading
from city.rules.transport import ExcessiveUse

RULE = "excessive_use"
# A level is looked at once in so many metres: often enough for a median, rarely enough to be cheap.
LOOK_EVERY_M = 1_000.0
# The level at either end of a window is the median of so many looks: slosh falls out.
LOOKS = 5
# A level that is higher than the median before it by more than any slosh was filled up.
FILLED_L = 20.0
# An odometer that leaps by more between two looks was changed, or the vehicle drove unheard.
LEAP_M = 50_000.0
# The odometer belongs to the reading if it was told about then.
ODOMETER_FRESH_MS = 120_000
WINDOWS_KEPT = 15


class UseState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One vehicle's window at hand, and its earlier ones."""

    vehicle_id: str
    seen_ms: int = 0
    at_m: float = 0.0  # odometer at the last look
    levels: tuple[float, ...] = ()  # litres at the last looks
    counter_l: float | None = None  # the vehicle's own at the last look
    start_m: float | None = None
    start_l: float = 0.0  # level, or counter, at the window's start
    windows: tuple[float, ...] = ()  # litres per 100 km, newest last
    raised_ms: int | None = None
    values: Values = {}

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return False


def step(
    state: UseState | None, reading: FuelReading, rule: ExcessiveUse, city: City
) -> tuple[UseState | None, Sequence[Finding]]:
    """Take a fuel reading in; the same state until the vehicle has driven on."""
    odometer_m = _odometer_m(reading, city)
    if odometer_m is None or (state is not None and reading.measured_ms <= state.seen_ms):
        return state, ()
    if state is not None and 0 <= odometer_m - state.at_m < LOOK_EVERY_M:
        return state, ()
    level_l = reading.level_l
    if level_l is None and reading.level_pct is not None and reading.capacity_l:
        level_l = reading.level_pct * reading.capacity_l / 100
    if state is None:
        state = UseState(vehicle_id=reading.vehicle_id, at_m=odometer_m)
    looked = replace(state, seen_ms=reading.measured_ms, at_m=odometer_m)
    counter_l = reading.used_l
    if not 0 <= odometer_m - state.at_m <= LEAP_M or (counter_l is None) != (state.counter_l is None):
        # Nobody knows what it burned in between, or it is told in another way from now on.
        return replace(looked, levels=(), counter_l=counter_l, start_m=None), ()
    if counter_l is not None:
        if state.start_m is None or counter_l < (state.counter_l or 0.0):
            return replace(looked, counter_l=counter_l, start_m=odometer_m, start_l=counter_l), ()
        return _window(replace(looked, counter_l=counter_l), counter_l - state.start_l, counter_l, rule)
    if level_l is None or dropped_out(state.levels[-1] if state.levels else None, level_l):
        return looked, ()
    if state.levels and level_l - median(state.levels) > FILLED_L:
        return replace(looked, levels=(level_l,), start_m=None), ()
    looked = replace(looked, levels=(*state.levels, round(level_l, 2))[-LOOKS:])
    if len(looked.levels) < LOOKS:
        return looked, ()
    now_l = median(looked.levels)
    if state.start_m is None:
        return replace(looked, start_m=odometer_m, start_l=now_l), ()
    return _window(looked, state.start_l - now_l, now_l, rule)


def _window(state: UseState, used_l: float, now_l: float, rule: ExcessiveUse) -> tuple[UseState, Sequence[Finding]]:
    """Close the window if it is long enough, and hold it against the earlier ones."""
    driven_m = state.at_m - (state.start_m or 0.0)
    if driven_m < 1000 * rule.min_km:
        return state, ()
    use = round(max(0.0, used_l) / driven_m * 100_000, 2)
    earlier = state.windows
    state = replace(state, windows=(*earlier, use)[-WINDOWS_KEPT:], start_m=state.at_m, start_l=now_l)
    usual = median(earlier) if len(earlier) >= rule.baseline_windows else 0.0
    if usual <= 0:
        return state, ()
    values: Values = {
        "use_l_100km": round(use, 1),
        "usual_l_100km": round(usual, 1),
        "more_pct": round(100 * (use / usual - 1)),
        "driven_km": round(driven_m / 1000),
    }
    at_ms = state.seen_ms
    if use > rule.factor_max * usual:
        change = Change.RAISE if state.raised_ms is None else Change.UPDATE
        raised_ms = at_ms if state.raised_ms is None else state.raised_ms
        state = replace(state, raised_ms=raised_ms, values=values)
    elif state.raised_ms is not None and use <= rule.factor_clear * usual:
        change, raised_ms = Change.CLEAR, state.raised_ms
        state = replace(state, raised_ms=None, values={})
    else:
        return state, ()
    found = Finding(
        rule=RULE,
        change=change,
        source_kind="vehicle",
        source_id=state.vehicle_id,
        key=state.vehicle_id,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values=values,
    )
    return state, (found,)


def _odometer_m(reading: FuelReading, city: City) -> float | None:
    vehicle = city.picture.vehicles.get(reading.vehicle_id)
    position = vehicle.position if vehicle else None
    if position is None or abs(reading.measured_ms - position.measured_ms) > ODOMETER_FRESH_MS:
        return None
    return position.odometer_m


DETECTOR = Detector(rule=RULE, state=UseState, takes=(FuelReading,), key=vehicle_key, step=step)
