"""The floor for a receiver in this language: takes every message from the socket, acknowledges it at once, forgets it.

    python bench/bare.py --port 1883 --messages 200000

It prints `ready` when it is subscribed, and a JSON line with how many came, when it was connected and when the last
of them came (epoch seconds), and the processor time that they took (seconds), after `--messages` or at a stop signal.
"""

from __future__ import annotations

import argparse
import json
import select
import signal
import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent.parent)]

from city.log import configure_logging  # noqa: E402 - found only after the line above
from city.messages import Received  # noqa: E402
from city.store import now_ms  # noqa: E402
from ingest.lean_client import LeanClient  # noqa: E402
from ingest.session import Listener, SessionSettings  # noqa: E402

CLIENT_ID = "bench-bare"


class Bare:
    """One session whose messages go nowhere."""

    def __init__(self, port: int) -> None:
        settings = SessionSettings(
            host="127.0.0.1",
            port=port,
            tls=False,
            ca_file=None,
            username=None,
            password=None,
            client_id=CLIENT_ID,
            topics=("markaz/v1/tashkent/#",),
            version="auto",
            keepalive_s=30,
            session_expiry_s=3600,
            receive_maximum=20_000,  # what `markaz ingest` asks for
            payload_max_bytes=65_536,
        )
        self.received = 0
        self.connected_at = self.last_at = 0.0
        self.client = LeanClient(settings, Listener(self._offer, lambda connection: None, now_ms))

    def turn(self) -> None:
        client = self.client
        client.connect_if_needed()
        connection = client.socket()
        if connection is None:
            time.sleep(0.01)
            return
        writes = [connection] if client.wants_write() else []
        readable, writable, _ = select.select([connection], writes, [], 0.1)
        if readable:
            asked_at = time.time()
            client.read()
            if client.connected and not self.connected_at:
                self.connected_at = asked_at
        if writable:
            client.write()

    def _offer(self, messages: list[Received]) -> None:
        self.last_at = time.time()
        self.received += len(messages)
        self.client.acknowledge(messages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--messages", type=int, required=True)
    given = parser.parse_args()
    configure_logging("bare")
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    bare = Bare(given.port)
    while not bare.client.subscribed and not stopped:
        bare.turn()
    print("ready", flush=True)
    cpu_s = time.process_time()
    while bare.received < given.messages and not stopped:
        bare.turn()
    cpu_s = time.process_time() - cpu_s
    bare.client.close(time.monotonic() + 1)
    told = {"received": bare.received, "connected": bare.connected_at, "last": bare.last_at, "cpu_s": cpu_s}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
