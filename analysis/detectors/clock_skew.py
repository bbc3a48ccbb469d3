"""Clock skew: measurements of a feed, or the figures of an ingest worker, bear a time that cannot be right.

Of a feed the median age of its messages when they come counts (`Arrival.median_s`): ahead by `ahead_max_s` or behind by
`behind_max_s`. One device's clock moves no median, and is nobody's alarm. A clock that is behind cannot be told from
messages that wait somewhere for as long: the operator looks for both. Of a worker only a clock ahead of the alarms
process's can be seen: one behind looks like a worker that says nothing (`worker_silent`).
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.delay import CALM, Changed, Delay, look, wait
from analysis.detectors.detector import City, Detector
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import ArrivalSeen, WorkerSeen
from city.rules.system import ClockSkew

RULE = "clock_skew"


class SkewState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A feed's or a worker's clock that is wrong, or was until lately."""

    kind: str  # feed or worker
    name: str
    skew_s: float  # last; positive is ahead
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
    state: SkewState | None, seen: ArrivalSeen | WorkerSeen, rule: ClockSkew, city: City
) -> tuple[SkewState | None, list[Finding]]:
    """Look at a clock now."""
    del city
    if isinstance(seen, ArrivalSeen):
        kind, name, skew_s = "feed", seen.feed, -seen.arrival.median_s
    else:
        # An old time is no clock behind, only old figures.
        kind, name, skew_s = "worker", seen.figures.worker, max(0, seen.figures.at_ms - seen.now_ms) / 1000
    times = skew_s / rule.ahead_max_s if skew_s > 0 else -skew_s / rule.behind_max_s
    if state is None:
        if times < 1:
            return None, []
        state = SkewState(kind=kind, name=name, skew_s=skew_s)
    on_s, off_s = rule.on_delay_s, rule.off_delay_s
    over, back = times >= 1, times < 1 and times <= rule.clear_share
    delay, changes = look(state.delay, seen.now_ms, over=over, back=back, on_s=on_s, off_s=off_s)
    # The worst number would be written every second; that of the last change says as much.
    if changes or state.delay == CALM:
        state = replace(state, skew_s=round(skew_s, 1))
    return _moved(state, delay, changes)


def tick(state: SkewState, now_ms: int, rule: ClockSkew, city: City) -> tuple[SkewState | None, list[Finding]]:
    """What the end of a delay brings."""
    del city
    return _moved(state, *wait(state.delay, now_ms, on_s=rule.on_delay_s, off_s=rule.off_delay_s))


def _moved(state: SkewState, delay: Delay, changes: list[Changed]) -> tuple[SkewState | None, list[Finding]]:
    findings = []
    for at_ms, change in changes:
        raised_ms = at_ms if change is Change.RAISE else (state.raised_ms or at_ms)
        findings.append(
            Finding(
                rule=RULE,
                change=change,
                source_kind=state.kind,
                source_id=state.name,
                key=f"{state.kind}|{state.name}",
                raised_ms=raised_ms,
                at_ms=at_ms,
                values={"skew_s": state.skew_s},
            )
        )
        state = replace(state, delay=Delay(raised_ms=raised_ms) if change is Change.RAISE else CALM)
    if delay == CALM:
        return None, findings
    return (state if delay == state.delay else replace(state, delay=delay)), findings


def _key(seen: ArrivalSeen | WorkerSeen) -> str:
    return f"feed|{seen.feed}" if isinstance(seen, ArrivalSeen) else f"worker|{seen.figures.worker}"


DETECTOR = Detector(rule=RULE, state=SkewState, takes=(ArrivalSeen, WorkerSeen), key=_key, step=step, tick=tick)
