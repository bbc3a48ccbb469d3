"""GTFS-Realtime out: what is known of vehicles and alerts, and nothing more; what goes out can come in."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from google.protobuf import text_format
from google.transit import gtfs_realtime_pb2 as pb
from msgspec import structs

from city.config import load_config
from city.events import Affected, Case, CaseList, Event, PassengerCount, VehiclePosition
from city.messages import Reading, Received
from city.store import now_ms
from dashboard import gtfs_rt
from dashboard.feed import CityState
from dashboard.problems import add_handlers
from ingest.decode import Decoders

ROOT = Path(__file__).resolve().parents[3]
DECODERS = Decoders({"gtfs_rt": ("gtfs-rt/+",)}, payload_max_bytes=65536)


class Server:
    """The routes on a state of the test's own."""

    def __init__(self) -> None:
        self.state = CityState(store_up=True, read_ms=now_ms())
        server = FastAPI()
        add_handlers(server)
        screen: Any = SimpleNamespace(state=self.state)
        gtfs_rt.add_routes(server, load_config(ROOT / "config.yaml", {}), screen)
        self.client = TestClient(server)

    def know(self, *events: Event) -> None:
        for event in events:
            self.state.picture.apply(event)

    def feed(self, name: str) -> pb.FeedMessage:
        answer = self.client.get(f"/gtfs-rt/{name}.pb")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/x-protobuf"
        return pb.FeedMessage.FromString(answer.content)

    def vehicle(self) -> pb.VehiclePosition:
        (entity,) = self.feed("vehicle-positions").entity
        return entity.vehicle


@pytest.fixture
def server() -> Server:
    return Server()


def position(vehicle_id: str = "b1", *, age_ms: int = 1000, **more: Any) -> VehiclePosition:
    at = (now_ms() - age_ms) // 1000 * 1000
    fields: dict[str, Any] = {"lat": 41.3, "lon": 69.25, **more}
    return VehiclePosition(vehicle_id=vehicle_id, measured_ms=at, received_ms=at, **fields)


def count(onboard: int, *, age_ms: int = 1000, capacity: int | None = 60) -> PassengerCount:
    at = now_ms() - age_ms
    return PassengerCount(vehicle_id="b1", measured_ms=at, received_ms=at, onboard=onboard, capacity=capacity)


def case(case_id: str = "a1", **more: Any) -> Case:
    at = now_ms() // 1000 * 1000
    fields: dict[str, Any] = {
        "source": "gtfs-rt-city", "category": "strike/detour", "status": "open", "affects": (Affected(route="8"),),
        "measured_ms": at, "received_ms": at, **more,
    }  # fmt: skip
    return Case(case_id=case_id, **fields)


def come_in(feed: pb.FeedMessage) -> list[Event]:
    outcomes = DECODERS.decode(Received("gtfs-rt/back", feed.SerializeToString(), now_ms()))
    assert all(isinstance(one, Reading) for one in outcomes), outcomes
    return [one.event for one in outcomes if isinstance(one, Reading) and not isinstance(one.event, CaseList)]


def test_the_header_is_that_of_a_whole_feed_of_version_2(server: Server) -> None:
    header = server.feed("vehicle-positions").header
    assert (header.gtfs_realtime_version, header.incrementality) == ("2.0", pb.FeedHeader.FULL_DATASET)
    assert abs(header.timestamp - now_ms() / 1000) < 3


def test_vehicles_go_out_and_come_in_as_they_were(server: Server) -> None:
    known = [
        position("full", speed_mps=9.5, bearing_deg=274.25, odometer_m=1_234_567.8, route="8", direction=2, trip="t1",
                 trip_start_date="20260504", trip_start_time="07:30:00", occupancy_pct=40.0, occupancy_status="full"),
        position("plain"),
    ]  # fmt: skip
    server.know(*known)
    back = come_in(server.feed("vehicle-positions"))
    assert [structs.replace(event, received_ms=known[0].received_ms) for event in back] == [
        structs.replace(event, received_ms=known[0].received_ms) for event in known
    ]


def test_what_is_not_known_is_not_told(server: Server) -> None:
    server.know(position())
    told = server.vehicle()
    assert [field.name for field, _ in told.ListFields()] == ["position", "timestamp", "vehicle"]
    assert [field.name for field, _ in told.position.ListFields()] == ["latitude", "longitude"]


def test_how_full_a_vehicle_is_comes_from_its_counted_passengers(server: Server) -> None:
    server.know(position(occupancy_pct=10), count(45))
    assert server.vehicle().occupancy_percentage == 75
    assert not server.vehicle().HasField("occupancy_status")


def test_an_old_count_says_nothing_of_who_is_on_board_now(server: Server) -> None:
    server.know(position(), count(45, age_ms=1_900_000))
    assert not server.vehicle().HasField("occupancy_percentage")


def test_counters_that_drift_give_no_share_below_none(server: Server) -> None:
    server.know(position(), count(-3))
    assert server.vehicle().occupancy_percentage == 0


def test_a_vehicle_that_has_fallen_silent_is_not_in_the_feed(server: Server) -> None:
    server.know(position("old", age_ms=95_000), position("new", age_ms=80_000))
    assert [entity.id for entity in server.feed("vehicle-positions").entity] == ["new"]


def test_a_large_fleet_is_whole(server: Server) -> None:
    """It is made in turns."""
    server.know(*(position(f"b{number}") for number in range(1234)))
    assert len({entity.id for entity in server.feed("vehicle-positions").entity}) == 1234


def test_a_feed_is_made_once_a_second(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    at = now_ms() // 1000 * 1000
    monkeypatch.setattr(CityState, "moment_ms", lambda _: at)
    server.know(position("first"))
    assert len(server.feed("vehicle-positions").entity) == 1
    server.know(position("second"))
    assert len(server.feed("vehicle-positions").entity) == 1
    monkeypatch.setattr(CityState, "moment_ms", lambda _: at + 1000)
    assert len(server.feed("vehicle-positions").entity) == 2


def test_with_the_store_lost_the_feed_keeps_the_time_at_which_it_was_true(server: Server) -> None:
    server.know(position())
    server.state.store_up = False
    server.state.read_ms = now_ms() - 500_000
    assert abs(server.feed("vehicle-positions").header.timestamp - now_ms() / 1000 + 500) < 3


def test_before_the_state_is_read_there_is_no_feed(server: Server) -> None:
    """An empty one would say that no vehicle runs."""
    server.state.read_ms = 0
    answer = server.client.get("/gtfs-rt/alerts.pb")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


def test_alerts_go_out_and_come_in_as_they_were(server: Server) -> None:
    hour = 3_600_000
    known = case(
        severity="severe", title="Detour", text="Why", agency="A",
        starts_ms=case().measured_ms - hour, ends_ms=case().measured_ms + hour,
        affects=(Affected(agency="A", route="8", route_type=3, direction=1), Affected(agency="A", stop="s1", trip="t")),
    )  # fmt: skip
    server.know(known)
    (back,) = come_in(server.feed("alerts"))
    same = {"source": "gtfs-rt-back", "case_id": "gtfs-rt-city:a1", "received_ms": back.received_ms}
    assert back == structs.replace(known, **same, measured_ms=back.measured_ms)


def test_only_standing_cases_of_the_network_are_for_passengers(server: Server) -> None:
    left_out = case("gone", measured_ms=now_ms() - 60_000, source="gtfs-rt-old")
    server.know(
        case("open"), case("closed", status="closed"), case("pothole", source="101", affects=()),
        case("over", ends_ms=now_ms() - 1), left_out,
        CaseList(source="gtfs-rt-old", measured_ms=now_ms(), received_ms=now_ms()),
    )  # fmt: skip
    assert [entity.id for entity in server.feed("alerts").entity] == ["gtfs-rt-city:open"]


def test_a_category_that_is_no_alerts_leaves_cause_and_effect_unsaid(server: Server) -> None:
    server.know(case(category="works"))
    (entity,) = server.feed("alerts").entity
    assert not entity.alert.HasField("cause")
    assert not entity.alert.HasField("effect")
    assert entity.IsInitialized()


def test_a_feed_can_be_read_as_text(server: Server) -> None:
    server.know(case(title="Йўл ёпиқ"))
    answer = server.client.get("/gtfs-rt/alerts.pb?format=text")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "Йўл ёпиқ" in answer.text
    assert len(text_format.Parse(answer.text, pb.FeedMessage()).entity) == 1
    assert server.client.get("/gtfs-rt/alerts.pb?format=xml").status_code == 422


def test_the_recorded_feeds_go_through_unchanged(server: Server, recordings: Path) -> None:
    """In, out and in again: the same vehicles and alerts, but for the feed's name and what is too old to be live."""
    for name in ("vehiclepositions", "alerts"):
        payload = (recordings / "gtfs-rt" / f"{name}.pb").read_bytes()
        given = come_in(pb.FeedMessage.FromString(payload))
        server.know(*given)
        server.state.store_up, server.state.read_ms = False, max(event.measured_ms for event in given)
        back = come_in(server.feed("vehicle-positions" if name == "vehiclepositions" else "alerts"))
        if name == "vehiclepositions":
            recent = [e for e in given if e.measured_ms >= server.state.read_ms // 1000 * 1000 - 90_000]
            assert len(recent) > 40
            assert {(e.vehicle_id, e.lat, e.lon, e.trip, e.route, e.measured_ms) for e in back} == {
                (e.vehicle_id, e.lat, e.lon, e.trip, e.route, e.measured_ms) for e in recent
            }  # type: ignore[attr-defined]
        else:
            assert {(e.title, e.text, e.category, e.affects, e.starts_ms, e.ends_ms) for e in back} == {
                (e.title, e.text, e.category, e.affects, e.starts_ms, e.ends_ms) for e in given
            }  # type: ignore[attr-defined]
            assert len(back) == 51
