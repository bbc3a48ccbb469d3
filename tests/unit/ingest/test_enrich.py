"""What earlier events add to later ones, as timelines."""

from __future__ import annotations

from typing import Any

from city.events import CameraStatus, FuelReading, PassengerCount
from ingest.enrich import enrich
from ingest.memory import Bounded, Memory


def timeline(*events: Any) -> list[Any]:
    memory, out = Memory(), []
    for event in events:
        out.append(enrich(event, memory))
        memory.learn((out[-1],))
    return out


def count(at_ms: int, **said: Any) -> PassengerCount:
    return PassengerCount(vehicle_id="b", measured_ms=at_ms, received_ms=at_ms, **said)


def test_a_vehicles_places_are_told_once_and_known_from_then_on() -> None:
    out = timeline(count(1, onboard=5), count(2, onboard=20, capacity=90), count(3, onboard=21), count(4, capacity=60))
    assert [(e.onboard, e.capacity) for e in out] == [(5, None), (20, 90), (21, 90), (None, 60)]


def test_a_count_says_no_sum_for_only_the_store_hears_every_door() -> None:
    out = timeline(count(1, boarded=5, alighted=0), count(2, boarded=2, alighted=3))
    assert [(e.onboard, e.estimated) for e in out] == [(None, False), (None, False)]


def test_a_late_event_completes_nothing_of_what_is_newer() -> None:
    out = timeline(count(5, capacity=90), count(3, capacity=60), count(6))
    assert out[-1].capacity == 90


def fuel(at_ms: int, **said: Any) -> FuelReading:
    return FuelReading(vehicle_id="b", measured_ms=at_ms, received_ms=at_ms, **said)


def test_litres_and_percent_give_each_other_once_the_tank_is_known() -> None:
    out = timeline(
        fuel(1, level_pct=50), fuel(2, level_pct=50, capacity_l=200), fuel(3, level_l=50), fuel(4, level_pct=10)
    )
    assert [(e.level_l, e.level_pct) for e in out] == [(None, 50), (100, 50), (50, 25), (20, 10)]


def test_a_full_tank_is_not_above_a_hundred_percent() -> None:
    out = timeline(fuel(1, level_l=210, capacity_l=200), fuel(2, level_l=20), fuel(3, level_l=20, capacity_l=0))
    assert [e.level_pct for e in out] == [100, 10, None]


def status(at_ms: int, online: bool, **said: Any) -> CameraStatus:
    return CameraStatus(camera_id="c", measured_ms=at_ms, received_ms=at_ms, online=online, **said)


def test_a_camera_stays_where_it_was_when_its_will_only_says_offline() -> None:
    place = {"lat": 41.3, "lon": 69.2, "district": "1726262", "mahalla": None, "name": "Gate"}
    out = timeline(status(1, True, **place), status(2, False))
    assert (out[1].lat, out[1].lon, out[1].district, out[1].name, out[1].online) == (
        41.3,
        69.2,
        "1726262",
        "Gate",
        False,
    )


def test_memory_forgets_the_entity_first_heard() -> None:
    kept: Bounded[int] = Bounded(2)
    for name in ("a", "b", "a", "c"):
        kept[name] = 1
    assert list(kept) == ["b", "c"]
