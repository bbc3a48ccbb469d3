"""The session through paho-mqtt: a client that many know, at about eight times the cost a message."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence
from typing import Any, cast

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from city.messages import Received
from ingest.session import CONNECT_TIMEOUT_S, Backoff, Listener, SessionRefused, SessionSettings

log = structlog.get_logger()

_QUIET_RETAINED = 1  # MQTT 5 retain handling: retained messages at a new subscription only
_LOOK_AFTER_EVERY_S = 1.0  # that pings are sent and their answers missed in time
_READ_MAX = 1000  # messages at once, then the batch has its turn


class PahoClient:
    """See `ingest.session.Session`."""

    def __init__(self, settings: SessionSettings, listener: Listener) -> None:
        self.connected = self.subscribed = False
        self._settings = settings
        self._listener = listener
        self._version = "5" if settings.version == "auto" else settings.version
        self._client: Client | None = None
        self._connection = 0
        self._connecting_since: float | None = None
        self._looked_after_at = 0.0
        self._was_connected = False
        self._wait = Backoff()
        self._problem: str | None = None
        self._refused: str | None = None
        self._leaving = False
        self._arrived: list[Received] = []

    # --- the connection ------------------------------------------------------------------------

    def connect_if_needed(self) -> None:
        if self._refused is not None:
            raise SessionRefused(self._refused)
        now = time.monotonic()
        if self._client is not None and self._client.socket() is not None:
            since = self._connecting_since
            if since is not None and now - since > CONNECT_TIMEOUT_S and not self._unread():
                self._give_up("no answer to CONNECT")
            elif now - self._looked_after_at >= _LOOK_AFTER_EVERY_S and not self._unread():
                self._looked_after_at = now
                self._client.loop_misc()
            return
        if now < self._wait.until:
            return
        self._client = self._client or self._new_client()
        self._connecting_since = now
        self._connection += 1
        try:
            self._client.reconnect()
        except OSError as error:
            self._lost(str(error))

    def wait_s(self) -> float:
        if self.socket() is not None:
            return _LOOK_AFTER_EVERY_S
        return max(0.0, self._wait.until - time.monotonic())

    def _unread(self) -> bool:
        """Whether the broker has said what nobody has read yet, while the queue is full: no silence of its own."""
        connection = self.socket()
        return connection is not None and bool(select.select([connection], [], [], 0)[0])

    def _new_client(self) -> Client:
        settings = self._settings
        five = self._version == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=None if five else settings.session_expiry_s == 0,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        if settings.username:
            client.username_pw_set(settings.username, settings.password)
        if settings.tls:
            client.tls_set(ca_certs=str(settings.ca_file) if settings.ca_file else None)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        properties: Properties | None = None
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = settings.session_expiry_s
            properties.ReceiveMaximum = settings.receive_maximum
        client.connect_async(
            settings.host,
            settings.port,
            keepalive=settings.keepalive_s,
            clean_start=settings.session_expiry_s == 0,
            properties=properties,
        )
        return client

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            if self._settings.version == "auto" and self._version == "5" and "protocol version" in str(reason):
                log.info("broker_speaks_mqtt_3_1_1")
                self._version = "3.1.1"
                self._client, self._connecting_since = None, None
            else:
                self._lost(f"the broker refuses: {reason}")
            return
        self.connected, self._connecting_since, self._problem = True, None, None
        self._wait.succeeded()
        log.info("connected", broker=self._settings.place, mqtt=self._version, session=flags.session_present)
        if flags.session_present:
            self._listener.resumed(self._connection)
        elif self._was_connected:
            log.warning("session_lost", hint="what was sent while the worker was away may be missing")
        self._was_connected = True
        if self._leaving:
            if flags.session_present:
                client.unsubscribe(list(self._settings.topics))
            return
        # Not again in a living session: MQTT 3.1.1 would send every retained message anew.
        if not (self.subscribed and flags.session_present):
            self._subscribe(client)

    def _subscribe(self, client: Client) -> None:
        if self._version == "5":
            options = SubscribeOptions(qos=1, retainHandling=_QUIET_RETAINED)
            client.subscribe([(topic, options) for topic in self._settings.topics])
        else:
            client.subscribe([(topic, 1) for topic in self._settings.topics])

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        failed = [
            f"{topic} ({reason})"
            for topic, reason in zip(self._settings.topics, reasons, strict=False)
            if reason.is_failure
        ]
        if failed:
            self._refused = f"the broker refuses the subscription to {', '.join(failed)}"
        else:
            self.subscribed = True
            log.info("subscribed", topics=list(self._settings.topics))

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        # A refused CONNECT has told its reason already.
        if client is self._client and (self.connected or self._connecting_since is not None):
            self._lost(str(reason))

    def _give_up(self, why: str) -> None:
        """Leave a connection that does not get anywhere."""
        client, self._client = self._client, None
        connection = client.socket() if client is not None else None
        if connection is not None:
            connection.close()
        self._lost(why)

    def _lost(self, why: str) -> None:
        self.connected, self._connecting_since = False, None
        self._wait.failed()
        if why != self._problem:
            self._problem = why
            log.warning("waiting_for_broker", broker=self._settings.place, error=why)

    # --- the socket ----------------------------------------------------------------------------

    def socket(self) -> socket.socket | None:
        connection = self._client.socket() if self._client is not None else None
        return cast("socket.socket | None", connection)

    def wants_write(self) -> bool:
        return self._client is not None and self._client.want_write()

    def buffered(self) -> bool:
        connection = self.socket()
        return connection is not None and getattr(connection, "pending", int)() > 0

    def read(self) -> None:
        """Take packets until there are no more, or enough for a batch."""
        client = self._client
        if client is None:
            return
        while len(self._arrived) < _READ_MAX:
            before = len(self._arrived)
            client.loop_read()
            if len(self._arrived) == before:
                break
        if self._arrived:
            arrived, self._arrived = self._arrived, []
            self._listener.offer(arrived)

    def write(self) -> None:
        if self._client is not None:
            self._client.loop_write()

    def _on_message(self, client: Client, userdata: Any, given: MQTTMessage) -> None:
        try:
            topic = given.topic
        except UnicodeDecodeError:
            topic = "\ufffd"  # no broker may send such a topic; it is rejected as unknown
        self._arrived.append(
            Received(
                topic,
                bytes(given.payload),
                self._listener.clock_ms(),
                bool(given.retain),
                bool(given.dup),
                given.mid if given.qos else 0,
                self._connection,
            )
        )

    # --- out -------------------------------------------------------------------------------------

    def acknowledge(self, messages: Sequence[Received]) -> None:
        client = self._client
        if client is None or not self.connected:
            return
        for one in messages:
            if one.packet_id and one.connection == self._connection:
                client.ack(one.packet_id, 1)

    def unsubscribe(self) -> None:
        self._leaving = True
        if self._client is not None and self.connected:
            self._client.unsubscribe(list(self._settings.topics))

    def close(self, until: float, *, forget: bool = False) -> None:
        client = self._client
        if client is None or not self.connected:
            return
        while client.want_write() and client.socket() is not None and time.monotonic() < until:
            client.loop_write()
        self.connected = False  # what follows is meant, not a loss
        properties: Properties | None = None
        if forget and self._version == "5":
            properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = 0
        client.disconnect(properties=properties)
