"""E-mail against a small SMTP server that refuses, breaks off and recovers."""

from __future__ import annotations

import base64
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from shutil import which
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from analysis.cap import Publisher
from city.alarms import Action, Alarm, AlarmPriority, AlarmState, Transition
from city.areas import Areas
from city.config import load_config
from city.i18n import LANGUAGES, Language, translator
from city.notices import Mail, Notice, notice_of
from ingest.outbox import NotSent, Refused
from ingest.receivers import senders_of
from ingest.send_mail import MailSender, message_of
from ingest.send_webhook import WebhookSender

SHIPPED = Path(__file__).resolve().parents[3] / "config.yaml"
RAISED = 1_777_870_800_000  # 10:00 in Tashkent
ALARM = Alarm(
    id="fuel_drop:01-1001", rule="fuel_drop", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="01-1001",
    state=AlarmState.UNACKNOWLEDGED, active=True, raised_ms=RAISED, district="1726262", route="51",
    values={"lost_l": 21.5, "before_l": 180.0, "level_l": 158.0},
)  # fmt: skip


def happened(action: Action, before: AlarmState, after: AlarmState, alarm: Alarm = ALARM) -> Notice:
    transition = Transition(
        alarm=alarm.id, version=2, action=action, before=before, after=after, at_ms=RAISED + 60_000, by="aziza",
        rule=alarm.rule, priority=alarm.priority, source_kind="vehicle", source_id=alarm.source_id,
    )  # fmt: skip
    return notice_of("duty", alarm, transition)


NOTICE = happened(Action.RISE, AlarmState.NORMAL, AlarmState.UNACKNOWLEDGED)
NOBODY = Notice(id="x", receiver="duty", alarm=ALARM, unacknowledged_s=300, at_ms=RAISED)
PUBLISHER = Publisher(
    sender="markaz.example", names={}, contact="+998 71 000 00 00", web="https://markaz.example", status="Actual",
    scope="Restricted", restriction="", expires_after_ms=86_400_000, zone=ZoneInfo("Asia/Tashkent"), city={},
    translators=(), responses={"fuel_drop": {"en": "Call the driver.\nThen the police."}}, areas=Areas([]),
)  # fmt: skip


class Server:
    """SMTP as a mail server speaks it. `answers` overrides the answer to a command, once each."""

    def __init__(self, certificate: Path | None = None, password: str = "") -> None:
        self.answers: dict[str, list[str | None]] = {}
        self.got: list[EmailMessage] = []
        self.commands: list[str] = []
        self.in_the_clear: list[str] = []
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.secure = False
                self.say("220 here")
                try:
                    while line := self.rfile.readline():
                        if not self.take(line.decode().rstrip()):
                            return
                except OSError:
                    return

            def take(self, line: str) -> bool:
                verb = line[:4].upper()
                server.commands.append(line)
                if not self.secure:
                    server.in_the_clear.append(line)
                if server.answers.get(verb):
                    answer = server.answers[verb].pop(0)
                    if answer is None:
                        return False  # breaks off
                    self.say(answer)
                    return verb != "QUIT"
                if verb == "EHLO":
                    offers = ["here"] + (["STARTTLS"] if certificate and not self.secure else [])
                    offers += ["AUTH PLAIN"] if password and (self.secure or not certificate) else []
                    for at, offer in enumerate(offers):
                        self.say(f"250{' ' if at == len(offers) - 1 else '-'}{offer}")
                elif verb == "STAR" and certificate:
                    self.say("220 go")
                    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                    context.load_cert_chain(certificate)
                    self.connection = context.wrap_socket(self.connection, server_side=True)
                    self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                    self.secure = True
                elif verb == "AUTH":
                    right = base64.b64decode(line.split()[2]).split(b"\0")[1:] == [b"markaz", password.encode()]
                    self.say("235 welcome" if right else "535 no")
                elif verb == "DATA":
                    self.say("354 go")
                    return self.data()
                elif verb == "QUIT":
                    self.say("221 bye")
                    return False
                else:
                    self.say("250 ok")
                return True

            def data(self) -> bool:
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line[1:] if line.startswith(b"..") else line)
                answer = server.answers["."].pop(0) if server.answers.get(".") else "250 taken"
                if answer is None:
                    return False
                if answer.startswith("2"):
                    server.got.append(message_from_bytes(b"".join(lines), policy=policy.default))  # type: ignore[arg-type]
                self.say(answer)
                return True

            def say(self, line: str) -> None:
                self.wfile.write(f"{line}\r\n".encode())

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.tcp = Threads(("127.0.0.1", 0), Handler)
        self.port: int = self.tcp.server_address[1]
        threading.Thread(target=self.tcp.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self.tcp.shutdown()
        self.tcp.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


def sender(
    port: int, to: tuple[str, ...] = ("duty@city.example",), language: Language = "en", **mail: object
) -> MailSender:
    settings = Mail.model_validate(
        {"host": "localhost", "port": port, "security": "none", "sender": "markaz@city.example"} | mail
    )
    return MailSender(settings, to, publisher=PUBLISHER, translator=translator(language), timeout_s=5)


def test_an_alarm_arrives_in_words(server: Server) -> None:
    sender(server.port).send(NOTICE)
    (message,) = server.got
    assert message["Subject"] == "[high] Fuel loss: 01-1001 · route 51"
    assert (message["From"], message["To"]) == ("markaz@city.example", "duty@city.example")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == [
        "[high] Fuel loss: 01-1001 · route 51",
        "21.5 l lost while standing: 180 → 158 l",
        "",
        "Since 2026-05-04 10:00:00",
        "Where: 1726262",
        "What to do: Call the driver. Then the police.",
        "Contact: +998 71 000 00 00",
        "The alarm: https://markaz.example/api/v1/alarms/fuel_drop%3A01-1001/cap.xml",
    ]


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        (happened(Action.ACKNOWLEDGE, AlarmState.UNACKNOWLEDGED, AlarmState.ACKNOWLEDGED), "acknowledged by aziza"),
        (happened(Action.CLEAR, AlarmState.ACKNOWLEDGED, AlarmState.NORMAL), "returned to normal"),
        (NOBODY, "nobody has acknowledged for 5 min"),
    ],
)  # fmt: skip
def test_the_subject_says_what_happened(notice: Notice, words: str) -> None:
    message = message_of(notice, "a@b.example", ["c@d.example"], PUBLISHER, translator("en"))
    assert message["Subject"].endswith(f" – {words}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_arrives_as_it_was_written(server: Server, language: Language) -> None:
    sender(server.port, language=language).send(NOTICE)
    t = translator(language)
    assert t("rule.fuel_drop") in server.got[0]["Subject"]
    assert "notice." not in server.got[0].get_content()


def test_every_try_has_the_same_message_id(server: Server) -> None:
    server.answers["."] = ["451 later"]
    with pytest.raises(NotSent):
        sender(server.port).send(NOTICE)
    first = message_of(NOTICE, "markaz@city.example", ["duty@city.example"], PUBLISHER, translator("en"))["Message-ID"]
    sender(server.port).send(NOTICE)
    assert server.got[0]["Message-ID"] == first


@pytest.mark.parametrize(
    "name", ["x\r\nBcc: spy@evil.example", "x\nSubject: y", "a\x00b", "x\u2028y", "\ud800", "x" * 5000]
)
def test_what_a_device_is_called_cannot_add_headers_or_receivers(server: Server, name: str) -> None:
    odd = replace(ALARM, source_id=name)
    sender(server.port).send(happened(Action.RISE, AlarmState.NORMAL, AlarmState.UNACKNOWLEDGED, odd))
    (message,) = server.got
    assert message["Bcc"] is None
    assert len(message.get_all("Subject", [])) == 1
    assert [line for line in server.commands if line.upper().startswith("RCPT")] == ["rcpt TO:<duty@city.example>"]


@pytest.mark.parametrize(
    ("verb", "answer", "kind"),
    [
        ("EHLO", None, NotSent), ("MAIL", "451 later", NotSent), ("MAIL", "550 not you", NotSent),
        ("RCPT", "450 greylisted", NotSent), ("RCPT", "550 no such user", Refused), ("RCPT", None, NotSent),
        ("DATA", "421 going away", NotSent), (".", "452 full", NotSent), (".", "554 spam", Refused),
        (".", None, NotSent),
    ],
)  # fmt: skip
def test_what_a_server_says_and_then_recovers(
    server: Server, verb: str, answer: str | None, kind: type[NotSent]
) -> None:
    server.answers[verb] = [answer, answer] if verb == "EHLO" else [answer]
    with pytest.raises(NotSent) as problem:
        sender(server.port).send(NOTICE)
    assert type(problem.value) is kind
    assert server.got == []
    server.answers.clear()
    sender(server.port).send(NOTICE)
    assert len(server.got) == 1


@pytest.mark.parametrize("goodbye", [None, "500 what?"])
def test_a_bad_goodbye_does_not_send_it_twice(server: Server, goodbye: str | None) -> None:
    server.answers["QUIT"] = [goodbye]
    sender(server.port).send(NOTICE)
    assert len(server.got) == 1


def test_one_good_address_of_two_is_enough(server: Server) -> None:
    server.answers["RCPT"] = ["550 gone"]
    sender(server.port, to=("gone@city.example", "duty@city.example")).send(NOTICE)
    assert len(server.got) == 1


def test_nobody_there_is_not_sent(server: Server) -> None:
    server.stop()
    with pytest.raises(NotSent):
        sender(server.port).send(NOTICE)


def test_a_server_without_starttls_gets_nothing(server: Server) -> None:
    """Neither the password nor the message goes in the clear."""
    with pytest.raises(NotSent, match="STARTTLS"):
        sender(server.port, security="starttls", username="markaz", password="hunter2").send(NOTICE)
    assert not any(line.upper().startswith(("AUTH", "MAIL")) for line in server.commands)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost with its key, of its own authority."""
    if which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key"), "-out", str(folder / "cert"),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    (folder / "both.pem").write_bytes((folder / "key").read_bytes() + (folder / "cert").read_bytes())
    return folder / "both.pem"


@pytest.mark.parametrize(("password", "passes"), [("right", True), ("wrong", False)])
def test_starttls_then_login_then_the_message(certificate: Path, password: str, passes: bool) -> None:
    server = Server(certificate, password="right")
    mail = Mail(host="localhost", port=server.port, username="markaz", password=password, sender="markaz@city.example")
    one = MailSender(
        mail, ["duty@city.example"], publisher=PUBLISHER, translator=translator("en"), timeout_s=5, ca_file=certificate
    )
    try:
        if passes:
            one.send(NOTICE)
        else:
            with pytest.raises(NotSent, match="535"):
                one.send(NOTICE)
    finally:
        server.stop()
    assert len(server.got) == passes
    assert [line[:8].upper() for line in server.in_the_clear[1:]] == ["STARTTLS"], "nothing else before TLS"


def test_a_certificate_of_nobody_known_gets_nothing(certificate: Path) -> None:
    server = Server(certificate, password="right")
    try:
        with pytest.raises(NotSent, match="CERTIFICATE_VERIFY_FAILED"):
            sender(server.port, security="starttls", username="markaz", password="right").send(NOTICE)
    finally:
        server.stop()


def test_every_receiver_of_the_settings_has_its_sender() -> None:
    environ = {
        "MARKAZ_NOTICES__MAIL__HOST": "mail.example",
        "MARKAZ_NOTICES__MAIL__SENDER": "markaz@city.example",
        "MARKAZ_NOTICES__RECEIVERS__DUTY__MAIL": "[a@b.example]",
        "MARKAZ_NOTICES__RECEIVERS__GAS__WEBHOOK": "https://gas.example",
        "MARKAZ_NOTICES__RECEIVERS__GAS__SECRET": "s" * 24,
    }
    senders = senders_of(load_config(SHIPPED, environ), Areas([]))
    assert {name: type(one) for name, one in senders.items()} == {"duty": MailSender, "gas": WebhookSender}
