"""The store's own promises, on a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import Valkey

from city.keys import Keys
from city.models import Facet, PassengerCount, Reading, Received, RejectReason, VehiclePosition
from city.store import Store, StoreRefused

NOW = time.time_ns() // 1_000_000


@pytest.fixture
def store(valkey: Valkey) -> Iterator[Store]:
    opened = Store(valkey.url, "tashkent", 4)
    yield opened
    opened.close()


def reading(vehicle: str, measured_ms: int) -> Reading:
    event = VehiclePosition(vehicle_id=vehicle, measured_ms=measured_ms, received_ms=NOW, lat=41.3, lon=69.2)
    return Reading("vehicle/position", event, Received("topic", b"{}", NOW))


def door(name: str, boarded: int) -> Reading:
    event = PassengerCount(
        vehicle_id="a", measured_ms=NOW, received_ms=NOW, boarded=boarded, alighted=0, door=name, onboard=boarded
    )
    return Reading("vehicle/passengers", event, Received("topic", b"{}", NOW))


def commit(store: Store, number: int, *events: Reading) -> list[Reading]:
    return store.commit("worker", number, events, [], now_ms=NOW, events_keep_s=60, rejects_max=100)


def feed(store: Store, name: str) -> tuple[int, int, int, dict[str, int]]:
    (count,) = [count for count in store.counts() if count.feed == name]
    return count.received, count.stored, count.late, count.rejected


def test_the_newest_measurement_wins_whatever_the_order(store: Store) -> None:
    commit(store, 1, reading("a", NOW), reading("a", NOW - 5000), reading("a", NOW + 1000), reading("a", NOW - 1))
    (newest,) = store.latest(Facet.POSITION)
    assert newest.measured_ms == NOW + 1000
    assert feed(store, "vehicle/position") == (4, 2, 2, {})


def test_a_batch_sent_twice_counts_once_and_is_answered_alike(store: Store) -> None:
    batch = (reading("a", NOW), reading("a", NOW), reading("b", NOW))
    first = commit(store, 1, *batch)
    second = commit(store, 1, *batch)
    assert len(first) == 1
    assert first == second
    assert feed(store, "vehicle/position") == (3, 2, 0, {"duplicate": 1})
    assert [r.reason for r in store.rejects(limit=10)] == [RejectReason.DUPLICATE]


def test_counts_of_several_doors_at_one_time_each_count_once(store: Store) -> None:
    commit(store, 1, door("1", 4), door("2", 5))
    assert [t.event for t in commit(store, 2, door("1", 4), door("2", 5), door("3", 1))] == [
        door("1", 4).event,
        door("2", 5).event,
    ]
    assert feed(store, "vehicle/passengers") == (5, 3, 0, {"duplicate": 2})


def test_a_batch_that_cannot_be_written_whole_writes_nothing(store: Store, valkey: Valkey) -> None:
    import redis

    redis.Redis.from_url(valkey.url).set(Keys("tashkent", 4).latest(_partition("a"), Facet.PASSENGERS), "not a hash")
    with pytest.raises(StoreRefused):
        commit(store, 1, reading("a", NOW), door("1", 1))
    assert list(store.latest(Facet.POSITION)) == []
    assert commit(store, 2, reading("a", NOW)) == []
    assert feed(store, "vehicle/position") == (1, 1, 0, {})


def test_scripts_lost_by_the_store_are_loaded_again(store: Store, valkey: Valkey) -> None:
    import redis

    commit(store, 1, reading("a", NOW))
    redis.Redis.from_url(valkey.url).script_flush()
    commit(store, 2, reading("a", NOW + 1), reading("b", NOW))
    assert feed(store, "vehicle/position") == (3, 3, 0, {})


def test_a_store_on_a_socket_file_can_be_opened(tmp_path: Path) -> None:
    Store(f"unix://{tmp_path}/store.sock", "tashkent", 4).close()


def _partition(vehicle: str) -> int:
    from city.keys import partition_of

    return partition_of(vehicle, 4)
