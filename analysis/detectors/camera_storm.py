"""Camera storm: one camera tells far more events than anyone can look at.

A loose mount, rain on the lens or a badly set recogniser does that. Only an object's first word counts, not what is
said of it further. Counted in sixths of the window, so the window is up to a sixth shorter than its setting, never
longer.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from city.events import CameraEvent
from city.rules.cameras import CameraStorm

RULE = "camera_storm"
PIECES = 6


class StormState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One camera's events of the window."""

    camera_id: str
    piece: int  # the newest one that has an event: epoch time over its length
    counts: tuple[int, ...]  # of the last pieces, that one's last
    last: str = ""  # the newest event: one that comes twice counts once
    raised_ms: int | None = None

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.raised_ms is not None


def step(
    state: StormState | None, event: CameraEvent, rule: CameraStorm, city: City
) -> tuple[StormState | None, list[Finding]]:
    """Take an event in."""
    if event.phase not in (None, "new"):
        return state, []
    piece = event.measured_ms // _piece_ms(rule)
    last = f"{event.measured_ms}|{event.kind}|{event.event_id or ''}"
    if state is None:
        return StormState(camera_id=event.camera_id, piece=piece, counts=(1,), last=last), []
    if last == state.last or piece <= state.piece - PIECES:
        return state, []
    state, findings = tick(state, event.measured_ms, rule, city)
    if piece < state.piece:  # late, and still in the window
        counts = list(_filled(state.counts))
        counts[piece - state.piece - 1] += 1
        state = replace(state, counts=tuple(counts))
    else:
        counts = [*state.counts, *(0,) * min(PIECES, piece - state.piece)][-PIECES:]
        counts[-1] += 1
        state = replace(state, piece=piece, counts=tuple(counts), last=last)
    if state.raised_ms is None and sum(state.counts) >= rule.events_max:
        state = replace(state, raised_ms=event.measured_ms)
        findings.append(_finding(state, Change.RAISE, event.measured_ms, sum(state.counts), rule))
    return state, findings


def tick(state: StormState, now_ms: int, rule: CameraStorm, city: City) -> tuple[StormState, list[Finding]]:
    """Clear what has fallen to `events_clear` in the window."""
    del city
    if state.raised_ms is None:
        return state, []
    counts, piece_ms = _filled(state.counts), _piece_ms(rule)
    for on in range(1, PIECES + 1):
        at_ms = (state.piece + on) * piece_ms
        if at_ms > now_ms:
            break
        events = sum(counts[on:])
        if events <= rule.events_clear:
            finding = _finding(state, Change.CLEAR, max(at_ms, state.raised_ms), events, rule)
            return replace(state, raised_ms=None), [finding]
    return state, []


def _piece_ms(rule: CameraStorm) -> int:
    return max(1, int(rule.window_s * 1000 / PIECES))


def _filled(counts: tuple[int, ...]) -> tuple[int, ...]:
    return (*(0,) * (PIECES - len(counts)), *counts)


def _finding(state: StormState, change: Change, at_ms: int, events: int, rule: CameraStorm) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="camera",
        source_id=state.camera_id,
        key=state.camera_id,
        raised_ms=at_ms if state.raised_ms is None else state.raised_ms,
        at_ms=at_ms,
        values={"events": events, "window_s": rule.window_s},
    )


def _key(event: CameraEvent) -> str:
    return event.camera_id


DETECTOR = Detector(rule=RULE, state=StormState, takes=(CameraEvent,), key=_key, step=step, tick=tick)
