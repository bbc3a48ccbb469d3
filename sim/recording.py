"""Recordings: reading their lines, and moving the times within a message. Pure.

Two formats. HFP dumps: `<received at> <topic> <JSON>`, where the topic may hold spaces. Our own:
JSON lines `{"at": …, "topic": …, "payload": "…"}`, with `payload_base64` where the payload is
not UTF-8, and `"retain": true` for retained messages.
"""

from __future__ import annotations

import base64
import binascii
import re
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

# Fields that hold a moment, in the native, HFP and APC payloads.
_ISO_FIELDS = "tst|ttarr|ttdep|ts|due_at"
_EPOCH_FIELDS = "tsi|tst|ts"
_ISO_TIME = re.compile(
    rb'("(?:' + _ISO_FIELDS.encode() + rb')"\s*:\s*")'
    rb'(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d+)?(?:[Zz]|[+-]\d\d:?\d\d))(")'
)
_EPOCH_TIME = re.compile(rb'("(?:' + _EPOCH_FIELDS.encode() + rb')"\s*:\s*)(\d{9,13}(?:\.\d+)?)(?=\s*[,}])')
# Above this an epoch number counts milliseconds: as seconds it would be the year 5138.
_MILLISECONDS_FROM = 1e11


class BadLineError(ValueError):
    """A line that is no recorded message."""


class Recorded(Struct, frozen=True):
    """One recorded message."""

    at_ms: float  # epoch ms UTC when it was received
    topic: str
    payload: bytes
    retain: bool = False


class _Line(Struct, omit_defaults=True):
    at: str
    topic: str
    payload: str | None = None
    payload_base64: str | None = None
    retain: bool = False


_decode = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


def parse_line(line: bytes) -> Recorded:
    """The message of a line in either format; raises BadLineError with what is wrong."""
    line = line.strip()
    return _parse_own(line) if line.startswith(b"{") else _parse_dump(line)


def record_line(message: Recorded) -> bytes:
    """A message as a line of our own format."""
    at = datetime.fromtimestamp(message.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    line = _Line(at.replace("+00:00", "Z"), message.topic, retain=message.retain)
    try:
        line.payload = message.payload.decode("utf-8")
    except UnicodeDecodeError:
        line.payload_base64 = base64.b64encode(message.payload).decode()
    return _encode(line) + b"\n"


class TimeShift(Struct, frozen=True):
    """Moves a recording's times: `from_ms` becomes `to_ms`, gaps shrink by `speed`."""

    from_ms: float
    to_ms: float
    speed: float = 1.0

    def moved_ms(self, at_ms: float) -> float:
        return self.to_ms + (at_ms - self.from_ms) / self.speed

    def payload(self, payload: bytes) -> bytes:
        """The payload with its times moved; every other byte stays what it was."""
        return _EPOCH_TIME.sub(self._epoch, _ISO_TIME.sub(self._iso, payload))

    def _iso(self, found: re.Match[bytes]) -> bytes:
        try:
            moment = datetime.fromisoformat(found[2].decode().upper())
            moved = datetime.fromtimestamp(self.moved_ms(moment.timestamp() * 1000) / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            return found[0]  # no such day: the receiver shall see it as it was sent
        return found[1] + moved.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode() + found[3]

    def _epoch(self, found: re.Match[bytes]) -> bytes:
        value = float(found[2])
        scale = 1.0 if value >= _MILLISECONDS_FROM else 1000.0
        moved = self.moved_ms(value * scale) / scale
        return found[1] + (b"%.3f" % moved if b"." in found[2] else b"%d" % int(moved))


def encode_spaces(topic: str) -> str:
    """The topic with spaces as %20: some brokers disconnect a client that publishes a space."""
    return topic.replace(" ", "%20")


def _parse_own(line: bytes) -> Recorded:
    try:
        fields = _decode(line)
        payload = b""
        if fields.payload is not None:
            payload = fields.payload.encode()
        elif fields.payload_base64 is not None:
            payload = base64.b64decode(fields.payload_base64, validate=True)
        else:
            raise BadLineError("neither payload nor payload_base64")
    except (msgspec.DecodeError, binascii.Error, UnicodeEncodeError) as error:
        raise BadLineError(str(error)) from None
    return Recorded(_epoch_ms(fields.at), fields.topic, payload, fields.retain)


def _parse_dump(line: bytes) -> Recorded:
    at, _, rest = line.partition(b" ")
    topic, found, body = rest.partition(b" {")
    if not found:
        raise BadLineError("expected <time> <topic> <JSON object>")
    try:
        return Recorded(_epoch_ms(at.decode()), topic.decode(), b"{" + body)
    except UnicodeDecodeError:
        raise BadLineError("time or topic is not UTF-8") from None


def _epoch_ms(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadLineError(f"no RFC 3339 time: {text[:40]!r}") from None
    if moment.tzinfo is None:
        raise BadLineError(f"a time without offset: {text[:40]!r}")
    return moment.timestamp() * 1000
