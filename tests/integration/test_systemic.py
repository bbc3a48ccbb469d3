"""Systemic problems by the HTTP API on a real store: searched in a process of its own, followed by people."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from msgspec import json as msgspec_json
from msgspec.structs import replace
from servers import Valkey, wait_until

from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.archive.archive import Archive
from city.archive.columns import batch_of
from city.areas import load_areas
from city.config import Config, load_config
from city.events import Case
from city.rfc3339 import rfc3339
from city.store import Store
from dashboard.app import build

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
DAY_MS = 86_400_000
CAMERA = "repeat.camera_offline:cam-1"


def planted(now_ms: int) -> list[Transition]:
    """Thirty days: a camera of Tashkent that goes offline daily, among forty that seldom do."""
    areas = load_areas(ROOT / "data" / "tashkent")
    rng = np.random.default_rng(1)
    told = []
    for day in range(30):
        times = [("cam-1", 10), ("cam-1", 20), *((f"cam-{2 + int(rng.integers(40))}", 5 + n) for n in range(3))]
        for camera, hour in times:
            home = areas.mahallas[int(camera[4:])]
            at_ms = now_ms - (30 - day) * DAY_MS + hour * 3_600_000
            for action, state, at in (
                (Action.RISE, AlarmState.UNACKNOWLEDGED, at_ms),
                (Action.CLEAR, AlarmState.NORMAL, at_ms + 1_800_000),
            ):
                told.append(
                    Transition(
                        alarm=f"camera_offline:{camera}",
                        version=1,
                        action=action,
                        before=AlarmState.NORMAL,
                        after=state,
                        at_ms=at,
                        rule="camera_offline",
                        priority=AlarmPriority.MEDIUM,
                        source_kind="camera",
                        source_id=camera,
                        district=home.district_code,
                        mahalla=home.code,
                    )
                )
    return sorted((one for one in told if one.at_ms < now_ms), key=lambda one: one.at_ms)


def write(store: Store, told: list[Transition]) -> None:
    """The alarm log as it would have been written then."""

    def fill(pipe: Any) -> None:
        for number, one in enumerate(told):
            entry = {"transition": msgspec_json.encode(one)}
            pipe.xadd(store.keys.alarm_log(), entry, id=f"{one.at_ms}-{number}")

    store.link.together(fill)


class Desk:
    def __init__(self, client: TestClient, store: Store) -> None:
        self.client = client
        self.store = store

    def get(self, path: str = "", status: int = 200) -> Any:
        answer = self.client.get(f"/api/v1/systemic{path}")
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        answer = self.client.post(f"/api/v1/systemic{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def search(self) -> Any:
        before = self.get()["searched_at"]
        self.post("", {})
        wait_until(lambda: self.get()["searched_at"] not in (None, before), timeout_s=60, what="the search")
        return self.get()


@pytest.fixture
def config(valkey: Valkey, tmp_path: Path) -> Config:
    return load_config(
        ROOT / "config.yaml",
        {
            "MARKAZ_REDIS__URL": valkey.url,
            "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1",
            "MARKAZ_HISTORY__URL": str(tmp_path / "history"),
        },
    )


@pytest.fixture
def desk(config: Config) -> Iterator[Desk]:
    store = Store.of(config)
    write(store, planted(time.time_ns() // 1_000_000))
    with TestClient(build(config)) as client:
        yield Desk(client, store)
    store.close()


def burst(now_ms: int, config: Config) -> list[Case]:
    """Thirty days of cases all over the city, and many of one category in one mahalla every evening."""
    homes = load_areas(config.city_dir).mahallas
    rng = np.random.default_rng(2)
    told = []
    for day in range(30):
        begin_ms = now_ms - (30 - day) * DAY_MS
        spots = [(int(rng.integers(len(homes))), int(rng.integers(24))) for _ in range(40)] + [(7, 18)] * 5
        for number, (home, hour) in enumerate(spots):
            at_ms = begin_ms + hour * 3_600_000 + int(rng.integers(3_600_000))
            area = homes[home]
            case = Case(
                measured_ms=at_ms, received_ms=at_ms, source="1055", case_id=f"{day}-{number}", category="water",
                status="open", district=area.district_code, mahalla=area.code,
            )  # fmt: skip
            told += [case, replace(case, measured_ms=at_ms + 3_600_000, status="closed")]
    return [one for one in told if one.measured_ms < now_ms]


def test_cases_that_keep_coming_back_are_found_and_named_as_cases(desk: Desk, config: Config) -> None:
    now_ms = time.time_ns() // 1_000_000
    told = burst(now_ms, config)
    Archive.open(config.history.url, config.city).append({"case": [batch_of("case", told, False)]}, {})
    found = desk.search()
    assert found["failed"] is None
    home = load_areas(config.city_dir).mahallas[7]
    listed = desk.get("?lang=en")["problems"]
    spots = [one for one in listed if one["rule"] == "case:water" and home.code in one["areas"]]
    assert spots, "the evenings of one mahalla"
    assert spots[0]["kind"] == "hot_spot"
    assert spots[0]["title"].startswith("New cases: water"), "they are no alarms"
    assert any("new cases" in line for line in spots[0]["why"])
    since_ms = int(datetime.fromisoformat(found["since_at"]).timestamp() * 1000)
    # Each once, whatever became of it, and only of whole weeks.
    assert 0 < found["cases"] <= len({one.case_id for one in told if one.measured_ms >= since_ms})
    after = desk.post(
        f"/{spots[0]['id']}/accept", {"version": 0, "by": "Olim", "owner": "Suvsoz", "due_at": in_days(7)}
    )
    assert after["state"] == "accepted"


def test_alarms_of_before_the_store_was_begun_anew_count_too(desk: Desk, config: Config) -> None:
    now_ms = time.time_ns() // 1_000_000
    told = planted(now_ms)
    # The archive has everything, the log only what came after: each counts once.
    Archive.open(config.history.url, config.city).append({"transition": [batch_of("transition", told, False)]}, {})
    younger = [one for one in told if one.at_ms > now_ms - 12 * DAY_MS]
    desk.store.link.run(lambda client: client.delete(desk.store.keys.alarm_log()))
    write(desk.store, younger)
    (one,) = [p for p in desk.search()["problems"] if p["id"] == CAMERA]
    assert one["evidence"]["count"] == 56


def in_days(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def test_a_problem_is_found_followed_to_its_end_and_opened_again_when_it_returns(desk: Desk) -> None:
    assert desk.get()["problems"] == []
    found = desk.search()
    assert (found["weeks"], found["failed"]) == (4, None)
    (one,) = [p for p in found["problems"] if p["id"] == CAMERA]
    assert (one["state"], one["version"], one["kind"], one["can"]) == (
        "new",
        0,
        "repeat",
        ["accept", "reject", "comment"],
    )
    assert one["evidence"]["count"] == 56
    assert any("56" in line for line in one["why"])
    assert one["title"] != one["id"]

    path = f"/{CAMERA}"
    accept = {"version": 0, "by": "Olim", "owner": "Depot", "due_at": in_days(7)}
    after = desk.post(f"{path}/accept", accept)
    assert (after["state"], after["version"], after["owner"]) == ("accepted", 1, "Depot")
    late = desk.post(f"{path}/accept", accept, status=409)
    assert "it is accepted now, version 1" in late["detail"]
    assert desk.post(f"{path}/comment", {"version": 0, "by": "Anvar", "text": "called"})["version"] == 2
    assert "start" in desk.post(f"{path}/close", {"version": 2, "by": "Olim"}, status=422)["detail"]
    assert desk.post(f"{path}/start", {"version": 2, "by": "Olim"})["state"] == "in_work"
    done = desk.post(f"{path}/done", {"version": 3, "by": "Olim", "text": "new cable"})
    assert (done["state"], done["done_at"] is None) == ("done", False)
    assert "dropped" in desk.post(f"{path}/close", {"version": 4, "by": "Olim"}, status=422)["detail"]

    whole = desk.get(path)
    assert whole["geometry"]["type"] == "MultiPolygon"
    assert [line["deed"] for line in whole["history"]] == ["done", "start", "comment", "accept"]
    assert whole["history"][2]["by"] == "Anvar"

    # Ten days later it is as it was.
    stored = desk.store.followed_one(CAMERA)
    assert stored is not None
    long_ago = msgspec_json.decode(stored.raw)
    now_ms = time.time_ns() // 1_000_000
    long_ago |= {"accepted_ms": now_ms - 12 * DAY_MS, "done_ms": now_ms - 10 * DAY_MS}
    desk.store.link.run(lambda client: client.hset(desk.store.keys.systemic(), CAMERA, msgspec_json.encode(long_ago)))
    desk.search()
    wait_until(lambda: desk.get(path)["state"] == "accepted", what="the return")
    again = desk.get(path)
    assert (again["reopened"], again["history"][0]["by"], again["history"][0]["deed"]) == (1, "", "reopen")


def test_the_history_of_a_problem_goes_back_to_its_first_line(desk: Desk) -> None:
    desk.search()
    path = f"/{CAMERA}"
    desk.post(f"{path}/accept", {"version": 0, "by": "Olim", "owner": "Depot", "due_at": in_days(7)})

    def others(pipe: Any) -> None:
        for number in range(2500):
            pipe.xadd(desk.store.keys.systemic_log(), {"problem": f"other.{number}", "entry": b"{}"})

    desk.store.link.together(others)
    desk.post(f"{path}/comment", {"version": 1, "by": "Anvar", "text": "called"})
    assert [line["deed"] for line in desk.get(path)["history"]] == ["comment", "accept"]


def test_a_quiet_week_at_the_begin_is_known_to_be_quiet(desk: Desk) -> None:
    first_ms = time.time_ns() // 1_000_000 - 100 * DAY_MS
    one = replace(planted(time.time_ns() // 1_000_000)[0], at_ms=first_ms)
    entry = {"transition": msgspec_json.encode(one)}
    desk.store.link.run(lambda client: client.delete(desk.store.keys.alarm_log()))
    desk.store.link.run(lambda client: client.xadd(desk.store.keys.alarm_log(), entry, id=f"{first_ms}-0"))
    write(desk.store, planted(time.time_ns() // 1_000_000))
    found = desk.search()
    assert found["weeks"] == 8
    assert datetime.fromisoformat(found["known_since_at"]).timestamp() * 1000 == pytest.approx(first_ms, abs=1)


def test_the_list_is_paged_filtered_and_in_the_asked_language(desk: Desk) -> None:
    desk.search()
    assert desk.get("?kind=trend")["problems"] == []
    assert desk.get("?state=closed")["problems"] == []
    first = desk.get("?limit=1&lang=ru")
    assert len(first["problems"]) == 1
    assert desk.get("?limit=1&lang=uz")["problems"][0]["title"] != first["problems"][0]["title"]
    if first["next"]:
        assert desk.get(f"?cursor={first['next']}")["problems"][0]["id"] != first["problems"][0]["id"]
    assert "cursor" in desk.get("?cursor=nothing", status=422)["detail"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (f"/{CAMERA}/accept", {"version": 0, "by": " "}, 422),
        (f"/{CAMERA}/dance", {"version": 0, "by": "Olim"}, 422),
        (
            "/repeat.nobody/accept",
            {"version": 0, "by": "Olim", "owner": "D", "due_at": rfc3339(4_102_444_800_000)},
            404,
        ),
    ],
)
def test_what_cannot_be_is_refused(desk: Desk, path: str, body: dict[str, Any], status: int) -> None:
    desk.post(path, body, status)


def test_a_problem_that_is_not_known_is_said_to_be_so(desk: Desk) -> None:
    assert "nothing" in desk.get("/nothing", status=404)["detail"]


def test_a_form_of_another_site_is_not_taken(desk: Desk) -> None:
    answer = desk.client.post(f"/api/v1/systemic/{CAMERA}/start", content=b"{}", headers={"content-type": "text/plain"})
    assert answer.status_code in (415, 422)
