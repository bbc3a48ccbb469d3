"""Which alarms stand, which are suppressed and why, and which wait for the clock: kept as they change.

A thousand alarms in a minute must not cost a walk over all alarms each.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from city.alarms import Alarm, AlarmState

# Reasons of suppression that say nothing of the alarm's cause.
CHATTERING, FLOOD = "chattering", "flood"

# Ids in the order in which they came; a dictionary keeps it where a set would not.
_Ids = dict[str, None]


@dataclass(slots=True)
class AlarmIndex:
    """Ids of alarms, by what they are looked for."""

    _standing: dict[str, _Ids] = field(default_factory=dict)  # by rule
    _explaining: dict[str, dict[str, _Ids]] = field(default_factory=dict)  # by rule and feed, of those nothing holds
    _turned: _Ids = field(default_factory=dict)  # rules
    _suppressed: dict[str, _Ids] = field(default_factory=dict)  # by reason
    _timed: _Ids = field(default_factory=dict)

    def moved(self, before: Alarm | None, after: Alarm | None) -> None:
        """Take in that an alarm changed; None: it was not there, or is no more."""
        if before is not None:
            if before.active:
                _take_out(self._standing, before.rule, before.id)
            if _explains(before) and not (after is not None and _explains(after)):
                self._explain(before, False)
            if before.suppressed is not None:
                _take_out(self._suppressed, before.suppressed.reason, before.id)
            self._timed.pop(before.id, None)
        if after is not None:
            if after.active:
                self._standing.setdefault(after.rule, {})[after.id] = None
            if _explains(after) and not (before is not None and _explains(before)):
                self._explain(after, True)
            if after.suppressed is not None:
                self._suppressed.setdefault(after.suppressed.reason, {})[after.id] = None
            if _waits(after):
                self._timed[after.id] = None

    def explaining(self, rule: str) -> Collection[str]:
        """The feeds of which an alarm of this rule stands that nothing holds; "" for one that is not of a feed."""
        return self._explaining.get(rule, ())

    def turned(self) -> list[str]:
        """The rules of which `explaining` is another since the last call."""
        if not self._turned:
            return []
        turned, self._turned = list(self._turned), {}
        return turned

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

    def _explain(self, alarm: Alarm, does: bool) -> None:
        feed = alarm.source_id if alarm.source_kind == "feed" else ""
        feeds = self._explaining.setdefault(alarm.rule, {})
        before = feed in feeds
        if does:
            feeds.setdefault(feed, {})[alarm.id] = None
        else:
            _take_out(feeds, feed, alarm.id)
            if not feeds:
                del self._explaining[alarm.rule]
        if (feed in feeds) != before:
            self._turned[alarm.rule] = None


def _explains(alarm: Alarm) -> bool:
    # What somebody has put away, or is itself explained, is no reason to keep silent about others.
    explained = alarm.suppressed is not None and alarm.suppressed.reason not in (CHATTERING, FLOOD)
    return alarm.active and not explained and alarm.shelved is None and alarm.out_of_service is None


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
