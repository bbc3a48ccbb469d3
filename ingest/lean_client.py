"""The session on a plain socket: messages are taken apart in bulk, acknowledgements sent in bulk."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Sequence

import structlog

from city.messages import Received
from ingest import mqtt_wire
from ingest.mqtt_wire import Connack, Control, Disconnected, Parser, Pingresp, ProtocolError, Suback
from ingest.session import CONNECT_TIMEOUT_S, Backoff, Listener, SessionRefused, SessionSettings

log = structlog.get_logger()

_READ_BYTES = 1 << 18
_RECEIVE_BUFFER_BYTES = 1 << 20
_SUBSCRIBE_ID = 1
# CONNACK codes for "I do not speak this version": MQTT 5 and, from brokers that only know it, 3.1.1.
_WRONG_VERSION = frozenset({0x84, 0x01})
_RECONNECT_SLOWLY_S = 1.0
# A network that forgets a connection tells nobody: a broker that is silent is asked, and left when it does not answer.
# By keepalive alone that would take half as long again as its time: 45 s.
_SILENT_S = 3.0
_ANSWER_WITHIN_S = 4.0


class LeanClient:
    """See `ingest.session.Session`."""

    def __init__(self, settings: SessionSettings, listener: Listener) -> None:
        self.connected = self.subscribed = False
        self._settings = settings
        self._listener = listener
        self._five = settings.version != "3.1.1"
        self._socket: socket.socket | None = None
        self._parser: Parser | None = None
        self._outgoing = bytearray()
        self._connection = 0
        self._connecting_since = 0.0
        self._keepalive_s = settings.keepalive_s
        self._sent_at = self._heard_at = 0.0
        self._pinged_at: float | None = None
        self._wait = Backoff()
        self._problem: str | None = None
        self._was_connected = False
        self._refused: str | None = None
        self._leaving = False

    # --- the connection ------------------------------------------------------------------------

    def connect_if_needed(self) -> None:
        if self._refused is not None:
            raise SessionRefused(self._refused)
        now = time.monotonic()
        if self._socket is None:
            if now >= self._wait.until:
                self._connect()
            return
        if not self.connected:
            if now - self._connecting_since > CONNECT_TIMEOUT_S and not self._unread():
                self._lost("no answer to CONNECT")
        elif now >= self._ask_at():
            if self._pinged_at is None or self._unread():
                self._pinged_at = now
                self._send(mqtt_wire.PINGREQ)
            else:
                self._lost("no answer to PINGREQ")

    def _ask_at(self) -> float:
        """When to send PINGREQ, or to have its answer; seconds of the monotonic clock."""
        if self._pinged_at is not None:
            return self._pinged_at + min(_ANSWER_WITHIN_S, self._keepalive_s)
        # Before half the time has gone: a broker ends the session after one and a half.
        return min(self._heard_at + _SILENT_S, self._sent_at + self._keepalive_s / 2)

    def _unread(self) -> bool:
        """Whether the broker has said what nobody has read yet, while the queue is full: no silence of its own."""
        return self._socket is not None and bool(select.select([self._socket], [], [], 0)[0])

    def wait_s(self) -> float:
        now = time.monotonic()
        if self._socket is None:
            return max(0.0, self._wait.until - now)
        return max(0.0, self._ask_at() - now) if self.connected else 0.2

    def _connect(self) -> None:
        settings = self._settings
        self._connection += 1
        self._connecting_since = time.monotonic()
        try:
            plain = socket.create_connection((settings.host, settings.port), CONNECT_TIMEOUT_S)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
            connection = self._wrapped(plain) if settings.tls else plain
            connection.setblocking(False)
        except OSError as error:
            self._lost(str(error))
            return
        self._socket = connection
        self._parser = Parser(
            five=self._five, connection=self._connection, payload_max_bytes=settings.payload_max_bytes
        )
        self._outgoing.clear()
        self._pinged_at, self._heard_at = None, self._connecting_since
        self._send(
            mqtt_wire.connect(
                five=self._five,
                client_id=settings.client_id,
                keepalive_s=settings.keepalive_s,
                username=settings.username,
                password=settings.password,
                session_expiry_s=settings.session_expiry_s,
                receive_maximum=settings.receive_maximum,
            )
        )

    def _wrapped(self, plain: socket.socket) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=self._settings.ca_file)
        return context.wrap_socket(plain, server_hostname=self._settings.host)

    def _lost(self, why: str, *, slowly: bool = False) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            with contextlib.suppress(OSError):
                connection.close()
        self.connected = False
        self._outgoing.clear()
        self._wait.failed()
        if slowly:
            self._wait.until = time.monotonic() + _RECONNECT_SLOWLY_S
        if why != self._problem:
            self._problem = why
            log.warning("waiting_for_broker", broker=self._settings.place, error=why)

    # --- the socket ----------------------------------------------------------------------------

    def socket(self) -> socket.socket | None:
        return self._socket

    def wants_write(self) -> bool:
        return bool(self._outgoing)

    def buffered(self) -> bool:
        return isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0

    def read(self) -> None:
        connection, parser = self._socket, self._parser
        if connection is None or parser is None:
            return
        try:
            data = connection.recv(_READ_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._lost(str(error))
            return
        if not data:
            self._lost("the broker closed the connection")
            return
        self._heard_at = time.monotonic()
        messages: list[Received] = []
        try:
            controls = parser.feed(data, self._listener.clock_ms(), messages)
        except ProtocolError as error:
            self._lost(f"not MQTT: {error}")
            return
        for control in controls:
            self._take(control)
        if messages:
            self._listener.offer(messages)

    def write(self) -> None:
        connection = self._socket
        if connection is None or not self._outgoing:
            return
        try:
            sent = connection.send(self._outgoing)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            self._lost(str(error))
            return
        del self._outgoing[:sent]

    def _send(self, packet: bytes) -> None:
        self._sent_at = time.monotonic()
        self._outgoing += packet
        self.write()

    # --- what the broker says --------------------------------------------------------------------

    def _take(self, control: Control) -> None:
        if isinstance(control, Connack):
            self._accepted(control)
        elif isinstance(control, Suback):
            if control.packet_id == _SUBSCRIBE_ID:
                self._answered(control.codes)
        elif isinstance(control, Pingresp):
            self._pinged_at = None
        elif isinstance(control, Disconnected):
            taken = control.code == mqtt_wire.SESSION_TAKEN_OVER
            why = "another worker has taken the session" if taken else f"the broker disconnects: code {control.code}"
            self._lost(why, slowly=taken)

    def _accepted(self, answer: Connack) -> None:
        if answer.code:
            if self._settings.version == "auto" and self._five and answer.code in _WRONG_VERSION:
                log.info("broker_speaks_mqtt_3_1_1")
                self._five = False
                self._problem = None
                self._lost_quietly()
            else:
                self._lost(f"the broker refuses: code {answer.code}")
            return
        self.connected, self._problem = True, None
        self._keepalive_s = answer.keepalive_s or self._settings.keepalive_s
        self._wait.succeeded()
        log.info(
            "connected",
            broker=self._settings.place,
            mqtt="5" if self._five else "3.1.1",
            session=answer.session_present,
        )
        if answer.session_present:
            self._listener.resumed(self._connection)
        elif self._was_connected:
            log.warning("session_lost", hint="what was sent while the worker was away may be missing")
        self._was_connected = True
        if self._leaving:
            if answer.session_present:
                self._unsubscribe()
            return
        # Not again in a living session: MQTT 3.1.1 would send every retained message anew.
        if not (self.subscribed and answer.session_present):
            self._send(mqtt_wire.subscribe(self._settings.topics, _SUBSCRIBE_ID, five=self._five))

    def _lost_quietly(self) -> None:
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.close()

    def _answered(self, codes: tuple[int, ...]) -> None:
        failed = [
            f"{topic} (code {code})" for topic, code in zip(self._settings.topics, codes, strict=False) if code >= 0x80
        ]
        if failed:
            self._refused = f"the broker refuses the subscription to {', '.join(failed)}"
        else:
            self.subscribed = True
            log.info("subscribed", topics=list(self._settings.topics))

    # --- out -------------------------------------------------------------------------------------

    def acknowledge(self, messages: Sequence[Received]) -> None:
        if not self.connected:
            return
        mine = self._connection
        packet_ids = [one.packet_id for one in messages if one.packet_id and one.connection == mine]
        if packet_ids:
            self._send(mqtt_wire.acknowledgements(packet_ids))

    def unsubscribe(self) -> None:
        self._leaving = True
        if self.connected:
            self._unsubscribe()

    def _unsubscribe(self) -> None:
        self._send(mqtt_wire.unsubscribe(self._settings.topics, _SUBSCRIBE_ID + 1, five=self._five))

    def close(self, until: float, *, forget: bool = False) -> None:
        if self._socket is not None and self.connected:
            self._send(mqtt_wire.disconnect(five=self._five, session_expiry_s=0 if forget else None))
            while self._outgoing and self._socket is not None and time.monotonic() < until:
                select.select([], [self._socket], [], max(0.0, until - time.monotonic()))
                self.write()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.connected = False
