"""How late events come out of the store: a reader that waits on the event streams, as the dashboard does.

A message carries the time at which it was sent. `seen` ends when this reader has its batch in hand: it is what
another process sees, and holds the reader's own delay (its wake-up, the socket, parsing one answer). `stored` ends at
the id that the store gave the entry, which is the store's own clock when the script began: whole milliseconds, without
the reader, and without the script's own few milliseconds. The truth lies between; `reader_ms` is the median of the
difference. Both ends are read from one machine's clock; the stamp is cut to milliseconds, which adds half of one.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable

import msgspec
from rig import Row

from city.events import Facet
from city.store import Store


class _Stamp(msgspec.Struct):
    """The one field of an event that is wanted here."""

    measured_ms: int


_decode = msgspec.json.Decoder(list[_Stamp]).decode


class Reader:
    """Keeps what it reads until the end: taking it apart meanwhile would be a delay of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cursors = {store.keys.events(partition): tip for partition, tip in store.tips().items()}
        self._seen: list[tuple[float, int, bytes]] = []  # when (epoch ms), the entry's own time, its events

    def read(self, wait: Callable[[], None]) -> None:
        """Read until `wait()`, in a thread of its own, comes to its end, and nothing more comes."""
        fields = {facet.encode() for facet in (Facet.POSITION, f"{Facet.POSITION}:late")}
        ended = threading.Event()
        watch = threading.Thread(target=_then, args=(wait, ended.set), daemon=True)
        watch.start()
        more = True
        while more or not ended.is_set():
            found = self._store.streams.read(self._cursors, block_ms=200, count=100)
            now_ms = time.time() * 1000
            more = bool(found)
            for name, entries in found:
                self._cursors[name] = entries[-1][0].decode()
                for entry_id, values in entries:
                    at_ms = int(entry_id.partition(b"-")[0])
                    self._seen += [(now_ms, at_ms, value) for field, value in values.items() if field in fields]
        watch.join()

    def delays_ms(self, *, after_ms: int) -> Row:
        """Percentiles of the messages that were sent after `after_ms`."""
        seen: list[float] = []
        stored: list[int] = []
        own: list[float] = []
        for now_ms, at_ms, value in self._seen:
            own.append(now_ms - at_ms)
            for event in _decode(value):
                if event.measured_ms >= after_ms:
                    seen.append(now_ms - event.measured_ms)
                    stored.append(at_ms - event.measured_ms)
        seen.sort()
        stored.sort()
        return {
            "n": len(seen),
            "seen_p50_ms": round(seen[len(seen) // 2], 1),
            "seen_p99_ms": round(seen[int(len(seen) * 0.99)], 1),
            "seen_max_ms": round(seen[-1], 1),
            "stored_p50_ms": stored[len(stored) // 2],
            "stored_p99_ms": stored[int(len(stored) * 0.99)],
            "reader_ms": round(statistics.median(own), 2),
        }


def _then(first: Callable[[], None], second: Callable[[], None]) -> None:
    first()
    second()
