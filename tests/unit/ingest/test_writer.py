"""Batches on their way into a store that fails, loses answers and refuses messages."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from played_store import NOW, Fault, PlayedStore, batch_of, poisoned, position

import ingest.writer
from city.commits import Part
from city.link import StoreDown, StoreRefused
from city.messages import Received, Reject, RejectReason
from ingest.batch import Batch
from ingest.writer import Writer


@pytest.fixture
def store() -> PlayedStore:
    return PlayedStore()


@pytest.fixture
def writer(store: PlayedStore) -> Writer:
    return Writer(store, "worker")  # type: ignore[arg-type]


def unreadable(topic: str = "t", payload: bytes = b"{") -> Reject:
    return Reject(feed="f", reason=RejectReason.NOT_JSON, detail="d", message=Received(topic, payload, NOW))


def settled(writer: Writer, *, tries: int = 200) -> list[Batch]:
    """All batches, in the order in which they are told as stored, over every outage."""
    done: list[Batch] = []
    while len(writer) and tries:
        tries -= 1
        try:
            done += writer.settle(wait=True)
        except StoreDown:
            continue
    assert not len(writer), "it never comes to an end"
    return done


def stored(store: PlayedStore) -> list[str]:
    return [reading.message.payload.decode() for reading in store.readings]


def test_batches_are_told_as_stored_in_the_order_in_which_they_came(store: PlayedStore, writer: Writer) -> None:
    batches = [batch_of(position("a", n), position(f"b{n}")) for n in range(4)]
    for batch in batches[:2]:
        writer.send(batch)
    assert len(writer) == 2
    assert len(store.unanswered) == 2, "the second is on its way before the first is answered"
    done = writer.settle(wait=False)
    for batch in batches[2:]:
        writer.send(batch)
    done += settled(writer)
    assert [id(one) for one in done] == [id(one) for one in batches]
    assert [one for one in stored(store) if one.startswith("a")] == ["a@0", "a@1", "a@2", "a@3"]
    assert sorted(set(store.numbers)) == [0, 1, 2, 3]


def test_it_goes_on_behind_the_last_number_that_the_store_has(store: PlayedStore, writer: Writer) -> None:
    """Also when the clock was set back."""
    store.last = 9 * 10**15
    writer.resume()
    writer.send(batch_of(position("a")))
    assert store.numbers == [9 * 10**15 + 1]


def test_two_processes_of_one_name_give_no_number_to_two_batches(store: PlayedStore) -> None:
    """A worker is started while the one before it still has batches on their way."""
    writers = []
    for n in range(3):
        writer = Writer(store, "worker")  # type: ignore[arg-type]
        writer.resume()
        writers.append(writer)
        time.sleep(0.01)
        writer.send(batch_of(position(f"v{n}")))
        store.hang_up()
    for n, writer in enumerate(writers):
        writer._all_unanswered()
        writer.send(batch_of(position(f"v{n}", 1)))
        settled(writer)
    assert sorted(stored(store)) == sorted(f"v{n}@{at}" for n in range(3) for at in (0, 1))


def test_numbers_are_not_taken_up_anew_while_batches_are_on_their_way(store: PlayedStore, writer: Writer) -> None:
    """The store may have written under a number that it has not answered yet."""
    writer.send(batch_of(position("a")))
    store.last = 7
    writer.resume()
    writer.send(batch_of(position("a", 1)))
    assert store.numbers == [0, 1]


@pytest.mark.parametrize("fault", list(Fault))
def test_a_lost_store_gets_the_same_batches_under_the_same_numbers(
    store: PlayedStore, writer: Writer, fault: Fault
) -> None:
    first, second = batch_of(position("a"), rejects=[unreadable()]), batch_of(position("a", 1), position("c"))
    store.faults.extend([fault, fault])
    for batch in (first, second):
        try:
            writer.send(batch)
        except StoreDown:
            assert fault is Fault.NOT_SENT
        assert writer.holds(batch), "held from now on"
    assert settled(writer) == [first, second]
    assert sorted(stored(store)) == ["a@0", "a@1", "c@0"]
    assert len(store.rejects) == 1
    assert set(store.numbers) == {0, 1}


def test_batches_behind_one_that_could_not_be_sent_wait_for_it(store: PlayedStore, writer: Writer) -> None:
    store.faults.append(Fault.NOT_SENT)
    with pytest.raises(StoreDown):
        writer.send(batch_of(position("a")))
    writer.send(batch_of(position("a", 1)))
    assert store.numbers == []
    settled(writer)
    assert stored(store) == ["a@0", "a@1"]


def test_what_is_stored_is_told_although_the_next_batch_is_lost(store: PlayedStore, writer: Writer) -> None:
    first, second = batch_of(position("a")), batch_of(position("a", 1))
    store.faults.extend([None, Fault.NOT_ANSWERED, Fault.NOT_SENT])
    writer.send(first)
    writer.send(second)
    assert writer.settle(wait=False) == [first]
    with pytest.raises(StoreDown):
        writer.settle(wait=True)
    assert writer.settle(wait=True) == [second]
    assert stored(store) == ["a@0", "a@1"]


def test_one_message_that_the_store_refuses_among_a_thousand_becomes_a_reject(
    store: PlayedStore, writer: Writer
) -> None:
    """All of one partition: the others are stored once and in their order."""
    names = [f"v{n}" for n in range(20_000)]
    one_partition = [name for name in names if store.commits.crc(name) % 8 == 3][:1000]
    store.poison = poisoned([one_partition[617]])
    writer.send(batch_of(*(position(name) for name in one_partition)))
    settled(writer)
    assert stored(store) == [f"{name}@0" for name in one_partition if name != one_partition[617]]
    (reject,) = store.rejects
    assert (reject.reason, reject.message.payload) == (
        RejectReason.STORE_REFUSED,
        f"{one_partition[617]}@0".encode(),
    )
    assert "WRONGTYPE" in reject.detail
    assert len(store.numbers) == len(set(store.numbers)) <= 2 * 11, "halves, not one by one"


def test_of_two_batches_on_their_way_the_first_may_be_refused(store: PlayedStore, writer: Writer) -> None:
    store.poison = poisoned(["bad"])
    first, second = batch_of(position("a"), position("bad"), position("b")), batch_of(position("a", 1))
    writer.send(first)
    writer.send(second)
    assert settled(writer) == [first, second]
    assert sorted(stored(store)) == ["a@0", "a@1", "b@0"]
    assert [reject.reason for reject in store.rejects] == [RejectReason.STORE_REFUSED]


def test_an_outage_while_a_batch_is_being_cut_doubles_and_loses_nothing(store: PlayedStore, writer: Writer) -> None:
    store.poison = poisoned(["v3", "v60"])
    store.faults.extend([None, None, Fault.NOT_ANSWERED, Fault.NOT_SENT, None, Fault.NOT_ARRIVED, Fault.NOT_ANSWERED])
    writer.send(batch_of(*(position(f"v{n}") for n in range(80))))
    writer.send(batch_of(position("v3", 1), position("v4", 1)))
    settled(writer)
    good = [f"v{n}@0" for n in range(80) if n not in (3, 60)]
    assert sorted(stored(store)) == sorted([*good, "v4@1"])
    assert sorted(reject.message.payload for reject in store.rejects) == [b"v3@0", b"v3@1", b"v60@0"]


def test_a_refused_event_beside_its_messages_reject_makes_no_second_reject(store: PlayedStore, writer: Writer) -> None:
    store.poison = poisoned(["bad"])
    uncounted = position("bad")
    uncounted.feed = ""
    writer.send(batch_of(uncounted, rejects=[unreadable()]))
    settled(writer)
    assert [reject.reason for reject in store.rejects] == [RejectReason.NOT_JSON]


def test_a_reject_that_the_store_refuses_goes_without_its_words_and_bytes(store: PlayedStore, writer: Writer) -> None:
    def refuses(part: Part) -> bool:
        return any(reject.message.topic == "bad" for reject in part.rejects)

    store.poison = refuses
    writer.send(batch_of(rejects=[unreadable(), unreadable("bad", b"\xff"), unreadable()]))
    settled(writer)
    kept = Counter((reject.message.topic, reject.message.payload) for reject in store.rejects)
    assert kept == {("t", b"{"): 2, ("", b""): 1}
    assert {reject.reason for reject in store.rejects} == {RejectReason.NOT_JSON}


def test_a_store_that_takes_no_reject_at_all_holds_nothing_up(store: PlayedStore, writer: Writer) -> None:
    store.poison = lambda part: bool(part.rejects)
    batch = batch_of(position("a"), rejects=[unreadable()])
    writer.send(batch)
    assert settled(writer) == [batch]
    assert stored(store) == ["a@0"]
    assert store.rejects == []


def test_a_batch_of_a_whole_fleet_goes_in_pieces_under_numbers_of_their_own(
    store: PlayedStore, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.writer, "_PART_MAX", 10)
    store = PlayedStore(partitions=1)
    writer = Writer(store, "worker")  # type: ignore[arg-type]
    writer.send(batch_of(*(position(f"v{n}") for n in range(35))))
    writer.send(batch_of(position("v0", 1)))
    settled(writer)
    assert store.numbers == [0, 1, 2, 3, 4]
    assert stored(store) == [*(f"v{n}@0" for n in range(35)), "v0@1"]


def test_duplicates_are_kept_to_be_looked_at(store: PlayedStore, writer: Writer) -> None:
    again = position("a")
    writer.send(batch_of(position("a"), position("b")))
    writer.send(batch_of(again))
    settled(writer)
    assert store.looked_at == [again]


def test_a_store_lost_while_duplicates_are_put_away_is_asked_again(store: PlayedStore, writer: Writer) -> None:
    batch = batch_of(position("a"), position("a"))
    writer.send(batch)
    store.duplicates_fault = StoreDown("gone")
    with pytest.raises(StoreDown):
        writer.settle(wait=True)
    assert writer.settle(wait=True) == [batch]
    assert len(store.looked_at) == 1


def test_duplicates_that_the_store_refuses_are_counted_and_hold_nothing_up(store: PlayedStore, writer: Writer) -> None:
    batch = batch_of(position("a"), position("a"))
    writer.send(batch)
    store.duplicates_fault = StoreRefused("WRONGTYPE")
    assert writer.settle(wait=True) == [batch]


def test_unanswered_batches_are_waited_for_only_when_asked_to(store: PlayedStore, writer: Writer) -> None:
    batch = batch_of(position("a"))
    store.silent = True
    writer.send(batch)
    assert writer.settle(wait=False) == []
    assert len(list(writer.pendings())) == 1
    store.silent = False
    assert writer.settle(wait=False) == [batch]
    assert list(writer.pendings()) == []


def test_a_store_that_hangs_is_left_and_asked_on_another_connection(
    store: PlayedStore, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.writer, "_ANSWER_WITHIN_S", 0.0)
    batches = [batch_of(position("a")), batch_of(position("a", 1))]
    store.silent = True
    for batch in batches:
        writer.send(batch)
    with pytest.raises(StoreDown, match="no answer"):
        writer.settle(wait=False)
    assert store.hang_ups == 1
    store.silent = False
    assert settled(writer) == batches
    assert store.numbers == [0, 1, 0, 1]
    assert stored(store) == ["a@0", "a@1"]


def test_a_batch_with_nothing_to_store_is_done_in_its_turn(store: PlayedStore, writer: Writer) -> None:
    first, empty, last = batch_of(position("a")), batch_of(), batch_of(position("b"))
    for batch in (first, empty, last):
        writer.send(batch)
    assert settled(writer) == [first, empty, last]
    assert writer.store_s < 60


def test_what_was_sent_is_known_again(store: PlayedStore, writer: Writer) -> None:
    (part,) = store.commits.parts([position("a")], [])
    known = (part.partition, part.digests[0])
    assert writer.recent.knows({known}) == set()
    writer.send(batch_of(position("a")))
    assert writer.recent.knows({known}) == {known}


BATCHES = st.lists(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), min_size=0, max_size=12), min_size=1, max_size=8
)
FAULTS = st.lists(st.none() | st.sampled_from(Fault), max_size=20)


@settings(max_examples=300, deadline=None)
@given(BATCHES, FAULTS, st.sets(st.integers(0, 12), max_size=3), st.integers(1, 3))
def test_whatever_fails_every_message_ends_once_and_each_vehicles_in_order(
    said: list[list[tuple[int, bool]]], faults: list[Fault | None], bad: set[int], in_flight: int
) -> None:
    store = PlayedStore(partitions=2)
    store.poison = poisoned(f"v{n}" for n in bad)
    store.faults.extend(faults)
    writer = Writer(store, "worker")  # type: ignore[arg-type]
    at = 0
    batches: list[Batch] = []
    for messages in said:
        readings, rejects = [], []
        for vehicle, readable in messages:
            at += 1
            if readable:
                readings.append(position(f"v{vehicle}", at))
            else:
                rejects.append(unreadable(payload=f"{at}".encode()))
        batches.append(batch_of(*readings, rejects=rejects))
    done: list[Batch] = []
    for batch in batches:
        while len(writer) >= in_flight:
            try:
                done += writer.settle(wait=True)
            except StoreDown:
                continue
        try:
            writer.send(batch)
        except StoreDown:
            continue
    done += settled(writer)
    assert [id(batch) for batch in done] == [id(batch) for batch in batches]
    ended = stored(store) + [reject.message.payload.decode() for reject in store.rejects]
    sent = [message.payload.decode() for batch in batches for message in batch.messages]
    assert Counter(ended) == Counter(sent)
    for vehicle in range(13):
        times = [int(one.partition("@")[2]) for one in stored(store) if one.startswith(f"v{vehicle}@")]
        assert sorted(times) == times or bad, "only what the store refused may be overtaken"
