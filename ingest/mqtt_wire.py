"""MQTT 3.1.1 and 5 packets, as far as a subscriber needs them. Pure: bytes in, bytes and messages out.

Source: OASIS MQTT 3.1.1 and 5.0; section numbers are of 5.0.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from city.messages import Received

PINGREQ = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
SESSION_TAKEN_OVER = 0x8E

_CONNACK, _PUBLISH, _SUBACK, _UNSUBACK, _PINGRESP, _DISCONNECT = 0x20, 0x30, 0x90, 0xB0, 0xD0, 0xE0
_SESSION_EXPIRY, _RECEIVE_MAXIMUM, _SERVER_KEEP_ALIVE = 0x11, 0x21, 0x13
# Bytes after a property's identifier (2.2.2.2): a fixed number, or a length of two bytes and so many more.
_FIXED = {
    0x01: 1, 0x17: 1, 0x19: 1, 0x24: 1, 0x25: 1, 0x28: 1, 0x29: 1, 0x2A: 1,
    0x13: 2, 0x21: 2, 0x22: 2, 0x23: 2, 0x02: 4, 0x11: 4, 0x18: 4, 0x27: 4,
}  # fmt: skip
_TEXTS = frozenset({0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F})
_USER_PROPERTY = 0x26
# Topics whose text is kept; beyond it they are read anew.
_TOPICS_MAX = 200_000
_ACKS = [struct.pack(">HH", 0x4002, packet_id) for packet_id in range(65536)]


class ProtocolError(Exception):
    """The broker sent what is not MQTT."""


class Connack(NamedTuple):
    session_present: bool
    code: int  # 0: accepted; of MQTT 5 (3.2.2.2) or of 3.1.1
    keepalive_s: int | None = None  # that the broker asks for


class Suback(NamedTuple):
    packet_id: int
    codes: tuple[int, ...]


class Pingresp(NamedTuple):
    pass


class Disconnected(NamedTuple):
    code: int


Control = Connack | Suback | Pingresp | Disconnected


def connect(
    *,
    five: bool,
    client_id: str,
    keepalive_s: int,
    username: str | None,
    password: str | None,
    session_expiry_s: int,
    receive_maximum: int,
) -> bytes:
    """CONNECT of a session that the broker keeps (clean start off), or of a new one without expiry."""
    flags = (0x80 if username else 0) | (0x40 if password else 0) | (0 if session_expiry_s else 0x02)
    head = _text("MQTT") + bytes([5 if five else 4, flags]) + struct.pack(">H", keepalive_s)
    if five:
        properties = struct.pack(">BIBH", _SESSION_EXPIRY, session_expiry_s, _RECEIVE_MAXIMUM, receive_maximum)
        head += _length(len(properties)) + properties
    body = head + _text(client_id)
    for text in (username, password):
        if text:
            body += _text(text)
    return _packet(0x10, body)


def subscribe(topics: Sequence[str], packet_id: int, *, five: bool) -> bytes:
    """SUBSCRIBE with QoS 1; retained messages at a new subscription only (3.8.3.1)."""
    options = b"\x11" if five else b"\x01"
    body = struct.pack(">H", packet_id) + (b"\x00" if five else b"")
    return _packet(0x82, body + b"".join(_text(topic) + options for topic in topics))


def unsubscribe(topics: Sequence[str], packet_id: int, *, five: bool) -> bytes:
    body = struct.pack(">H", packet_id) + (b"\x00" if five else b"")
    return _packet(0xA2, body + b"".join(_text(topic) for topic in topics))


def disconnect(*, five: bool, session_expiry_s: int | None = None) -> bytes:
    """DISCONNECT; `session_expiry_s=0` ends the session too (MQTT 5)."""
    if not five or session_expiry_s is None:
        return DISCONNECT
    return _packet(0xE0, struct.pack(">BBBI", 0, 5, _SESSION_EXPIRY, session_expiry_s))


def acknowledgements(packet_ids: Sequence[int]) -> bytes:
    """PUBACKs, in this order."""
    return b"".join([_ACKS[packet_id] for packet_id in packet_ids])


class Parser:
    """Takes the stream of one connection apart."""

    def __init__(self, *, five: bool, connection: int, payload_max_bytes: int) -> None:
        """Of a payload above `payload_max_bytes` so much is kept that it will be refused by its size."""
        self._five = five
        self._connection = connection
        self._packet_max = payload_max_bytes + 70_000  # a topic has 64 KiB at most
        self._rest = b""
        self._parts: list[bytes] = []  # of a packet that is longer than what was read at once
        self._missing = 0  # bytes that it lacks
        self._kept = 0
        self._cut = False  # some of it was left out
        self._topics: dict[bytes, str] = {}

    def feed(self, data: bytes, received_ms: int, messages: list[Received]) -> list[Control]:
        """Put the messages of `data` into `messages`, and give what else the broker said.

        Raises ProtocolError.
        """
        cut = False
        if self._missing:
            data, cut = self._continue(data)
        elif self._rest:
            data, self._rest = self._rest + data, b""
        controls: list[Control] = []
        at, end = 0, len(data)
        topics, five, connection = self._topics, self._five, self._connection
        while end - at >= 2:
            kind = data[at]
            length = data[at + 1]
            body = at + 2
            if length & 0x80:
                # Two bytes for nearly all messages: spelled out, a call costs a tenth of the loop.
                if body < end and data[body] < 0x80:
                    length += (data[body] << 7) - 0x80
                    body += 1
                else:
                    length, body = _long_length(data, at + 1, end)
                    if body < 0:
                        break
            following = body + length
            if following > end:
                self._begin(data, at, following)
                return controls
            if kind & 0xF0 != _PUBLISH:
                controls.append(self._control(kind & 0xF0, data[body:following]))
                at = following
                continue
            after = body + 2 + (data[body] << 8 | data[body + 1]) if length >= 2 else following + 1
            name = data[body + 2 : after]
            packet_id = 0
            if kind & 0x06:
                packet_id = data[after] << 8 | data[after + 1] if after + 2 <= following else 0
                after += 2
            if five and after < following:
                named = after
                properties = data[after]
                after += 1
                if properties & 0x80:
                    properties, after = _long_length(data, after - 1, following)
                    if after < 0:
                        raise ProtocolError("a PUBLISH that ends within a length")
                after += properties
                if after > following and cut:
                    # Not all of its properties are kept. Refused by its size: the broker would send it for ever.
                    after = named
            cut = False
            if after > following:
                raise ProtocolError("a PUBLISH that is shorter than its parts")
            topic = topics.get(name)
            if topic is None:
                topic = self._topic(name)
            messages.append(
                Received(
                    topic,
                    data[after:following],
                    received_ms,
                    kind & 0x01 == 1,
                    kind & 0x08 == 8,
                    packet_id,
                    connection,
                )
            )
            at = following
        self._rest = data[at:]
        return controls

    def _begin(self, data: bytes, at: int, following: int) -> None:
        """Wait for the rest of a packet."""
        if following - at <= 2 * len(data):
            self._rest = data[at:]
            return
        # A long one is put together once, when all of it is there.
        self._parts = [data[at:]]
        self._kept = len(data) - at
        self._missing = following - len(data)

    def _continue(self, data: bytes) -> tuple[bytes, bool]:
        """More of a long packet, and whether some of it was left out: nothing to read while it is not all there."""
        more = data[: self._missing]
        self._missing -= len(more)
        if self._kept < self._packet_max:
            self._parts.append(more)
            self._kept += len(more)
        else:
            self._cut = True
        if self._missing:
            return b"", False
        packet, self._parts = b"".join(self._parts), []
        cut, self._cut = self._cut, False
        return self._whole(packet) + data[len(more) :], cut

    def _whole(self, packet: bytes) -> bytes:
        """The packet, cut to what is kept of it, with a length that says so."""
        _, body = _long_length(packet, 1, len(packet))
        return packet[:1] + _length(len(packet) - body) + packet[body:]

    def _topic(self, name: bytes) -> str:
        # No broker may send a topic that is not UTF-8; it is rejected as unknown.
        topic = name.decode("utf-8", "replace")
        if len(self._topics) >= _TOPICS_MAX:
            self._topics.clear()
        self._topics[name] = topic
        return topic

    def _control(self, kind: int, body: bytes) -> Control:
        if kind == _CONNACK and len(body) >= 2:
            properties = _properties(body[2:]) if self._five and len(body) > 2 else {}
            keepalive = properties.get(_SERVER_KEEP_ALIVE)
            return Connack(bool(body[0] & 1), body[1], None if keepalive is None else int.from_bytes(keepalive))
        if kind in {_SUBACK, _UNSUBACK} and len(body) >= 2:
            packet_id = body[0] << 8 | body[1]
            codes = body[2:]
            if self._five and codes:
                length, after = _long_length(codes, 0, len(codes))
                if after < 0:
                    raise ProtocolError("a SUBACK that ends within a length")
                codes = codes[after + length :]
            return Suback(packet_id, tuple(codes))
        if kind == _PINGRESP:
            return Pingresp()
        if kind == _DISCONNECT:
            return Disconnected(body[0] if body else 0)
        raise ProtocolError(f"an unexpected packet of type {kind >> 4}")


def _properties(data: bytes) -> dict[int, bytes]:
    """Properties by identifier; texts are passed over."""
    length, at = _long_length(data, 0, len(data))
    end = at + length
    found: dict[int, bytes] = {}
    while at < end <= len(data):
        identifier = data[at]
        at += 1
        if identifier in _FIXED:
            found[identifier] = data[at : at + _FIXED[identifier]]
            at += _FIXED[identifier]
        elif identifier in _TEXTS:
            at += 2 + int.from_bytes(data[at : at + 2])
        elif identifier == _USER_PROPERTY:
            for _ in range(2):
                at += 2 + int.from_bytes(data[at : at + 2])
        else:
            break
    return found


def _long_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """A variable byte integer (1.5.5) and the place behind it; (0, -1) while it is not all there."""
    value = 0
    for shift in range(0, 28, 7):
        if at >= end:
            return 0, -1
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
    raise ProtocolError("a length of more than four bytes")


def _length(value: int) -> bytes:
    encoded = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        encoded.append(low | (0x80 if value else 0))
        if not value:
            return bytes(encoded)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return struct.pack(">H", len(encoded)) + encoded


def _packet(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + _length(len(body)) + body
