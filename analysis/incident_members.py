"""Which open incident an alarm is in: the one that it names, or the one that this was merged into."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from city.alarms import Alarm
from city.incidents import Incident

# Merging goes on into open ones only: a longer chain, or a ring, is a fault of the data.
_MERGES_MAX = 50


def home(incident_id: str | None, incidents: Mapping[str, Incident]) -> Incident | None:
    """The incident of a name, past what was merged; None where it is not known."""
    for _ in range(_MERGES_MAX):
        found = incidents.get(incident_id) if incident_id is not None else None
        if found is None or found.merged_into is None:
            return found
        incident_id = found.merged_into
    return None


def names_of(incident_id: str, incidents: Mapping[str, Incident]) -> frozenset[str]:
    """What its alarms call it: its own id, and those of all that were merged into it."""
    names = {incident_id}
    for name in incidents:
        found = home(name, incidents)
        if found is not None and found.id == incident_id:
            names.add(name)
    return frozenset(names)


def folded(alarms: Iterable[Alarm], incidents: Mapping[str, Incident]) -> tuple[list[Alarm], dict[str, list[Alarm]]]:
    """Alarms that are in no open incident, and those of each open one that has any; in the given order."""
    loose: list[Alarm] = []
    inside: dict[str, list[Alarm]] = {}
    homes: dict[str, Incident | None] = {}
    for alarm in alarms:
        name = alarm.incident
        if name is None:
            loose.append(alarm)
            continue
        if name not in homes:
            homes[name] = home(name, incidents)
        found = homes[name]
        if found is None or not found.open:
            loose.append(alarm)
        else:
            inside.setdefault(found.id, []).append(alarm)
    return loose, inside
