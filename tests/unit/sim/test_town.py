"""The whole simulated city, by the messages that it sends."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
import shapely

from city.areas import Areas
from sim.messages import Outgoing
from sim.network import Network
from sim.sensors import place_meters
from sim.town import Memory, Town, TownPlan
from sim.truth import Anomaly, rfc3339

from .conftest import START_MS, make_town

Message = dict[str, Any]


def _live(town: Town, seconds: float) -> list[Outgoing]:
    out: list[Outgoing] = []
    until = town.t + seconds
    while town.t < until:
        out += town.step()
    return out


def _by_entity(messages: list[Outgoing], kind: str) -> dict[str, list[Message]]:
    found: dict[str, list[Message]] = defaultdict(list)
    for message in messages:
        if message.topic.endswith(f"/{kind}"):
            found[message.topic.split("/")[4]].append(json.loads(message.payload))
    return found


class Morning(NamedTuple):
    """Ten minutes of rush hour of 200 vehicles, lived once for the tests that only look."""

    town: Town
    positions: dict[str, list[Message]]
    passengers: dict[str, list[Message]]
    fuel: dict[str, list[Message]]
    planted: list[Anomaly]
    tanks_before_l: np.ndarray


MORNING_S = 600


@pytest.fixture(scope="module")
def morning(network: Network) -> Morning:
    town = make_town(network, vehicles=200)
    tanks_before_l = _balance_l(town)
    messages = _live(town, MORNING_S)
    positions, passengers, fuel = (_by_entity(messages, kind) for kind in ("position", "passengers", "fuel"))
    return Morning(town, positions, passengers, fuel, town.planted(final=True), tanks_before_l)


def _balance_l(town: Town) -> np.ndarray:
    fleet = town.fleet
    return fleet.level_l + fleet.used_l - fleet.refuelled_l + fleet.stolen_l


def _seconds(message: Message) -> float:
    return datetime.fromisoformat(message["ts"]).timestamp() - START_MS / 1000


def test_the_same_seed_gives_the_same_city_message_for_message(network: Network) -> None:
    assert _live(make_town(network), 30) == _live(make_town(network), 30)
    assert _live(make_town(network), 5) != _live(make_town(network, seed=8), 5)


def test_a_city_with_meters_says_the_same_of_all_else(network: Network, areas: Areas) -> None:
    """More of one thing does not make another city; within half a minute every meter has spoken."""
    meters = place_meters(areas.mahallas, 120, 7)
    messages = _live(make_town(network, meters=meters), 30)
    assert set(_by_entity(messages, "reading")) == {meter.sensor_id for meter in meters}
    assert [one for one in messages if "/sensor/" not in one.topic] == _live(make_town(network), 30)
    assert messages == _live(make_town(network, meters=meters), 30)


def test_every_vehicle_speaks_once_a_period_spread_over_it(network: Network) -> None:
    messages = _live(make_town(network, vehicles=400, slice_s=0.02), 3)
    positions = _by_entity(messages, "position")
    assert len(positions) == 400
    for spoken in positions.values():
        assert [round(_seconds(b) - _seconds(a), 3) for a, b in pairwise(spoken)] == [1.0, 1.0]
    by_moment = Counter(_seconds(spoken[0]) for spoken in positions.values())
    assert len(by_moment) == 50
    assert max(by_moment.values()) == 8


@pytest.mark.parametrize(("rate_hz", "gap_s"), [(0.1, 10.0), (5.0, 0.2)])
def test_the_rate_is_positions_a_second_and_vehicle(network: Network, rate_hz: float, gap_s: float) -> None:
    positions = _by_entity(_live(make_town(network, rate_hz=rate_hz), 3 * gap_s), "position")
    for spoken in positions.values():
        assert [round(_seconds(b) - _seconds(a), 3) for a, b in pairwise(spoken[:3])] == [gap_s, gap_s]


def test_vehicles_stay_on_their_line_and_move_plausibly(network: Network, morning: Morning) -> None:
    shapes = {
        line.route_ref: shapely.LineString(list(zip(line.lon, line.lat, strict=True))) for line in network.lines[::2]
    }
    for spoken in morning.positions.values():
        for before, after in pairwise(spoken):
            metres = np.hypot(
                (after["lat"] - before["lat"]) * 111_195,
                (after["lon"] - before["lon"]) * 111_195 * np.cos(np.radians(41.3)),
            )
            assert metres <= 16.8
            assert after["speed_mps"] <= 16.7
        points = shapely.points([p["lon"] for p in spoken], [p["lat"] for p in spoken])
        assert shapely.distance(shapes[spoken[0]["route"]], points).max() < 2e-6


def test_position_has_every_field_of_the_contract(network: Network) -> None:
    spoken = next(iter(_by_entity(_live(make_town(network), 1), "position").values()))[0]
    assert set(spoken) == {
        "ts", "lat", "lon", "speed_mps", "bearing_deg", "route", "direction", "trip", "odometer_m", "ignition",
        "vin", "mode", "schedule_deviation_s",
    }  # fmt: skip
    assert spoken["ts"].endswith("Z")
    assert spoken["direction"] in (1, 2)
    assert 0 <= spoken["bearing_deg"] < 360


def test_the_load_of_every_vehicle_is_known_within_seconds(network: Network) -> None:
    assert len(_by_entity(_live(make_town(network), 6), "passengers")) == 40


def test_nobody_appears_or_vanishes_between_two_counts(morning: Morning) -> None:
    """On board = on board before + in - out, never negative, and no vehicle is silent for long."""
    assert len(morning.passengers) == 200
    boarded = 0
    for spoken in morning.passengers.values():
        for before, after in pairwise(spoken):
            assert after["onboard"] == before["onboard"] + after["in"] - after["out"]
            assert after["onboard"] >= 0
            assert _seconds(after) - _seconds(before) <= 181
            boarded += after["in"]
    assert boarded > 500


def test_what_nobody_heard_is_in_the_next_count(network: Network) -> None:
    """While the broker is away the city lives on; counts made then are not lost."""
    town = make_town(network)
    before = {v: spoken[-1] for v, spoken in _by_entity(_live(town, 10), "passengers").items()}
    while town.t < 400:
        assert town.step(listening=False) == []
    town.announce()
    after = {v: spoken[0] for v, spoken in _by_entity(_live(town, 6), "passengers").items()}
    assert set(after) == set(before)
    for vehicle, count in after.items():
        assert count["onboard"] == before[vehicle]["onboard"] + count["in"] - count["out"]


def test_fuel_is_conserved(morning: Morning) -> None:
    """Level = start - burned + refuelled - stolen, for every vehicle."""
    assert _balance_l(morning.town) == pytest.approx(morning.tanks_before_l)
    assert morning.town.fleet.used_l.sum() > 0
    assert morning.town.fleet.stolen_l.sum() > 0


def test_fuel_is_told_every_ten_seconds_by_everything_with_a_tank(network: Network) -> None:
    town = make_town(network)
    fuel = _by_entity(_live(town, 60), "fuel")
    assert set(fuel) == {p.vehicle_id for p in town.papers if p.mode == "bus"}
    assert any(p.mode == "trolleybus" for p in town.papers)
    for spoken in fuel.values():
        assert len(spoken) in (5, 6)
        assert all(abs(_seconds(b) - _seconds(a) - 10) <= 1 for a, b in pairwise(spoken))
        assert all(0 <= f["level_l"] <= f["capacity_l"] for f in spoken)


def test_every_theft_is_in_the_truth_and_plain_to_see(morning: Morning) -> None:
    """The bus stands before, during and after; readings show the planted litres gone; the first comes soon."""
    thefts = [a for a in morning.planted if a.kind == "fuel_theft"]
    assert thefts[0].start_ms - START_MS < 120_000
    papers, stolen_l = morning.town.papers, morning.town.fleet.stolen_l
    assert {papers[n].vehicle_id for n in np.flatnonzero(stolen_l)} == {theft.entity for theft in thefts}
    for theft in thefts:
        assert theft.end_ms is not None
        start_s, end_s = (theft.start_ms - START_MS) / 1000, (theft.end_ms - START_MS) / 1000
        if end_s + 45 > MORNING_S:
            continue
        readings = morning.fuel[theft.entity]
        before = [f["level_l"] for f in readings if start_s - 30 <= _seconds(f) <= start_s]
        after = [f["level_l"] for f in readings if end_s + 2 <= _seconds(f) <= end_s + 45]
        assert len(before) >= 2
        assert len(after) >= 4
        assert min(before) - max(after) == pytest.approx(theft.numbers["litres"], abs=0.5)
        speeds = [p["speed_mps"] for p in morning.positions[theft.entity] if start_s - 30 <= _seconds(p) <= end_s + 45]
        assert max(speeds) == 0


def test_crowding_at_rush_hour_is_in_the_truth(morning: Morning) -> None:
    crowded = {
        vehicle
        for vehicle, spoken in morning.passengers.items()
        if any(count["onboard"] >= 1.2 * count["capacity"] for count in spoken)
    }
    assert crowded
    assert {a.entity for a in morning.planted if a.kind == "crowding"} == crowded


def test_the_way_back_is_driven_after_a_rest_at_the_terminal(morning: Morning) -> None:
    turned = 0
    for spoken in morning.positions.values():
        for at in range(1, len(spoken)):
            if spoken[at]["direction"] != spoken[at - 1]["direction"]:
                turned += 1
                rest = spoken[at : at + 60]
                assert all(p["speed_mps"] == 0 for p in rest)
                assert spoken[at]["trip"] != spoken[at - 1]["trip"]
    assert turned > 3


def test_a_later_run_goes_on_where_the_former_stopped(network: Network) -> None:
    """No bus jumps, no tank fills or empties: ten minutes between the runs are lived through."""
    town = make_town(network)
    _live(town, 60)
    memory = town.remember()
    memory = Memory(memory.start_ms, memory.t, {name: array.copy() for name, array in memory.arrays.items()})
    while town.t < 660:
        town.step(listening=False)
    plan: TownPlan = town._plan
    later = Town(network, TownPlan(**{**_fields(plan), "start_ms": START_MS + 660_000}), memory)
    driven = later.fleet.odometer_m - memory.arrays["odometer_m"]
    assert (driven >= 0).all()
    assert driven.max() < 600 * 16.7
    assert driven.mean() == pytest.approx((town.fleet.odometer_m - memory.arrays["odometer_m"]).mean(), rel=0.25)
    burned = memory.arrays["level_l"] - later.fleet.level_l + later.fleet.refuelled_l - later.fleet.stolen_l
    assert burned.max() < 6


def _fields(plan: TownPlan) -> dict[str, Any]:
    return {name: getattr(plan, name) for name in plan.__struct_fields__}


def test_after_a_sleep_of_the_machine_times_are_now_and_buses_where_they_were(network: Network) -> None:
    town = make_town(network)
    before = {v: spoken[-1] for v, spoken in _by_entity(_live(town, 2), "position").items()}
    town.skip_time(3600)
    after = {v: spoken[0] for v, spoken in _by_entity(_live(town, 1), "position").items()}
    for vehicle, position in after.items():
        assert _seconds(position) - _seconds(before[vehicle]) == pytest.approx(3601, abs=0.01)
        assert position["odometer_m"] - before[vehicle]["odometer_m"] < 17


def test_times_are_utc_with_milliseconds() -> None:
    assert rfc3339(START_MS) == "2026-03-18T03:05:00.000Z"
