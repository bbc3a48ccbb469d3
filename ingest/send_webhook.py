"""Webhooks: notices as CloudEvents 1.0 in structured JSON, POSTed and signed as Standard Webhooks has it.

Source: CloudEvents 1.0.2 with its JSON format and HTTP binding; standardwebhooks.com, specification 1.0.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from socket import SHUT_RDWR
from urllib.parse import quote, urlsplit

import msgspec
from msgspec import Struct

from city.alarms import Alarm, Transition
from city.notices import Notice, secret_key
from city.rfc3339 import rfc3339
from ingest.outbox import NotSent, Refused, Stopped

_GONE = 410
# What a server says of a message that is wrong by itself.
_WRONG = frozenset({400, 413, 414, 415, 422})


class Told(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The `data` of an event: alarm and transition as they are in the store."""

    alarm: Alarm
    transition: Transition | None = None
    unacknowledged_s: float | None = None  # of an escalation


class CloudEvent(Struct, frozen=True, kw_only=True):
    """CloudEvents 1.0, structured mode."""

    specversion: str = "1.0"
    id: str
    source: str
    type: str  # markaz.alarm.rise, … .acknowledge, … .clear, or … .escalate
    subject: str  # the alarm's id
    time: str
    datacontenttype: str = "application/json"
    data: Told


class WebhookSender:
    """POSTs notices to one address."""

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        source: str,
        timeout_s: float,
        ca_file: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._tls = ssl.create_default_context(cafile=ca_file) if parts.scheme == "https" else None
        self._key, self._source, self._timeout_s, self._clock = secret_key(secret), source, timeout_s, clock

    def send(self, notice: Notice) -> None:
        """Done with any 2xx; redirects are not followed. Raises NotSent, Refused or, with 410, Stopped."""
        body = msgspec.json.encode(event_of(notice, self._source))
        name, at_s = message_id(notice), int(self._clock())
        headers = {
            "Content-Type": "application/cloudevents+json; charset=utf-8",
            "User-Agent": "Markaz",
            "webhook-id": name,
            "webhook-timestamp": str(at_s),
            "webhook-signature": signature(self._key, name, at_s, body),
            "Connection": "close",
        }
        status, after_s = self._post(body, headers)
        if status == _GONE:
            raise Stopped("410: the receiver wants nothing any more")
        if status in _WRONG:
            raise Refused(f"answered {status}")
        if not 200 <= status < 300:
            raise NotSent(f"answered {status}", after_s)

    def _post(self, body: bytes, headers: dict[str, str]) -> tuple[int, float | None]:
        """The answer's status, and the pause that it asks for in seconds."""
        connection = self._connection()
        # The timeout is for each read: one byte every few seconds would hold the thread for ever.
        deadline = threading.Timer(2 * self._timeout_s, _cut, (connection,))
        deadline.daemon = True
        deadline.start()
        try:
            connection.request("POST", self._path, body, headers)
            answer = connection.getresponse()
            return answer.status, _seconds(answer.getheader("Retry-After"))
        except (OSError, HTTPException) as error:
            raise NotSent(f"{type(error).__name__}: {error}"[:300]) from None
        finally:
            deadline.cancel()
            connection.close()

    def _connection(self) -> HTTPConnection:
        if self._tls is not None:
            return HTTPSConnection(self._host, self._port, timeout=self._timeout_s, context=self._tls)
        return HTTPConnection(self._host, self._port, timeout=self._timeout_s)


def event_of(notice: Notice, source: str) -> CloudEvent:
    """A notice as a CloudEvent; `source` names this Markaz."""
    what = "escalate" if notice.transition is None else notice.transition.action.value
    return CloudEvent(
        id=message_id(notice),
        source=source,
        type=f"markaz.alarm.{what}",
        subject=notice.alarm.id,
        time=rfc3339(notice.at_ms),
        data=Told(alarm=notice.alarm, transition=notice.transition, unacknowledged_s=notice.unacknowledged_s),
    )


def message_id(notice: Notice) -> str:
    """An id for headers, the same at every try: a notice's own may hold anything that a device is called."""
    return f"msg_{hashlib.sha256(notice.id.encode('utf-8', 'replace')).hexdigest()[:32]}"


def signature(key: bytes, name: str, at_s: int, body: bytes) -> str:
    """`v1,` and the HMAC-SHA-256 over id, time and body in base64 (Standard Webhooks, signature scheme)."""
    digest = hmac.new(key, f"{name}.{at_s}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def source_of(web: str, city: str) -> str:
    """The CloudEvents source: the centre's own address where it has one, else a path."""
    return web or f"/markaz/{quote(city)}"


def _cut(connection: HTTPConnection) -> None:
    with suppress(OSError, AttributeError):
        connection.sock.shutdown(SHUT_RDWR)


def _seconds(retry_after: str | None) -> float | None:
    """Of Retry-After the seconds; a date is not looked at, our own pauses grow anyway."""
    return float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
