"""The lean client against a broker that the test plays itself, packet by packet, by a clock of its own."""

from __future__ import annotations

import select
import shutil
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

import ingest.lean_client
import ingest.session
from city.messages import Received
from ingest.lean_client import LeanClient
from ingest.session import Listener, SessionRefused, SessionSettings

AT_MS = 1_777_870_800_000
ACCEPTED = b"\x20\x03\x00\x00\x00"  # MQTT 5, no session
RESUMED = b"\x20\x03\x01\x00\x00"
SUBSCRIBED = b"\x90\x04\x00\x01\x00\x01"
PINGREQ, PINGRESP = b"\xc0\x00", b"\xd0\x00"
DISCONNECT = b"\xe0\x00"


class Clock:
    """The monotonic clock of the client, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    for module in (ingest.lean_client, ingest.session):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=one.monotonic))
    return one


class Broker:
    """A listening socket and the newest connection to it."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(5)
        self.port = int(self._listening.getsockname()[1])
        self.connection: socket.socket | None = None

    def accept(self) -> bytes:
        """Take the connection that waits; gives its CONNECT packet."""
        self.connection, _ = self._listening.accept()
        self.connection.settimeout(5)
        return self.packet()

    def packet(self) -> bytes:
        """One packet of the client; of more than 127 bytes none is sent here but acknowledgements."""
        head = self._exactly(2)
        assert head[1] < 128
        return head + self._exactly(head[1])

    def _exactly(self, size: int) -> bytes:
        assert self.connection is not None
        data = b""
        while len(data) < size:
            more = self.connection.recv(size - len(data))
            assert more, "the client hung up"
            data += more
        return data

    def rest(self) -> bytes:
        """All that the client still sends until it hangs up."""
        assert self.connection is not None
        data = b""
        while more := self.connection.recv(65_536):
            data += more
        return data

    def say(self, data: bytes) -> None:
        assert self.connection is not None
        self.connection.sendall(data)

    def connection_readable(self) -> bool:
        return bool(select.select([self.connection], [], [], 0.01)[0])

    def hang_up(self) -> None:
        assert self.connection is not None
        self.connection.close()

    def close(self) -> None:
        self._listening.close()
        if self.connection is not None:
            self.connection.close()


@pytest.fixture
def broker() -> Iterator[Broker]:
    one = Broker()
    yield one
    one.close()


class Worker:
    """A client, and what it told."""

    def __init__(self, broker: Broker, **given: object) -> None:
        settings = SessionSettings(
            host="127.0.0.1",
            port=broker.port,
            tls=False,
            ca_file=None,
            username=None,
            password=None,
            client_id="markaz-test",
            topics=("a/#", "b"),
            version="auto",
            keepalive_s=30,
            session_expiry_s=3600,
            receive_maximum=100,
            payload_max_bytes=65_536,
        )
        self.messages: list[Received] = []
        self.resumed: list[int] = []
        listener = Listener(self.messages.extend, self.resumed.append, lambda: AT_MS)
        self.client = LeanClient(replace(settings, **given), listener)  # type: ignore[arg-type]

    def hear(self) -> None:
        """Read what the broker said; the kernel may need a moment to bring it."""
        connection = self.client.socket()
        assert connection is not None
        ready, _, _ = select.select([connection], [], [], 5)
        assert ready, "nothing came"
        self.client.read()


@pytest.fixture
def worker(broker: Broker, clock: Clock) -> Worker:
    return Worker(broker)


def connect(worker: Worker, broker: Broker, answer: bytes = ACCEPTED + SUBSCRIBED) -> bytes:
    """A connection as it should be; gives the CONNECT packet."""
    worker.client.connect_if_needed()
    first = broker.accept()
    broker.say(answer)
    while not worker.client.connected or (SUBSCRIBED in answer and not worker.client.subscribed):
        worker.hear()
    if answer.startswith(ACCEPTED):
        assert broker.packet()[0] == 0x82, "a new session is subscribed"
    return first


def publish(topic: bytes, payload: bytes, packet_id: int, *, again: bool = False) -> bytes:
    """PUBLISH of MQTT 5 with QoS 1."""
    body = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + b"\x00" + payload
    assert len(body) < 128
    return bytes([0x3A if again else 0x32, len(body)]) + body


# --- connecting --------------------------------------------------------------------------------------------


def test_it_asks_for_a_kept_session_in_mqtt_5_and_subscribes(worker: Worker, broker: Broker) -> None:
    first = connect(worker, broker)
    assert first[2:10] == b"\x00\x04MQTT\x05\x00", "version 5, clean start off"
    assert first.endswith(b"\x0bmarkaz-test")
    assert (worker.client.connected, worker.client.subscribed) == (True, True)
    assert worker.resumed == []


@pytest.mark.parametrize("code", [b"\x84", b"\x01"])
def test_a_broker_that_knows_only_the_older_version_is_asked_in_it_at_once(
    worker: Worker, broker: Broker, code: bytes
) -> None:
    worker.client.connect_if_needed()
    assert broker.accept()[8] == 5
    broker.say(b"\x20\x02\x00" + code)
    worker.hear()
    worker.client.connect_if_needed()
    assert broker.accept()[8] == 4
    broker.say(b"\x20\x02\x00\x00")
    worker.hear()
    assert broker.packet() == b"\x82\x0c\x00\x01\x00\x03a/#\x01\x00\x01b\x01"
    broker.say(b"\x90\x04\x00\x01\x01\x01")
    worker.hear()
    assert worker.client.subscribed


@pytest.mark.parametrize(("version", "code"), [("5", b"\x84"), ("3.1.1", b"\x01"), ("auto", b"\x87")])
def test_a_refused_connection_is_tried_again_in_the_same_version_and_told_once(
    broker: Broker, clock: Clock, version: str, code: bytes
) -> None:
    worker = Worker(broker, version=version)
    with capture_logs() as logs:
        for _ in range(3):
            clock.now += 2
            worker.client.connect_if_needed()
            assert broker.accept()[8] == (4 if version == "3.1.1" else 5)
            broker.say(b"\x20\x02\x00" + code)
            worker.hear()
            assert not worker.client.connected
            assert worker.client.socket() is None
    assert [(log["event"], log["error"]) for log in logs] == [
        ("waiting_for_broker", f"the broker refuses: code {code[0]}")
    ]


def test_a_refused_subscription_ends_the_worker_with_the_topics_name(worker: Worker, broker: Broker) -> None:
    worker.client.connect_if_needed()
    broker.accept()
    broker.say(ACCEPTED + b"\x90\x05\x00\x01\x00\x01\x87")
    worker.hear()
    assert not worker.client.subscribed
    with pytest.raises(SessionRefused, match=r"subscription to b \(code 135\)"):
        worker.client.connect_if_needed()


def test_a_broker_that_is_not_there_is_tried_again_after_growing_waits(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    broker.close()
    waits = []
    for _ in range(12):
        worker.client.connect_if_needed()
        assert worker.client.socket() is None
        waits.append(worker.client.wait_s())
        clock.now += waits[-1]
    assert 0.025 <= waits[0] <= 0.05
    assert all(0.5 <= wait <= 1.0 for wait in waits[-5:])


def test_nothing_is_tried_before_the_wait_is_over(worker: Worker, broker: Broker, clock: Clock) -> None:
    connect(worker, broker)
    broker.hang_up()
    worker.hear()
    assert worker.client.socket() is None
    worker.client.connect_if_needed()
    assert worker.client.socket() is None
    clock.now += 0.05
    worker.client.connect_if_needed()
    assert worker.client.socket() is not None


def test_a_broker_that_does_not_answer_connect_is_left_after_three_seconds(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    worker.client.connect_if_needed()
    broker.accept()
    clock.now += 2.9
    worker.client.connect_if_needed()
    assert worker.client.socket() is not None
    clock.now += 0.2
    worker.client.connect_if_needed()
    assert worker.client.socket() is None
    clock.now += 1
    connect(worker, broker)


def test_what_speaks_something_else_is_left(worker: Worker, broker: Broker) -> None:
    with capture_logs() as logs:
        worker.client.connect_if_needed()
        broker.accept()
        broker.say(b"HTTP/1.1 400 Bad Request\r\n\r\n" + bytes(100))
        worker.hear()
    assert worker.client.socket() is None
    assert logs[-1]["error"].startswith("not MQTT")


# --- a connection that lives, and one that does not -----------------------------------------------------------


def test_a_silent_broker_is_asked_before_half_the_keepalive_and_lives_by_its_answer(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    for _ in range(5):
        wait_s = worker.client.wait_s()
        assert 0 < wait_s <= 15
        clock.now += wait_s
        worker.client.connect_if_needed()
        assert broker.packet() == PINGREQ
        broker.say(PINGRESP)
        worker.hear()
    assert worker.client.connected


def test_a_broker_that_answers_no_ping_is_lost_within_ten_seconds(worker: Worker, broker: Broker, clock: Clock) -> None:
    connect(worker, broker)
    silent_since = clock.now
    turns = 0
    while worker.client.connected:
        wait_s = worker.client.wait_s()
        assert wait_s > 0, "it would spin"
        clock.now += wait_s
        worker.client.connect_if_needed()
        turns += 1
    assert turns == 2
    assert clock.now - silent_since <= 10
    assert worker.client.socket() is None
    assert broker.rest() == PINGREQ


def test_an_answer_that_nobody_has_read_yet_is_no_silence(worker: Worker, broker: Broker, clock: Clock) -> None:
    """A full queue stops reading: messages wait in the socket, and the answers to pings behind them."""
    connect(worker, broker)
    broker.say(publish(b"a/1", b"{}", 1))
    for _ in range(10):
        clock.now += worker.client.wait_s()
        worker.client.connect_if_needed()
        assert broker.packet() == PINGREQ, "the broker must not think that the worker has gone"
        broker.say(PINGRESP)
    worker.hear()
    assert worker.client.connected
    assert len(worker.messages) == 1
    clock.now += worker.client.wait_s()
    worker.client.connect_if_needed()
    assert worker.client.connected


def test_an_answer_to_connect_that_nobody_has_read_yet_is_no_silence(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    worker.client.connect_if_needed()
    broker.accept()
    broker.say(ACCEPTED)
    clock.now += 60
    worker.client.connect_if_needed()
    worker.hear()
    assert worker.client.connected


def test_the_brokers_own_keepalive_counts(worker: Worker, broker: Broker) -> None:
    worker.client.connect_if_needed()
    broker.accept()
    broker.say(b"\x20\x06\x00\x00\x03\x13\x00\x02")
    worker.hear()
    assert worker.client.wait_s() <= 1


def test_a_broker_that_talks_and_hears_nothing_is_pinged_too(worker: Worker, broker: Broker, clock: Clock) -> None:
    """Messages of QoS 0 are not acknowledged, and a broker leaves who is silent."""
    connect(worker, broker)
    silent_since = clock.now
    while not broker.connection_readable():
        assert clock.now - silent_since <= 15
        broker.say(b"\x30\x06\x00\x03a/1\x00")
        worker.hear()
        clock.now += 1
        worker.client.connect_if_needed()
    assert broker.packet() == PINGREQ


def test_a_session_that_another_worker_took_is_not_taken_back_at_once(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    with capture_logs() as logs:
        broker.say(b"\xe0\x01\x8e")
        worker.hear()
    assert logs[-1]["error"] == "another worker has taken the session"
    assert worker.client.wait_s() == pytest.approx(1.0)
    clock.now += 0.9
    worker.client.connect_if_needed()
    assert worker.client.socket() is None


def test_a_disconnect_for_another_reason_is_told(worker: Worker, broker: Broker) -> None:
    connect(worker, broker)
    with capture_logs() as logs:
        broker.say(b"\xe0\x01\x8b")  # the server shuts down
        worker.hear()
    assert "139" in logs[-1]["error"]
    assert worker.client.wait_s() <= 0.05


def test_a_session_that_the_broker_kept_is_told_before_its_messages_and_not_subscribed_anew(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    broker.hang_up()
    worker.hear()
    clock.now += 1
    worker.client.connect_if_needed()
    broker.accept()
    seen: list[int] = []
    worker.client._listener.resumed = lambda connection: seen.append(len(worker.messages))
    broker.say(RESUMED + publish(b"a/1", b"{}", 1, again=True))
    worker.hear()
    assert seen == [0]
    assert [(message.again, message.connection) for message in worker.messages] == [(True, 2)]
    worker.client.close(clock.now)
    assert broker.rest() == DISCONNECT


def test_a_session_that_the_broker_lost_is_subscribed_anew_and_told(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    broker.hang_up()
    worker.hear()
    clock.now += 1
    with capture_logs() as logs:
        connect(worker, broker)
    assert "session_lost" in [log["event"] for log in logs]
    assert worker.resumed == []


@pytest.mark.parametrize("kept", [True, False])
def test_a_worker_that_leaves_subscribes_no_more(worker: Worker, broker: Broker, clock: Clock, kept: bool) -> None:
    connect(worker, broker)
    worker.client.unsubscribe()
    asked = broker.packet()
    assert asked[0] == 0xA2
    broker.hang_up()
    worker.hear()
    clock.now += 1
    worker.client.connect_if_needed()
    broker.accept()
    broker.say(RESUMED if kept else ACCEPTED)
    worker.hear()
    worker.client.close(clock.now)
    assert broker.rest() == (asked if kept else b"") + DISCONNECT


def test_what_came_before_the_loss_in_one_reading_is_not_thrown_away(worker: Worker, broker: Broker) -> None:
    connect(worker, broker)
    broker.say(publish(b"a/1", b"{}", 1) + b"\xe0\x01\x8b")
    worker.hear()
    assert not worker.client.connected
    assert [message.topic for message in worker.messages] == ["a/1"]


def test_a_connection_that_is_reset_is_lost(worker: Worker, broker: Broker) -> None:
    connect(worker, broker)
    assert broker.connection is not None
    broker.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    broker.hang_up()
    worker.hear()
    assert worker.client.socket() is None
    worker.client.read()
    worker.client.write()
    worker.client.acknowledge([Received("a", b"", AT_MS, packet_id=1, connection=1)])


def test_a_reset_is_noticed_in_writing_too(worker: Worker, broker: Broker) -> None:
    connect(worker, broker)
    assert broker.connection is not None
    broker.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    broker.hang_up()
    for _ in range(2):
        worker.client.acknowledge([Received("a", b"", AT_MS, packet_id=1, connection=1)])
    assert worker.client.socket() is None
    assert not worker.client.wants_write()


def test_reading_when_nothing_came_does_nothing(worker: Worker, broker: Broker) -> None:
    connect(worker, broker)
    worker.client.read()
    assert worker.client.connected
    assert not worker.client.buffered()


# --- acknowledgements --------------------------------------------------------------------------------------


def test_messages_are_acknowledged_in_the_order_given_and_only_where_they_came(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    broker.say(publish(b"a/1", b"1", 5) + publish(b"a/1", b"2", 3))
    worker.hear()
    earlier = list(worker.messages)
    worker.client.acknowledge(earlier)
    assert broker.packet() + broker.packet() == b"\x40\x02\x00\x05\x40\x02\x00\x03"
    broker.hang_up()
    worker.hear()
    clock.now += 1
    connect(worker, broker, RESUMED)
    now = Received("a", b"", AT_MS, packet_id=9, connection=2)
    without_id = Received("a", b"", AT_MS, packet_id=0, connection=2)
    worker.client.acknowledge([*earlier, without_id, now])
    assert broker.packet() == b"\x40\x02\x00\x09"


def test_acknowledgements_that_the_socket_does_not_take_wait_and_go_on_where_they_stopped(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    connection = worker.client.socket()
    assert connection is not None
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ids = [n % 65_535 + 1 for n in range(4_000_000)]
    messages = [Received("a", b"", AT_MS, packet_id=n, connection=1) for n in range(1, 65_536)]
    rounds = 0
    while not worker.client.wants_write():
        worker.client.acknowledge(messages)
        rounds += 1
        assert rounds * 65_535 < len(ids)
    heard = bytearray()
    assert broker.connection is not None
    while worker.client.wants_write():
        heard += broker.connection.recv(1 << 20)
        worker.client.write()
    worker.client.close(clock.now)
    heard += broker.rest()
    expected = b"".join(struct.pack(">HH", 0x4002, n) for n in ids[: rounds * 65_535])
    assert heard == expected + DISCONNECT


def test_acknowledgements_that_were_not_sent_are_forgotten_with_their_connection(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    messages = [Received("a", b"", AT_MS, packet_id=n, connection=1) for n in range(1, 65_536)]
    while not worker.client.wants_write():
        worker.client.acknowledge(messages)
    broker.hang_up()
    while worker.client.socket() is not None:
        worker.client.write()
    assert not worker.client.wants_write()
    clock.now += 1
    connect(worker, broker, RESUMED)
    worker.client.close(clock.now)
    assert broker.rest() == DISCONNECT


# --- the end -----------------------------------------------------------------------------------------------


def test_closing_says_goodbye_behind_what_is_to_be_acknowledged(worker: Worker, broker: Broker, clock: Clock) -> None:
    connect(worker, broker)
    worker.client.acknowledge([Received("a", b"", AT_MS, packet_id=1, connection=1)])
    worker.client.close(clock.now + 1)
    assert broker.rest() == b"\x40\x02\x00\x01" + DISCONNECT
    assert (worker.client.connected, worker.client.socket()) == (False, None)


def test_a_session_that_is_to_be_forgotten_ends_with_the_connection(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    worker.client.unsubscribe()
    assert broker.packet() == b"\xa2\x0b\x00\x02\x00\x00\x03a/#\x00\x01b"
    broker.say(b"\xb0\x05\x00\x02\x00\x00\x00")
    worker.hear()
    worker.client.close(clock.now + 1, forget=True)
    assert broker.rest() == b"\xe0\x07\x00\x05\x11\x00\x00\x00\x00"


def test_closing_waits_no_longer_than_it_may_for_a_broker_that_takes_nothing(
    worker: Worker, broker: Broker, clock: Clock
) -> None:
    connect(worker, broker)
    messages = [Received("a", b"", AT_MS, packet_id=n, connection=1) for n in range(1, 65_536)]
    while not worker.client.wants_write():
        worker.client.acknowledge(messages)
    worker.client.close(clock.now)
    assert worker.client.socket() is None


def test_closing_what_is_not_connected_is_nothing(worker: Worker, broker: Broker, clock: Clock) -> None:
    worker.client.close(clock.now)
    worker.client.connect_if_needed()
    broker.accept()
    worker.client.close(clock.now)
    assert broker.rest() == b""


# --- TLS ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 with its key, its own authority."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    made = tmp_path_factory.mktemp("tls") / "broker.pem"
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", str(made), "-out", str(made) + ".crt"], check=True, capture_output=True)
    made.write_text(made.read_text() + Path(f"{made}.crt").read_text())
    return made


def test_over_tls_no_message_is_left_behind(broker: Broker, clock: Clock, certificate: Path) -> None:
    """The socket may have nothing more to give while messages are decrypted already."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    stream = ACCEPTED + SUBSCRIBED + b"".join(publish(b"a/1", b"%d" % n, n) for n in range(1, 3001))

    def serve() -> None:
        plain, _ = broker._listening.accept()
        with context.wrap_socket(plain, server_side=True) as wrapped:
            wrapped.sendall(stream)
            while wrapped.recv(65_536):
                pass

    serving = threading.Thread(target=serve)
    serving.start()
    worker = Worker(broker, tls=True, ca_file=Path(f"{certificate}.crt"))
    worker.client.connect_if_needed()
    assert worker.client.socket() is not None
    while len(worker.messages) < 3000:
        if not worker.client.buffered():
            assert select.select([worker.client.socket()], [], [], 5)[0]
        worker.client.read()
    worker.client.close(clock.now + 1)
    serving.join(5)
    assert [message.packet_id for message in worker.messages] == list(range(1, 3001))


def test_a_broker_whose_certificate_nobody_vouches_for_is_not_spoken_to(
    broker: Broker, clock: Clock, certificate: Path
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve() -> None:
        plain, _ = broker._listening.accept()
        with pytest.raises(OSError):  # noqa: PT011 - the client breaks off, in one of several ways
            context.wrap_socket(plain, server_side=True).recv(1)

    serving = threading.Thread(target=serve)
    serving.start()
    worker = Worker(broker, tls=True)
    with capture_logs() as logs:
        worker.client.connect_if_needed()
    serving.join(5)
    assert worker.client.socket() is None
    assert "certificate" in logs[-1]["error"].lower()
