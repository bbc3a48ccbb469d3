"""Which incident an alarm is in."""

from __future__ import annotations

from msgspec.structs import replace

from analysis.incident_members import folded, home, names_of
from city.alarms import Alarm, AlarmPriority
from city.incidents import Incident, IncidentStatus


def incident(name: str, into: str | None = None, *, closed: bool = False) -> Incident:
    one = Incident(id=name, opened_ms=0, updated_ms=0, last_ms=0)
    if into is None and not closed:
        return one
    return replace(one, status=IncidentStatus.CLOSED, closed_ms=1, merged_into=into)


def alarm(name: str, of: str | None) -> Alarm:
    return Alarm(
        id=name, rule="overload", priority=AlarmPriority.LOW, source_kind="vehicle", source_id=name, incident=of
    )


KNOWN = {one.id: one for one in (incident("a", "b"), incident("b", "c"), incident("c"), incident("d", closed=True))}


def test_what_was_merged_points_on_to_where_work_goes_on() -> None:
    assert home("a", KNOWN) is KNOWN["c"]
    assert home("d", KNOWN) is KNOWN["d"]
    assert home("nobody", KNOWN) is None
    assert home(None, KNOWN) is None


def test_a_ring_of_merges_ends() -> None:
    ring = {one.id: one for one in (incident("x", "y"), incident("y", "x"))}
    assert home("x", ring) is None


def test_the_alarms_of_an_incident_call_it_by_its_name_or_one_that_was_merged_into_it() -> None:
    assert names_of("c", KNOWN) == {"a", "b", "c"}
    assert names_of("unknown", KNOWN) == {"unknown"}


def test_alarms_of_open_incidents_are_folded_and_all_others_stand_alone_in_their_order() -> None:
    alarms = [alarm("1", None), alarm("2", "a"), alarm("3", "d"), alarm("4", "c"), alarm("5", "unknown")]
    loose, inside = folded(alarms, KNOWN)
    assert [one.id for one in loose] == ["1", "3", "5"]
    assert {name: [one.id for one in found] for name, found in inside.items()} == {"c": ["2", "4"]}
