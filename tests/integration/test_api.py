"""The HTTP API on a real store: what is written there is told, in the documented shapes."""

from __future__ import annotations

import json
import time
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from fastapi.testclient import TestClient
from servers import Valkey, wait_until

from analysis.alarm_states import apply, transition_of
from city.alarm_store import AlarmCommit, Changed
from city.alarms import Act, Action, Alarm, AlarmPriority, AlarmState
from city.config import Config, load_config
from city.events import CameraStatus, Event, Facet, PassengerCount, VehiclePosition
from city.messages import Arrival, Histogram, Reading, Received, Reject, RejectReason, WorkerFigures
from city.store import Store
from dashboard.app import build

ROOT = Path(__file__).resolve().parents[2]


class Api:
    """The application and the store behind it."""

    def __init__(self, config: Config, client: TestClient) -> None:
        self.client = client
        self.store = Store.of(config)
        self._batch = 0

    def write(self, *events: Event, rejects: tuple[Reject, ...] = ()) -> None:
        self._batch += 1
        message = Received("topic", b"{}", events[0].received_ms if events else 0)
        readings = [Reading("vehicle/position", event, message) for event in events]
        self.store.commit("test", self._batch, readings, rejects, now_ms=time.time_ns() // 1_000_000)

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        answer = self.client.post(path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def wait_for(self, path: str, true: Any) -> Any:
        wait_until(lambda: true(self.get(path)), what=path)
        return self.get(path)


@pytest.fixture
def api(valkey: Valkey) -> Iterator[Api]:
    config = load_config(
        ROOT / "config.yaml", {"MARKAZ_REDIS__URL": valkey.url, "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"}
    )
    with TestClient(build(config)) as client:
        started = Api(config, client)
        wait_until(lambda: "markaz_store_up 1.0" in client.get("/metrics").text, what="the store")
        yield started
        started.store.close()


def position(vehicle_id: str, **more: Any) -> VehiclePosition:
    now = time.time_ns() // 1_000_000
    fields: dict[str, Any] = {"lat": 41.3, "lon": 69.25, "measured_ms": now, "received_ms": now, **more}
    return VehiclePosition(vehicle_id=vehicle_id, **fields)


def test_a_stored_position_is_told_with_its_age_and_place(api: Api) -> None:
    api.write(position("bus-1", route="8", speed_mps=9.5, district="1726294"))
    body = api.wait_for("/api/v1/vehicles", lambda b: b["vehicles"])
    (vehicle,) = body["vehicles"]
    assert (vehicle["id"], vehicle["route"], vehicle["speed_mps"]) == ("bus-1", "8", 9.5)
    assert (vehicle["district"], vehicle["mahalla"]) == ("1726294", None)
    assert vehicle["measured_at"].endswith("Z")
    assert 0 <= vehicle["age_s"] < 20
    assert vehicle["stale"] is False
    assert body["as_of"].endswith("Z")
    one = api.get("/api/v1/vehicles/bus-1")
    assert one["lat"] == 41.3


def test_lists_are_paged_without_missing_or_repeating_anyone(api: Api) -> None:
    api.write(*(position(f"v{number:02}") for number in range(25)))
    api.wait_for("/api/v1/vehicles", lambda b: len(b["vehicles"]) == 25)
    seen: list[str] = []
    cursor = ""
    for _ in range(10):
        body = api.get(f"/api/v1/vehicles?limit=10{cursor}")
        seen += [vehicle["id"] for vehicle in body["vehicles"]]
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert seen == [f"v{number:02}" for number in range(25)]


def test_vehicles_can_be_asked_for_by_route_and_area(api: Api) -> None:
    api.write(position("a", route="8", district="1"), position("b", route="9", district="1"))
    api.wait_for("/api/v1/vehicles", lambda b: len(b["vehicles"]) == 2)
    assert [v["id"] for v in api.get("/api/v1/vehicles?route=9&district=1")["vehicles"]] == ["b"]
    assert api.get("/api/v1/vehicles?mahalla=1")["vehicles"] == []


def test_feeds_balance_and_rejects_keep_the_bytes(api: Api) -> None:
    now = time.time_ns() // 1_000_000
    message = Received("markaz/v1/tashkent/vehicle/x/position", b"\xff\x00", now)
    reject = Reject(feed="vehicle/position", reason=RejectReason.NOT_UTF8, detail="byte 0xff", message=message)
    api.write(position("a"), position("b"), rejects=(reject,))
    body = api.wait_for("/api/v1/feeds", lambda b: b["feeds"])
    (feed,) = body["feeds"]
    assert feed["received"] == feed["stored"] + feed["late"] + sum(feed["rejected"].values()) == 3
    assert feed["rejected"] == {"not_utf8": 1}
    (kept,) = api.get("/api/v1/rejects")["rejects"]
    assert (kept["reason"], kept["topic"], kept["payload"]) == ("not_utf8", message.topic, "\\xff\x00")


def rejected(n: int, feed: str = "vehicle/fuel", reason: RejectReason = RejectReason.NOT_JSON) -> Reject:
    message = Received(
        f"markaz/v1/tashkent/vehicle/{n}/fuel", b"\xff\x00" if n % 2 else b'{"ts":1}', 1_700_000_000_000 + n
    )
    return Reject(feed=feed, reason=reason, detail=f"number {n}", message=message)


def test_rejects_are_found_by_feed_and_reason_page_by_page(api: Api) -> None:
    others = [rejected(n, "case", RejectReason.STALE) for n in range(450)]
    api.write(rejects=(rejected(1), rejected(2), *others, rejected(3), rejected(4, reason=RejectReason.STALE)))
    seen: list[str] = []
    cursor = ""
    for _ in range(10):
        body = api.get(f"/api/v1/rejects?feed=vehicle/fuel&reason=not_json&limit=2&payloads=false{cursor}")
        seen += [reject["detail"] for reject in body["rejects"]]
        assert all("payload" not in reject and reject["payload_bytes"] in (2, 8) for reject in body["rejects"])
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert seen == ["number 3", "number 2", "number 1"]
    assert api.get("/api/v1/rejects?feed=nobody")["rejects"] == []


def test_one_reject_is_told_with_its_exact_bytes_and_readable(api: Api) -> None:
    api.write(rejects=(rejected(1), rejected(2)))
    second, first = (reject["id"] for reject in api.get("/api/v1/rejects")["rejects"])
    binary, text = api.get(f"/api/v1/rejects/{first}"), api.get(f"/api/v1/rejects/{second}")
    assert b64decode(binary["payload_base64"]) == b"\xff\x00"
    assert binary["readable"]["kind"] == "binary"
    assert text["readable"] == {"kind": "json", "text": '{\n  "ts": 1\n}', "cut": False}


def test_workers_tell_their_figures_and_the_feeds_clocks(api: Api) -> None:
    now = time.time_ns() // 1_000_000
    batches = Histogram(bounds=(10.0, 100.0), counts=(2, 0, 0), total=12.0)
    times = Histogram(bounds=(0.01, 0.1), counts=(1, 1, 0), total=0.06)
    api.write(position("a"))
    api.store.save_worker(
        WorkerFigures(
            worker="markaz-tashkent", started_ms=now - 60_000, at_ms=now, connected=True, received=12, redelivered=1,
            batches=2, queued=3, in_flight=4, batch_messages=batches, store_s=times, lag_s=times,
            arrivals={"vehicle/position": Arrival(least_s=-0.5, median_s=0.25, most_s=2.0)},
        )
    )  # fmt: skip
    (worker,) = api.wait_for("/api/v1/workers", lambda b: b["workers"])["workers"]
    assert (worker["worker"], worker["state"], worker["connected"]) == ("markaz-tashkent", "connected", True)
    assert (worker["received"], worker["redelivered"], worker["queued"], worker["in_flight"]) == (12, 1, 3, 4)
    assert (worker["batch_messages"], worker["lag_p50_s"], worker["store_p99_s"]) == (6.0, 0.01, 0.0982)
    (feed,) = api.wait_for("/api/v1/feeds", lambda b: b["feeds"])["feeds"]
    assert feed["clock"] == {"least_s": -0.5, "median_s": 0.25, "most_s": 2.0}
    assert (feed["expected_rate_per_s"], feed["completeness"]) == (None, None)
    told = api.client.get("/metrics").text
    for line in (
        'markaz_worker_messages_received_total{worker="markaz-tashkent"} 12.0',
        'markaz_worker_store_seconds_bucket{le="0.01",worker="markaz-tashkent"} 1.0',
        'markaz_worker_store_seconds_bucket{le="+Inf",worker="markaz-tashkent"} 2.0',
        'markaz_worker_store_seconds_count{worker="markaz-tashkent"} 2.0',
        'markaz_worker_store_seconds_sum{worker="markaz-tashkent"} 0.06',
        'markaz_worker_arrival_least_seconds{feed="vehicle/position",worker="markaz-tashkent"} -0.5',
        'markaz_worker_connected{worker="markaz-tashkent"} 1.0',
    ):
        assert line in told


def test_a_feed_that_is_expected_and_was_never_heard_is_told_too(valkey: Valkey) -> None:
    settings = {"MARKAZ_REDIS__URL": valkey.url, "MARKAZ_FEEDS__EXPECTED_RATE_PER_S": "{hfp: 100}"}
    with TestClient(build(load_config(ROOT / "config.yaml", settings))) as client:
        wait_until(lambda: client.get("/api/v1/feeds").json()["feeds"], what="the feed")
        (feed,) = client.get("/api/v1/feeds").json()["feeds"]
    assert (feed["feed"], feed["received"], feed["expected_rate_per_s"], feed["age_s"]) == ("hfp", 0, 100, None)


def test_kpis_are_told_in_the_tiles_order_and_unknown_is_null(api: Api) -> None:
    now = time.time_ns() // 1_000_000
    count = PassengerCount(vehicle_id="a", measured_ms=now, received_ms=now, onboard=30, capacity=60)
    api.write(position("a", speed_mps=10.0), count)
    body = api.wait_for("/api/v1/kpis", lambda b: b["kpis"][1]["value"] == 30)
    values = {kpi["name"]: kpi["value"] for kpi in body["kpis"]}
    assert list(values)[:2] == ["vehicles_in_service", "passengers_on_board"]
    assert values["mean_load"] == 0.5
    assert values["mean_speed_kmh"] == 36
    assert values["cameras_online"] is None


def test_areas_are_geojson_with_live_indicators(api: Api) -> None:
    api.write(position("a", district="1726294"))
    api.wait_for("/api/v1/areas/1726294", lambda b: b["properties"]["indicators"]["vehicles"] == 1)
    collection = api.get("/api/v1/areas?kind=mahalla")
    assert collection["type"] == "FeatureCollection"
    assert len(collection["features"]) == 402
    west, south = collection["features"][0]["geometry"]["coordinates"][0][0]
    assert 69 < west < 70
    assert 41 < south < 42


def test_alarms_and_cameras_are_told(api: Api) -> None:
    now = time.time_ns() // 1_000_000
    api.write(CameraStatus(camera_id="k", measured_ms=now, received_ms=now, online=False, name="Chorsu"))
    alarm = Alarm(
        id="camera_offline:k", rule="camera_offline", priority=AlarmPriority.LOW, source_kind="camera",
        source_id="k", raised_ms=now, updated_ms=now, version=1,
        state=AlarmState.UNACKNOWLEDGED, condition=AlarmState.UNACKNOWLEDGED, active=True,
    )  # fmt: skip
    assert not api.store.commit_alarms(AlarmCommit(alarms=[Changed(None, alarm)]), keep_s=60)
    (told,) = api.wait_for("/api/v1/alarms", lambda b: b["alarms"])["alarms"]
    assert (told["state"], told["source"]) == ("unacknowledged", {"kind": "camera", "id": "k"})
    assert api.get("/api/v1/cameras/k")["online"] is False
    assert api.get("/api/v1/alarms?state=normal")["alarms"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/vehicles/nobody", 404),
        ("/api/v1/cameras/nobody", 404),
        ("/api/v1/areas/0", 404),
        ("/api/v1/areas?kind=planet", 422),
        ("/api/v1/vehicles?limit=0", 422),
        ("/api/v1/alarms?cursor=nonsense", 422),
        ("/api/v1/rejects?cursor=nonsense", 422),
        ("/api/v1/rejects?reason=nonsense", 422),
        ("/api/v1/rejects/1-1", 404),
        ("/api/v1/rejects/nonsense", 404),
        ("/api/v1/nothing", 404),
    ],
)
def test_errors_are_problem_documents_that_say_what_is_wrong(api: Api, path: str, status: int) -> None:
    answer = api.client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["detail"]
    assert body["instance"] == path.partition("?")[0]


def test_readyz_names_the_dependency_that_does_not_answer(api: Api) -> None:
    answer = api.client.get("/readyz")
    assert answer.status_code == 503
    lines = [line for line in answer.text.splitlines() if '"ok":false' in line]
    assert len(lines) == 1
    assert '"part":"broker"' in lines[0]
    assert api.client.get("/healthz").text == "ok\n"


def test_a_lost_store_is_told_and_its_return_too(api: Api, valkey: Valkey) -> None:
    api.write(position("a"))
    api.wait_for("/api/v1/vehicles", lambda b: b["vehicles"])
    valkey.kill()
    wait_until(lambda: "markaz_store_up 0.0" in api.client.get("/metrics").text, timeout_s=5, what="the loss")
    assert api.get("/api/v1/vehicles")["vehicles"], "the last known state stays"
    assert api.client.get("/api/v1/rejects").status_code == 503
    valkey.start()
    wait_until(lambda: "markaz_store_up 1.0" in api.client.get("/metrics").text, what="the return")


def test_an_entry_of_another_version_costs_itself_and_nobody_else(api: Api, valkey: Valkey) -> None:
    api.write(position("before"))
    api.wait_for("/api/v1/vehicles", lambda b: b["vehicles"])
    import redis

    foreign = redis.Redis.from_url(valkey.url)
    for partition in range(api.store.keys.partitions):
        foreign.xadd(api.store.keys.events(partition), {"position": b'[{"vehicle_id": 7}]', "fuel": b"not json"})
    foreign.xadd(api.store.keys.alarm_events(), {"alarm": b"{}"})
    foreign.hset(api.store.keys.latest(0, "position"), "x", b"[]")
    api.write(position("after"))
    api.wait_for("/api/v1/vehicles", lambda b: len(b["vehicles"]) == 2)
    assert {e.vehicle_id for e in api.store.latest(Facet.POSITION) if isinstance(e, VehiclePosition)} == {
        "before",
        "after",
    }


def test_with_the_store_lost_the_numbers_stand_still_and_do_not_fall_to_zero(api: Api, valkey: Valkey) -> None:
    old = time.time_ns() // 1_000_000 - 28_000
    api.write(position("a", measured_ms=old, received_ms=old, speed_mps=10.0))
    api.wait_for("/api/v1/kpis", lambda b: b["kpis"][0]["value"] == 1)
    valkey.kill()
    wait_until(lambda: "markaz_store_up 0.0" in api.client.get("/metrics").text, timeout_s=5, what="the loss")
    time.sleep(4)
    assert api.get("/api/v1/vehicles/a")["stale"] is True
    kpis = {kpi["name"]: kpi for kpi in api.get("/api/v1/kpis")["kpis"]}
    assert kpis["vehicles_in_service"]["value"] == 1
    assert kpis["vehicles_in_service"]["age_s"] > 30


def test_the_description_of_the_api_needs_nothing_from_outside(api: Api) -> None:
    assert "/api/v1/vehicles" in api.get("/api/v1/openapi.json")["paths"]
    page = api.client.get("/api/v1/docs").text
    assert "/api/v1/feeds" in page
    assert "//cdn" not in page


def risen(api: Api) -> Alarm:
    now = time.time_ns() // 1_000_000
    fresh = Alarm(
        id="feed_silent:vehicle/fuel", rule="feed_silent", priority=AlarmPriority.HIGH,
        source_kind="feed", source_id="vehicle/fuel",
    )  # fmt: skip
    rise = Act(action=Action.RISE, at_ms=now)
    alarm = apply(fresh, rise)
    commit = AlarmCommit(alarms=[Changed(None, alarm)], transitions=[transition_of(fresh, alarm, rise)])
    assert not api.store.commit_alarms(commit, keep_s=60)
    return alarm


def test_operators_acknowledge_shelve_and_comment_and_all_of_it_is_told(api: Api) -> None:
    alarm = risen(api)
    path = f"/api/v1/alarms/{alarm.id}"
    told = api.post(f"{path}/acknowledge", {"version": 1, "by": " anvar "})
    assert (told["state"], told["version"], told["acknowledged_by"]) == ("acknowledged", 2, "anvar")
    told = api.post(f"{path}/comment", {"version": 2, "by": "anvar", "text": "called the depot"})
    told = api.post(f"{path}/shelve", {"version": 3, "by": "olim", "reason": "works", "for_s": 600})
    assert (told["state"], told["shelved"]["by"], told["comments"]) == ("shelved", "olim", 1)
    history = api.get(path)["history"]
    assert [(one["action"], one["by"]) for one in history] == [
        ("shelve", "olim"),
        ("comment", "anvar"),
        ("acknowledge", "anvar"),
        ("rise", None),
    ]
    assert history[1]["text"] == "called the depot"
    api.wait_for("/api/v1/alarms?state=held", lambda b: b["alarms"])


def test_the_second_of_two_operators_is_told_and_changes_nothing(api: Api) -> None:
    path = f"/api/v1/alarms/{risen(api).id}"
    api.post(f"{path}/acknowledge", {"version": 1, "by": "anvar"})
    refused = api.post(f"{path}/shelve", {"version": 1, "by": "olim", "reason": "works", "for_s": 60}, status=409)
    assert "acknowledged now, version 2" in refused["detail"]
    assert "anvar" in refused["detail"]
    assert api.get(path)["shelved"] is None


@pytest.mark.parametrize(
    ("verb", "body", "status", "words"),
    [
        ("reset", {"version": 1, "by": "a"}, 422, "only a latched one"),
        ("shelve", {"version": 1, "by": "a", "for_s": 60}, 422, "needs a reason"),
        ("shelve", {"version": 1, "by": "a", "reason": "x"}, 422, "needs a time"),
        ("shelve", {"version": 1, "by": "a", "reason": "x", "for_s": 10**9}, 422, "for_s"),
        ("comment", {"version": 1, "by": "a", "text": " "}, 422, "comment is empty"),
        ("acknowledge", {"by": "a"}, 422, "version"),
        ("acknowledge", {"version": 1, "by": "  "}, 422, "by"),
        ("acknowledge", {"version": 1, "by": "a", "force": True}, 422, "force"),
        ("explode", {"version": 1, "by": "a"}, 422, "verb"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(
    api: Api, verb: str, body: dict[str, Any], status: int, words: str
) -> None:
    refused = api.post(f"/api/v1/alarms/{risen(api).id}/{verb}", body, status=status)
    assert words in json.dumps(refused)


def test_an_unknown_alarm_and_a_form_of_another_site_are_refused(api: Api) -> None:
    api.post("/api/v1/alarms/nobody:x/acknowledge", {"version": 1, "by": "a"}, status=404)
    path = f"/api/v1/alarms/{risen(api).id}/acknowledge"
    body = json.dumps({"version": 1, "by": "a"})
    assert api.client.post(path, content=body, headers={"content-type": "text/plain"}).status_code in {415, 422}
    assert api.get(path.rpartition("/")[0])["state"] == "unacknowledged"


def test_standing_alarms_are_told_as_cap_and_an_acknowledged_one_still_is(api: Api) -> None:
    alarm = risen(api)
    feed = ElementTree.fromstring(api.client.get("/api/v1/alarms/cap.atom?lang=en").content)
    assert len(feed.findall("{http://www.w3.org/2005/Atom}entry")) == 1
    cap = "{urn:oasis:names:tc:emergency:cap:1.2}"
    told = ElementTree.fromstring(api.client.get(f"/api/v1/alarms/{alarm.id}/cap.xml").content)
    assert (told.tag, told.findtext(f"{cap}msgType")) == (f"{cap}alert", "Alert")
    assert [info.findtext(f"{cap}language") for info in told.findall(f"{cap}info")] == ["uz", "ru", "en"]
    api.post(f"/api/v1/alarms/{alarm.id}/acknowledge", {"version": 1, "by": "anvar"})
    told = ElementTree.fromstring(api.client.get(f"/api/v1/alarms/{alarm.id}/cap.xml").content)
    assert told.findtext(f"{cap}msgType") == "Update"
    api.get("/api/v1/alarms/nobody:x/cap.xml", status=404)
