"""Camera offline: a camera is out of reach for longer than a restart takes."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.finding import Change, Finding
from city.events import CameraStatus
from city.rules.cameras import CameraOffline

RULE = "camera_offline"


class OfflineState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One camera; an online one need not be kept."""

    camera_id: str
    offline_since_ms: int | None = None
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.offline_since_ms is not None


def step(state: OfflineState, status: CameraStatus, rule: CameraOffline) -> tuple[OfflineState, list[Finding]]:
    """Take a status in; `offline` again and again is one outage."""
    since_ms = state.offline_since_ms
    if since_ms is not None and status.measured_ms < since_ms:
        return state, []
    if not status.online:
        state = replace(state, offline_since_ms=status.measured_ms if since_ms is None else since_ms)
        return tick(state, status.measured_ms, rule)
    # It may have been due before the camera came back, and only be read now.
    state, findings = tick(state, status.measured_ms, rule)
    if state.raised_ms is not None and since_ms is not None:
        at_ms = max(status.measured_ms, state.raised_ms)
        findings.append(_finding(state.camera_id, Change.CLEAR, state.raised_ms, at_ms, since_ms))
    return OfflineState(camera_id=state.camera_id), findings


def tick(state: OfflineState, now_ms: int, rule: CameraOffline) -> tuple[OfflineState, list[Finding]]:
    """Raise what has been offline for the on-delay."""
    if state.offline_since_ms is None or state.raised_ms is not None:
        return state, []
    due_ms = state.offline_since_ms + int(rule.on_delay_s * 1000)
    if now_ms < due_ms:
        return state, []
    finding = _finding(state.camera_id, Change.RAISE, due_ms, due_ms, state.offline_since_ms)
    return replace(state, raised_ms=due_ms), [finding]


def _finding(camera_id: str, change: Change, raised_ms: int, at_ms: int, since_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="camera",
        source_id=camera_id,
        key=camera_id,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values={"offline_s": round((at_ms - since_ms) / 1000, 1)},
    )
