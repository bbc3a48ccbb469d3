"""Camera offline: a camera is out of reach for longer than a restart takes."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from city.events import CameraStatus
from city.rules.cameras import CameraOffline

RULE = "camera_offline"


class OfflineState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One camera that is offline."""

    camera_id: str
    offline_since_ms: int
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is None


def step(
    state: OfflineState | None, status: CameraStatus, rule: CameraOffline, city: City
) -> tuple[OfflineState | None, list[Finding]]:
    """Take a status in; `offline` again and again is one outage."""
    if state is None:
        if status.online:
            return None, []
        state = OfflineState(camera_id=status.camera_id, offline_since_ms=status.measured_ms)
        return tick(state, status.measured_ms, rule, city)
    if status.measured_ms < state.offline_since_ms:
        return state, []
    # It may have been due before this status, and only be read now.
    state, findings = tick(state, status.measured_ms, rule, city)
    if not status.online:
        return state, findings
    if state.raised_ms is not None:
        at_ms = max(status.measured_ms, state.raised_ms)
        findings.append(_finding(state, Change.CLEAR, state.raised_ms, at_ms))
    return None, findings


def tick(state: OfflineState, now_ms: int, rule: CameraOffline, city: City) -> tuple[OfflineState, list[Finding]]:
    """Raise what has been offline for the on-delay."""
    del city
    due_ms = state.offline_since_ms + int(rule.on_delay_s * 1000)
    if state.raised_ms is not None or now_ms < due_ms:
        return state, []
    return replace(state, raised_ms=due_ms), [_finding(state, Change.RAISE, due_ms, due_ms)]


def _finding(state: OfflineState, change: Change, raised_ms: int, at_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="camera",
        source_id=state.camera_id,
        key=state.camera_id,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values={"offline_s": round((at_ms - state.offline_since_ms) / 1000, 1)},
    )


def _key(status: CameraStatus) -> str:
    return status.camera_id


DETECTOR = Detector(rule=RULE, state=OfflineState, takes=(CameraStatus,), key=_key, step=step, tick=tick)
