"""The time-distance diagram of a line: when each run was at each stop, and how late."""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from analysis.transit.passages import LinePassages


class RunWay(Struct, frozen=True, kw_only=True):
    """One trip performed, stop by stop in driving order; the columns are of one length."""

    route: str
    direction: int
    vehicle_id: str
    trip: str | None  # as the vehicle names it
    first_ms: int  # departure from the first stop that was seen
    last_ms: int  # arrival at the last one
    stops: tuple[int, ...]  # places in the line, from 0
    arrivals_s: tuple[float, ...]  # after `first_ms`; at the first stop it may be before
    departures_s: tuple[float, ...]
    late_s: tuple[float | None, ...]  # negative: early; None: no schedule is known
    estimated: int  # of its stops


def run_ways(passages: LinePassages) -> list[RunWay]:
    """The runs of a line that were seen at two stops at least, in the order of their departure."""
    if not len(passages):
        return []
    starts = np.flatnonzero(np.concatenate([[True], np.diff(passages.run) != 0]))
    found = []
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(passages)], strict=True):
        if end - start < 2:
            continue
        rows = slice(start, end)
        run = passages.runs[int(passages.run[start])]
        first_ms = int(passages.departure_ms[start])
        found.append(
            RunWay(
                route=passages.line.route,
                direction=passages.line.direction,
                vehicle_id=run.vehicle_id,
                trip=run.trip,
                first_ms=first_ms,
                last_ms=int(passages.arrival_ms[end - 1]),
                stops=tuple(passages.stop[rows].tolist()),
                arrivals_s=tuple(((passages.arrival_ms[rows] - first_ms) / 1000).tolist()),
                departures_s=tuple(((passages.departure_ms[rows] - first_ms) / 1000).tolist()),
                late_s=tuple(
                    -ahead if known else None
                    for ahead, known in zip(
                        passages.deviation_s[rows].tolist(),
                        np.isfinite(passages.deviation_s[rows]).tolist(),
                        strict=True,
                    )
                ),
                estimated=int(passages.estimated[rows].sum()),
            )
        )
    return sorted(found, key=lambda one: (one.first_ms, one.vehicle_id))
