"""Rows that belong together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from analysis.transit.columns import F64, I64


def groups(*keys: I64) -> Iterator[tuple[tuple[int, ...], I64]]:
    """Each combination of keys that occurs, in order, with its rows."""
    if not len(keys[0]):
        return
    order = np.lexsort(keys[::-1])
    ordered = np.stack([key[order] for key in keys])
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(ordered, axis=1) != 0).any(axis=0)]))
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield tuple(int(key) for key in ordered[:, start]), order[start:end]


def percentile(values: F64, share_pct: float) -> float:
    """A percentile, linear between the values around it (Hyndman and Fan, type 7)."""
    return float(np.percentile(values, share_pct))
