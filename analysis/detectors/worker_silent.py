"""Worker silent: an ingest worker has told no figures for too long: it hangs, or has gone without taking its leave.

It is given the workers' figures every second, also those that are old: a worker is silent, not unknown, while the
store still has its figures. Silence counts from when somebody began to look. A worker that is not shown any more, or
silent for `forget_after_s`, is forgotten.
"""

from __future__ import annotations

from msgspec import Struct

from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import WorkerSeen
from city.rules.system import WorkerSilent

RULE = "worker_silent"


class WorkerState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One worker that is silent."""

    worker: str
    last_ms: int  # its last figures
    raised_ms: int

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return True


def step(
    state: WorkerState | None, seen: WorkerSeen, rule: WorkerSilent, city: City
) -> tuple[WorkerState | None, list[Finding]]:
    """Look at a worker's figures now."""
    figures = seen.figures
    if state is not None:
        if figures.at_ms <= state.last_ms:
            return state, []
        return None, [_finding(state, Change.CLEAR, max(seen.now_ms, state.raised_ms))]
    due_ms = max(figures.at_ms, city.watching_since_ms) + int(rule.silent_after_s * 1000)
    if seen.now_ms < due_ms or seen.now_ms >= figures.at_ms + rule.forget_after_s * 1000:
        return None, []
    state = WorkerState(worker=figures.worker, last_ms=figures.at_ms, raised_ms=due_ms)
    return state, [_finding(state, Change.RAISE, due_ms)]


def tick(state: WorkerState, now_ms: int, rule: WorkerSilent, city: City) -> tuple[WorkerState | None, list[Finding]]:
    """Forget who has been silent for `forget_after_s`."""
    del city
    due_ms = state.last_ms + int(rule.forget_after_s * 1000)
    if now_ms < due_ms:
        return state, []
    return None, [_finding(state, Change.CLEAR, max(due_ms, state.raised_ms))]


def _finding(state: WorkerState, change: Change, at_ms: int) -> Finding:
    return Finding(
        rule=RULE,
        change=change,
        source_kind="worker",
        source_id=state.worker,
        key=state.worker,
        raised_ms=state.raised_ms,
        at_ms=at_ms,
        values={"silent_s": round((at_ms - state.last_ms) / 1000)},
    )


def _key(seen: WorkerSeen) -> str:
    return seen.figures.worker


DETECTOR = Detector(rule=RULE, state=WorkerState, takes=(WorkerSeen,), key=_key, step=step, tick=tick)
