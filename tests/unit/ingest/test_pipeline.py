"""The steps on whole batches, the store played by a list."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from city.areas import Areas, load_areas
from city.config import Config, load_config
from city.keys import Keys, partition_of
from city.models import (
    CameraStatus,
    Case,
    Event,
    Facet,
    PassengerCount,
    Reading,
    Received,
    Reject,
    RejectReason,
    VehiclePosition,
)
from city.store import StoreDown, StoreRefused
from ingest.pipeline import STEPS, Batch, Pipeline

ROOT = Path(__file__).resolve().parents[3]
NOW = 1_777_870_800_000
CONFIG = load_config(ROOT / "config.yaml", {})


class PlayedStore:
    """Keeps what is committed as the real one does.

    Each partition, and the rejects, take a batch number once and by themselves: when one of them
    refuses its part, the others have theirs.
    """

    def __init__(self, latest: Sequence[Event] = ()) -> None:
        self.keys = Keys("tashkent", 8)
        self.events: list[Reading] = []
        self.rejects: list[Reject] = []
        self.numbers: list[int] = []
        self.failures: list[Exception] = []
        self.poison: set[str] = set()
        self._latest = latest
        self._last: dict[int | None, int] = {}

    def last_batch(self, worker: str) -> int:
        return 41

    def latest(self, facet: Facet) -> Iterator[Event]:
        return iter([event for event in self._latest if event.facet is facet])

    def commit(
        self, worker: str, number: int, events: Sequence[Reading], rejects: Sequence[Reject], **_: Any
    ) -> list[Reading]:
        self.numbers.append(number)
        if self.failures:
            raise self.failures.pop(0)
        parts: dict[int, list[Reading]] = {}
        for reading in events:
            parts.setdefault(partition_of(reading.event.entity, 8), []).append(reading)
        refused = False
        for partition, part in parts.items():
            if any(reading.event.entity in self.poison for reading in part):
                refused = True
            elif self._is_new(partition, number):
                self.events += part
        if rejects and self._is_new(None, number):
            self.rejects += rejects
        if refused:
            raise StoreRefused("WRONGTYPE")
        return []

    def _is_new(self, partition: int | None, number: int) -> bool:
        new = number > self._last.get(partition, -1)
        self._last[partition] = max(number, self._last.get(partition, -1))
        return new


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


def position(vehicle: str = "b", **said: Any) -> Received:
    return message(f"vehicle/{vehicle}/position", {"lat": 41.2953, "lon": 69.1860} | said)


def test_the_steps_stand_in_order() -> None:
    assert [step.__name__ for step in STEPS] == ["decode", "check", "locate", "enrich", "store"]


def test_a_position_arrives_with_its_district_and_mahalla(areas: Areas) -> None:
    store = PlayedStore()
    inside = areas.by_code["1726262001"].polygon.representative_point()
    pipeline_on(store, areas).run(
        Batch([position(lat=inside.y, lon=inside.x), position("c", lat=41.16, lon=69.11)], NOW)
    )
    inner, outer = (reading.event for reading in store.events)
    assert isinstance(inner, VehiclePosition)
    assert isinstance(outer, VehiclePosition)
    assert (inner.district, inner.mahalla) == ("1726262", "1726262001")
    assert (outer.district, outer.mahalla) == (None, None)


def test_a_case_without_a_place_is_located_by_its_address_code(areas: Areas) -> None:
    store = PlayedStore()
    case = {"category": "roads", "status": "open", "address_code": "1726262001" + "0077"}
    pipeline_on(store, areas).run(Batch([message("case/1055/1", case)], NOW))
    event = store.events[0].event
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
    assert [reading.feed for reading in store.events] == ["vehicle/position", ""]
    assert sorted(reject.reason for reject in store.rejects) == [
        RejectReason.DUPLICATE,
        RejectReason.NO_POSITION,
        RejectReason.NOT_JSON,
        RejectReason.OUT_OF_AREA,
        RejectReason.UNKNOWN_TOPIC,
    ]


def test_memory_is_taken_up_from_the_store(areas: Areas) -> None:
    """The fix, the passengers and the camera of before the restart still count."""
    known = [
        VehiclePosition(vehicle_id="b", measured_ms=NOW - 1000, received_ms=NOW, lat=41.3, lon=69.2),
        PassengerCount(vehicle_id="b", measured_ms=NOW - 1000, received_ms=NOW, onboard=30, capacity=90),
        CameraStatus(camera_id="c", measured_ms=NOW - 1000, received_ms=NOW, online=True, lat=41.3, lon=69.2),
    ]
    store = PlayedStore(known)
    batch = [
        position(lat=41.4, lon=69.3),
        message("vehicle/b/passengers", {"in": 1, "out": 0}),
        message("camera/c/status", {"online": True, "ts": NOW - 1000}, retained=True),
        message("camera/c/status", {"online": False}),
    ]
    pipeline_on(store, areas).run(Batch(batch, NOW))
    assert [reject.reason for reject in store.rejects] == [RejectReason.IMPOSSIBLE_SPEED]
    passengers, camera = (reading.event for reading in store.events)
    assert isinstance(passengers, PassengerCount)
    assert (passengers.onboard, passengers.capacity) == (31, 90)
    assert isinstance(camera, CameraStatus)
    assert (camera.online, camera.lat) == (False, 41.3)


def test_a_store_that_is_down_gets_the_same_batch_under_the_same_number(areas: Areas) -> None:
    store = PlayedStore()
    store.failures = [StoreDown("gone"), StoreDown("gone")]
    pipeline, batch = pipeline_on(store, areas), Batch([position(), position("c")], NOW)
    for _ in range(2):
        with pytest.raises(StoreDown):
            pipeline.run(batch)
    pipeline.run(batch)
    pipeline.run(Batch([position("d")], NOW))
    assert store.numbers == [42, 42, 42, 43]
    assert [reading.event.entity for reading in store.events] == ["b", "c", "d"]
    assert store.rejects == []


def test_one_message_that_the_store_refuses_becomes_a_reject_and_the_rest_is_stored(areas: Areas) -> None:
    store = PlayedStore()
    store.poison = {"bus-37"}
    names = [f"bus-{n}" for n in range(100)]
    batch = [*(position(name) for name in names), message("vehicle/b/fuel", b"[]")]
    pipeline_on(store, areas).run(Batch(batch, NOW))
    assert {reading.event.entity for reading in store.events} == set(names) - store.poison
    assert len(store.events) == 99
    assert sorted(reject.reason for reject in store.rejects) == [RejectReason.BAD_TYPE, RejectReason.STORE_REFUSED]


def test_a_batch_that_is_cut_is_stored_once_and_in_its_order(areas: Areas) -> None:
    """With a store that fails in between, too."""
    store = PlayedStore()
    store.poison = {"bus-3", "bus-60"}
    store.failures = [StoreDown("gone")] * 3
    pipeline, batch = pipeline_on(store, areas), Batch([position(f"bus-{n}") for n in range(80)], NOW)
    for _ in range(3):
        with pytest.raises(StoreDown):
            pipeline.run(batch)
    pipeline.run(batch)
    stored = [int(reading.event.entity.removeprefix("bus-")) for reading in store.events]
    assert sorted(stored) == [n for n in range(80) if n not in (3, 60)]
    for partition in range(8):
        part = [n for n in stored if partition_of(f"bus-{n}", 8) == partition]
        assert part == sorted(part)
    assert len(store.rejects) == 2
