"""Incidents: alarms and cases that belong together, worked off as one."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from city.alarms import AlarmPriority


class IncidentStatus(StrEnum):
    """How far the work on an incident is."""

    OPEN = "open"  # nobody works on it yet
    IN_PROGRESS = "in_progress"
    CLOSED = "closed"  # takes in no more alarms; a new one of the same kind opens another incident


class Step(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the procedure (SOP), as it was when the incident was opened."""

    text: Mapping[str, str]  # by language
    done_ms: int | None = None
    done_by: str = ""


class Attachment(Struct, frozen=True, kw_only=True):
    """Something kept elsewhere."""

    url: str  # http or https
    title: str
    by: str
    at_ms: int


class Promise(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody said would be done, and by when: the next shift must know."""

    text: str
    by: str
    due_ms: int
    kept_ms: int | None = None


class Incident(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One incident. Which alarms are in it they say themselves (`Alarm.incident`); what was merged points on.

    `version` grows by one with every change.
    """

    id: str  # date of the city and number of that day: 20261122-017
    opened_ms: int
    updated_ms: int
    last_ms: int  # when the last alarm or case joined
    rule: str = ""  # a key of config.yaml's `incidents.rules`; empty: an operator made it
    common: Mapping[str, str] = {}  # what its members have in common by that rule: {"network": "power", …}
    status: IncidentStatus = IncidentStatus.OPEN
    priority: AlarmPriority = AlarmPriority.LOW  # the highest of what joined, or what an operator says
    title: str = ""  # an operator's; empty: the rule's words
    first_alarm: str = ""  # the first-out: what rose first
    alarms: int = 0  # that have joined so far, each once
    cases: tuple[str, ...] = ()  # `<source>|<case id>`
    agencies: tuple[str, ...] = ()
    lat: float | None = None  # of the first-out
    lon: float | None = None
    district: str | None = None
    mahalla: str | None = None
    route: str | None = None
    assignee: str = ""
    comments: int = 0
    checklist: tuple[Step, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    promises: tuple[Promise, ...] = ()
    closed_ms: int | None = None
    merged_into: str | None = None
    version: int = 1

    @property
    def open(self) -> bool:
        return self.status is not IncidentStatus.CLOSED


class Deed(StrEnum):
    """What can happen to an incident."""

    OPEN = "open"
    JOIN = "join"  # alarms or cases came in; `values` has how many
    LEAVE = "leave"  # an operator moved alarms to another one
    MERGE = "merge"  # into another one, or another one into this
    STATUS = "status"
    PRIORITY = "priority"
    TITLE = "title"
    ASSIGN = "assign"
    AGENCIES = "agencies"
    COMMENT = "comment"
    CHECK = "check"
    UNCHECK = "uncheck"
    ATTACH = "attach"
    PROMISE = "promise"
    KEEP_PROMISE = "keep_promise"


class IncidentEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of an incident's own timeline, kept for ever; what its alarms did is in theirs."""

    incident: str
    version: int  # of the incident after it
    deed: Deed
    at_ms: int
    by: str = ""  # an operator; empty: Markaz itself
    text: str = ""  # the comment, the assignee, the step's number, the other incident, …
    values: Mapping[str, float | str] = {}
