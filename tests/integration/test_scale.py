"""Several workers: every message stored once, whoever takes it, whoever dies, joins or leaves meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from flow import Flow, Name, every_entry, load
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from proxy import Proxy
from servers import Mosquitto, Nats, Server, Valkey, ValkeyCluster, wait_until

from city.config import load_config
from city.events import CameraStatus, Facet
from city.store import Store, now_ms

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
ROOT = Path(__file__).resolve().parents[2]
MESSAGES, VEHICLES, RATE = 20_000, 1500, 2500.0
SHARE = {"MARKAZ_INGEST__SHARE": "city"}
POSITIONS, PASSENGERS = "markaz/v1/{city}/vehicle/+/position", "markaz/v1/{city}/vehicle/+/passengers"
PARTS = {"MARKAZ_INGEST__PARTS": json.dumps({"a": POSITIONS, "b": [PASSENGERS]})}


class Workers:
    """`markaz ingest --worker NAME` processes between one broker and one store."""

    def __init__(self, directory: Path, broker: Server, store_url: str, settings: Mapping[str, str]) -> None:
        self._environ = {
            "MARKAZ_MQTT__URL": f"mqtt://127.0.0.1:{broker.port}",
            "MARKAZ_MQTT__VERSION": "3.1.1" if isinstance(broker, Nats) else "5",
            "MARKAZ_REDIS__URL": store_url,
        } | dict(settings)
        self.config = load_config(ROOT / "config.yaml", self._environ)
        self.reader = Store.of(self.config, timeout_s=5.0)
        self._broker = broker
        self._directory = directory
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._starts = 0

    def start(self, *names: str) -> None:
        """Start workers, and wait until they are subscribed."""
        logs = []
        for name in names:
            self._starts += 1
            logs.append(self._directory / f"{name}-{self._starts}.log")
            self._running[name] = self._run(logs[-1], "--worker", name)
        for log in logs:
            wait_until(lambda log=log: b'"subscribed"' in log.read_bytes(), timeout_s=40, what="the subscription")  # type: ignore[misc]

    def take_over(self, name: str) -> None:
        """Start the same worker once more, as on another machine: the first one ends, as soon as it would write."""
        first = self._running.pop(name)
        self.start(name)
        try:
            assert first.wait(10) == 1
        except subprocess.TimeoutExpired:  # it had nothing to write any more
            first.send_signal(signal.SIGTERM)
            assert first.wait(20) == 0

    def end(self, name: str, number: signal.Signals) -> None:
        process = self._running.pop(name)
        process.send_signal(number)
        process.wait(20)

    def leave(self, name: str) -> None:
        """End the worker's session for good, after what the broker holds for it."""
        self._starts += 1
        log = self._directory / f"{name}-{self._starts}-leaves.log"
        leaving = self._run(log, "--worker", name, "--leave")
        assert leaving.wait(90) == 0, log.read_text()

    def log(self) -> str:
        return "".join(log.read_text() for log in sorted(self._directory.glob("*.log")))

    def taken(self) -> dict[str, int]:
        """Worker → messages, since it was started."""
        return {one.worker.rpartition("-")[2]: one.received for one in self.reader.workers()}

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()
        self.reader.close()

    def flow(self, rate: float = RATE) -> Flow:
        """A load under way, at so many messages a second."""
        begun = Flow(self._broker.port, load(MESSAGES, VEHICLES, rate), rate)
        begun.start()
        return begun

    def check(self, flow: Flow) -> None:
        """Wait for the whole load: it is in the streams once, counted once, and the newest is the state."""
        flow.join()
        assert len(flow.acknowledged) == MESSAGES
        store = self.reader
        wait_until(lambda: _received(store) >= MESSAGES, timeout_s=60, what="the rest of the load")
        time.sleep(0.5)  # what would be too much has its time to come
        counts = store.counts()
        assert (_received(store), {count.feed: count.rejected for count in counts if count.rejected}) == (MESSAGES, {})
        assert sum(count.stored + count.late for count in counts) == MESSAGES
        sent = [message.name for message in flow.messages]
        streamed = _streamed(store)
        assert len(streamed) == len(set(streamed)) == MESSAGES
        assert set(streamed) == set(sent)
        newest = {(facet, entity): at_ms for facet, entity, at_ms in sorted(sent, key=lambda name: name[2])}
        facets = (Facet.POSITION, Facet.PASSENGERS)
        state = {(facet.value, e.entity): e.measured_ms for facet in facets for e in store.latest(facet)}
        assert state == newest
        assert _onboard(store) == Counter(entity for facet, entity, _ in sent if facet == Facet.PASSENGERS)

    def _run(self, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "markaz", "ingest", "--config", str(ROOT / "config.yaml"), *arguments]
        with log.open("ab") as out:
            return subprocess.Popen(command, env=os.environ | self._environ, cwd=ROOT, stdout=out, stderr=out)


def _received(store: Store) -> int:
    return sum(count.received for count in store.counts())


def _streamed(store: Store) -> list[Name]:
    """Every event of the streams."""
    return [
        (one.event.facet.value, one.event.entity, one.event.measured_ms)
        for entry in every_entry(store)
        for one in entry.events
    ]


def _onboard(store: Store) -> Counter[str]:
    """Passengers in each vehicle; everybody who was counted got on."""
    found: Counter[str] = Counter()
    for partition in range(store.keys.partitions):
        sums = store.link.run(lambda redis, p=partition: redis.hgetall(store.keys.onboard(p)))
        found.update({vehicle.decode(): int(sum_.partition(b":")[0]) for vehicle, sum_ in sums.items()})
    return found


def wait_for(flow: Flow, share: float) -> None:
    """Until so much of the load is sent."""
    wait_until(lambda: len(flow.acknowledged) >= share * MESSAGES, timeout_s=60, what="the load")


@pytest.fixture
def shared(tmp_path: Path, mosquitto: Mosquitto, valkey: Valkey) -> Iterator[Workers]:
    """Workers of one shared subscription, none of them running yet."""
    workers = Workers(tmp_path, mosquitto, valkey.url, SHARE)
    yield workers
    workers.close()


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_workers_of_a_share_divide_the_work(shared: Workers, names: str) -> None:
    shared.start(*names)
    shared.check(shared.flow())
    time.sleep(1.2)  # they tell of themselves every second
    taken = shared.taken()
    assert sum(taken.values()) == MESSAGES
    assert min(taken.values()) > MESSAGES / len(names) / 3, taken


def test_a_killed_worker_of_a_share_goes_on_where_it_was(shared: Workers) -> None:
    shared.start("a", "b")
    flow = shared.flow()
    wait_for(flow, 0.3)
    shared.end("a", signal.SIGKILL)
    wait_for(flow, 0.6)
    shared.start("a")
    shared.check(flow)


def test_workers_join_and_leave_a_share_under_load(shared: Workers) -> None:
    shared.start("a", "b")
    flow = shared.flow()
    wait_for(flow, 0.2)
    shared.start("c")
    wait_for(flow, 0.5)
    shared.end("b", signal.SIGTERM)
    shared.leave("b")
    shared.check(flow)
    time.sleep(1.2)
    assert set(shared.taken()) == {"a", "c"}


def test_parts_divide_the_work_on_a_broker_without_shares_and_move_between_processes(
    tmp_path: Path, nats: Nats, valkey: Valkey
) -> None:
    """Positions in one part, passengers in another. One moves by stopping, one by being taken over, one dies."""
    workers = Workers(tmp_path, nats, valkey.url, PARTS)
    try:
        workers.start("a", "b")
        flow = workers.flow()
        wait_for(flow, 0.2)
        workers.end("b", signal.SIGTERM)
        workers.start("b")
        workers.take_over("a")
        wait_for(flow, 0.6)
        workers.end("a", signal.SIGKILL)
        workers.start("a")
        workers.check(flow)
    finally:
        workers.close()


def test_what_a_killed_worker_had_stored_counts_once_although_the_broker_sends_it_late(
    tmp_path: Path, valkey: Valkey
) -> None:
    """Its last acknowledgements are lost, and the store has forgotten those batches when NATS sends them again."""
    directory = tmp_path / "nats"
    directory.mkdir()
    broker = Nats(directory, ack_wait_s=14)
    wire = Proxy(broker.port)
    parts = json.dumps({"a": [POSITIONS, PASSENGERS]})
    settings = {"MARKAZ_INGEST__PARTS": parts, "MARKAZ_MQTT__URL": f"mqtt://127.0.0.1:{wire.port}"}
    workers = Workers(tmp_path, broker, valkey.url, settings)
    try:
        broker.start()
        workers.start("a")
        flow = workers.flow()
        wait_for(flow, 0.2)
        wire.deafen()
        time.sleep(0.2)
        workers.end("a", signal.SIGKILL)
        wire.heal()
        workers.start("a")
        workers.check(flow)
    finally:
        workers.close()
        wire.close()
        broker.kill()


def test_a_part_that_leaves_takes_what_its_session_holds(tmp_path: Path, nats: Nats, valkey: Valkey) -> None:
    """Its topics speak on, and another part takes them by now."""
    parts = json.loads(PARTS["MARKAZ_INGEST__PARTS"])
    parts["c"] = parts["b"]
    settings = {"MARKAZ_INGEST__PARTS": json.dumps(parts), "MARKAZ_INGEST__CHECKS__FUTURE_MAX_S": "1"}
    workers = Workers(tmp_path, nats, valkey.url, settings)
    try:
        workers.start("a", "b")
        flow = workers.flow(600)
        wait_for(flow, 0.2)
        workers.end("b", signal.SIGTERM)
        wait_for(flow, 0.4)
        workers.start("c")
        workers.leave("b")
        flow.join()
        wait_until(lambda: len(set(_streamed(workers.reader))) >= MESSAGES, timeout_s=60, what="the rest of the load")
        sent, streamed = [message.name for message in flow.messages], _streamed(workers.reader)
        assert len(streamed) == len(set(streamed)) == MESSAGES
        assert set(streamed) == set(sent)
        # What both parts heard is told as such, and is nowhere twice.
        rejected = {count.feed: count.rejected for count in workers.reader.counts() if count.rejected}
        assert [(feed, list(reasons)) for feed, reasons in rejected.items()] == [("vehicle/passengers", ["duplicate"])]
        assert _received(workers.reader) == MESSAGES + rejected["vehicle/passengers"]["duplicate"]
    finally:
        workers.close()


def test_a_share_on_a_cluster_survives_a_killed_worker_and_a_killed_master(
    tmp_path: Path, mosquitto: Mosquitto, valkey_cluster: ValkeyCluster
) -> None:
    """Three masters with a replica each; a batch is acknowledged when the replica has it."""
    workers = Workers(
        tmp_path,
        mosquitto,
        valkey_cluster.url,
        SHARE | {"MARKAZ_STORE__REPLICAS": "1", "MARKAZ_STORE__PARTITIONS": "8"},
    )
    try:
        workers.start("a", "b")
        flow = workers.flow()
        wait_for(flow, 0.2)
        workers.end("a", signal.SIGKILL)
        wait_for(flow, 0.35)
        workers.start("a")
        master = valkey_cluster.master_of(workers.reader.keys.events(0))
        master.kill()
        wait_until(
            lambda: valkey_cluster.master_of(workers.reader.keys.events(0)) is not master, what="a promoted replica"
        )
        master.start()
        workers.check(flow)
        keys = workers.reader.keys
        assert len({valkey_cluster.master_of(keys.events(p)).port for p in range(keys.partitions)}) == 3
    finally:
        workers.close()


# --- what a broker retains ------------------------------------------------------------------------


def retain(broker: Server, cameras: range, *, online: bool = True) -> None:
    """Cameras tell their state once."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    sent = [
        client.publish(
            f"markaz/v1/tashkent/camera/c{number}/status",
            json.dumps({"ts": now_ms(), "online": online, "lat": 41.3, "lon": 69.2}),
            qos=1,
            retain=True,
        )
        for number in cameras
    ]
    for one in sent:
        one.wait_for_publish(20)
    client.disconnect()
    client.loop_stop()


def statuses(store: Store) -> dict[str, bool]:
    return {e.camera_id: e.online for e in store.latest(Facet.CAMERA_STATUS) if isinstance(e, CameraStatus)}


def counted(store: Store) -> tuple[int, int]:
    """Statuses received and stored."""
    (feed,) = [feed for feed in store.counts() if feed.feed == "camera/status"]
    return feed.received, feed.stored


def test_what_was_retained_before_the_first_worker_of_a_share_is_taken_once(
    shared: Workers, mosquitto: Mosquitto
) -> None:
    retain(mosquitto, range(3000))
    shared.start("a", "b")
    wait_until(lambda: len(statuses(shared.reader)) == 3000, what="3,000 statuses")
    wait_until(lambda: shared.log().count('"retained_messages_taken"') == 2, what="the end of it")
    assert counted(shared.reader) == (3000, 3000)
    retain(mosquitto, range(10), online=False)
    wait_until(lambda: list(statuses(shared.reader).values()).count(False) == 10, what="news through the share")
    assert counted(shared.reader) == (3010, 3010)


def test_a_worker_that_died_before_it_had_all_that_was_retained_takes_it_at_its_next_start(
    shared: Workers, mosquitto: Mosquitto
) -> None:
    retain(mosquitto, range(2000))
    # All that is left of the first try is its session at the broker.
    died = mqtt.Client(CallbackAPIVersion.VERSION2, "markaz-tashkent-a", protocol=MQTTProtocolVersion.MQTTv5)
    expiry = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    expiry.SessionExpiryInterval = 600
    died.connect("127.0.0.1", mosquitto.port, properties=expiry)
    died.loop_start()
    wait_until(died.is_connected, what="the session")
    died.subscribe("$share/city/markaz/v1/tashkent/#", 1)
    time.sleep(0.5)
    died.loop_stop()
    died.socket().close()  # type: ignore[union-attr]
    shared.start("a")
    wait_until(lambda: len(statuses(shared.reader)) == 2000, what="2,000 statuses")
    assert counted(shared.reader) == (2000, 2000)
