"""The alarms that are known, what happens to them, and what of that the store does not have yet."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from analysis.alarm_index import AlarmIndex
from analysis.alarm_states import NotAllowed, apply, transition_of
from analysis.detectors.finding import Change, Finding
from analysis.picture import Picture
from city.alarms import Act, Action, Alarm, AlarmPriority, AlarmState, Transition
from city.rules.rule import Rule


class Place(Struct, frozen=True, kw_only=True):
    """Where an alarm's source is; None where nothing says."""

    lat: float | None = None
    lon: float | None = None
    district: str | None = None
    mahalla: str | None = None
    route: str | None = None


class _Happened(Struct, frozen=True):
    """Something that the store does not have yet, so that it can be said again of an alarm that others changed."""

    alarm: Alarm  # as it would be new
    act: Act | None  # None: only its numbers went on
    values: dict[str, float | str]
    at_ms: int


@dataclass(slots=True)
class AlarmBook:
    """Alarms by id."""

    alarms: dict[str, Alarm] = field(default_factory=dict)  # to be read
    index: AlarmIndex = field(default_factory=AlarmIndex)
    _stored: dict[str, Alarm | None] = field(default_factory=dict)  # of those that changed: as the store has them
    _happened: dict[str, list[_Happened]] = field(default_factory=dict)
    _transitions: list[Transition] = field(default_factory=list)

    def restore(self, alarms: Iterable[Alarm]) -> None:
        """Know these alarms, as the store has them."""
        for alarm in alarms:
            self._put(alarm.id, alarm)

    def learn(self, alarms: Iterable[Alarm]) -> None:
        """What others made of alarms; of one that changed here too, `rebase` will tell."""
        for alarm in alarms:
            known = self.alarms.get(alarm.id)
            if alarm.id not in self._stored and known is not None and alarm.version > known.version:
                self._put(alarm.id, alarm)

    def take(self, finding: Finding, rule: Rule, place: Place, *, suppressed_by: str = "") -> Alarm | None:
        """The alarm as the finding leaves it, None if it changes nothing.

        With a reason in `suppressed_by` it is suppressed before it rises: it is never announced, not for a moment.
        """
        known = self.alarms.get(finding.alarm_id)
        action = {Change.RAISE: Action.RISE, Change.CLEAR: Action.CLEAR, Change.UPDATE: None}[finding.change]
        if known is None and action is not Action.RISE:
            return None
        alarm = known or Alarm(
            id=finding.alarm_id,
            rule=finding.rule,
            priority=finding.priority or AlarmPriority(rule.priority),
            source_kind=finding.source_kind,
            source_id=finding.source_id,
        )
        if action is Action.RISE:
            alarm = replace(
                alarm,
                priority=finding.priority or AlarmPriority(rule.priority),
                latching=rule.latching,
                wants_acknowledgement=rule.acknowledge,
                **{name: getattr(place, name) for name in Place.__struct_fields__},
            )
        if suppressed_by and action is Action.RISE and not alarm.active:
            hold = Act(action=Action.SUPPRESS, at_ms=finding.at_ms, reason=suppressed_by)
            alarm = self._happen(_Happened(alarm, hold, {}, finding.at_ms)) or alarm
        act = None if action is None else Act(action=action, at_ms=finding.at_ms, values=finding.values)
        return self._happen(_Happened(alarm, act, finding.values, finding.at_ms))

    def act(self, alarm: Alarm, act: Act) -> Alarm | None:
        """What happens to a known alarm by itself: the end of a hold, another announcement. Raises NotAllowed."""
        return self._happen(_Happened(alarm, act, {}, act.at_ms))

    def standing(self) -> list[Alarm]:
        """The alarms whose condition stands, held ones too."""
        return [alarm for alarm in self.alarms.values() if alarm.active]

    # --- towards the store ------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        return bool(self._stored)

    def changes(self) -> list[tuple[Alarm | None, Alarm | None]]:
        """Of every alarm that changed: as the store has it, and as it is."""
        return [(stored, self.alarms.get(name)) for name, stored in self._stored.items()]

    def transitions(self) -> Sequence[Transition]:
        """What happened since the last `written`, in its order."""
        return self._transitions

    def written(self) -> None:
        """The store has it all."""
        self._stored.clear()
        self._happened.clear()
        self._transitions.clear()

    def rebase(self, found: Mapping[str, Alarm | None]) -> None:
        """Say what happened again, of alarms that operators have changed meanwhile: as the store has them now."""
        happened = self._happened
        for name, alarm in found.items():
            self._put(name, alarm)
        mine = {name for name in self._stored if name not in found}
        kept = [one for one in self._transitions if one.alarm in mine]
        self._stored = {name: stored for name, stored in self._stored.items() if name in mine}
        self._happened = {name: some for name, some in happened.items() if name in mine}
        self._transitions = kept
        for name in found:
            for one in happened.get(name, ()):
                known = self.alarms.get(name)
                if known is not None and _prolonged(known, one.act):
                    continue
                again = one if known is None else replace(one, alarm=_rebased(known, one.alarm))
                with contextlib.suppress(NotAllowed):  # an operator has done it meanwhile
                    self._happen(again)

    def forget(self, cleared_before_ms: int) -> None:
        """Drop alarms that are normal since before then, and that nothing holds."""
        for alarm in list(self.alarms.values()):
            if alarm.state is AlarmState.NORMAL and alarm.updated_ms < cleared_before_ms:
                self._stored.setdefault(alarm.id, alarm)
                self._put(alarm.id, None)

    def _happen(self, one: _Happened) -> Alarm | None:
        before, act = one.alarm, one.act
        stored = self.alarms.get(before.id)
        if act is not None:
            after = apply(before, act)
            if after is before:
                return None
            self._transitions.append(transition_of(before, after, act))
        else:
            if not before.active or one.at_ms <= before.updated_ms:
                return None
            after = replace(before, updated_ms=one.at_ms, values=one.values)
        self._stored.setdefault(after.id, stored)
        self._happened.setdefault(after.id, []).append(one)
        self._put(after.id, after)
        return after

    def _put(self, name: str, alarm: Alarm | None) -> None:
        self.index.moved(self.alarms.get(name), alarm)
        if alarm is None:
            self.alarms.pop(name, None)
        else:
            self.alarms[name] = alarm


def _prolonged(alarm: Alarm, act: Act | None) -> bool:
    """Whether an operator has prolonged the hold whose end this is."""
    if act is None or act.by:
        return False
    hold = {Action.UNSHELVE: alarm.shelved, Action.RETURN_TO_SERVICE: alarm.out_of_service}.get(act.action)
    return hold is not None and (hold.until_ms is None or hold.until_ms > act.at_ms)


_OF_OPERATORS = (
    "state",
    "condition",
    "acknowledged_ms",
    "acknowledged_by",
    "shelved",
    "out_of_service",
    "assignee",
    "comments",
    "incident",
    "version",
    "active",
    "raised_ms",
    "cleared_ms",
    "updated_ms",
    "occurrences",
    "suppressed",
)


def _rebased(stored: Alarm, mine: Alarm) -> Alarm:
    """What the rule says of the alarm, on the alarm as the store has it."""
    return replace(mine, **{name: getattr(stored, name) for name in _OF_OPERATORS})


def place_of(picture: Picture, finding: Finding) -> Place:
    """Where the finding says, where a vehicle was last, or where a camera stands; feeds are nowhere."""
    if finding.source_kind == "vehicle" and (vehicle := picture.vehicles.get(finding.source_id)):
        at, newest = vehicle.position, vehicle.newest
        route = newest.route if newest else None
        if at is None:
            return Place(route=route)
        return Place(lat=at.lat, lon=at.lon, district=at.district, mahalla=at.mahalla, route=route or at.route)
    if finding.source_kind == "camera" and (camera := picture.cameras.get(finding.source_id)) and camera.status:
        status = camera.status
        return Place(lat=status.lat, lon=status.lon, district=status.district, mahalla=status.mahalla)
    return Place(
        lat=finding.lat, lon=finding.lon, district=finding.district, mahalla=finding.mahalla, route=finding.route
    )
