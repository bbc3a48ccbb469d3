"""Camera alert: a camera recognised something that a person has to look at.

Fire and accident at one camera are two alarms: the key is camera and kind, because a second kind
must never hide behind the first.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from city.events import CameraEvent
from city.rules.cameras import CameraAlert

RULE = "camera_alert"
# An operator's panel gains nothing from faster changes, and each is written to the store.
UPDATE_EVERY_MS = 5_000
# Recognised objects followed at once; a camera that never ends its events must not grow the state.
ACTIVE_MAX = 32


class AlertState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One kind of event at one camera; one without an alarm is kept only for its last end."""

    camera_id: str
    kind: str
    raised_ms: int | None = None
    seen_ms: int = 0  # newest event of the alarm
    updated_ms: int = 0
    ended_ms: int = 0  # when the last alarm ended: what is older cannot raise the next
    events: int = 0
    active: tuple[str, ...] = ()  # ids of recognised objects that have not ended
    ended: dict[str, int] = {}  # those that have while others stand: id → when, epoch ms
    values: dict[str, float | str] = {}

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is not None


def alerts(event: CameraEvent, rule: CameraAlert) -> bool:
    """Whether an event is one to look at."""
    crowd = event.kind == "crowd" and (event.count or 0) >= rule.crowd_min
    return event.severity == "alert" or event.kind in rule.kinds or crowd


def step(
    state: AlertState | None, event: CameraEvent, rule: CameraAlert, city: City
) -> tuple[AlertState | None, list[Finding]]:
    """Take an event in; late ones too, they are read as what was seen then."""
    if state is None:
        if event.phase == "end" or not alerts(event, rule):
            return None, []
        state = AlertState(camera_id=event.camera_id, kind=event.kind)
    state, findings = tick(state, event.measured_ms, rule, city)
    raised_ms = state.raised_ms
    if event.phase == "end":
        if raised_ms is None or event.measured_ms < raised_ms or not _ends(state, event):
            return state, findings
        remaining = tuple(one for one in state.active if event.event_id not in (None, one))
        if remaining:
            return replace(state, active=remaining, ended=_with_end(state.ended, event)), findings
        findings.append(_finding(state, Change.CLEAR, raised_ms, event.measured_ms))
        return _calm(state, event.measured_ms), findings
    if not alerts(event, rule) or (raised_ms is None and event.measured_ms <= state.ended_ms):
        return state, findings
    if event.event_id is not None and event.measured_ms <= state.ended.get(event.event_id, -1):
        # It came after its own end: the object must not be waited for again.
        return state, findings
    if raised_ms is not None and event.measured_ms <= state.seen_ms:
        return replace(state, active=_with(state.active, event.event_id)), findings
    state = replace(
        state,
        raised_ms=event.measured_ms if raised_ms is None else raised_ms,
        seen_ms=event.measured_ms,
        events=state.events + 1,
        active=_with(state.active, event.event_id),
        values=_values(event, state.events + 1),
    )
    if raised_ms is None:
        findings.append(_finding(state, Change.RAISE, event.measured_ms, event.measured_ms))
    elif event.measured_ms - state.updated_ms >= UPDATE_EVERY_MS:
        findings.append(_finding(state, Change.UPDATE, raised_ms, event.measured_ms))
    else:
        return state, findings
    return replace(state, updated_ms=event.measured_ms), findings


def tick(state: AlertState, now_ms: int, rule: CameraAlert, city: City) -> tuple[AlertState, list[Finding]]:
    """Clear what was not seen again for `clear_after_s`."""
    del city
    due_ms = state.seen_ms + int(rule.clear_after_s * 1000)
    if state.raised_ms is None or now_ms < due_ms:
        return state, []
    return _calm(state, due_ms), [_finding(state, Change.CLEAR, state.raised_ms, due_ms)]


def _ends(state: AlertState, event: CameraEvent) -> bool:
    """An end without an id ends all; one with an id must be of an object that is followed."""
    return event.event_id is None or event.event_id in state.active


def _calm(state: AlertState, ended_ms: int) -> AlertState:
    return AlertState(camera_id=state.camera_id, kind=state.kind, ended_ms=ended_ms)


def _with(active: tuple[str, ...], event_id: str | None) -> tuple[str, ...]:
    if event_id is None or event_id in active:
        return active
    return (*active, event_id)[-ACTIVE_MAX:]


def _with_end(ended: dict[str, int], event: CameraEvent) -> dict[str, int]:
    if event.event_id is None:
        return ended
    kept = list((ended | {event.event_id: event.measured_ms}).items())
    return dict(kept[-ACTIVE_MAX:])


def _values(event: CameraEvent, events: int) -> dict[str, float | str]:
    values: dict[str, float | str] = {"kind": event.kind, "severity": event.severity, "events": events}
    if event.count is not None:
        values["count"] = event.count
    if event.score is not None:
        values["score"] = event.score
    if event.zone is not None:
        values["zone"] = event.zone
    return values


def _finding(state: AlertState, change: Change, raised_ms: int, at_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="camera",
        source_id=state.camera_id,
        key=f"{state.camera_id}|{state.kind}",
        raised_ms=raised_ms,
        at_ms=at_ms,
        values={**state.values, "events": state.events},
    )


def _key(event: CameraEvent) -> str:
    return event.key


DETECTOR = Detector(rule=RULE, state=AlertState, takes=(CameraEvent,), key=_key, step=step, tick=tick)
