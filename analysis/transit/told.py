"""Arrivals and departures that vehicles tell themselves (HFP stop events).

Digitransit's High-frequency positioning: `arr` inside the stop's radius, `ars` at the stop, `dep` leaves the stop's
radius, `pas` passes without stopping; each names its stop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec.structs import replace

from analysis.transit.columns import UNSAID, Fixes

if TYPE_CHECKING:
    from analysis.transit.passages import LinePassages

ARRIVALS = ("ars", "pas", "arr")  # the better one first
DEPARTURES = ("dep", "pas")
# An event of a stop belongs to the run that was there within this time.
NEAR_MS = 600_000


def believe(passages: LinePassages, fixes: Fixes) -> LinePassages:
    """The passages with the times that vehicles told; the same where none did."""
    known = {kind: at for at, kind in enumerate(fixes.kind.words) if kind in {*ARRIVALS, *DEPARTURES}}
    if not known or not len(passages):
        return passages
    rows = np.flatnonzero(
        np.isin(fixes.kind.at, list(known.values()))
        & (fixes.stop.at != UNSAID)
        & ((fixes.direction == passages.line.direction) | (fixes.direction == 0))
    )
    if not len(rows):
        return passages
    events: dict[tuple[str, str], dict[str, list[int]]] = {}
    for row in rows.tolist():
        key = (fixes.vehicle[row] or "", fixes.stop[row] or "")
        of_kind = events.setdefault(key, {})
        of_kind.setdefault(fixes.kind[row] or "", []).append(int(fixes.measured_ms[row]))
    arrival_ms, departure_ms = passages.arrival_ms.copy(), passages.departure_ms.copy()
    estimated = passages.estimated.copy()
    for at in range(len(passages)):
        key = (passages.runs[passages.run[at]].vehicle_id, passages.stops[passages.stop[at]].stop_id)
        of_kind = events.get(key, {})
        came = _nearest(of_kind, ARRIVALS, int(arrival_ms[at]))
        left = _nearest(of_kind, DEPARTURES, int(departure_ms[at]))
        if came is not None:
            arrival_ms[at] = came
        if left is not None:
            departure_ms[at] = left
        if came is not None or left is not None:
            arrival_ms[at] = min(arrival_ms[at], departure_ms[at])
            estimated[at] = False
    return replace(passages, arrival_ms=arrival_ms, departure_ms=departure_ms, estimated=estimated)


def _nearest(events: dict[str, list[int]], kinds: tuple[str, ...], at_ms: int) -> int | None:
    for kind in kinds:
        near = [one for one in events.get(kind, ()) if abs(one - at_ms) <= NEAR_MS]
        if near:
            return min(near, key=lambda one: abs(one - at_ms))
    return None
