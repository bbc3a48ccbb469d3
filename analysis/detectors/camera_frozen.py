"""Camera frozen: a camera that nobody calls offline tells nothing new any more.

Two signs of it. *Silence*: since its last event it should have told `missed_min` by what it usually tells at these
hours of the day, and at least `silent_min_s` have passed. *Repetition*: `repeats_min` objects in a row were
recognised with the same kind, zone, plate, count and, to the last digit, the same score, which a moving picture does
not give.

It sees no pictures, only what a recogniser says of them. So it cannot tell a frozen picture from a dead recogniser or
a closed street; it knows nothing of a camera until it has told events for a whole hour of that time of day, of one
that hardly tells any, and of one without scores only the silence. A street as quiet as never before may be taken for
a frozen picture: hence the low priority. A usual hour is a mean that forgets a third with each day, so that Sundays
are not expected to be Fridays; the hours are those of UTC, so a change to summer time shifts them for a few days.
"""

from __future__ import annotations

from statistics import median

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from city.events import CameraEvent, CameraStatus
from city.rules.cameras import CameraFrozen

RULE = "camera_frozen"
HOUR_MS = 3_600_000
DAY_HOURS = 24
# The newest day's weight in an hour's usual events.
NEWEST = 0.3
# A silence that would be conspicuous only after so long is none.
LOOK_AHEAD_HOURS = 48
AROUND, NEIGHBOURS = (-2, -1, 0, 1, 2), 3
UNKNOWN = -1.0


class FrozenState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one camera usually tells, and what it told last."""

    camera_id: str
    heard_ms: int = 0  # when its last event came
    back_ms: int = 0  # when it was said to be online again
    offline: bool = False
    hour: int | None = None  # since 1970, whose events are being counted
    whole: bool = False  # whether that hour was watched from its beginning
    events: int = 0  # in it
    usual: tuple[float, ...] = ()  # events an hour by hour of the day (UTC); -1: not known
    last: str = ""  # the newest event: one that comes twice counts once
    object: str = ""  # the last object's id
    mark: str = ""  # what was said of it
    repeats: int = 0  # objects in a row of which the same was said
    due_ms: int | None = None  # when its silence would be conspicuous
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.due_ms is not None and self.raised_ms is None


def step(
    state: FrozenState | None, seen: CameraEvent | CameraStatus, rule: CameraFrozen, city: City
) -> tuple[FrozenState | None, list[Finding]]:
    """Take an event in, or whether the camera is reachable."""
    if isinstance(seen, CameraStatus):
        return (None, []) if state is None else _status(state, seen, rule, city)
    if state is None:
        state = FrozenState(camera_id=seen.camera_id)
    last = f"{seen.measured_ms}|{seen.kind}|{seen.mark}"
    if last == state.last:
        return state, []
    state, findings = tick(state, seen.received_ms, rule, city) if state.waits else (state, [])
    before = state
    state = _compared(_counted(state, seen.measured_ms // HOUR_MS), seen)
    heard_ms = max(state.heard_ms, seen.received_ms)
    state = replace(state, heard_ms=heard_ms, last=last)
    if state.raised_ms is None and state.repeats >= rule.repeats_min:
        state = replace(state, raised_ms=heard_ms)
        findings.append(_finding(state, Change.RAISE, heard_ms))
    elif state.raised_ms is not None and state.repeats < rule.repeats_min and seen.received_ms >= before.heard_ms:
        findings.append(_finding(before, Change.CLEAR, max(heard_ms, state.raised_ms)))
        state = replace(state, raised_ms=None)
    # An event only puts the time off: what was due is looked at again by `tick`. Only what was learned may bring it on.
    if findings or state.hour != before.hour:
        state = replace(state, due_ms=_due_ms(state, rule, city))
    return state, findings


def tick(state: FrozenState, now_ms: int, rule: CameraFrozen, city: City) -> tuple[FrozenState, list[Finding]]:
    """Raise what is silent for conspicuously long."""
    if state.due_ms is None or state.raised_ms is not None or now_ms < state.due_ms:
        return state, []
    # Somebody may have begun to listen only lately.
    due_ms = _due_ms(state, rule, city)
    if due_ms is None or now_ms < due_ms:
        return replace(state, due_ms=due_ms), []
    state = replace(state, raised_ms=due_ms)
    return state, [_finding(state, Change.RAISE, due_ms)]


def _status(
    state: FrozenState, status: CameraStatus, rule: CameraFrozen, city: City
) -> tuple[FrozenState, list[Finding]]:
    """An offline camera is not frozen; from when it is back its silence counts."""
    if status.online != state.offline or status.measured_ms < state.back_ms:
        return state, []
    if status.online:
        state = replace(state, offline=False, back_ms=status.received_ms)
        return replace(state, due_ms=_due_ms(state, rule, city)), []
    calm = replace(state, offline=True, due_ms=None, raised_ms=None, whole=False, repeats=0, back_ms=status.measured_ms)
    if state.raised_ms is None:
        return calm, []
    return calm, [_finding(state, Change.CLEAR, max(status.measured_ms, state.raised_ms))]


def _counted(state: FrozenState, hour: int) -> FrozenState:
    """The state with an event of `hour` counted, and the hours before it learned."""
    if state.hour is None or hour < state.hour:
        # Of an hour that is over only what came in time counts: late ones are few.
        return state if state.hour is not None else replace(state, hour=hour, events=1)
    if hour == state.hour:
        return replace(state, events=state.events + 1)
    usual = list(state.usual or (UNKNOWN,) * DAY_HOURS)
    failed = state.offline or state.raised_ms is not None
    if not failed:  # what a failing camera tells is not usual
        if state.whole:
            _learn(usual, state.hour, state.events)
        if hour - state.hour <= DAY_HOURS:
            for empty in range(state.hour + 1, hour):
                _learn(usual, empty, 0)
    return replace(state, hour=hour, whole=not failed, events=1, usual=tuple(usual))


def _learn(usual: list[float], hour: int, events: int) -> None:
    known = usual[hour % DAY_HOURS]
    usual[hour % DAY_HOURS] = round(events if known == UNKNOWN else known + NEWEST * (events - known), 1)


def _compared(state: FrozenState, event: CameraEvent) -> FrozenState:
    """The state with the objects in a row of which the same was said. Further words about one object count once."""
    if event.phase not in (None, "new") or event.score is None:
        return state
    known = event.event_id or str(event.measured_ms)
    if known == state.object:
        return state
    mark = f"{event.kind}|{event.score}|{event.zone or ''}|{event.plate or ''}|{event.count}"
    return replace(state, object=known, mark=mark, repeats=state.repeats + 1 if mark == state.mark else 1)


def _due_ms(state: FrozenState, rule: CameraFrozen, city: City) -> int | None:
    """When the camera's silence becomes conspicuous, None if not within two days."""
    if state.offline or not state.heard_ms:
        return None
    base_ms = max(state.heard_ms, state.back_ms, city.watching_since_ms)
    missed, at_ms = 0.0, base_ms
    for _ in range(LOOK_AHEAD_HOURS):
        hour = at_ms // HOUR_MS
        per_ms = _usual(state, hour) / HOUR_MS
        end_ms = (hour + 1) * HOUR_MS
        if missed + per_ms * (end_ms - at_ms) >= rule.missed_min:
            at_ms += int((rule.missed_min - missed) / per_ms)
            return max(at_ms, base_ms + int(rule.silent_min_s * 1000))
        missed += per_ms * (end_ms - at_ms)
        at_ms = end_ms
    return None


def _usual(state: FrozenState, hour: int) -> float:
    """Events that an hour usually brings; 0 where that is not known.

    No more than so many times the median of the hours around it: a storm of events is nothing usual.
    """
    if not state.usual or state.usual[hour % DAY_HOURS] <= 0.0:
        return 0.0
    near = (state.usual[(hour + by) % DAY_HOURS] for by in AROUND)
    around = [events for events in near if events != UNKNOWN]
    return min(state.usual[hour % DAY_HOURS], NEIGHBOURS * median(around)) if len(around) > 1 else 0.0


def _missed(state: FrozenState, from_ms: int, to_ms: int) -> int:
    """Events that usually come between two moments, at most two days apart."""
    missed, at_ms = 0.0, max(from_ms, to_ms - LOOK_AHEAD_HOURS * HOUR_MS)
    while at_ms < to_ms:
        hour = at_ms // HOUR_MS
        end_ms = min(to_ms, (hour + 1) * HOUR_MS)
        missed += _usual(state, hour) * (end_ms - at_ms) / HOUR_MS
        at_ms = end_ms
    return round(missed)


def _finding(state: FrozenState, change: Change, at_ms: int) -> Finding:
    from_ms = max(state.heard_ms, state.back_ms)
    return Finding(
        rule=RULE,
        change=change,
        source_kind="camera",
        source_id=state.camera_id,
        key=state.camera_id,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={
            "silent_s": round(max(0, at_ms - from_ms) / 1000),
            "missed": _missed(state, from_ms, at_ms),
            "repeats": state.repeats,
        },
    )


def _key(seen: CameraEvent | CameraStatus) -> str:
    return seen.camera_id


DETECTOR = Detector(rule=RULE, state=FrozenState, takes=(CameraEvent, CameraStatus), key=_key, step=step, tick=tick)
