"""Broker lost: an ingest worker says that it has no connection to the MQTT broker.

It is given the workers' figures every second. Figures that are as old as a worker is silent say nothing of the broker.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.delay import CALM, Changed, Delay, look, wait
from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import WorkerSeen
from analysis.workers import SILENT_AFTER_MS
from city.rules.system import BrokerLost

RULE = "broker_lost"


class BrokerState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One worker without its broker, or that has just got it back."""

    worker: str
    lost_ms: int
    delay: Delay = CALM

    @property
    def raised_ms(self) -> int | None:
        """When the alarm that stands rose, epoch ms."""
        return self.delay.raised_ms

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.delay.waits


def step(
    state: BrokerState | None, seen: WorkerSeen, rule: BrokerLost, city: City
) -> tuple[BrokerState | None, list[Finding]]:
    """Look at a worker's figures now."""
    del city
    figures = seen.figures
    # By the alarms process's clock: the worker's own may be wrong.
    at_ms = seen.now_ms
    if at_ms - figures.at_ms > SILENT_AFTER_MS:
        return state, []
    if state is None:
        if figures.connected:
            return None, []
        state = BrokerState(worker=figures.worker, lost_ms=at_ms)
    on_s, off_s = rule.on_delay_s, rule.off_delay_s
    lost = not figures.connected
    return _moved(state, *look(state.delay, at_ms, over=lost, back=not lost, on_s=on_s, off_s=off_s))


def tick(state: BrokerState, now_ms: int, rule: BrokerLost, city: City) -> tuple[BrokerState | None, list[Finding]]:
    """What the end of a delay brings."""
    del city
    return _moved(state, *wait(state.delay, now_ms, on_s=rule.on_delay_s, off_s=rule.off_delay_s))


def _moved(state: BrokerState, delay: Delay, changes: list[Changed]) -> tuple[BrokerState | None, list[Finding]]:
    findings = []
    raised_ms = state.raised_ms
    for at_ms, change in changes:
        raised_ms = at_ms if change is Change.RAISE or raised_ms is None else raised_ms
        findings.append(
            Finding(
                rule=RULE,
                change=change,
                source_kind="worker",
                source_id=state.worker,
                key=state.worker,
                raised_ms=raised_ms,
                at_ms=at_ms,
                values={"lost_s": round((at_ms - state.lost_ms) / 1000)},
            )
        )
    if delay == CALM:
        return None, findings
    return (state if delay == state.delay else replace(state, delay=delay)), findings


def _key(seen: WorkerSeen) -> str:
    return seen.figures.worker


DETECTOR = Detector(rule=RULE, state=BrokerState, takes=(WorkerSeen,), key=_key, step=step, tick=tick)
