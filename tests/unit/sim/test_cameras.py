"""Cameras."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from sim.cameras import Camera, CameraWatch, place_cameras
from sim.messages import Outgoing
from sim.network import Network
from sim.truth import Anomaly, rfc3339


def _watch(cameras: list[Camera], seed: int = 3) -> CameraWatch:
    return CameraWatch(
        "tashkent", cameras, np.random.default_rng(seed), lambda t: rfc3339(round(t * 1000)), lambda t: round(t * 1000)
    )


def _live(watch: CameraWatch, seconds: int) -> tuple[list[Outgoing], list[Anomaly]]:
    out: list[Outgoing] = []
    planted = [anomaly for t in range(seconds) for anomaly in watch.step(float(t), 1.0, out)]
    return out, planted


def test_cameras_stand_at_stops_and_crossings_always_the_same(network: Network) -> None:
    cameras = place_cameras(network, 240, 1)
    assert cameras == place_cameras(network, 240, 1)
    assert cameras != place_cameras(network, 240, 2)
    assert len({c.camera_id for c in cameras}) == 240
    assert len({(c.lat, c.lon) for c in cameras}) == 240
    assert sum("×" in c.name for c in cameras) == 72
    assert all(c.name for c in cameras)


def test_more_cameras_than_places_are_put_apart(network: Network) -> None:
    cameras = place_cameras(network, 2000, 1)
    assert len({(c.lat, c.lon) for c in cameras}) > 1990


def test_every_camera_tells_its_place_within_a_minute_retained(network: Network) -> None:
    cameras = place_cameras(network, 240, 1)
    out, _ = _live(_watch(cameras), 60)
    told = {m.topic: json.loads(m.payload) for m in out if m.topic.endswith("/status")}
    assert len(told) == 240
    assert all(m.retain == m.topic.endswith("/status") for m in out)
    first = told["markaz/v1/tashkent/camera/cam-0001/status"]
    assert (first["lat"], first["lon"], first["name"]) == (cameras[0].lat, cameras[0].lon, cameras[0].name)


def test_the_city_sees_three_to_six_things_a_second(network: Network) -> None:
    out, _ = _live(_watch(place_cameras(network, 240, 1)), 1200)
    kinds = Counter(json.loads(m.payload)["kind"] for m in out if m.topic.endswith("/event"))
    assert 3 < sum(kinds.values()) / 1200 < 6
    assert set(kinds) >= {"person", "car", "crowd", "violation"}


def test_planted_alerts_are_sent_when_they_begin_and_when_they_end(network: Network) -> None:
    out, planted = _live(_watch(place_cameras(network, 240, 1)), 3600)
    alerts = [a for a in planted if a.kind == "camera_alert"]
    assert 4 <= len(alerts) <= 25
    assert 75_000 <= alerts[0].start_ms <= 151_000
    sent = [(m.topic.split("/")[4], json.loads(m.payload)) for m in out if m.topic.endswith("/event")]
    begun = [(camera, e["kind"], e["ts"]) for camera, e in sent if e["severity"] == "alert" and e["phase"] == "new"]
    assert begun == [(a.entity, a.detail, rfc3339(a.start_ms)) for a in alerts]
    ends = {e["event_id"] for _, e in sent if e["phase"] == "end"}
    assert ends <= {e["event_id"] for _, e in sent if e["phase"] == "new"}
    assert ends


def test_two_to_four_percent_are_offline_and_say_nothing(network: Network) -> None:
    watch = _watch(place_cameras(network, 1000, 1))
    out: list[Outgoing] = []
    down = []
    for t in range(0, 8000, 5):
        silent = {f"cam-{n + 1:04d}" for n, online in enumerate(watch.online) if not online}
        watch.step(float(t), 1.0, out)
        down.append(watch.online.count(False) / 1000)
        silent = {c for c in silent if not watch.online[int(c.removeprefix("cam-")) - 1]}
        assert not silent & {m.topic.split("/")[4] for m in out if m.topic.endswith("/event")}
        out.clear()
    assert 0.02 < np.mean(down) < 0.04


def test_an_outage_is_planted_and_told(network: Network) -> None:
    out, planted = _live(_watch(place_cameras(network, 240, 1)), 1800)
    outages = {a.entity for a in planted if a.kind == "camera_offline"}
    told = {m.topic.split("/")[4] for m in out if m.topic.endswith("/status") and not json.loads(m.payload)["online"]}
    assert told == outages
    assert outages


@pytest.mark.parametrize("count", [0, 1])
def test_a_city_of_no_or_one_camera_lives(network: Network, count: int) -> None:
    _live(_watch(place_cameras(network, count, 1)), 600)
