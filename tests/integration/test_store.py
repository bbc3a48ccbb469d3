"""The store's own promises, on a real server: what its scripts decide, where all workers' messages come together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import redis
from servers import Valkey

from city.commits import Keep, Part
from city.events import CameraEvent, CameraStatus, Event, Facet, FuelReading, PassengerCount, VehiclePosition
from city.keys import Keys, partition_of
from city.link import Durability
from city.messages import Reading, Received, Reject, RejectReason
from city.store import Store, StoreDown, StoreFenced, StoreMismatch, StoreRefused
from ingest.batch import Batch
from ingest.writer import Writer

pytestmark = pytest.mark.integration
NOW = time.time_ns() // 1_000_000
AT = {"measured_ms": NOW, "received_ms": NOW}
PARTITIONS = 4


@pytest.fixture
def store(valkey: Valkey) -> Iterator[Store]:
    opened = Store(valkey.url, "tashkent", PARTITIONS)
    yield opened
    opened.close()


@pytest.fixture
def redis_(valkey: Valkey) -> Iterator[redis.Redis]:
    """A client beside the store's own."""
    client = redis.Redis.from_url(valkey.url)
    yield client
    client.close()


def reading(vehicle: str, measured_ms: int, payload: bytes = b"{}", *, feed: str = "vehicle/position") -> Reading:
    event = VehiclePosition(vehicle_id=vehicle, measured_ms=measured_ms, received_ms=NOW, lat=41.3, lon=69.2)
    return Reading(feed, event, Received("topic", payload, NOW))


def passengers(at: int = 0, *, vehicle: str = "a", **said: int | str) -> Reading:
    """A count of passengers, measured `at` milliseconds after NOW."""
    event = PassengerCount(vehicle_id=vehicle, measured_ms=NOW + at, received_ms=NOW, **said)  # type: ignore[arg-type]
    return Reading("vehicle/passengers", event, Received("topic", b"{}", NOW))


def door(name: str, boarded: int, alighted: int = 0, at: int = 0) -> Reading:
    return passengers(at, boarded=boarded, alighted=alighted, door=name)


def of(event: Event, *, retained: bool = False) -> Reading:
    return Reading("feed", event, Received("topic", b"{}", NOW, retained))


def reject(detail: str = "d", payload: bytes = b"\xff") -> Reject:
    message = Received("topic", payload, NOW)
    return Reject(feed="f", reason=RejectReason.NOT_UTF8, detail=detail, message=message)


def commit(store: Store, number: int, *readings: Reading, worker: str = "worker") -> list[Reading]:
    return store.commit(worker, number, readings, [], now_ms=NOW)


def feed(store: Store, name: str) -> tuple[int, int, int, dict[str, int]]:
    (count,) = [count for count in store.counts() if count.feed == name]
    return count.received, count.stored, count.late, count.rejected


def on_board(store: Store, vehicle: str = "a") -> tuple[int | None, bool]:
    """How many the newest count says, and whether it was summed up."""
    (count,) = [one for one in store.latest(Facet.PASSENGERS) if one.entity == vehicle]
    assert isinstance(count, PassengerCount)
    return count.onboard, count.estimated


def streamed(store: Store) -> list[tuple[Event, bool]]:
    """All events of the streams, with whether they were late."""
    cursors = dict.fromkeys(range(PARTITIONS), "0-0")
    found: list[tuple[Event, bool]] = []
    while entries := store.read_events(cursors, block_ms=1):
        found += [(stored.event, stored.late) for entry in entries for stored in entry.events]
    return found


# --- order, duplicates, marks --------------------------------------------------------------------------------


def test_the_newest_measurement_wins_whatever_the_order(store: Store) -> None:
    commit(store, 1, reading("a", NOW), reading("a", NOW - 5000), reading("a", NOW + 1000), reading("a", NOW - 1))
    (newest,) = store.latest(Facet.POSITION)
    assert newest.measured_ms == NOW + 1000
    assert feed(store, "vehicle/position") == (4, 2, 2, {})
    assert sorted((event.measured_ms - NOW, late) for event, late in streamed(store)) == [
        (-5000, True),
        (-1, True),
        (0, False),
        (1000, False),
    ]


def test_times_of_different_length_are_compared_as_numbers(store: Store) -> None:
    commit(store, 1, reading("a", 999), reading("a", 1000))
    commit(store, 2, reading("a", 998))
    (newest,) = store.latest(Facet.POSITION)
    assert newest.measured_ms == 1000
    assert feed(store, "vehicle/position") == (3, 2, 1, {})


def test_a_measurement_that_comes_as_a_second_message_is_a_duplicate(store: Store) -> None:
    commit(store, 1, reading("a", NOW), reading("b", NOW))
    again = reading("a", NOW, b"the same again")
    assert commit(store, 2, again, reading("a", NOW + 1), worker="another") == [again]
    assert feed(store, "vehicle/position") == (4, 3, 0, {"duplicate": 1})
    (kept,) = store.rejects(limit=10)
    assert (kept.reason, kept.payload) == (RejectReason.DUPLICATE, b"the same again")


def test_facets_of_one_vehicle_have_orders_of_their_own(store: Store) -> None:
    commit(store, 1, reading("a", NOW))
    fuel = FuelReading(vehicle_id="a", measured_ms=NOW - 5000, received_ms=NOW, level_l=50)
    commit(store, 2, of(fuel))
    assert list(store.latest(Facet.FUEL)) == [fuel]
    assert feed(store, "feed") == (1, 1, 0, {})


def test_kinds_of_one_vehicles_messages_at_one_time_are_no_duplicates(store: Store) -> None:
    """HFP sends a position and a stop event of the same second."""

    def kind(name: str, at: int = 0) -> Reading:
        event = VehiclePosition(vehicle_id="a", measured_ms=NOW + at, received_ms=NOW, lat=41.3, lon=69.2, kind=name)
        return of(event)

    assert commit(store, 1, kind("vp"), kind("due"), kind("arr")) == []
    again = kind("due")
    assert commit(store, 2, again, kind("vp", 1)) == [again]
    assert feed(store, "feed") == (5, 4, 0, {"duplicate": 1})


def test_an_online_and_an_offline_status_of_one_millisecond_both_count_and_the_later_stays(store: Store) -> None:
    online, offline = (CameraStatus(camera_id="c", online=online, **AT) for online in (True, False))
    assert commit(store, 1, of(online), of(offline)) == []
    assert list(store.latest(Facet.CAMERA_STATUS)) == [offline]
    first, second = of(online), of(offline)
    assert commit(store, 2, first, second) == [first, second]
    assert list(store.latest(Facet.CAMERA_STATUS)) == [offline]


def test_marks_of_one_time_are_remembered_up_to_a_bound(store: Store, redis_: redis.Redis) -> None:
    """A camera that sends a thousand events of one time must not make the store's field grow for ever."""
    events = [CameraEvent(camera_id="c", kind="car", event_id=f"{n:030}", **AT) for n in range(1000)]
    assert commit(store, 1, *map(of, events[:50])) == []
    assert len(commit(store, 2, *map(of, events[:50]))) == 50
    commit(store, 3, *map(of, events[50:]))
    (stamp,) = redis_.hvals(store.keys.measured(partition_of("c", PARTITIONS), Facet.CAMERA_EVENT))
    assert len(stamp) < 3000
    assert feed(store, "feed")[0] == 1050


# --- retained messages ----------------------------------------------------------------------------------------


def test_a_retained_message_that_says_nothing_new_is_no_message(store: Store) -> None:
    """The broker sends it again at every new subscription."""
    online = CameraStatus(camera_id="c", online=True, **AT)
    older = CameraStatus(camera_id="c", online=False, measured_ms=NOW - 1000, received_ms=NOW)
    newer = CameraStatus(camera_id="c", online=False, measured_ms=NOW + 1000, received_ms=NOW)
    commit(store, 1, of(online, retained=True))
    assert feed(store, "feed") == (1, 1, 0, {})
    assert commit(store, 2, of(online, retained=True), of(older, retained=True)) == []
    assert feed(store, "feed") == (1, 1, 0, {})
    assert len(streamed(store)) == 1
    commit(store, 3, of(newer, retained=True))
    assert feed(store, "feed") == (2, 2, 0, {})
    assert list(store.latest(Facet.CAMERA_STATUS)) == [newer]


def test_the_same_status_said_live_is_a_duplicate(store: Store) -> None:
    online = CameraStatus(camera_id="c", online=True, **AT)
    commit(store, 1, of(online, retained=True), of(online))
    assert feed(store, "feed") == (2, 1, 0, {"duplicate": 1})


# --- passengers -----------------------------------------------------------------------------------------------


def test_counts_in_and_out_are_summed_up_over_batches_and_workers(store: Store) -> None:
    commit(store, 1, passengers(1, boarded=5, alighted=0), passengers(2, boarded=2, alighted=3))
    assert on_board(store) == (4, True)
    commit(store, 1, passengers(3, boarded=0, alighted=6), worker="another")
    assert on_board(store) == (-2, True), "kept where the counters drift, never clamped"
    assert [getattr(event, "onboard", None) for event, _ in streamed(store)] == [5, 4, -2]


def test_sums_of_vehicles_are_their_own(store: Store) -> None:
    commit(store, 1, *(passengers(1, vehicle=f"v{n}", boarded=n) for n in range(20)))
    commit(store, 2, *(passengers(2, vehicle=f"v{n}", boarded=1) for n in range(20)))
    assert [on_board(store, f"v{n}") for n in range(20)] == [(n + 1, True) for n in range(20)]


def test_a_vehicles_own_number_replaces_the_sum_and_counting_goes_on_from_it(store: Store) -> None:
    commit(store, 1, passengers(1, boarded=5))
    commit(store, 2, passengers(2, onboard=20, capacity=90))
    assert on_board(store) == (20, False)
    commit(store, 3, passengers(3, boarded=1))
    assert on_board(store) == (21, True)
    commit(store, 4, passengers(4, onboard=0), passengers(5, boarded=2))
    assert on_board(store) == (2, True), "nobody on board is a number too"


def test_who_got_on_before_the_vehicle_said_its_own_number_is_not_added_to_it(store: Store) -> None:
    commit(store, 1, passengers(5, onboard=20))
    commit(store, 2, passengers(3, boarded=9))
    commit(store, 3, passengers(6, boarded=1))
    assert on_board(store) == (21, True)
    assert feed(store, "vehicle/passengers") == (3, 2, 1, {})


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_who_got_on_after_the_vehicles_own_number_is_added_in_whatever_order_it_is_told(
    store: Store, in_one_batch: bool
) -> None:
    said = [passengers(2, onboard=20), passengers(5, boarded=1), passengers(4, boarded=3), passengers(6, boarded=0)]
    for number, batch in enumerate([said] if in_one_batch else [[one] for one in said]):
        commit(store, number, *batch)
    assert on_board(store) == (24, True)


def test_a_vehicles_own_number_that_comes_late_changes_nothing(store: Store) -> None:
    commit(store, 1, passengers(5, onboard=20), passengers(3, onboard=50), passengers(6, boarded=1))
    assert on_board(store) == (21, True)


def test_doors_of_one_moment_all_count_and_each_once(store: Store) -> None:
    commit(store, 1, door("1", 4), door("2", 5))
    assert on_board(store) == (9, True)
    again = [door("1", 4), door("2", 5)]
    assert commit(store, 2, *again, door("3", 1)) == again
    assert on_board(store) == (10, True)
    assert feed(store, "vehicle/passengers") == (5, 3, 0, {"duplicate": 2})


def test_a_resent_batch_adds_nothing_to_a_sum(store: Store) -> None:
    batch = (passengers(1, boarded=5), passengers(2, boarded=1), passengers(2, boarded=1))
    for _ in range(3):
        assert commit(store, 1, *batch) == [batch[2]]
    assert on_board(store) == (6, True)


# --- batch numbers --------------------------------------------------------------------------------------------


def test_a_batch_sent_twice_counts_once_and_is_answered_alike(store: Store) -> None:
    batch = (reading("a", NOW), reading("a", NOW), reading("b", NOW))
    first = commit(store, 1, *batch)
    second = commit(store, 1, *batch)
    assert len(first) == 1
    assert first == second
    assert feed(store, "vehicle/position") == (3, 2, 0, {"duplicate": 1})
    assert [r.reason for r in store.rejects(limit=10)] == [RejectReason.DUPLICATE]


def test_numbers_sent_again_in_any_order_within_64_count_once(store: Store) -> None:
    for number in range(64):
        commit(store, number, reading("a", NOW + number))
    for number in (63, 0, 31, 1, 62):
        commit(store, number, reading("a", NOW + number))
    assert feed(store, "vehicle/position") == (64, 64, 0, {})
    # The 65th takes the place of the first.
    commit(store, 64, reading("a", NOW + 64))
    commit(store, 1, reading("a", NOW + 1))
    assert feed(store, "vehicle/position") == (65, 65, 0, {})


def test_numbers_of_workers_are_their_own(store: Store) -> None:
    commit(store, 7, reading("a", NOW), worker="w")
    commit(store, 7, reading("a", NOW + 1), worker="w-2")
    assert feed(store, "vehicle/position") == (2, 2, 0, {})
    assert (store.last_batch("w"), store.last_batch("w-2"), store.last_batch("nobody")) == (7, 7, -1)


def test_the_last_number_is_the_highest_in_whatever_order_they_are_written(store: Store) -> None:
    """A number that was taken must not be given to another batch: the store would think that it has it."""
    commit(store, 6, reading("a", NOW))
    commit(store, 5, reading("a", NOW + 1))
    store.commit("worker", 9, [], [reject()], now_ms=NOW)
    store.commit("worker", 8, [], [reject()], now_ms=NOW)
    assert store.last_batch("worker") == 9
    store.commit("alone", 6, [reading("a", NOW + 2)], [], now_ms=NOW)
    store.commit("alone", 5, [reading("a", NOW + 3)], [], now_ms=NOW)
    assert store.last_batch("alone") == 6


def test_numbers_of_sixteen_digits_are_told_apart(store: Store) -> None:
    """They begin with the microseconds of a worker's start."""
    first = 1_777_870_800_123_457
    commit(store, first, reading("a", NOW))
    commit(store, first + 64, reading("a", NOW + 1))
    commit(store, first + 64, reading("a", NOW + 1))
    store.commit("worker", first + 65, [], [reject()], now_ms=NOW)
    assert store.last_batch("worker") == first + 65
    assert feed(store, "vehicle/position") == (2, 2, 0, {})


def test_a_refused_part_goes_under_another_number_although_a_later_one_was_written(
    store: Store, redis_: redis.Redis
) -> None:
    broken = store.keys.latest(partition_of("a", PARTITIONS), Facet.PASSENGERS)
    redis_.set(broken, "not a hash")
    with pytest.raises(StoreRefused):
        commit(store, 1, reading("a", NOW), passengers(boarded=1))
    commit(store, 2, reading("a", NOW + 1))
    redis_.delete(broken)
    commit(store, 3, reading("a", NOW), passengers(boarded=1))
    assert feed(store, "vehicle/position") == (2, 1, 1, {})
    assert on_board(store) == (1, True)


def test_a_batch_that_cannot_be_written_whole_writes_nothing(store: Store, redis_: redis.Redis) -> None:
    redis_.set(Keys("tashkent", PARTITIONS).latest(partition_of("a", PARTITIONS), Facet.PASSENGERS), "not a hash")
    with pytest.raises(StoreRefused):
        commit(store, 1, reading("a", NOW), door("1", 1))
    assert list(store.latest(Facet.POSITION)) == []
    assert streamed(store) == []
    assert store.lately_stored() == set()
    assert commit(store, 2, reading("a", NOW)) == []
    assert feed(store, "vehicle/position") == (1, 1, 0, {})


@pytest.mark.parametrize("name", ["counts", "events", "digests", "onboard", "batches"])
def test_whatever_name_is_broken_a_refused_batch_leaves_no_trace(store: Store, redis_: redis.Redis, name: str) -> None:
    partition = partition_of("a", PARTITIONS)
    redis_.set(getattr(store.keys, name)(partition), "not what it should be")
    before = sorted(redis_.keys())
    with pytest.raises(StoreRefused):
        commit(store, 1, reading("a", NOW), passengers(boarded=1))
    assert sorted(redis_.keys()) == before


@pytest.mark.parametrize("name", ["counts", "digests", "batches"])
def test_whatever_name_is_broken_refused_rejects_leave_no_trace(store: Store, redis_: redis.Redis, name: str) -> None:
    redis_.set(getattr(store.keys, name)(None), "not what it should be")
    with pytest.raises(StoreRefused):
        store.commit("worker", 1, [], [reject()], now_ms=NOW)
    assert store.rejects(limit=10) == []


# --- batches on their way --------------------------------------------------------------------------------------


def parts_of(store: Store, *readings: Reading, rejects: Sequence[Reject] = ()) -> list[Part]:
    return store.commits.parts(readings, list(rejects))


def batch_of(*readings: Reading, rejects: Sequence[Reject] = ()) -> Batch:
    messages = [one.message for one in readings] + [one.message for one in rejects]
    return Batch(messages, NOW, list(readings), list(rejects))


def settled(writer: Writer) -> list[Batch]:
    done: list[Batch] = []
    while len(writer):
        done += writer.settle(wait=True)
    return done


def test_two_batches_on_their_way_are_answered_in_order(store: Store) -> None:
    first = parts_of(store, *(reading(f"v{n}", NOW) for n in range(20)))
    again = [reading(f"v{n}", NOW) for n in range(20)]
    sent = [
        store.send("worker", [(1, part) for part in first], now_ms=NOW),
        store.send("worker", [(2, part) for part in parts_of(store, *again)], now_ms=NOW),
    ]
    assert all(isinstance(outcome, list) and not outcome for outcome in sent[0].outcomes())
    duplicates = [one for outcome in sent[1].outcomes() if isinstance(outcome, list) for one in outcome]
    assert sorted(map(id, duplicates)) == sorted(map(id, again))


def test_the_first_reject_may_come_while_another_batch_is_on_its_way(store: Store) -> None:
    """Its script is not loaded yet, and the next answer on the connection is not for the loading."""
    writer = Writer(store, "worker")
    first, second = batch_of(reading("a", NOW)), batch_of(reading("b", NOW), rejects=[reject()])
    writer.send(first)
    writer.send(second)
    assert settled(writer) == [first, second]
    assert feed(store, "vehicle/position") == (2, 2, 0, {})
    assert len(store.rejects(limit=10)) == 1


def test_duplicates_are_put_away_while_the_next_batch_is_on_its_way(store: Store) -> None:
    """Each batch's answers stay its own: the third holds duplicates in one partition, and stores in the others."""
    writer = Writer(store, "worker")
    readings = [reading(f"v{n}", NOW, b"%d" % n) for n in range(40)]
    writer.send(batch_of(*readings))
    settled(writer)
    some = [reading(f"v{n}", NOW, b"again %d" % n) for n in range(0, 40, 3)]
    later = [reading(f"v{n}", NOW + 1 - n % 2, b"later %d" % n) for n in range(40)]
    batches = [batch_of(*some), batch_of(*later), batch_of(*(reading(f"v{n}", NOW + 2) for n in range(40)))]
    for batch in batches:
        writer.send(batch)
    assert settled(writer) == batches
    assert feed(store, "vehicle/position") == (134, 100, 0, {"duplicate": 34})
    kept = {one.payload for one in store.rejects(limit=100)}
    assert kept == {one.message.payload for one in some} | {b"later %d" % n for n in range(1, 40, 2)}


def test_one_message_that_the_store_refuses_is_found_among_many_while_others_are_on_their_way(
    store: Store, redis_: redis.Redis
) -> None:
    writer = Writer(store, "worker")
    redis_.set(store.keys.latest(partition_of("v77", PARTITIONS), Facet.FUEL), "not a hash")
    fuel = of(FuelReading(vehicle_id="v77", level_l=5, **AT))
    batches = [
        batch_of(*(reading(f"v{n}", NOW) for n in range(200)), fuel),
        batch_of(*(reading(f"v{n}", NOW + 1) for n in range(200))),
    ]
    for batch in batches:
        writer.send(batch)
    assert settled(writer) == batches
    received, stored, late, rejected = feed(store, "vehicle/position")
    assert (received, stored + late, rejected) == (400, 400, {})
    assert {event.measured_ms for event in store.latest(Facet.POSITION)} == {NOW + 1}
    assert feed(store, "feed") == (1, 0, 0, {"store_refused": 1})


def test_a_killed_store_is_gone_on_with_where_it_was(store: Store, valkey: Valkey) -> None:
    writer = Writer(store, "worker")
    batches = [batch_of(reading("a", NOW + n), passengers(n, boarded=1)) for n in range(6)]
    for batch in batches[:3]:
        writer.send(batch)
    valkey.kill()
    for batch in batches[3:]:
        try:
            writer.send(batch)
        except StoreDown:
            continue
    valkey.start()
    done: list[Batch] = []
    for _ in range(10):
        try:
            done += settled(writer)
            break
        except StoreDown:
            continue
    assert feed(store, "vehicle/position") == (6, 6, 0, {})
    assert on_board(store) == (6, True)
    assert not len(writer)


def test_scripts_lost_by_the_store_are_loaded_again(store: Store, redis_: redis.Redis) -> None:
    """By the writer, as after an outage: a batch that went out without its script is sent again."""
    writer = Writer(store, "worker")
    writer.send(batch_of(reading("a", NOW)))
    settled(writer)
    redis_.script_flush()
    writer.send(batch_of(reading("a", NOW + 1), reading("b", NOW), rejects=[reject()]))
    with pytest.raises(StoreDown):
        settled(writer)
    settled(writer)
    assert feed(store, "vehicle/position") == (3, 3, 0, {})
    assert len(store.rejects(limit=10)) == 1


# --- what is known again -----------------------------------------------------------------------------------------


def test_digests_tell_what_all_workers_stored_in_their_last_64_batches(store: Store) -> None:
    known = set()
    for number in range(70):
        batch = [reading("a", NOW + number, b"%d" % number), reading("b", NOW + number, b"%d" % number)]
        commit(store, number, *batch, worker=f"w{number % 2}")
        if number >= 6:
            known |= {(part.partition, digest) for part in parts_of(store, *batch) for digest in part.digests}
    store.commit("w0", 70, [], [reject()], now_ms=NOW)
    (part,) = parts_of(store, rejects=[reject()])
    assert store.lately_stored() >= known | {(None, part.digests[0])}
    # Of both workers 64 numbers each, of which every second was used.
    assert len(store.lately_stored()) <= 2 * 70 + 1


def test_duplicates_put_away_are_not_taken_for_stored_rejects(store: Store) -> None:
    commit(store, 1, reading("a", NOW))
    commit(store, 2, reading("a", NOW))
    assert {partition for partition, _ in store.lately_stored()} == {partition_of("a", PARTITIONS)}


# --- rejects -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small(valkey: Valkey) -> Iterator[Store]:
    """A store that keeps 10,000 bytes of rejects."""
    opened = Store(valkey.url, "tashkent", PARTITIONS, keep=Keep(events_s=60, rejects_max_bytes=10_000))
    yield opened
    opened.close()


def test_rejects_are_bounded_by_their_bytes_and_the_oldest_go(small: Store) -> None:
    for number in range(100):
        small.commit("worker", number, [], [reject(str(number), bytes(400))], now_ms=NOW)
    kept = small.rejects(limit=1000)
    assert [one.detail for one in kept] == [str(number) for number in range(99, 99 - len(kept), -1)]
    assert 15 <= len(kept) <= 25
    size = small.rejects_kept()
    assert size.messages == len(kept)
    assert 400 * len(kept) <= size.size_bytes <= 10_000
    assert feed(small, "f") == (100, 0, 0, {"not_utf8": 100}), "counted for ever"


def test_one_reject_above_the_bound_leaves_an_empty_stream_and_not_a_stuck_one(small: Store) -> None:
    small.commit("worker", 1, [], [reject("large", bytes(20_000))], now_ms=NOW)
    assert small.rejects_kept() == (0, 0)
    small.commit("worker", 2, [], [reject("small")], now_ms=NOW)
    assert [one.detail for one in small.rejects(limit=10)] == ["small"]


def test_many_rejects_of_one_batch_above_the_bound_leave_the_newest(small: Store) -> None:
    small.commit("worker", 1, [], [reject(str(n), bytes(100)) for n in range(1000)], now_ms=NOW)
    kept = small.rejects(limit=1000)
    assert 30 <= len(kept) <= 60
    assert kept[0].detail == "999"


def test_their_size_is_right_after_some_were_taken_out(small: Store) -> None:
    for number in range(20):
        small.commit("worker", number, [], [reject(str(number), bytes(10 * number))], now_ms=NOW)
    kept = small.rejects(limit=100)
    small.delete_rejects([one.entry_id for one in kept[::2]])
    small.delete_rejects([kept[0].entry_id])
    left = small.rejects(limit=100)
    assert [one.entry_id for one in left] == [one.entry_id for one in kept[1::2]]
    bytes_each = [len(one.detail) + len(one.topic) + len(one.payload) + 100 for one in left]
    assert small.rejects_kept() == (len(left), sum(bytes_each))
    small.delete_rejects([one.entry_id for one in left])
    assert small.rejects_kept() == (0, 0)


def test_rejects_sent_twice_are_kept_and_counted_once(store: Store) -> None:
    for _ in range(2):
        store.commit("worker", 1, [], [reject("a"), reject("b")], now_ms=NOW)
    assert [one.detail for one in store.rejects(limit=10)] == ["b", "a"]
    assert feed(store, "f") == (2, 0, 0, {"not_utf8": 2})


def test_a_reject_has_the_bytes_of_its_message(store: Store) -> None:
    payload = bytes(range(256))
    store.commit("worker", 1, [], [reject(payload=payload)], now_ms=NOW)
    (kept,) = store.rejects(limit=1)
    assert store.reject(kept.entry_id) == kept
    assert (kept.payload, kept.topic, kept.received_ms) == (payload, "topic", NOW)


# --- edges -------------------------------------------------------------------------------------------------------


def test_a_part_of_thousands_of_entities_is_written_in_one_run(store: Store) -> None:
    """Lua takes about 8,000 values in one call."""
    readings = [reading(f"v{n}", NOW) for n in range(12_000)]
    counts = [passengers(vehicle=f"v{n}", boarded=1) for n in range(12_000)]
    assert commit(store, 1, *readings, *counts) == []
    assert commit(store, 2, *(reading(f"v{n}", NOW + 1) for n in range(12_000))) == []
    assert feed(store, "vehicle/position") == (24_000, 24_000, 0, {})
    assert feed(store, "vehicle/passengers") == (12_000, 12_000, 0, {})


def test_state_that_stands_beside_its_messages_reject_is_not_counted(store: Store) -> None:
    commit(store, 1, reading("a", NOW, feed=""))
    assert store.counts() == []
    assert len(list(store.latest(Facet.POSITION))) == 1
    commit(store, 2, reading("a", NOW, feed=""))
    assert store.rejects(limit=10) == []


def test_a_store_on_a_socket_file_can_be_opened(tmp_path: Path) -> None:
    Store(f"unix://{tmp_path}/store.sock", "tashkent", 4).close()


def test_a_store_that_is_not_there_is_down(tmp_path: Path) -> None:
    store = Store(f"unix://{tmp_path}/store.sock", "tashkent", 4)
    with pytest.raises(StoreDown):
        store.ping()
    with pytest.raises(StoreDown):
        commit(store, 1, reading("a", NOW))


def test_a_store_that_hangs_is_down_after_the_timeout(valkey: Valkey) -> None:
    store = Store(valkey.url, "tashkent", PARTITIONS, timeout_s=0.3)
    commit(store, 1, reading("a", NOW))
    valkey.pause()
    since = time.monotonic()
    with pytest.raises(StoreDown):
        commit(store, 2, reading("a", NOW + 1))
    assert time.monotonic() - since < 3
    valkey.go_on()
    commit(store, 2, reading("a", NOW + 1))
    assert feed(store, "vehicle/position") == (2, 2, 0, {})
    store.close()


# --- who must have a write ---------------------------------------------------------------------------------------


def opened_with(valkey: Valkey, durability: Durability, *, url: str | None = None) -> Store:
    return Store(url or valkey.url, "tashkent", PARTITIONS, durability=durability)


def test_with_durability_disk_an_answer_means_that_it_is_on_disk(valkey: Valkey, redis_: redis.Redis) -> None:
    store = opened_with(valkey, Durability(disk=True))
    redis_.config_set("appendfsync", "everysec")
    for number in range(3):
        commit(store, number, *(reading(f"v{n}", NOW + number) for n in range(10)))
    assert feed(store, "vehicle/position") == (30, 30, 0, {})
    assert redis_.execute_command("WAITAOF", 1, 0, 1)[0] == 1
    store.close()


def test_a_batch_sent_again_is_waited_for_too(valkey: Valkey) -> None:
    """Its answer says that it was written, and no more: who asks again asks for the disk again."""
    store = opened_with(valkey, Durability(disk=True))
    for _ in range(2):
        assert commit(store, 1, reading("a", NOW)) == []
    store.commit("worker", 2, [], [reject()], now_ms=NOW)
    store.commit("worker", 2, [], [reject()], now_ms=NOW)
    assert len(store.rejects(limit=10)) == 1
    store.close()


@pytest.mark.parametrize(
    "durability", [Durability(replicas=1, timeout_s=0.2), Durability(disk=True, replicas=1, timeout_s=0.2)]
)
def test_what_not_enough_replicas_have_is_not_stored_yet(valkey: Valkey, durability: Durability) -> None:
    store = opened_with(valkey, durability)
    for _ in range(2):
        with pytest.raises(StoreDown, match="replicas"):
            commit(store, 1, reading("a", NOW))
    assert feed(store, "vehicle/position") == (1, 1, 0, {}), "written once, and asked for again"
    store.close()


def test_a_store_without_a_file_is_not_durable(valkey: Valkey, redis_: redis.Redis) -> None:
    redis_.config_set("appendonly", "no")
    store = opened_with(valkey, Durability(disk=True))
    with pytest.raises(StoreDown):
        commit(store, 1, reading("a", NOW))
    store.close()


# --- what passes, and what does not --------------------------------------------------------------------------------


def test_a_full_store_is_waited_for(store: Store, redis_: redis.Redis) -> None:
    redis_.config_set("maxmemory", 1)
    with pytest.raises(StoreDown):
        commit(store, 1, reading("a", NOW))
    redis_.config_set("maxmemory", 0)
    commit(store, 1, reading("a", NOW))
    assert feed(store, "vehicle/position") == (1, 1, 0, {})


def test_a_store_that_became_a_replica_is_waited_for(store: Store, redis_: redis.Redis) -> None:
    commit(store, 1, reading("a", NOW))
    redis_.replicaof("127.0.0.1", 1)
    with pytest.raises(StoreDown):
        commit(store, 2, reading("a", NOW + 1))
    redis_.replicaof("NO", "ONE")
    commit(store, 2, reading("a", NOW + 1))
    assert feed(store, "vehicle/position") == (2, 2, 0, {})


def test_a_wrong_password_is_waited_for_and_not_a_refused_message(store: Store, redis_: redis.Redis) -> None:
    """Somebody is changing it: no message must become a reject by that."""
    redis_.config_set("requirepass", "secret")
    with pytest.raises(StoreDown):
        commit(store, 1, reading("a", NOW))
    with pytest.raises(StoreDown):
        store.counts()
    redis_.config_set("requirepass", "")
    commit(store, 1, reading("a", NOW))


def test_a_forbidden_command_is_waited_for(valkey: Valkey, redis_: redis.Redis) -> None:
    redis_.acl_setuser("worker", enabled=True, passwords=["+pw"], keys=["*"], channels=["*"], categories=["+@all"])
    store = Store(valkey.url.replace("redis://", "redis://worker:pw@"), "tashkent", PARTITIONS)
    commit(store, 1, reading("a", NOW))
    redis_.acl_setuser("worker", enabled=True, commands=["-evalsha"])
    with pytest.raises(StoreDown):
        commit(store, 2, reading("a", NOW + 1))
    redis_.acl_setuser("worker", enabled=True, commands=["+evalsha"])
    commit(store, 2, reading("a", NOW + 1))
    assert feed(store, "vehicle/position") == (2, 2, 0, {})
    store.close()


def test_an_event_of_another_version_is_passed_over_and_counted(store: Store, redis_: redis.Redis) -> None:
    commit(store, 1, reading("a", NOW))
    redis_.hset(store.keys.latest(partition_of("b", PARTITIONS), Facet.POSITION), "b", b"{}")
    assert [event.entity for event in store.latest(Facet.POSITION)] == ["a"]
    assert [event.entity for event in store.latest_of(Facet.POSITION, ["a", "b", "nobody"])] == ["a"]
    assert store.unreadable == 2


def test_another_number_of_partitions_than_the_store_was_filled_with_is_refused(
    valkey: Valkey, store: Store, redis_: redis.Redis
) -> None:
    """The same vehicle would be in two of them."""
    store.agree_on_partitions()
    store.agree_on_partitions()
    other = Store(valkey.url, store.keys.city, PARTITIONS * 2)
    with pytest.raises(
        StoreMismatch, match=rf"store\.partitions: is {PARTITIONS * 2}, .* lies in {PARTITIONS}; set it"
    ):
        other.agree_on_partitions()
    assert redis_.get(store.keys.agreed_partitions()) == str(PARTITIONS).encode()


def test_a_worker_that_another_one_followed_writes_nothing_more(store: Store) -> None:
    """What it had written is answered as before; the follower goes on behind its fence."""
    commit(store, 5, reading("a", 1))
    store.fence("worker", 100)
    assert commit(store, 5, reading("a", 1)) == []
    with pytest.raises(StoreFenced):
        commit(store, 6, reading("b", 1))
    with pytest.raises(StoreFenced):
        store.commit("worker", 7, [], [reject("x")], now_ms=NOW)
    assert store.last_batch("worker") == 100
    commit(store, 100, reading("c", 1))
    assert {event.key for event in store.latest(Facet.POSITION)} == {"a", "c"}
