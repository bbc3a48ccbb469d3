"""All detectors over all entities: what is seen and the time in, what happens to alarms out.

Deterministic but for the moment of a tick: the same events, from the same memory, give the same alarms. What
changed since the last `written` is told apart, so that memory, alarms and cursors go to the store in one go.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from analysis.alarmbook import AlarmBook, place_of
from analysis.detectors import DETECTORS
from analysis.detectors.detector import City, Detector, State, Step
from analysis.detectors.finding import Change, Finding
from analysis.incidents import IncidentBook, Join, Member, alarm_member, case_member
from analysis.picture import Picture
from analysis.routes import Routes
from analysis.schedule import Clock, in_hours
from analysis.suppression import FEEDS, Suppression
from city.alarms import Act, Action, Alarm, AlarmPriority, Hold
from city.events import CameraEvent, Case, Event
from city.incidents import Incident
from city.rules import Alarms
from city.rules.incidents import Incidents
from city.rules.nuisance import Nuisance
from city.rules.rule import Rule

log = structlog.get_logger()

# Between two ticks further apart nobody watched: the store was away, or this process was stopped.
BLIND_AFTER_MS = 5_000

_BY_RULE = {detector.rule: detector for detector in DETECTORS}
_encode = msgspec.json.Encoder().encode
_decoders = {detector.rule: msgspec.json.Decoder(detector.state) for detector in DETECTORS}


@dataclass(slots=True)
class _Desk:
    """One detector at work, with the states of all its keys."""

    detector: Detector
    rule: Rule
    states: dict[str, Struct] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    dirty: set[str] = field(default_factory=set)

    def put(self, key: str, state: Struct | None) -> None:
        """Know another state of a key; None: nothing."""
        self.dirty.add(key)
        if state is None:
            self.states.pop(key, None)
            self.waiting.discard(key)
            return
        self.states[key] = state
        if cast("State", state).waits:
            self.waiting.add(key)
        else:
            self.waiting.discard(key)


# Detectors of one key follow each other: the key is made once.
_Takes = tuple[_Desk, Step, dict[str, Struct], Rule]
_Takers = list[tuple[Callable[[Any], str | None], list[_Takes]]]


@dataclass(slots=True)
class Detection:
    """The detectors of one city. Cheap where nothing happens: a thing seen is one look at one state a detector."""

    rules: Alarms
    capacity_default: int
    clock: Clock
    routes: Routes = field(default_factory=Routes)
    book: AlarmBook = field(default_factory=AlarmBook)
    picture: Picture = field(default_factory=Picture)
    ticked_ms: int = 0
    joining: Incidents = field(default_factory=Incidents)
    nuisance: Nuisance = field(default_factory=Nuisance)
    incidents: IncidentBook = field(init=False)
    suppression: Suppression = field(init=False)
    _city: City = field(init=False)
    _desks: dict[str, _Desk] = field(default_factory=dict)  # by rule
    _takers: dict[type, _Takers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.incidents = IncidentBook(self.joining, self.clock)
        explained_by = {name: cast("Rule", getattr(self.rules, name)).suppressed_by for name in _BY_RULE}
        feeds = {one.rule: {feed for kind in one.takes for feed in FEEDS.get(kind, ())} for one in DETECTORS}
        self.suppression = Suppression(self.nuisance, explained_by, self.book.index, feeds)
        self._city = City(self.picture, self.routes, self.capacity_default, 0)
        for detector in DETECTORS:
            rule = cast("Rule", getattr(self.rules, detector.rule))
            desk = self._desks[detector.rule] = _Desk(detector, rule)
            takes = (desk, detector.step, desk.states, rule)
            for kind in detector.takes if rule.enabled else ():
                takers = self._takers.setdefault(kind, [])
                for key_of, desks in takers:
                    if key_of is detector.key:
                        desks.append(takes)
                        break
                else:
                    takers.append((detector.key, [takes]))

    # --- what comes in ----------------------------------------------------------------------------

    def apply(self, events: Iterable[tuple[Event, bool]]) -> None:
        """Take a batch of (event, late) of one partition in."""
        # The facets of a batch come one after another; the rules want them as they were measured.
        picture, see = self.picture, self.see
        for event, late in sorted(events, key=_measured):
            if not late:
                picture.apply(event)
            if type(event) is Case:
                self._case(event)
            elif not late or type(event) is CameraEvent:
                see(event)

    def see(self, seen: object) -> None:
        """Show one thing to the detectors that want it: an event, a feed's counters, the size of something."""
        city = self._city
        for key_of, desks in self._takers.get(type(seen), ()):
            key = key_of(seen)
            if key is None:
                continue
            for desk, step, states, rule in desks:
                before = states.get(key)
                after, findings = step(before, seen, rule, city)
                if after is not before:
                    desk.put(key, after)
                if findings:
                    self._tell(findings, rule)

    def seed(self, now_ms: int) -> None:
        """Take the picture's newest states in, for what was said before the events that are still kept.

        Only camera statuses and young counts: an alert or a fuel level of long ago is no news.
        """
        young_ms = now_ms - int(self.rules.overload.forget_after_s * 1000)
        for camera in self.picture.cameras.values():
            if camera.status is not None:
                self.see(camera.status)
        for vehicle in self.picture.vehicles.values():
            if vehicle.passengers is not None and vehicle.passengers.measured_ms > young_ms:
                self.see(vehicle.passengers)

    def tick(self, now_ms: int) -> None:
        """What the time alone brings."""
        if now_ms - self.ticked_ms > BLIND_AFTER_MS or now_ms < self.ticked_ms:
            self._city = City(self.picture, self.routes, self.capacity_default, now_ms)
        self.ticked_ms = now_ms
        for rule in sorted(self._desks):
            desk = self._desks[rule]
            tick = desk.detector.tick
            if tick is None:
                continue
            states, city = desk.states, self._city
            ticked = [(key, *tick(states[key], now_ms, desk.rule, city)) for key in desk.waiting]
            # Most have nothing to tell; the others tell in one order, whatever the set's.
            changed = [one for one in ticked if one[1] is not states[one[0]] or one[2]]
            for key, after, findings in sorted(changed, key=_key):
                if after is not states[key]:
                    desk.put(key, after)
                if findings:
                    self._tell(findings, desk.rule)
        self._let_go(now_ms)

    def _tell(self, findings: Sequence[Finding], rule: Rule) -> None:
        for finding in findings:
            self._found(finding, rule)
            # Some detectors look at what others find: a network fails where many of its sensors do.
            self.see(finding)

    def _found(self, finding: Finding, rule: Rule) -> None:
        if not all(map(_finite, finding.values.values())):
            # A reading may be as large as a number can be; what is beyond has no JSON.
            finding = replace(finding, values={name: one for name, one in finding.values.items() if _finite(one)})
        place = place_of(self.picture, finding)
        if finding.change is Change.RAISE:
            if rule.areas and place.district not in rule.areas and place.mahalla not in rule.areas:
                return
            if rule.routes and place.route not in rule.routes:
                return
            if rule.hours and not in_hours(rule.hours, self.clock, finding.at_ms):
                return
        known, why = self.book.alarms.get(finding.alarm_id), ""
        if finding.change is Change.RAISE and (known is None or not known.active):
            priority = finding.priority or AlarmPriority(rule.priority)
            why = self.suppression.rise(finding.alarm_id, finding.rule, priority, finding.at_ms)
        alarm = self.book.take(finding, rule, place, suppressed_by=why)
        if alarm is not None and finding.change is Change.RAISE and alarm.priority is not AlarmPriority.JOURNAL:
            self._join(alarm_member(alarm, rule.agency), finding.at_ms)
        if alarm is None or finding.change is Change.UPDATE:
            return
        if finding.change is Change.CLEAR:
            self.suppression.cleared(alarm.id, finding.at_ms)
        elif alarm.announced:
            self.suppression.announced(finding.at_ms)
        self._look_again(finding.at_ms)

    def _case(self, case: Case) -> None:
        # What stood before the events that are read is no news.
        if self.picture.cases.stands(case, case.measured_ms):
            self._join(case_member(case), case.measured_ms)

    def _join(self, member: Member, at_ms: int) -> None:
        for join in self.incidents.take(member):
            if (alarm := self.book.alarms.get(join.alarm)) is not None:
                self._say_joined(alarm, join, at_ms)

    def _say_joined(self, alarm: Alarm, join: Join, at_ms: int) -> None:
        self.book.act(alarm, Act(action=Action.JOIN, at_ms=at_ms, text=join.incident, reason=join.rule))

    # --- by the engine ----------------------------------------------------------------------------

    def _suppress(self, names: Iterable[str], at_ms: int) -> None:
        """Suppress by design what something explains now, and end that where nothing does any more."""
        for alarm in (self.book.alarms[name] for name in names):
            if why := self.suppression.why(alarm):
                self.book.act(alarm, Act(action=Action.SUPPRESS, at_ms=at_ms, reason=why))
            elif alarm.suppressed is not None:
                self.book.act(alarm, Act(action=Action.UNSUPPRESS, at_ms=at_ms))

    def _look_again(self, at_ms: int) -> None:
        """Look at what is explained by alarms that began, or ceased, to explain it; at what those explain in turn."""
        while turned := self.book.index.turned():
            for rule in turned:
                self._suppress(self.suppression.touched(rule), at_ms)

    def _let_go(self, now_ms: int) -> None:
        """End holds whose time is over, and announce again what is acknowledged for too long."""
        self._suppress((name for name in self.suppression.let_go(now_ms) if name in self.book.alarms), now_ms)
        for name in self.book.index.timed():
            alarm = self.book.alarms[name]
            if _over(alarm.shelved, now_ms):
                alarm = self.book.act(alarm, Act(action=Action.UNSHELVE, at_ms=now_ms)) or alarm
            if _over(alarm.out_of_service, now_ms):
                alarm = self.book.act(alarm, Act(action=Action.RETURN_TO_SERVICE, at_ms=now_ms)) or alarm
            again_s = cast("Rule", getattr(self.rules, alarm.rule)).realarm_after_s if alarm.rule in _BY_RULE else None
            acknowledged_ms = alarm.acknowledged_ms
            if again_s is not None and acknowledged_ms is not None and now_ms - acknowledged_ms >= again_s * 1000:
                self.book.act(alarm, Act(action=Action.REALARM, at_ms=now_ms))
        # Operators may have put a cause away, or taken it back.
        self._look_again(now_ms)

    # --- what the store knows ---------------------------------------------------------------------

    def restore(self, alarms: Sequence[Alarm], incidents: Sequence[Incident]) -> None:
        """Know these, as the store has them."""
        self.book.restore(alarms)
        self.incidents.restore(incidents, ((alarm, self._agency(alarm.rule)) for alarm in alarms))

    def rebase(self, alarms: Mapping[str, Alarm | None], incidents: Mapping[str, Incident | None]) -> None:
        """Say what happened again, onto what operators changed meanwhile: both as the store has them now."""
        self.book.rebase(alarms)
        for join in self.incidents.rebase(incidents):
            if (alarm := self.book.alarms.get(join.alarm)) is not None:
                self._say_joined(alarm, join, max(alarm.raised_ms, alarm.updated_ms))

    def learn(self, alarms: Sequence[Alarm], incidents: Sequence[Incident]) -> None:
        """What operators made of them."""
        self.incidents.learn(incidents)
        self.book.learn(alarms)
        for alarm in alarms:
            self.incidents.moved(alarm)

    def _agency(self, rule: str) -> str:
        return cast("Rule", getattr(self.rules, rule)).agency if rule in _BY_RULE else ""

    # --- memory -----------------------------------------------------------------------------------

    def remember(self, memory: Mapping[str, bytes]) -> None:
        """Take up what `changed_memory` gave; what this version does not understand is left out and told."""
        self.suppression.remember(memory)
        for name, value in memory.items():
            rule, _, key = name.partition(":")
            if rule not in _BY_RULE:
                continue
            try:
                state = _decoders[rule].decode(value)
            except msgspec.DecodeError as error:
                log.warning("state_not_understood", rule=rule, key=key, error=str(error))
                self._desks[rule].dirty.add(key)
                continue
            desk = self._desks[rule]
            desk.states[key] = state
            if cast("State", state).waits:
                desk.waiting.add(key)

    def settle(self, now_ms: int) -> None:
        """Clear alarms that no detector holds: its rule is gone or off, or its memory was not understood."""
        for alarm in self.book.standing():
            rule, _, key = alarm.id.partition(":")
            state = self._desks[rule].states.get(key) if rule in self._desks else None
            if state is None or cast("State", state).raised_ms is None:
                self.book.act(alarm, Act(action=Action.CLEAR, at_ms=max(now_ms, alarm.raised_ms)))

    def changed_memory(self) -> tuple[dict[str, bytes], list[str]]:
        """What to keep since the last `written`, and what to forget."""
        kept, gone = self.suppression.changed_memory()
        for rule, desk in self._desks.items():
            for key in desk.dirty:
                state = desk.states.get(key)
                if state is None:
                    gone.append(f"{rule}:{key}")
                else:
                    kept[f"{rule}:{key}"] = _encode(state)
        return kept, gone

    def written(self) -> None:
        """The store has it all."""
        for desk in self._desks.values():
            desk.dirty.clear()
        self.suppression.written()
        self.book.written()
        self.incidents.written()


def _measured(one: tuple[Event, bool]) -> int:
    return one[0].measured_ms


def _key(one: tuple[str, object, object]) -> str:
    return one[0]


def _finite(value: float | str) -> bool:
    return isinstance(value, str) or math.isfinite(value)


def _over(hold: Hold | None, now_ms: int) -> bool:
    return hold is not None and hold.until_ms is not None and hold.until_ms <= now_ms
