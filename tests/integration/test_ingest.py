"""Ingest between a real broker and a real store: nothing lost, nothing doubled, bad input contained."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import redis
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from servers import Mosquitto, Nats, Server, Valkey, wait_until

from city.areas import Areas
from city.config import Config, load_config
from city.events import CameraStatus, Facet, VehiclePosition
from city.messages import FeedCount, Received
from city.store import Store, StoreFenced, now_ms
from ingest.pipeline import Pipeline
from ingest.receiver import CLIENTS, Receiver
from ingest.session import Listener, Session, SessionSettings
from ingest.share import Share

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
PREFIX = "markaz/v1/tashkent/"


@pytest.fixture(params=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest) -> Nats | Mosquitto:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture(params=["lean", "paho"])
def client(request: pytest.FixtureRequest) -> str:
    """Both clients keep the same promises."""
    return str(request.param)


def configured(broker: Nats | Mosquitto, valkey: Valkey, client: str = "lean", **settings: str) -> Config:
    environ = {
        "MARKAZ_MQTT__URL": broker.url,
        "MARKAZ_REDIS__URL": valkey.url,
        "MARKAZ_INGEST__CLIENT": client,
    } | {f"MARKAZ_{name}": value for name, value in settings.items()}
    return load_config(ROOT / "config.yaml", environ)


class Ingest:
    """A receiver in a thread of its own."""

    def __init__(self, config: Config) -> None:
        self.store = Store.of(config)
        self.receiver = Receiver(config, Pipeline(config, Areas([]), self.store), Share.of(config, None))
        self._stop = threading.Event()
        self.fenced = False  # ended because another process of its name has followed
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        try:
            self.receiver.run(self._stop)
        except StoreFenced:
            self.fenced = True

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        self.store.close()


@contextmanager
def running(config: Config, *, subscribed: bool = True) -> Iterator[Ingest]:
    ingest = Ingest(config)
    ingest.start()
    try:
        if subscribed:
            wait_until(lambda: ingest.receiver.session.subscribed, what="the subscription")
        yield ingest
    finally:
        ingest.stop()


class Publisher:
    """Publishes at QoS 1 and waits until the broker has everything."""

    def __init__(self, broker: Server) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        self._client.max_inflight_messages_set(500)
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        self._sent: list[mqtt.MQTTMessageInfo] = []

    def send(self, topic: str, payload: dict[str, Any] | bytes, *, retain: bool = False) -> None:
        raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._sent.append(self._client.publish(PREFIX + topic, raw, qos=1, retain=retain))

    def settle(self) -> None:
        for info in self._sent:
            info.wait_for_publish(20)
        self._sent.clear()

    def close(self) -> None:
        self.settle()
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def publisher(broker: Server) -> Iterator[Publisher]:
    one = Publisher(broker)
    yield one
    one.close()


def position(vehicle: int, at_ms: int, north: int = 0) -> tuple[str, dict[str, Any]]:
    return f"vehicle/bus-{vehicle}/position", {"ts": at_ms, "lat": 41.3 + north * 1e-5, "lon": 69.2, "route": "11"}


def write_before_answers(valkey: Valkey) -> None:
    """Make a running store lose nothing that it has answered when it is killed."""
    client = redis.Redis.from_url(valkey.url)
    client.config_set("appendfsync", "always")
    client.close()


def total(store: Store) -> FeedCount:
    """All feeds together."""
    counts = store.counts()
    rejected: dict[str, int] = {}
    for count in counts:
        for reason, number in count.rejected.items():
            rejected[reason] = rejected.get(reason, 0) + number
    return FeedCount(
        feed="all",
        received=sum(c.received for c in counts),
        stored=sum(c.stored for c in counts),
        late=sum(c.late for c in counts),
        rejected=rejected,
        last_received_ms=None,
    )


def north_of(store: Store) -> dict[str, int]:
    """Vehicle → the number of its newest fix."""
    return {
        event.vehicle_id: round((event.lat - 41.3) * 1e5)
        for event in store.latest(Facet.POSITION)
        if isinstance(event, VehiclePosition)
    }


def streamed(store: Store) -> list[tuple[str, int]]:
    """Every position event of the streams, as (vehicle, number)."""
    cursors = dict.fromkeys(range(store.keys.partitions), "0-0")
    found: list[tuple[str, int]] = []
    while entries := store.read_events(cursors, block_ms=1, facets=[Facet.POSITION]):
        for entry in entries:
            for stored in entry.events:
                assert isinstance(stored.event, VehiclePosition)
                found.append((stored.event.vehicle_id, round((stored.event.lat - 41.3) * 1e5)))
    return found


def test_every_message_is_stored_once_and_acknowledged(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    config, start_ms = configured(broker, valkey, client), now_ms() - 60_000
    with running(config) as ingest:
        for number in range(20):
            for vehicle in range(50):
                publisher.send(*position(vehicle, start_ms + number * 1000, number))
        publisher.settle()
        wait_until(lambda: total(ingest.store).received >= 1000, what="1,000 messages")
        assert total(ingest.store).stored == 1000
        assert north_of(ingest.store) == {f"bus-{v}": 19 for v in range(50)}
        assert len(streamed(ingest.store)) == len(set(streamed(ingest.store))) == 1000
    with running(config) as again:
        time.sleep(1.0)
        assert again.receiver.figures.received == 0, "an acknowledged message came again"


def test_what_is_published_while_the_worker_is_away_waits_in_the_broker(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    config = configured(broker, valkey, client)
    with running(config):
        pass
    for number in range(300):
        publisher.send(*position(number, now_ms()))
    publisher.settle()
    with running(config) as ingest:
        wait_until(lambda: total(ingest.store).stored == 300, what="300 messages")


def test_a_killed_store_loses_nothing_and_doubles_nothing(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    """SIGKILL in mid-stream, away for two seconds, back with its append-only file; twice.

    The file is written before each answer: with `everysec` a store puts that off while its disk is busy.
    """
    config, start_ms = configured(broker, valkey, client), now_ms() - 300_000
    write_before_answers(valkey)
    with running(config) as ingest:
        for number in range(60):
            if number in (20, 40):
                valkey.kill()
            if number in (30, 50):
                time.sleep(2.0)
                valkey.start()
                write_before_answers(valkey)
            for vehicle in range(50):
                publisher.send(*position(vehicle, start_ms + number * 1000, number))
            time.sleep(0.01)
        publisher.settle()
        wait_until(lambda: ingest.receiver.figures.received >= 3000, timeout_s=30, what="3,000 acknowledged messages")
        wait_until(lambda: total(ingest.store).received >= 3000, what="3,000 messages in the store")
        time.sleep(0.3)
        counts = total(ingest.store)
        assert (counts.received, counts.stored, counts.late, counts.rejected) == (3000, 3000, 0, {})
        assert north_of(ingest.store) == {f"bus-{v}": 59 for v in range(50)}
        assert len(streamed(ingest.store)) == len(set(streamed(ingest.store))) == 3000


def test_a_restarted_broker_is_found_again_within_seconds(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    with running(configured(broker, valkey, client)) as ingest:
        publisher.send(*position(1, now_ms()))
        publisher.settle()
        wait_until(lambda: total(ingest.store).stored == 1, what="the first message")
        time.sleep(1.5)  # mosquitto writes its sessions down once a second
        publisher.close()
        broker.kill()
        broker.start()
        after = Publisher(broker)
        wait_until(lambda: ingest.receiver.session.connected, timeout_s=5, what="the connection")
        after.send(*position(2, now_ms()))
        after.close()
        wait_until(lambda: total(ingest.store).stored == 2, what="the message after the restart")


def test_a_store_that_is_away_for_longer_than_the_keepalive_costs_no_message_and_no_connection(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    """The queue is full, so nothing is read: neither messages nor the answers to pings behind them."""
    config = configured(broker, valkey, client, MQTT__KEEPALIVE_S="5", INGEST__QUEUE_MAX="1000")
    with running(config) as ingest:
        session = ingest.receiver.session
        before: int = session._connection  # type: ignore[attr-defined]
        valkey.kill()
        for number in range(60):
            for vehicle in range(50):
                publisher.send(*position(vehicle, now_ms() - 60_000 + number * 1000, number))
        publisher.settle()
        wait_until(lambda: ingest.receiver._intake.full, what="a full queue")
        time.sleep(12)
        assert len(ingest.receiver._intake) <= 2000 + 1000, "the broker holds the rest"
        valkey.start()
        wait_until(lambda: total(ingest.store).received >= 3000, timeout_s=30, what="3,000 messages")
        time.sleep(0.5)
        counts = total(ingest.store)
        assert (counts.received, counts.stored + counts.late, counts.rejected) == (3000, 3000, {})
        assert north_of(ingest.store) == {f"bus-{v}": 59 for v in range(50)}
        # paho cannot ping while it reads nothing: the broker may let it go once, and then sends in another order.
        assert session._connection - before <= (0 if client == "lean" else 1)  # type: ignore[attr-defined]
        assert counts.late == 0 or client == "paho"


@pytest.mark.parametrize("version", ["3.1.1", "5", "auto"])
def test_both_versions_of_the_protocol_keep_the_session(
    mosquitto: Mosquitto, client: str, valkey: Valkey, version: str
) -> None:
    config = configured(mosquitto, valkey, client, MQTT__VERSION=version)
    with running(config):
        pass
    publisher = Publisher(mosquitto)
    for number in range(50):
        publisher.send(*position(number, now_ms()))
    publisher.close()
    with running(config) as ingest:
        wait_until(lambda: total(ingest.store).stored == 50, what="50 messages")


def test_a_payload_above_the_limit_is_one_reject_and_holds_up_nothing(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    """NATS takes up to 1 MB."""
    with running(configured(broker, valkey, client)) as ingest:
        publisher.send(*position(1, now_ms()))
        publisher.send("vehicle/bus-1/position", b"x" * 900_000)
        publisher.send(*position(2, now_ms()))
        publisher.settle()
        wait_until(lambda: total(ingest.store).received == 3, what="3 messages")
        (kept,) = ingest.store.rejects(limit=10)
        assert kept.reason == "too_large"
        assert kept.payload == b"x" * len(kept.payload)
        assert len(north_of(ingest.store)) == 2


def test_two_workers_of_one_name_take_the_session_from_each_other_and_lose_nothing(
    mosquitto: Mosquitto, client: str, valkey: Valkey
) -> None:
    """An operator's mistake, or a move to another machine: the one that came first ends, and it costs no message."""
    config = configured(mosquitto, valkey, client)
    publisher = Publisher(mosquitto)
    start_ms = now_ms() - 60_000
    with running(config), running(config) as ingest:
        for number in range(20):
            for vehicle in range(20):
                publisher.send(*position(vehicle, start_ms + number * 1000, number))
            time.sleep(0.1)
        publisher.close()
        wait_until(lambda: total(ingest.store).received >= 400, timeout_s=30, what="400 messages")
        assert not ingest.fenced
    time.sleep(0.3)
    with running(config) as last:
        time.sleep(1.0)
        assert north_of(last.store) == {f"bus-{v}": 19 for v in range(20)}
        assert len(set(streamed(last.store))) == 400


def test_it_starts_before_its_servers_and_waits_for_both(nats: Nats, client: str, valkey: Valkey) -> None:
    config = configured(nats, valkey, client)
    nats.kill()
    valkey.kill()
    with running(config, subscribed=False) as ingest:
        time.sleep(0.5)
        valkey.start()
        time.sleep(0.5)
        nats.start()
        wait_until(lambda: ingest.receiver.session.subscribed, timeout_s=10, what="the subscription")


GOOD: dict[str, dict[str, Any]] = {
    "vehicle/v/position": {"lat": 41.3, "lon": 69.2},
    "vehicle/v/passengers": {"in": 1, "out": 0},
    "vehicle/v/fuel": {"level_l": 100},
    "camera/c/event": {"kind": "car"},
    "camera/c/status": {"online": True},
    "sensor/s/reading": {"quantity": "pressure", "value": 1.0, "unit": "bar"},
    "case/1055/1": {"category": "roads", "status": "open", "lat": 41.3, "lon": 69.2},
}
BAD = (
    b"", b"\xff\xfe", b"not json", b"[]", b"{}", b'{"ts": NaN}', b'{"ts": "now"}', b'{"ts":' * 5000,
    b'{"ts": 1, "x": "' + b"x" * 70_000 + b'"}', b'{"ts": 1e999}', b'{"ts": "\\ud800"}', b"\x00" * 50,
)  # fmt: skip


def test_bad_input_on_every_topic_costs_one_reject_each_and_nothing_else(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    with running(configured(broker, valkey, client)) as ingest:
        for topic, fields in GOOD.items():
            publisher.send(topic, {"ts": now_ms()} | fields)
            for payload in BAD:
                if payload:
                    publisher.send(topic, payload)
        publisher.settle()
        bad = len(BAD) - 1
        wait_until(lambda: total(ingest.store).received >= len(GOOD) * (bad + 1), what="all outcomes")
        for count in ingest.store.counts():
            assert (count.received, count.stored, sum(count.rejected.values())) == (bad + 1, 1, bad), count
        kept = ingest.store.rejects(limit=1000)
        assert len(kept) == len(GOOD) * bad
        assert {reject.payload for reject in kept} >= {b"\xff\xfe", b"not json", b"\x00" * 50}
        publisher.send(*position(1, now_ms()))
        publisher.settle()
        wait_until(lambda: "bus-1" in north_of(ingest.store), what="the good message after them")


def test_an_older_message_never_overwrites_a_newer_one(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    with running(configured(broker, valkey, client)) as ingest:
        at_ms = now_ms() - 60_000
        for number in (5, 9, 7, 9, 1, 8):
            publisher.send(*position(1, at_ms + number * 1000, number))
        publisher.settle()
        wait_until(lambda: total(ingest.store).received >= 6, what="6 messages")
        counts = total(ingest.store)
        assert (counts.stored, counts.late, counts.rejected) == (2, 3, {"duplicate": 1})
        assert north_of(ingest.store) == {"bus-1": 9}


def test_a_cameras_last_will_takes_it_offline(broker: Nats | Mosquitto, client: str, valkey: Valkey) -> None:
    topic = PREFIX + "camera/c/status"
    with running(configured(broker, valkey, client)) as ingest:
        camera = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311)
        camera.will_set(topic, json.dumps({"ts": now_ms(), "online": False}), qos=1, retain=True)
        camera.connect("127.0.0.1", broker.port)
        camera.loop_start()
        status = {"ts": now_ms(), "online": True, "lat": 41.3, "lon": 69.2}
        camera.publish(topic, json.dumps(status), qos=1, retain=True).wait_for_publish(10)

        def state() -> CameraStatus | None:
            return next((e for e in ingest.store.latest(Facet.CAMERA_STATUS) if isinstance(e, CameraStatus)), None)

        wait_until(lambda: (found := state()) is not None and found.online, what="online")
        connection = camera.socket()
        assert connection is not None
        camera.loop_stop()
        connection.close()  # no DISCONNECT: the broker publishes the will
        wait_until(lambda: (found := state()) is not None and not found.online, what="offline")
        offline = state()
        assert offline is not None
        assert (offline.lat, offline.lon) == (41.3, 69.2)


def test_a_retained_status_from_yesterday_is_stored_and_not_counted_again(
    broker: Nats | Mosquitto, client: str, valkey: Valkey, publisher: Publisher
) -> None:
    publisher.send("camera/c/status", {"ts": now_ms() - 86_400_000, "online": False}, retain=True)
    publisher.settle()
    for _ in range(2):
        with running(configured(broker, valkey, client)) as ingest:
            wait_until(lambda ingest=ingest: total(ingest.store).stored == 1, what="the status")  # type: ignore[misc]
            time.sleep(0.3)
            assert total(ingest.store).received == 1


def test_the_process_ends_cleanly_on_sigterm_with_its_batch_stored(nats: Nats, valkey: Valkey) -> None:
    environ = os.environ | {
        "MARKAZ_MQTT__URL": nats.url,
        "MARKAZ_REDIS__URL": valkey.url,
        "MARKAZ_INGEST__BATCH_WINDOW_MS": "1000",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "markaz", "ingest", "--config", str(ROOT / "config.yaml")], env=environ, cwd=ROOT
    )
    config = configured(nats, valkey)
    store = Store.of(config)
    try:
        publisher = Publisher(nats)
        until = time.monotonic() + 20
        while total(store).received == 0 and time.monotonic() < until:
            publisher.send(*position(1, now_ms()))
            time.sleep(0.2)
        publisher.close()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        with running(config) as ingest:  # what it left is stored by the next one, and once
            time.sleep(1.0)
            counts = total(ingest.store)
            assert counts.received == counts.stored > 0
    finally:
        store.close()
        process.kill()
        process.wait()


def test_who_leaves_is_not_subscribed_anew_when_the_broker_has_forgotten_the_session(
    nats: Nats, valkey: Valkey, client: str
) -> None:
    config = configured(nats, valkey, client)
    messages: list[Received] = []
    settings = SessionSettings.of(config, client_id="leaver", topics=[f"{PREFIX}#"], payload_max_bytes=10_000)
    session = CLIENTS[client](settings, Listener(messages.extend, lambda connection: None, now_ms))

    def turned() -> Session:
        """The session after a turn of a worker's loop."""
        session.connect_if_needed()
        connection = session.socket()
        if connection is not None:
            writes = [connection] if session.wants_write() else []
            readable, writable, _ = select.select([connection], writes, [], 0.02)
            if readable:
                session.read()
            if writable:
                session.write()
        return session

    wait_until(lambda: turned().subscribed, what="the subscription")
    session.unsubscribe()
    nats.kill()
    wait_until(lambda: not turned().connected, what="the loss")
    shutil.rmtree(nats.directory / "jetstream")
    nats.start()
    wait_until(lambda: turned().connected, what="the next connection")

    def turn_on(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            turned()

    turn_on(0.5)  # a subscription would be there by now
    publisher = Publisher(nats)
    publisher.send(*position(1, now_ms()))
    publisher.close()
    turn_on(1)
    assert messages == []
    session.close(time.monotonic() + 1)
