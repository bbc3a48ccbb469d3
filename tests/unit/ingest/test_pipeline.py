"""The steps on whole batches, the store played in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from played_store import NOW, Fault, PlayedStore, poisoned

from city.areas import Areas, load_areas
from city.config import Config, load_config
from city.events import CameraStatus, Case, Facet, FuelReading, PassengerCount, VehiclePosition
from city.keys import partition_of
from city.messages import Received, RejectReason
from city.store import StoreDown
from ingest.batch import Batch
from ingest.pipeline import STEPS, Pipeline

ROOT = Path(__file__).resolve().parents[3]
CONFIG = load_config(ROOT / "config.yaml", {})


@pytest.fixture(scope="module")
def areas() -> Areas:
    return load_areas(ROOT / "data" / "tashkent")


def pipeline_on(store: PlayedStore, areas: Areas, config: Config = CONFIG) -> Pipeline:
    pipeline = Pipeline(config, areas, store)  # type: ignore[arg-type]
    pipeline.resume()
    return pipeline


def message(topic: str, payload: dict[str, Any] | bytes, **how: Any) -> Received:
    raw = payload if isinstance(payload, bytes) else json.dumps({"ts": NOW} | payload).encode()
    return Received(f"markaz/v1/tashkent/{topic}", raw, NOW, **how)


def position(vehicle: str = "b", *, again: bool = False, **said: Any) -> Received:
    return message(f"vehicle/{vehicle}/position", {"lat": 41.2953, "lon": 69.1860} | said, again=again)


def test_the_steps_stand_in_order() -> None:
    assert [step.__name__ for step in STEPS] == ["decode", "recognise", "recall", "check", "locate", "enrich"]


def test_a_position_arrives_with_its_district_and_mahalla(areas: Areas) -> None:
    store = PlayedStore()
    inside = areas.by_code["1726262001"].polygon.representative_point()
    pipeline_on(store, areas).run(
        Batch([position(lat=inside.y, lon=inside.x), position("c", lat=41.16, lon=69.11)], NOW)
    )
    inner, outer = (reading.event for reading in store.readings)
    assert isinstance(inner, VehiclePosition)
    assert isinstance(outer, VehiclePosition)
    assert (inner.district, inner.mahalla) == ("1726262", "1726262001")
    assert (outer.district, outer.mahalla) == (None, None)


def test_a_case_without_a_place_is_located_by_its_address_code(areas: Areas) -> None:
    store = PlayedStore()
    case = {"category": "roads", "status": "open", "address_code": "1726262001" + "0077"}
    pipeline_on(store, areas).run(Batch([message("case/1055/1", case)], NOW))
    event = store.readings[0].event
    assert isinstance(event, Case)
    assert (event.district, event.mahalla) == ("1726262", "1726262001")


def test_every_message_has_one_outcome_and_a_null_position_keeps_its_status_uncounted(areas: Areas) -> None:
    store = PlayedStore()
    batch = [
        position(),
        position(),
        position(lat=None),
        message("vehicle/b/position", b"{"),
        message("bus/b/x", {}),
        position("d", lat=0.0, lon=0.0),
    ]
    pipeline_on(store, areas).run(Batch(batch, NOW))
    # The second position is a duplicate: the store says so.
    assert [reading.feed for reading in store.readings] == ["vehicle/position", ""]
    assert [reading.feed for reading in store.looked_at] == ["vehicle/position"]
    assert sorted(reject.reason for reject in store.rejects) == [
        RejectReason.NO_POSITION,
        RejectReason.NOT_JSON,
        RejectReason.OUT_OF_AREA,
        RejectReason.UNKNOWN_TOPIC,
    ]


def test_memory_is_taken_up_from_the_store(areas: Areas) -> None:
    """The fix, the places and the camera of before the restart still count."""
    known = [
        VehiclePosition(vehicle_id="b", measured_ms=NOW - 1000, received_ms=NOW, lat=41.3, lon=69.2),
        PassengerCount(vehicle_id="b", measured_ms=NOW - 1000, received_ms=NOW, onboard=30, capacity=90),
        CameraStatus(camera_id="c", measured_ms=NOW - 1000, received_ms=NOW, online=True, lat=41.3, lon=69.2),
    ]
    store = PlayedStore(known)
    batch = [
        position(lat=41.4, lon=69.3),
        message("vehicle/b/passengers", {"in": 1, "out": 0}),
        message("camera/c/status", {"online": False}),
    ]
    pipeline_on(store, areas).run(Batch(batch, NOW))
    assert [reject.reason for reject in store.rejects] == [RejectReason.IMPOSSIBLE_SPEED]
    events = {reading.event.facet: reading.event for reading in store.readings}
    passengers, camera = events[Facet.PASSENGERS], events[Facet.CAMERA_STATUS]
    assert isinstance(passengers, PassengerCount)
    assert passengers.capacity == 90
    assert isinstance(camera, CameraStatus)
    assert (camera.online, camera.lat) == (False, 41.3)


def fuel(vehicle: str, at: int, **said: Any) -> Received:
    return message(f"vehicle/{vehicle}/fuel", {"ts": NOW + at} | said)


def test_a_worker_that_is_alone_asks_the_store_once_for_what_messages_leave_unsaid(areas: Areas) -> None:
    known = [FuelReading(vehicle_id="b", measured_ms=NOW - 1000, received_ms=NOW, level_l=50, capacity_l=200)]
    store = PlayedStore(known)
    pipeline = pipeline_on(store, areas)
    for at in range(3):
        pipeline.run(Batch([fuel("b", at, level_pct=50), fuel("c", at, level_pct=50, capacity_l=100)], NOW))
    assert store.asked_for == [(Facet.FUEL, ["b"])]
    assert [getattr(one.event, "level_l", None) for one in store.readings if one.event.entity == "b"] == [100] * 3


def test_a_worker_among_others_asks_the_store_each_time(areas: Areas) -> None:
    store = PlayedStore()
    pipeline = pipeline_on(store, areas)
    pipeline.memory.alone = False
    for at in range(2):
        pipeline.run(Batch([fuel("b", at, level_pct=50)], NOW))
    assert store.asked_for == [(Facet.FUEL, ["b"]), (Facet.FUEL, ["b"])]


def test_what_the_store_has_and_the_broker_sends_again_goes_no_further(areas: Areas) -> None:
    store = PlayedStore()
    pipeline = pipeline_on(store, areas)
    first = Batch([position(), message("vehicle/b/fuel", b"[]")], NOW)
    pipeline.run(first)
    again = Batch([position(again=True), message("vehicle/b/fuel", b"[]", again=True), position("c", again=True)], NOW)
    pipeline.run(again)
    assert (first.known, again.known) == (0, 2)
    assert [reading.event.entity for reading in store.readings] == ["b", "c"]
    assert len(store.rejects) == 1
    assert store.looked_at == []


def test_a_payload_above_the_limit_is_known_again_too(areas: Areas) -> None:
    store = PlayedStore()
    pipeline = pipeline_on(store, areas)
    for again in (False, True):
        pipeline.run(Batch([message("vehicle/b/fuel", b"x" * 70_000, again=again)], NOW))
    assert [reject.reason for reject in store.rejects] == [RejectReason.TOO_LARGE]


def test_the_same_bytes_without_the_brokers_mark_are_a_second_message(areas: Areas) -> None:
    store = PlayedStore()
    pipeline = pipeline_on(store, areas)
    for _ in range(2):
        pipeline.run(Batch([position(), message("vehicle/b/fuel", b"[]")], NOW))
    assert len(store.looked_at) == 1, "told as a duplicate"
    assert len(store.rejects) == 2


def test_what_a_killed_worker_stored_is_known_from_the_store(areas: Areas) -> None:
    store = PlayedStore()
    pipeline_on(store, areas).run(Batch([position()], NOW))
    (part,) = store.commits.parts(store.readings, [])
    store.lately = {(part.partition, digest) for digest in part.digests}
    again = Batch([position(again=True)], NOW)
    pipeline_on(store, areas).run(again)
    assert again.known == 1
    assert len(store.readings) == 1


@pytest.mark.parametrize("step", ["recognise", "recall"])
def test_a_step_that_finds_the_store_down_is_done_when_it_is_back(areas: Areas, step: str) -> None:
    store = PlayedStore()
    pipeline = pipeline_on(store, areas)
    batch = Batch([position(again=step == "recognise"), fuel("b", 0, level_pct=50), fuel("c", 0)], NOW)
    store.down = True
    with pytest.raises(StoreDown):
        pipeline.prepare(batch)
    assert STEPS[batch.steps_done].__name__ == step
    store.down = False
    pipeline.run(batch)
    assert len(store.readings) + len(store.rejects) == 3


def test_a_store_that_is_down_gets_the_same_batch_under_the_same_number(areas: Areas) -> None:
    store = PlayedStore()
    store.last = 9 * 10**15
    store.faults.extend([Fault.NOT_ANSWERED, Fault.NOT_SENT])
    pipeline, batch = pipeline_on(store, areas), Batch([position(), position("c")], NOW)
    for _ in range(2):
        with pytest.raises(StoreDown):
            pipeline.run(batch)
    pipeline.run(batch)
    pipeline.run(Batch([position("d")], NOW))
    assert sorted(set(store.numbers)) == [9 * 10**15 + 1, 9 * 10**15 + 2]
    assert [reading.event.entity for reading in store.readings] == ["b", "c", "d"]
    assert store.rejects == []


def test_one_message_that_the_store_refuses_becomes_a_reject_and_the_rest_is_stored(areas: Areas) -> None:
    store = PlayedStore()
    store.poison = poisoned({"bus-37"})
    names = [f"bus-{n}" for n in range(100)]
    batch = [*(position(name) for name in names), message("vehicle/b/fuel", b"[]")]
    pipeline_on(store, areas).run(Batch(batch, NOW))
    assert {reading.event.entity for reading in store.readings} == set(names) - {"bus-37"}
    assert len(store.readings) == 99
    assert sorted(reject.reason for reject in store.rejects) == [RejectReason.BAD_TYPE, RejectReason.STORE_REFUSED]


def test_a_batch_that_is_cut_is_stored_once_and_in_its_order(areas: Areas) -> None:
    """With a store that fails in between, too."""
    store = PlayedStore()
    store.poison = poisoned({"bus-3", "bus-60"})
    store.faults.extend([Fault.NOT_ANSWERED, None, Fault.NOT_ANSWERED, None, None, Fault.NOT_SENT])
    pipeline, batch = pipeline_on(store, areas), Batch([position(f"bus-{n}") for n in range(80)], NOW)
    for _ in range(3):
        with pytest.raises(StoreDown):
            pipeline.run(batch)
    pipeline.run(batch)
    stored = [int(reading.event.entity.removeprefix("bus-")) for reading in store.readings]
    assert sorted(stored) == [n for n in range(80) if n not in (3, 60)]
    for partition in range(store.keys.partitions):
        part = [n for n in stored if partition_of(f"bus-{n}", store.keys.partitions) == partition]
        assert part == sorted(part)
    assert len(store.rejects) == 2
