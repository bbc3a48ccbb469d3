"""Which alarms and cases belong together: they become one incident by the rules of `incidents.rules`.

A rule says what its members have in common (a network and a district, a route, a place) and how soon one follows the
other. An alarm joins the open incident of the first rule that fits; where there is none, as many as the rule wants make
a new one. Pure: what joined is told apart until the store has it, and can be said again onto what operators changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct
from msgspec.structs import replace

from analysis.geometry import distance_m
from analysis.schedule import Clock
from city.alarms import Alarm, AlarmPriority
from city.events import Case
from city.incidents import Deed, Incident, IncidentEntry, Step
from city.rules.incidents import Incidents, JoinRule

# Newest candidates of one group; a group that fills it has an incident long since.
_CANDIDATES_MAX = 1000
_CASES_MAX = 500
_TOUCH_MS = 60_000
_RANK = {priority: rank for rank, priority in enumerate(AlarmPriority)}
_OF_CASE = AlarmPriority.LOW

Group = tuple[str, tuple[str, ...]]  # rule and what its members have in common


class Member(Struct, frozen=True, kw_only=True):
    """An alarm or a case as the rules see it."""

    key: str  # the alarm's id, or the case's key
    is_case: bool = False
    kind: str  # rule of the alarm, category of the case
    at_ms: int
    priority: AlarmPriority
    agency: str = ""
    lat: float | None = None
    lon: float | None = None
    facts: Mapping[str, str] = {}  # network, route, district, mahalla, source, rule: what is known


class Join(Struct, frozen=True):
    """An alarm belongs to an incident now."""

    alarm: str
    incident: str
    rule: str


def alarm_member(alarm: Alarm, agency: str) -> Member:
    """An alarm that has just risen."""
    network = alarm.values.get("network")
    return Member(
        key=alarm.id,
        kind=alarm.rule,
        at_ms=alarm.raised_ms,
        priority=alarm.priority,
        agency=agency,
        lat=alarm.lat,
        lon=alarm.lon,
        facts=_facts(
            network=network if isinstance(network, str) else None,
            route=alarm.route,
            district=alarm.district,
            mahalla=alarm.mahalla,
            source=alarm.source_id,
            rule=alarm.rule,
        ),
    )


def case_member(case: Case) -> Member:
    """A case that was told."""
    route = next((one.route for one in case.affects if one.route), None)
    return Member(
        key=case.key,
        is_case=True,
        kind=case.category,
        at_ms=case.measured_ms,
        priority=_OF_CASE,
        agency=case.agency or "",
        lat=case.lat,
        lon=case.lon,
        facts=_facts(route=route, district=case.district, mahalla=case.mahalla),
    )


@dataclass(slots=True)
class _Coming:
    """What joined an incident, or opened it, that the store does not have yet."""

    opened: Incident | None = None
    members: list[Member] = field(default_factory=list)


@dataclass(slots=True)
class IncidentBook:
    """The incidents that are open, who may soon make one, and what the store does not have yet."""

    settings: Incidents
    clock: Clock
    _stored: dict[str, Incident] = field(default_factory=dict)
    _coming: dict[str, _Coming] = field(default_factory=dict)
    _last_ms: dict[str, int] = field(default_factory=dict)
    _of_group: dict[Group, list[str]] = field(default_factory=dict)
    _lately: dict[Group, dict[str, Member]] = field(default_factory=dict)  # by key, the newest last
    _of_member: dict[str, str] = field(default_factory=dict)  # alarm or case → incident
    _number: tuple[str, int] = ("", 0)  # the last of a day

    # --- what is known ------------------------------------------------------------------------

    def restore(self, incidents: Iterable[Incident], alarms: Iterable[tuple[Alarm, str]]) -> None:
        """Know what the store has; `alarms` with their agencies: those in no incident may make one."""
        self.learn(incidents)
        for alarm, agency in sorted(alarms, key=lambda one: one[0].raised_ms):
            inside = self._stored.get(alarm.incident or "")
            # In a closed one it is until it rises again.
            if inside is not None and (self._resolve(inside.id) or alarm.raised_ms <= (inside.closed_ms or 0)):
                self._of_member[alarm.id] = inside.id
            elif alarm.raised_ms and alarm.priority is not AlarmPriority.JOURNAL:
                self._note(alarm_member(alarm, agency))

    def learn(self, incidents: Iterable[Incident]) -> None:
        """What others made of incidents; of one that changed here too, `rebase` will tell."""
        for one in incidents:
            known = self._stored.get(one.id)
            if known is not None and known.version >= one.version:
                continue
            self._stored[one.id] = one
            self._last_ms[one.id] = max(self._last_ms.get(one.id, 0), one.last_ms)
            for case in one.cases:
                self._of_member[case] = one.id
            day, _, number = one.id.partition("-")
            if number.isdigit():
                self._number = max(self._number, (day, int(number)))
            if one.rule:
                ids = self._of_group.setdefault((one.rule, tuple(one.common.values())), [])
                if one.id not in ids:
                    ids.append(one.id)

    def moved(self, alarm: Alarm) -> None:
        """An operator moved an alarm to another incident. What it was in before it rose again does not count."""
        if self._resolve(alarm.incident) is not None:
            self._of_member[alarm.id] = str(alarm.incident)

    def incident_of(self, member: str) -> Incident | None:
        """The open incident of an alarm or case, past what was merged; None where it is in none."""
        return self._resolve(self._of_member.get(member))

    # --- what comes in --------------------------------------------------------------------------

    def take(self, member: Member) -> list[Join]:
        """What a rise, or a case, brings: alarms that belong to an incident now."""
        known = self.incident_of(member.key)
        if known is not None:
            if not member.is_case and member.at_ms - self._last_ms[known.id] > _TOUCH_MS:
                self._last_ms[known.id] = member.at_ms
                self._coming.setdefault(known.id, _Coming())
            return []
        self._of_member.pop(member.key, None)
        for name, rule in self.settings.rules.items():
            group = _group(name, rule, member)
            if group is None:
                continue
            if (found := self._open(group, rule, member)) is not None:
                return self._join(found, [member])
            together = self._together(group, rule, member)
            # Citizens tell of what goes wrong; without an alarm there is none.
            if len(together) >= rule.at_least and not all(one.is_case for one in together):
                return self._join(self._begin(name, rule, group, together), together)
        self._note(member)
        return []

    def forget(self, before_ms: int) -> None:
        """Drop what closed before then, and candidates that are too old for any rule."""
        for name, one in list(self._stored.items()):
            if one.closed_ms is not None and one.closed_ms < before_ms and not self._resolve(name):
                del self._stored[name]
                self._last_ms.pop(name, None)
        gone = {
            group: [i for i in ids if i in self._stored or i in self._coming] for group, ids in self._of_group.items()
        }
        self._of_group = {group: ids for group, ids in gone.items() if ids}
        self._of_member = {
            member: name for member, name in self._of_member.items() if name in self._stored or name in self._coming
        }
        for group, lately in list(self._lately.items()):
            if not lately or next(reversed(lately.values())).at_ms < before_ms:
                del self._lately[group]

    # --- towards the store ------------------------------------------------------------------------

    @property
    def changed(self) -> bool:
        return bool(self._coming)

    def changes(self) -> list[tuple[Incident | None, Incident]]:
        """Of every incident that something joined: as the store has it, and as it is to be."""
        return [(self._stored.get(name), self._after(name)) for name in self._coming]

    def entries(self) -> list[IncidentEntry]:
        """The lines that this adds to the timelines."""
        lines = []
        for name, coming in self._coming.items():
            after = self._after(name)
            at_ms = after.last_ms
            if coming.opened is not None and name not in self._stored:
                opened: dict[str, float | str] = {"rule": after.rule, **after.common}
                lines.append(_line(after, Deed.OPEN, after.opened_ms, opened))
            if coming.members:
                cases = sum(one.is_case for one in coming.members)
                joined: dict[str, float | str] = {"alarms": len(coming.members) - cases, "cases": cases}
                lines.append(_line(after, Deed.JOIN, at_ms, joined))
        return lines

    def written(self) -> None:
        """The store has it all."""
        for name in list(self._coming):
            self._stored[name] = self._after(name)
        self._coming.clear()

    def rebase(self, found: Mapping[str, Incident | None]) -> list[Join]:
        """Take up incidents as the store has them; what joined is said again of them.

        One that an operator has closed meanwhile takes in nobody: gives where its alarms belong now.
        """
        self._stored.update({name: one for name, one in found.items() if one is not None})
        joins: list[Join] = []
        for name, one in found.items():
            if one is None or one.open or (coming := self._coming.pop(name, None)) is None:
                continue
            target = self._resolve(name)
            for member in coming.members:
                self._of_member.pop(member.key, None)
                joins += self._join(target, [member]) if target is not None else self.take(member)
        return joins

    # --- by the rules ---------------------------------------------------------------------------

    def _open(self, group: Group, rule: JoinRule, member: Member) -> Incident | None:
        for name in reversed(self._of_group.get(group, [])):
            one = self._resolve(name)
            if one is None or member.at_ms - self._last_ms[one.id] > rule.within_s * 1000:
                continue
            if rule.near_m is None or _near(one.lat, one.lon, member, rule.near_m):
                return one
        return None

    def _together(self, group: Group, rule: JoinRule, member: Member) -> list[Member]:
        """Who would make an incident with this one: the newest of each, oldest first."""
        since_ms = member.at_ms - rule.within_s * 1000
        found: dict[str, Member] = {}
        for one in self._lately.get(group, {}).values():
            if one.at_ms < since_ms or one.key in self._of_member:
                continue
            if rule.near_m is None or _near(one.lat, one.lon, member, rule.near_m):
                found[one.key] = one
        found[member.key] = member
        return sorted(found.values(), key=lambda one: one.at_ms)

    def _note(self, member: Member) -> None:
        for name, rule in self.settings.rules.items():
            if (group := _group(name, rule, member)) is not None:
                lately = self._lately.setdefault(group, {})
                lately.pop(member.key, None)  # told again it is one, and the newest
                lately[member.key] = member
                if len(lately) > _CANDIDATES_MAX:
                    del lately[next(iter(lately))]

    def _begin(self, name: str, rule: JoinRule, group: Group, members: Sequence[Member]) -> Incident:
        first = next(one for one in members if not one.is_case)
        at_ms = members[-1].at_ms
        steps = self.settings.procedures.get(rule.procedure or "", ())
        one = Incident(
            id=self._next_id(at_ms),
            opened_ms=at_ms,
            updated_ms=at_ms,
            last_ms=at_ms,
            rule=name,
            common=dict(zip(rule.together, group[1], strict=True)),
            first_alarm=first.key,
            lat=first.lat,
            lon=first.lon,
            district=first.facts.get("district"),
            mahalla=first.facts.get("mahalla"),
            route=first.facts.get("route"),
            checklist=tuple(Step(text={str(language): text for language, text in step.items()}) for step in steps),
            version=0,
        )
        self._coming[one.id] = _Coming(opened=one)
        self._last_ms[one.id] = at_ms
        self._of_group.setdefault(group, []).append(one.id)
        return one

    def _join(self, incident: Incident, members: Sequence[Member]) -> list[Join]:
        coming = self._coming.setdefault(incident.id, _Coming())
        for member in members:
            coming.members.append(member)
            self._of_member[member.key] = incident.id
        self._last_ms[incident.id] = max(self._last_ms[incident.id], members[-1].at_ms)
        return [Join(one.key, incident.id, incident.rule) for one in members if not one.is_case]

    def _resolve(self, name: str | None) -> Incident | None:
        """The open incident of a name, past what was merged."""
        for _ in range(10):
            if name is None:
                return None
            coming = self._coming.get(name)
            one = self._stored.get(name) or (coming.opened if coming else None)
            if one is None or one.merged_into is None:
                return one if one is not None and one.open else None
            name = one.merged_into
        return None

    def _after(self, name: str) -> Incident:
        coming = self._coming[name]
        before = self._stored.get(name) or coming.opened
        assert before is not None
        cases = [one.key for one in coming.members if one.is_case]
        alarms = [one for one in coming.members if not one.is_case]
        last_ms = max(before.last_ms, self._last_ms[name])
        return replace(
            before,
            alarms=before.alarms + len(alarms),
            cases=tuple(dict.fromkeys([*before.cases, *cases]))[-_CASES_MAX:],
            priority=min([before.priority, *(one.priority for one in alarms)], key=_RANK.__getitem__),
            agencies=tuple(dict.fromkeys([*before.agencies, *(one.agency for one in coming.members if one.agency)])),
            last_ms=last_ms,
            updated_ms=max(before.updated_ms, last_ms),
            version=before.version + 1,
        )

    def _next_id(self, at_ms: int) -> str:
        day = f"{self.clock.local(at_ms):%Y%m%d}"
        last_day, last = self._number
        # A clock that goes back to yesterday counts on where today stopped: no number comes twice.
        day = max(day, last_day)
        self._number = (day, last + 1 if day == last_day else 1)
        return f"{day}-{self._number[1]:03d}"


def next_operator_id(clock: Clock, at_ms: int, taken: Iterable[str]) -> str:
    """A number for an incident that an operator makes: `<date>-p<n>`, apart from those of the rules."""
    day = f"{clock.local(at_ms):%Y%m%d}-p"
    numbers = [int(one.removeprefix(day)) for one in taken if one.startswith(day) and one.removeprefix(day).isdigit()]
    return f"{day}{max(numbers, default=0) + 1:02d}"


def _group(name: str, rule: JoinRule, member: Member) -> Group | None:
    """What a member has in common with others by a rule; None where the rule is not for it."""
    if member.is_case:
        if "*" not in rule.cases and member.kind not in rule.cases:
            return None
    elif rule.alarms and member.kind not in rule.alarms:
        return None
    if rule.near_m is not None and (member.lat is None or member.lon is None):
        return None
    common = tuple(member.facts.get(what, "") for what in rule.together)
    return None if "" in common else (name, common)


def _near(lat: float | None, lon: float | None, member: Member, within_m: float) -> bool:
    if lat is None or lon is None or member.lat is None or member.lon is None:
        return False
    return distance_m(lat, lon, member.lat, member.lon) <= within_m


def _facts(**known: str | None) -> dict[str, str]:
    return {name: value for name, value in known.items() if value}


def _line(incident: Incident, deed: Deed, at_ms: int, values: Mapping[str, float | str]) -> IncidentEntry:
    return IncidentEntry(incident=incident.id, version=incident.version, deed=deed, at_ms=at_ms, values=values)
