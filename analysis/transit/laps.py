"""Where one way along a line ends and the next begins: on loops, and where a vehicle was silent on its way."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from analysis.geometry import distance_m
from analysis.transit.columns import F64, I64
from city.routes import Line

if TYPE_CHECKING:
    from analysis.transit.passages import LinePassages

# A line that ends so near to where it begins is a loop.
CLOSED_M = 150.0
# Silent for longer, a vehicle that is heard again farther on is on another trip.
SAME_LAP_MS = 3_600_000


class Ways(Struct, frozen=True, eq=False):
    """Fixes along a line, in order, and which way along it each belongs to."""

    rows: I64  # of the fixes
    along_m: F64
    measured_ms: I64
    way: I64


def loops_cut(line: Line, drawn_m: float, ways: Ways, gap_s: float) -> Ways:
    """The same, cut where a vehicle on a loop begins its next lap: back by most of the line at once is no turn.

    There it was at the end of one lap and at the beginning of the next, between two fixes: both are put in, unless
    the fixes are farther apart than `gap_s`.
    """
    if distance_m(*line.points[0], *line.points[-1]) > CLOSED_M or not len(ways.rows):
        return ways
    same = np.concatenate([[False], np.diff(ways.way) == 0])
    wraps = np.flatnonzero(same & (np.diff(ways.along_m, prepend=ways.along_m[:1]) < -drawn_m / 2))
    new = ~same
    new[wraps] = True
    way = np.cumsum(new)
    heard = wraps[ways.measured_ms[wraps] - ways.measured_ms[wraps - 1] <= gap_s * 1000]
    left_m, gone_m = np.maximum(drawn_m - ways.along_m[heard - 1], 0.0), np.maximum(ways.along_m[heard], 0.0)
    step_ms = ways.measured_ms[heard] - ways.measured_ms[heard - 1]
    share = left_m / np.maximum(left_m + gone_m, 0.001)
    closed_ms = ways.measured_ms[heard - 1] + np.rint(share * step_ms).astype(np.int64)
    both = np.repeat(heard, 2)
    ends = np.tile([True, False], len(heard))

    def put(column: I64, values: I64) -> I64:
        return np.insert(column, both, values)

    return Ways(
        put(ways.rows, np.where(ends, ways.rows[both - 1], ways.rows[both])),
        np.insert(ways.along_m, both, np.where(ends, drawn_m, 0.0)),
        put(ways.measured_ms, np.repeat(closed_ms, 2)),
        put(way, np.where(ends, way[both - 1], way[both])),
    )


def laps_of(passages: LinePassages) -> I64:
    """Of each run, the first run of its way along the line: itself, or that before a silence on the way."""
    found = np.arange(len(passages.runs))
    if not len(passages):
        return found
    starts = np.flatnonzero(np.concatenate([[True], np.diff(passages.run) != 0]))
    ends = np.concatenate([starts[1:], [len(passages)]]) - 1
    last_stop = len(passages.stops) - 1
    before: dict[str, tuple[int, int]] = {}  # vehicle → its run before, and the last stop of that
    for start, end in sorted(
        zip(starts.tolist(), ends.tolist(), strict=True), key=lambda at: _first_ms(passages, at[0])
    ):
        at = int(passages.run[start])
        run = passages.runs[at]
        if run.vehicle_id in before:
            of, stop = before[run.vehicle_id]
            earlier = passages.runs[of]
            goes_on = (
                stop < last_stop and stop <= passages.stop[start] and run.first_ms - earlier.last_ms <= SAME_LAP_MS
            )
            if goes_on and (run.trip is None or earlier.trip is None or run.trip == earlier.trip):
                found[at] = found[of]
        before[run.vehicle_id] = at, int(passages.stop[end])
    return found


def _first_ms(passages: LinePassages, row: int) -> int:
    return passages.runs[int(passages.run[row])].first_ms
