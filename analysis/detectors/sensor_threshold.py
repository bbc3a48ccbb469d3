"""Sensor threshold: a quantity is beyond its limits (high-high, high, low, low-low) for longer than its delay.

A value must come back by the deadband and stay there for the off-delay (ISA-18.2-2016, clause 10). There is one
alarm of a sensor's quantity: where the value goes on beyond the extreme limit it ends and rises again with
`priority_extreme`, so that who has acknowledged the first is told again; where it falls from the extreme to the
first limit its numbers change.

Only readings in the limit's own unit are compared. One in another unit is an error of the sensor or of the settings:
it raises an alarm of low priority with `level` `unit`, that stands until an hour has brought none, and changes no
limit's.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.delay import CALM, Changed, Delay, look, wait
from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.sensor_source import outdated, rounded, sensor_finding
from city.alarms import AlarmPriority
from city.events import SensorReading
from city.rules.sensors import SensorLimit, SensorThreshold

RULE = "sensor_threshold"
# A wrong unit among right ones is said once in so long.
UNIT_OFF_S = 3600.0
# Levels, from the weakest on.
NORMAL, UNIT, FIRST, EXTREME = range(4)


class ThresholdState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One quantity of one sensor that is not as it should be."""

    key: str  # sensor|quantity
    side: int = 0  # 1 high, -1 low
    value: float = 0.0  # the last one in the limit's unit
    unit: str = ""  # the wrong one
    wrong: Delay = CALM
    first: Delay = CALM
    extreme: Delay = CALM
    told: int = NORMAL  # what the alarm says
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.wrong.waits or self.first.waits or self.extreme.waits

    @property
    def level(self) -> int:
        """What the alarm has to say."""
        if self.extreme.raised_ms is not None:
            return EXTREME
        if self.first.raised_ms is not None:
            return FIRST
        return NORMAL if self.wrong.raised_ms is None else UNIT


def step(
    state: ThresholdState | None, reading: SensorReading, rule: SensorThreshold, city: City
) -> tuple[ThresholdState | None, list[Finding]]:
    """Take a reading in."""
    limit = _limit(rule, reading)
    if limit is None:
        return _let_go(state, reading.measured_ms, city)
    if outdated(reading, city):
        return state, []
    calm = reading.unit == limit.unit and not _side(reading.value, limit)
    if state is None and calm:
        return None, []
    before = state or ThresholdState(key=reading.key)
    at_ms = reading.measured_ms
    if reading.unit != limit.unit:
        wrong = look(before.wrong, at_ms, over=True, back=False, on_s=0, off_s=UNIT_OFF_S)
        return _moved(replace(before, unit=reading.unit), [(_WRONG, *wrong)], rule, limit, city)
    side, findings = _side(reading.value, limit), list[Finding]()
    if side and before.side and side != before.side:
        # From one side to the other without having been seen in between: the first one's is over.
        waited, findings = _moved(before, _waited(before, at_ms, limit), rule, limit, city)
        before = waited or ThresholdState(key=reading.key)
        if before.told >= FIRST:
            findings.append(_finding(before, Change.CLEAR, at_ms, rule, limit, city))
            before = replace(before, told=NORMAL, raised_ms=None)
        before = replace(before, first=CALM, extreme=CALM)
    wrong = look(before.wrong, at_ms, over=False, back=True, on_s=0, off_s=UNIT_OFF_S)
    before = replace(before, side=side or before.side, value=reading.value)
    first = _looked(before.first, reading, before.side, limit.lowest_high, limit.highest_low, limit)
    extreme = _looked(before.extreme, reading, before.side, limit.high_high, limit.low_low, limit)
    moved: list[_Moved] = [(_WRONG, *wrong), (_FIRST, *first), (_EXTREME, *extreme)]
    state, more = _moved(before, moved, rule, limit, city)
    return state, findings + more


def tick(
    state: ThresholdState, now_ms: int, rule: SensorThreshold, city: City
) -> tuple[ThresholdState | None, list[Finding]]:
    """What the end of a delay brings."""
    reading = city.picture.sensors.get(state.key)
    limit = None if reading is None else _limit(rule, reading)
    if limit is None:
        return (state, []) if reading is None else _let_go(state, now_ms, city)
    return _moved(state, _waited(state, now_ms, limit), rule, limit, city)


_WRONG, _FIRST, _EXTREME = "wrong", "first", "extreme"
_STRENGTH = {_WRONG: UNIT, _FIRST: FIRST, _EXTREME: EXTREME}
_Moved = tuple[str, Delay, list[Changed]]


def _limit(rule: SensorThreshold, reading: SensorReading) -> SensorLimit | None:
    for limit in rule.limits:
        if limit.fits(reading.sensor_id, reading.network, reading.quantity):
            return limit
    return None


def _side(value: float, limit: SensorLimit) -> int:
    """1 at or above a high limit, -1 at or below a low one, 0 between them."""
    high, low = limit.lowest_high, limit.highest_low
    if high is not None and value >= high:
        return 1
    return -1 if low is not None and value <= low else 0


def _looked(
    delay: Delay, reading: SensorReading, side: int, high: float | None, low: float | None, limit: SensorLimit
) -> tuple[Delay, list[Changed]]:
    bound = high if side > 0 else low
    if side == 0 or bound is None:
        return delay, []
    beyond = side * (reading.value - bound)
    return look(
        delay,
        reading.measured_ms,
        over=beyond >= 0,
        back=beyond < 0 and beyond <= -limit.deadband,
        on_s=limit.on_delay_s,
        off_s=limit.off_delay_s,
    )


def _waited(state: ThresholdState, now_ms: int, limit: SensorLimit) -> list[_Moved]:
    return [
        (_WRONG, *wait(state.wrong, now_ms, on_s=0, off_s=UNIT_OFF_S)),
        (_FIRST, *wait(state.first, now_ms, on_s=limit.on_delay_s, off_s=limit.off_delay_s)),
        (_EXTREME, *wait(state.extreme, now_ms, on_s=limit.on_delay_s, off_s=limit.off_delay_s)),
    ]


def _moved(
    state: ThresholdState, moved: list[_Moved], rule: SensorThreshold, limit: SensorLimit, city: City
) -> tuple[ThresholdState | None, list[Finding]]:
    """The state with its delays moved, and what that is to the operator: changes one after another."""
    findings: list[Finding] = []
    # Of what happens at once the operator is told the whole, not its steps: the strongest rises first and ends last.
    happened = sorted(
        (at_ms, -_STRENGTH[name] if change is Change.RAISE else _STRENGTH[name], name, change)
        for name, _, changes in moved
        for at_ms, change in changes
    )
    for at_ms, _, name, change in happened:
        delay = Delay(raised_ms=at_ms) if change is Change.RAISE else CALM
        state, more = _told(replace(state, **{name: delay}), at_ms, rule, limit, city)
        findings += more
    for name, delay, _ in moved:
        if getattr(state, name) != delay:
            state = replace(state, **{name: delay})
    calm = state.wrong == state.first == state.extreme == CALM
    return (None if calm else state), findings


def _told(
    state: ThresholdState, at_ms: int, rule: SensorThreshold, limit: SensorLimit, city: City
) -> tuple[ThresholdState, list[Finding]]:
    was, now = state.told, state.level
    if now == was:
        return state, []
    if NORMAL < now < was:
        state = replace(state, told=now)
        return state, [_finding(state, Change.UPDATE, at_ms, rule, limit, city)]
    findings = []
    if was != NORMAL:
        findings.append(_finding(state, Change.CLEAR, at_ms, rule, limit, city))
    state = replace(state, told=now, raised_ms=None if now == NORMAL else at_ms)
    if now != NORMAL:
        findings.append(_finding(state, Change.RAISE, at_ms, rule, limit, city))
    return state, findings


def _let_go(state: ThresholdState | None, at_ms: int, city: City) -> tuple[None, list[Finding]]:
    """No limit is set any more."""
    if state is None or state.raised_ms is None:
        return None, []
    at_ms = max(at_ms, state.raised_ms)
    return None, [
        sensor_finding(RULE, Change.CLEAR, state.key, raised_ms=state.raised_ms, at_ms=at_ms, values={}, city=city)
    ]


def _finding(
    state: ThresholdState, change: Change, at_ms: int, rule: SensorThreshold, limit: SensorLimit, city: City
) -> Finding:
    known = city.picture.sensors.get(state.key)
    if state.told == UNIT:
        name, bound, priority = "unit", limit.lowest_high, AlarmPriority.LOW
        bound = limit.highest_low if bound is None else bound
        value, unit = known.value if known is not None else 0.0, state.unit
    else:
        high = state.side > 0
        name = "high" if high else "low"
        bound = limit.lowest_high if high else limit.highest_low
        value, unit, priority = state.value, limit.unit, AlarmPriority(rule.priority)
        if state.told == EXTREME:
            name, bound = f"{name}_{name}", limit.high_high if high else limit.low_low
            priority = AlarmPriority(rule.priority_extreme)
    return sensor_finding(
        RULE,
        change,
        state.key,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={
            "level": name,
            "value": rounded(value),
            "unit": unit,
            "limit": 0.0 if bound is None else bound,
            "limit_unit": limit.unit,
        },
        city=city,
        priority=priority,
    )


def _key(reading: SensorReading) -> str:
    return reading.key


DETECTOR = Detector(rule=RULE, state=ThresholdState, takes=(SensorReading,), key=_key, step=step, tick=tick)
