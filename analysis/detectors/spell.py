"""Something that lasts at one vehicle: what on-delay, deadband and end have in common (ISA-18.2-2016, clause 10).

A spell begins when its condition is seen, becomes an alarm when it is still seen after the on-delay, and ends when
the opposite is seen or the vehicle is not heard for long. Time alone never makes an alarm: a vehicle that was fast
once and fell silent was not fast for a minute.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from analysis.detectors.finding import Change, Finding
from city.events import VehicleEvent, VehicleStatus

Values = dict[str, float | str]
# A spell that only goes on is written down so often: each change of a state goes to the store.
NOTE_EVERY_MS = 15_000
# The operator's numbers follow when they got worse by this share.
WORSE = 1.2


class Spell(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What has been so at a vehicle, since when."""

    vehicle_id: str
    since_ms: int  # first seen
    seen_ms: int  # seen last, to NOTE_EVERY_MS
    peak: float = 0.0  # the worst value of it
    raised_ms: int | None = None
    values: Values = {}  # as told last

    @property
    def waits(self) -> bool:
        """Whether time alone can change it: it is forgotten."""
        return True


def vehicle_key(event: VehicleEvent) -> str | None:
    """The vehicle; None for what it says of the journey that it is only on its way to (HFP)."""
    if isinstance(event, VehicleStatus) and event.kind and event.kind.startswith("upcoming/"):
        return None
    return event.vehicle_id


def begin(vehicle_id: str, at_ms: int, value: float = 0.0) -> Spell:
    """A spell from now on."""
    return Spell(vehicle_id=vehicle_id, since_ms=at_ms, seen_ms=at_ms, peak=value)


def go_on(
    rule: str, spell: Spell, at_ms: int, *, on_delay_s: float, value: float = 0.0, values: Values
) -> tuple[Spell, list[Finding]]:
    """The condition is seen again: an alarm once it has lasted for the on-delay. The same spell if nothing changes."""
    if spell.raised_ms is None and at_ms - spell.since_ms >= int(on_delay_s * 1000):
        spell = replace(spell, raised_ms=at_ms, seen_ms=at_ms, peak=max(spell.peak, value), values=values)
        return spell, [finding(rule, spell, Change.RAISE, at_ms)]
    if at_ms - spell.seen_ms < NOTE_EVERY_MS:
        return spell, []
    if spell.raised_ms is not None and value > WORSE * spell.peak:
        spell = replace(spell, seen_ms=at_ms, peak=value, values=values)
        return spell, [finding(rule, spell, Change.UPDATE, at_ms)]
    return replace(spell, seen_ms=at_ms), []


def unmoved(spell: Spell, at_ms: int, on_delay_s: float) -> bool:
    """Whether `go_on` would change nothing, whatever the value."""
    return at_ms - spell.seen_ms < NOTE_EVERY_MS and (
        spell.raised_ms is not None or at_ms - spell.since_ms < int(on_delay_s * 1000)
    )


def heard(spell: Spell, at_ms: int) -> Spell:
    """The vehicle told neither that it goes on nor that it is over."""
    return replace(spell, seen_ms=at_ms) if at_ms - spell.seen_ms >= NOTE_EVERY_MS else spell


def end(rule: str, spell: Spell, at_ms: int) -> list[Finding]:
    """What the end of a spell tells."""
    return [] if spell.raised_ms is None else [finding(rule, spell, Change.CLEAR, max(at_ms, spell.raised_ms))]


def gone(spell: Spell, now_ms: int, forget_after_s: float, watching_since_ms: int) -> int | None:
    """When a vehicle that is not heard any more was given up; None while it is not.

    While nobody watched nobody could hear it.
    """
    due_ms = spell.seen_ms + int(forget_after_s * 1000)
    return due_ms if now_ms >= max(due_ms, watching_since_ms + int(forget_after_s * 1000)) else None


def forget(
    rule: str, spell: Spell, now_ms: int, forget_after_s: float, watching_since_ms: int
) -> tuple[Spell | None, list[Finding]]:
    """What the time alone brings: the end of what is not heard any more."""
    due_ms = gone(spell, now_ms, forget_after_s, watching_since_ms)
    return (spell, []) if due_ms is None else (None, end(rule, spell, due_ms))


def finding(rule: str, spell: Spell, change: Change, at_ms: int) -> Finding:
    """One change of the alarm of a vehicle's spell."""
    return Finding(
        rule=rule,
        change=change,
        source_kind="vehicle",
        source_id=spell.vehicle_id,
        key=spell.vehicle_id,
        raised_ms=at_ms if spell.raised_ms is None else spell.raised_ms,
        at_ms=at_ms,
        values=spell.values,
    )
