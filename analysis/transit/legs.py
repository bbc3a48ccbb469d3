"""Where a vehicle drove along a line in its direction: legs between terminals, turns and pauses."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from analysis.transit.columns import F64, I64, Flags

# A single fix that far off its neighbours' way, there and back faster than any bus, is a reflection.
SPIKE_MPS = 35.0


class Leg(Struct, frozen=True):
    """Rows `first` to `last` (inclusive), driven one way."""

    first: int
    last: int


def not_spikes(along_m: F64, measured_ms: I64, run: I64) -> Flags:
    """Fixes that are no single leap along the line and back."""
    kept = np.ones(len(along_m), bool)
    if len(along_m) < 3:
        return kept
    step_m, step_s = np.diff(along_m), np.maximum(np.diff(measured_ms) / 1000, 0.001)
    speed = step_m / step_s
    same = np.diff(run) == 0
    leap = (np.abs(speed) > SPIKE_MPS) & same
    kept[1:-1] = ~(leap[:-1] & leap[1:] & (np.sign(speed[:-1]) != np.sign(speed[1:])))
    return kept


def legs(along_m: F64, run: I64, turn_m: float, least_m: float) -> tuple[list[Leg], list[Leg]]:
    """The legs of all runs in which the vehicle goes forward by `least_m` at least; and those of going back as far.

    A run turns where it has gone back by more than `turn_m` from the farthest point: less is the jitter of fixes.
    """
    if not len(along_m):
        return [], []
    starts = np.flatnonzero(np.concatenate([[True], np.diff(run) != 0]))
    ends = np.concatenate([starts[1:], [len(run)]]) - 1
    # All runs at once: each is lifted above the one before it.
    lift_m = np.cumsum(np.concatenate([[True], np.diff(run) != 0])) * (float(np.ptp(along_m)) + 1e6)
    lifted_m = along_m + lift_m
    back_m = np.maximum.reduceat(np.maximum.accumulate(lifted_m) - lifted_m, starts)
    forward: list[Leg] = []
    against: list[Leg] = []
    for first, last, most_back_m in zip(starts.tolist(), ends.tolist(), back_m.tolist(), strict=True):
        if most_back_m <= turn_m:
            if along_m[last] - along_m[first] >= least_m:
                forward.append(Leg(first, last))
            continue
        for begin, end, rises in _zigzag(along_m[first : last + 1].tolist(), turn_m):
            if abs(along_m[first + end] - along_m[first + begin]) < least_m:
                continue
            (forward if rises else against).append(Leg(first + begin, first + end))
    return forward, against


def _zigzag(along_m: list[float], turn_m: float) -> list[tuple[int, int, bool]]:
    """(first, last, whether it rises) of the stretches between turns of more than `turn_m`."""
    found: list[tuple[int, int, bool]] = []
    low = high = begin = 0
    rises: bool | None = None
    for at, here_m in enumerate(along_m):
        if rises is not False and here_m >= along_m[high]:
            high = at
        if rises is not True and here_m <= along_m[low]:
            low = at
        if rises is not False and along_m[high] - here_m > turn_m:
            if rises or high > low:
                found.append((begin if rises else low, high, True))
            begin, low, rises = high, at, False
        elif rises is not True and here_m - along_m[low] > turn_m:
            if rises is False or low > high:
                found.append((begin if rises is False else high, low, False))
            begin, high, rises = low, at, True
    if rises is not None:
        found.append((begin, high if rises else low, rises))
    return found
