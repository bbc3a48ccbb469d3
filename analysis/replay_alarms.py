"""Which alarms stood at a moment of the past, in which state, and what operators had done to them by then.

The log of transitions is folded: nothing of what an alarm became later, or is today, gets in.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from city.alarms import Action, Alarm, AlarmState, Hold, Transition

# Of one alarm between its rise and its end; a chattering one has thousands.
DEEDS_SHOWN = 20
# A fold from the beginning of a year's log would take half a minute: so far it goes from the nearest known state.
SNAPSHOT_EVERY = 1000

_HELD = frozenset({AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE})


class Deed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to an alarm."""

    at_ms: int
    action: Action
    by: str = ""  # an operator; empty: Markaz itself
    reason: str = ""
    text: str = ""
    until_ms: int | None = None


class AlarmThen(Struct, frozen=True, kw_only=True):
    """An alarm as it was, and the newest of what had happened to it since it was last normal, oldest first."""

    alarm: Alarm
    deeds: tuple[Deed, ...] = ()


Open = dict[str, AlarmThen]  # by the alarm's id, in the order of their first rise


def take(then: Open, transition: Transition) -> None:
    """Let a transition happen to the alarms that are not normal; who becomes normal is no more among them."""
    known = then.get(transition.alarm)
    if transition.after is AlarmState.NORMAL:
        then.pop(transition.alarm, None)
        return
    deed = Deed(
        at_ms=transition.at_ms,
        action=transition.action,
        by=transition.by,
        reason=transition.reason,
        text=transition.text,
        until_ms=transition.until_ms,
    )
    before = known or AlarmThen(alarm=_unknown(transition))
    deeds = (*before.deeds, deed)[-DEEDS_SHOWN:]
    then[transition.alarm] = AlarmThen(alarm=_after(before.alarm, transition), deeds=deeds)


@dataclass(slots=True)
class AlarmLog:
    """The states at moments not far apart, so that any other is a short fold away.

    `take` gets the whole log in its order, with the time at which each entry was written: then operators saw it.
    """

    read_ms: int = 0  # of the newest entry
    cursor: str = "-"  # of that entry: where reading goes on
    _now: Open = field(default_factory=dict)
    _since: int = 0
    _snapshots: list[tuple[int, str, Open]] = field(default_factory=list)

    def take(self, entries: Iterable[tuple[str, Transition]]) -> None:
        """Take in what was written behind `cursor`."""
        for entry_id, transition in entries:
            if self._since == 0:
                self._snapshots.append((self.read_ms, self.cursor, dict(self._now)))
            self._since = (self._since + 1) % SNAPSHOT_EVERY
            take(self._now, transition)
            self.read_ms, self.cursor = written_ms(entry_id), entry_id

    def before(self, at_ms: int) -> tuple[str, Open]:
        """A cursor not behind `at_ms`, as near as is known, and the alarms as they were there."""
        for read_ms, cursor, then in reversed(self._snapshots):
            # An entry of the same millisecond may be on either side of the snapshot.
            if read_ms < at_ms:
                return cursor, dict(then)
        return "-", {}


def states_at(then: Open, entries: Iterable[tuple[str, Transition]], at_ms: int) -> list[tuple[int, Transition]]:
    """Bring `then` up to `at_ms` by the entries behind it; gives those that come later: (when written, transition)."""
    later = []
    for entry_id, transition in entries:
        if (written := written_ms(entry_id)) <= at_ms:
            take(then, transition)
        else:
            later.append((written, transition))
    return later


def written_ms(entry_id: str) -> int:
    """When an entry of the log was written, by its id."""
    return int(entry_id.partition("-")[0])


def _unknown(transition: Transition) -> Alarm:
    """An alarm of which the log has nothing before this."""
    return Alarm(
        id=transition.alarm,
        rule=transition.rule,
        priority=transition.priority,
        source_kind=transition.source_kind,
        source_id=transition.source_id,
        raised_ms=transition.at_ms,
    )


def _after(alarm: Alarm, did: Transition) -> Alarm:
    alarm = replace(
        alarm,
        state=did.after,
        version=did.version,
        updated_ms=max(alarm.updated_ms, did.at_ms),
        priority=did.priority,
        district=did.district,
        mahalla=did.mahalla,
        route=did.route,
    )
    if did.before in _HELD and did.after not in _HELD:
        alarm = replace(alarm, acknowledged_ms=None)
    match did.action:
        case Action.RISE:
            return replace(
                alarm,
                active=True,
                raised_ms=did.at_ms,
                cleared_ms=None,
                acknowledged_ms=None,
                acknowledged_by="",
                values=did.values,
            )
        case Action.CLEAR:
            cleared_ms = max(did.at_ms, alarm.raised_ms)
            return replace(alarm, active=False, cleared_ms=cleared_ms, values={**alarm.values, **did.values})
        case Action.REALARM:
            return replace(alarm, acknowledged_ms=None, acknowledged_by="")
        case Action.ACKNOWLEDGE:
            return replace(alarm, acknowledged_ms=did.at_ms, acknowledged_by=did.by)
        case Action.SHELVE:
            return replace(alarm, shelved=_hold(did))
        case Action.UNSHELVE:
            return replace(alarm, shelved=None)
        case Action.SUPPRESS:
            return replace(alarm, suppressed=_hold(did))
        case Action.UNSUPPRESS:
            return replace(alarm, suppressed=None)
        case Action.REMOVE_FROM_SERVICE:
            return replace(alarm, out_of_service=_hold(did))
        case Action.RETURN_TO_SERVICE:
            return replace(alarm, out_of_service=None)
        case Action.ASSIGN:
            return replace(alarm, assignee=did.text)
        case Action.COMMENT:
            return replace(alarm, comments=alarm.comments + 1)
        case Action.JOIN:
            return replace(alarm, incident=did.text or None)
        case Action.RESET:
            return alarm


def _hold(did: Transition) -> Hold:
    return Hold(since_ms=did.at_ms, by=did.by, reason=did.reason, until_ms=did.until_ms)
