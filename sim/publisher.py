"""The edge to the broker: the only module of the simulator that knows the MQTT client.

paho runs in the caller's thread: `pump` reads and writes what is due. Measured, that is about
60 µs a message with its acknowledgement; with paho's own thread, 90–120 µs.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from city.settings import Mqtt

# A broker that lost its sessions keeps nothing for who is away: come back soon.
RETRY_S = 0.5
_CONNECT_TIMEOUT_S = 1.0
# A broker that accepts and then says nothing is no broker.
_CONNACK_TIMEOUT_S = 5.0
# MQTT counts unacknowledged messages with 16 bits; stay well below.
INFLIGHT_MAX = 20_000
_PORTS = {"mqtt": 1883, "mqtts": 8883}

log = structlog.get_logger()


class BadBrokerUrlError(Exception):
    """The broker's URL cannot be used. The message is one line."""


class BrokerLink:
    """A connection to the broker that comes back by itself while it is pumped."""

    def __init__(
        self,
        settings: Mqtt,
        role: str,
        *,
        subscribe: str | None = None,
        on_message: Callable[[str, bytes, bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`on_message` gets (topic, payload, retained) of the topics that `subscribe` filters."""
        self.connected = False
        self.connections = 0
        self.unacknowledged = 0
        self._where = f"{_split(settings.url)[1]}:{_split(settings.url)[2]}"
        self._subscribe = subscribe
        self._on_message_bytes = on_message
        self._clock = clock
        self._next_try = 0.0
        self._tried_at = 0.0
        self._waiting_told = False
        self._closing = False
        self._settings = settings
        self._client = self._new_client(role)

    def pump(self, wait_s: float) -> None:
        """Do all network work that is due, waiting up to `wait_s` for something to read."""
        deadline = self._clock() + wait_s
        while True:
            socket = self._client.socket()
            if socket is None:
                self.connected = False
                if self._clock() >= self._next_try:
                    self._connect()
                else:
                    time.sleep(max(0.0, min(self._next_try, deadline) - self._clock()))
            else:
                if self._client.want_write():
                    self._client.loop_write()
                left_s = max(0.0, deadline - self._clock())
                waits_to_write = [socket] if self._client.want_write() else []
                try:
                    readable, _, _ = select.select([socket], waits_to_write, [], left_s)
                except (OSError, ValueError):
                    readable = [socket]  # paho closed it meanwhile: reading tells it so
                if readable:
                    self._client.loop_read(1000)
                self._client.loop_misc()
                silent = not self.connected and self._clock() - self._tried_at > _CONNACK_TIMEOUT_S
                if silent and self._client.socket() is not None:
                    self._give_up("no answer to CONNECT")
            if self._clock() >= deadline:
                return

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Queue a message, QoS 1; the next `pump` sends it. Raises ValueError for an impossible topic."""
        # Without a connection paho keeps it for the next one; only a full table drops it.
        if self._client.publish(topic, payload, qos=1, retain=retain).rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:
            self.unacknowledged += 1

    def close(self, timeout_s: float) -> bool:
        """Wait for acknowledgements and disconnect; False if some did not come in time."""
        deadline = self._clock() + timeout_s
        while self.connected and self.unacknowledged > 0 and self._clock() < deadline:
            self.pump(0.02)
        self._closing = True
        if self._client.socket() is not None:
            self._client.disconnect()
            if self._client.want_write():
                self._client.loop_write()
        return self.unacknowledged <= 0

    def _new_client(self, role: str) -> Client:
        settings = self._settings
        scheme, _, _, username, password = _split(settings.url)
        version = MQTTv5 if settings.version == "5" else MQTTv311
        client = Client(CallbackAPIVersion.VERSION2, client_id=f"markaz-{role}-{uuid4().hex[:8]}", protocol=version)
        client.connect_timeout = _CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(INFLIGHT_MAX * 2)
        if settings.username or username:
            client.username_pw_set(settings.username or username, settings.password or password)
        if scheme == "mqtts":
            client.tls_set(ca_certs=str(settings.ca_file) if settings.ca_file else None)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        # With a handler here paho leaves writing to `pump` instead of sending within `publish`.
        client.on_socket_register_write = lambda *_: None
        return client

    def _connect(self) -> None:
        self._tried_at = self._clock()
        self._next_try = self._tried_at + RETRY_S
        try:
            _, host, port, _, _ = _split(self._settings.url)
            self._client.connect(host, port, keepalive=self._settings.keepalive_s)
        except OSError as error:
            if not self._waiting_told:
                log.warning("waiting_for_broker", broker=self._where, reason=str(error))
                self._waiting_told = True

    def _give_up(self, reason: str) -> None:
        log.warning("waiting_for_broker", broker=self._where, reason=reason)
        self._client.disconnect()
        self._client.loop_write()
        self._next_try = self._clock() + RETRY_S

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.error("broker_refused", broker=self._where, reason=str(reason))
            return
        self.connected, self._waiting_told = True, False
        self.connections += 1
        log.info("broker_connected", broker=self._where)
        if self._subscribe is not None:
            client.subscribe(self._subscribe, qos=1)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if self.connected and not self._closing:
            log.warning("broker_lost", broker=self._where, reason=str(reason))
        self.connected = False
        self._next_try = self._clock() + RETRY_S

    def _on_publish(self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties) -> None:
        self.unacknowledged -= 1

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        if self._on_message_bytes is not None:
            self._on_message_bytes(message.topic, bytes(message.payload), message.retain)


def _split(url: str) -> tuple[str, str, int, str | None, str | None]:
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError as error:
        raise BadBrokerUrlError(f"mqtt.url: {url!r}: {error}") from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise BadBrokerUrlError(f"mqtt.url: {url!r}: expected mqtt://host:1883 or mqtts://host:8883")
    user = unquote(parts.username) if parts.username else None
    return parts.scheme, parts.hostname, port or _PORTS[parts.scheme], user, unquote(parts.password or "") or None
