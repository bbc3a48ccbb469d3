"""Whether a problem that is found is one that is followed: by place, days and hours; a larger one is not swallowed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from analysis.systemic_deeds import begin
from analysis.systemic_names import free_name, known_as
from city.alarms import AlarmPriority
from city.systemic import DayKind, Evidence, Followed, FollowState, Pattern, PatternKind, Problem

AB = ("a", "b")
NINE = tuple("abcdefghi")


def problem(areas: tuple[str, ...], hours: tuple[int, ...] = (), count: int = 80, **more: object) -> Problem:
    given = {"kind": PatternKind.HOT_SPOT, "rule": "gap"} | more
    evidence = Evidence(since_ms=0, until_ms=1, count=count, sources=3, priority=AlarmPriority.LOW, weeks=8)
    pattern = Pattern(areas=areas, hours=hours, **given)  # type: ignore[arg-type]
    return Problem(id="found", pattern=pattern, evidence=evidence, score=0.5, parts={})


def known(one: Problem, state: FollowState = FollowState.ACCEPTED) -> Followed:
    return replace(begin(replace(one, id="known"), 0), state=state, version=1)


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (problem(AB, (7, 8)), True),
        (problem(("a",), (7, 8, 9)), True),
        (problem(("a", "b", "c"), (8,)), True),
        (problem(("a", "c"), (8, 9)), False),
        (problem(("c", "d"), (7, 8)), False),
        (problem(AB, (17, 18)), False),
        (problem(AB), False),
        (problem(NINE, (7, 8)), False),
        (problem(AB, (7, 8), rule="bunching"), False),
        (problem(("a",), kind=PatternKind.BREAK), False),
        (problem(AB, (7, 8), days=DayKind.ALL), True),
        (problem(AB, (7, 8), days=DayKind.WEEKEND), False),
    ],
)
def test_a_problem_is_known_again_by_half_of_all_places_days_and_hours(found: Problem, same: bool) -> None:
    # Five of seven days are half and more, two of seven are not.
    days = DayKind.WORKDAY if found.pattern.days is not DayKind.ALL or len(found.pattern.areas) == 2 else DayKind.ALL
    assert known_as(found, [known(problem(AB, (7, 8), days=days))]) == ("known" if same else None)


def test_the_one_that_is_most_alike_is_taken() -> None:
    some = [
        replace(known(problem(("a", "c"), (7, 8))), problem=replace(problem(("a", "c"), (7, 8)), id="half")),
        known(problem(AB, (7, 8))),
    ]
    assert known_as(problem(AB, (7, 8)), some) == "known"


def test_a_rejected_problem_does_not_swallow_a_larger_one() -> None:
    small = known(problem(("a",), (7, 8), days=DayKind.WORKDAY), FollowState.REJECTED)
    assert known_as(problem(("a",), (7, 8), days=DayKind.WORKDAY), [small]) == "known"
    assert known_as(problem(NINE), [small]) is None
    # Half of it each way, but twice as large.
    assert known_as(problem(AB, (7, 8), days=DayKind.WORKDAY), [small]) is None
    assert known_as(problem(("a",), (7, 8), days=DayKind.WORKDAY, count=161), [small]) is None
    accepted = replace(small, state=FollowState.ACCEPTED)
    assert known_as(problem(AB, (7, 8), days=DayKind.WORKDAY), [accepted]) == "known"


def test_a_repeat_is_the_same_wherever_it_stands_by_now() -> None:
    one = problem(("a",), kind=PatternKind.REPEAT, alarm="gap:1")
    assert known_as(problem((), kind=PatternKind.REPEAT, alarm="gap:1"), [known(one)]) == "known"
    assert known_as(problem(("a",), kind=PatternKind.REPEAT, alarm="gap:2"), [known(one)]) is None


@given(st.sets(st.sampled_from(NINE), min_size=1), st.sets(st.sampled_from(NINE), min_size=1))
def test_to_be_the_same_is_mutual(some: set[str], others: set[str]) -> None:
    one, other = problem(tuple(sorted(some))), problem(tuple(sorted(others)))
    assert known_as(one, [known(other)]) == known_as(other, [known(one)])


def test_a_name_that_is_taken_gets_a_number() -> None:
    assert free_name("hot", {"cold"}) == "hot"
    assert free_name("hot", {"hot", "hot.2"}) == "hot.3"
