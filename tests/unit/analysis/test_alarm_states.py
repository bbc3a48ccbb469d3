"""ISA-18.2's states: each path in a table, and random sequences against what must always hold."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from analysis.alarm_states import NotAllowed, apply, state_of
from city.alarms import Act, Action, Alarm, AlarmPriority, AlarmState

A = Action
S = AlarmState
NOW = 1_777_870_800_000
HOUR = 3_600_000
FRESH = Alarm(id="r:k", rule="r", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="k")
# What brings a fresh alarm into each state.
WAYS: dict[AlarmState, list[Action]] = {
    S.NORMAL: [],
    S.UNACKNOWLEDGED: [A.RISE],
    S.ACKNOWLEDGED: [A.RISE, A.ACKNOWLEDGE],
    S.RETURNED_UNACKNOWLEDGED: [A.RISE, A.CLEAR],
    S.LATCHED_UNACKNOWLEDGED: [A.RISE, A.CLEAR],
    S.LATCHED_ACKNOWLEDGED: [A.RISE, A.ACKNOWLEDGE, A.CLEAR],
    S.SHELVED: [A.SHELVE],
    S.SUPPRESSED: [A.SUPPRESS],
    S.OUT_OF_SERVICE: [A.REMOVE_FROM_SERVICE],
}


def act(action: Action, at_ms: int = NOW, **given: object) -> Act:
    fields: dict[str, object] = {"action": action, "at_ms": at_ms, "by": "anvar", "text": "words", "reason": "works"}
    if action is A.SHELVE:
        fields["until_ms"] = at_ms + HOUR
    return Act(**{**fields, **given})  # type: ignore[arg-type]


def alarm_in(state: AlarmState, *more: Action) -> Alarm:
    alarm = replace(FRESH, latching=state in {S.LATCHED_UNACKNOWLEDGED, S.LATCHED_ACKNOWLEDGED})
    for action in [*WAYS[state], *more]:
        alarm = apply(alarm, act(action))
    return alarm


# state, action → state; None: refused; the same state without a new version: nothing happens.
PATHS: list[tuple[AlarmState, Action, AlarmState | None]] = [
    (S.NORMAL, A.RISE, S.UNACKNOWLEDGED),
    (S.NORMAL, A.CLEAR, S.NORMAL),
    (S.NORMAL, A.REALARM, S.NORMAL),
    (S.NORMAL, A.ACKNOWLEDGE, None),
    (S.NORMAL, A.RESET, None),
    (S.NORMAL, A.SHELVE, S.SHELVED),
    (S.NORMAL, A.UNSHELVE, None),
    (S.NORMAL, A.SUPPRESS, S.SUPPRESSED),
    (S.NORMAL, A.UNSUPPRESS, S.NORMAL),
    (S.NORMAL, A.REMOVE_FROM_SERVICE, S.OUT_OF_SERVICE),
    (S.NORMAL, A.RETURN_TO_SERVICE, None),
    (S.UNACKNOWLEDGED, A.RISE, S.UNACKNOWLEDGED),
    (S.UNACKNOWLEDGED, A.CLEAR, S.RETURNED_UNACKNOWLEDGED),
    (S.UNACKNOWLEDGED, A.REALARM, S.UNACKNOWLEDGED),
    (S.UNACKNOWLEDGED, A.ACKNOWLEDGE, S.ACKNOWLEDGED),
    (S.UNACKNOWLEDGED, A.RESET, None),
    (S.UNACKNOWLEDGED, A.SHELVE, S.SHELVED),
    (S.UNACKNOWLEDGED, A.SUPPRESS, S.SUPPRESSED),
    (S.UNACKNOWLEDGED, A.REMOVE_FROM_SERVICE, S.OUT_OF_SERVICE),
    (S.ACKNOWLEDGED, A.RISE, S.ACKNOWLEDGED),
    (S.ACKNOWLEDGED, A.CLEAR, S.NORMAL),
    (S.ACKNOWLEDGED, A.REALARM, S.UNACKNOWLEDGED),
    (S.ACKNOWLEDGED, A.ACKNOWLEDGE, None),
    (S.ACKNOWLEDGED, A.RESET, None),
    (S.ACKNOWLEDGED, A.SHELVE, S.SHELVED),
    (S.ACKNOWLEDGED, A.SUPPRESS, S.SUPPRESSED),
    (S.ACKNOWLEDGED, A.REMOVE_FROM_SERVICE, S.OUT_OF_SERVICE),
    (S.RETURNED_UNACKNOWLEDGED, A.RISE, S.UNACKNOWLEDGED),
    (S.RETURNED_UNACKNOWLEDGED, A.CLEAR, S.RETURNED_UNACKNOWLEDGED),
    (S.RETURNED_UNACKNOWLEDGED, A.REALARM, S.RETURNED_UNACKNOWLEDGED),
    (S.RETURNED_UNACKNOWLEDGED, A.ACKNOWLEDGE, S.NORMAL),
    (S.RETURNED_UNACKNOWLEDGED, A.RESET, None),
    (S.RETURNED_UNACKNOWLEDGED, A.SHELVE, S.SHELVED),
    (S.RETURNED_UNACKNOWLEDGED, A.SUPPRESS, S.SUPPRESSED),
    (S.RETURNED_UNACKNOWLEDGED, A.REMOVE_FROM_SERVICE, S.OUT_OF_SERVICE),
    (S.LATCHED_UNACKNOWLEDGED, A.RISE, S.UNACKNOWLEDGED),
    (S.LATCHED_UNACKNOWLEDGED, A.CLEAR, S.LATCHED_UNACKNOWLEDGED),
    (S.LATCHED_UNACKNOWLEDGED, A.ACKNOWLEDGE, S.LATCHED_ACKNOWLEDGED),
    (S.LATCHED_UNACKNOWLEDGED, A.RESET, None),
    (S.LATCHED_UNACKNOWLEDGED, A.SHELVE, S.SHELVED),
    (S.LATCHED_UNACKNOWLEDGED, A.SUPPRESS, S.SUPPRESSED),
    (S.LATCHED_UNACKNOWLEDGED, A.REMOVE_FROM_SERVICE, S.OUT_OF_SERVICE),
    (S.LATCHED_ACKNOWLEDGED, A.RISE, S.UNACKNOWLEDGED),
    (S.LATCHED_ACKNOWLEDGED, A.CLEAR, S.LATCHED_ACKNOWLEDGED),
    (S.LATCHED_ACKNOWLEDGED, A.ACKNOWLEDGE, None),
    (S.LATCHED_ACKNOWLEDGED, A.RESET, S.NORMAL),
    (S.LATCHED_ACKNOWLEDGED, A.SHELVE, S.SHELVED),
    (S.LATCHED_ACKNOWLEDGED, A.SUPPRESS, S.SUPPRESSED),
    (S.LATCHED_ACKNOWLEDGED, A.REMOVE_FROM_SERVICE, S.OUT_OF_SERVICE),
    (S.SHELVED, A.RISE, S.SHELVED),
    (S.SHELVED, A.CLEAR, S.SHELVED),
    (S.SHELVED, A.ACKNOWLEDGE, None),
    (S.SHELVED, A.RESET, None),
    (S.SHELVED, A.UNSHELVE, S.NORMAL),
    (S.SHELVED, A.SUPPRESS, S.SUPPRESSED),
    (S.SHELVED, A.REMOVE_FROM_SERVICE, S.OUT_OF_SERVICE),
    (S.SUPPRESSED, A.RISE, S.SUPPRESSED),
    (S.SUPPRESSED, A.CLEAR, S.SUPPRESSED),
    (S.SUPPRESSED, A.ACKNOWLEDGE, None),
    (S.SUPPRESSED, A.UNSUPPRESS, S.NORMAL),
    (S.SUPPRESSED, A.SHELVE, S.SUPPRESSED),
    (S.SUPPRESSED, A.REMOVE_FROM_SERVICE, S.OUT_OF_SERVICE),
    (S.OUT_OF_SERVICE, A.RISE, S.OUT_OF_SERVICE),
    (S.OUT_OF_SERVICE, A.CLEAR, S.OUT_OF_SERVICE),
    (S.OUT_OF_SERVICE, A.ACKNOWLEDGE, None),
    (S.OUT_OF_SERVICE, A.REMOVE_FROM_SERVICE, None),
    (S.OUT_OF_SERVICE, A.RETURN_TO_SERVICE, S.NORMAL),
    (S.OUT_OF_SERVICE, A.SHELVE, S.OUT_OF_SERVICE),
    (S.OUT_OF_SERVICE, A.SUPPRESS, S.OUT_OF_SERVICE),
]


@pytest.mark.parametrize(("state", "action", "after"), PATHS)
def test_every_path(state: AlarmState, action: Action, after: AlarmState | None) -> None:
    alarm = alarm_in(state)
    assert alarm.state is state
    if after is None:
        with pytest.raises(NotAllowed):
            apply(alarm, act(action))
    else:
        assert apply(alarm, act(action)).state is after


@pytest.mark.parametrize("hold", [S.SHELVED, S.SUPPRESSED, S.OUT_OF_SERVICE])
@pytest.mark.parametrize(
    ("meanwhile", "after"),
    [((A.RISE,), S.UNACKNOWLEDGED), ((A.RISE, A.CLEAR), S.NORMAL), ((A.RISE, A.CLEAR, A.RISE), S.UNACKNOWLEDGED)],
)
def test_out_of_a_hold_what_stands_is_new_to_the_operator(
    hold: AlarmState, meanwhile: tuple[Action, ...], after: AlarmState
) -> None:
    ends = {S.SHELVED: A.UNSHELVE, S.SUPPRESSED: A.UNSUPPRESS, S.OUT_OF_SERVICE: A.RETURN_TO_SERVICE}
    alarm = alarm_in(hold, *meanwhile)
    assert alarm.state is hold
    assert apply(alarm, act(ends[hold])).state is after


def test_an_acknowledged_alarm_that_was_shelved_is_announced_again() -> None:
    alarm = alarm_in(S.ACKNOWLEDGED, A.SHELVE, A.UNSHELVE)
    assert (alarm.state, alarm.acknowledged_ms) == (S.UNACKNOWLEDGED, None)


def test_several_holds_end_one_by_one_and_the_strongest_is_shown() -> None:
    alarm = alarm_in(S.UNACKNOWLEDGED, A.SHELVE, A.SUPPRESS, A.REMOVE_FROM_SERVICE)
    shown = [alarm.state]
    for end in (A.RETURN_TO_SERVICE, A.UNSUPPRESS, A.UNSHELVE):
        alarm = apply(alarm, act(end))
        shown.append(alarm.state)
    assert shown == [S.OUT_OF_SERVICE, S.SUPPRESSED, S.SHELVED, S.UNACKNOWLEDGED]


def test_shelving_wants_an_end_and_a_reason() -> None:
    for wrong in ({"until_ms": None}, {"until_ms": NOW}, {"reason": "  "}):
        with pytest.raises(NotAllowed, match="shelving needs"):
            apply(FRESH, act(A.SHELVE, **wrong))


def test_what_wants_no_acknowledgement_is_normal_when_it_returns() -> None:
    alarm = apply(replace(FRESH, wants_acknowledgement=False), act(A.RISE))
    assert alarm.state is S.UNACKNOWLEDGED
    assert apply(alarm, act(A.CLEAR)).state is S.NORMAL


def test_each_change_has_a_version_and_what_changes_nothing_has_none() -> None:
    alarm = alarm_in(S.ACKNOWLEDGED)
    assert alarm.version == 2
    assert apply(alarm, act(A.RISE)) is alarm
    assert apply(alarm, act(A.COMMENT)).version == 3
    assert apply(apply(alarm, act(A.COMMENT)), act(A.ASSIGN)).version == 4


class Sequences(RuleBasedStateMachine):
    """Any order of events and operators' actions, on one alarm."""

    def __init__(self) -> None:
        super().__init__()
        self.alarm = FRESH
        self.now = NOW
        self.standing = False

    @rule(action=st.sampled_from([*Action]), later_ms=st.integers(0, HOUR))
    def happens(self, action: Action, later_ms: int) -> None:
        self.now += later_ms
        before = self.alarm
        try:
            self.alarm = apply(before, act(action, self.now))
        except NotAllowed:
            assert action not in {A.RISE, A.CLEAR, A.REALARM, A.SUPPRESS, A.UNSUPPRESS}, "the city is never refused"
            return
        if action in {A.RISE, A.CLEAR}:
            self.standing = action is A.RISE
        assert self.alarm.version == before.version + (self.alarm is not before)

    @rule(latching=st.booleans(), wants=st.booleans())
    def rule_changes(self, latching: bool, wants: bool) -> None:
        self.alarm = replace(self.alarm, latching=latching, wants_acknowledgement=wants)

    @invariant()
    def it_is_one_of_the_standards_states(self) -> None:
        alarm = self.alarm
        assert alarm.state is state_of(alarm)
        assert alarm.condition not in {S.SHELVED, S.SUPPRESSED, S.OUT_OF_SERVICE}

    @invariant()
    def what_stands_is_known_to_stand(self) -> None:
        alarm = self.alarm
        assert alarm.active == self.standing
        assert alarm.active == (alarm.condition in {S.UNACKNOWLEDGED, S.ACKNOWLEDGED})
        assert (alarm.cleared_ms is None) == (alarm.active or alarm.occurrences == 0)

    @invariant()
    def an_acknowledgement_has_a_name(self) -> None:
        if self.alarm.condition in {S.ACKNOWLEDGED, S.LATCHED_ACKNOWLEDGED}:
            assert self.alarm.acknowledged_by == "anvar"
            assert self.alarm.acknowledged_ms is not None


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
