"""Systemic problems: what keeps coming back, the evidence for it, and how it is followed until it is closed."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from city.alarms import AlarmPriority


class PatternKind(StrEnum):
    """In what a problem shows."""

    HOT_SPOT = "hot_spot"  # more alarms of a rule in some mahallas, at some hours, than chance has there
    REPEAT = "repeat"  # one alarm again and again
    BREAK = "break"  # a rule's alarms in a district are more from one day on
    TREND = "trend"  # … or become more and more
    REOPENED = "reopened"  # incidents of a district that were closed and were not over


class DayKind(StrEnum):
    ALL = "all"
    WORKDAY = "workday"  # Monday to Friday
    WEEKEND = "weekend"


class Pattern(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What and where and when: by this a problem is known again tomorrow."""

    kind: PatternKind
    rule: str  # a key of config.yaml's `alarms`; of incidents one of `incidents.rules`
    areas: tuple[str, ...] = ()  # codes of mahallas, or of one district; none: wherever the alarm is
    days: DayKind = DayKind.ALL
    hours: tuple[int, ...] = ()  # of the day by the city's clock; none: all
    alarm: str = ""  # of a repeat, the alarm's id


class Course(StrEnum):
    """How a hot spot goes over the weeks, by the trend of its z."""

    EMERGING = "emerging"
    PERSISTENT = "persistent"
    DIMINISHING = "diminishing"
    SPORADIC = "sporadic"


class Evidence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The numbers that show why. What a kind of problem has no number for is None."""

    since_ms: int
    until_ms: int
    count: int  # rises, or reopenings
    sources: int  # different vehicles, cameras, sensors …
    priority: AlarmPriority
    people: float = 0.0  # on board or counted at the rises, summed up
    stood_h: float = 0.0  # hours that the alarms stood, together
    weeks: int = 0  # weeks that were looked at
    weeks_hot: int = 0  # … and in which it showed
    expected: float | None = None  # the count that the rest of the city would let expect
    z: float | None = None  # Getis-Ord Gi*
    occurrences: int | None = None  # of them: a rule's alarms at one place within an hour are one
    dispersion: float | None = None  # variance of the counts of occurrences over that by chance
    q: float | None = None  # significance among all that was looked at (false discovery rate)
    pseudo_p: float | None = None  # of Gi* against random permutations of the other mahallas
    exposure_h: float | None = None  # bus-hours of the place in the span, where rates were compared
    course: Course | None = None
    mtbf_h: float | None = None  # mean hours between two rises
    share: float | None = None  # of the rule's rises
    before_per_day: float | None = None
    after_per_day: float | None = None
    break_ms: int | None = None  # when it became more
    slope_per_week: float | None = None  # rises a day more each week (Theil–Sen)
    by_hour: tuple[int, ...] = ()  # rises by hour of the week, 0 is Monday 00–01; all hours, also beside the pattern's
    by_day: tuple[int, ...] = ()  # rises of the pattern by day of the span, oldest first


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One systemic problem as it was found."""

    id: str  # of the pattern; the same tomorrow
    pattern: Pattern
    evidence: Evidence
    score: float  # 0–1, the mean of its parts
    parts: Mapping[str, float]  # 0–1 each: significance, recurrence, affected, duration, priority
    source: tuple[str, str] | None = None  # kind and id of what a repeat is of
    district: str | None = None


class Measure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pattern before somebody took it on, and since."""

    before: int  # occurrences: alarms at one place within an hour are one
    before_days: float
    after: int
    after_days: float
    expected: float | None = None  # in the time after, had nothing been done
    heard: float = 1.0  # share of the time after in which the source was not silent
    ratio: float | None  # of the count after over the expected one; None where there is nothing to compare
    p_drop: float  # how likely so few would be if nothing had changed
    returned: bool = False  # it is as it was before

    @property
    def dropped(self) -> bool:
        return self.ratio is not None and self.ratio < 1 and self.p_drop <= 0.05


class FollowState(StrEnum):
    """How far the work on a problem is."""

    NEW = "new"
    ACCEPTED = "accepted"  # somebody owns it, with a day by which it is to be better
    IN_WORK = "in_work"
    DONE = "done"  # what was to be done is; whether it helped is measured
    CLOSED = "closed"
    REJECTED = "rejected"  # with a reason


class FollowDeed(StrEnum):
    """What can happen to a problem."""

    ACCEPT = "accept"
    START = "start"
    DONE = "done"
    CLOSE = "close"
    REJECT = "reject"
    REOPEN = "reopen"
    ASSIGN = "assign"
    COMMENT = "comment"


class Followed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem that somebody has looked at. `version` grows by one with every change."""

    problem: Problem  # as it was when somebody last did something
    version: int
    state: FollowState
    since_ms: int  # in this state
    updated_ms: int
    owner: str = ""
    due_ms: int | None = None
    reason: str = ""  # of the rejection, or of closing without a drop
    accepted_ms: int | None = None
    done_ms: int | None = None
    measure: Measure | None = None  # as it was when it was closed or came back
    comments: int = 0
    reopened: int = 0

    @property
    def id(self) -> str:
        return self.problem.id


class FollowEntry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of a problem's own history, kept for ever."""

    problem: str
    version: int  # after it
    deed: FollowDeed
    state: FollowState  # after it
    at_ms: int
    by: str = ""  # empty: Markaz itself
    text: str = ""
    values: Mapping[str, float | str] = {}
