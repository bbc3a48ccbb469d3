"""The end of the past that is only in the store: all of it, once, and within a limit."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.replay_tracks import Tracks
from city.events import Event, Facet, PassengerCount, VehiclePosition
from city.store import Entry, Stored
from dashboard import replay_tail
from dashboard.replay_tables import ints
from dashboard.replay_tail import Tail, number_of

BEGIN = 1_760_000_000_000


class Keys:
    partitions = 2


class FakeStore:
    """Event streams in memory, read as those of the store."""

    def __init__(self) -> None:
        self.keys = Keys()
        self.streams: dict[int, list[tuple[str, list[Event]]]] = {0: [], 1: []}
        self.told = 0

    def write(self, partition: int, at_ms: int, *events: Event) -> str:
        stream = self.streams[partition]
        number = sum(one[0].startswith(f"{BEGIN + at_ms}-") for one in stream)
        stream.append((f"{BEGIN + at_ms}-{number}", list(events)))
        return stream[-1][0]

    def tips(self) -> dict[int, str]:
        return {p: stream[-1][0] if stream else "0-0" for p, stream in self.streams.items()}

    def read_events(
        self, cursors: dict[int, str], *, block_ms: int, count: int, facets: Iterable[Facet]
    ) -> list[Entry]:
        found = []
        for p, stream in self.streams.items():
            behind = [one for one in stream if number_of(one[0]) > number_of(cursors[p])][:count]
            for name, events in behind:
                self.told += len(events)
                found.append(Entry(p, name, [Stored(event, False) for event in events if event.facet in facets]))
                cursors[p] = name
        return found


def position(at_ms: int, vehicle: str = "a") -> VehiclePosition:
    return VehiclePosition(vehicle_id=vehicle, measured_ms=BEGIN + at_ms, received_ms=BEGIN + at_ms, lat=41.3, lon=69.2)


def tail_of(store: FakeStore, most: int = 1_000_000) -> Tail:
    return Tail(store, (), most)  # type: ignore[arg-type]


def times(tail: Tail) -> list[int]:
    return sorted(int(at) - BEGIN for table in tail.positions() for at in ints(table, "measured_ms"))


def played(tail: Tail) -> int:
    return sum(len(part.index.keys) for part in tail.tracks())


def test_what_comes_is_taken_in_at_its_own_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody archives for an hour: each question sorts what is new and, seldom, what was there."""
    store, sorted_rows = FakeStore(), []
    real = Tracks.of

    def counted(rows: object, areas: object) -> Tracks:
        made = real(rows, areas)  # type: ignore[arg-type]
        sorted_rows.append(len(made.index.keys))
        return made

    monkeypatch.setattr(Tracks, "of", counted)
    tail = tail_of(store)
    for n in range(300):
        store.write(n % 2, n, position(n), position(n, "b"))
        tail.read({})
        assert played(tail) == 2 * (n + 1)
    assert len(tail.tracks()) <= 12
    assert sum(sorted_rows) < 20 * 600, "not 300 times all of it"
    assert store.told == 600, "no event is read twice"


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 1), st.integers(1, 4)),
            st.tuples(st.just("archive"), st.integers(0, 1), st.integers(0, 30)),
            st.tuples(st.just("read"), st.just(0), st.just(0)),
        ),
        max_size=60,
    )
)
def test_each_event_is_in_it_once_until_it_is_archived(steps: list[tuple[str, int, int]]) -> None:
    store = FakeStore()
    tail = tail_of(store)
    archived: dict[int, str] = {}
    clock = 0
    for what, partition, n in steps:
        if what == "write":
            clock += 1
            store.write(partition, clock, *(position(clock * 10 + k) for k in range(n)))
        elif what == "archive" and store.streams[partition]:
            at = min(n, len(store.streams[partition]) - 1)
            if number_of(store.streams[partition][at][0]) > number_of(archived.get(partition, "0-0")):
                archived[partition] = store.streams[partition][at][0]
        tail.read(archived)
        wanted = sorted(
            event.measured_ms - BEGIN
            for p, stream in store.streams.items()
            for name, events in stream
            if number_of(name) > number_of(archived.get(p, "0-0"))
            for event in events
        )
        assert times(tail) == wanted
        assert played(tail) == len(wanted)


def test_it_keeps_to_its_limit_and_says_what_it_left_out() -> None:
    store = FakeStore()
    tail = tail_of(store, most=100)
    for n in range(150):
        store.write(n % 2, n * 1000, position(n * 1000))
        tail.read({})
        assert len(times(tail)) <= 100
    assert times(tail)[-1] == 149_000, "the newest are there"
    assert len(times(tail)) >= 85
    assert tail.left_out(BEGIN, BEGIN + 40_000)
    assert not tail.left_out(BEGIN + 100_000, BEGIN + 200_000)
    last = {0: f"{BEGIN + 148_000}-0", 1: f"{BEGIN + 149_000}-0"}
    tail.read(last)
    assert times(tail) == []
    assert not tail.left_out(BEGIN, BEGIN + 40_000), "the archive has it"


def test_a_day_that_nobody_archived_is_not_read_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_tail, "_READ_AT_ONCE", 20)
    store = FakeStore()
    for n in range(4000):
        store.write(n % 2, n * 1000, position(n * 1000))
    tail = tail_of(store, most=200)
    tail.read({})
    assert store.told < 600
    assert times(tail)[-1] == 3_999_000
    assert 150 <= len(times(tail)) <= 200
    assert tail.left_out(BEGIN, BEGIN + 1000)


def test_counts_and_positions_of_one_entry_stay_together() -> None:
    store = FakeStore()
    count = PassengerCount(vehicle_id="a", measured_ms=BEGIN, received_ms=BEGIN, onboard=3)
    first = store.write(0, 0, position(0), count)
    store.write(0, 1, count)
    tail = tail_of(store)
    tail.read({})
    assert sum(len(part.index.keys) for part in tail.counts()) == 2
    tail.read({0: first})
    assert sum(len(part.index.keys) for part in tail.counts()) == 1
    assert np.array_equal(times(tail), [])
