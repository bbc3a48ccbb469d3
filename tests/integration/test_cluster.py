"""The store's promises on a cluster: three masters, slots that move, masters that die and come back."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from flow import every_entry
from servers import ValkeyCluster, wait_until

from city.alarm_store import AlarmCommit, Changed
from city.alarms import Alarm, AlarmPriority
from city.events import Facet, VehiclePosition
from city.keys import partition_of
from city.link import IN_MEMORY, Durability
from city.messages import Reading, Received, Reject, RejectReason
from city.store import Store, StoreDown

pytestmark = pytest.mark.integration
PARTITIONS = 8
NOW = time.time_ns() // 1_000_000
VEHICLES = [f"bus-{number}" for number in range(40)]


@pytest.fixture
def store(valkey_cluster: ValkeyCluster) -> Iterator[Store]:
    opened = Store(valkey_cluster.url, "tashkent", PARTITIONS, timeout_s=2.0)
    yield opened
    opened.close()


def fixes(step: int) -> list[Reading]:
    """One position of every vehicle, later with every step."""
    return [
        Reading(
            "vehicle/position",
            VehiclePosition(vehicle_id=vehicle, measured_ms=NOW + step, received_ms=NOW, lat=41.3, lon=69.2),
            Received("topic", f"{vehicle} {step}".encode(), NOW),
        )
        for vehicle in VEHICLES
    ]


class Writing(threading.Thread):
    """Commits step after step; what the store did not answer is sent again under its number."""

    def __init__(self, url: str, durability: Durability = IN_MEMORY) -> None:
        super().__init__(daemon=True)
        self.steps = 0  # committed
        self.failures: list[str] = []
        self._store = Store(url, "tashkent", PARTITIONS, timeout_s=2.0, durability=durability)
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                assert self._store.commit("worker", self.steps, fixes(self.steps), [], now_ms=NOW) == []
            except StoreDown as down:
                self.failures.append(str(down))
                time.sleep(0.1)
            else:
                self.steps += 1

    def more(self, steps: int = 20, *, timeout_s: float = 15) -> None:
        """Wait until it has written more."""
        due = self.steps + steps
        wait_until(lambda: self.steps >= due, timeout_s=timeout_s, what=f"{steps} more steps")

    def end(self) -> None:
        self._ended.set()
        self.join(15)
        self._store.close()


class Following(threading.Thread):
    """Follows all streams as the workers do."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.found: Counter[tuple[str, int]] = Counter()
        self.losses = 0
        self._store = Store(url, "tashkent", PARTITIONS, timeout_s=2.0)
        self._ended = threading.Event()

    def run(self) -> None:
        cursors = dict.fromkeys(range(PARTITIONS), "0-0")
        while not self._ended.is_set():
            try:
                entries = self._store.read_events(cursors, block_ms=200)
            except StoreDown:
                self.losses += 1
                time.sleep(0.1)
                continue
            self.found.update((one.event.entity, one.event.measured_ms) for entry in entries for one in entry.events)

    def end(self) -> None:
        self._ended.set()
        self.join(15)
        self._store.close()


@pytest.fixture
def reader(valkey_cluster: ValkeyCluster) -> Iterator[Following]:
    one = Following(valkey_cluster.url)
    one.start()
    yield one
    one.end()


def check_all(store: Store, reader: Following, steps: int, *, seen_twice: frozenset[int] = frozenset()) -> None:
    """Every fix of every step is in the streams once, in the counts once, and the last one is the state.

    The reader saw each once; those of `seen_twice` it may have seen on a master that died before a replica had them.
    """
    wanted = {(vehicle, NOW + step) for vehicle in VEHICLES for step in range(steps)}
    wait_until(lambda: len(reader.found) >= len(wanted), what="the reader's last entries")
    assert set(reader.found) == wanted
    assert {at_ms - NOW for (_, at_ms), times in reader.found.items() if times > 1} <= seen_twice
    again = Counter((one.event.entity, one.event.measured_ms) for entry in every_entry(store) for one in entry.events)
    assert again == dict.fromkeys(wanted, 1)
    (feed,) = store.counts()
    assert (feed.received, feed.stored, feed.late, feed.rejected) == (len(wanted), len(wanted), 0, {})
    assert {event.measured_ms for event in store.latest(Facet.POSITION)} == {NOW + steps - 1}


def test_everything_that_the_store_offers_works_over_several_nodes(valkey_cluster: ValkeyCluster, store: Store) -> None:
    keys = store.keys
    assert len({valkey_cluster.master_of(keys.events(p)).port for p in range(PARTITIONS)}) == 3
    store.ping()
    reject = Reject(
        feed="hfp", reason=RejectReason.NOT_JSON, detail="not JSON", message=Received("/hfp/v2/x", b"\xff", NOW)
    )
    assert store.commit("worker", 5, fixes(0), [reject], now_ms=NOW) == []
    assert store.commit("worker", 5, fixes(0), [reject], now_ms=NOW) == []
    assert len(store.commit("worker", 6, fixes(0), [], now_ms=NOW)) == len(VEHICLES)
    assert store.last_batch("worker") == 6
    assert len(store.lately_stored()) == len(VEHICLES) + 1
    assert {feed.feed: (feed.received, feed.stored) for feed in store.counts()} == {
        "hfp": (1, 0),
        "vehicle/position": (2 * len(VEHICLES), len(VEHICLES)),
    }
    assert len(store.latest_of(Facet.POSITION, [*VEHICLES, "unknown"])) == len(VEHICLES)
    alarm = Alarm(
        id="a",
        rule="overload",
        priority=AlarmPriority.LOW,
        source_kind="vehicle",
        source_id="bus-1",
        raised_ms=NOW,
        updated_ms=NOW,
    )
    assert not store.commit_alarms(AlarmCommit(alarms=[Changed(None, alarm)]), keep_s=60)
    assert store.alarms() == [alarm]
    assert store.read_alarms("0-0", block_ms=10)[1] == [alarm]
    assert (store.claim("replay", "me", keep_s=5), store.claim("replay", "you", keep_s=5)) == (True, False)
    store.release("replay", "me")
    assert store.claim("replay", "you", keep_s=5)
    store.save_checkpoint("history", {0: "1-1"}, b"{}")
    assert store.checkpoint("history") == ({0: "1-1"}, b"{}")
    assert store.add_sample("kpis", NOW, b"{}", keep_s=60)
    assert not store.add_sample("kpis", NOW, b"{}", keep_s=60)
    rejects = store.rejects(limit=1000)
    store.delete_rejects([one.entry_id for one in rejects])
    assert (len(rejects), store.rejects_kept().messages) == (len(VEHICLES) + 1, 0)


def test_a_waiting_reader_hears_any_node_at_once(store: Store, valkey_cluster: ValkeyCluster) -> None:
    cursors = store.tips()
    assert store.read_events(cursors, block_ms=50) == []
    writer = Store(valkey_cluster.url, "tashkent", PARTITIONS)
    for number, one in enumerate(fixes(0)[:12]):
        timer = threading.Timer(0.1, lambda one=one, number=number: writer.commit("w", number, [one], [], now_ms=NOW))
        timer.start()
        begun = time.monotonic()
        (entry,) = store.read_events(cursors, block_ms=3000)
        assert time.monotonic() - begun < 1.0
        assert entry.partition == partition_of(one.event.entity, PARTITIONS)
        timer.join()
    writer.close()


def test_a_slot_that_moves_under_load_loses_and_doubles_nothing(
    store: Store, valkey_cluster: ValkeyCluster, reader: Following
) -> None:
    writing = Writing(valkey_cluster.url)
    writing.start()
    writing.more()
    masters = [node for node in valkey_cluster.nodes if "role:master" in node.ask("INFO", "replication")]
    for vehicle in VEHICLES[:4]:
        key = store.keys.events(partition_of(vehicle, PARTITIONS))
        source = valkey_cluster.master_of(key)
        valkey_cluster.move(key, next(node for node in masters if node is not source))
        writing.more()
    writing.end()
    check_all(store, reader, writing.steps)
    assert reader.losses == 0, "a reader does not notice"


def test_a_killed_master_is_replaced_by_its_replica_and_comes_back_as_one(
    store: Store, valkey_cluster: ValkeyCluster, reader: Following
) -> None:
    """With `store.replicas: 1`: what was confirmed is on the replica."""
    writing = Writing(valkey_cluster.url, Durability(replicas=1, timeout_s=0.5))
    writing.start()
    writing.more()
    key = store.keys.events(0)
    master = valkey_cluster.master_of(key)
    before = writing.steps
    master.kill()
    under_way = frozenset(range(before, writing.steps + 1))
    wait_until(lambda: valkey_cluster.master_of(key) is not master, what="a new master")
    wait_until(lambda: any("replicas: 0 of 1" in failure for failure in writing.failures), what="the lack of a replica")
    confirmed = writing.steps
    time.sleep(1.0)
    assert writing.steps == confirmed, "nothing is confirmed while there is no replica"
    master.start()
    writing.more()
    writing.end()
    check_all(store, reader, writing.steps, seen_twice=under_way)


def test_without_waiting_for_replicas_work_goes_on_after_a_failover(
    store: Store, valkey_cluster: ValkeyCluster
) -> None:
    writing = Writing(valkey_cluster.url)
    writing.start()
    writing.more()
    valkey_cluster.master_of(store.keys.events(0)).kill()
    writing.more()
    writing.end()
    assert {event.measured_ms for event in store.latest(Facet.POSITION)} == {NOW + writing.steps - 1}


def test_a_master_that_hangs_is_told_within_the_timeout(store: Store, valkey_cluster: ValkeyCluster) -> None:
    cursors = store.tips()
    store.read_events(cursors, block_ms=10)
    valkey_cluster.master_of(store.keys.events(0)).pause()
    begun = time.monotonic()
    # The other masters may find it dead before that, and then say so themselves.
    with pytest.raises(StoreDown, match=r"no answer for 2 s|The cluster is down"):
        _read_for(store, cursors, 10)
    assert time.monotonic() - begun < 3.5


def test_a_cluster_that_starts_later_is_found(valkey_cluster: ValkeyCluster) -> None:
    valkey_cluster.kill()
    store = Store(valkey_cluster.url, "tashkent", PARTITIONS, timeout_s=2.0)
    for attempt in (store.ping, store.counts, lambda: store.commit("w", 0, fixes(0), [], now_ms=NOW)):
        with pytest.raises(StoreDown):
            attempt()
    valkey_cluster.start()
    wait_until(lambda: _up(store), what="the store")
    assert store.commit("w", 0, fixes(0), [], now_ms=NOW) == []
    store.close()


def test_a_cluster_is_found_by_the_one_of_its_nodes_that_answers(valkey_cluster: ValkeyCluster) -> None:
    first, *_, last = valkey_cluster.nodes
    first.kill()
    store = Store(f"redis-cluster://127.0.0.1:{first.port},127.0.0.1:{last.port}", "tashkent", PARTITIONS)
    wait_until(lambda: _up(store), what="the store")
    assert store.commit("w", 0, fixes(0), [], now_ms=NOW) == []
    store.close()


def _read_for(store: Store, cursors: dict[int, str], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        store.read_events(cursors, block_ms=200)


def _up(store: Store) -> bool:
    try:
        store.ping()
        store.counts()
    except StoreDown:
        return False
    return True
