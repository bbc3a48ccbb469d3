"""From where to where people ride along a line: an estimate from who got on and off at each stop.

Counts give the margins only. The table between them is fitted to the margins from a seed by iterative proportional
fitting (Deming and Stephan 1940; Furness, "Time function iteration", 1965; for bus routes Ben-Akiva, Macke and Hsu,
"Alternative methods to estimate route-level trip tables and expand on-board surveys", 1985). The seed says that nobody
rides back and few ride a way that is soon walked: 1 − exp(−d / 800 m). (A seed that decays exponentially with distance
would change nothing: on a line it falls into the balancing factors.)

It is an estimate: many tables have the same margins. What is told with it: how far the fitted table misses its margins,
how much more got on than off before balancing, for each pair the 5–95 % interval of a bootstrap over runs, which
holds the chance of which runs were counted, and how many passengers another seed, equal for all pairs, puts on other
pairs. Runs on which more got off than can have been aboard are left out and counted.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from msgspec import Struct

from analysis.transit.columns import F64
from analysis.transit.counts import Counted

Refusal = Literal["coverage", "runs", "imbalance", "stops", "passengers", "residual"]

METHOD = "iterative proportional fitting"
WALKED_M = 800.0
ITERATIONS, CLOSE = 500, 1e-9
BOOTSTRAPS = 200


class OdRules(Struct, frozen=True, kw_only=True):
    """What counts must be like for an estimate."""

    coverage_min: float = 0.5  # share of the passages that have counts
    runs_min: int = 10  # counted whole, from end to end
    stop_share_min: float = 0.8  # of a run's stops with a count for it to be whole
    imbalance_max: float = 0.2  # (on - off) / on, over all whole runs
    over_max: float = 0.1  # more off than on up to a stop, as a share of the run's on, is a run that cannot be
    over_passengers: float = 2.0  # or so many: a counter misses one now and then
    residual_max: float = 0.05  # no table comes nearer to margins that contradict each other


class OdPair(Struct, frozen=True, kw_only=True):
    """Passengers from one stop to another, over the runs that were counted whole."""

    from_place: int  # in the line, from 0
    to_place: int
    from_stop: str
    to_stop: str
    passengers: float
    low: float
    high: float


class OdEstimate(Struct, frozen=True, kw_only=True):
    """An estimate, with what is known of its error."""

    route: str
    direction: int
    method: str = METHOD
    runs: int
    coverage: float
    passengers: float  # that got on, on the runs counted whole
    imbalance: float
    residual: float  # largest difference of a margin, as a share of all passengers
    impossible: int  # runs left out: more got off than were aboard
    seed_share: float  # of the passengers that a seed without distances puts on other pairs
    mean_trip_m: float
    pairs: tuple[OdPair, ...]


class OdRefused(Struct, frozen=True, kw_only=True):
    """Why there is no estimate."""

    route: str
    direction: int
    reason: Refusal
    value: float
    needed: float


def estimate(one: Counted, rules: OdRules | None = None, *, seed: int = 1) -> OdEstimate | OdRefused:
    """The origin–destination table of a line, or why its counts do not allow one. The same seed, the same interval."""
    rules = rules or OdRules()
    passages = one.passages
    line, stops = passages.line, passages.stops

    def refuse(reason: Refusal, value: float, needed: float) -> OdRefused:
        return OdRefused(route=line.route, direction=line.direction, reason=reason, value=value, needed=needed)

    if len(stops) < 3:
        return refuse("stops", len(stops), 3)
    if one.coverage < rules.coverage_min:
        return refuse("coverage", one.coverage, rules.coverage_min)
    boarded, alighted, impossible = _whole_runs(one, rules)
    if len(boarded) < rules.runs_min:
        return refuse("runs", len(boarded), rules.runs_min)
    on, off = float(boarded.sum()), float(alighted.sum())
    if on <= 0 or off <= 0:
        return refuse("passengers", on, 1)
    imbalance = (on - off) / on
    if abs(imbalance) > rules.imbalance_max:
        return refuse("imbalance", imbalance, rules.imbalance_max)
    along_m = np.array([stop.along_m for stop in stops])
    prior = seed_of(along_m)
    rows, columns = _margins(boarded.sum(axis=0), alighted.sum(axis=0))
    table = fit(prior, rows, columns)
    whole = float(table.sum())
    missed = max(np.abs(table.sum(axis=1) - rows).max(), np.abs(table.sum(axis=0) - columns).max())
    residual = float(missed) / float(rows.sum())
    if residual > rules.residual_max:
        return refuse("residual", residual, rules.residual_max)
    other = fit(np.where(prior > 0, 1.0, 0.0), rows, columns)
    chance = np.random.default_rng(seed)
    drawn = chance.integers(0, len(boarded), (BOOTSTRAPS, len(boarded)))
    low, high = np.percentile(
        fit(prior, *_margins(boarded[drawn].sum(axis=1), alighted[drawn].sum(axis=1))), (5, 95), axis=0
    )
    ways_m = along_m[None, :] - along_m[:, None]
    return OdEstimate(
        route=line.route,
        direction=line.direction,
        runs=len(boarded),
        coverage=one.coverage,
        passengers=on,
        imbalance=imbalance,
        residual=residual,
        impossible=impossible,
        seed_share=float(np.abs(table - other).sum()) / (2 * whole) if whole else 0.0,
        mean_trip_m=float((table * ways_m).sum() / whole) if whole else 0.0,
        pairs=tuple(
            OdPair(
                from_place=i,
                to_place=j,
                from_stop=stops[i].stop_id,
                to_stop=stops[j].stop_id,
                passengers=float(table[i, j]),
                low=float(low[i, j]),
                high=float(high[i, j]),
            )
            for i in range(len(stops))
            for j in range(i + 1, len(stops))
            if table[i, j] > 0
        ),
    )


def seed_of(along_m: F64) -> F64:
    """The seed: nothing back or to the same stop, little to the next ones."""
    way_m = along_m[None, :] - along_m[:, None]
    return np.where(np.triu(np.ones_like(way_m), 1) > 0, 1 - np.exp(-np.maximum(way_m, 1.0) / WALKED_M), 0.0)


def fit(seed: F64, rows: F64, columns: F64) -> F64:
    """The table nearest to the seed (least information) with these sums of rows and columns; many at once."""
    table = np.broadcast_to(seed, (*rows.shape[:-1], *seed.shape)).copy()
    for _ in range(ITERATIONS):
        sums = table.sum(axis=-1)
        table *= np.divide(rows, sums, out=np.zeros_like(rows), where=sums > 0)[..., :, None]
        sums = table.sum(axis=-2)
        table *= np.divide(columns, sums, out=np.zeros_like(columns), where=sums > 0)[..., None, :]
        missed = np.abs(table.sum(axis=-1) - rows).max(axis=-1)
        if (missed <= CLOSE * np.maximum(rows.sum(axis=-1), 1.0)).all():
            break
    return table


def _margins(boarded: F64, alighted: F64) -> tuple[F64, F64]:
    """On and off by stop with one total, that of who got on: nobody stays on board.

    Nobody can get off at the first or on at the last stop: such counts are errors.
    """
    rows, columns = boarded.copy(), alighted.copy()
    rows[..., -1] = 0.0
    columns[..., 0] = 0.0
    scale = np.divide(
        rows.sum(axis=-1), columns.sum(axis=-1), out=np.zeros_like(rows[..., 0]), where=columns.sum(axis=-1) > 0
    )
    return rows, columns * scale[..., None]


def _whole_runs(one: Counted, rules: OdRules) -> tuple[F64, F64, int]:
    """On and off as runs × stops, of the runs that were counted from end to end; and how many of those cannot be."""
    passages = one.passages
    shape = (len(passages.runs), len(passages.stops))
    boarded, alighted = np.full(shape, np.nan), np.full(shape, np.nan)
    boarded[passages.run, passages.stop] = one.boarded
    alighted[passages.run, passages.stop] = one.alighted
    seen = np.isfinite(boarded)
    whole = (seen.mean(axis=1) >= rules.stop_share_min) & seen[:, 0] & seen[:, -1]
    on, off = np.nan_to_num(boarded[whole]), np.nan_to_num(alighted[whole])
    over = (np.cumsum(off, axis=1) - np.cumsum(on, axis=1)).max(axis=1, initial=0.0)
    possible = over <= np.maximum(rules.over_passengers, rules.over_max * on.sum(axis=1))
    return on[possible], off[possible], int((~possible).sum())
