"""GTFS-Realtime on a real store: from the broker's bytes to the feeds that go out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from google.transit import gtfs_realtime_pb2 as pb
from servers import Valkey, wait_until

from city.areas import load_areas
from city.config import load_config
from city.messages import Received
from city.store import Store, now_ms
from dashboard.app import build
from ingest.batch import Batch
from ingest.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[2]


class City:
    """A worker's pipeline, the store and the dashboard on it."""

    def __init__(self, valkey: Valkey, client: TestClient) -> None:
        self.config = load_config(ROOT / "config.yaml", {"MARKAZ_REDIS__URL": valkey.url})
        self.client = client
        self._workers = [self._worker("a"), self._worker("b")]
        self._next = 0

    def _worker(self, name: str) -> Pipeline:
        pipeline = Pipeline(self.config, load_areas(self.config.city_dir), Store.of(self.config), worker=name)
        pipeline.resume()
        return pipeline

    def hear(self, feed: pb.FeedMessage) -> Batch:
        """The feed's next message, by two workers in turn."""
        batch = Batch([Received("gtfs-rt/city", feed.SerializeToString(), now_ms())], now_ms())
        self._workers[self._next].run(batch)
        self._next = 1 - self._next
        return batch

    def out(self, name: str) -> list[pb.FeedEntity]:
        answer = self.client.get(f"/gtfs-rt/{name}.pb")
        assert answer.status_code == 200, answer.text
        return list(pb.FeedMessage.FromString(answer.content).entity)

    def feeds(self) -> dict[str, dict[str, Any]]:
        return {one["feed"]: one for one in self.client.get("/api/v1/feeds").json()["feeds"]}


@pytest.fixture
def city(valkey: Valkey) -> Iterator[City]:
    environment = {"MARKAZ_REDIS__URL": valkey.url, "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"}
    with TestClient(build(load_config(ROOT / "config.yaml", environment))) as client:
        wait_until(lambda: client.get("/gtfs-rt/alerts.pb").status_code == 200, what="the store")
        yield City(valkey, client)


def feed(at_s: int, *alerts: str, entities: tuple[pb.FeedEntity, ...] = ()) -> pb.FeedMessage:
    told = [
        pb.FeedEntity(id=one, alert=pb.Alert(informed_entity=[pb.EntitySelector(route_id="8")], effect=pb.Alert.DETOUR))
        for one in alerts
    ]
    header = pb.FeedHeader(gtfs_realtime_version="2.0", timestamp=at_s)
    return pb.FeedMessage(header=header, entity=[*told, *entities])


def test_an_alert_that_vanishes_from_its_feed_ends_whichever_worker_hears_it(city: City) -> None:
    at_s = int(time.time()) - 30
    city.hear(feed(at_s, "one", "two"))
    wait_until(lambda: len(city.out("alerts")) == 2, what="both alerts")
    city.hear(feed(at_s + 10, "two"))
    wait_until(lambda: [one.id for one in city.out("alerts")] == ["gtfs-rt-city:two"], what="the end of the first")
    city.hear(feed(at_s + 5, "one", "two"))  # late
    city.hear(feed(at_s + 20))
    wait_until(lambda: city.out("alerts") == [], what="the end of the second")


def test_a_dashboard_that_starts_later_knows_what_stands(city: City) -> None:
    at_s = int(time.time()) - 30
    city.hear(feed(at_s, "one", "two"))
    city.hear(feed(at_s + 10, "two"))
    with TestClient(build(city.config)) as later:
        wait_until(lambda: later.get("/gtfs-rt/alerts.pb").status_code == 200, what="the store")
        told = pb.FeedMessage.FromString(later.get("/gtfs-rt/alerts.pb").content)
    assert [one.id for one in told.entity] == ["gtfs-rt-city:two"]


def test_every_entity_is_counted_and_a_refused_one_can_be_read_again(city: City) -> None:
    at_s = int(time.time()) - 5
    described = pb.TripDescriptor(trip_id="t1", route_id="8")
    inside = pb.FeedEntity(
        id="v1",
        vehicle=pb.VehiclePosition(
            trip=described, vehicle=pb.VehicleDescriptor(id="b1"), position=pb.Position(latitude=41.3, longitude=69.25)
        ),
    )
    boston = pb.FeedEntity(
        id="v2",
        vehicle=pb.VehiclePosition(
            vehicle=pb.VehicleDescriptor(id="b2"), position=pb.Position(latitude=42.3, longitude=-71)
        ),
    )
    trip = pb.FeedEntity(id="t", trip_update=pb.TripUpdate(trip=described, delay=90))
    batch = city.hear(feed(at_s, "one", entities=(inside, boston, trip)))
    (refused,) = batch.rejects
    assert refused.reason == "out_of_area"
    assert list(pb.FeedMessage.FromString(refused.message.payload).entity) == [boston]

    wait_until(lambda: "gtfs_rt/vehicle" in city.feeds(), what="the counters")
    counted = {name: (one["received"], one["stored"], one["rejected"]) for name, one in city.feeds().items()}
    assert counted == {
        "gtfs_rt": (1, 1, {}),
        "gtfs_rt/alert": (1, 1, {}),
        "gtfs_rt/trip": (1, 1, {}),
        "gtfs_rt/vehicle": (2, 1, {"out_of_area": 1}),
    }
    wait_until(lambda: city.out("vehicle-positions") != [], what="the vehicle")
    assert city.client.get("/api/v1/vehicles/b1").json()["schedule_deviation_s"] == -90
    (layer,) = city.client.get("/api/v1/vehicles.geojson").json()["features"]
    assert (layer["id"], layer["properties"]["schedule_deviation_s"]) == ("b1", -90)
