"""What each stage of a message's way costs, one by one, on one core.

    python bench/stages.py

Rounds of all stages are taken in turn, so that a noisy minute hits them alike; the median of the rounds counts.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration"), str(ROOT / "bench")]

from load import packet  # noqa: E402 - found only after the line above
from servers import Valkey  # noqa: E402

from analysis.indicators import indicators  # noqa: E402
from analysis.kpis import KpiSettings, kpis  # noqa: E402
from analysis.picture import Vehicle  # noqa: E402
from city.areas import load_areas  # noqa: E402
from city.config import Config, load_config  # noqa: E402
from city.messages import Received  # noqa: E402
from city.store import Store, now_ms  # noqa: E402
from dashboard.feed import CityState  # noqa: E402
from dashboard.frames import VehicleTable  # noqa: E402
from ingest.batch import Batch  # noqa: E402
from ingest.mqtt_wire import Parser  # noqa: E402
from ingest.pipeline import STEPS, Pipeline  # noqa: E402

ROUNDS = 7
BATCH = 1000


def wire(number: int, rng: random.Random) -> bytes:
    """One position of each of 1,000 vehicles, 300 bytes each, a second after the last one; as the broker sends it."""
    now = now_ms()
    at = datetime.fromtimestamp((now - 3_000_000 + number * 1000) / 1000, UTC).isoformat(timespec="milliseconds")
    found = bytearray()
    for vehicle in range(BATCH):
        lat, lon = 41.2 + 0.15 * (vehicle % 33) / 33, 69.15 + 0.2 * (vehicle // 33) / 33
        body = {
            "ts": at,
            "lat": round(lat + number * 1e-5, 6),
            "lon": round(lon, 6),
            "speed_mps": round(rng.uniform(0, 15), 2),
            "bearing_deg": rng.randrange(360),
            "route": str(vehicle % 14),
            "direction": 1 + vehicle % 2,
            "trip": f"{vehicle % 14}-1-20261122T042441",
            "odometer_m": 164_000_000 + number * 10,
            "ignition": True,
            "vin": "NS1BUS126TT000034",
            "mode": "bus",
            "schedule_deviation_s": -30,
        }
        topic = f"markaz/v1/tashkent/vehicle/bus-{vehicle}/position".encode()
        found += packet(topic, json.dumps(body).encode(), vehicle + 1)
    return bytes(found)


def update_all(table: VehicleTable, vehicles: Iterable[Vehicle]) -> None:
    for vehicle in vehicles:
        table.update(vehicle)


def timed(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def main() -> None:
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        server = Valkey(Path(folder))
        server.start()
        try:
            rows = run(load_config(ROOT / "config.yaml", {"MARKAZ_REDIS__URL": server.url}), rng)
        finally:
            server.kill()
    print(f"{'stage':34}{'median':>12}  unit")
    for name, (value, unit) in rows.items():
        print(f"{name:34}{value:>12.2f}  {unit}")
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "rounds": ROUNDS,
    }
    results = ROOT / "bench" / "results"
    results.mkdir(parents=True, exist_ok=True)
    (results / "stages.json").write_text(json.dumps({**about, "rows": rows}, indent=1))


def run(config: Config, rng: random.Random) -> dict[str, tuple[float, str]]:
    store = Store.of(config)
    areas = load_areas(config.city_dir)
    pipeline = Pipeline(config, areas, store)
    pipeline.resume()
    state, settings = CityState(), KpiSettings.of(config)
    table = VehicleTable(
        config.profile.bounds, 10_000, capacity_default=80, stale_after_s=1e6, count_stale_after_s=1e6, gone_after_s=1e9
    )
    lats = [rng.uniform(41.17, 41.42) for _ in range(BATCH)]
    lons = [rng.uniform(69.12, 69.46) for _ in range(BATCH)]
    parser = Parser(five=False, connection=1, payload_max_bytes=config.ingest.payload_max_bytes)
    taken: dict[str, list[float]] = {}
    for number in range(ROUNDS + 1):
        received: list[Received] = []
        sent = wire(number, rng)
        one_round = {"ingest: parse MQTT": timed(partial(parser.feed, sent, now_ms(), received))}
        batch = Batch(received, now_ms())
        for step in STEPS:
            one_round[f"ingest: {step.__name__}"] = timed(partial(step, batch, pipeline))
        one_round["ingest: send to the store"] = timed(partial(pipeline.writer.send, batch))
        # The worker does other things meanwhile: the store's own time, not the worker's.
        one_round["store: write and answer"] = timed(lambda: pipeline.writer.settle(wait=True))
        events = [reading.event for reading in batch.readings]
        assert len(events) == BATCH, batch.rejects[:1]
        one_round["areas: locate, both kinds"] = timed(lambda: areas.locate(lats, lons))
        for event in events:
            state.picture.apply(event)
        vehicles = list(state.picture.vehicles.values())
        one_round["frames: update a vehicle"] = timed(partial(update_all, table, vehicles))
        one_round["frames: pack 1,000 vehicles"] = timed(lambda: table.pack(now_ms())) * BATCH
        one_round["kpis() of 1,000 vehicles"] = (
            timed(lambda: kpis(state.picture, state.meter, [], state.rates, now_ms(), settings)) * BATCH
        )
        one_round["indicators() of 1,000 vehicles"] = (
            timed(lambda: indicators(state.picture, [], now_ms(), settings)) * BATCH
        )
        if number:  # the first round warms caches and loads the scripts
            for name, seconds in one_round.items():
                taken.setdefault(name, []).append(seconds / BATCH * 1e6)
    rows = {}
    for name, values in taken.items():
        whole = "1,000" in name
        rows[name] = (statistics.median(values) / (1000 if whole else 1), "ms" if whole else "µs a message")
    return rows


if __name__ == "__main__":
    main()
