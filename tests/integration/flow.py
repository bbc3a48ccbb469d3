"""A load at a steady rate, every message known by name, and what the broker acknowledged of it."""

from __future__ import annotations

import json
import random
import socket
import struct
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from city.store import Entry, Store, now_ms

_PACKET_IDS = 60_000
_TICK_S = 0.01
_SILENT_S = 10.0  # a broker that acknowledges nothing for so long is left
_WINDOW = 5000  # messages on the way, as any publisher bounds them

Name = tuple[str, str, int]  # facet, vehicle, time of measuring: what tells a measurement


class Message(NamedTuple):
    name: Name
    packet: bytes  # PUBLISH, QoS 1


def load(messages: int, vehicles: int, rate: float, *, seed: int = 1) -> list[Message]:
    """Positions and, of five messages one, a passenger who gets on; as all vehicles would send them in turn."""
    rng = random.Random(seed)
    start_ms = now_ms()
    made = []
    for number in range(messages):
        vehicle = number % vehicles
        at_ms = start_ms + max(int(number * 1000 / rate), number // vehicles)
        if (number // vehicles + vehicle) % 5:
            kind = "position"
            body: dict[str, object] = {
                "ts": at_ms,
                "lat": round(41.2 + 0.15 * (vehicle % 45) / 45 + rng.uniform(0, 1e-4), 6),
                "lon": round(69.15 + 0.2 * (vehicle // 45) / 45 + rng.uniform(0, 1e-4), 6),
                "speed_mps": round(rng.uniform(0, 15), 2),
                "route": str(vehicle % 140),
                "trip": f"{vehicle % 140}-1-20261122T042441",
                "odometer_m": 164_000_000 + number,
                "mode": "bus",
            }
        else:
            kind, body = "passengers", {"ts": at_ms, "in": 1, "out": 0}
        topic = f"markaz/v1/tashkent/vehicle/bus-{vehicle}/{kind}".encode()
        name = (kind, f"bus-{vehicle}", at_ms)
        made.append(Message(name, _publish(topic, json.dumps(body).encode(), number % _PACKET_IDS + 1)))
    return made


def _publish(topic: bytes, payload: bytes, packet_id: int) -> bytes:
    rest = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + payload
    length, size = b"", len(rest)
    while size or not length:
        size, low = size >> 7, size & 0x7F
        length += bytes([low | (0x80 if size else 0)])
    return b"\x32" + length + rest


def renumbered(messages: Sequence[Message]) -> list[Message]:
    """The messages in another order, or twice, with packet ids of their new places."""
    made = []
    for number, (name, packet) in enumerate(messages):
        at = 2 if packet[1] < 0x80 else 3
        at += 2 + int.from_bytes(packet[at : at + 2])
        packet_id = struct.pack(">H", number % _PACKET_IDS + 1)
        made.append(Message(name, packet[:at] + packet_id + packet[at + 2 :]))
    return made


def every_entry(store: Store) -> list[Entry]:
    """All that the event streams hold now. In a cluster some nodes answer later than others."""
    tips = {partition: _entry_id(tip) for partition, tip in store.tips().items()}
    cursors = dict.fromkeys(tips, "0-0")
    found: list[Entry] = []
    until = time.monotonic() + _SILENT_S
    while any(_entry_id(cursors[partition]) < tip for partition, tip in tips.items()):
        assert time.monotonic() < until, f"read up to {cursors} of {tips}"
        found += store.read_events(cursors, block_ms=100)
    return found


def _entry_id(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("-"))


class Flow(threading.Thread):
    """Publishes at a steady rate. What a broken connection leaves without an answer is not sent again: it is unsure."""

    def __init__(self, port: int, messages: Sequence[Message], rate: float) -> None:
        super().__init__(daemon=True)
        self.messages = messages
        self.acknowledged: list[int] = []
        self.times: list[float] = []  # of the monotonic clock, when each of them was
        self.unsure: set[int] = set()
        self._port = port
        self._rate = rate
        self._waiting: dict[int, int] = {}  # packet id → number
        self._connection: socket.socket | None = None
        self._half = b""

    def run(self) -> None:
        begin, at, heard_at = time.monotonic(), 0, time.monotonic()
        while at < len(self.messages) or self._waiting:
            if self._connection is None and not self._connect():
                time.sleep(0.05)
                heard_at = time.monotonic()
                continue
            due = min(len(self.messages), int((time.monotonic() - begin) * self._rate))
            try:
                until = min(due, at + _WINDOW - len(self._waiting))
                if until > at:
                    for number in range(at, until):
                        self._waiting[number % _PACKET_IDS + 1] = number
                    block, at = b"".join(one.packet for one in self.messages[at:until]), until
                    self._send(block)
                heard = self._hear()
            except OSError:
                self._give_up()
                continue
            if heard or not self._waiting:
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > _SILENT_S:
                self._give_up()
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> bool:
        try:
            connection = socket.create_connection(("127.0.0.1", self._port), 1)
            connection.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x00\x00\x04load")
            if connection.recv(4)[:2] != b"\x20\x02":
                raise OSError("no welcome")
        except OSError:
            return False
        connection.settimeout(_TICK_S)
        self._connection, self._half = connection, b""
        return True

    def _send(self, block: bytes) -> None:
        assert self._connection is not None
        view, until = memoryview(block), time.monotonic() + 10
        while view:
            try:
                view = view[self._connection.send(view) :]
            except TimeoutError:
                if time.monotonic() > until:
                    raise
            self._hear()

    def _hear(self) -> bool:
        assert self._connection is not None
        try:
            data = self._connection.recv(1 << 16)
        except TimeoutError:
            return False
        if not data:
            raise OSError("closed")
        self._half += data
        now = time.monotonic()
        whole = len(self._half) // 4 * 4  # nothing but PUBACKs of four bytes comes here
        for _, packet_id in struct.iter_unpack(">HH", self._half[:whole]):
            self.acknowledged.append(self._waiting.pop(packet_id))
            self.times.append(now)
        self._half = self._half[whole:]
        return True

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self.unsure.update(self._waiting.values())
        self._waiting.clear()
