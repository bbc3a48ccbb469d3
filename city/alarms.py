"""Alarms by ISA-18.2: what one is, what can happen to it, and what is kept of that for ever."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class AlarmPriority(StrEnum):
    """Priorities by ISA-18.2 and EEMUA 191, the most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    JOURNAL = "journal"


class AlarmState(StrEnum):
    """The alarm states of ISA-18.2-2016; the letters are the standard's."""

    NORMAL = "normal"  # A
    UNACKNOWLEDGED = "unacknowledged"  # B
    ACKNOWLEDGED = "acknowledged"  # C
    RETURNED_UNACKNOWLEDGED = "returned_unacknowledged"  # D
    LATCHED_UNACKNOWLEDGED = "latched_unacknowledged"  # E
    LATCHED_ACKNOWLEDGED = "latched_acknowledged"  # F
    SHELVED = "shelved"  # G
    SUPPRESSED = "suppressed"  # H, by design
    OUT_OF_SERVICE = "out_of_service"  # I


ANNOUNCED = frozenset(
    {
        AlarmState.UNACKNOWLEDGED,
        AlarmState.ACKNOWLEDGED,
        AlarmState.RETURNED_UNACKNOWLEDGED,
        AlarmState.LATCHED_UNACKNOWLEDGED,
        AlarmState.LATCHED_ACKNOWLEDGED,
    }
)


class Action(StrEnum):
    """What can happen to an alarm."""

    RISE = "rise"
    CLEAR = "clear"
    REALARM = "realarm"
    ACKNOWLEDGE = "acknowledge"
    RESET = "reset"
    SHELVE = "shelve"
    UNSHELVE = "unshelve"
    SUPPRESS = "suppress"
    UNSUPPRESS = "unsuppress"
    REMOVE_FROM_SERVICE = "remove_from_service"
    RETURN_TO_SERVICE = "return_to_service"
    ASSIGN = "assign"
    COMMENT = "comment"
    JOIN = "join"  # it belongs to an incident now


class Act(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happens to an alarm."""

    action: Action
    at_ms: int
    by: str = ""  # an operator; empty: Markaz itself
    reason: str = ""  # of a hold: why, or the condition that suppresses
    until_ms: int | None = None  # when a hold ends by itself
    text: str = ""  # a comment, who is assigned, or the incident
    values: dict[str, float | str] = {}  # the numbers behind a rise or a clear, by name with unit


class Hold(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why an alarm is not announced."""

    since_ms: int
    by: str = ""
    reason: str = ""
    until_ms: int | None = None


class Alarm(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One alarm of one source, through all its rises and returns to normal.

    `id` is made of rule and key (the source, or source|kind), so it is the same at every rise. `version` grows by one
    with every transition.
    """

    id: str
    rule: str  # a key of config.yaml's `alarms`
    priority: AlarmPriority
    source_kind: str  # vehicle, camera, sensor, route, area, feed or store
    source_id: str
    state: AlarmState = AlarmState.NORMAL  # what the operator sees
    condition: AlarmState = AlarmState.NORMAL  # the same without the holds
    active: bool = False  # whether its condition stands
    raised_ms: int = 0  # the measurement that fired it last
    updated_ms: int = 0
    cleared_ms: int | None = None  # None while it stands
    acknowledged_ms: int | None = None
    acknowledged_by: str = ""
    shelved: Hold | None = None
    suppressed: Hold | None = None
    out_of_service: Hold | None = None
    latching: bool = False  # a return to normal stays until an operator resets it
    wants_acknowledgement: bool = True  # whether a return that nobody acknowledged stays
    occurrences: int = 0  # rises so far
    assignee: str = ""
    comments: int = 0
    incident: str | None = None
    lat: float | None = None
    lon: float | None = None
    district: str | None = None
    mahalla: str | None = None
    route: str | None = None
    values: dict[str, float | str] = {}  # the numbers that fired it, by name with unit
    version: int = 0

    @property
    def announced(self) -> bool:
        """Whether it is in the operator's list: not normal, and nothing holds it back."""
        return self.state in ANNOUNCED and self.priority is not AlarmPriority.JOURNAL


class Transition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change of one alarm, kept for ever."""

    alarm: str
    version: int  # of the alarm after it
    action: Action
    before: AlarmState
    after: AlarmState
    at_ms: int
    by: str = ""
    reason: str = ""
    until_ms: int | None = None
    text: str = ""
    values: dict[str, float | str] = {}
    # Of the alarm, so that figures need nothing else.
    rule: str
    priority: AlarmPriority
    source_kind: str
    source_id: str
    district: str | None = None
    mahalla: str | None = None
    route: str | None = None
