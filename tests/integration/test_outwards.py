"""What leaves the alarm process, with a real store, broker and receivers; killed and cut off."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from servers import Mosquitto, Nats, Valkey, wait_until

from city.alarm_store import AlarmCommit, Changed
from city.alarms import Act, Action, Alarm, AlarmPriority
from city.config import Config, load_config
from city.events import CameraEvent, SensorReading
from city.messages import Reading, Received
from city.notices import Notice
from city.store import Store, now_ms
from dashboard.operators import operate

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
RUN = (
    "import argparse, sys; from pathlib import Path; from city.config import load_config; from ingest import alarms; "
    "sys.exit(alarms.run(load_config(Path('config.yaml')), argparse.Namespace()))"
)
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
ALARM = Alarm(id="r:k", rule="r", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="k")


class Webhook:
    """A receiver that checks signatures, and answers with `statuses` first."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.got: list[tuple[int, str, str, dict[str, Any]]] = []  # answer, id, type, data
        self.forged = 0
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                name, at = self.headers["webhook-id"], self.headers["webhook-timestamp"]
                digest = hmac.new(b"k" * 32, f"{name}.{at}.".encode() + body, hashlib.sha256).digest()
                hook.forged += self.headers["webhook-signature"] != f"v1,{base64.b64encode(digest).decode()}"
                status = hook.statuses.pop(0) if hook.statuses else 204
                event = json.loads(body)
                hook.got.append((status, name, event["type"].rpartition(".")[2], event["data"]))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/hook"

    def taken(self) -> list[str]:
        """What it took, once each, in its order."""
        seen: dict[str, str] = {}
        for status, name, kind, _ in self.got:
            if status < 300:
                seen.setdefault(name, kind)
        return list(seen.values())

    def times(self, kind: str) -> int:
        return sum(status < 300 and what == kind for status, _, what, _ in self.got)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    one = Webhook()
    yield one
    one.http.shutdown()
    one.http.server_close()


class Process:
    """The alarm process."""

    def __init__(self, environ: dict[str, str], log: Path) -> None:
        self.environ, self._log = environ, log
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        begun = self.log().count("caught_up")
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(
                [sys.executable, "-c", RUN], cwd=ROOT, env=os.environ | self.environ, stdout=log, stderr=log
            )
        wait_until(lambda: self.log().count("caught_up") > begun, timeout_s=60, what="the start")

    def end(self, number: signal.Signals) -> int:
        assert self._running is not None
        self._running.send_signal(number)
        code = self._running.wait(10)
        self._running = None
        return code

    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def close(self) -> None:
        if self._running is not None:
            self.end(signal.SIGKILL)


class City:
    """What happens in the store."""

    def __init__(self, config: Config) -> None:
        self.config, self.store = config, Store.of(config)
        self._number = 0

    def fire(self, camera: str = "c", phase: str = "new") -> str:
        now = now_ms()
        event = CameraEvent(camera_id=camera, kind="fire", phase=phase, measured_ms=now, received_ms=now)
        self._number += 1
        reading = Reading("sensor/reading", event, Received("t", b"", now))
        self.store.commit("test", self._number, [reading], [], now_ms=now)
        return f"camera_alert:{camera}|fire"

    def rises(self, camera: str = "c") -> str:
        name = self.fire(camera)
        wait_until(lambda: (alarm := self.store.alarm(name)) is not None and alarm.active, what="the alarm")
        return name

    def acknowledge(self, name: str) -> None:
        alarm = self.store.alarm(name)
        assert alarm is not None
        act = Act(action=Action.ACKNOWLEDGE, at_ms=now_ms(), by="aziza")
        operate(self.store, name, alarm.version, act, keep_s=3600)

    def waiting(self, receiver: str = "duty") -> int:
        return self.store.outbox_waiting([receiver])[receiver]


@pytest.fixture
def start(valkey: Valkey, tmp_path: Path) -> Iterator[Callable[..., tuple[City, Process]]]:
    ends: list[Callable[[], None]] = []

    def begin(**settings: object) -> tuple[City, Process]:
        environ = {"MARKAZ_REDIS__URL": valkey.url, "MARKAZ_NOTICES__SENDING__RETRY_MIN_S": "0.2"}
        environ |= {name: one if isinstance(one, str) else json.dumps(one) for name, one in settings.items()}
        city = City(load_config(ROOT / "config.yaml", environ))
        process = Process(environ, tmp_path / "alarms.log")
        ends.extend([process.close, city.store.close])
        process.start()
        return city, process

    yield begin
    for end in ends:
        end()


# --- the outbox in the store ----------------------------------------------------------------------


def put(store: Store, *names: str, receiver: str = "duty") -> None:
    version = 1 if (known := store.alarm(ALARM.id)) is None else known.version + 1
    after = Alarm(
        id="r:k", rule="r", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="k", version=version
    )
    notices = [Notice(id=name, receiver=receiver, alarm=ALARM, at_ms=1) for name in names]
    assert not store.commit_alarms(AlarmCommit(alarms=[Changed(known, after)], notices=notices), keep_s=60)


@pytest.fixture
def store(valkey: Valkey) -> Iterator[Store]:
    one = Store(valkey.url, "tashkent", 2)
    yield one
    one.close()


def test_a_queue_gives_its_oldest_until_it_is_dropped(store: Store) -> None:
    put(store, "a", "b")
    put(store, "x", receiver="gas")
    heads = store.outbox_heads(["duty", "gas", "nobody"])
    assert {name: head.notice.id for name, head in heads.items()} == {"duty": "a", "gas": "x"}
    for _ in range(2):  # the second time nobody heard the first answer
        store.outbox_drop("duty", heads["duty"].entry)
    assert store.outbox_heads(["duty"])["duty"].notice.id == "b"
    assert store.outbox_waiting(["duty", "gas"]) == {"duty": 1, "gas": 1}


def test_queues_of_receivers_that_are_no_more_are_found(store: Store) -> None:
    put(store, "a", "b")
    put(store, "x", receiver="gas")
    store.outbox_drop("gas", store.outbox_heads(["gas"])["gas"].entry)
    assert store.outbox_left(["gas"]) == {"duty": 2}
    assert store.outbox_left([]) == {"duty": 2}
    assert store.outbox_left(["duty"]) == {}


def test_what_is_refused_is_kept_beside_once_with_its_reason(store: Store) -> None:
    put(store, "a", "b")
    entry = store.outbox_heads(["duty"])["duty"].entry
    for _ in range(2):
        store.outbox_drop("duty", entry, refused="answered 422")
    ((_, kept),) = store.link.run(lambda client: client.xrange(store.keys.outbox_refused()))
    assert (kept[b"receiver"], kept[b"reason"], json.loads(kept[b"notice"])["id"]) == (b"duty", b"answered 422", "a")
    assert store.outbox_heads(["duty"])["duty"].notice.id == "b"


def test_a_notice_that_cannot_be_read_holds_up_nobody(store: Store) -> None:
    store.link.run(lambda client: client.xadd(store.keys.outbox("duty"), {"notice": b"[]"}))
    put(store, "a")
    assert store.outbox_heads(["duty"]) == {}
    assert store.outbox_heads(["duty"])["duty"].notice.id == "a"
    assert store.link.run(lambda client: client.xlen(store.keys.outbox_refused())) == 1


def test_the_log_is_read_on_from_where_it_was_left(store: Store, valkey: Valkey) -> None:
    assert store.alarm_log_after("0-0") == ("0-0", [])
    assert store.alarm_log_tip() == "0-0"
    for number in range(3):
        store.link.run(
            lambda client, n=number: client.xadd(store.keys.alarm_log(), {"transition": b"{}"}, id=f"{n + 1}-0")
        )
    assert store.alarm_log_after("0-0") == ("3-0", [])  # not readable, and passed
    assert store.alarm_log_tip() == "3-0"


# --- webhooks and e-mail --------------------------------------------------------------------------


def test_a_webhook_that_fails_twice_gets_everything_in_order_and_signed(
    start: Callable[..., tuple[City, Process]], webhook: Webhook
) -> None:
    webhook.statuses = [503, 500]
    city, process = start(
        MARKAZ_NOTICES__RECEIVERS={"duty": {"webhook": webhook.url, "secret": SECRET}},
        MARKAZ_NOTICES__ESCALATION=[{"after_s": 1, "tell": ["duty"]}],
    )
    name = city.rises()
    wait_until(lambda: webhook.taken() == ["rise", "escalate"], what="the escalation")
    city.acknowledge(name)
    city.fire(phase="end")
    wait_until(lambda: len(webhook.taken()) == 4, what="the end")
    assert webhook.taken() == ["rise", "escalate", "acknowledge", "clear"]
    assert [status for status, *_ in webhook.got] == [503, 500, 204, 204, 204, 204], "each once"
    assert webhook.forged == 0
    wait_until(lambda: city.waiting() == 0, what="an empty queue")
    rise, acknowledged = webhook.got[2][3], webhook.got[4][3]
    assert (rise["alarm"]["id"], rise["transition"]["after"]) == (name, "unacknowledged")
    assert acknowledged["transition"]["by"] == "aziza"
    assert process.end(signal.SIGTERM) == 0


def test_killed_between_everything_arrives_and_at_most_twice(
    start: Callable[..., tuple[City, Process]], webhook: Webhook
) -> None:
    city, process = start(
        MARKAZ_NOTICES__RECEIVERS={"duty": {"webhook": webhook.url, "secret": SECRET}},
        MARKAZ_NOTICES__ESCALATION=[{"after_s": 2, "tell": ["duty"]}],
    )
    for number in range(4):
        city.rises(f"c{number}")
        time.sleep(0.1 * number)
        process.end(signal.SIGKILL)
        process.start()
    wait_until(lambda: sorted(webhook.taken()) == ["escalate"] * 4 + ["rise"] * 4, timeout_s=30, what="all of them")
    time.sleep(3)
    assert len(webhook.taken()) == 8
    names = [name for _, name, _, _ in webhook.got]
    assert max(names.count(name) for name in names) <= 2
    wait_until(lambda: city.waiting() == 0, what="an empty queue")


def test_a_receiver_that_was_away_gets_what_waited_and_a_hanging_one_delays_no_stop(
    start: Callable[..., tuple[City, Process]], webhook: Webhook
) -> None:
    class Hangs(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            time.sleep(20)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hangs) as hanging:
        hanging.daemon_threads = True
        threading.Thread(target=hanging.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{hanging.server_address[1]}/"
        webhook.statuses = [503] * 1000
        city, process = start(
            MARKAZ_NOTICES__RECEIVERS={
                "duty": {"webhook": webhook.url, "secret": SECRET},
                "slow": {"webhook": url, "secret": SECRET},
            },
            MARKAZ_NOTICES__SENDING__RETRY_MAX_S="0.5",
        )
        for number in range(3):
            city.rises(f"c{number}")
        wait_until(lambda: "receiver_failing" in process.log(), what="a word about it")
        wait_until(lambda: (city.waiting(), city.waiting("slow")) == (3, 3), what="all of them in their queues")
        assert webhook.taken() == []
        webhook.statuses.clear()
        wait_until(lambda: webhook.taken() == ["rise"] * 3, what="what waited")
        since = time.monotonic()
        assert process.end(signal.SIGTERM) == 0
        assert time.monotonic() - since < 5
        hanging.shutdown()


def test_an_alarm_goes_out_as_e_mail(start: Callable[..., tuple[City, Process]]) -> None:
    got: list[str] = []

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 here\r\n")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"DATA":
                    self.wfile.write(b"354 go\r\n")
                    lines = []
                    while (one := self.rfile.readline()) not in (b".\r\n", b""):
                        lines.append(one)
                    got.append(b"".join(lines).decode())
                self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        mail = {"host": "127.0.0.1", "port": server.server_address[1], "security": "none", "sender": "markaz@a.example"}
        city, _ = start(
            MARKAZ_NOTICES__MAIL=mail,
            MARKAZ_NOTICES__RECEIVERS={"duty": {"mail": ["duty@a.example"], "language": "en"}},
        )
        city.rises()
        wait_until(lambda: got, what="the e-mail")
        server.shutdown()
    assert "To: duty@a.example" in got[0]
    assert "Message-ID: <msg_" in got[0]


def test_receivers_that_cannot_be_told_end_the_start_with_a_word(
    valkey: Valkey, webhook: Webhook, tmp_path: Path
) -> None:
    receivers = {"duty": {"webhook": "https://127.0.0.1:1/", "secret": SECRET}}
    environ = {
        "MARKAZ_REDIS__URL": valkey.url,
        "MARKAZ_NOTICES__RECEIVERS": json.dumps(receivers),
        "MARKAZ_NOTICES__CA_FILE": str(tmp_path / "missing.pem"),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN], cwd=ROOT, env=os.environ | environ, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert b"alarms_stopped" in done.stdout + done.stderr


# --- MQTT -----------------------------------------------------------------------------------------


class Listener:
    """Who subscribes to the city's alarms: what is retained, and what came."""

    def __init__(self, port: int) -> None:
        self.topics: dict[str, dict[str, Any]] = {}
        self.retained: set[str] = set()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=f"listener-{time.time_ns()}")
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", port)
        self._client.subscribe("markaz/v1/tashkent/alarm/+", qos=1)
        self._client.loop_start()

    def _take(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        name = message.topic.rpartition("/")[2]
        if message.payload:
            self.topics[name] = json.loads(message.payload)
            if message.retain:
                self.retained.add(name)
        else:
            self.topics.pop(name, None)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def heard_by_a_newcomer(port: int, wait_s: float = 1.0) -> set[str]:
    """What a broker has retained."""
    one = Listener(port)
    time.sleep(wait_s)
    one.close()
    return one.retained


@pytest.fixture(params=["nats", "mosquitto"])
def broker(request: pytest.FixtureRequest) -> Nats | Mosquitto:
    found: Nats | Mosquitto = request.getfixturevalue(request.param)
    return found


def test_alarms_are_retained_on_their_topics_until_they_are_over(
    start: Callable[..., tuple[City, Process]], broker: Nats | Mosquitto
) -> None:
    city, process = start(MARKAZ_MQTT__URL=broker.url)
    listener = Listener(broker.port)
    name = city.rises("west gate+1")
    level = "camera_alert:west%20gate%2B1|fire"
    wait_until(lambda: level in listener.topics, what="the topic")
    told = listener.topics[level]
    assert (told["id"], told["state"], told["source"]) == (
        name,
        "unacknowledged",
        {"kind": "camera", "id": "west gate+1"},
    )
    assert heard_by_a_newcomer(broker.port) == {level}
    city.acknowledge(name)
    wait_until(lambda: listener.topics[level]["state"] == "acknowledged", what="the acknowledgement")
    city.fire("west gate+1", "end")
    wait_until(lambda: not listener.topics, what="the empty topic")
    assert heard_by_a_newcomer(broker.port) == set()
    listener.close()
    assert process.end(signal.SIGTERM) == 0


def test_killed_it_empties_afterwards_what_ended_meanwhile(
    start: Callable[..., tuple[City, Process]], mosquitto: Mosquitto
) -> None:
    city, process = start(MARKAZ_MQTT__URL=mosquitto.url)
    city.rises("a")
    name = city.rises("b")
    listener = Listener(mosquitto.port)
    wait_until(lambda: len(listener.topics) == 2, what="both topics")
    process.end(signal.SIGKILL)
    alarm = city.store.alarm(name)
    assert alarm is not None
    until_ms = now_ms() + 600_000
    shelve = Act(action=Action.SHELVE, at_ms=now_ms(), by="aziza", reason="drill", until_ms=until_ms)
    operate(city.store, name, alarm.version, shelve, keep_s=3600)
    process.start()
    wait_until(lambda: set(listener.topics) == {"camera_alert:a|fire"}, what="the emptied topic")
    assert heard_by_a_newcomer(mosquitto.port) == {"camera_alert:a|fire"}
    listener.close()


def test_a_broker_that_is_away_is_waited_for_and_one_that_forgot_gets_all_of_it_again(
    start: Callable[..., tuple[City, Process]], mosquitto: Mosquitto
) -> None:
    mosquitto.kill()
    city, process = start(MARKAZ_MQTT__URL=mosquitto.url)
    city.rises("a")
    wait_until(lambda: "alarm_topics_waiting" in process.log(), what="a word about it")
    mosquitto.start()
    wait_until(lambda: heard_by_a_newcomer(mosquitto.port, 0.3) == {"camera_alert:a|fire"}, what="the topic")
    mosquitto.kill()
    for file in mosquitto.directory.glob("*.db"):
        file.unlink()
    city.rises("b")
    mosquitto.start()
    wait_until(lambda: len(heard_by_a_newcomer(mosquitto.port, 0.3)) == 2, what="both topics")


def test_ingest_passes_our_own_alarms_over(broker: Nats | Mosquitto, tmp_path: Path) -> None:
    """They are acknowledged, and neither stored nor rejected; what comes behind them is stored."""
    from rig import Scene

    with_it = "nats" if isinstance(broker, Nats) else "mosquitto"
    scene = Scene(tmp_path, with_it, in_thread=True)
    try:
        client = Client(CallbackAPIVersion.VERSION2, client_id="others")
        client.connect("127.0.0.1", scene.broker.port)
        client.loop_start()
        payloads = [b'{"id": "x"}', b"", b"y" * 100_000]
        sent = [
            client.publish(f"markaz/v1/tashkent/alarm/r:{n}", payloads[n % 3], qos=1, retain=True) for n in range(30)
        ]
        body = {"ts": now_ms(), "quantity": "pressure", "value": 1.2, "unit": "bar"}
        sent.append(client.publish("markaz/v1/tashkent/sensor/s/reading", json.dumps(body), qos=1))
        for one in sent:
            one.wait_for_publish(10)
        wait_until(lambda: any(isinstance(event, SensorReading) for event in latest(scene.reader)), what="the reading")
        assert {count.feed for count in scene.reader.counts()} == {"sensor/reading"}
        assert scene.reader.rejects(limit=10) == []
        client.disconnect()
        client.loop_stop()
    finally:
        scene.close()


def latest(store: Store) -> list[object]:
    from city.events import Facet

    return list(store.latest(Facet.SENSOR))
