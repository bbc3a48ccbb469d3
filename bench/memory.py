"""What an entity costs in memory, in the store and in each process that reads it, and what a message costs the readers.

    python bench/memory.py                            10,000, 100,000 and 1,000,000 of each, about eight minutes
    python bench/memory.py --entities 10000 --readers-up-to 0

A store of its own, on a free port. State and streams are told apart by MEMORY USAGE, every element counted; beside it
stands what the server says that it holds in all. Readers are `markaz dashboard`, `alarms` and `history`, each alone
with the store: their memory with N vehicles less that with none, and their processor time while positions come at
`RATE` a second in the batches of a worker. The JSON lies in bench/results/memory.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from rig import ROOT, cpu_s, free_port, pid_of, rss_mb, wait_until  # noqa: E402 - found only after the line above
from servers import Valkey  # noqa: E402

from city.events import CameraStatus, Event, Facet, FuelReading, PassengerCount  # noqa: E402
from city.events import VehiclePosition as Position  # noqa: E402
from city.messages import Reading, Received  # noqa: E402
from city.store import Store, now_ms  # noqa: E402

RESULTS = ROOT / "bench" / "results" / "memory.json"
PARTITIONS = 8
BATCH = 1000
RATE, RATE_BATCH, RATE_S = 5000, 250, 20.0
READERS = ("dashboard", "alarms", "history")
# Of a stored message only its event is kept.
_NOTHING = Received("", b"", 0)

Figures = dict[str, float]


def position(number: int, at_ms: int, rng: random.Random) -> Position:
    """A bus as bench/load.py sends it, located."""
    return Position(
        vehicle_id=f"bus-{number}",
        measured_ms=at_ms,
        received_ms=at_ms + 40,
        lat=round(41.2 + rng.uniform(0, 0.2), 6),
        lon=round(69.15 + rng.uniform(0, 0.2), 6),
        speed_mps=round(rng.uniform(0, 15), 2),
        bearing_deg=rng.randrange(360),
        route=str(number % 140),
        direction=1 + number % 2,
        trip=f"{number % 140}-1-20261122T042441",
        odometer_m=164_000_000 + number,
        ignition=True,
        vin="NS1BUS126TT000034",
        mode="bus",
        schedule_deviation_s=-30,
        district="1726273",
        mahalla="1726273005",
    )


def passengers(number: int, at_ms: int, rng: random.Random) -> PassengerCount:
    boarded, alighted = rng.randrange(9), rng.randrange(9)
    return PassengerCount(
        vehicle_id=f"bus-{number}",
        measured_ms=at_ms,
        received_ms=at_ms + 40,
        boarded=boarded,
        alighted=alighted,
        capacity=100,
    )


def fuel(number: int, at_ms: int, rng: random.Random) -> FuelReading:
    level_l = round(rng.uniform(20, 250), 1)
    return FuelReading(
        vehicle_id=f"bus-{number}",
        measured_ms=at_ms,
        received_ms=at_ms + 40,
        level_l=level_l,
        capacity_l=300,
        ignition=True,
    )


def camera(number: int, at_ms: int, rng: random.Random) -> CameraStatus:
    return CameraStatus(
        camera_id=f"cam-{number}",
        measured_ms=at_ms,
        received_ms=at_ms + 40,
        online=True,
        stream_url=f"rtsp://cameras.example/{number}",
        lat=round(41.2 + rng.uniform(0, 0.2), 6),
        lon=round(69.15 + rng.uniform(0, 0.2), 6),
        district="1726273",
        mahalla="1726273005",
    )


KINDS: dict[str, tuple[Facet, Callable[[int, int, random.Random], Event]]] = {
    "vehicle/position": (Facet.POSITION, position),
    "vehicle/passengers": (Facet.PASSENGERS, passengers),
    "vehicle/fuel": (Facet.FUEL, fuel),
    "camera/status": (Facet.CAMERA_STATUS, camera),
}


class Fill:
    """Writes events as a worker does."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._number = 0

    def write(self, feed: str, events: Sequence[Event]) -> None:
        self._store.commit("bench", self._number, [Reading(feed, e, _NOTHING) for e in events], [], now_ms=now_ms())
        self._number += 1

    def every(self, feed: str, entities: int) -> None:
        """One event of each entity."""
        rng, (_, make) = random.Random(1), KINDS[feed]
        for start in range(0, entities, BATCH):
            at_ms = now_ms()
            self.write(feed, [make(number, at_ms, rng) for number in range(start, min(entities, start + BATCH))])

    def steadily(self, vehicles: int, seconds: float) -> int:
        """Positions at RATE for some time, of all vehicles in turn; returns how many."""
        rng, sent, begin = random.Random(2), 0, time.monotonic()
        while (left := begin + seconds - time.monotonic()) > 0:
            due = begin + sent / RATE
            if due > time.monotonic():
                time.sleep(min(left, due - time.monotonic()))
            at_ms = now_ms()
            some = [position((sent + one) % vehicles, at_ms, rng) for one in range(RATE_BATCH)]
            self.write("vehicle/position", some)
            sent += RATE_BATCH
        return sent


@contextmanager
def running_store() -> Iterator[tuple[Valkey, Store]]:
    with tempfile.TemporaryDirectory(prefix="markaz-bench-", ignore_cleanup_errors=True) as folder:
        server = Valkey(Path(folder))
        server.start()
        store = Store(server.url, "tashkent", PARTITIONS)
        try:
            yield server, store
        finally:
            store.close()
            server.kill()


def used_bytes(store: Store) -> int:
    """All that the server holds for its data."""
    return int(store.link.run(lambda client: client.info("memory"))["used_memory_dataset"])


def usage_bytes(store: Store, names: Sequence[str]) -> int:
    """Of some keys, every element counted."""
    return sum(store.link.run(lambda client, name=name: client.memory_usage(name, samples=0)) or 0 for name in names)


def in_store(entities: int) -> Figures:
    """Bytes an entity of each kind, and bytes an event in the streams."""
    found: Figures = {}
    with running_store() as (server, store):
        fill, keys = Fill(store), store.keys
        empty = used_bytes(store)
        for feed, (facet, _) in KINDS.items():
            streams = [keys.events(p) for p in range(PARTITIONS)]
            before = usage_bytes(store, streams)
            fill.every(feed, entities)
            state = [name(p, facet) for p in range(PARTITIONS) for name in (keys.latest, keys.measured)]
            if facet is Facet.PASSENGERS:
                state += [keys.onboard(p) for p in range(PARTITIONS)]
            found[f"{feed}: state, bytes an entity"] = round(usage_bytes(store, state) / entities, 1)
            found[f"{feed}: stream, bytes an event"] = round((usage_bytes(store, streams) - before) / entities, 1)
        found["everything, bytes an entity"] = round((used_bytes(store) - empty) / entities, 1)
        found["store process, MB"] = round(rss_mb(pid_of(server)), 1)
    return found


@contextmanager
def reader(name: str, store_url: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One process of Markaz that reads the store."""
    port = free_port()
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MARKAZ_")} | {
        "MARKAZ_REDIS__URL": store_url,
        "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1",
        "MARKAZ_HTTP__PORT": str(port),
        "MARKAZ_DATA_DIR": str(log.parent),
    }
    command = [sys.executable, "-m", "markaz", name, "--config", str(ROOT / "config.yaml")]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environ, cwd=ROOT, stdout=out, stderr=out)
    try:
        ready = "store_reached" if name == "dashboard" else "caught_up"
        # The dashboard begins with a store that it takes for reached.
        words = (ready, "Uvicorn running", "Application startup complete", '"listening"')
        wait_until(lambda: any(word in log.read_text(errors="replace") for word in words), timeout_s=120, what=name)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def settled_mb(pid: int) -> float:
    """A process's memory when it does not grow any more."""
    last, since = rss_mb(pid), time.monotonic()
    while time.monotonic() - since < 4:
        time.sleep(0.5)
        now = rss_mb(pid)
        if now > last * 1.005:
            last, since = now, time.monotonic()
    return last


def of_readers(entities: int) -> Figures:
    """Each reader's memory with no vehicle and with N, and its processor time a message at RATE."""
    found: Figures = {}
    for name in READERS:
        with running_store() as (server, store):
            log = Path(server.directory) / f"{name}.log"
            with reader(name, server.url, log) as process:
                empty_mb = settled_mb(process.pid)
            Fill(store).every("vehicle/position", entities)
            with reader(name, server.url, log) as process:
                full_mb = settled_mb(process.pid)
                idle_s, idle_at = cpu_s(process.pid), time.monotonic()
                time.sleep(5)
                idle = (cpu_s(process.pid) - idle_s) / (time.monotonic() - idle_at)
                before, store_before, begin = cpu_s(process.pid), cpu_s(pid_of(server)), time.monotonic()
                sent = Fill(store).steadily(entities, RATE_S)
                took = time.monotonic() - begin
                used = cpu_s(process.pid) - before
                found[f"{name}: MB with no vehicle"] = round(empty_mb, 1)
                found[f"{name}: bytes a vehicle"] = round((full_mb - empty_mb) * 1e6 / entities)
                found[f"{name}: share of a core with nothing new"] = round(idle, 3)
                found[f"{name}: µs a message above that"] = round((used - idle * took) / sent * 1e6, 1)
                found[f"{name}: messages a second"] = round(sent / took)
                found[f"store beside {name}: µs a message"] = round(
                    (cpu_s(pid_of(server)) - store_before) / sent * 1e6, 1
                )
    return found


def table(results: Mapping[str, Figures]) -> str:
    names = list(dict.fromkeys(name for figures in results.values() for name in figures))
    lines = [f"{'':52}" + "".join(f"{f'{int(n):,} entities':>20}" for n in results)]
    lines += [f"{name:52}" + "".join(f"{figures.get(name, '–'):>20}" for figures in results.values()) for name in names]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--readers-up-to", type=int, default=100_000, help="beyond it only the store is measured")
    given = parser.parse_args()
    results: dict[str, Figures] = {}
    for entities in given.entities:
        results[str(entities)] = in_store(entities) | (of_readers(entities) if entities <= given.readers_up_to else {})
    told = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "cores": os.cpu_count(), "entities": results}
    RESULTS.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
