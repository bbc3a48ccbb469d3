"""The timeline of an incident: what people did can be found among what a thousand alarms did."""

from __future__ import annotations

from analysis.incident_timeline import timeline
from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.incidents import Deed, IncidentEntry

NOW = 1_800_000_000_000


def entry(version: int, deed: Deed, at_ms: int, by: str = "", **values: float) -> IncidentEntry:
    return IncidentEntry(incident="i", version=version, deed=deed, at_ms=at_ms, by=by, values=values)


def moved(name: str, action: Action, at_ms: int, by: str = "", version: int = 1) -> Transition:
    return Transition(
        alarm=name, version=version, action=action, before=AlarmState.NORMAL, after=AlarmState.UNACKNOWLEDGED,
        at_ms=at_ms, by=by, rule="overload", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id=name,
    )  # fmt: skip


def test_a_thousand_rises_of_a_minute_are_one_line_between_the_deeds() -> None:
    rises = [moved(f"{n}", Action.RISE, NOW + n * 10) for n in range(1000)]
    joins = [entry(n, Deed.JOIN, NOW + n * 1000, alarms=100, cases=1) for n in range(1, 11)]
    comment = entry(11, Deed.COMMENT, NOW + 20_000, by="anvar")
    lines = timeline([*joins, comment], rises, 50)
    assert [line.entry.deed if line.entry else line.transition and line.transition.action for line in lines] == [
        Deed.COMMENT,
        Deed.JOIN,
        Action.RISE,
    ]
    assert (lines[2].alarms, lines[2].since_ms, lines[2].at_ms) == (1000, NOW, NOW + 9990)
    assert lines[2].transition is rises[0]
    assert lines[1].entry is not None
    assert lines[1].entry.values == {"alarms": 1000, "cases": 10}


def test_what_different_people_did_and_what_they_said_stays_apart() -> None:
    acts = [
        moved("a", Action.ACKNOWLEDGE, NOW, by="anvar"),
        moved("b", Action.ACKNOWLEDGE, NOW, by="olim"),
        moved("a", Action.COMMENT, NOW, by="anvar", version=2),
        moved("b", Action.COMMENT, NOW, by="anvar", version=2),
    ]
    assert [line.alarms for line in timeline([], acts, 50)] == [1, 1, 1, 1]


def test_an_operators_join_is_a_line_of_its_own_and_an_alarms_joining_is_none() -> None:
    joins = [entry(1, Deed.JOIN, NOW, by="anvar", alarms=1), entry(2, Deed.JOIN, NOW, by="anvar", alarms=2)]
    lines = timeline(joins, [moved("a", Action.JOIN, NOW)], 50)
    assert [line.entry.values["alarms"] for line in lines if line.entry] == [1, 2]
    assert len(lines) == 2


def test_no_more_lines_are_told_than_asked_for_and_the_newest_first() -> None:
    entries = [entry(n, Deed.COMMENT, NOW + n, by="a") for n in range(10)]
    assert [line.at_ms for line in timeline(entries, [], 3)] == [NOW + 9, NOW + 8, NOW + 7]
