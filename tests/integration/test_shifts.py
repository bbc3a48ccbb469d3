"""Shift log, hand-over and alarm load by the HTTP API on a real store: two people sign, and nobody over another."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from servers import Valkey, wait_until

from analysis.alarm_states import apply, transition_of
from city.alarm_store import AlarmCommit, Changed, ChangedIncident
from city.alarms import Act, Action, Alarm, AlarmPriority
from city.config import load_config
from city.incidents import Incident, Promise
from city.store import Store
from dashboard.app import build

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]


class Desk:
    """The application and the store behind it."""

    def __init__(self, client: TestClient, store: Store) -> None:
        self.client = client
        self.store = store

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def rise(self, rule: str, source: str, *acts: Act) -> None:
        """An alarm that has just risen, and what was done to it."""
        now = time.time_ns() // 1_000_000
        before = after = Alarm(
            id=f"{rule}:{source}", rule=rule, priority=AlarmPriority.LOW, source_kind="vehicle", source_id=source
        )
        told = []
        for act in (Act(action=Action.RISE, at_ms=now), *acts):
            before, after = after, apply(after, act)
            told.append(transition_of(before, after, act))
        commit = AlarmCommit(alarms=[Changed(None, after)], transitions=told)
        assert not self.store.commit_alarms(commit, keep_s=60)


@pytest.fixture
def desk(valkey: Valkey) -> Iterator[Desk]:
    config = load_config(
        ROOT / "config.yaml", {"MARKAZ_REDIS__URL": valkey.url, "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"}
    )
    with TestClient(build(config)) as client:
        wait_until(lambda: "markaz_store_up 1.0" in client.get("/metrics").text, what="the store")
        started = Desk(client, Store.of(config))
        yield started
        started.store.close()


def test_a_shift_is_handed_over_by_two_and_kept_as_it_was(desk: Desk) -> None:
    now = time.time_ns() // 1_000_000
    held = Act(action=Action.SHELVE, at_ms=now, by="anvar", reason="road works", until_ms=now + 3_600_000)
    desk.rise("overspeed", "bus-1")
    desk.rise("overspeed", "bus-2", held)
    promise = Promise(text="crew there", by="power", due_ms=now + 60_000)
    incident = Incident(id="20261122-001", opened_ms=now, updated_ms=now, last_ms=now, promises=(promise,))
    assert not desk.store.commit_alarms(AlarmCommit(incidents=[ChangedIncident(None, incident)]), keep_s=60)
    wait_until(lambda: desk.get("/api/v1/shift")["summary"]["totals"]["held"], what="the alarms")
    wait_until(lambda: desk.get("/api/v1/shift")["summary"]["totals"]["promises"], what="the incident")
    desk.post("/api/v1/shift/log", {"by": "anvar", "text": "called the depot"})
    present = desk.get("/api/v1/shift")
    assert (present["version"], present["number"], present["pending"]) == (0, 1, None)
    assert [line["text"] for line in present["lines"]] == ["called the depot"]

    signed = desk.post("/api/v1/shift/handover", {"version": 0, "by": " anvar ", "note": "watch the depot"})
    assert (signed["leaving"], signed["note"], signed["version"]) == ("anvar", "watch the depot", 1)
    desk.rise("overspeed", "bus-3")
    desk.post("/api/v1/shift/log", {"by": "olim", "text": "coffee machine works again"})
    closed = desk.post("/api/v1/shift/handover/accept", {"version": 1, "by": "Olim"})
    assert (closed["number"], closed["leaving"], closed["arriving"]) == (1, "anvar", "Olim")

    kept = desk.get("/api/v1/shifts/1")
    assert {name: kept[name] for name in closed} == closed
    assert [one["open"] for one in kept["summary"]["open"]] == [0, 0, 0, 1], "as it was when it was signed"
    (shelved,) = kept["summary"]["held"]
    assert (shelved["how"], shelved["by"], shelved["reason"]) == ("shelved", "anvar", "road works")
    assert [one["text"] for one in kept["summary"]["promises"]] == ["crew there"]
    assert [line["text"] for line in kept["lines"]] == ["called the depot"]
    following = desk.get("/api/v1/shift")
    assert (following["version"], following["number"], following["on_duty"]) == (2, 2, "Olim")
    assert following["summary"]["since_at"] == kept["signed_at"]
    assert [line["text"] for line in following["lines"]] == ["coffee machine works again"]


def test_no_look_and_no_signature_reads_every_incident_that_ever_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time_ns() // 1_000_000
    incident = Incident(id="20261122-001", opened_ms=now, updated_ms=now, last_ms=now)
    assert not desk.store.commit_alarms(AlarmCommit(incidents=[ChangedIncident(None, incident)]), keep_s=60)
    wait_until(lambda: desk.get("/api/v1/shift")["summary"]["totals"]["incidents"], what="the incident")
    reads: list[Store] = []

    def read_all(store: Store) -> list[Incident]:
        reads.append(store)
        return []

    monkeypatch.setattr(Store, "incidents", read_all)
    assert desk.get("/api/v1/shift")["summary"]["totals"]["incidents"] == 1
    signed = desk.post("/api/v1/shift/handover", {"version": 0, "by": "anvar"})
    assert signed["summary"]["totals"]["incidents"] == 1
    assert reads == []


@pytest.mark.parametrize("by", ["", "  ", "\x1f"])
@pytest.mark.parametrize(
    ("path", "body"),
    [("/log", {"text": "x"}), ("/handover", {"version": 0}), ("/handover/accept", {"version": 0})],
)
def test_nobody_signs_or_writes_without_a_name(desk: Desk, path: str, body: dict[str, Any], by: str) -> None:
    assert "by" in desk.post(f"/api/v1/shift{path}", {**body, "by": by}, status=422)["detail"]


def test_a_cursor_that_no_number_can_be_is_refused(desk: Desk) -> None:
    assert "cursor" in desk.get(f"/api/v1/shifts?cursor={10**30}", status=422)["detail"]


def test_one_person_cannot_sign_for_both(desk: Desk) -> None:
    desk.post("/api/v1/shift/handover", {"version": 0, "by": "Anvar  Karimov"})
    refused = desk.post("/api/v1/shift/handover/accept", {"version": 1, "by": " anvar karimov "}, status=422)
    assert "somebody else" in refused["detail"]
    assert desk.get("/api/v1/shifts")["shifts"] == []
    assert desk.get("/api/v1/shift")["pending"]["leaving"] == "Anvar  Karimov"


def test_nothing_can_be_taken_over_that_nobody_has_signed(desk: Desk) -> None:
    desk.post("/api/v1/shift/handover/accept", {"version": 0, "by": "olim"}, status=422)
    desk.get("/api/v1/shifts/1", status=404)


def test_the_first_signature_may_be_given_anew_until_it_is_taken(desk: Desk) -> None:
    desk.post("/api/v1/shift/handover", {"version": 0, "by": "anvar", "note": "first"})
    desk.post("/api/v1/shift/handover", {"version": 1, "by": "anvar", "note": "second"})
    refused = desk.post("/api/v1/shift/handover/accept", {"version": 1, "by": "olim"}, status=409)
    assert "anvar signed" in refused["detail"]
    assert desk.post("/api/v1/shift/handover/accept", {"version": 2, "by": "olim"})["note"] == "second"


def test_of_many_who_take_over_at_once_one_does(desk: Desk) -> None:
    desk.post("/api/v1/shift/handover", {"version": 0, "by": "anvar"})

    def take(name: str) -> int:
        body = {"version": 1, "by": name}
        return int(desk.client.post("/api/v1/shift/handover/accept", json=body).status_code)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(take, [f"operator {number}" for number in range(8)]))
    assert sorted(answers) == [200] + [409] * 7
    assert len(desk.get("/api/v1/shifts")["shifts"]) == 1


def test_hand_overs_are_listed_newest_first_page_by_page(desk: Desk) -> None:
    for number in range(5):
        desk.post("/api/v1/shift/handover", {"version": 2 * number, "by": f"a{number}"})
        desk.post("/api/v1/shift/handover/accept", {"version": 2 * number + 1, "by": f"b{number}"})
    first = desk.get("/api/v1/shifts?limit=2")
    assert ([one["number"] for one in first["shifts"]], first["next"]) == ([5, 4], 4)
    last = desk.get("/api/v1/shifts?limit=9&cursor=4")
    assert ([one["number"] for one in last["shifts"]], last["next"]) == ([3, 2, 1], None)
    assert (last["shifts"][0]["leaving"], last["shifts"][0]["arriving"]) == ("a2", "b2")


def test_what_says_too_little_or_too_much_is_refused(desk: Desk) -> None:
    refused: list[tuple[str, dict[str, Any]]] = [
        ("log", {"by": " ", "text": "x"}),
        ("log", {"by": "anvar", "text": " "}),
        ("log", {"by": "anvar", "text": "x" * 2001}),
        ("handover", {"version": 0}),
        ("handover", {"version": -1, "by": "anvar"}),
        ("handover", {"version": 0, "by": "anvar", "summary": {}}),
        ("handover/accept", {"by": "olim"}),
    ]
    for path, body in refused:
        desk.post(f"/api/v1/shift/{path}", body, status=422)
    assert desk.get("/api/v1/shift")["version"] == 0


def test_a_form_of_another_site_is_refused(desk: Desk) -> None:
    for path in ("log", "handover", "handover/accept"):
        answer = desk.client.post(
            f"/api/v1/shift/{path}",
            content='{"version": 0, "by": "a", "text": "b"}',
            headers={"content-type": "text/plain"},
        )
        assert answer.status_code in {415, 422}
    assert desk.get("/api/v1/shift")["version"] == 0


def test_without_the_store_it_says_so(desk: Desk, valkey: Valkey) -> None:
    valkey.kill()
    desk.get("/api/v1/shift", status=503)
    desk.post("/api/v1/shift/log", {"by": "anvar", "text": "x"}, status=503)
    desk.post("/api/v1/shift/handover", {"version": 0, "by": "anvar"}, status=503)


# --- alarm load -------------------------------------------------------------------------------------


def test_the_alarm_load_is_told_and_follows(desk: Desk) -> None:
    for number in range(12):
        desk.rise("overspeed", f"bus-{number}")
    wait_until(lambda: desk.get("/api/v1/alarm-load?span=hour")["announced"] == 12, what="the alarms")
    load = desk.get("/api/v1/alarm-load?span=shift&lang=ru")
    assert (load["span"], load["last_10min"], load["last_hour"]) == ("shift", 12, 12)
    states = {one["name"]: one["state"] for one in load["measures"]}
    assert (states["peak_10min"], states["chattering"], states["top_share"]) == ("not_met", "met", "too_few")
    assert len(load["top"]) == 10
    assert load["top"][0]["source"]["kind"] == "vehicle"
    assert load["top"][0]["up_to_share"] == pytest.approx(1 / 12)
    assert sum(load["windows"]["announced"]) == 12
    told = desk.client.get("/metrics").text
    assert "markaz_alarms_announced_10min 12.0" in told
    assert "markaz_alarms_in_flood 1.0" in told


def test_a_quiet_city_meets_every_recommendation(desk: Desk) -> None:
    wait_until(lambda: desk.client.get("/api/v1/alarm-load").status_code == 200, what="the log")
    for span in ("hour", "shift", "day", "week", "month"):
        load = desk.get(f"/api/v1/alarm-load?span={span}")
        assert {one["state"] for one in load["measures"]} == {"met", "too_few"}
        assert load["top"] == []


def test_a_span_that_is_none_is_refused(desk: Desk) -> None:
    desk.get("/api/v1/alarm-load?span=year", status=422)
