"""A publisher that costs little: QoS 1 packets are made beforehand and go out in blocks.

Run as a process: `python bench/load.py --port 1883 --messages 200000 --rate 10000`. It prints one JSON line with
the time (epoch seconds) at which it began and ended, and how many the broker acknowledged.

With `--stamp` each position is measured when it is sent: the time is written into the finished packet, so that it costs
next to nothing. The packets then go round, and `--messages` may be more than fit into memory.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle

PACKET_IDS = 60_000
BLOCK = 50
# A whole number of rounds of the packet ids and of 2,000 vehicles: the ids are reused in the same order.
STAMPED_ROUND = 120_000
STAMP_BYTES = 13  # epoch milliseconds until the year 2286


def payload(vehicle: int, at_ms: int, rng: random.Random) -> bytes:
    """One native position of about 300 bytes."""
    body = {
        "ts": at_ms,
        "lat": round(41.2 + 0.15 * (vehicle % 45) / 45 + rng.uniform(0, 1e-4), 6),
        "lon": round(69.15 + 0.2 * (vehicle // 45) / 45 + rng.uniform(0, 1e-4), 6),
        "speed_mps": round(rng.uniform(0, 15), 2),
        "bearing_deg": rng.randrange(360),
        "route": str(vehicle % 140),
        "direction": 1 + vehicle % 2,
        "trip": f"{vehicle % 140}-1-20261122T042441",
        "odometer_m": 164_000_000 + at_ms % 1_000_000,
        "ignition": True,
        "vin": "NS1BUS126TT000034",
        "mode": "bus",
        "schedule_deviation_s": -30,
    }
    return json.dumps(body).encode()


def packet(topic: bytes, body: bytes, packet_id: int) -> bytes:
    """A PUBLISH with QoS 1 of MQTT 3.1.1."""
    rest = struct.pack(">H", len(topic)) + topic + struct.pack(">H", packet_id) + body
    length = bytearray()
    size = len(rest)
    while True:
        size, low = size >> 7, size & 0x7F
        length.append(low | (0x80 if size else 0))
        if not size:
            return b"\x32" + bytes(length) + rest


def packets(messages: int, vehicles: int, start_ms: int, rate: float, seed: int, prefix: str) -> Iterator[bytes]:
    """Positions of all vehicles in turn; each vehicle's times rise as they would at `rate`."""
    rng = random.Random(seed)
    step_ms = 1000 / rate if rate else vehicles / 40_000 * 1000 / vehicles
    for number in range(messages):
        vehicle = number % vehicles
        # A vehicle's times must differ, whatever the rate.
        at_ms = start_ms + max(int(number * step_ms), number // vehicles)
        topic = f"markaz/v1/tashkent/vehicle/{prefix}{vehicle}/position".encode()
        yield packet(topic, payload(vehicle, at_ms, rng), number % PACKET_IDS + 1)


def connect(port: int, client_id: str) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), 10)
    name = client_id.encode()
    body = b"\x00\x04MQTT\x04\x02" + struct.pack(">H", 0) + struct.pack(">H", len(name)) + name
    connection.sendall(b"\x10" + bytes([len(body)]) + body)
    answer = connection.recv(4)
    if answer[:2] != b"\x20\x02" or answer[3] != 0:
        raise SystemExit(f"the broker refuses: {answer!r}")
    return connection


class Stamped:
    """A block of packets whose times are written when it is sent."""

    def __init__(self, made: Sequence[bytes]) -> None:
        self._block = bytearray(b"".join(made))
        self._places: list[int] = []
        start = 0
        for one in made:
            self._places.append(start + one.index(b'"ts": ') + len(b'"ts": '))
            start += len(one)

    def at(self, now_ms: int) -> bytearray:
        stamp = b"%d" % now_ms
        for place in self._places:
            self._block[place : place + STAMP_BYTES] = stamp
        return self._block


class Publisher:
    """Sends blocks of packets, and counts what the broker acknowledges."""

    def __init__(self, port: int, client_id: str, window: int) -> None:
        self._connection = connect(port, client_id)
        self._connection.setblocking(False)
        self._window = window
        self.sent = self.acknowledged = 0
        self._half = b""

    def send(self, block: bytes | bytearray, messages: int) -> None:
        while self.sent + messages - self.acknowledged > self._window:
            self.collect(1.0)
        view = memoryview(block)
        while view:
            readable, writable, _ = select.select([self._connection], [self._connection], [], 10)
            if readable:
                self.collect(0)
            if writable:
                view = view[self._connection.send(view) :]
        self.sent += messages

    def collect(self, wait_s: float) -> None:
        if not select.select([self._connection], [], [], wait_s)[0]:
            return
        data = self._connection.recv(1 << 16)
        if not data:
            raise SystemExit("the broker closed the connection")
        # Nothing but PUBACKs of four bytes comes here.
        self._half += data
        self.acknowledged += len(self._half) // 4
        self._half = self._half[len(self._half) // 4 * 4 :]

    def settle(self) -> None:
        until = time.monotonic() + 60
        while self.acknowledged < self.sent and time.monotonic() < until:
            self.collect(1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--vehicles", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=0, help="messages a second; 0: as fast as the broker takes them")
    parser.add_argument("--window", type=int, default=5000, help="messages sent and not acknowledged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--prefix", default="bus-")
    parser.add_argument("--ago", type=float, default=0, help="seconds before now at which the first was measured")
    parser.add_argument("--wait", action="store_true", help="make the packets, then begin at a line on standard input")
    parser.add_argument("--stamp", action="store_true", help="measured when it is sent")
    given = parser.parse_args()
    start_ms = int((time.time() - given.ago) * 1000)
    number = min(given.messages, STAMPED_ROUND) if given.stamp else given.messages
    made = list(packets(number, given.vehicles, start_ms, given.rate, given.seed, given.prefix))
    # Small blocks at a low rate: what goes out together is as old as its last message waited.
    block = BLOCK if not given.rate else max(1, min(BLOCK, int(given.rate / 500)))
    cuts = [made[at : at + block] for at in range(0, len(made), block)]
    blocks: list[tuple[Stamped | bytes, int]] = [
        (Stamped(cut) if given.stamp else b"".join(cut), len(cut)) for cut in cuts
    ]
    publisher = Publisher(given.port, f"load-{given.seed}", min(given.window, PACKET_IDS - 1))
    if given.wait:
        print("ready", flush=True)
        sys.stdin.readline()
    begin = time.time()
    due = time.monotonic()
    for data, messages in cycle(blocks):
        if publisher.sent + messages > given.messages:
            break
        if given.rate:
            while (left := due - time.monotonic()) > 0:
                publisher.collect(left)
            due += messages / given.rate
        publisher.send(data.at(time.time_ns() // 1_000_000) if isinstance(data, Stamped) else data, messages)
        if publisher.sent == given.messages:
            break
    publisher.settle()
    told = {"begin": begin, "end": time.time(), "sent": publisher.sent, "acknowledged": publisher.acknowledged}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
