"""Whether a problem that was found is one that somebody follows already, or has rejected."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from city.systemic import DayKind, Followed, FollowState, Pattern, PatternKind, Problem

_ALIKE = 0.5
# What was rejected is not asked about again, unless there is so much more of it by now.
_GROWN = 2.0
_DAYS = {DayKind.ALL: frozenset(range(7)), DayKind.WORKDAY: frozenset(range(5)), DayKind.WEEKEND: frozenset((5, 6))}


def known_as(problem: Problem, followed: Iterable[Followed]) -> str | None:
    """The id of the followed problem that one is; None: a new one.

    It is where half of all their mahallas are in both, and half of their days and of their hours (Jaccard's index): the
    edge of a hot spot moves from day to day, and its hours by one. A rejected problem stands for what is as large as it
    was: for twice the hours of mahallas, or twice as many alarms a week, nobody has said no.
    """
    best, most = None, 0.0
    for one in followed:
        alike = _alike(problem.pattern, one.problem.pattern)
        if one.state is FollowState.REJECTED and _outgrown(problem, one.problem):
            continue
        if alike is not None and sum(alike) > most:
            best, most = one.id, sum(alike)
    return best


def free_name(name: str, taken: Collection[str]) -> str:
    """A name that no other problem has: itself, or with the first free number behind it."""
    number, found = 2, name
    while found in taken:
        found = f"{name}.{number}"
        number += 1
    return found


def _alike(one: Pattern, other: Pattern) -> tuple[float, ...] | None:
    """How alike two patterns are by areas, days and hours, each 0.5 to 1; None: they are not the same."""
    if (one.kind, one.rule, one.alarm) != (other.kind, other.rule, other.alarm):
        return None
    if one.alarm:  # wherever it stands by now
        return (1.0,)
    if one.kind is not PatternKind.HOT_SPOT and one.areas != other.areas:
        return None
    found = (
        _jaccard(one.areas, other.areas),
        _jaccard(_DAYS[one.days], _DAYS[other.days]),
        _jaccard(one.hours or range(24), other.hours or range(24)),
    )
    return found if min(found) >= _ALIKE else None


def _outgrown(now: Problem, rejected: Problem) -> bool:
    a_week, once = (one.evidence.count / max(1, one.evidence.weeks) for one in (now, rejected))
    return _size(now.pattern) >= _GROWN * _size(rejected.pattern) or a_week >= _GROWN * max(once, 1.0)


def _size(pattern: Pattern) -> int:
    """Hours a week of its mahallas together."""
    return max(1, len(pattern.areas)) * len(_DAYS[pattern.days]) * (len(pattern.hours) or 24)


def _jaccard(some: Iterable[object], others: Iterable[object]) -> float:
    one, other = set(some), set(others)
    return len(one & other) / max(1, len(one | other))
