"""Mahallas and their neighbours: the local statistics that hot spots are looked for with."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence

import numpy as np
import shapely
from esda.getisord import G_Local
from libpysal.weights import KNN, W
from libpysal.weights.contiguity import Queen
from libpysal.weights.util import fill_diagonal
from msgspec import Struct

from analysis.incidence import binomial_more
from analysis.rises import Floats
from city.areas import Area

_NEAREST = 3
_PERMUTATIONS = 999


class Mesh(Struct, frozen=True, kw_only=True, eq=False):
    """The mahallas with a polygon and who is whose neighbour."""

    codes: tuple[str, ...]
    weights: W  # binary, without themselves
    near: Floats  # n × n, 1 for a mahalla itself and its neighbours


def mesh(mahallas: Sequence[Area]) -> Mesh:
    """Neighbours by a common border or corner (queen contiguity).

    Polygons that touch no other one have their three nearest as neighbours, by the middle, and are theirs.
    """
    polygons = [area.polygon for area in mahallas]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about islands: they are joined below
        queen = Queen.from_iterable(polygons, silence_warnings=True)
        neighbours = {at: set(queen.neighbors[at]) for at in range(len(polygons))}
        if queen.islands:
            middles = shapely.get_coordinates(shapely.centroid(polygons))
            nearest = KNN.from_array(middles, k=min(_NEAREST, len(polygons) - 1))
            for at in queen.islands:
                for other in nearest.neighbors[at]:
                    neighbours[at].add(other)
                    neighbours[other].add(at)
        weights = W({at: sorted(found) for at, found in neighbours.items()}, silence_warnings=True)
    near = np.eye(len(polygons))
    for at, found in neighbours.items():
        near[at, list(found)] = 1.0
    return Mesh(codes=tuple(area.code for area in mahallas), weights=weights, near=near)


def gi_star(values: Floats, near: Floats) -> Floats:
    """Gi* as a z-score for each row of `values` (slices × mahallas).

    0 where all values are alike, and of a mahalla that touches all others: its neighbourhood is the city.
    """
    n = values.shape[1]
    members = near.sum(axis=1)  # so many are summed up, with the mahalla itself
    mean = values.mean(axis=1, keepdims=True)
    variance = ((values - mean) ** 2).mean(axis=1, keepdims=True)
    flat = variance <= 1e-12 * np.maximum(mean**2, 1e-300)
    whole = members >= n
    sd = np.sqrt(np.where(flat, 1.0, variance) * members * np.where(whole, 1.0, n - members) / max(n - 1, 1))
    found: Floats = np.where(flat | whole, 0.0, (values @ near - members * mean) / sd)
    return found


def constant_risk(counts: Floats, exposure: Floats, near: Floats, dispersion: Floats | float = 1.0) -> Floats:
    """One-sided p of each neighbourhood's sum for being so high (slices × mahallas), if risk were the same everywhere.

    With the unit matrix for `near`: of each mahalla alone. `dispersion`: of the counts, one for all or for each slice.
    """
    total = counts.sum(axis=1, keepdims=True)
    share = exposure @ near / exposure.sum(axis=1, keepdims=True)
    by = np.reshape(dispersion, (-1, 1))
    return binomial_more(counts @ near, total, np.minimum(share, 1.0), by)


def smoothed_rates(counts: Floats, exposure: Floats) -> Floats:
    """Counts over exposure, drawn towards the row's mean the more the smaller the exposure is.

    Empirical Bayes of Marshall (1991), Applied Statistics 40: a mahalla with a bus an hour is no hot spot by one alarm.
    """
    safe = np.maximum(exposure, 1e-9)
    total = exposure.sum(axis=1, keepdims=True)
    mean = counts.sum(axis=1, keepdims=True) / np.maximum(total, 1e-9)
    raw = counts / safe
    between = (exposure * (raw - mean) ** 2).sum(axis=1, keepdims=True) / np.maximum(total, 1e-9)
    between = np.maximum(between - mean / np.maximum(exposure.mean(axis=1, keepdims=True), 1e-9), 0.0)
    weight = between / np.maximum(between + mean / safe, 1e-300)
    found: Floats = np.where(exposure > 0, mean + weight * (raw - mean), mean)
    return found


def permuted(values: Floats, mesh: Mesh, seed: int) -> tuple[Floats, Floats]:
    """Gi* of each mahalla and its pseudo p against random permutations of the others, by esda."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # a changed default of a later version; parts of a city that do not touch
        # Weights of its own: the permutations take the diagonal out of those that they are given.
        weights = fill_diagonal(mesh.weights, 1)
        found = G_Local(values, weights, transform="B", star=True, permutations=_PERMUTATIONS, n_jobs=1, seed=seed)
    z = np.nan_to_num(np.asarray(found.Zs, dtype=np.float64))  # of a mahalla that touches all others there is none
    return z, np.asarray(found.p_sim, dtype=np.float64)


def groups(cells: Collection[tuple[int, int]], mesh: Mesh) -> list[list[tuple[int, int]]]:
    """Cells (slice, mahalla) that hang together: neighbours in one slice, and all slices of one mahalla."""
    left, groups = set(cells), []
    for start in sorted(cells):
        if start not in left:
            continue
        left.discard(start)
        group = [start]
        for slot, area in group:
            near = [
                (other, where) for other, where in left if where == area or (other == slot and mesh.near[area, where])
            ]
            left.difference_update(near)
            group += near
        groups.append(group)
    return groups
