"""A rig for planted faults: broker, store, worker and load together, and the count of every message afterwards."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec
from flow import Flow, Name
from proxy import Proxy
from servers import Mosquitto, Nats, Valkey, wait_until

from city.areas import Areas
from city.config import Config, load_config
from city.events import Facet
from city.link import StoreRefused
from city.store import Store, StoreDown, now_ms
from ingest.pipeline import Pipeline
from ingest.receiver import Receiver
from ingest.share import Share
from markaz.embedded import broker_config

ROOT = Path(__file__).resolve().parents[2]
# When a broker has sent again what a lost connection had in hand: NATS after its ack_wait of 5 s, mosquitto at once.
SENT_AGAIN_S = {"nats": 6.0, "mosquitto": 1.0}
_NOTHING_MORE_S = 7.5
_LAG_S = 1.0


class EmbeddedNats(Nats):
    """The broker with the settings that `markaz up` gives it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        (directory / "nats.conf").write_text(broker_config(directory / "jetstream", self.port, None, None))


BROKERS: dict[str, type[EmbeddedNats | Mosquitto]] = {"nats": EmbeddedNats, "mosquitto": Mosquitto}


class Worker:
    """`markaz ingest` as a process of its own."""

    def __init__(self, environ: Mapping[str, str], log: Path) -> None:
        self._environ = dict(environ)
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "markaz", "ingest", "--config", str(ROOT / "config.yaml")]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, env=os.environ | self._environ, cwd=ROOT, stdout=log, stderr=log)

    def wait_subscribed(self) -> None:
        wait_until(lambda: b'"subscribed"' in self._log.read_bytes(), timeout_s=30, what="the subscription")

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None


class ThreadWorker:
    """The same in a thread of this process, by a clock that can be set."""

    def __init__(self, config: Config) -> None:
        self.ahead_ms = 0
        self._store = Store.of(config)
        pipeline = Pipeline(config, Areas([]), self._store)
        self._receiver = Receiver(config, pipeline, Share.of(config, None), clock_ms=lambda: now_ms() + self.ahead_ms)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._receiver.run, args=(self._stop,), daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait_subscribed(self) -> None:
        wait_until(lambda: self._receiver.session.subscribed, what="the subscription")

    def kill(self) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(15)
        self._store.close()


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of a load."""

    sent: int  # acknowledged to the publisher
    unsure: int  # sent on a connection that broke before the acknowledgement
    received: int  # counted by the store
    stored: int
    late: int
    rejected: dict[str, int]
    lost: int  # acknowledged, and neither in the streams nor among the rejects
    doubled_in_streams: int  # measurements that are there more than once
    doubled_in_counts: int  # counted more often than sent
    wrong_in_state: int  # vehicles whose newest event, or number on board, is not what the streams say
    recovery_s: float  # from the end of the fault until everything older than a second is counted

    def as_json(self) -> dict[str, object]:
        return asdict(self)


class Scene:
    """All parts of one round, running. Ports and data are its own."""

    def __init__(
        self,
        directory: Path,
        broker: str,
        *,
        client: str = "lean",
        proxied: bool = False,
        replica: bool = False,
        in_thread: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`proxied`: the worker reaches the broker through `wire`; `replica`: the store through `store_wire`."""
        self.directory = directory
        self.broker = BROKERS[broker](_folder(directory / "broker"))
        self.store = Valkey(_folder(directory / "store"))
        self.broker.start()
        self.store.start()
        self.wire = Proxy(self.broker.port) if proxied else None
        self.replica: Valkey | None = None
        self.store_wire: Proxy | None = None
        environ = {
            "MARKAZ_MQTT__URL": f"mqtt://127.0.0.1:{self.wire.port}" if self.wire else self.broker.url,
            "MARKAZ_MQTT__VERSION": "3.1.1" if broker == "nats" else "auto",
            "MARKAZ_REDIS__URL": self.store.url,
            "MARKAZ_INGEST__CLIENT": client,
        } | dict(settings or {})
        if environ.get("MARKAZ_STORE__DURABILITY") == "disk":
            with self.admin(self.store) as admin:  # as `markaz up` sets its store then
                admin.link.run(lambda redis: redis.config_set("appendfsync", "always"))
        if replica:
            self.replica = Valkey(_folder(directory / "replica"))
            self.replica.start()
            self.store_wire = Proxy(self.store.port)
            environ["MARKAZ_REDIS__URL"] = f"redis://127.0.0.1:{self.store_wire.port}/0"
            environ["MARKAZ_STORE__REPLICAS"] = "1"
            with self.admin(self.store) as admin:
                admin.link.run(lambda redis: redis.config_set("repl-diskless-sync-delay", 0))
            follow(self, self.replica, self.store)
        self.config = load_config(ROOT / "config.yaml", environ)
        self.reader = Store.of(self.config, timeout_s=2.0)
        self.worker = ThreadWorker(self.config) if in_thread else Worker(environ, directory / "worker.log")
        try:
            self.worker.start()
            self.worker.wait_subscribed()
        except BaseException:
            self.close()
            raise

    @contextlib.contextmanager
    def admin(self, server: Valkey) -> Iterator[Store]:
        """A connection to one of the stores itself."""
        store = Store(server.url, "tashkent", 1)
        try:
            yield store
        finally:
            store.close()

    def close(self) -> None:
        self.worker.kill()
        self.reader.close()
        for wire in (self.wire, self.store_wire):
            if wire is not None:
                wire.close()
        for server in (self.broker, self.store, self.replica):
            if server is not None:
                server.kill()


def follow(scene: Scene, replica: Valkey, primary: Valkey) -> None:
    """Make one store the replica of another and wait until it has everything."""
    with scene.admin(replica) as admin:
        wait_until(lambda: answers(admin), what="the end of loading")
        admin.link.run(lambda redis: redis.config_set("repl-diskless-sync-delay", 0))
        admin.link.run(lambda redis: redis.replicaof("127.0.0.1", primary.port))
        wait_until(lambda: admin.link.run(lambda redis: redis.info("replication"))["master_link_status"] == "up")


def answers(store: Store) -> bool:
    try:
        store.ping()
    except StoreDown:
        return False
    return True


class Meter(threading.Thread):
    """Notes, twenty times a second, how many messages the store has counted."""

    def __init__(self, scene: Scene, flow: Flow) -> None:
        super().__init__(daemon=True)
        self.notes: list[tuple[float, int]] = []
        self._reader = Store.of(scene.config, timeout_s=1.0)
        self._flow = flow
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.wait(0.05):
            with contextlib.suppress(StoreDown, StoreRefused):
                received = sum(count.received for count in self._reader.counts())
                self.notes.append((time.monotonic(), received))

    def wait_for_all(self, since: float) -> None:
        """Until all that is acknowledged is counted and, after `since` (monotonic), whatever a broker sends again."""
        changed_at, last = time.monotonic(), -1
        while time.monotonic() - changed_at < _NOTHING_MORE_S:
            received = self.notes[-1][1] if self.notes else 0
            if received >= len(self._flow.acknowledged) and time.monotonic() > since:
                break
            if received != last:
                changed_at, last = time.monotonic(), received
            time.sleep(0.05)

    def stop(self) -> None:
        self._ended.set()
        self.join()
        self._reader.close()

    def recovery_s(self, since: float, lost: int) -> float:
        """Seconds from `since` (monotonic) until the store lags less than a second behind for good."""
        recovered = since
        for at, received in self.notes:
            due = bisect_right(self._flow.times, at - _LAG_S)
            if received < due - lost:
                recovered = max(recovered, at)
        return recovered - since


def count(scene: Scene, flow: Flow, meter: Meter, fault_ended: float) -> Outcome:
    """Read everything that the store has, and compare."""
    store = scene.reader
    streamed = _streamed(store)
    rejected = _rejected(store)
    feeds = store.counts()
    sent = Counter(flow.messages[number].name for number in flow.acknowledged)
    possible = sent + Counter(flow.messages[number].name for number in flow.unsure)
    found = streamed + rejected
    lost = sum((sent - found).values())
    received = sum(feed.received for feed in feeds)
    reasons: Counter[str] = Counter()
    for feed in feeds:
        reasons.update(feed.rejected)
    return Outcome(
        sent=len(flow.acknowledged),
        unsure=len(flow.unsure),
        received=received,
        stored=sum(feed.stored for feed in feeds),
        late=sum(feed.late for feed in feeds),
        rejected=dict(reasons),
        lost=lost,
        doubled_in_streams=sum(times - 1 for times in streamed.values()),
        doubled_in_counts=received - sum((found & possible).values()),
        wrong_in_state=_wrong_in_state(store, streamed),
        recovery_s=round(meter.recovery_s(fault_ended, lost), 2),
    )


def _streamed(store: Store) -> Counter[Name]:
    """Every event of the streams."""
    cursors = dict.fromkeys(range(store.keys.partitions), "0-0")
    found: Counter[Name] = Counter()
    while entries := store.read_events(cursors, block_ms=1):
        found.update(
            (one.event.facet.value, one.event.entity, one.event.measured_ms)
            for entry in entries
            for one in entry.events
        )
    return found


class _Payload(msgspec.Struct):
    ts: int


def _rejected(store: Store) -> Counter[Name]:
    found: Counter[Name] = Counter()
    before: str | None = None
    while rejects := store.rejects(limit=5000, before=before):
        before = rejects[-1].entry_id
        for reject in rejects:
            vehicle, kind = reject.topic.split("/")[-2:]
            found[kind, vehicle, msgspec.json.decode(reject.payload, type=_Payload).ts] += 1
    return found


def _wrong_in_state(store: Store, streamed: Counter[Name]) -> int:
    newest: dict[tuple[str, str], int] = {}
    boarded: Counter[str] = Counter()
    for kind, vehicle, at_ms in streamed:
        newest[kind, vehicle] = max(at_ms, newest.get((kind, vehicle), 0))
        boarded[vehicle] += kind == Facet.PASSENGERS
    latest = {
        (facet.value, event.entity): event.measured_ms
        for facet in (Facet.POSITION, Facet.PASSENGERS)
        for event in store.latest(facet)
    }
    onboard: Counter[str] = Counter()
    for name in [store.keys.onboard(partition) for partition in range(store.keys.partitions)]:
        sums = store.link.run(lambda redis, name=name: redis.hgetall(name))  # type: ignore[misc]
        onboard.update({vehicle.decode(): int(told.partition(b":")[0]) for vehicle, told in sums.items()})
    wrong_newest = sum(latest.get(key) != newest.get(key) for key in latest.keys() | newest.keys())
    return wrong_newest + sum(onboard[v] != boarded[v] for v in onboard.keys() | boarded.keys())


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
