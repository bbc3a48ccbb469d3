"""Incidents over HTTP on a real store: what operators do is written once, with its alarms, and never over another's."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from msgspec.structs import replace
from servers import Valkey, wait_until

from analysis.alarm_states import apply, transition_of
from city.alarm_store import AlarmCommit, Changed, ChangedIncident
from city.alarms import Act, Action, Alarm, AlarmPriority
from city.config import load_config
from city.incidents import Deed, Incident, IncidentEntry, Promise, Step
from city.store import Store, now_ms
from dashboard.app import build

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PATH = "/api/v1/incidents"


class Desk:
    """The application, the store behind it, and the watching process's part played by the test."""

    def __init__(self, client: TestClient, store: Store) -> None:
        self.client, self.store = client, store

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(f"{PATH}{path}")
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        answer = self.client.post(f"{PATH}{path}", json={"by": "anvar", **body})
        assert answer.status_code == status, answer.text
        return answer.json()

    def alarms(self, names: Sequence[str], incident: str | None = None) -> list[Alarm]:
        """Alarms that rise, and join an incident."""
        risen, commit = [], AlarmCommit()
        changes, transitions = [], []
        for name in names:
            before = Alarm(
                id=f"overload:{name}", rule="overload", priority=AlarmPriority.HIGH, source_kind="vehicle",
                source_id=name, lat=41.3, lon=69.2,
            )  # fmt: skip
            acts = [Act(action=Action.RISE, at_ms=now_ms())]
            if incident is not None:
                acts.append(Act(action=Action.JOIN, at_ms=now_ms(), text=incident, reason="route"))
            after = before
            for act in acts:
                earlier, after = after, apply(after, act)
                transitions.append(transition_of(earlier, after, act))
            changes.append(Changed(None, after))
            risen.append(after)
        commit = AlarmCommit(alarms=changes, transitions=transitions)
        assert not self.store.commit_alarms(commit, keep_s=600)
        return risen

    def incident(self, name: str = "20261122-001", alarms: int = 3, **more: Any) -> Incident:
        """An incident of the rules with its alarms, known to the dashboard."""
        at_ms = now_ms()
        one = Incident(
            id=name, opened_ms=at_ms, updated_ms=at_ms, last_ms=at_ms, rule="route", common={"route": "8"},
            alarms=alarms, checklist=(Step(text={"en": "call"}),), **more,
        )  # fmt: skip
        entry = IncidentEntry(incident=name, version=1, deed=Deed.OPEN, at_ms=at_ms)
        commit = AlarmCommit(incidents=[ChangedIncident(None, one)], entries=[entry])
        assert not self.store.commit_alarms(commit, keep_s=600)
        self.alarms([f"{name}-{n}" for n in range(alarms)], name)
        self.wait(name, lambda body: body["known"] == alarms)
        return one

    def joined(self, one: Incident) -> Incident:
        """What the watching process does meanwhile: another alarm joins."""
        found = self.store.incident(one.id)
        assert found is not None
        after = replace(found, alarms=found.alarms + 1, version=found.version + 1)
        assert not self.store.commit_alarms(AlarmCommit(incidents=[ChangedIncident(found, after)]), keep_s=600)
        return after

    def wait(self, name: str, true: Any) -> Any:
        wait_until(lambda: true(self.get(f"/{name}?timeline=0")), what=name)
        return self.get(f"/{name}")


@pytest.fixture
def desk(valkey: Valkey) -> Iterator[Desk]:
    config = load_config(
        ROOT / "config.yaml", {"MARKAZ_REDIS__URL": valkey.url, "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"}
    )
    store = Store.of(config)
    with TestClient(build(config)) as client:
        wait_until(lambda: "markaz_store_up 1.0" in client.get("/metrics").text, what="the store")
        yield Desk(client, store)
    store.close()


def test_an_incident_is_told_with_its_alarms_and_what_happened(desk: Desk) -> None:
    one = desk.incident()
    (listed,) = desk.client.get(PATH).json()["incidents"]
    assert (listed["id"], listed["joined"], listed["standing"], listed["unacknowledged"]) == (one.id, 3, 3, 3)
    assert (listed["rule"], listed["common"], listed["status"]) == ("route", {"route": "8"}, "open")
    body = desk.get(f"/{one.id}?limit=2")
    assert (len(body["alarms"]), body["known"]) == (2, 3)
    lines = [(line.get("deed") or line["action"], line.get("alarms")) for line in body["timeline"]]
    assert lines == [("rise", 3), ("open", None)]
    assert desk.get(f"/{one.id}?timeline=0")["timeline"] == []
    desk.get("/20261122-999", status=404)
    assert desk.client.get(f"{PATH}?cursor=nonsense").status_code == 422


def test_operators_work_on_an_incident_and_the_timeline_says_who_did_what(desk: Desk) -> None:
    one = desk.incident()
    told = desk.post(f"/{one.id}/status", {"version": 1, "text": "in_progress"})
    assert (told["status"], told["version"]) == ("in_progress", 2)
    told = desk.post(f"/{one.id}/assign", {"version": 2, "text": "olim"})
    told = desk.post(f"/{one.id}/check", {"version": 3, "number": 1, "by": "olim"})
    assert told["checklist"][0]["done_by"] == "olim"
    told = desk.post(f"/{one.id}/comment", {"version": 4, "text": "the driver was called"})
    told = desk.post(f"/{one.id}/attach", {"version": 5, "url": "https://a.example/report", "text": "report"})
    due = datetime.fromtimestamp(now_ms() // 1000 + 3600, UTC)
    there = due.astimezone(timezone(timedelta(hours=5))).isoformat()
    told = desk.post(f"/{one.id}/promise", {"version": 6, "text": "a bus comes", "due_at": there})
    assert told["promises"][0]["due_at"] == due.strftime("%Y-%m-%dT%H:%M:%S.000Z")
    told = desk.post(f"/{one.id}/keep-promise", {"version": 7, "number": 1})
    assert told["promises"][0]["kept_at"] is not None
    told = desk.post(f"/{one.id}/agencies", {"version": 8, "agencies": ["depot 1"]})
    told = desk.post(f"/{one.id}/title", {"version": 9, "text": "Route 8 is full"})
    told = desk.post(f"/{one.id}/priority", {"version": 10, "text": "critical"})
    assert (told["version"], told["title"], told["priority"], told["agencies"]) == (
        11, "Route 8 is full", "critical", ["depot 1"],
    )  # fmt: skip
    deeds = [(line["deed"], line["by"]) for line in desk.get(f"/{one.id}")["timeline"] if "deed" in line]
    assert deeds == [
        ("priority", "anvar"), ("title", "anvar"), ("agencies", "anvar"), ("keep_promise", "anvar"),
        ("promise", "anvar"), ("attach", "anvar"), ("comment", "anvar"), ("check", "olim"), ("assign", "anvar"),
        ("status", "anvar"), ("open", None),
    ]  # fmt: skip


def test_the_second_of_two_operators_is_told_and_changes_nothing(desk: Desk) -> None:
    one = desk.incident()
    desk.post(f"/{one.id}/status", {"version": 1, "text": "in_progress"})
    refused = desk.post(f"/{one.id}/priority", {"version": 1, "text": "low", "by": "olim"}, status=409)
    assert "in_progress now, version 2" in refused["detail"]
    assert desk.get(f"/{one.id}")["priority"] == "low"  # as it was opened
    desk.post(f"/{one.id}/assign", {"version": 2, "text": "anvar"})
    desk.post(f"/{one.id}/assign", {"version": 2, "text": "olim", "by": "olim"}, status=409)
    assert desk.get(f"/{one.id}")["assignee"] == "anvar"


def test_what_only_adds_is_done_although_alarms_joined_meanwhile(desk: Desk) -> None:
    one = desk.incident()
    desk.joined(one)
    desk.joined(one)
    told = desk.post(f"/{one.id}/comment", {"version": 1, "text": "on it"})
    assert (told["version"], told["joined"], told["comments"]) == (4, 5, 1)
    desk.post(f"/{one.id}/assign", {"version": 1, "text": "anvar"})
    desk.post(f"/{one.id}/status", {"version": 1, "text": "closed"}, status=409)


def test_twenty_operators_at_once_lose_no_comment(desk: Desk) -> None:
    one = desk.incident()
    with ThreadPoolExecutor(8) as pool:
        done = list(
            pool.map(
                lambda n: (
                    desk.client.post(
                        f"{PATH}/{one.id}/comment", json={"version": 1, "by": f"op{n}", "text": f"word {n}"}
                    ).status_code
                ),
                range(20),
            )
        )
    body = desk.get(f"/{one.id}")
    said = [line["text"] for line in body["timeline"] if line.get("deed") == "comment"]
    assert len(said) == body["comments"] == done.count(200)
    assert set(done) <= {200, 409}
    assert done.count(200) >= 10


def test_an_incident_whose_alarms_stand_is_not_closed_by_mistake(desk: Desk) -> None:
    one = desk.incident()
    refused = desk.post(f"/{one.id}/status", {"version": 1, "text": "closed"}, status=422)
    assert "3 of its alarms still stand" in refused["detail"]
    told = desk.post(f"/{one.id}/status", {"version": 1, "text": "closed", "force": True, "reason": "an exercise"})
    assert (told["status"], told["closed_at"] is None) == ("closed", False)
    wait_until(lambda: [i["id"] for i in desk.get("?state=closed")["incidents"]] == [one.id], what="the list")
    assert desk.get("?state=open")["incidents"] == []


def test_two_incidents_are_merged_and_the_alarms_of_both_are_found_in_the_one(desk: Desk) -> None:
    one, other = desk.incident("20261122-001"), desk.incident("20261122-002", alarms=2)
    told = desk.post(f"/{one.id}/merge", {"version": 1, "into": other.id})
    assert (told["id"], told["joined"]) == (other.id, 5)
    body = desk.wait(other.id, lambda b: b["known"] == 5)
    assert {alarm["incident"] for alarm in body["alarms"]} == {one.id, other.id}
    gone = desk.get(f"/{one.id}")
    assert (gone["status"], gone["merged_into"]) == ("closed", other.id)
    desk.post(f"/{one.id}/status", {"version": 2, "text": "open"}, status=422)
    desk.post(f"/{other.id}/merge", {"version": 2, "into": "20261122-009"}, status=404)
    desk.post(f"/{other.id}/merge", {"version": 2, "into": one.id}, status=422)


def test_alarms_are_split_off_into_a_new_incident_and_joined_back(desk: Desk) -> None:
    one = desk.incident(alarms=4)
    chosen = [f"overload:{one.id}-{n}" for n in (1, 2)]
    told = desk.post(f"/{one.id}/split", {"version": 1, "alarms": chosen, "text": "Other cause"})
    new = told["new"]
    assert (told["joined"], new["joined"], new["title"]) == (2, 2, "Other cause")
    assert "-p" in new["id"]
    body = desk.wait(new["id"], lambda b: b["known"] == 2)
    assert sorted(alarm["id"] for alarm in body["alarms"]) == chosen
    history = desk.client.get(f"/api/v1/alarms/{chosen[0]}").json()["history"]
    assert (history[0]["action"], history[0]["text"], history[0]["by"]) == ("join", new["id"], "anvar")
    desk.post(f"/{one.id}/split", {"version": 2, "alarms": chosen}, status=422)
    rest = [f"overload:{one.id}-{n}" for n in (0, 3)]
    refused = desk.post(f"/{one.id}/split", {"version": 2, "alarms": rest}, status=422)
    assert "nothing would stay" in refused["detail"]
    told = desk.post(f"/{one.id}/join", {"version": 2, "alarms": chosen})
    assert told["joined"] == 4
    left = desk.wait(new["id"], lambda b: b["joined"] == 0)
    assert next(line["deed"] for line in left["timeline"] if "deed" in line) == "leave"


def test_an_operator_makes_an_incident_of_alarms_that_are_in_none(desk: Desk) -> None:
    inside = desk.incident()
    (alone,) = desk.alarms(["alone"])
    made = desk.post("", {"alarms": [alone.id]})
    assert (made["joined"], made["rule"], made["first_alarm"]) == (1, None, alone.id)
    desk.wait(made["id"], lambda b: b["known"] == 1)
    titled = desk.post("", {"title": "A burst pipe"})
    assert titled["id"] != made["id"]
    refused = desk.post("", {"alarms": [f"overload:{inside.id}-0"]}, status=422)
    assert inside.id in refused["detail"]
    desk.post("", {}, status=422)
    desk.post("", {"alarms": ["overload:nobody"]}, status=422)


def test_all_alarms_of_an_incident_are_acknowledged_at_once_and_each_is_checked(desk: Desk) -> None:
    one = desk.incident(alarms=450)
    store = desk.store
    first = store.alarm(f"overload:{one.id}-0")
    assert first is not None
    seen = apply(first, Act(action=Action.ACKNOWLEDGE, at_ms=now_ms(), by="olim"))
    assert not store.commit_alarms(AlarmCommit(alarms=[Changed(first, seen)]), keep_s=600)
    begun = time.monotonic()
    told = desk.post(f"/{one.id}/acknowledge", {"version": 1})
    assert told["acknowledged"] == 449
    assert time.monotonic() - begun < 5
    by = {alarm.acknowledged_by for alarm in store.alarms()}
    assert by == {"olim", "anvar"}
    desk.wait(one.id, lambda b: b["unacknowledged"] == 0)
    assert desk.post(f"/{one.id}/acknowledge", {"version": 1})["acknowledged"] == 0
    desk.post("/20261122-999/acknowledge", {"version": 1}, status=404)


@pytest.mark.parametrize(
    ("verb", "body", "status", "words"),
    [
        ("status", {"text": "over"}, 422, "a status is one of"),
        ("comment", {"text": " "}, 422, "comment is empty"),
        ("check", {"number": 9}, 422, "no step 9"),
        ("attach", {"url": "javascript:alert(1)"}, 422, "http or https"),
        ("promise", {"text": "soon", "due_at": "2020-01-01T00:00:00Z"}, 422, "a time in the future"),
        ("promise", {"text": "soon", "due_at": "2099-01-01T00:00:00"}, 422, "due_at"),
        ("promise", {"text": "late", "due_at": "2099-01-01T00:00:00Z"}, 422, "within a year"),
        ("promise", {"text": "late", "due_at": "9999-12-31T23:59:59-12:00"}, 422, "within a year"),
        ("promise", {"text": "late", "due_at": "0001-01-01T00:00:00+14:00"}, 422, "a time in the future"),
        ("title", {"text": "x" * 201}, 422, "200 letters"),
        ("split", {"alarms": []}, 422, "alarms or a title"),
        ("split", {"alarms": ["overload:nobody"]}, 422, "not known"),
        ("comment", {"text": "x", "by": "  "}, 422, "by"),
        ("comment", {"text": "x", "by": "\x1f"}, 422, "by"),
        ("comment", {"text": "x", "verbose": True}, 422, "verbose"),
        ("explode", {}, 422, "verb"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    desk: Desk, verb: str, body: dict[str, Any], status: int, words: str
) -> None:
    one = desk.incident()
    refused = desk.post(f"/{one.id}/{verb}", {"version": 1, **body}, status=status)
    assert words in json.dumps(refused)
    assert desk.get(f"/{one.id}")["version"] == 1


def test_a_time_that_is_stored_beyond_all_years_is_told_and_takes_no_list_away(desk: Desk) -> None:
    one = desk.incident(promises=(Promise(text="some day", by="olim", due_ms=1 << 60),))
    assert desk.get(f"/{one.id}")["promises"][0]["due_at"] == "9999-12-31T23:59:59.999Z"
    assert [told["id"] for told in desk.get("")["incidents"]] == [one.id]


def test_an_alarm_with_a_long_name_joins(desk: Desk) -> None:
    one = desk.incident()
    (alarm,) = desk.alarms(["x" * 390])
    wait_until(lambda: desk.client.get(f"/api/v1/alarms/{alarm.id}").status_code == 200, what="the alarm")
    assert desk.post(f"/{one.id}/join", {"version": 1, "alarms": [alarm.id]})["joined"] == 4
    assert desk.client.get(f"/api/v1/alarms/{'x' * 401}").status_code == 422


@pytest.mark.parametrize("by", ["", "  ", "\x1f"])
def test_nothing_is_done_to_an_alarm_without_a_name(desk: Desk, by: str) -> None:
    (alarm,) = desk.alarms(["a"])
    body = {"version": alarm.version, "by": by}
    assert desk.client.post(f"/api/v1/alarms/{alarm.id}/acknowledge", json=body).status_code == 422
    assert desk.store.alarm(alarm.id) == alarm


def test_a_form_of_another_site_is_refused(desk: Desk) -> None:
    one = desk.incident()
    body = json.dumps({"version": 1, "by": "a", "text": "x"})
    answer = desk.client.post(f"{PATH}/{one.id}/comment", content=body, headers={"content-type": "text/plain"})
    assert answer.status_code in {415, 422}
    assert desk.get(f"/{one.id}")["comments"] == 0


def test_without_the_store_nothing_is_done_and_the_caller_is_told(desk: Desk, valkey: Valkey) -> None:
    one = desk.incident()
    valkey.kill()
    desk.post(f"/{one.id}/comment", {"version": 1, "text": "x"}, status=503)
    desk.get(f"/{one.id}", status=503)
    assert desk.get(f"/{one.id}?timeline=0")["id"] == one.id  # what was known is still told
