"""Retained messages to the broker, through paho-mqtt: each is there when `publish` returns."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest.session import CONNECT_TIMEOUT_S, SessionSettings

_PUBLISH_TIMEOUT_S = 10.0
# Sent and not acknowledged yet; paho's 20 would make a thousand alarms fifty round trips.
_INFLIGHT_MAX = 1000


class NotPublished(Exception):
    """The broker is away, or did not acknowledge. The message is one line."""


class PahoPublisher:
    """One connection at a time. What a lost one had under way is not sent again: the caller publishes anew."""

    def __init__(self, settings: SessionSettings) -> None:
        self._settings = settings
        self._client: Client | None = None
        self._answered = threading.Event()
        self._refused = ""
        self.connected = False

    def connect(self) -> None:
        """A new connection; raises NotPublished."""
        self.close()
        settings = self._settings
        five = settings.version == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=settings.client_id,
            clean_session=None if five else True,
            # Every broker of MQTT 5 takes 3.1.1 too, and nothing here needs more.
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            # paho would send what it has queued after the newer state that we publish then.
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_TIMEOUT_S
        client.max_inflight_messages_set(_INFLIGHT_MAX)
        if settings.username:
            client.username_pw_set(settings.username, settings.password)
        try:
            if settings.tls:
                client.tls_set(ca_certs=str(settings.ca_file) if settings.ca_file else None)
            client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
            self._answered.clear()
            self._refused, self._client = "", client
            client.connect(settings.host, settings.port, keepalive=settings.keepalive_s)
        except OSError as error:
            self._client = None
            raise NotPublished(str(error)) from None
        client.loop_start()
        if not self._answered.wait(CONNECT_TIMEOUT_S) or not self.connected:
            problem = self._refused or "no answer to CONNECT"
            self.close()
            raise NotPublished(problem)

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """(topic, payload) each, retained, QoS 1; done when all are acknowledged. Raises NotPublished."""
        if self._client is None:
            raise NotPublished("there is no connection")
        until = time.monotonic() + _PUBLISH_TIMEOUT_S
        sent = [self._client.publish(topic, payload, qos=1, retain=True) for topic, payload in messages]
        for one in sent:
            while not (one.rc == 0 and one.is_published()):
                if one.rc != 0 or not self.connected or time.monotonic() > until:
                    self.close()
                    raise NotPublished("the broker did not acknowledge")
                one.wait_for_publish(0.2)

    def close(self) -> None:
        """Leave the broker."""
        client, self._client, self.connected = self._client, None, False
        if client is not None:
            client.disconnect()
            client.loop_stop()

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self.connected = client is self._client and not reason.is_failure
        self._refused = f"the broker refuses: {reason}" if reason.is_failure else ""
        self._answered.set()

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if client is self._client:
            self.connected = False
            self._answered.set()
