"""Electricity meters: where they stand, what they say, and what fails in their network."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city.areas import Areas
from sim.messages import Outgoing
from sim.sensors import VOLTS_MAX, VOLTS_MIN, Meter, MeterWatch, place_meters
from sim.truth import Anomaly, rfc3339

SLICE_S = 0.25


class Told(NamedTuple):
    """A reading, by the second that its `ts` says."""

    at_s: float
    volts: float


class Night(NamedTuple):
    """What was told and planted in some hours."""

    meters: list[Meter]
    told: dict[str, list[Told]]
    planted: list[Anomaly]

    def of(self, kind: str) -> list[Anomaly]:
        return [one for one in self.planted if one.kind == kind]

    def on(self, feeder: str) -> list[str]:
        return [meter.sensor_id for meter in self.meters if meter.feeder == feeder]


@pytest.fixture(scope="module")
def night(areas: Areas) -> Night:
    """Three hours with the evening's peak in the middle."""
    meters = place_meters(areas.mahallas, 120, 1)
    watch, seconds = _watch(meters), 3 * 3600
    out: list[Outgoing] = []
    planted = []
    for step in range(int(seconds / SLICE_S)):
        t = step * SLICE_S
        planted += watch.step(t, 1 - abs(2 * t / seconds - 1), out)
    told = defaultdict(list)
    for message in out:
        payload = json.loads(message.payload)
        told[message.topic.split("/")[4]].append(Told(_seconds(payload["ts"]), payload["value"]))
    return Night(meters, told, planted)


def _watch(meters: list[Meter], seed: int = 3) -> MeterWatch:
    return MeterWatch(
        "tashkent", meters, np.random.default_rng(seed), lambda t: rfc3339(round(t * 1000)), lambda t: round(t * 1000)
    )


def _seconds(ts: str) -> float:
    hours, minutes, seconds = ts.removeprefix("1970-01-01T").removesuffix("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _span_s(one: Anomaly) -> tuple[float, float]:
    assert one.end_ms is not None
    return one.start_ms / 1000, one.end_ms / 1000


def _live(watch: MeterWatch, since_s: float, until_s: float) -> list[dict[str, Any]]:
    out: list[Outgoing] = []
    for step in range(round((until_s - since_s) / SLICE_S)):
        watch.step(since_s + step * SLICE_S, 0.5, out)
    return [json.loads(message.payload) | {"topic": message.topic} for message in out]


def test_meters_stand_in_mahallas_of_their_feeders_district(areas: Areas) -> None:
    meters = place_meters(areas.mahallas, 120, 1)
    assert len({meter.sensor_id for meter in meters}) == 120
    districts, mahallas = areas.locate([m.lat for m in meters], [m.lon for m in meters])
    assert list(districts) == [meter.district for meter in meters]
    assert len(set(mahallas)) == 120
    assert set(Counter(meter.feeder for meter in meters).values()) == {20}
    assert len({meter.district for meter in meters}) == 6


def test_the_same_seed_places_the_same_meters(areas: Areas) -> None:
    assert place_meters(areas.mahallas, 120, 1) == place_meters(areas.mahallas, 120, 1)
    assert place_meters(areas.mahallas, 120, 1) != place_meters(areas.mahallas, 120, 2)


def test_a_city_without_mahallas_has_no_meters_and_lives() -> None:
    assert place_meters([], 120, 1) == []
    assert _live(_watch([]), 0, 60) == []


@given(count=st.integers(1, 3000), seed=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_any_number_of_meters_finds_room_and_feeders_of_a_decent_size(areas: Areas, count: int, seed: int) -> None:
    meters = place_meters(areas.mahallas, count, seed)
    assert len({meter.sensor_id for meter in meters}) == count
    assert len({(meter.lat, meter.lon) for meter in meters}) == count
    districts, mahallas = areas.locate([m.lat for m in meters], [m.lon for m in meters])
    assert list(districts) == [meter.district for meter in meters]
    assert None not in mahallas
    sizes = Counter(meter.feeder for meter in meters)
    assert max(sizes.values()) <= 29
    assert count < 15 or min(sizes.values()) >= 15


def test_the_meters_of_a_feeder_are_neighbours(areas: Areas) -> None:
    """Nearer to each other than to the other meters of their district."""
    meters = [m for m in place_meters(areas.mahallas, 600, 1) if m.district == "1726290"]
    feeders = {meter.feeder for meter in meters}
    assert len(feeders) > 2
    place = {m.sensor_id: complex(m.lon * 0.75, m.lat) for m in meters}
    for feeder in feeders:
        own = [place[m.sensor_id] for m in meters if m.feeder == feeder]
        others = [place[m.sensor_id] for m in meters if m.feeder != feeder]
        within = np.mean([abs(one - other) for one in own for other in own])
        assert within < np.mean([abs(one - other) for one in own for other in others])


def test_a_reading_is_what_the_contract_asks_for(areas: Areas) -> None:
    (meter, *_) = meters = place_meters(areas.mahallas, 120, 1)
    first = next(one for one in _live(_watch(meters), 0, 30) if meter.sensor_id in one["topic"])
    assert first.pop("topic") == f"markaz/v1/tashkent/sensor/{meter.sensor_id}/reading"
    assert VOLTS_MIN <= first.pop("value") <= VOLTS_MAX
    assert first.pop("ts").startswith("1970-01-01T00:00")
    assert first == {"quantity": "voltage", "unit": "V", "network": "electricity", "lat": meter.lat, "lon": meter.lon}


def test_every_meter_speaks_every_half_minute_at_a_moment_of_its_own(night: Night) -> None:
    assert len(night.told) == 120
    for told in night.told.values():
        gaps = [after.at_s - before.at_s for before, after in pairwise(told)]
        assert max(gaps) <= 30 + SLICE_S
        assert min(gaps) > 0
        assert np.mean(gaps) > 28
    a_second = Counter(int(told[0].at_s) for told in night.told.values())
    assert max(a_second.values()) <= 12


def test_the_supply_is_good_but_for_what_is_planted_and_lower_at_the_evenings_peak(night: Night) -> None:
    failed = defaultdict(list)
    for trip in night.of("feeder_trip"):
        for meter in night.on(trip.entity):
            failed[meter].append(_span_s(trip))
    for sag in night.of("voltage_sag"):
        failed[sag.entity].append(_span_s(sag))
    by_quarter = defaultdict(list)
    for meter, told in night.told.items():
        for one in told:
            # A change is told within two seconds of it.
            if not any(start <= one.at_s < end + 2 for start, end in failed[meter]):
                assert VOLTS_MIN <= one.volts <= VOLTS_MAX
                by_quarter[int(one.at_s // 900)].append(one.volts)
    quarters = [float(np.mean(by_quarter[quarter])) for quarter in range(12)]
    assert 3 < quarters[0] - quarters[6] < 5
    assert max(abs(after - before) for before, after in pairwise(quarters)) < 1


def test_a_feeder_trips_within_five_minutes_and_then_about_every_twenty_five(night: Night) -> None:
    trips = night.of("feeder_trip")
    starts = [_span_s(trip)[0] for trip in trips]
    assert 180 <= starts[0] <= 300 + SLICE_S
    gaps = [after - before for before, after in pairwise(starts)]
    assert 1200 <= min(gaps) < max(gaps) <= 1801
    assert all(240 <= end - start <= 481 for start, end in map(_span_s, trips))
    assert len(trips) >= 6
    assert len({trip.entity for trip in trips[:6]}) == 6, "every feeder once before one trips again"


def test_all_meters_of_a_tripped_feeder_tell_it_and_keep_telling(night: Night) -> None:
    for trip in night.of("feeder_trip"):
        start, end = _span_s(trip)
        meters = night.on(trip.entity)
        assert trip.numbers["meters"] == len(meters)
        assert {one.district for one in night.meters if one.feeder == trip.entity} == {trip.detail}
        for meter in meters:
            dark = [one for one in night.told[meter] if start <= one.at_s < end]
            assert dark[0].at_s - start <= 2
            assert {one.volts for one in dark} == {0}
            assert len(dark) >= (end - start) // 30
            back = next((one for one in night.told[meter] if one.at_s >= end), None)
            assert back is None or (back.volts > VOLTS_MIN - 1 and back.at_s - end <= 2)
    tripped = {meter for trip in night.of("feeder_trip") for meter in night.on(trip.entity)}
    assert {meter for meter, told in night.told.items() if any(one.volts == 0 for one in told)} == tripped


def test_one_meter_sags_for_three_minutes_about_every_twelve(night: Night) -> None:
    sags = night.of("voltage_sag")
    gaps = [after.start_ms - before.start_ms for before, after in pairwise(sags)]
    assert 600_000 <= min(gaps) < max(gaps) <= 841_000
    for sag in sags:
        start, end = _span_s(sag)
        assert end - start == 180
        told = [one for one in night.told[sag.entity] if start <= one.at_s < end]
        assert told[0].at_s - start <= 2
        # A whole feeder may trip meanwhile.
        assert all(176 < one.volts < 198 or one.volts == 0 for one in told)


def test_what_happens_unheard_is_told_at_the_next_moment(areas: Areas) -> None:
    watch = _watch(place_meters(areas.mahallas, 20, 1))
    planted: list[Anomaly] = []
    t = 0.0
    while not planted:
        planted = watch.step(t, 0.5, None)
        t += SLICE_S
    while t < planted[0].start_ms / 1000 + 60:
        watch.step(t, 0.5, None)
        t += SLICE_S
    told = {one["topic"]: one["value"] for one in _live(watch, t, t + 30.5)}
    assert len(told) == 20
    assert set(told.values()) == {0}
