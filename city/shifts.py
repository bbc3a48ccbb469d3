"""Shifts: what operators write down while they are there, and how one shift hands over to the next."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from city.alarms import AlarmPriority
from city.incidents import IncidentStatus


class LogLine(Struct, frozen=True, kw_only=True):
    """One line that an operator wrote, kept for ever."""

    at_ms: int
    by: str
    text: str


class AlarmLine(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alarm as a hand-over names it."""

    alarm: str
    rule: str
    priority: AlarmPriority
    source_kind: str
    source_id: str
    since_ms: int  # its rise; of a held one: when it was put away
    district: str | None = None
    route: str | None = None
    values: dict[str, float | str] = {}  # the numbers that fired it


class OpenAlarms(Struct, frozen=True, kw_only=True):
    """The open alarms of one priority."""

    priority: AlarmPriority
    open: int
    unacknowledged: int
    oldest: AlarmLine | None  # of those that nobody has acknowledged


class HeldAlarm(Struct, frozen=True, kw_only=True):
    """An alarm that is not announced, until when and why."""

    alarm: AlarmLine
    how: str  # shelved, suppressed or out_of_service
    until_ms: int | None
    by: str
    reason: str


class IncidentLine(Struct, frozen=True, kw_only=True):
    """An incident that is open, or was opened or closed in the shift."""

    id: str
    rule: str
    title: str  # an operator's; empty: the rule's words
    common: Mapping[str, str]  # what its members have in common
    district: str | None
    mahalla: str | None
    status: IncidentStatus
    priority: AlarmPriority
    assignee: str
    alarms: int
    opened_ms: int
    closed_ms: int | None


class DuePromise(Struct, frozen=True, kw_only=True):
    """What somebody promised and has not done yet."""

    incident: str
    text: str
    by: str
    due_ms: int


class FeedTrouble(Struct, frozen=True, kw_only=True):
    """A feed that says nothing, or less than it should."""

    feed: str
    state: str  # silent or incomplete
    age_s: float | None  # of its last message; None: never heard
    completeness: float | None


class ShiftLoad(Struct, frozen=True, kw_only=True):
    """The alarm load of the shift in five figures."""

    announced: int
    mean_per_10min: float
    peak_10min: int
    share_over_10: float
    flood_s: float


class Summary(Struct, frozen=True, kw_only=True):
    """What the next shift must know, as of one moment. Lists are cut; `totals` has how many there were."""

    since_ms: int  # when the shift began
    at_ms: int
    open: tuple[OpenAlarms, ...]  # by priority, the most urgent first
    held: tuple[HeldAlarm, ...]  # suppressed ones last; those that come back first are first
    stale: tuple[AlarmLine, ...]  # standing for more than a day, longest first
    incidents: tuple[IncidentLine, ...]  # open ones first
    promises: tuple[DuePromise, ...]  # the next due first
    feeds: tuple[FeedTrouble, ...]
    load: ShiftLoad | None  # None while the alarm log is still being read
    totals: dict[str, int]  # of held, stale, incidents and promises


class Pending(Struct, frozen=True, kw_only=True):
    """A hand-over that the leaving operator has signed, and nobody has taken yet."""

    leaving: str
    signed_ms: int
    note: str
    summary: Summary
    lines: tuple[LogLine, ...]
    lines_to: str  # entry id of the last of them in the shift log


class Shift(Struct, frozen=True, kw_only=True):
    """The present shift. `version` grows by one with every signature."""

    version: int = 0
    number: int = 1  # that its hand-over will have
    since_ms: int | None = None  # None: there was no hand-over yet
    lines_from: str = "0-0"  # entry id in the shift log: what is behind it belongs to this shift
    on_duty: str = ""  # who took the last hand-over
    pending: Pending | None = None


class Handover(Struct, frozen=True, kw_only=True):
    """A hand-over that both have signed; it never changes."""

    number: int
    leaving: str
    arriving: str
    signed_ms: int  # by the leaving one
    accepted_ms: int  # by the arriving one
    note: str
    summary: Summary  # as it was when the leaving one signed
    lines: tuple[LogLine, ...]


class HandoverHead(Struct, frozen=True, kw_only=True):
    """A hand-over in a list; the same JSON, without its content."""

    number: int
    leaving: str
    arriving: str
    signed_ms: int
    accepted_ms: int
    note: str
