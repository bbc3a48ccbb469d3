"""Who is told what: notices of transitions as the alarm log tells them, and of alarms that nobody acknowledged.

Everything comes from the log, what this process detected and what operators did alike: in one order, and known where
reading stopped. That place, the ladder and the notices are written together, so that killed at any moment no notice is
lost and none is made twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from analysis.escalation import Waiting, due, follow, next_due_ms
from city.alarms import ANNOUNCED, Action, Alarm, Transition
from city.notices import Notice, Notices, notice_of, wanted_by

_CURSOR = "notices:cursor"
_LADDER = "escalation:"

_encode = msgspec.json.Encoder().encode
_decode_waiting = msgspec.json.Decoder(Waiting).decode


@dataclass(slots=True)
class Notifier:
    """What is to be told, and what of that the store does not have yet."""

    settings: Notices
    agencies: Mapping[str, str]  # rule → who owns its alarms
    cursor: str = ""  # of the alarm log; empty: never read
    notices: list[Notice] = field(default_factory=list)
    _ladder: dict[str, Waiting] = field(default_factory=dict)
    _due_ms: int | None = None  # when somebody is to be told next
    _dirty: set[str] = field(default_factory=set)

    @property
    def wanted(self) -> bool:
        """Whether there is anybody to be told."""
        return bool(self.settings.receivers)

    def begin(self, tip: str) -> None:
        """Take up the log: from its end where it was never read, for what happened before is no news."""
        if self.wanted and not self.cursor:
            self.read_to(tip)

    def read_to(self, cursor: str) -> None:
        """The log is taken in up to here."""
        if cursor != self.cursor:
            self.cursor = cursor
            self._dirty.add(_CURSOR)

    def take(self, transition: Transition, alarm: Alarm | None) -> None:
        """Take a transition of the log in; `alarm` as it is now, None where it is forgotten already."""
        known = self._ladder.get(transition.alarm)
        if self.settings.escalation:
            waiting = follow({transition.alarm: known} if known else {}, transition).get(transition.alarm)
            if waiting is not known:
                self._put(transition.alarm, waiting)
                if waiting is not None and alarm is not None:
                    self._sooner({transition.alarm: waiting}, {transition.alarm: alarm})
        if alarm is not None:
            receivers = wanted_by(self.settings.receivers, transition, self.agencies.get(transition.rule, ""))
            self.notices += [notice_of(one, as_of(alarm, transition), transition) for one in receivers]

    def tick(self, alarms: Mapping[str, Alarm], now_ms: int) -> None:
        """Tell those whose time has come that nobody acknowledged."""
        if self._due_ms is None or now_ms < self._due_ms:
            return
        after, notices = due(self._ladder, alarms, self.settings.escalation, self.agencies, now_ms)
        for name, waiting in after.items():
            if waiting is not self._ladder[name]:
                self._put(name, waiting)
        self.notices += notices
        self._due_ms = None
        self._sooner(self._ladder, alarms)

    # --- memory -----------------------------------------------------------------------------------

    def remember(self, memory: Mapping[str, bytes], alarms: Mapping[str, Alarm]) -> None:
        """Take up what `changed_memory` gave. Who is told nothing any more leaves nothing behind."""
        for name, value in memory.items():
            if name == _CURSOR and self.wanted:
                self.cursor = value.decode()
            elif name.startswith(_LADDER) and self.wanted and self.settings.escalation:
                try:
                    self._ladder[name.removeprefix(_LADDER)] = _decode_waiting(value)
                except msgspec.DecodeError:
                    self._dirty.add(name)
            elif name == _CURSOR or name.startswith(_LADDER):
                self._dirty.add(name)
        self._sooner(self._ladder, alarms)

    def changed_memory(self) -> tuple[dict[str, bytes], list[str]]:
        """What to keep since the last `written`, and what to forget."""
        kept: dict[str, bytes] = {}
        gone: list[str] = []
        for name in self._dirty:
            if name == _CURSOR and self.cursor:
                kept[name] = self.cursor.encode()
            elif (waiting := self._ladder.get(name.removeprefix(_LADDER))) is not None:
                kept[name] = _encode(waiting)
            else:
                gone.append(name)
        return kept, gone

    def written(self) -> None:
        """The store has it all."""
        self._dirty.clear()
        self.notices.clear()

    def _put(self, name: str, waiting: Waiting | None) -> None:
        if waiting is None:
            self._ladder.pop(name, None)
        else:
            self._ladder[name] = waiting
        self._dirty.add(f"{_LADDER}{name}")

    def _sooner(self, ladder: Mapping[str, Waiting], alarms: Mapping[str, Alarm]) -> None:
        at_ms = next_due_ms(ladder, alarms, self.settings.escalation, self.agencies)
        if at_ms is not None:
            self._due_ms = at_ms if self._due_ms is None else min(self._due_ms, at_ms)


def as_of(alarm: Alarm, transition: Transition) -> Alarm:
    """An alarm as it was after a transition; of one that is further by now, as far as the transition says."""
    if alarm.version == transition.version:
        return alarm
    at_ms, after = transition.at_ms, transition.after
    as_it_was = replace(
        alarm,
        state=after,
        condition=after if after in ANNOUNCED else alarm.condition,
        priority=transition.priority,
        version=transition.version,
        updated_ms=at_ms,
    )
    if transition.action is Action.RISE:
        return replace(as_it_was, active=True, raised_ms=at_ms, cleared_ms=None, values=transition.values)
    if transition.action is Action.CLEAR:
        return replace(as_it_was, active=False, cleared_ms=max(at_ms, as_it_was.raised_ms))
    if transition.action is Action.ACKNOWLEDGE:
        return replace(as_it_was, acknowledged_ms=at_ms, acknowledged_by=transition.by)
    return as_it_was
