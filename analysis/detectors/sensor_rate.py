"""Sensor rate: a quantity rises or falls faster than it may.

The change is that of the value against its lowest and its highest within the limit's time. A value is the median of
three readings, so that one reading that drops out or jumps is no change; so readings must come at least three times
in that time, or nothing is said. Readings in another unit than the limit's are left out (`sensor_threshold` tells of
them where it has a limit too).
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.sensor_source import rounded, sensor_finding
from city.events import SensorReading
from city.rules.sensors import RateLimit, SensorRate

RULE = "sensor_rate"
# Values of the time are kept as the lowest and highest of so many pieces: bounded state, whatever the rate.
PIECES = 8


class Piece(Struct, frozen=True, array_like=True):
    """The lowest and the highest value of a part of the time."""

    begin_ms: int
    end_ms: int
    low: float
    high: float


class RateState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One quantity of one sensor."""

    key: str  # sensor|quantity
    seen_ms: int
    recent: tuple[float, ...]  # the last three readings
    pieces: tuple[Piece, ...] = ()
    change: float = 0.0  # of the alarm that stands …
    within_s: float = 0.0  # … within so long …
    unit: str = ""  # … in this unit
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is not None


def step(
    state: RateState | None, reading: SensorReading, rule: SensorRate, city: City
) -> tuple[RateState | None, list[Finding]]:
    """Take a reading in."""
    limit = _limit(rule, reading)
    if limit is None:
        if state is None or state.raised_ms is None:
            return None, []
        return None, [_finding(state, Change.CLEAR, max(reading.measured_ms, state.raised_ms), reading.value, city)]
    at_ms, within_ms = reading.measured_ms, int(limit.within_s * 1000)
    if reading.unit != limit.unit or (state is not None and at_ms <= state.seen_ms):
        return state, []
    findings: list[Finding] = []
    if state is not None:
        state, findings = tick(state, at_ms, rule, city)
    if state is None or at_ms - state.seen_ms >= within_ms:
        return RateState(key=reading.key, seen_ms=at_ms, recent=(reading.value,)), findings
    recent = (*state.recent, reading.value)[-3:]
    pieces = tuple(piece for piece in state.pieces if piece.end_ms >= at_ms - within_ms)
    state = replace(state, seen_ms=at_ms, recent=recent, pieces=pieces)
    if len(recent) < 3:
        return state, findings
    value = sorted(recent)[1]
    rise = value - min((piece.low for piece in pieces), default=value)
    fall = max((piece.high for piece in pieces), default=value) - value
    state = replace(state, pieces=_with(pieces, at_ms, value, within_ms // PIECES))
    times = max(rise / limit.rise_max if limit.rise_max else 0.0, fall / limit.fall_max if limit.fall_max else 0.0)
    change = rise if limit.rise_max and times == rise / limit.rise_max else -fall
    if state.raised_ms is None and times >= 1:
        state = replace(state, raised_ms=at_ms, change=change, within_s=limit.within_s, unit=limit.unit)
        findings.append(_finding(state, Change.RAISE, at_ms, value, city))
    elif state.raised_ms is not None and times <= rule.clear_share:
        findings.append(_finding(state, Change.CLEAR, at_ms, value, city))
        state = replace(state, raised_ms=None)
    return state, findings


def tick(state: RateState, now_ms: int, rule: SensorRate, city: City) -> tuple[RateState, list[Finding]]:
    """Clear what says nothing any more: nothing is known of its change."""
    del rule
    if state.raised_ms is None:
        return state, []
    due_ms = max(state.seen_ms + int(state.within_s * 1000), state.raised_ms)
    if now_ms < due_ms:
        return state, []
    finding = _finding(state, Change.CLEAR, due_ms, sorted(state.recent)[len(state.recent) // 2], city)
    return replace(state, raised_ms=None), [finding]


def _limit(rule: SensorRate, reading: SensorReading) -> RateLimit | None:
    for limit in rule.limits:
        if limit.fits(reading.sensor_id, reading.network, reading.quantity):
            return limit
    return None


def _with(pieces: tuple[Piece, ...], at_ms: int, value: float, piece_ms: int) -> tuple[Piece, ...]:
    if not pieces or at_ms - pieces[-1].begin_ms > piece_ms:
        return (*pieces, Piece(at_ms, at_ms, value, value))
    last = pieces[-1]
    return (*pieces[:-1], Piece(last.begin_ms, at_ms, min(last.low, value), max(last.high, value)))


def _finding(state: RateState, change: Change, at_ms: int, value: float, city: City) -> Finding:
    return sensor_finding(
        RULE,
        change,
        state.key,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={
            "change": rounded(state.change),
            "value": rounded(value),
            "unit": state.unit,
            "within_s": state.within_s,
        },
        city=city,
    )


def _key(reading: SensorReading) -> str:
    return reading.key


DETECTOR = Detector(rule=RULE, state=RateState, takes=(SensorReading,), key=_key, step=step, tick=tick)
