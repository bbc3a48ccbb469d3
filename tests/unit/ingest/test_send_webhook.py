"""Webhooks against a real HTTP server: what arrives, how it is signed, and what each answer means."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from typing import Any

import pytest

from city.alarms import Action, Alarm, AlarmPriority, AlarmState, Transition
from city.notices import Notice, notice_of
from ingest.outbox import NotSent, Refused, Stopped
from ingest.send_webhook import WebhookSender, message_id, signature, source_of

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
NOW_S = 1_777_870_800
ALARM = Alarm(
    id="fuel_drop:01-1001", rule="fuel_drop", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="01-1001",
    state=AlarmState.UNACKNOWLEDGED, active=True, raised_ms=NOW_S * 1000, values={"lost_l": 21.5},
)  # fmt: skip
RISE = Transition(
    alarm=ALARM.id, version=1, action=Action.RISE, before=AlarmState.NORMAL, after=AlarmState.UNACKNOWLEDGED,
    at_ms=NOW_S * 1000 + 250, rule="fuel_drop", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="01-1001",
)  # fmt: skip
NOTICE = notice_of("gas", ALARM, RISE)


class Server:
    """A receiver that answers with `statuses`, one after the other, then with 204."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.statuses: list[int] = []
        self.headers: dict[str, str] = {}
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                server.got.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(server.statuses.pop(0) if server.statuses else 204)
                for name, value in server.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.http.socket = tls.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


def sender(port: int, timeout_s: float = 5, scheme: str = "http", ca_file: Path | None = None) -> WebhookSender:
    url = f"{scheme}://localhost:{port}/hook/a?b=1" if scheme == "https" else f"http://127.0.0.1:{port}/hook/a?b=1"
    return WebhookSender(
        url, SECRET, source="https://markaz.example", timeout_s=timeout_s, ca_file=ca_file, clock=lambda: NOW_S + 0.9
    )


def test_a_notice_arrives_as_a_cloudevent_in_structured_json(server: Server) -> None:
    sender(server.port).send(NOTICE)
    ((path, headers, body),) = server.got
    assert path == "/hook/a?b=1"
    assert headers["content-type"].startswith("application/cloudevents+json")
    event = json.loads(body)
    data = event.pop("data")
    assert event == {
        "specversion": "1.0", "id": message_id(NOTICE), "source": "https://markaz.example", "type": "markaz.alarm.rise",
        "subject": "fuel_drop:01-1001", "time": "2026-05-04T05:00:00.250Z", "datacontenttype": "application/json",
    }  # fmt: skip
    assert data["alarm"]["values"] == {"lost_l": 21.5}
    assert (data["transition"]["action"], data["transition"]["version"]) == ("rise", 1)


def test_it_is_signed_over_id_time_and_body(server: Server) -> None:
    """As the receiver checks it, by the words of Standard Webhooks."""
    sender(server.port).send(NOTICE)
    ((_, headers, body),) = server.got
    assert headers["webhook-timestamp"] == str(NOW_S)
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(b"k" * 32, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    assert signature(b"k" * 32, headers["webhook-id"], NOW_S, body + b" ") != headers["webhook-signature"]


def test_the_signature_is_that_of_the_published_example() -> None:
    """Standard Webhooks' own test vector."""
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}')
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_try_has_the_same_id(server: Server) -> None:
    server.statuses = [500]
    with pytest.raises(NotSent):
        sender(server.port).send(NOTICE)
    sender(server.port).send(NOTICE)
    assert len({headers["webhook-id"] for _, headers, _ in server.got}) == 1
    assert len({body for _, _, body in server.got}) == 1


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_done(server: Server, status: int) -> None:
    server.statuses = [status]
    sender(server.port).send(NOTICE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, NotSent), (302, NotSent), (307, NotSent), (401, NotSent), (403, NotSent), (404, NotSent),
        (429, NotSent), (500, NotSent), (503, NotSent), (400, Refused), (413, Refused), (422, Refused), (410, Stopped),
    ],
)  # fmt: skip
def test_what_other_answers_mean(server: Server, status: int, kind: type[NotSent]) -> None:
    server.statuses = [status]
    server.headers = {"Location": f"http://127.0.0.1:{server.port}/elsewhere"}
    with pytest.raises(NotSent, match=str(status)) as problem:
        sender(server.port).send(NOTICE)
    assert type(problem.value) is kind
    assert len(server.got) == 1, "redirects are not followed"


@pytest.mark.parametrize(
    ("said", "after_s"), [("120", 120.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("-1", None), ("٣", None)]
)
def test_the_pause_that_it_asks_for_is_told(server: Server, said: str, after_s: float | None) -> None:
    server.statuses, server.headers = [503], {"Retry-After": said} if said.isascii() else {}
    with pytest.raises(NotSent) as problem:
        sender(server.port).send(NOTICE)
    assert problem.value.after_s == after_s


def listening() -> socket.socket:
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen()
    return one


def test_nobody_there_is_not_sent() -> None:
    with listening() as closed:
        port = closed.getsockname()[1]
    with pytest.raises(NotSent, match="Refused"):
        sender(port).send(NOTICE)


def test_a_silent_server_costs_the_timeout_and_no_more() -> None:
    with listening() as silent:
        began = time.monotonic()
        with pytest.raises(NotSent, match="timed out"):
            sender(silent.getsockname()[1], timeout_s=1).send(NOTICE)
        assert time.monotonic() - began < 5


def test_a_server_that_drips_is_cut_off() -> None:
    """A byte now and then never runs into the timeout of a read."""
    stop = threading.Event()

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 ")
            try:
                while not stop.wait(0.1):
                    connection.sendall(b"x")
            except OSError:
                pass

    with listening() as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        began = time.monotonic()
        with pytest.raises(NotSent):
            sender(server.getsockname()[1], timeout_s=1).send(NOTICE)
        assert time.monotonic() - began < 6
        stop.set()
        thread.join(5)


@pytest.mark.parametrize(
    "said", [b"nonsense\r\n\r\n", b"", b"HTTP/1.1 999999 X\r\n\r\n", b"HTTP/1.1 200" + b"x" * 100_000]
)
def test_what_is_no_http_is_not_sent(said: bytes) -> None:
    def answer(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(said)

    with listening() as server:
        thread = threading.Thread(target=answer, args=(server,), daemon=True)
        thread.start()
        with pytest.raises(NotSent):
            sender(server.getsockname()[1]).send(NOTICE)
        thread.join(5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, of its own authority."""
    if which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(path.with_name("key")), "-out",
        str(path.with_name("cert")),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    path.write_bytes(path.with_name("key").read_bytes() + path.with_name("cert").read_bytes())
    return path


def test_https_asks_for_a_certificate_that_it_knows(certificate: Path) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = Server(context)
    try:
        sender(server.port, scheme="https", ca_file=certificate).send(NOTICE)
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            sender(server.port, scheme="https").send(NOTICE)
    finally:
        server.stop()
    assert len(server.got) == 1


def test_an_escalation_says_for_how_long_nobody_acknowledged(server: Server) -> None:
    late = Notice(id="x", receiver="gas", alarm=ALARM, unacknowledged_s=300.0, at_ms=NOW_S * 1000)
    sender(server.port).send(late)
    event = json.loads(server.got[0][2])
    assert event["type"] == "markaz.alarm.escalate"
    assert event["data"]["unacknowledged_s"] == 300
    assert "transition" not in event["data"]


def test_an_id_for_headers_holds_no_strangers() -> None:
    odd = Notice(id="r:\r\nX: y\ud800", receiver="gas", alarm=ALARM, at_ms=0)
    assert message_id(odd).isascii()
    assert message_id(odd).replace("_", "").isalnum()


def test_a_centre_without_an_address_is_a_path() -> None:
    assert source_of("", "tashkent") == "/markaz/tashkent"
    assert source_of("https://markaz.example", "tashkent") == "https://markaz.example"
