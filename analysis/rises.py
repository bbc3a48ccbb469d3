"""When and where alarms rose, as columns: what hot spots, repeats and breaks are looked for in.

Whoever has transitions hands them over oldest first; whether they come from the store's log or from the archive is all
the same here. What a rule suppressed because another alarm explains it, and what was out of service, is not counted; a
shelved alarm is: putting it away mends nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from analysis.schedule import Clock
from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.systemic import DayKind

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
NOWHERE = -1
_NOT_COUNTED = (AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE)
_RANK = {priority: rank for rank, priority in enumerate(AlarmPriority)}


class Rises(Struct, frozen=True, kw_only=True, eq=False):
    """Rises of alarms, a row each, oldest first; names are numbers into the tuples below."""

    at_ms: Ints
    rule: Ints
    alarm: Ints
    district: Ints  # NOWHERE where none is known
    mahalla: Ints
    stood_ms: Ints  # until the return to normal; -1 while it stands
    people: Floats  # on board or counted when it rose, 0 where nothing says it
    hour: Ints  # of the week by the city's clock, 0 is Monday 00–01
    day: Ints  # the city's date, as its proleptic ordinal
    rules: tuple[str, ...]
    alarms: tuple[str, ...]  # ids
    sources: tuple[tuple[str, str], ...]  # kind and id of each alarm's source
    districts: tuple[str, ...]
    mahallas: tuple[str, ...]
    priorities: tuple[AlarmPriority, ...]  # of each rule, the most urgent that was seen

    def __len__(self) -> int:
        return len(self.at_ms)

    def only(self, chosen: npt.NDArray[np.bool_]) -> Rises:
        """The rows that are chosen; the names stay as they are."""
        return Rises(
            at_ms=self.at_ms[chosen],
            rule=self.rule[chosen],
            alarm=self.alarm[chosen],
            district=self.district[chosen],
            mahalla=self.mahalla[chosen],
            stood_ms=self.stood_ms[chosen],
            people=self.people[chosen],
            hour=self.hour[chosen],
            day=self.day[chosen],
            rules=self.rules,
            alarms=self.alarms,
            sources=self.sources,
            districts=self.districts,
            mahallas=self.mahallas,
            priorities=self.priorities,
        )


class _Names(dict[str, int]):
    """Numbers names in the order of their coming."""

    def number(self, name: str | None) -> int:
        if name is None:
            return NOWHERE
        found = self.get(name)
        if found is None:
            found = self[name] = len(self)
        return found


class RisesReader:
    """Takes transitions in, oldest first, and gives the columns of what rose."""

    def __init__(self) -> None:
        self._at: list[int] = []
        self._rule: list[int] = []
        self._alarm: list[int] = []
        self._district: list[int] = []
        self._mahalla: list[int] = []
        self._stood: list[int] = []
        self._people: list[float] = []
        self._rules, self._alarms, self._districts, self._mahallas = _Names(), _Names(), _Names(), _Names()
        self._sources: list[tuple[str, str]] = []
        self._ranks: list[int] = []
        self._standing: dict[str, int] = {}  # alarm id → its row

    def take(self, transition: Transition) -> None:
        if transition.action is Action.RISE:
            self._rise(transition)
        elif transition.action is Action.CLEAR:
            row = self._standing.pop(transition.alarm, None)
            if row is not None:
                self._stood[row] = max(0, transition.at_ms - self._at[row])

    def rises(self, clock: Clock) -> Rises:
        """What has risen so far, with the city's hours and days."""
        at = np.array(self._at, dtype=np.int64)
        order = np.argsort(at, kind="stable")  # operators' and the watcher's own may cross by some milliseconds
        at = at[order]
        local = at + _offsets_ms(at, clock)
        ranked = tuple(AlarmPriority)
        return Rises(
            at_ms=at,
            rule=_ints(self._rule)[order],
            alarm=_ints(self._alarm)[order],
            district=_ints(self._district)[order],
            mahalla=_ints(self._mahalla)[order],
            stood_ms=_ints(self._stood)[order],
            people=np.array(self._people, dtype=np.float64)[order],
            hour=hour_of_week(local),
            day=local // DAY_MS + EPOCH_DAY,
            rules=tuple(self._rules),
            alarms=tuple(self._alarms),
            sources=tuple(self._sources),
            districts=tuple(self._districts),
            mahallas=tuple(self._mahallas),
            priorities=tuple(ranked[rank] for rank in self._ranks),
        )

    def _rise(self, one: Transition) -> None:
        if one.after in _NOT_COUNTED or one.priority is AlarmPriority.JOURNAL:
            return
        rule, alarm = self._rules.number(one.rule), self._alarms.number(one.alarm)
        if rule == len(self._ranks):
            self._ranks.append(_RANK[one.priority])
        self._ranks[rule] = min(self._ranks[rule], _RANK[one.priority])
        if alarm == len(self._sources):
            self._sources.append((one.source_kind, one.source_id))
        self._standing[one.alarm] = len(self._at)
        self._at.append(one.at_ms)
        self._rule.append(rule)
        self._alarm.append(alarm)
        self._district.append(self._districts.number(one.district))
        self._mahalla.append(self._mahallas.number(one.mahalla))
        self._stood.append(-1)
        self._people.append(_people(one))


EPOCH_DAY = 719_163  # 1970-01-01 as a proleptic ordinal
_EPOCH_WEEKDAY = 3  # that day was a Thursday


def hour_of_week(local_ms: Ints) -> Ints:
    """The hour of the week, 0 is Monday 00–01, of local milliseconds."""
    hours = local_ms // HOUR_MS
    return (hours // 24 + _EPOCH_WEEKDAY) % 7 * 24 + hours % 24


def is_weekend(day: Ints) -> npt.NDArray[np.bool_]:
    """Whether days (proleptic ordinals) are Saturdays or Sundays."""
    return (day - 1) % 7 >= 5  # day 1 was a Monday


def chosen(rises: Rises, rule: int, days: DayKind, hours: Sequence[int]) -> npt.NDArray[np.bool_]:
    """Which rises are of a rule, on a kind of day, at some hours (none: all)."""
    found: npt.NDArray[np.bool_] = rises.rule == rule
    if days is not DayKind.ALL:
        found = found & (is_weekend(rises.day) == (days is DayKind.WEEKEND))
    return found & np.isin(rises.hour % 24, list(hours)) if hours else found


def in_turn(hours: tuple[int, ...]) -> tuple[int, ...]:
    """Hours of a day in the order of the clock, from the one that follows the longest pause: 23, 0, 1."""
    if not hours:
        return hours
    pauses = [(hour - hours[at - 1]) % 24 or 24 for at, hour in enumerate(hours)]
    first = pauses.index(max(pauses))
    return hours[first:] + hours[:first]


def _offsets_ms(at_ms: Ints, clock: Clock) -> Ints:
    """What to add to UTC for the city's wall clock; asked once an hour, clocks change on the hour."""
    hours, of = np.unique(at_ms // HOUR_MS, return_inverse=True)
    offsets = [
        int((clock.local(int(hour) * HOUR_MS).utcoffset() or timedelta()).total_seconds() * 1000) for hour in hours
    ]
    return _ints(offsets)[of]


def _people(one: Transition) -> float:
    for name in ("onboard", "count"):
        value = one.values.get(name)
        if isinstance(value, int | float) and value > 0:
            return float(value)
    return 0.0


def _ints(values: list[int]) -> Ints:
    return np.array(values, dtype=np.int64)
