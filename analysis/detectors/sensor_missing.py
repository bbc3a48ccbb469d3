"""Sensor missing: a sensor that used to speak every so often does not.

So often is its own: it is missing after `times_usual` of its usual interval, after twice the longest interval of late
(forgotten by half in a week), and after `missing_min_s`, whichever is latest; `missing_max_s` at most. It must have
spoken `intervals_min` times before: nothing is expected of who spoke once. Intervals are by the sensor's own clock,
the silence by Markaz's: a clock that is wrong is no silence. While nobody listened (the store or the alarms were
away) there is none either.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.sensor_source import sensor_finding
from city.events import SensorReading
from city.rules.sensors import SensorMissing

RULE = "sensor_missing"
# The newest interval's weight in the usual one, which is a plain mean before.
NEWEST = 0.1
HALF_LIFE_MS = 7 * 86_400_000


class MissingState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How often one quantity of one sensor comes."""

    key: str  # sensor|quantity
    last_ms: int  # when the newest reading was measured
    heard_ms: int  # when it came
    intervals: int = 0  # up to intervals_min, or until a mean of them is one of the last ten
    usual_ms: float = 0.0
    longest_ms: int = 0  # as of last_ms
    due_ms: int | None = None  # when it would be missing
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.due_ms is not None and self.raised_ms is None


def step(
    state: MissingState | None, reading: SensorReading, rule: SensorMissing, city: City
) -> tuple[MissingState | None, list[Finding]]:
    """Take a reading in."""
    at_ms, heard_ms = reading.measured_ms, reading.received_ms
    if state is None:
        return MissingState(key=reading.key, last_ms=at_ms, heard_ms=heard_ms), []
    if at_ms <= state.last_ms:
        return state, []
    state, findings = tick(state, heard_ms, rule, city)
    heard_ms = max(heard_ms, state.heard_ms)
    missed = state.raised_ms is not None
    if state.raised_ms is not None:
        findings.append(_finding(state, Change.CLEAR, max(heard_ms, state.raised_ms), city))
    state = _learned(state, at_ms, failed=missed, rule=rule)
    state = replace(state, last_ms=at_ms, heard_ms=heard_ms, raised_ms=None)
    return replace(state, due_ms=_due_ms(state, rule, city)), findings


def tick(state: MissingState, now_ms: int, rule: SensorMissing, city: City) -> tuple[MissingState, list[Finding]]:
    """Raise what has not been heard of for too long."""
    if state.due_ms is None or state.raised_ms is not None or now_ms < state.due_ms:
        return state, []
    # Somebody may have begun to listen only lately.
    due_ms = _due_ms(state, rule, city)
    if due_ms is None or now_ms < due_ms:
        return replace(state, due_ms=due_ms), []
    state = replace(state, due_ms=due_ms, raised_ms=due_ms)
    return state, [_finding(state, Change.RAISE, due_ms, city)]


def _learned(state: MissingState, at_ms: int, *, failed: bool, rule: SensorMissing) -> MissingState:
    interval_ms = at_ms - state.last_ms
    # Neither a failure nor what may be one is usual.
    if failed or interval_ms > rule.missing_max_s * 1000:
        return state
    intervals = min(state.intervals + 1, max(rule.intervals_min, round(1 / NEWEST)))
    weight = max(NEWEST, 1 / intervals)
    longest_ms = int(state.longest_ms * 0.5 ** (interval_ms / HALF_LIFE_MS))
    return replace(
        state,
        intervals=intervals,
        usual_ms=round(state.usual_ms + weight * (interval_ms - state.usual_ms), 1),
        longest_ms=max(longest_ms, interval_ms),
    )


def _due_ms(state: MissingState, rule: SensorMissing, city: City) -> int | None:
    if state.intervals < rule.intervals_min:
        return None
    silent_ms = max(rule.times_usual * state.usual_ms, 2 * state.longest_ms, rule.missing_min_s * 1000)
    return max(state.heard_ms, city.watching_since_ms) + int(min(silent_ms, rule.missing_max_s * 1000))


def _finding(state: MissingState, change: Change, at_ms: int, city: City) -> Finding:
    return sensor_finding(
        RULE,
        change,
        state.key,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={"silent_s": round((at_ms - state.heard_ms) / 1000), "usual_s": round(state.usual_ms / 1000)},
        city=city,
    )


def _key(reading: SensorReading) -> str:
    return reading.key


DETECTOR = Detector(rule=RULE, state=MissingState, takes=(SensorReading,), key=_key, step=step, tick=tick)
