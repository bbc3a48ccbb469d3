"""What happened in an incident, line by line: its own entries and what its alarms did.

A thousand alarms that rise in one minute are one line with their number, or nobody would find what people did.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from city.alarms import Action, Transition
from city.incidents import Deed, IncidentEntry

_TOGETHER_MS = 60_000


class Line(Struct, frozen=True, kw_only=True):
    """One line: an entry of the incident, or a transition of one or several of its alarms."""

    at_ms: int  # of the newest of them
    since_ms: int  # of the oldest
    entry: IncidentEntry | None = None
    transition: Transition | None = None  # the oldest of those that are told together
    alarms: int = 0  # that did the same: the same action of the same rule, by the same hand, within a minute


def timeline(entries: Iterable[IncidentEntry], transitions: Iterable[Transition], limit: int) -> list[Line]:
    """The newest `limit` lines, newest first."""
    lines: dict[tuple[object, ...], Line] = {}
    for number, entry in enumerate(entries):
        minute = entry.at_ms // _TOGETHER_MS
        by_itself = entry.deed is Deed.JOIN and not entry.by
        key = ("join", entry.incident, minute) if by_itself else ("entry", number)
        lines[key] = _joined(lines.get(key), entry)
    for one in transitions:
        if one.action is Action.JOIN:
            continue  # the incident's own entry says how many joined
        of_person = one.action in (Action.COMMENT, Action.ASSIGN)
        apart = (one.alarm, one.version) if of_person else ()
        key = ("alarm", one.rule, one.action, one.by, one.at_ms // _TOGETHER_MS, *apart)
        known = lines.get(key)
        if known is None:
            lines[key] = Line(at_ms=one.at_ms, since_ms=one.at_ms, transition=one, alarms=1)
        else:
            earlier = one.at_ms < known.since_ms
            lines[key] = replace(
                known,
                at_ms=max(known.at_ms, one.at_ms),
                since_ms=min(known.since_ms, one.at_ms),
                transition=one if earlier else known.transition,
                alarms=known.alarms + 1,
            )
    newest = sorted(lines.values(), key=lambda line: (line.at_ms, line.entry is not None), reverse=True)
    return newest[:limit]


def _joined(known: Line | None, entry: IncidentEntry) -> Line:
    if known is None or known.entry is None:
        return Line(at_ms=entry.at_ms, since_ms=entry.at_ms, entry=entry)
    newer = entry if entry.at_ms > known.at_ms else known.entry
    values: dict[str, float | str] = {
        name: _number(entry, name) + _number(known.entry, name) for name in ("alarms", "cases")
    }
    return Line(
        at_ms=max(known.at_ms, entry.at_ms),
        since_ms=min(known.since_ms, entry.at_ms),
        entry=replace(newer, values=values),
    )


def _number(entry: IncidentEntry, name: str) -> float:
    value = entry.values.get(name, 0)
    return value if isinstance(value, int | float) else 0
