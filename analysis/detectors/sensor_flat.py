"""Sensor flat: a sensor goes on talking, but its value does not move any more although it used to.

A gauge that hangs looks like a calm network. It is flat when its value stayed within `epsilon` for `flat_min_s` and
for `times_usual` of its own longest such stretch (that is forgotten by half in a week), and only after it was known
for `learn_s` and was seen to change `changes_min` times: a counter that stands still every night is not flat in the
morning, and a leak detector that always says 0 never is. A change of unit, or a gap in its readings, begins anew.

The beginning of a stretch is known to a sixtieth of `flat_min_s`: changes nearer to each other are not written down.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.sensor_source import rounded, sensor_finding
from city.events import SensorReading
from city.rules.sensors import SensorFlat

RULE = "sensor_flat"
# Of flat_min_s: changes within it are one change, and so is what was seen within it.
GRAIN = 60
# Of flat_min_s: a gap of so much between readings ends a stretch, nobody saw the value meanwhile.
GAP = 4
HALF_LIFE_MS = 7 * 86_400_000


class FlatState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One quantity of one sensor."""

    key: str  # sensor|quantity
    first_ms: int  # known since then
    unit: str
    value: float  # of the stretch at hand
    since_ms: int  # its beginning
    seen_ms: int  # newest reading, to a grain
    changes: int = 0  # up to changes_min
    usual_ms: int = 0  # longest stretch so far …
    usual_at_ms: int = 0  # … as of then
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Never: a sensor that says nothing is missing, not flat."""
        return False


def step(
    state: FlatState | None, reading: SensorReading, rule: SensorFlat, city: City
) -> tuple[FlatState | None, list[Finding]]:
    """Take a reading in."""
    at_ms = reading.measured_ms
    flat_ms = int(rule.flat_min_s * 1000)
    if state is None:
        return _fresh(reading), []
    if at_ms < state.seen_ms:
        return state, []
    if reading.unit != state.unit:
        cleared = [] if state.raised_ms is None else [_finding(state, Change.CLEAR, at_ms, city)]
        return _fresh(reading), cleared
    moved = abs(reading.value - state.value) > rule.epsilon
    gap = at_ms - state.seen_ms > flat_ms // GAP
    if not moved and not gap:
        if at_ms - state.seen_ms >= flat_ms // GRAIN:
            state = replace(state, seen_ms=at_ms)
        return _judged(state, at_ms, rule, city)
    if at_ms - state.since_ms < flat_ms // GRAIN:
        return state, []
    findings: list[Finding] = []
    usual_ms = _usual_ms(state, at_ms)
    if moved and state.raised_ms is not None:
        findings.append(_finding(state, Change.CLEAR, at_ms, city))
        state = replace(state, raised_ms=None)
    elif state.raised_ms is None:
        # What was an alarm is not taken for usual.
        usual_ms = max(usual_ms, state.seen_ms - state.since_ms)
    else:
        return replace(state, seen_ms=at_ms), []
    state = replace(
        state,
        value=reading.value,
        since_ms=at_ms,
        seen_ms=at_ms,
        changes=min(rule.changes_min, state.changes + moved),
        usual_ms=usual_ms,
        usual_at_ms=at_ms,
    )
    return state, findings


def _fresh(reading: SensorReading) -> FlatState:
    at_ms = reading.measured_ms
    return FlatState(
        key=reading.key, first_ms=at_ms, unit=reading.unit, value=reading.value, since_ms=at_ms, seen_ms=at_ms
    )


def _usual_ms(state: FlatState, at_ms: int) -> int:
    """The longest stretch, forgotten by half in a week."""
    return int(state.usual_ms * 0.5 ** ((at_ms - state.usual_at_ms) / HALF_LIFE_MS)) if state.usual_ms else 0


def _judged(state: FlatState, at_ms: int, rule: SensorFlat, city: City) -> tuple[FlatState, list[Finding]]:
    known = state.changes >= rule.changes_min and state.since_ms - state.first_ms >= rule.learn_s * 1000
    if state.raised_ms is not None or not known:
        return state, []
    # As of the stretch's beginning: while it lasts nothing is forgotten.
    least_ms = max(rule.flat_min_s * 1000, rule.times_usual * _usual_ms(state, state.since_ms))
    if at_ms - state.since_ms < least_ms:
        return state, []
    state = replace(state, raised_ms=at_ms)
    return state, [_finding(state, Change.RAISE, at_ms, city)]


def _finding(state: FlatState, change: Change, at_ms: int, city: City) -> Finding:
    return sensor_finding(
        RULE,
        change,
        state.key,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={"value": rounded(state.value), "unit": state.unit, "flat_s": round((at_ms - state.since_ms) / 1000)},
        city=city,
    )


def _key(reading: SensorReading) -> str:
    return reading.key


DETECTOR = Detector(rule=RULE, state=FlatState, takes=(SensorReading,), key=_key, step=step)
