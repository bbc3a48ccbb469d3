"""Where fixes lie along a drawn line, in metres from its beginning.

A line that crosses itself, or goes back the street it came, has several places near one fix. All of them are
candidates; which one is meant the vehicle's way tells: the cheapest path through the candidates of one run (map
matching by a hidden Markov model: Newson and Krumm, "Hidden Markov map matching through noise and sparseness", 2009).
"""

from __future__ import annotations

import math

import numpy as np
import shapely
from msgspec import Struct

from analysis.geometry import METRES_PER_DEGREE, plane
from analysis.transit.columns import F64, I64
from city.routes import Line

CELL_M = 40.0
# A satellite fix is off by more; a third of the drawn points is left.
SIMPLE_M = 1.0
# Places along the line that are nearer to each other are one: the nearest to the fix counts.
APART_M = 100.0
# Fixes at once: keeps a route's work within some 200 MB.
CHUNK = 200_000
# How far satellite fixes in streets are off (standard deviation), and what no bus does.
SIGMA_M, SPEED_MAX_MPS, JITTER_M = 15.0, 25.0, 50.0
# Metres beyond what a bus can do, or back along the line, that weigh as much as a fix off by SIGMA_M.
LEAP_M, BACK_M = 20.0, 50.0
# A stop that is drawn farther from its own metres is at another passage of a line that crosses itself.
STOP_OFF_M = 300.0


class Grid(Struct, frozen=True, eq=False):
    """A line's pieces by cell."""

    lat: float  # of the plane's middle
    lon: float
    x: F64  # pieces: beginnings, ways, and where they begin along the line
    y: F64
    dx: F64
    dy: F64
    along_m: F64
    length_m: F64
    west: float
    south: float
    columns: int
    rows: int
    cells: I64  # those that pieces are near, sorted: a long line is near few of its bounding box
    first: I64  # place among `cells` → its first entry in `piece`
    piece: I64
    off_line_m: float

    @property
    def drawn_m(self) -> float:
        """Metres of the drawn line."""
        return float(self.along_m[-1] + self.length_m[-1])

    def project(self, lat: F64, lon: F64) -> Candidates:
        """All places along the line within `off_line_m` of each fix."""
        flat = plane(self.lat, self.lon)
        x, y = (lon - self.lon) * flat.metres_per_lon, (lat - self.lat) * METRES_PER_DEGREE
        parts = [self._chunk(x[at : at + CHUNK], y[at : at + CHUNK]) for at in range(0, len(x), CHUNK)]
        if not parts:
            return Candidates(np.zeros(1, np.int64), np.zeros(0), np.zeros(0))
        counts = np.concatenate([part[0] for part in parts])
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Candidates(first, np.concatenate([p[1] for p in parts]), np.concatenate([p[2] for p in parts]))

    def _chunk(self, x: F64, y: F64) -> tuple[I64, F64, F64]:
        column = np.floor((x - self.west) / CELL_M)
        row = np.floor((y - self.south) / CELL_M)
        inside = (column >= 0) & (column < self.columns) & (row >= 0) & (row < self.rows)
        wanted = np.where(inside, row * self.columns + column, -1).astype(np.int64)
        cell = np.minimum(np.searchsorted(self.cells, wanted), len(self.cells) - 1)
        count = np.where(self.cells[cell] == wanted, self.first[cell + 1] - self.first[cell], 0)
        fix = np.repeat(np.arange(len(x)), count)
        if not len(fix):
            return np.zeros(len(x), np.int64), np.zeros(0), np.zeros(0)
        before = np.cumsum(count) - count
        piece = self.piece[np.arange(len(fix)) - np.repeat(before - self.first[cell], count)]
        px, py = x[fix] - self.x[piece], y[fix] - self.y[piece]
        dx, dy, length_m = self.dx[piece], self.dy[piece], self.length_m[piece]
        share = np.clip((px * dx + py * dy) / (length_m * length_m), 0.0, 1.0)
        off_m = np.hypot(px - share * dx, py - share * dy)
        along_m = self.along_m[piece] + share * length_m
        near = off_m <= self.off_line_m
        fix, off_m, along_m = fix[near], off_m[near], along_m[near]
        # Pieces of a cell are in driving order: a place far from the one before it is another candidate.
        new = np.ones(len(fix), bool)
        new[1:] = (np.diff(fix) > 0) | (np.diff(along_m) > APART_M)
        group = np.cumsum(new) - 1
        best = np.lexsort((off_m, group))
        best = best[np.concatenate([[True], np.diff(group[best]) > 0])] if len(best) else best
        return np.bincount(fix[best], minlength=len(x)).astype(np.int64), along_m[best], off_m[best]


class Candidates(Struct, frozen=True, eq=False):
    """Places along the line of each fix: those from `first[i]` to `first[i + 1]`."""

    first: I64
    along_m: F64
    off_m: F64


def grid(line: Line, off_line_m: float) -> Grid:
    """The line made ready; its metres are those of the drawn line."""
    lats, lons = [lat for lat, _ in line.points], [lon for _, lon in line.points]
    flat = plane((min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2)
    way = shapely.LineString([flat.at(lat, lon) for lat, lon in line.points])
    corners = np.asarray(way.simplify(SIMPLE_M).coords)
    # The simplified line is a little shorter; its corners keep their metres of the drawn one.
    at_m = _metres(np.asarray(way.coords), corners)
    keep = np.concatenate([[True], np.diff(at_m) > 0])
    corners, at_m = corners[keep], at_m[keep]
    steps = np.diff(corners, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    known, first, piece, west, south, columns, rows = _cells(corners, steps, lengths, off_line_m)
    return Grid(
        lat=flat.lat, lon=flat.lon, x=corners[:-1, 0], y=corners[:-1, 1], dx=steps[:, 0], dy=steps[:, 1],
        along_m=at_m[:-1], length_m=lengths, west=west, south=south, columns=columns, rows=rows, cells=known,
        first=first, piece=piece, off_line_m=off_line_m,
    )  # fmt: skip


def stops_along_m(line: Line, made: Grid) -> F64:
    """Where each stop of the line lies along it as it is drawn.

    The metres of the stops' file may be of another measure: the place on the drawn line nearest to them counts, and
    they themselves only for a stop that lies off the line, or out of order.
    """
    drawn_m = made.drawn_m
    said_m = np.array([stop.along_m for stop in line.stops]) * (drawn_m / line.length_m if line.length_m else 1.0)
    if not len(said_m):
        return said_m
    places = made.project(np.array([stop.lat for stop in line.stops]), np.array([stop.lon for stop in line.stops]))
    along_m = said_m.copy()
    for at in range(len(said_m)):
        found = places.along_m[places.first[at] : places.first[at + 1]]
        if len(found):
            nearest = found[np.argmin(np.abs(found - said_m[at]))]
            if abs(nearest - said_m[at]) <= STOP_OFF_M:
                along_m[at] = nearest
    return along_m if (np.diff(along_m) >= 0).all() else said_m


def _metres(drawn: F64, corners: F64) -> F64:
    """Metres along the drawn line of those of its points that were kept."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(drawn, axis=0).T))])
    found, at = [], 0
    for corner in corners:
        while not (drawn[at] == corner).all():
            at += 1
        found.append(along[at])
    return np.asarray(found)


def _cells(corners: F64, steps: F64, lengths: F64, off_line_m: float) -> tuple[I64, I64, I64, float, float, int, int]:
    """Cells near a piece, and which pieces may be near a point of each of them, in driving order."""
    reach_m = off_line_m + CELL_M
    west, south = corners.min(axis=0) - reach_m
    east, north = corners.max(axis=0) + reach_m
    columns, rows = math.ceil((east - west) / CELL_M) + 1, math.ceil((north - south) / CELL_M) + 1
    pieces, cells = [], []
    around = math.ceil(reach_m / CELL_M)
    stamp = np.stack(np.meshgrid(np.arange(-around, around + 1), np.arange(-around, around + 1)), -1).reshape(-1, 2)
    for at in range(len(steps)):
        dots = np.linspace(0.0, 1.0, math.ceil(lengths[at] / (CELL_M / 2)) + 1)[:, None]
        here = np.floor((corners[at] + dots * steps[at] - (west, south)) / CELL_M)
        near = np.unique((here[:, None, :] + stamp).reshape(-1, 2), axis=0)
        near = near[(near >= 0).all(axis=1) & (near[:, 0] < columns) & (near[:, 1] < rows)]
        middle = (near + 0.5) * CELL_M + (west, south) - corners[at]
        share = np.clip((middle @ steps[at]) / max(lengths[at] ** 2, 1e-9), 0.0, 1.0)
        off_m = np.hypot(*(middle - share[:, None] * steps[at]).T)
        near = near[off_m <= off_line_m + CELL_M * math.sqrt(0.5)]
        cells.append((near[:, 1] * columns + near[:, 0]).astype(np.int64))
        pieces.append(np.full(len(near), at, np.int64))
    cell, piece = np.concatenate(cells), np.concatenate(pieces)
    order = np.lexsort((piece, cell))
    known, begins = np.unique(cell[order], return_index=True)
    first = np.append(begins, len(cell)).astype(np.int64)
    return known, first, piece[order], float(west), float(south), columns, rows


def along_of(candidates: Candidates, measured_ms: I64, run: I64) -> F64:
    """Metres along the line of each fix, NaN for those off it; `run` tells whose way a fix belongs to."""
    first = candidates.first
    count = np.diff(first)
    along_m = np.full(len(count), np.nan)
    one = count == 1
    along_m[one] = candidates.along_m[first[:-1][one]]
    many = np.flatnonzero(count > 1)
    if not len(many):
        return along_m
    on_line = np.flatnonzero(count > 0)
    place = np.searchsorted(on_line, many)
    # Stretches of ambiguous fixes of one run, each with the plain fix before and after it.
    new = np.ones(len(many), bool)
    new[1:] = (np.diff(place) > 1) | (np.diff(run[many]) != 0)
    starts = np.flatnonzero(new)
    for start, end in zip(starts, [*starts[1:], len(many)], strict=True):
        head, tail = place[start], place[end - 1]
        if head > 0 and run[on_line[head - 1]] == run[many[start]]:
            head -= 1
        if tail + 1 < len(on_line) and run[on_line[tail + 1]] == run[many[start]]:
            tail += 1
        fixes = on_line[head : tail + 1]
        along_m[fixes] = _cheapest(candidates, fixes, measured_ms)
    return along_m


def _cheapest(candidates: Candidates, fixes: I64, measured_ms: I64) -> list[float]:
    """The candidates of a stretch that cost least together (Viterbi)."""
    first = candidates.first
    at = [(int(first[fix]), int(first[fix + 1])) for fix in fixes]
    low = at[0][0]
    along = candidates.along_m[low : at[-1][1]].tolist()
    off = candidates.off_m[low : at[-1][1]].tolist()
    times = measured_ms[fixes].tolist()
    costs = [(off[one - low] / SIGMA_M) ** 2 for one in range(*at[0])]
    back: list[list[int]] = []
    for step in range(1, len(at)):
        free_m = SPEED_MAX_MPS * (times[step] - times[step - 1]) / 1000 + JITTER_M
        before, begin = along[at[step - 1][0] - low : at[step - 1][1] - low], at[step][0] - low
        next_costs, chosen = [], []
        for one in range(begin, at[step][1] - low):
            best, best_at = math.inf, 0
            for index, cost in enumerate(costs):
                moved_m = along[one] - before[index]
                leap_m = abs(moved_m) - free_m
                total = cost + (leap_m / LEAP_M if leap_m > 0 else 0.0) + (-moved_m / BACK_M if moved_m < 0 else 0.0)
                if total < best:
                    best, best_at = total, index
            next_costs.append(best + (off[one] / SIGMA_M) ** 2)
            chosen.append(best_at)
        back.append(chosen)
        costs = next_costs
    pick = costs.index(min(costs))
    found = []
    for step in range(len(at) - 1, -1, -1):
        found.append(along[at[step][0] - low + pick])
        if step:
            pick = back[step - 1][pick]
    return found[::-1]
