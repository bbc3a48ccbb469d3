"""Following a problem: what may be done in which state, who says what, and what opens it again."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from analysis.alarm_states import NotAllowed
from analysis.systemic_deeds import ALLOWED, FollowAct, begin, follow, returned
from city.alarms import AlarmPriority
from city.systemic import (
    Evidence,
    FollowDeed,
    Followed,
    FollowState,
    Measure,
    Pattern,
    PatternKind,
    Problem,
)

S, D = FollowState, FollowDeed
PROBLEM = Problem(
    id="hot.gap.1.all.all",
    pattern=Pattern(kind=PatternKind.HOT_SPOT, rule="gap", areas=("1",)),
    evidence=Evidence(since_ms=0, until_ms=1, count=9, sources=3, priority=AlarmPriority.LOW),
    score=0.5,
    parts={"priority": 0.25},
)
DROPPED = Measure(before=40, before_days=28, after=2, after_days=14, ratio=0.1, p_drop=0.001)
SAME = Measure(before=40, before_days=28, after=20, after_days=14, ratio=1.0, p_drop=0.6, returned=True)


def act(deed: FollowDeed, **more: object) -> FollowAct:
    given = {"text": "why", "owner": "Depot 3", "due_ms": 5000, "by": "Olim"} | more
    return FollowAct(deed=deed, at_ms=1000, **given)  # type: ignore[arg-type]


def one(state: FollowState) -> Followed:
    return replace(begin(PROBLEM, 0), state=state, version=3, accepted_ms=10)


TABLE = {
    (S.NEW, D.ACCEPT): S.ACCEPTED,
    (S.NEW, D.REJECT): S.REJECTED,
    (S.ACCEPTED, D.START): S.IN_WORK,
    (S.ACCEPTED, D.DONE): S.DONE,
    (S.ACCEPTED, D.REJECT): S.REJECTED,
    (S.ACCEPTED, D.ASSIGN): S.ACCEPTED,
    (S.IN_WORK, D.DONE): S.DONE,
    (S.IN_WORK, D.REJECT): S.REJECTED,
    (S.IN_WORK, D.ASSIGN): S.IN_WORK,
    (S.DONE, D.CLOSE): S.CLOSED,
    (S.DONE, D.REOPEN): S.ACCEPTED,
    (S.CLOSED, D.REOPEN): S.ACCEPTED,
    (S.REJECTED, D.REOPEN): S.NEW,
    **{(state, D.COMMENT): state for state in S},
}


@pytest.mark.parametrize("state", S)
@pytest.mark.parametrize("deed", D)
def test_every_deed_in_every_state(state: FollowState, deed: FollowDeed) -> None:
    if (state, deed) in TABLE:
        after, entry = follow(one(state), act(deed))
        assert (after.state, after.version, entry.version) == (TABLE[state, deed], 4, 4)
        assert (entry.deed, entry.state, entry.by, entry.at_ms) == (deed, after.state, "Olim", 1000)
        assert after.since_ms == (0 if after.state is state else 1000)
    else:
        with pytest.raises(NotAllowed, match=f"the problem is {state}"):
            follow(one(state), act(deed))


def test_the_table_of_the_code_is_this_one() -> None:
    assert {(s, d): to for s, deeds in ALLOWED.items() for d, to in deeds.items()} == {
        pair: to for pair, to in TABLE.items() if pair[1] is not D.COMMENT
    }


@pytest.mark.parametrize(
    ("state", "deed", "given"),
    [
        (S.NEW, D.ACCEPT, {"owner": ""}),
        (S.NEW, D.ACCEPT, {"due_ms": None}),
        (S.NEW, D.ACCEPT, {"due_ms": 999}),
        (S.NEW, D.REJECT, {"text": ""}),
        (S.ACCEPTED, D.ASSIGN, {"owner": "", "due_ms": None}),
        (S.ACCEPTED, D.ASSIGN, {"due_ms": 1}),
        (S.IN_WORK, D.DONE, {"text": ""}),
        (S.DONE, D.CLOSE, {"text": ""}),
        (S.DONE, D.CLOSE, {"text": "", "measure": SAME}),
        (S.CLOSED, D.REOPEN, {"text": ""}),
        (S.CLOSED, D.REOPEN, {"owner": ""}),
        (S.DONE, D.REOPEN, {"due_ms": None}),
        (S.DONE, D.REOPEN, {"due_ms": 999}),
        (S.NEW, D.COMMENT, {"text": ""}),
    ],
)
def test_what_is_missing_is_asked_for(state: FollowState, deed: FollowDeed, given: dict[str, object]) -> None:
    with pytest.raises(NotAllowed):
        follow(one(state), act(deed, **given))


def test_what_has_dropped_is_closed_without_a_word_and_with_its_numbers() -> None:
    after, entry = follow(one(S.DONE), act(D.CLOSE, text="", measure=DROPPED))
    assert (after.state, after.measure) == (S.CLOSED, DROPPED)
    assert entry.values == {"ratio": 0.1, "before": 40, "after": 2}


@pytest.mark.parametrize("state", S)
def test_what_is_mended_and_returns_is_opened_again_by_itself(state: FollowState) -> None:
    mended = replace(one(state), done_ms=500)
    found = returned(mended, SAME, 9000)
    if state not in (S.DONE, S.CLOSED):
        assert found is None
        return
    assert found is not None
    after, entry = follow(mended, found)
    assert (after.state, after.reopened, after.done_ms, after.measure) == (S.ACCEPTED, 1, None, SAME)
    assert entry.by == ""
    assert returned(mended, DROPPED, 9000) is None


def test_what_returns_by_itself_is_measured_from_that_day_and_has_no_day_that_is_long_past() -> None:
    mended = replace(one(S.CLOSED), done_ms=500, owner="Depot 3", due_ms=700)
    act_of = returned(mended, SAME, 9000)
    assert act_of is not None
    after, _ = follow(mended, act_of)
    assert (after.accepted_ms, after.due_ms, after.owner) == (9000, None, "Depot 3")


def test_who_opens_it_again_says_who_and_by_when() -> None:
    mended = replace(one(S.CLOSED), done_ms=500, owner="Depot 3", due_ms=700)
    after, entry = follow(mended, act(D.REOPEN, owner="Depot 4"))
    assert (after.accepted_ms, after.owner, after.due_ms, after.done_ms) == (1000, "Depot 4", 5000, None)
    assert (after.reason, entry.values) == ("why", {"owner": "Depot 4", "due_ms": 5000})


def test_a_rejected_problem_that_is_opened_again_is_as_if_it_were_new() -> None:
    rejected = replace(one(S.REJECTED), owner="Depot 3", due_ms=700, measure=SAME, reason="no")
    after, _ = follow(rejected, act(D.REOPEN, owner="", due_ms=None))
    assert (after.state, after.owner, after.due_ms, after.accepted_ms, after.measure) == (S.NEW, "", None, None, None)
