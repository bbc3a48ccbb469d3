"""One MQTT session behind a small interface, whatever client speaks for it.

Two clients stand behind it: `ingest.lean_client` reads the socket in bulk and is the default, `ingest.paho_client`
goes through paho-mqtt. Both pass the same tests of planted faults.
"""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from city.config import Config
from city.messages import Received

CONNECT_TIMEOUT_S = 3.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_RECEIVE_MAXIMUM = 65535  # of the protocol
# A broker that lost its session keeps nothing for who is away: be back within a second.
_RETRY_MIN_S, _RETRY_MAX_S = 0.05, 1.0


class SessionRefused(Exception):
    """The broker will not serve this configuration. The message is one line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionSettings:
    """What a client needs to know of one session."""

    host: str
    port: int
    tls: bool
    ca_file: Path | None
    username: str | None
    password: str | None
    client_id: str
    topics: tuple[str, ...]
    version: str  # auto, 3.1.1 or 5
    keepalive_s: int
    session_expiry_s: int  # 0: a session that begins and ends with the connection
    receive_maximum: int  # messages that the broker sends before it waits for acknowledgements
    payload_max_bytes: int  # of a longer payload a little more than this is kept

    @classmethod
    def of(cls, config: Config, *, client_id: str, topics: Sequence[str], payload_max_bytes: int) -> SessionSettings:
        mqtt = config.mqtt
        url = urlsplit(mqtt.url)
        return cls(
            host=url.hostname or "localhost",
            port=url.port or _PORTS[url.scheme],
            tls=url.scheme == "mqtts",
            ca_file=mqtt.ca_file,
            username=mqtt.username or (unquote(url.username) if url.username else None),
            password=mqtt.password or (unquote(url.password) if url.password else None),
            client_id=client_id,
            topics=tuple(topics),
            version=mqtt.version,
            keepalive_s=mqtt.keepalive_s,
            session_expiry_s=mqtt.session_expiry_s,
            # The broker holds back what would not fit into the queue.
            receive_maximum=min(_RECEIVE_MAXIMUM, config.ingest.queue_max),
            payload_max_bytes=payload_max_bytes,
        )

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


class Session(Protocol):
    """A client in the worker's loop: nothing here blocks but `connect_if_needed`, for a few seconds at most."""

    connected: bool
    subscribed: bool

    def connect_if_needed(self) -> None:
        """Connect when it is time to, keep the connection alive; raises SessionRefused."""

    def socket(self) -> socket.socket | None:
        """To wait on; None while there is no connection."""

    def wants_write(self) -> bool: ...

    def buffered(self) -> bool:
        """Whether messages wait that no select will tell of (TLS has decrypted them already)."""

    def wait_s(self) -> float:
        """Seconds until `connect_if_needed` has something to do."""

    def read(self) -> None:
        """Take what the broker sent; messages go to the `offer` that the client was made with."""

    def write(self) -> None: ...

    def acknowledge(self, messages: Sequence[Received]) -> None:
        """Tell the broker, in this order; messages of an earlier connection are passed over."""

    def unsubscribe(self) -> None:
        """Take no new messages; those that the session holds still come."""

    def close(self, until: float, *, forget: bool = False) -> None:
        """Send what waits, until a time of the monotonic clock, and disconnect; `forget` ends the session."""


@dataclass(slots=True)
class Listener:
    """Whom a client tells."""

    offer: Callable[[list[Received]], None]
    resumed: Callable[[int], None]  # the broker kept the session: it sends again what came before this connection
    clock_ms: Callable[[], int]


class Backoff:
    """Growing waits with jitter, so that workers do not come back in step."""

    def __init__(self) -> None:
        self._wait_s = _RETRY_MIN_S
        self.until = 0.0  # of the monotonic clock, in seconds

    def failed(self) -> None:
        self.until = time.monotonic() + self._wait_s * random.uniform(0.5, 1.0)
        self._wait_s = min(_RETRY_MAX_S, self._wait_s * 2)

    def succeeded(self) -> None:
        self._wait_s, self.until = _RETRY_MIN_S, 0.0


def place(url: str) -> str:
    """Host and port of a URL, without what may be secret in it."""
    netloc = urlsplit(url).netloc.rpartition("@")[2]
    return netloc or urlsplit(url).path
