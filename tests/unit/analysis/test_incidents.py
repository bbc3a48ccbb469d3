"""Which alarms and cases become one incident."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from pydantic import ValidationError

from analysis.incidents import IncidentBook, Join, Member, next_operator_id
from analysis.schedule import Clock
from city.alarms import Alarm, AlarmPriority
from city.incidents import Deed, Incident, IncidentStatus
from city.rules.incidents import Incidents, JoinRule

NOW = 1_777_870_800_000  # 2026-05-04 10:00 in Tashkent
CLOCK = Clock(ZoneInfo("Asia/Tashkent"))
POWER = JoinRule(together=("network", "district"), within_s=600, at_least=3, procedure="power")
PLACE = JoinRule(near_m=300, within_s=600, at_least=2, alarms=("fire",), cases=("*",))
SETTINGS = Incidents(
    rules={"power": POWER, "place": PLACE},
    procedures={"power": ({"en": "Call the grid"}, {"en": "Tell the district"})},
)


def member(number: int, at_s: float = 0, **given: object) -> Member:
    base = Member(
        key=f"sensor_missing:{number}",
        kind="sensor_missing",
        at_ms=NOW + int(at_s * 1000),
        priority=AlarmPriority.MEDIUM,
        agency="grid",
        facts={"network": "power", "district": "1726269"},
    )
    return replace(base, **given)


def fire(number: int, at_s: float = 0, *, lat: float = 41.3, lon: float = 69.2) -> Member:
    return member(number, at_s, key=f"fire:{number}", kind="fire", lat=lat, lon=lon, facts={}, agency="fire brigade")


def call(number: int, at_s: float = 0, *, lat: float = 41.3, lon: float = 69.2) -> Member:
    return fire(number, at_s, lat=lat, lon=lon).__class__(
        key=f"112|{number}", is_case=True, kind="smoke", at_ms=NOW + int(at_s * 1000), priority=AlarmPriority.LOW,
        agency="112", lat=lat, lon=lon,
    )  # fmt: skip


def book(settings: Incidents = SETTINGS) -> IncidentBook:
    return IncidentBook(settings, CLOCK)


def opened(of: IncidentBook) -> Incident:
    """Three sensors made an incident, and the store has it."""
    for number in range(3):
        of.take(member(number, number))
    ((_, after),) = of.changes()
    of.written()
    return after


def test_as_many_as_the_rule_wants_make_one_incident() -> None:
    of = book()
    assert of.take(member(1)) == []
    assert of.take(member(2, 60)) == []
    name = "20260504-001"
    joined = of.take(member(3, 120))
    assert joined == [Join(f"sensor_missing:{number}", name, "power") for number in (1, 2, 3)]
    ((before, after),) = of.changes()
    assert before is None
    assert (after.id, after.rule, after.common) == (name, "power", {"network": "power", "district": "1726269"})
    assert (after.alarms, after.first_alarm, after.agencies) == (3, "sensor_missing:1", ("grid",))
    assert [step.text["en"] for step in after.checklist] == ["Call the grid", "Tell the district"]
    assert [(line.deed, line.values) for line in of.entries()] == [
        (Deed.OPEN, {"rule": "power", "network": "power", "district": "1726269"}),
        (Deed.JOIN, {"alarms": 3, "cases": 0}),
    ]


def test_the_next_one_joins_and_the_last_one_counts_for_the_time() -> None:
    of = book()
    opened(of)
    assert [join.incident for join in of.take(member(4, 2 + 600))] == ["20260504-001"]
    assert [join.incident for join in of.take(member(5, 2 + 1200))] == ["20260504-001"]
    ((before, after),) = of.changes()
    assert (before is not None and before.alarms, after.alarms, after.version) == (3, 5, 2)


def test_too_late_is_another_incident() -> None:
    of = book()
    opened(of)
    assert of.take(member(4, 2 + 601)) == []
    of.take(member(5, 700))
    assert {join.incident for join in of.take(member(6, 701))} == {"20260504-002"}


def test_another_district_or_an_unknown_one_is_no_company() -> None:
    of = book()
    of.take(member(1))
    of.take(member(2))
    assert of.take(member(3, facts={"network": "power", "district": "1726273"})) == []
    assert of.take(member(4, facts={"network": "power"})) == []
    assert not of.changed


def test_one_alarm_that_rises_three_times_is_no_incident() -> None:
    of = book()
    assert [of.take(member(1, at_s)) for at_s in (0, 10, 20)] == [[], [], []]


def test_an_alarm_that_is_in_an_open_incident_stays_in_it() -> None:
    of = book()
    opened(of)
    assert of.take(member(1, 30)) == []
    assert not of.changed
    of.take(member(1, 500))  # it tells that the incident goes on
    ((_, after),) = of.changes()
    assert (after.alarms, after.last_ms) == (3, NOW + 500_000)
    assert of.entries() == []


def test_a_closed_incident_takes_in_nobody() -> None:
    of = book()
    closed = replace(opened(of), status=IncidentStatus.CLOSED, closed_ms=NOW + 5000, version=2)
    of.learn([closed])
    assert of.incident_of("sensor_missing:1") is None
    assert of.take(member(1, 10)) == []
    of.take(member(2, 11))
    assert len(of.take(member(3, 12))) == 3


def test_what_is_near_joins_whatever_else_it_is_with_the_cases_around() -> None:
    of = book()
    assert of.take(call(1)) == []
    assert of.take(call(2)) == [], "calls alone are no incident of alarms"
    joined = of.take(fire(1, 30, lat=41.302))
    assert [join.alarm for join in joined] == ["fire:1"]
    assert of.take(fire(2, 40, lat=41.31)) == [], "a kilometre away"
    of.take(call(3, 50, lat=41.3015))
    ((_, after),) = of.changes()
    assert (after.alarms, after.cases, after.agencies) == (1, ("112|1", "112|2", "112|3"), ("112", "fire brigade"))
    assert (after.lat, after.priority) == (41.302, AlarmPriority.MEDIUM)


def test_the_highest_priority_is_the_incidents() -> None:
    of = book()
    opened(of)
    of.take(member(4, 3, priority=AlarmPriority.CRITICAL))
    of.take(member(5, 4, priority=AlarmPriority.LOW))
    assert of.changes()[0][1].priority is AlarmPriority.CRITICAL


def test_what_joined_is_said_again_of_what_an_operator_changed() -> None:
    of = book()
    one = opened(of)
    of.take(member(4, 3))
    theirs = replace(one, assignee="Aziza", version=7)
    of.rebase({one.id: theirs})
    ((before, after),) = of.changes()
    assert (before, after) == (theirs, replace(theirs, alarms=4, last_ms=NOW + 3000, updated_ms=NOW + 3000, version=8))


def test_a_merged_incident_points_on() -> None:
    of = book()
    one = opened(of)
    other = replace(one, id="20260504-p01", rule="")
    merged = replace(one, merged_into=other.id, status=IncidentStatus.CLOSED, version=2)
    of.learn([other, merged])
    assert of.incident_of("sensor_missing:1") == other
    assert of.take(member(9, 5)) == [Join("sensor_missing:9", other.id, "")]


def test_numbers_go_on_after_a_restart_and_never_back() -> None:
    of = book()
    one = opened(of)
    later = book()
    later.restore([replace(one, id="20260504-041"), replace(one, id="20260504-p07")], [])
    of = later
    for number in range(10, 13):
        of.take(member(number, 700 + number, facts={"network": "gas", "district": "1"}))
    assert [after.id for _, after in of.changes()] == ["20260504-042"]
    for number in range(20, 23):
        of.take(member(number, number - 86_400, facts={"network": "water", "district": "1"}))
    assert [after.id for _, after in of.changes()] == ["20260504-042", "20260504-043"]


def test_after_a_restart_alarms_that_stand_may_still_make_one() -> None:
    standing = [
        Alarm(id=f"sensor_missing:{n}", rule="sensor_missing", priority=AlarmPriority.LOW, source_kind="sensor",
              source_id=str(n), active=True, raised_ms=NOW, district="1726269", values={"network": "power"})
        for n in (1, 2)
    ]  # fmt: skip
    of = book()
    of.restore([], [(alarm, "grid") for alarm in standing])
    assert len(of.take(member(3, 60))) == 3


def test_forgetting_lets_old_ones_go_and_keeps_the_open() -> None:
    of = book()
    one = opened(of)
    for number in range(3):
        of.take(member(50 + number, number, facts={"network": "gas", "district": "2"}))
    of.written()
    of.learn([replace(one, status=IncidentStatus.CLOSED, closed_ms=NOW, version=5)])
    of.forget(NOW + 1)
    assert of.incident_of("sensor_missing:50") is not None
    assert of.incident_of("sensor_missing:1") is None


def test_an_operators_numbers_are_apart() -> None:
    assert next_operator_id(CLOCK, NOW, []) == "20260504-p01"
    assert next_operator_id(CLOCK, NOW, ["20260504-p09", "20260504-044", "20260503-p20"]) == "20260504-p10"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rules": {"all": {"within_s": 60}}}, "would join the whole city"),
        ({"rules": {"r": {"near_m": 5, "procedure": "x"}}, "procedures": {"y": []}}, "not one of procedures"),
    ],
)
def test_rules_that_make_no_sense_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Incidents.model_validate(given)


def as_stored(name: str, alarm: str, at_s: float) -> Alarm:
    """An alarm that rose again, as the process reads its own event a moment later."""
    return Alarm(id=alarm, rule="sensor_missing", priority=AlarmPriority.LOW, source_kind="sensor", source_id=alarm,
                 active=True, raised_ms=NOW + int(at_s * 1000), incident=name)  # fmt: skip


def test_what_comes_back_after_the_incident_was_closed_makes_another_one() -> None:
    of = book()
    one = opened(of)
    of.learn([replace(one, status=IncidentStatus.CLOSED, closed_ms=NOW + 5000, version=2)])
    joined: list[Join] = []
    for number in range(3):
        joined += of.take(member(number, 100 + number))
        of.moved(as_stored(one.id, f"sensor_missing:{number}", 100 + number))  # its own event
    assert {join.incident for join in joined} == {"20260504-002"}


def test_an_alarm_of_a_merged_incident_stays_in_it_over_a_restart_and_for_days() -> None:
    of = book()
    one = opened(of)
    target = replace(one, id="20260504-p01", rule="", version=1)
    merged = replace(one, merged_into=target.id, status=IncidentStatus.CLOSED, closed_ms=NOW + 5000, version=2)
    of.learn([target, merged])
    of.forget(NOW + 10**9)
    assert of.incident_of("sensor_missing:1") == target
    later = book()
    again = as_stored(one.id, "sensor_missing:1", 60)
    later.restore([target, merged], [(again, "grid")])
    assert later.incident_of("sensor_missing:1") == target


def test_who_joined_an_incident_that_was_closed_at_that_moment_looks_for_another_one() -> None:
    of = book()
    one = opened(of)
    of.take(member(7, 10))
    closed = replace(one, status=IncidentStatus.CLOSED, closed_ms=NOW + 9000, version=2)
    assert of.rebase({one.id: closed}) == []
    assert not of.changed
    of.take(member(8, 11))
    assert len(of.take(member(9, 12))) == 3, "7 is free for another one"


def test_who_joined_an_incident_that_was_merged_at_that_moment_is_in_the_other_one() -> None:
    of = book()
    one = opened(of)
    target = replace(one, id="20260504-p01", rule="", alarms=10, version=1)
    of.take(member(7, 10))
    of.learn([target])
    merged = replace(one, merged_into=target.id, status=IncidentStatus.CLOSED, closed_ms=NOW + 9000, version=2)
    assert of.rebase({one.id: merged}) == [Join("sensor_missing:7", target.id, "")]
    assert [(after.id, after.alarms) for _, after in of.changes()] == [(target.id, 11)]


def test_a_case_that_is_told_again_and_again_pushes_nobody_out() -> None:
    of = book(Incidents(rules={"place": JoinRule(near_m=300, at_least=3, alarms=("fire",), cases=("*",))}))
    of.take(fire(1))
    for number in range(3000):
        of.take(call(1, number / 1000))
    assert [join.alarm for join in of.take(fire(2, 5))] == ["fire:1", "fire:2"]
