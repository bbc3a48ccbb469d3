"""GeoJSON layers: RFC 7946 features of vehicles and cameras."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from city.config import load_config
from city.events import CameraStatus, Event, PassengerCount, VehiclePosition
from dashboard import geojson
from dashboard.feed import CityState

ROOT = Path(__file__).resolve().parents[3]


class Layers:
    def __init__(self) -> None:
        self.state = CityState(store_up=True)
        server = FastAPI()
        screen: Any = SimpleNamespace(state=self.state)
        geojson.add_routes(server, load_config(ROOT / "config.yaml", {}), screen)
        self._client = TestClient(server)

    def know(self, *events: Event) -> None:
        for event in events:
            self.state.picture.apply(event)

    def get(self, path: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/geo+json"
        return answer.json()


@pytest.fixture
def layers() -> Layers:
    return Layers()


def position(vehicle_id: str, **more: Any) -> VehiclePosition:
    now = time.time_ns() // 1_000_000
    return VehiclePosition(vehicle_id=vehicle_id, lat=41.3, lon=69.25, measured_ms=now, received_ms=now, **more)


def test_a_vehicle_is_a_point_with_the_properties_of_the_list(layers: Layers) -> None:
    layers.know(position("b1", route="8", speed_mps=9.5))
    collection = layers.get("vehicles.geojson")
    (feature,) = collection["features"]
    assert (collection["type"], feature["type"], feature["id"]) == ("FeatureCollection", "Feature", "b1")
    assert feature["geometry"] == {"type": "Point", "coordinates": [69.25, 41.3]}
    assert (feature["properties"]["route"], feature["properties"]["speed_mps"]) == ("8", 9.5)
    assert "lat" not in feature["properties"]
    assert collection["as_of"].endswith("Z")
    assert collection["next"] is None


def test_without_a_place_the_geometry_is_null(layers: Layers) -> None:
    layers.know(PassengerCount(vehicle_id="b1", measured_ms=1, received_ms=1, onboard=3))
    assert layers.get("vehicles.geojson")["features"][0]["geometry"] is None


def test_a_camera_is_a_point_with_its_status(layers: Layers) -> None:
    layers.know(CameraStatus(camera_id="k", measured_ms=1, received_ms=1, online=False, lat=41.31, lon=69.2))
    (feature,) = layers.get("cameras.geojson")["features"]
    assert feature["geometry"]["coordinates"] == [69.2, 41.31]
    assert feature["properties"]["online"] is False


def test_a_layer_can_be_of_a_route_or_an_area(layers: Layers) -> None:
    layers.know(position("a", route="8", district="1"), position("b", route="9", district="1"))
    assert [one["id"] for one in layers.get("vehicles.geojson?route=9&district=1")["features"]] == ["b"]
    assert layers.get("vehicles.geojson?mahalla=1")["features"] == []


def test_a_layer_is_whole_or_goes_on_without_missing_anyone(layers: Layers) -> None:
    layers.know(*(position(f"v{number:03}") for number in range(600)))
    assert len(layers.get("vehicles.geojson")["features"]) == 600
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = layers.get(f"vehicles.geojson?limit=256&cursor={cursor}")
        seen += [one["id"] for one in page["features"]]
        cursor = page["next"]
    assert seen == [f"v{number:03}" for number in range(600)]
