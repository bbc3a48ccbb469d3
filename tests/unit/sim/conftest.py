"""A small network to drive on, and the real one of Tashkent."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from city.areas import Areas, load_areas
from sim.network import Line, Network, Stop, load_network, reversed_line
from sim.sensors import Meter
from sim.town import Town, TownPlan

TASHKENT = Path(__file__).parents[3] / "data" / "tashkent"
# A working morning in Tashkent, just after eight.
START_MS = int(datetime(2026, 3, 18, 3, 5, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(scope="session")
def network() -> Network:
    return load_network(TASHKENT)


@pytest.fixture(scope="session")
def areas() -> Areas:
    return load_areas(TASHKENT)


@pytest.fixture
def cross() -> Network:
    """Two straight roads of about 3 km that cross in the middle, with three stops each."""
    lines: list[Line] = []
    for ref, lat, lon in (
        ("EW", (41.3, 41.3, 41.3), (69.20, 69.22, 69.24)),
        ("NS", (41.285, 41.3, 41.315), (69.22, 69.22, 69.22)),
    ):
        stops = tuple(Stop(f"{ref}{n}", f"Stop {ref}{n}", 500.0 + 900.0 * n, lat[1], lon[1]) for n in range(3))
        out = Line(ref, 1, "bus", "5-avtobus saroyi", lat, lon, stops, 3336.0)
        lines += [out, reversed_line(out)]
    return Network(lines)


def make_town(
    network: Network,
    *,
    vehicles: int = 40,
    cameras: int = 20,
    rate_hz: float = 1.0,
    seed: int = 7,
    slice_s: float = 0.1,
    meters: Sequence[Meter] = (),
) -> Town:
    plan = TownPlan(
        city="tashkent",
        vehicles=vehicles,
        cameras=cameras,
        rate_hz=rate_hz,
        seed=seed,
        start_ms=START_MS,
        zone=ZoneInfo("Asia/Tashkent"),
        slice_s=slice_s,
    )
    return Town(network, plan, meters=meters)
