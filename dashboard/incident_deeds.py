"""What operators do to incidents: never over somebody else's change, and with their alarms in one go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from threading import Lock

from analysis.alarm_states import NotAllowed, apply, transition_of
from analysis.incident_deeds import BLIND, IncidentAct, apply_deed, begin, join, leave, merge
from analysis.incidents import next_operator_id
from analysis.schedule import Clock
from city.alarm_store import AlarmCommit, Changed, ChangedIncident, Others
from city.alarms import Act, Action, Alarm
from city.incidents import Deed, Incident, IncidentEntry, IncidentStatus
from city.store import Store

# The watching process changes them too, several times a second in a storm; each try is a round trip later.
_TRIES = 20
_MERGES_MAX = 50
# Alarms a commit: a few milliseconds of the store, in which nobody else is served.
_ACKNOWLEDGED_AT_ONCE = 200
_BY_OPERATOR = "operator"

AgencyOf = Callable[[str], str]  # of an alarm's rule


class UnknownIncident(Exception):
    """There is no such incident."""


class IncidentChanged(Exception):
    """The incident is not the one that the operator saw."""

    def __init__(self, incident: Incident) -> None:
        super().__init__(f"the incident has changed: it is {incident.status} now, version {incident.version}")
        self.incident = incident


class IncidentDesk:
    """Deeds on the incidents of a store. Blocking: called from threads.

    Every method raises UnknownIncident, IncidentChanged, analysis.alarm_states.NotAllowed or StoreDown, and has done
    nothing then.
    """

    def __init__(self, store: Store, clock: Clock, agency_of: AgencyOf, *, keep_s: float) -> None:
        self._store, self._clock, self._agency_of, self._keep_s = store, clock, agency_of, keep_s
        # One after another within this process: two comments of one millisecond make the same incident, and the store
        # would take the second one for the first, sent again.
        self._turn = Lock()

    def do(self, incident_id: str, version: int, act: IncidentAct, names: Set[str]) -> Incident:
        """The incident after a deed; `names`: what its alarms call it."""
        before: Incident | None = None
        with self._turn:
            for _ in range(_TRIES):
                before = self._seen(incident_id, version, act.deed)
                closes = act.deed is Deed.STATUS and act.text == IncidentStatus.CLOSED
                standing = sum(a.active and a.incident in names for a in self._store.alarms()) if closes else 0
                after, entry = apply_deed(before, act, standing=standing)
                if entry is None:
                    return before
                if not self._commit([ChangedIncident(before, after)], [entry]):
                    return after
        assert before is not None
        raise IncidentChanged(before)

    def merge(self, incident_id: str, version: int, into: str, act: IncidentAct) -> Incident:
        """The other incident, with this one in it; this one is the version that was seen."""
        one: Incident | None = None
        with self._turn:
            for _ in range(_TRIES):
                one, other = self._seen(incident_id, version, act.deed), self._known(into)
                gone, whole, entries = merge(one, other, act)
                if not self._commit([ChangedIncident(one, gone), ChangedIncident(other, whole)], entries):
                    return whole
        assert one is not None
        raise IncidentChanged(one)

    def split(
        self,
        incident_id: str,
        version: int,
        alarm_ids: Sequence[str],
        act: IncidentAct,
        names: Set[str],
        taken: Set[str],
    ) -> tuple[Incident, Incident]:
        """The incident without these alarms, and the new one that they make; `taken`: ids that are in use."""
        before: Incident | None = None
        with self._turn:
            for _ in range(_TRIES):
                before = self._seen(incident_id, version, act.deed)
                if not before.open:
                    raise NotAllowed("the incident is closed: open it again first")
                moved = self._alarms(alarm_ids)
                for alarm in moved:
                    if alarm.incident not in names:
                        raise NotAllowed(f"alarm {alarm.id!r} is not in this incident")
                if len(moved) >= before.alarms:
                    raise NotAllowed("nothing would stay: leave at least one alarm in the incident")
                new_id = next_operator_id(self._clock, act.at_ms, taken)
                new, opened = begin(new_id, moved, self._agencies(moved), act, out_of=incident_id)
                after, left = leave(before, len(moved), new_id, act)
                others = self._commit(
                    [ChangedIncident(before, after), ChangedIncident(None, new)], [left, opened], moved, new_id, act
                )
                if not others:
                    return after, new
                taken = taken | (set(others.incidents) - {incident_id})
        assert before is not None
        raise IncidentChanged(before)

    def join(
        self, incident_id: str, version: int, alarm_ids: Sequence[str], act: IncidentAct, names: Set[str]
    ) -> Incident:
        """The incident with these alarms too, out of those that they were in."""
        before: Incident | None = None
        with self._turn:
            for _ in range(_TRIES):
                before = self._seen(incident_id, version, Deed.JOIN)
                moved = [alarm for alarm in self._alarms(alarm_ids) if alarm.incident not in names]
                if not moved:
                    return before
                after, joined = join(before, moved, self._agencies(moved), act)
                changes, entries = [ChangedIncident(before, after)], [joined]
                for other, count in self._left(moved, incident_id):
                    without, left = leave(other, count, incident_id, act)
                    changes.append(ChangedIncident(other, without))
                    entries.append(left)
                if not self._commit(changes, entries, moved, incident_id, act):
                    return after
        assert before is not None
        raise IncidentChanged(before)

    def create(self, alarm_ids: Sequence[str], act: IncidentAct, taken: Set[str]) -> Incident:
        """A new incident of alarms that are in no open one, or of a title alone."""
        with self._turn:
            for _ in range(_TRIES):
                moved = self._alarms(alarm_ids)
                for other, _ in self._left(moved, ""):
                    raise NotAllowed(
                        f"some of them are in incident {other.id}: split that, or join them to another one"
                    )
                new_id = next_operator_id(self._clock, act.at_ms, taken)
                new, opened = begin(new_id, moved, self._agencies(moved), act)
                others = self._commit([ChangedIncident(None, new)], [opened], moved, new_id, act)
                if not others:
                    return new
                taken = taken | set(others.incidents)
        raise NotAllowed("its alarms change too fast just now: try again")

    def acknowledge(self, alarms: Iterable[Alarm], act: Act) -> int:
        """How many of these alarms were acknowledged; those that no longer wait for it are left as they are."""
        count, waiting = 0, list(alarms)
        for at in range(0, len(waiting), _ACKNOWLEDGED_AT_ONCE):
            pending = {alarm.id: alarm for alarm in waiting[at : at + _ACKNOWLEDGED_AT_ONCE]}
            for _ in range(_TRIES):
                done = _acknowledged(pending.values(), act)
                if not done:
                    break
                commit = AlarmCommit(
                    alarms=[Changed(before, after) for before, after in done],
                    transitions=[transition_of(before, after, act) for before, after in done],
                )
                others = self._store.commit_alarms(commit, keep_s=self._keep_s)
                if not others:
                    count += len(done)
                    break
                for name in others.alarms:
                    now = self._store.alarm(name)
                    if now is None:
                        del pending[name]
                    else:
                        pending[name] = now
        return count

    # --- what the store has -----------------------------------------------------------------------

    def _known(self, incident_id: str) -> Incident:
        found = self._store.incident(incident_id)
        if found is None:
            raise UnknownIncident(incident_id)
        return found

    def _seen(self, incident_id: str, version: int, deed: Deed) -> Incident:
        """The incident as it is, if the deed may be done by somebody who saw `version` of it."""
        found = self._known(incident_id)
        if found.version == version or deed is Deed.JOIN:
            return found
        if deed not in BLIND:
            raise IncidentChanged(found)
        # Two who take it on at the same time: the second one is told.
        if deed is Deed.ASSIGN and any(
            entry.deed is Deed.ASSIGN and entry.version > version for entry in self._store.newest_entries({incident_id})
        ):
            raise IncidentChanged(found)
        return found

    def _alarms(self, alarm_ids: Sequence[str]) -> list[Alarm]:
        if not alarm_ids:
            return []
        known = {alarm.id: alarm for alarm in self._store.alarms()}
        for name in alarm_ids:
            if name not in known:
                raise NotAllowed(f"alarm {name!r} is not known, or not any more")
        return [known[name] for name in dict.fromkeys(alarm_ids)]

    def _left(self, moved: Sequence[Alarm], to: str) -> list[tuple[Incident, int]]:
        """The open incidents that alarms come out of, and how many of each."""
        counts: dict[str, tuple[Incident, int]] = {}
        homes: dict[str, Incident | None] = {}
        for alarm in moved:
            name = alarm.incident
            if name is None:
                continue
            if name not in homes:
                homes[name] = self._home(name)
            found = homes[name]
            if found is not None and found.open and found.id != to:
                counts[found.id] = (found, counts.get(found.id, (found, 0))[1] + 1)
        return list(counts.values())

    def _home(self, name: str) -> Incident | None:
        for _ in range(_MERGES_MAX):
            found = self._store.incident(name)
            if found is None or found.merged_into is None:
                return found
            name = found.merged_into
        return None

    def _agencies(self, alarms: Iterable[Alarm]) -> list[str]:
        return [self._agency_of(alarm.rule) for alarm in alarms]

    def _commit(
        self,
        incidents: Sequence[ChangedIncident],
        entries: Sequence[IncidentEntry],
        moved: Sequence[Alarm] = (),
        to: str = "",
        act: IncidentAct | None = None,
    ) -> Others:
        changes, transitions = [], []
        for before in moved:
            assert act is not None
            step = Act(action=Action.JOIN, at_ms=act.at_ms, by=act.by, text=to, reason=_BY_OPERATOR)
            after = apply(before, step)
            if after is not before:
                changes.append(Changed(before, after))
                transitions.append(transition_of(before, after, step))
        commit = AlarmCommit(alarms=changes, transitions=transitions, incidents=incidents, entries=entries)
        return self._store.commit_alarms(commit, keep_s=self._keep_s)


def _acknowledged(alarms: Iterable[Alarm], act: Act) -> list[tuple[Alarm, Alarm]]:
    done = []
    for alarm in alarms:
        try:
            done.append((alarm, apply(alarm, act)))
        except NotAllowed:
            continue  # somebody was first, or it is held back by now
    return done
