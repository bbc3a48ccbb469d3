"""The worker between broker and store: `markaz ingest`.

One thread reads the socket, takes batches through the pipeline and acknowledges a message only
when the store has it. The broker keeps the session while the worker is away.
"""

from __future__ import annotations

import argparse
import select
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from city.areas import AreasError, load_areas
from city.config import Config
from city.models import Received
from city.store import Store, now_ms
from ingest.follow import stop_on_signals
from ingest.intake import Arrived, Backoff, Intake, place
from ingest.pipeline import Pipeline

log = structlog.get_logger()

_CONNECT_TIMEOUT_S = 3.0
# How long a stop signal waits for the store before the batch in hand is left to the broker.
_STOP_TIMEOUT_S = 5.0
_IDLE_POLL_S = 0.2
_TOTALS_EVERY_S = 60.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_RECEIVE_MAXIMUM = 65535  # of the protocol
_QUIET_RETAINED = 1  # MQTT 5 retain handling: retained messages at a new subscription only


class ReceiverError(Exception):
    """The broker will not serve this configuration. The message is one line."""


class Receiver:
    """Feeds the pipeline from one broker until told to stop."""

    def __init__(self, config: Config, pipeline: Pipeline, *, clock_ms: Callable[[], int] = now_ms) -> None:
        self._config = config
        self._topics = [one for filters in pipeline.topics.values() for one in filters]
        self._clock_ms = clock_ms
        self._intake = Intake(
            pipeline,
            config.ingest,
            store_url=config.redis.url,
            clock_ms=clock_ms,
            acknowledge=self._acknowledge,
        )
        self._version = "5" if config.mqtt.version == "auto" else config.mqtt.version
        self._client: Client | None = None
        self._connection = 0
        self._connecting_since: float | None = None
        self._connected = self._was_connected = self._subscribed = False
        self._wait = Backoff()
        self._problem: str | None = None
        self._refused: str | None = None
        self._arrivals = 0
        self._totals_at = time.monotonic()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; raises ReceiverError."""
        while not stop.is_set() and not self._intake.resume():
            stop.wait(max(0.0, self._intake.wait.until - time.monotonic()))
        try:
            while not stop.is_set():
                self._connect_if_needed()
                self._poll()
                self._intake.work()
                self._log_totals()
                if self._refused is not None:
                    raise ReceiverError(self._refused)
        finally:
            self._finish()

    # --- the socket ----------------------------------------------------------------------------

    def _poll(self) -> None:
        """Read what the broker sent and send what waits, until something else is to do."""
        client = self._client
        connection = client.socket() if client is not None else None
        due_in_s = self._intake.due_in_s()
        wait_s = _IDLE_POLL_S if due_in_s is None else min(_IDLE_POLL_S, due_in_s)
        if client is None or connection is None:
            time.sleep(min(wait_s, max(0.0, self._wait.until - time.monotonic())))
            return
        # A full queue leaves the rest to TCP and the broker.
        reads = [] if self._intake.full else [connection]
        writes = [connection] if client.want_write() else []
        pending = bool(reads) and getattr(connection, "pending", int)() > 0  # bytes that TLS has decrypted already
        readable, writable, _ = select.select(reads, writes, [], 0 if pending else wait_s)
        if readable or pending:
            self._read(client)
        if writable:
            client.loop_write()
        client.loop_misc()

    def _read(self, client: Client) -> None:
        """Take packets until there are no more, or enough for a batch."""
        most = self._arrivals + self._config.ingest.batch_max
        while self._arrivals < most:
            before = self._arrivals
            client.loop_read()
            if self._arrivals == before:
                return

    def _on_message(self, client: Client, userdata: Any, given: MQTTMessage) -> None:
        self._arrivals += 1
        try:
            topic = given.topic
        except UnicodeDecodeError:
            topic = "\ufffd"  # no broker may send such a topic; it is rejected as unknown
        message = Received(topic, bytes(given.payload), self._clock_ms(), bool(given.retain))
        self._intake.offer(Arrived(message, given.mid, given.qos, self._connection, given.dup))

    def _acknowledge(self, arrived: Arrived) -> None:
        if self._client is not None and self._connected and arrived.connection == self._connection and arrived.qos:
            self._client.ack(arrived.mid, arrived.qos)

    # --- the connection ------------------------------------------------------------------------

    def _connect_if_needed(self) -> None:
        now = time.monotonic()
        if self._client is not None and self._client.socket() is not None:
            if self._connecting_since is not None and now - self._connecting_since > _CONNECT_TIMEOUT_S:
                self._give_up("no answer to CONNECT")
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

    def _new_client(self) -> Client:
        mqtt = self._config.mqtt
        url = urlsplit(mqtt.url)
        five = self._version == "5"
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._config.ingest_client_id,
            clean_session=None if five else False,
            protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=True,
        )
        client.connect_timeout = _CONNECT_TIMEOUT_S
        username = mqtt.username or (unquote(url.username) if url.username else None)
        if username:
            client.username_pw_set(username, mqtt.password or (unquote(url.password) if url.password else None))
        if url.scheme == "mqtts":
            client.tls_set(ca_certs=str(mqtt.ca_file) if mqtt.ca_file else None)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        properties: Properties | None = None
        if five:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = mqtt.session_expiry_s
            # The broker holds back what would not fit into the queue.
            properties.ReceiveMaximum = min(_RECEIVE_MAXIMUM, self._config.ingest.queue_max)
        host, port = url.hostname or "localhost", url.port or _PORTS[url.scheme]
        client.connect_async(host, port, keepalive=mqtt.keepalive_s, clean_start=False, properties=properties)
        return client

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            if self._config.mqtt.version == "auto" and self._version == "5" and "protocol version" in str(reason):
                log.info("broker_speaks_mqtt_3_1_1")
                self._version = "3.1.1"
                self._client, self._connecting_since = None, None
            else:
                self._lost(f"the broker refuses: {reason}")
            return
        self._connected, self._connecting_since, self._problem = True, None, None
        self._wait.succeeded()
        log.info("connected", broker=place(self._config.mqtt.url), mqtt=self._version, session=flags.session_present)
        if flags.session_present:
            self._intake.forget_before(self._connection)
        elif self._was_connected:
            log.warning("session_lost", hint="what was sent while the worker was away may be missing")
        self._was_connected = True
        # Not again in a living session: MQTT 3.1.1 would send every retained message anew.
        if not (self._subscribed and flags.session_present):
            self._subscribe(client)

    def _subscribe(self, client: Client) -> None:
        if self._version == "5":
            options = SubscribeOptions(qos=1, retainHandling=_QUIET_RETAINED)
            client.subscribe([(topic, options) for topic in self._topics])
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(
        self, client: Client, userdata: Any, mid: int, reasons: list[ReasonCode], properties: Properties | None
    ) -> None:
        failed = [
            f"{topic} ({reason})" for topic, reason in zip(self._topics, reasons, strict=False) if reason.is_failure
        ]
        if failed:
            self._refused = f"the broker refuses the subscription to {', '.join(failed)}"
        else:
            self._subscribed = True
            log.info("subscribed", topics=self._topics)

    def _on_disconnect(
        self, client: Client, userdata: Any, flags: DisconnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        # A refused CONNECT has told its reason already.
        if client is self._client and (self._connected or self._connecting_since is not None):
            self._lost(str(reason))

    def _give_up(self, why: str) -> None:
        """Leave a connection that does not get anywhere."""
        client, self._client = self._client, None
        connection = client.socket() if client is not None else None
        if connection is not None:
            connection.close()
        self._lost(why)

    def _lost(self, why: str) -> None:
        self._connected, self._connecting_since = False, None
        self._wait.failed()
        if why != self._problem:
            self._problem = why
            log.warning("waiting_for_broker", broker=place(self._config.mqtt.url), error=why)

    # --- the end -------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Store and acknowledge the batch in hand; the rest stays in the broker's session."""
        until = time.monotonic() + _STOP_TIMEOUT_S
        self._intake.finish(until)
        client = self._client
        if client is not None and self._connected:
            while client.want_write() and client.socket() is not None and time.monotonic() < until:
                client.loop_write()
            self._connected = False  # what follows is meant, not a loss
            client.disconnect()
        log.info("stopped", **self._intake.totals, left_to_broker=len(self._intake))

    def _log_totals(self) -> None:
        seconds = time.monotonic() - self._totals_at
        if seconds >= _TOTALS_EVERY_S:
            log.info("totals", **self._intake.totals, queued=len(self._intake), seconds=round(seconds))
            self._intake.totals = dict.fromkeys(self._intake.totals, 0)
            self._totals_at = time.monotonic()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Everything that the worker needs is in config.yaml."""


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Receive until SIGTERM or Ctrl-C; returns the exit code."""
    stop = stop_on_signals()
    store = Store.of(config)
    try:
        pipeline = Pipeline(config, load_areas(config.city_dir), store)
        log.info("areas", districts=len(pipeline.areas.districts), mahallas=len(pipeline.areas.mahallas))
        Receiver(config, pipeline).run(stop)
    except (AreasError, ReceiverError) as error:
        log.error("ingest_stopped", error=str(error))
        return 1
    finally:
        store.close()
    return 0
