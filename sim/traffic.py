"""How the hour of the day changes the road, the crowd and what the city draws from the grid.

Curves are hourly, shaped after the double peak of a working city, and constant within a
quarter of an hour: two runs begun in the same quarter are the same city to the metre.
"""

from __future__ import annotations

from datetime import datetime, tzinfo

import numpy as np

from sim.network import F64

# Share of the free speed that traffic leaves, at each full hour 0–23.
SPEED_BY_HOUR = (
    1.00, 1.00, 1.00, 1.00, 1.00, 0.98, 0.90, 0.72, 0.62, 0.68, 0.78, 0.80,
    0.80, 0.78, 0.78, 0.76, 0.72, 0.62, 0.58, 0.66, 0.80, 0.90, 0.96, 1.00,
)  # fmt: skip
# Passengers wanting to travel, as a share of the morning peak.
DEMAND_BY_HOUR = (
    0.08, 0.06, 0.05, 0.05, 0.08, 0.20, 0.50, 0.90, 1.00, 0.80, 0.60, 0.55,
    0.58, 0.60, 0.58, 0.62, 0.75, 0.95, 1.00, 0.80, 0.55, 0.40, 0.25, 0.15,
)  # fmt: skip
# Electricity that homes draw, as a share of the evening peak.
LOAD_BY_HOUR = (
    0.45, 0.40, 0.38, 0.37, 0.38, 0.42, 0.50, 0.60, 0.62, 0.60, 0.58, 0.58,
    0.60, 0.58, 0.57, 0.58, 0.62, 0.70, 0.82, 0.95, 1.00, 0.95, 0.80, 0.60,
)  # fmt: skip
FREE_SPEED_MPS = 14.0  # about 50 km/h, what a bus reaches on an empty avenue
SPEED_MAX_MPS = 16.7  # 60 km/h, the limit that nobody in this city breaks
BLOCK_M = 500.0  # stretches of road that have a speed of their own
_QUARTER_S = 900


class Daytime:
    """Traffic, demand and electric load at simulated seconds `t` after the start."""

    def __init__(self, start_ms: int, zone: tzinfo) -> None:
        local = datetime.fromtimestamp(start_ms / 1000, zone)
        self._start_of_day_s = local.hour * 3600 + local.minute * 60 + local.second

    def speed_share(self, t: float) -> float:
        """Share of the free speed, 0–1."""
        return _at(SPEED_BY_HOUR, self._quarter_s(t))

    def demand_share(self, t: float) -> float:
        """Passengers wanting to travel, share of the morning peak, 0–1."""
        return _at(DEMAND_BY_HOUR, self._quarter_s(t))

    def load_share(self, t: float) -> float:
        """Electricity that homes draw, share of the evening peak, 0–1."""
        return _at(LOAD_BY_HOUR, self._quarter_s(t))

    def _quarter_s(self, t: float) -> float:
        # Before the start (warming up) the day stands still, for the sake of repeatability.
        second = self._start_of_day_s + max(t, 0.0)
        return second // _QUARTER_S * _QUARTER_S % 86400


def block_shares(lengths_m: F64, rng: np.random.Generator) -> tuple[F64, F64]:
    """(first block of each line, speed share of every block): some streets are always slower."""
    counts = (lengths_m // BLOCK_M).astype(np.int64) + 1
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    return first, np.clip(rng.normal(0.92, 0.16, int(counts.sum())), 0.45, 1.15)


def _at(by_hour: tuple[float, ...], second_of_day: float) -> float:
    hour, rest = divmod(second_of_day / 3600, 1)
    before, after = by_hour[int(hour) % 24], by_hour[(int(hour) + 1) % 24]
    return before + (after - before) * rest
