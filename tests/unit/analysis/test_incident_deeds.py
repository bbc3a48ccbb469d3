"""What operators do to incidents, as tables: an incident and a deed → the incident and its line, or the refusal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from analysis.alarm_states import NotAllowed
from analysis.incident_deeds import IncidentAct, apply_deed, begin, is_web_address, join, leave, merge
from city.alarms import Alarm, AlarmPriority
from city.incidents import Attachment, Deed, Incident, IncidentStatus, Promise, Step

NOW = 1_800_000_000_000
STEPS = (Step(text={"en": "call"}), Step(text={"en": "look"}, done_ms=NOW - 9, done_by="olim"))
OWED = Promise(text="light is back", by="olim", due_ms=NOW + 1)
OPEN = Incident(
    id="20261122-001", opened_ms=NOW - 1000, updated_ms=NOW - 500, last_ms=NOW - 500, rule="network", alarms=5,
    priority=AlarmPriority.HIGH, checklist=STEPS, promises=(OWED,), version=7,
)  # fmt: skip
CLOSED = replace(OPEN, status=IncidentStatus.CLOSED, closed_ms=NOW - 100)
MERGED = replace(CLOSED, merged_into="20261122-002")


def act(deed: Deed, **more: Any) -> IncidentAct:
    return IncidentAct(deed=deed, at_ms=NOW, by="anvar", **more)


def alarm(name: str, raised_ms: int = NOW - 10, priority: AlarmPriority = AlarmPriority.MEDIUM, **more: Any) -> Alarm:
    return Alarm(
        id=f"overload:{name}", rule="overload", priority=priority, source_kind="vehicle", source_id=name, active=True,
        raised_ms=raised_ms, **more,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("deed", "given_", "changed", "text", "values"),
    [
        (
            Deed.STATUS, {"text": "in_progress"}, {"status": IncidentStatus.IN_PROGRESS}, "in_progress",
            {"before": "open"},
        ),
        (
            Deed.STATUS, {"text": "closed"}, {"status": IncidentStatus.CLOSED, "closed_ms": NOW}, "closed",
            {"before": "open"},
        ),
        (Deed.PRIORITY, {"text": "low"}, {"priority": AlarmPriority.LOW}, "low", {"before": "high"}),
        (Deed.TITLE, {"text": "Dark streets"}, {"title": "Dark streets"}, "Dark streets", {}),
        (Deed.ASSIGN, {"text": "olim"}, {"assignee": "olim"}, "olim", {}),
        (
            Deed.AGENCIES, {"agencies": ("energy", " energy", "", "health")}, {"agencies": ("energy", "health")},
            "energy, health", {},
        ),
        (Deed.COMMENT, {"text": "called"}, {"comments": 1}, "called", {}),
        (
            Deed.CHECK, {"number": 1}, {"checklist": (replace(STEPS[0], done_ms=NOW, done_by="anvar"), STEPS[1])}, "1",
            {},
        ),
        (Deed.UNCHECK, {"number": 2}, {"checklist": (STEPS[0], Step(text={"en": "look"}))}, "2", {}),
        (
            Deed.ATTACH, {"url": "https://a.example/x", "text": "photo"},
            {"attachments": (Attachment(url="https://a.example/x", title="photo", by="anvar", at_ms=NOW),)}, "photo",
            {"url": "https://a.example/x"},
        ),
        (
            Deed.PROMISE, {"text": "a crew comes", "due_ms": NOW + 60_000},
            {"promises": (OWED, Promise(text="a crew comes", by="anvar", due_ms=NOW + 60_000))}, "a crew comes",
            {"due_ms": NOW + 60_000},
        ),
        (Deed.KEEP_PROMISE, {"number": 1}, {"promises": (replace(OWED, kept_ms=NOW),)}, "light is back", {"number": 1}),
    ],
)  # fmt: skip
def test_a_deed_changes_what_it_says_and_leaves_a_line(
    deed: Deed, given_: dict[str, Any], changed: dict[str, Any], text: str, values: dict[str, Any]
) -> None:
    after, line = apply_deed(OPEN, act(deed, **given_))
    assert after == replace(OPEN, version=8, updated_ms=NOW, **changed)
    assert line is not None
    assert (line.incident, line.version, line.deed, line.at_ms, line.by) == (OPEN.id, 8, deed, NOW, "anvar")
    assert (line.text, line.values) == (text, values)


@pytest.mark.parametrize(
    ("before", "deed", "given_"),
    [
        (OPEN, Deed.STATUS, {"text": "open"}),
        (OPEN, Deed.PRIORITY, {"text": "high"}),
        (OPEN, Deed.TITLE, {"text": ""}),
        (OPEN, Deed.ASSIGN, {"text": ""}),
        (OPEN, Deed.CHECK, {"number": 2}),
        (OPEN, Deed.UNCHECK, {"number": 1}),
        (replace(OPEN, promises=(replace(OWED, kept_ms=1),)), Deed.KEEP_PROMISE, {"number": 1}),
    ],
)
def test_what_is_so_already_changes_nothing_and_leaves_no_line(
    before: Incident, deed: Deed, given_: dict[str, Any]
) -> None:
    assert apply_deed(before, act(deed, **given_)) == (before, None)


@pytest.mark.parametrize(
    ("before", "deed", "given_", "words"),
    [
        (OPEN, Deed.STATUS, {"text": "over"}, "a status is one of"),
        (OPEN, Deed.PRIORITY, {"text": "journal"}, "a priority is one of"),
        (OPEN, Deed.COMMENT, {"text": ""}, "comment is empty"),
        (OPEN, Deed.CHECK, {"number": 3}, "no step 3"),
        (OPEN, Deed.CHECK, {"number": 0}, "no step 0"),
        (OPEN, Deed.ATTACH, {"url": "javascript:alert(1)"}, "http or https"),
        (OPEN, Deed.ATTACH, {"url": "https://"}, "http or https"),
        (OPEN, Deed.PROMISE, {"text": "", "due_ms": NOW + 1}, "promise is empty"),
        (OPEN, Deed.PROMISE, {"text": "soon"}, "a time in the future"),
        (OPEN, Deed.PROMISE, {"text": "soon", "due_ms": NOW}, "a time in the future"),
        (OPEN, Deed.PROMISE, {"text": "soon", "due_ms": NOW + 366 * 86_400_000 + 1}, "within a year"),
        (OPEN, Deed.KEEP_PROMISE, {"number": 2}, "no promise 2"),
        (CLOSED, Deed.ASSIGN, {"text": "olim"}, "open it again"),
        (CLOSED, Deed.CHECK, {"number": 1}, "open it again"),
        (MERGED, Deed.STATUS, {"text": "open"}, "merged into 20261122-002"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    before: Incident, deed: Deed, given_: dict[str, Any], words: str
) -> None:
    with pytest.raises(NotAllowed, match=words):
        apply_deed(before, act(deed, **given_))


@pytest.mark.parametrize(
    ("given_", "allowed"),
    [({}, False), ({"force": True}, False), ({"reason": "test"}, False), ({"force": True, "reason": "test"}, True)],
)
def test_an_incident_whose_alarms_stand_is_closed_only_by_force_with_a_reason(
    given_: dict[str, Any], allowed: bool
) -> None:
    closing = act(Deed.STATUS, text="closed", **given_)
    if not allowed:
        with pytest.raises(NotAllowed, match="2 of its alarms still stand"):
            apply_deed(OPEN, closing, standing=2)
        return
    after, line = apply_deed(OPEN, closing, standing=2)
    assert not after.open
    assert line is not None
    assert line.values == {"before": "open", "reason": "test", "standing": 2}


def test_a_closed_incident_is_opened_again_and_may_still_be_written_about() -> None:
    after, _ = apply_deed(CLOSED, act(Deed.STATUS, text="open"))
    assert (after.status, after.closed_ms) == (IncidentStatus.OPEN, None)
    assert apply_deed(CLOSED, act(Deed.COMMENT, text="the report is there"))[0].comments == 1
    assert apply_deed(CLOSED, act(Deed.KEEP_PROMISE, number=1))[0].promises[0].kept_ms == NOW


def test_a_merged_incident_is_closed_and_all_that_it_had_counts_in_the_other() -> None:
    other = replace(
        OPEN, id="20261122-002", alarms=3, cases=("112|1",), agencies=("health",), priority=AlarmPriority.LOW,
        promises=(),
    )  # fmt: skip
    one = replace(OPEN, cases=("112|1", "112|2"), agencies=("energy",))
    gone, whole, lines = merge(one, other, act(Deed.MERGE))
    assert (gone.status, gone.merged_into, gone.closed_ms, gone.version) == ("closed", other.id, NOW, 8)
    assert (whole.alarms, whole.cases, whole.agencies) == (8, ("112|1", "112|2"), ("health", "energy"))
    assert (whole.priority, whole.open, whole.version) == (AlarmPriority.HIGH, True, 8)
    assert whole.promises == (OWED,)  # what was promised there is still owed
    assert [(line.incident, line.deed, line.text) for line in lines] == [
        (one.id, Deed.MERGE, other.id),
        (other.id, Deed.MERGE, one.id),
    ]


@pytest.mark.parametrize(
    ("one", "into", "words"),
    [
        (OPEN, OPEN, "into itself"),
        (CLOSED, replace(OPEN, id="b"), "is closed"),
        (OPEN, replace(CLOSED, id="b"), "b is closed"),
    ],
)
def test_only_two_open_incidents_are_merged(one: Incident, into: Incident, words: str) -> None:
    with pytest.raises(NotAllowed, match=words):
        merge(one, into, act(Deed.MERGE))


def test_what_is_split_off_begins_an_incident_with_its_first_out_and_is_missing_in_the_old_one() -> None:
    first = alarm("a", NOW - 500, AlarmPriority.MEDIUM, lat=41.3, lon=69.2, district="1726262", route="8")
    new, opened = begin("20261122-p01", [alarm("b", NOW - 100, AlarmPriority.HIGH), first], ["depot", ""],
                        act(Deed.LEAVE, text="Route 8"), out_of=OPEN.id)  # fmt: skip
    assert (new.alarms, new.first_alarm, new.priority, new.version) == (2, first.id, AlarmPriority.HIGH, 1)
    assert (new.lat, new.lon, new.district, new.route) == (41.3, 69.2, "1726262", "8")
    assert (new.title, new.agencies, new.rule) == ("Route 8", ("depot",), "")
    assert (opened.deed, opened.values) == (Deed.OPEN, {"alarms": 2, "from": OPEN.id})
    after, left = leave(OPEN, 2, new.id, act(Deed.LEAVE))
    assert (after.alarms, after.version) == (3, 8)
    assert (left.deed, left.text, left.values) == (Deed.LEAVE, new.id, {"alarms": 2})


def test_an_incident_needs_alarms_or_a_title() -> None:
    with pytest.raises(NotAllowed, match="alarms or a title"):
        begin("20261122-p01", [], [], act(Deed.OPEN))
    made, _ = begin("20261122-p01", [], [], act(Deed.OPEN, text="A burst pipe, by telephone"))
    assert (made.alarms, made.priority, made.first_alarm) == (0, AlarmPriority.LOW, "")


def test_alarms_that_are_joined_raise_the_priority_and_the_count() -> None:
    after, line = join(OPEN, [alarm("a", priority=AlarmPriority.CRITICAL)], ["fire"], act(Deed.JOIN))
    assert (after.alarms, after.priority, after.agencies) == (6, AlarmPriority.CRITICAL, ("fire",))
    assert (line.deed, line.values) == (Deed.JOIN, {"alarms": 1})
    with pytest.raises(NotAllowed, match="closed"):
        join(CLOSED, [alarm("a")], [], act(Deed.JOIN))


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("https://a.example/b?c=d#e", True),
        ("HTTP://a.example", True),
        ("http://[::1]:8080/x", True),
        ("ftp://a.example", False),
        ("javascript:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("https://a.example/ b", False),
        ("https:a.example", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_only_web_addresses_are_links(text: str, good: bool) -> None:
    assert is_web_address(text) is good


@given(
    deeds=st.lists(
        st.builds(
            lambda deed, text, number: act(deed, text=text, number=number, url=text, due_ms=NOW + 1),
            st.sampled_from([deed for deed in Deed if deed not in {Deed.OPEN, Deed.JOIN, Deed.LEAVE, Deed.MERGE}]),
            st.sampled_from(["", "open", "closed", "in_progress", "low", "https://a.example", "words"]),
            st.integers(-1, 4),
        ),
        max_size=20,
    )
)
def test_versions_count_the_lines_and_an_end_has_its_time_whatever_operators_do(deeds: list[IncidentAct]) -> None:
    incident, lines = OPEN, 0
    for one in deeds:
        try:
            incident, line = apply_deed(incident, one)
        except NotAllowed:
            continue
        lines += line is not None
    assert incident.version == OPEN.version + lines
    assert (incident.closed_ms is not None) is (not incident.open)
