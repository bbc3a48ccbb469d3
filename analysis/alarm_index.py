"""Which alarms stand, which are suppressed and why, and which wait for the clock: kept as they change.

A thousand alarms in a minute must not cost a walk over all alarms each.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from city.alarms import Alarm, AlarmState

# Ids in the order in which they came; a dictionary keeps it where a set would not.
_Ids = dict[str, None]


@dataclass(slots=True)
class AlarmIndex:
    """Ids of alarms, by what they are looked for."""

    _standing: dict[str, _Ids] = field(default_factory=dict)  # by rule
    _suppressed: dict[str, _Ids] = field(default_factory=dict)  # by reason
    _timed: _Ids = field(default_factory=dict)

    def moved(self, before: Alarm | None, after: Alarm | None) -> None:
        """Take in that an alarm changed; None: it was not there, or is no more."""
        if before is not None:
            if before.active:
                _take_out(self._standing, before.rule, before.id)
            if before.suppressed is not None:
                _take_out(self._suppressed, before.suppressed.reason, before.id)
            self._timed.pop(before.id, None)
        if after is not None:
            if after.active:
                self._standing.setdefault(after.rule, {})[after.id] = None
            if after.suppressed is not None:
                self._suppressed.setdefault(after.suppressed.reason, {})[after.id] = None
            if _waits(after):
                self._timed[after.id] = None

    def stands(self, rule: str) -> bool:
        """Whether an alarm of this rule stands."""
        return rule in self._standing

    def standing(self, rule: str) -> list[str]:
        """The alarms of this rule that stand."""
        return list(self._standing.get(rule, ()))

    def reasons(self) -> list[str]:
        """Why alarms are suppressed now."""
        return list(self._suppressed)

    def suppressed(self, reason: str) -> list[str]:
        """The alarms that are suppressed for this reason."""
        return list(self._suppressed.get(reason, ()))

    def timed(self) -> list[str]:
        """The alarms to which the time alone may do something: held until then, or acknowledged."""
        return sorted(self._timed)


def _waits(alarm: Alarm) -> bool:
    if alarm.condition is AlarmState.ACKNOWLEDGED:
        return True
    return any(hold is not None and hold.until_ms is not None for hold in (alarm.shelved, alarm.out_of_service))


def _take_out(ids: dict[str, _Ids], name: str, alarm: str) -> None:
    found = ids.get(name)
    if found is not None:
        found.pop(alarm, None)
        if not found:
            del ids[name]
