"""Trips: the newest word on each, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from analysis import trips
from analysis.picture import Picture, Vehicle
from city.events import TripUpdate, VehiclePosition, VehicleStatus

NOW = 1_800_000_000_000


def update(deviation_s: float | None, *, measured_ms: int = NOW, **more: Any) -> TripUpdate:
    fields: dict[str, Any] = {"trip": "t1", **more}
    return TripUpdate(measured_ms=measured_ms, received_ms=measured_ms, schedule_deviation_s=deviation_s, **fields)


def position(*, measured_ms: int = NOW, **more: Any) -> VehiclePosition:
    return VehiclePosition(vehicle_id="b1", measured_ms=measured_ms, received_ms=measured_ms, lat=41, lon=69, **more)


def bus(*events: VehicleStatus | TripUpdate) -> Vehicle:
    picture = Picture()
    for event in events:
        picture.apply(event)
    return picture.vehicles["b1"]


def test_a_vehicle_has_the_deviation_of_the_trip_that_it_names() -> None:
    assert bus(position(trip="t1"), update(-60)).schedule_deviation_s == -60
    assert bus(update(-60), position(trip="t1")).schedule_deviation_s == -60
    assert bus(position(trip="t2"), update(-60)).schedule_deviation_s is None


def test_its_own_word_goes_before_the_trips() -> None:
    assert bus(position(trip="t1", schedule_deviation_s=30), update(-60)).schedule_deviation_s == 30
    assert bus(position(trip="t1", schedule_deviation_s=0), update(-60)).schedule_deviation_s == 0


def test_without_a_trip_the_update_that_names_the_vehicle_is_its() -> None:
    assert bus(position(), update(-60, vehicle_id="b1")).schedule_deviation_s == -60
    assert bus(position(), update(-60, vehicle_id="b2")).schedule_deviation_s is None
    assert bus(position(), update(-60)).schedule_deviation_s is None


def test_a_trip_that_another_vehicle_serves_says_nothing_of_this_one() -> None:
    assert bus(position(trip="t1"), update(-60, vehicle_id="b2")).schedule_deviation_s is None


def test_an_update_of_its_next_trip_is_not_of_the_trip_it_is_on() -> None:
    coming = update(0, trip="t2", vehicle_id="b1", measured_ms=NOW + 1)
    assert bus(position(trip="t1"), update(-60, vehicle_id="b1"), coming).schedule_deviation_s == -60


@pytest.mark.parametrize("turned", [False, True])
def test_of_several_trips_told_at_one_time_the_first_is_the_vehicles(turned: bool) -> None:
    """Feeds tell of the trips after the present one too; partitions bring them in any order."""
    updates = [
        update(-60, trip="t1", vehicle_id="b1", trip_start_time="07:30:00"),
        update(0, trip="t2", vehicle_id="b1", trip_start_time="08:30:00"),
    ]
    if turned:
        updates.reverse()
    assert bus(position(), *updates).schedule_deviation_s == -60
    later = update(15, trip="t2", vehicle_id="b1", trip_start_time="08:30:00", measured_ms=NOW + 60_000)
    assert bus(position(measured_ms=NOW + 60_000), *updates, later).schedule_deviation_s == 15


def test_runs_of_one_trip_are_told_apart_by_their_start() -> None:
    runs = [update(-60, trip_start_time="07:30:00"), update(-120, trip_start_time="07:45:00")]
    assert bus(position(trip="t1", trip_start_time="07:45:00"), *runs).schedule_deviation_s == -120
    assert bus(position(trip="t1"), *runs).schedule_deviation_s is None
    named = update(-30, trip_start_time="08:00:00", vehicle_id="b1")
    assert bus(position(trip="t1"), *runs, named).schedule_deviation_s == -30


def test_an_old_update_says_nothing_of_a_vehicle_that_goes_on() -> None:
    still = position(trip="t1", measured_ms=NOW + trips.KEPT_MS)
    gone = position(trip="t1", measured_ms=NOW + trips.KEPT_MS + 1)
    assert bus(still, update(-60)).schedule_deviation_s == -60
    assert bus(gone, update(-60)).schedule_deviation_s is None


def test_the_newest_update_wins_and_none_is_an_answer_too() -> None:
    assert bus(position(trip="t1"), update(-60), update(5, measured_ms=NOW - 1)).schedule_deviation_s == -60
    assert bus(position(trip="t1"), update(-60), update(None, measured_ms=NOW + 1)).schedule_deviation_s is None
    assert not trips.Trips({"t1": update(1)}).apply(update(2, measured_ms=NOW - 1))


def test_a_trip_update_makes_no_vehicle() -> None:
    picture = Picture()
    assert picture.apply(update(-60, vehicle_id="b1"))
    assert picture.vehicles == {}


def test_the_trips_told_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trips, "TRIPS_MAX", 3)
    known = trips.Trips()
    for name in ("a", "b", "c", "a", "d"):
        known.apply(update(1, trip=name, vehicle_id=f"bus {name}"))
    assert list(known.by_key) == ["c", "a", "d"]
    assert list(known.by_vehicle) == ["bus c", "bus a", "bus d"]
