"""The archive's writer on a cluster: slots that move and masters that die under load lose and double nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import ValkeyCluster, wait_until
from test_archive import archived, settings, streamed
from test_cluster import NOW, PARTITIONS, VEHICLES, Writing

from city.archive.archive import Archive
from city.archive_source import ArchiveSource
from city.config import Config
from city.keys import Keys, partition_of
from city.link import Durability
from city.store import Store
from ingest.archiver import Archiver
from ingest.tidier import Tidier, TidierThread

pytestmark = pytest.mark.integration


@pytest.fixture
def config(valkey_cluster: ValkeyCluster, tmp_path: Path) -> Config:
    return settings(valkey_cluster.url, tmp_path / "history", PARTITIONS)


class Archiving(threading.Thread):
    """The writer with who tidies beside it, as in the process of history."""

    def __init__(self, config: Config) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self._store = Store.of(config, timeout_s=2.0)
        tidier = Tidier(config)
        self._tidying = TidierThread(tidier, self.stop, every_s=0.1)
        self._archiver = Archiver(config, ArchiveSource(self._store), tidier=tidier)

    def run(self) -> None:
        self._tidying.start()
        self._archiver.run(self.stop)

    def end(self) -> None:
        self.stop.set()
        self.join(20)
        assert not self.is_alive()
        self._tidying.join(20)
        self._store.close()


@pytest.fixture
def archiving(config: Config) -> Iterator[Archiving]:
    thread = Archiving(config)
    thread.start()
    yield thread
    if thread.is_alive():
        thread.end()


def rows(config: Config) -> Counter[tuple[str, int]]:
    archive = Archive.open(config.history.url, config.city)
    return Counter({(vehicle, at_ms - NOW): n for (_, vehicle, at_ms, _), n in archived(archive).items()})


def check(config: Config, archiving: Archiving, steps: int) -> Counter[tuple[str, int]]:
    """Wait until all is archived; what the archive has, by vehicle and step."""
    wanted = {(vehicle, step) for vehicle in VEHICLES for step in range(steps)}
    wait_until(lambda: len(rows(config)) >= len(wanted), timeout_s=30, what="the archive's last rows")
    archiving.end()
    found = rows(config)
    assert set(found) == wanted
    store = Store.of(config)
    assert Counter({(vehicle, at_ms - NOW): n for (_, vehicle, at_ms, _), n in streamed(store).items()}) == (
        dict.fromkeys(wanted, 1)
    )
    told = ArchiveSource(store).told()
    assert told is not None
    assert (told.gaps, told.lost_entries) == (0, 0), "nothing is said to be lost"
    store.close()
    return found


def test_slots_that_move_under_load_lose_and_double_nothing(
    valkey_cluster: ValkeyCluster, config: Config, archiving: Archiving
) -> None:
    keys = Keys("tashkent", PARTITIONS)
    writing = Writing(valkey_cluster.url)
    writing.start()
    writing.more()
    masters = [node for node in valkey_cluster.nodes if "role:master" in node.ask("INFO", "replication")]
    for vehicle in VEHICLES[:4]:
        key = keys.events(partition_of(vehicle, PARTITIONS))
        source = valkey_cluster.master_of(key)
        valkey_cluster.move(key, next(node for node in masters if node is not source))
        writing.more()
    writing.end()
    found = check(config, archiving, writing.steps)
    assert set(found.values()) == {1}


def test_a_killed_master_costs_the_archive_nothing(
    valkey_cluster: ValkeyCluster, config: Config, archiving: Archiving
) -> None:
    """With `store.replicas: 1`: what was confirmed is on the replica, and is archived once."""
    key = Keys("tashkent", PARTITIONS).events(0)
    writing = Writing(valkey_cluster.url, Durability(replicas=1, timeout_s=0.5))
    writing.start()
    writing.more()
    master = valkey_cluster.master_of(key)
    before = writing.steps
    master.kill()
    # What the master had told, and not its replica: it was sent again.
    under_way = range(before, writing.steps + 1)
    wait_until(lambda: valkey_cluster.master_of(key) is not master, what="a new master")
    master.start()
    writing.more()
    writing.end()
    found = check(config, archiving, writing.steps)
    assert {step for (_, step), n in found.items() if n > 1} <= set(under_way)
