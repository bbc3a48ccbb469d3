"""The HTTP API on a real store: what is written there is told, in the documented shapes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from servers import Valkey, wait_until

from city.config import Config, load_config
from city.models import (
    Alarm,
    AlarmPriority,
    CameraStatus,
    Event,
    Facet,
    PassengerCount,
    Received,
    Reject,
    RejectReason,
    VehiclePosition,
)
from city.store import Store, Tagged
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
        tagged = [Tagged("vehicle/position", event, message) for event in events]
        now = time.time_ns() // 1_000_000
        self.store.commit("test", self._batch, tagged, rejects, now_ms=now, events_keep_s=60, rejects_max=100)

    def get(self, path: str, status: int = 200) -> Any:
        answer = self.client.get(path)
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
        id="camera_offline:k:1", rule="camera_offline", priority=AlarmPriority.LOW, source_kind="camera",
        source_id="k", raised_ms=now, updated_ms=now,
    )  # fmt: skip
    api.store.save_alarms([alarm], now_ms=now, alarms_keep_s=60)
    (told,) = api.wait_for("/api/v1/alarms", lambda b: b["alarms"])["alarms"]
    assert (told["state"], told["source"]) == ("open", {"kind": "camera", "id": "k"})
    assert api.get("/api/v1/cameras/k")["online"] is False
    assert api.get("/api/v1/alarms?state=cleared")["alarms"] == []


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
    for partition in range(8):
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
