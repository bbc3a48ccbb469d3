"""Who gets on and off: the crowd at each stop, and what a bus takes of it.

The crowd grows with the time since the last bus left. A late bus thus finds more people,
stands longer and gets later still, while the one behind it runs empty and closes up: bunching
comes out of this by itself (Newell and Potts, 1964).
"""

from __future__ import annotations

import numpy as np

from sim.network import F64, TERMINAL, Network

# Boardings a vehicle and stop in the morning peak, for a bus of average headway.
PEAK_BOARDINGS = 10.5
# A passenger rides about nine stops; towards the terminal everybody gets off.
_ALIGHT_SHARE = 1 / 9
_ALIGHT_LATE_FROM = 0.85
_ALIGHT_LATE_SHARE = 0.3
# Nobody can be squeezed in beyond this multiple of the capacity.
CRUSH_LOAD = 1.45
_DWELL_OPEN_S = 6.0
_DWELL_MAX_S = 75.0
_SECONDS_PER_BOARDING = 1.1  # on all doors together
_SECONDS_PER_ALIGHTING = 0.6
# Those who waited longer than so many headways have walked or taken a taxi.
_PATIENCE_HEADWAYS = 3.0


class Crowds:
    """People waiting at every target of the network."""

    def __init__(self, network: Network, headway_s: F64, rng: np.random.Generator) -> None:
        """`headway_s`: expected seconds between two vehicles, by line."""
        self._rng = rng
        ends = np.flatnonzero(network.target_kind == TERMINAL)
        lines = np.searchsorted(ends, np.arange(len(network.target_m)))
        self._headway_s = headway_s[lines]
        popularity = rng.lognormal(-0.25, 0.7, len(network.target_m))
        # Vehicles share one demand: with a larger fleet each stop gives each bus as many as before.
        self._per_s = PEAK_BOARDINGS * popularity / self._headway_s
        self.left_s: F64 = -rng.uniform(0.0, 1.0, len(lines)) * self._headway_s  # when a bus left last
        self.left_behind: F64 = np.zeros(len(lines))

    def waiting(self, target: int, t: float, demand_share: float) -> int:
        """People at a stop at time `t`; they have to be told off by `board`."""
        gap_s = min(max(t - float(self.left_s[target]), 0.0), _PATIENCE_HEADWAYS * float(self._headway_s[target]))
        come = self._rng.poisson(float(self._per_s[target]) * demand_share * gap_s)
        return int(self.left_behind[target]) + int(come)

    def board(self, target: int, t: float, waiting: int, boarded: int) -> None:
        """A bus takes `boarded` of the `waiting` people at time `t`."""
        self.left_s[target] = t
        # Most of those whom a full bus leaves behind wait for the next one.
        self.left_behind[target] = int((waiting - boarded) * 0.7)


def alighting(onboard: int, way_share: float, rng: np.random.Generator) -> int:
    """How many of `onboard` get off at a stop at this share (0–1) of the way."""
    share = _ALIGHT_LATE_SHARE if way_share > _ALIGHT_LATE_FROM else _ALIGHT_SHARE * min(1.0, way_share / 0.1)
    return int(rng.binomial(onboard, share))


def room(onboard: int, capacity: int) -> int:
    """How many more people the bus can take at the utmost."""
    return max(0, int(capacity * CRUSH_LOAD) - onboard)


def dwell_s(boarded: int, alighted: int) -> float:
    """Seconds that the doors stay open."""
    busy = max(boarded * _SECONDS_PER_BOARDING, alighted * _SECONDS_PER_ALIGHTING)
    return min(_DWELL_OPEN_S + busy, _DWELL_MAX_S)


def usual_onboard(way_share: F64, capacity: F64, demand_share: float) -> F64:
    """Mean passengers on board by share of the way, to begin in mid-service."""
    profile = np.minimum(np.minimum(way_share / 0.25, (1 - way_share) / 0.15 + 0.2), 1.0)
    return 0.7 * capacity * demand_share * profile
