"""A day of positions at speed: the simulator's own fleet driven as fast as the machine can, hour by hour.

The city of `sim` without messages: all vehicles are moved together by `sim.town.Town` and read off their arrays. What a
device adds is added here: each vehicle speaks at its own moment of the period, a few milliseconds late, its fix is off
by some metres, its message takes its time, and one in a few hundred is lost.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from pyarrow import feather

from city.areas import load_areas
from sim.fleet import LAYOVER
from sim.network import load_network
from sim.town import Town, TownPlan

ROOT = Path(__file__).resolve().parent.parent
CITY = "tashkent"
ZONE = ZoneInfo("Asia/Tashkent")
DAY = datetime(2026, 5, 4, tzinfo=UTC)  # a Monday
PERIOD_S = 5
_LOST = 0.003
_NOISE_M = 1.5  # of a fix, along each axis
_M_PER_DEG = 111_195.0


def hours(vehicles: int, count: int, seed: int = 1) -> Iterator[pa.Table]:
    """One table an hour, in the order in which the messages came: the fields of a VehiclePosition, and `late`."""
    network = load_network(ROOT / "data" / CITY)
    areas = load_areas(ROOT / "data" / CITY)
    start_ms = int(DAY.timestamp() * 1000)
    plan = TownPlan(
        city=CITY,
        vehicles=vehicles,
        cameras=0,
        rate_hz=1 / PERIOD_S,
        seed=seed,
        start_ms=start_ms,
        zone=ZONE,
        slice_s=PERIOD_S,
    )
    town = Town(network, plan)
    rng = np.random.default_rng(seed)
    everybody = np.arange(vehicles)
    phase_ms = rng.integers(0, PERIOD_S * 1000, vehicles)
    ids = pa.array([one.vehicle_id for one in town.papers])
    vins = pa.array([one.vin for one in town.papers])
    modes = pa.array([one.mode for one in town.papers])
    routes = pa.array([line.route_ref for line in network.lines])
    for _ in range(count):
        ticks: list[dict[str, np.ndarray]] = []
        for _ in range(3600 // PERIOD_S):
            t = town.t
            town.step(listening=False)
            fleet = town.fleet
            ticks.append(
                {
                    "measured_ms": town.epoch_ms(t) + phase_ms + rng.integers(0, 40, vehicles),
                    "vehicle": everybody,
                    "line": fleet.line.copy(),
                    "at_m": fleet.at_m.copy(),
                    "speed_mps": np.round(fleet.speed_mps, 2),
                    "odometer_m": np.round(fleet.odometer_m, 1),
                    "ignition": fleet.phase != LAYOVER,
                    "trip_start_s": fleet.trip_start_s.copy(),
                    # The simulator's own word on it; not part of what it shows.
                    "schedule_deviation_s": np.round(town._service.schedule_deviation_s(t, everybody)),
                }
            )
        columns = {name: np.concatenate([tick[name] for tick in ticks]) for name in ticks[0]}
        kept = rng.random(len(columns["vehicle"])) >= _LOST
        columns = {name: values[kept] for name, values in columns.items()}
        size = len(columns["vehicle"])
        places = network.locate(columns["line"], columns["at_m"])
        lat = np.round(places.lat + rng.normal(0, _NOISE_M / _M_PER_DEG, size), 6)
        lon = np.round(places.lon + rng.normal(0, _NOISE_M / _M_PER_DEG / 0.75, size), 6)
        district, mahalla = areas.locate(lat, lon)
        line, vehicle = columns["line"], columns["vehicle"]
        starts, at = np.unique(columns["line"] * 1e9 + columns["trip_start_s"], return_inverse=True)
        of_line, start_s = np.divmod(starts + 4e8, 1e9)
        trips = [
            f"{network.lines[int(n)].route_ref}-{network.lines[int(n)].direction}-"
            f"{DAY + timedelta(seconds=float(s) - 4e8):%Y%m%dT%H%M%S}"
            for n, s in zip(of_line, start_s, strict=True)
        ]
        measured_ms = columns["measured_ms"]
        table = pa.table(
            {
                "measured_ms": measured_ms,
                "received_ms": measured_ms + np.round(rng.gamma(2.0, 60.0, size)).astype(np.int64) + 30,
                "vehicle_id": ids.take(pa.array(vehicle)),
                "speed_mps": columns["speed_mps"],
                "bearing_deg": np.round(places.bearing_deg, 1) % 360,
                "route": routes.take(pa.array(line)),
                "direction": line % 2 + 1,
                "trip": pa.array(trips).take(pa.array(at)),
                "odometer_m": columns["odometer_m"],
                "ignition": columns["ignition"],
                "vin": vins.take(pa.array(vehicle)),
                "mode": modes.take(pa.array(vehicle)),
                "schedule_deviation_s": columns["schedule_deviation_s"],
                "lat": lat,
                "lon": lon,
                "district": pa.array(district, pa.string()),
                "mahalla": pa.array(mahalla, pa.string()),
                "late": np.zeros(size, dtype=bool),
            }
        )
        yield table


def make(folder: Path, vehicles: int, count: int) -> None:
    """Feather files `00.arrow` … in `folder`, those that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    if all((folder / f"{n:02}.arrow").exists() for n in range(count)):
        return
    began, rows = time.monotonic(), 0
    for number, table in enumerate(hours(vehicles, count)):
        rows += len(table)
        feather.write_feather(table, folder / f"{number:02}.part", compression="lz4")
        (folder / f"{number:02}.part").rename(folder / f"{number:02}.arrow")
    print(f"{rows:,} positions simulated in {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--vehicles", type=int, default=2000)
    parser.add_argument("--hours", type=int, default=24)
    given = parser.parse_args()
    make(given.folder, given.vehicles, given.hours)


if __name__ == "__main__":
    main()
