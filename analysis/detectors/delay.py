"""On-delay and off-delay of a condition (ISA-18.2-2016, clause 10: basic alarm design).

A condition must last for the on-delay before it is announced, and be gone for the off-delay before it is announced as
gone. What counts as lasting is the value until the next one is seen: a slow sensor's single reading lasts.
"""

from __future__ import annotations

from msgspec import Struct

from analysis.detectors.finding import Change


class Delay(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One condition."""

    since_ms: int | None = None  # it wants to change since then
    raised_ms: int | None = None  # announced

    @property
    def waits(self) -> bool:
        """Whether time alone can change it."""
        return self.since_ms is not None


Changed = tuple[int, Change]  # when, what
CALM = Delay()


def look(delay: Delay, at_ms: int, *, over: bool, back: bool, on_s: float, off_s: float) -> tuple[Delay, list[Changed]]:
    """The condition with what is seen at `at_ms`: `over` its limit, or `back` behind its deadband; neither in between.

    Something seen from before the last change is left out; the same object where nothing changes.
    """
    if at_ms < max(delay.since_ms or 0, delay.raised_ms or 0):
        return delay, []
    delay, changes = wait(delay, at_ms, on_s=on_s, off_s=off_s)
    if not (over if delay.raised_ms is None else back):
        return (delay if delay.since_ms is None else Delay(raised_ms=delay.raised_ms)), changes
    if delay.since_ms is None:
        delay = Delay(since_ms=at_ms, raised_ms=delay.raised_ms)
    delay, more = wait(delay, at_ms, on_s=on_s, off_s=off_s)
    return delay, changes + more


def wait(delay: Delay, now_ms: int, *, on_s: float, off_s: float) -> tuple[Delay, list[Changed]]:
    """The condition as the time alone leaves it."""
    if delay.since_ms is None:
        return delay, []
    due_ms = delay.since_ms + int((on_s if delay.raised_ms is None else off_s) * 1000)
    if now_ms < due_ms:
        return delay, []
    if delay.raised_ms is None:
        return Delay(raised_ms=due_ms), [(due_ms, Change.RAISE)]
    return CALM, [(due_ms, Change.CLEAR)]
