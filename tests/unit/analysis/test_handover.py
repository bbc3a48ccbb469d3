"""The summary for the next shift: what stands, what is held and why, what was promised, and nothing that is over."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from analysis.alarm_load import AlarmLoad
from analysis.handover import LINES_MAX, summarise
from city.alarms import Action, Alarm, AlarmPriority, AlarmState, Hold, Transition
from city.incidents import Incident, IncidentStatus, Promise
from city.shifts import FeedTrouble, Summary

NOW = 1_777_870_800_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BEGAN = NOW - 8 * HOUR


def alarm(key: str, state: AlarmState = AlarmState.UNACKNOWLEDGED, **more: Any) -> Alarm:
    fields: dict[str, Any] = {"raised_ms": NOW - HOUR, "active": True, "priority": AlarmPriority.HIGH, **more}
    return Alarm(
        id=f"overspeed:{key}", rule="overspeed", source_kind="vehicle", source_id=key, state=state, condition=state,
        **fields,
    )  # fmt: skip


def incident(number: int, **more: Any) -> Incident:
    opened_ms = more.pop("opened_ms", NOW - HOUR)
    return Incident(id=f"20260504-{number:03}", opened_ms=opened_ms, updated_ms=NOW, last_ms=NOW, **more)


def summary(alarms: Any = (), incidents: Any = (), feeds: Any = (), load: Any = None) -> Summary:
    return summarise(since_ms=BEGAN, now_ms=NOW, alarms=alarms, incidents=incidents, feeds=feeds, load=load)


def test_open_alarms_are_counted_by_priority_with_the_oldest_that_nobody_acknowledged() -> None:
    found = summary(
        [
            alarm("young", raised_ms=NOW - MINUTE),
            alarm("old", AlarmState.RETURNED_UNACKNOWLEDGED, raised_ms=NOW - 3 * HOUR, active=False),
            alarm("older", AlarmState.ACKNOWLEDGED, raised_ms=NOW - 5 * HOUR),
            alarm("low", priority=AlarmPriority.LOW),
        ]
    )
    critical, high, medium, low = found.open
    assert (critical.priority, critical.open, critical.oldest) == (AlarmPriority.CRITICAL, 0, None)
    assert (high.open, high.unacknowledged) == (3, 2)
    assert high.oldest is not None
    assert (high.oldest.source_id, high.oldest.since_ms) == ("old", NOW - 3 * HOUR)
    assert (medium.open, low.open) == (0, 1)


def test_what_is_over_or_only_recorded_is_not_told() -> None:
    found = summary([alarm("over", AlarmState.NORMAL), alarm("journal", priority=AlarmPriority.JOURNAL)])
    assert [one.open for one in found.open] == [0, 0, 0, 0]
    assert (found.held, found.stale) == ((), ())


def test_held_alarms_say_how_until_when_who_and_why() -> None:
    shelved = Hold(since_ms=NOW - HOUR, by="anvar", reason="road works", until_ms=NOW + HOUR)
    by_design = Hold(since_ms=NOW - MINUTE, reason="feed_silent:hfp")
    found = summary(
        [
            alarm("b", AlarmState.SUPPRESSED, suppressed=by_design),
            alarm("a", AlarmState.SHELVED, shelved=shelved, suppressed=by_design),
            alarm("c", AlarmState.OUT_OF_SERVICE, out_of_service=Hold(since_ms=1, by="olim", reason="repair")),
        ]
    )
    told = [(one.alarm.source_id, one.how, one.until_ms, one.by, one.reason) for one in found.held]
    assert told == [
        ("a", "shelved", NOW + HOUR, "anvar", "road works"),
        ("c", "out_of_service", None, "olim", "repair"),
        ("b", "suppressed", None, "", "feed_silent:hfp"),
    ]
    assert sum(one.open for one in found.open) == 0


def test_what_stands_for_more_than_a_day_is_stale_longest_first() -> None:
    found = summary(
        [
            alarm("day", raised_ms=NOW - DAY),
            alarm("more", AlarmState.ACKNOWLEDGED, raised_ms=NOW - DAY - 1),
            alarm("most", raised_ms=NOW - 5 * DAY),
            alarm("returned", AlarmState.RETURNED_UNACKNOWLEDGED, raised_ms=NOW - 9 * DAY, active=False),
        ]
    )
    assert [line.source_id for line in found.stale] == ["most", "more"]


def test_incidents_are_those_that_are_open_and_those_that_were_closed_in_the_shift() -> None:
    closed = IncidentStatus.CLOSED
    found = summary(
        incidents=[
            incident(1, status=closed, closed_ms=BEGAN - 1, opened_ms=BEGAN - HOUR),
            incident(2, status=closed, closed_ms=BEGAN, opened_ms=BEGAN - HOUR),
            incident(3, opened_ms=NOW - 30 * DAY, assignee="olim"),
            incident(4, priority=AlarmPriority.CRITICAL, status=IncidentStatus.IN_PROGRESS),
            incident(5, status=closed, closed_ms=NOW, merged_into="20260504-004"),
        ]
    )
    assert [(one.id[-1], one.status, one.assignee) for one in found.incidents] == [
        ("4", "in_progress", ""),
        ("3", "open", "olim"),
        ("2", "closed", ""),
    ]


def test_promises_that_are_not_kept_are_told_whatever_became_of_the_incident() -> None:
    late = Promise(text="crew there", by="power", due_ms=NOW - MINUTE)
    soon = Promise(text="water on", by="water", due_ms=NOW + HOUR)
    kept = Promise(text="done", by="gas", due_ms=NOW - HOUR, kept_ms=NOW - 2 * HOUR)
    found = summary(
        incidents=[
            incident(1, promises=(soon, kept)),
            incident(2, promises=(late,), status=IncidentStatus.CLOSED, closed_ms=BEGAN - DAY),
            incident(3, promises=(late,), merged_into="20260504-002"),
        ]
    )
    assert [(one.incident[-1], one.text, one.due_ms) for one in found.promises] == [
        ("2", "crew there", NOW - MINUTE),
        ("1", "water on", NOW + HOUR),
    ]


def test_feeds_and_the_load_of_the_shift_are_in_it() -> None:
    load = AlarmLoad(BEGAN)
    for number in range(12):
        load.take(
            Transition(
                alarm=f"r:{number}", version=1, action=Action.RISE, before=AlarmState.NORMAL,
                after=AlarmState.UNACKNOWLEDGED, at_ms=NOW - HOUR + number, rule="r", priority=AlarmPriority.LOW,
                source_kind="vehicle", source_id=str(number),
            )
        )  # fmt: skip
    trouble = FeedTrouble(feed="hfp", state="silent", age_s=300, completeness=0)
    found = summary(feeds=[trouble], load=load.report(NOW))
    assert found.feeds == (trouble,)
    assert found.load is not None
    assert (found.load.announced, found.load.peak_10min, found.load.flood_s) == (12, 12, 600)
    assert summary().load is None


@given(st.integers(0, 3 * LINES_MAX))
def test_lists_are_cut_and_the_totals_are_not(count: int) -> None:
    hold = Hold(since_ms=NOW, by="a", reason="b", until_ms=NOW + HOUR)
    found = summary([alarm(str(n), AlarmState.SHELVED, shelved=hold) for n in range(count)])
    assert len(found.held) == min(count, LINES_MAX)
    assert found.totals["held"] == count
