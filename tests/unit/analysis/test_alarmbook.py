"""The book: what findings and operators make of alarms, and what the store is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.alarm_states import apply
from analysis.alarmbook import AlarmBook, Place
from analysis.detectors.finding import Change, Finding
from city.alarms import Act, Action, Alarm, AlarmPriority, AlarmState
from city.rules.rule import Rule

NOW = 1_777_870_800_000
RULE = Rule(priority="high")
HERE = Place(lat=41.3, lon=69.2, district="1726262", route="67")


def finding(change: Change = Change.RAISE, at_ms: int = NOW, **given: Any) -> Finding:
    fields = {"rule": "r", "source_kind": "vehicle", "source_id": "k", "key": "k", "raised_ms": NOW, "at_ms": at_ms}
    return Finding(change=change, **{**fields, **given})


@pytest.fixture
def book() -> AlarmBook:
    return AlarmBook()


def stored(book: AlarmBook) -> Alarm:
    """The one alarm, as if the store had it now."""
    book.written()
    (alarm,) = book.alarms.values()
    return alarm


def test_a_rise_is_a_new_alarm_with_place_priority_and_numbers(book: AlarmBook) -> None:
    alarm = book.take(finding(values={"lost_l": 9.0}), RULE, HERE)
    assert alarm is not None
    assert (alarm.id, alarm.priority, alarm.state) == ("r:k", AlarmPriority.HIGH, AlarmState.UNACKNOWLEDGED)
    assert (alarm.lat, alarm.route, alarm.values, alarm.occurrences) == (41.3, "67", {"lost_l": 9.0}, 1)
    assert book.changes() == [(None, alarm)]
    (told,) = book.transitions()
    assert (told.action, told.before, told.after, told.version) == (
        Action.RISE,
        AlarmState.NORMAL,
        AlarmState.UNACKNOWLEDGED,
        1,
    )


def test_the_same_rise_twice_changes_nothing(book: AlarmBook) -> None:
    book.take(finding(), RULE, HERE)
    stored(book)
    assert book.take(finding(), RULE, HERE) is None
    assert not book.changed


@pytest.mark.parametrize("change", [Change.CLEAR, Change.UPDATE])
def test_an_alarm_that_nobody_knows_cannot_end_or_go_on(book: AlarmBook, change: Change) -> None:
    assert book.take(finding(change), RULE, HERE) is None


def test_new_numbers_are_no_transition_and_no_new_version(book: AlarmBook) -> None:
    book.take(finding(values={"lost_l": 9.0}), RULE, HERE)
    before = stored(book)
    after = book.take(finding(Change.UPDATE, NOW + 1, values={"lost_l": 12.0}), RULE, HERE)
    assert after is not None
    assert (after.values, after.version) == ({"lost_l": 12.0}, before.version)
    assert (book.changes(), list(book.transitions())) == ([(before, after)], [])


def test_a_second_rise_is_counted_on_the_same_alarm(book: AlarmBook) -> None:
    for change in (Change.RAISE, Change.CLEAR, Change.RAISE):
        book.take(finding(change), RULE, HERE)
    (alarm,) = book.alarms.values()
    assert (alarm.occurrences, alarm.state) == (2, AlarmState.UNACKNOWLEDGED)
    assert [one.action for one in book.transitions()] == [Action.RISE, Action.CLEAR, Action.RISE]
    assert book.changes() == [(None, alarm)], "the store is told of the newest alone"


def test_what_happened_is_said_again_of_an_alarm_that_an_operator_has_changed(book: AlarmBook) -> None:
    book.take(finding(), RULE, HERE)
    risen = stored(book)
    book.take(finding(Change.CLEAR, NOW + 5), RULE, HERE)
    assert book.alarms["r:k"].state is AlarmState.RETURNED_UNACKNOWLEDGED
    theirs = apply(risen, Act(action=Action.ACKNOWLEDGE, at_ms=NOW + 3, by="anvar"))
    book.rebase({"r:k": theirs})
    (alarm,) = book.alarms.values()
    assert (alarm.state, alarm.acknowledged_by, alarm.version) == (AlarmState.NORMAL, "anvar", 3)
    assert book.changes() == [(theirs, alarm)]
    assert [(one.action, one.before, one.version) for one in book.transitions()] == [
        (Action.CLEAR, AlarmState.ACKNOWLEDGED, 3)
    ]


def test_other_alarms_keep_what_happened_to_them_through_a_rebase(book: AlarmBook) -> None:
    book.take(finding(), RULE, HERE)
    mine = stored(book)
    book.take(finding(Change.CLEAR, NOW + 1), RULE, HERE)
    book.take(finding(key="other", source_id="other"), RULE, HERE)
    book.rebase({"r:k": mine})
    assert {one.alarm for one in book.transitions()} == {"r:k", "r:other"}
    assert len(book.changes()) == 2


def test_an_act_that_the_operator_has_done_already_is_not_done_again(book: AlarmBook) -> None:
    book.take(finding(), RULE, HERE)
    shelve = Act(action=Action.SHELVE, at_ms=NOW, by="anvar", reason="works", until_ms=NOW + 10)
    book.restore([apply(stored(book), shelve)])
    book.act(book.alarms["r:k"], Act(action=Action.UNSHELVE, at_ms=NOW + 11))
    theirs = apply(apply(stored_before(book), shelve), Act(action=Action.UNSHELVE, at_ms=NOW + 9, by="olim"))
    book.rebase({"r:k": theirs})
    assert book.alarms["r:k"] == theirs
    assert not book.transitions()


def stored_before(book: AlarmBook) -> Alarm:
    (before, _) = book.changes()[0]
    assert before is not None
    return apply(before, Act(action=Action.UNSHELVE, at_ms=NOW))


def test_what_others_did_is_learnt_where_nothing_happened_here(book: AlarmBook) -> None:
    book.take(finding(), RULE, HERE)
    risen = stored(book)
    theirs = apply(risen, Act(action=Action.ACKNOWLEDGE, at_ms=NOW, by="anvar"))
    book.learn([theirs])
    assert book.alarms["r:k"] == theirs
    book.learn([risen])
    assert book.alarms["r:k"] == theirs, "an older word changes nothing"


def test_normal_alarms_are_forgotten_in_time_and_others_never(book: AlarmBook) -> None:
    book.take(finding(), RULE, HERE)
    stored(book)
    book.forget(NOW + 1)
    assert not book.changed
    book.act(book.alarms["r:k"], Act(action=Action.ACKNOWLEDGE, at_ms=NOW, by="anvar"))
    book.take(finding(Change.CLEAR, NOW + 2), RULE, HERE)
    normal = stored(book)
    book.forget(NOW + 2)
    assert not book.changed
    book.forget(NOW + 3)
    assert book.changes() == [(normal, None)]
    assert book.alarms == {}


def test_a_shelf_that_an_operator_prolonged_at_that_moment_does_not_end(book: AlarmBook) -> None:
    book.take(finding(), RULE, HERE)
    shelved = apply(stored(book), Act(action=Action.SHELVE, at_ms=NOW, by="A", reason="works", until_ms=NOW + 60_000))
    book.restore([shelved])
    book.act(shelved, Act(action=Action.UNSHELVE, at_ms=NOW + 60_000))
    longer = Act(action=Action.SHELVE, at_ms=NOW + 59_000, by="A", reason="works", until_ms=NOW + 3_600_000)
    prolonged = apply(shelved, longer)
    book.rebase({"r:k": prolonged})
    assert book.alarms["r:k"] == prolonged
    assert not book.transitions()


def test_what_is_said_again_comes_in_the_order_in_which_it_happened(book: AlarmBook) -> None:
    """Also when a device's clock is ahead of an operator's."""
    book.take(finding(at_ms=NOW + 5000), RULE, HERE)
    book.take(finding(Change.CLEAR, at_ms=NOW + 6000), RULE, HERE)
    operated = Alarm(id="r:k", rule="r", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="k", version=1)
    book.rebase({"r:k": operated})
    book.act(book.alarms["r:k"], Act(action=Action.COMMENT, at_ms=NOW, by="A", text="a"))
    assert [one.version for one in book.transitions()] == [2, 3, 4]
    book.rebase({"r:other": None})
    assert [one.version for one in book.transitions()] == [2, 3, 4]
