"""Passenger counts put to the stops where people got on and off, and loads along a line.

A counter tells what happened since its last message: the count belongs to the last stop that the vehicle came to.
Who gets off at a line's first stop had come with the trip before, who gets on at its last stop goes with the next.
Counters that never tell a zero speak only where somebody gets on or off: their silence on a counted run is one.
What a counter calls defect itself (ITxPT) is left out, and so is a number on board that Markaz has summed up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo

import numpy as np
import pyarrow as pa
from msgspec import Struct

from analysis.transit.clock import hours
from analysis.transit.columns import F64, I64, UNSAID, Flags, Words, flags, integers, numbers, words
from analysis.transit.groups import groups, percentile
from analysis.transit.passages import LinePassages

# Doors open, and counters speak, a little before the vehicle has come to rest by its fixes.
EARLY_MS = 15_000
# A count that names its stop belongs to the visit of it within this time.
NEAR_MS = 600_000
# After a run's last stop: what comes later belongs to no visit that was seen.
AFTER_MS = 900_000
# A counter's number on board is believed where so many of a run's stops have it; else on and off are summed up.
ONBOARD_SHARE_MIN = 0.8
# So many messages without a zero: the counter does not tell them.
SPOKEN_MIN = 20
# A run is counted where so many of its stops have a count.
STOPS_MIN = 2
DEFECT = "defect"


class Counts(Struct, frozen=True, kw_only=True, eq=False):
    """Archived passenger counts; NaN where a message does not say."""

    vehicle: Words
    measured_ms: I64
    boarded: F64
    alighted: F64
    onboard: F64
    stop: Words


class Counted(Struct, frozen=True, kw_only=True, eq=False):
    """A line's passages with their counts; NaN for a passage without."""

    passages: LinePassages
    boarded: F64
    alighted: F64
    load: F64  # on leaving
    assumed: int = 0  # passages whose zero nobody told
    clamped: int = 0  # passages with a load below nobody, taken as nobody

    @property
    def coverage(self) -> float:
        """Share of the passages that have a count."""
        return float(np.mean(np.isfinite(self.boarded))) if len(self.boarded) else 0.0


class StopLoad(Struct, frozen=True, kw_only=True):
    """A line's stop, in one hour of the day or in all: means a passage, of those that have counts."""

    route: str
    direction: int
    place: int  # in the line, from 0
    stop_id: str
    stop_name: str
    along_m: float
    hour: int | None = None
    passages: int
    counted: int
    loaded: int  # with a known load
    boarded_mean: float | None = None  # None: not counted, as the next
    alighted_mean: float | None = None
    boarded: float | None = None  # in all
    alighted: float | None = None
    load_mean: float | None = None  # None: of no passage is the load known
    load_p90: float | None = None
    load_max: float | None = None


class AreaBoardings(Struct, frozen=True, kw_only=True):
    """Who got on and off in an area, of the passages that have counts."""

    area: str | None  # code; None: in no polygon
    stops: int
    counted: int
    boarded: float
    alighted: float


def counts_of(table: pa.Table) -> Counts:
    """The counts of a table with the columns of `city.events.PassengerCount`."""
    quality = words(table, "quality")
    bad = quality.words.index(DEFECT) if DEFECT in quality.words else None
    rows = np.flatnonzero(quality.at != bad) if bad is not None else np.arange(len(table))
    vehicle, stop = words(table, "vehicle_id"), words(table, "stop")
    return Counts(
        vehicle=Words(vehicle.words, vehicle.at[rows]),
        measured_ms=integers(table, "measured_ms")[rows],
        boarded=numbers(table, "boarded")[rows],
        alighted=numbers(table, "alighted")[rows],
        onboard=np.where(flags(table, "estimated"), np.nan, numbers(table, "onboard"))[rows],
        stop=Words(stop.words, stop.at[rows]),
    )


def counted(counts: Counts, lines: Sequence[LinePassages]) -> list[Counted]:
    """The passages of all lines of a route with their counts: give both directions together, vehicles change over."""
    sizes = [len(one) for one in lines]
    if not sum(sizes):
        return [_none(one) for one in lines]
    vehicle, arrival_ms, order, rank, row = _visits(counts, lines)
    begins = np.concatenate([one.begins for one in lines])
    finishes = np.concatenate([one.finishes for one in lines])
    boarded, alighted = np.zeros(len(order)), np.zeros(len(order))
    onboard = np.full(len(order), np.nan)
    has = row >= 0
    said = has & (np.isfinite(counts.boarded) | np.isfinite(counts.alighted))
    np.add.at(boarded, row[said], np.nan_to_num(counts.boarded[said]))
    np.add.at(alighted, row[said], np.nan_to_num(counts.alighted[said]))
    known = np.bincount(row[said], minlength=len(order)) > 0
    # The last word on a stop is the number that left it.
    later = np.flatnonzero(has & np.isfinite(counts.onboard))
    later = later[np.argsort(counts.measured_ms[later], kind="stable")]
    onboard[row[later]] = counts.onboard[later]
    _change_over(boarded, alighted, known, vehicle[order], arrival_ms[order], begins[order], finishes[order])
    boarded[~known] = alighted[~known] = np.nan
    quiet = np.isin(vehicle, _quiet(counts))
    found, begin = [], 0
    for one, size in zip(lines, sizes, strict=True):
        rows = rank[begin : begin + size]
        on, off = boarded[rows], alighted[rows]
        silent = _silent(one, on, quiet[begin : begin + size])
        on[silent] = off[silent] = 0.0
        begin += size
        load = _loads(one, on, off, onboard[rows])
        below = load < 0
        load[below] = 0.0
        found.append(
            Counted(
                passages=one, boarded=on, alighted=off, load=load, assumed=int(silent.sum()), clamped=int(below.sum())
            )
        )
    return found


def of_visits(counts: Counts, lines: Sequence[LinePassages]) -> Counts:
    """The counts that belong to a passage of these lines: a vehicle may have been on another route before."""
    if not sum(len(one) for one in lines):
        rows = np.zeros(0, np.int64)
    else:
        rows = np.flatnonzero(_visits(counts, lines)[-1] >= 0)
    return Counts(
        vehicle=Words(counts.vehicle.words, counts.vehicle.at[rows]),
        measured_ms=counts.measured_ms[rows],
        boarded=counts.boarded[rows],
        alighted=counts.alighted[rows],
        onboard=counts.onboard[rows],
        stop=Words(counts.stop.words, counts.stop.at[rows]),
    )


def _visits(counts: Counts, lines: Sequence[LinePassages]) -> tuple[I64, I64, I64, I64, I64]:
    """Passages: vehicle, arrival, their order by both, each one's place in it. Counts: the place of theirs, or -1."""
    place = {name: at for at, name in enumerate(counts.vehicle.words)}
    vehicle = np.concatenate([_vehicles(one, place) for one in lines])
    arrival_ms = np.concatenate([one.arrival_ms for one in lines])
    departure_ms = np.concatenate([one.departure_ms for one in lines])
    order = np.lexsort((arrival_ms, vehicle))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    row = _by_time(counts, vehicle[order], arrival_ms[order], departure_ms[order])
    row = np.where(counts.stop.at == UNSAID, row, _by_stop(counts, lines, vehicle, arrival_ms, rank))
    return vehicle, arrival_ms, order, rank, row


def profile(one: Counted, zone: tzinfo, *, by_hour: bool = False) -> list[StopLoad]:
    """Boarding, alighting and load at each stop of a line, in driving order."""
    passages = one.passages
    hour_of = hours(passages.departure_ms, zone) if by_hour else np.full(len(passages), -1)
    found = []
    for (stop, hour), rows in groups(passages.stop, hour_of):
        seen = rows[np.isfinite(one.boarded[rows])]
        load = one.load[rows][np.isfinite(one.load[rows])]
        if not len(seen) and not len(load):
            continue
        on, off = one.boarded[seen], one.alighted[seen]
        found.append(
            StopLoad(
                route=passages.line.route,
                direction=passages.line.direction,
                place=stop,
                stop_id=passages.stops[stop].stop_id,
                stop_name=passages.stops[stop].name,
                along_m=passages.stops[stop].along_m,
                hour=None if hour < 0 else hour,
                passages=len(rows),
                counted=len(seen),
                loaded=len(load),
                boarded_mean=float(np.mean(on)) if len(seen) else None,
                alighted_mean=float(np.mean(off)) if len(seen) else None,
                boarded=float(np.sum(on)) if len(seen) else None,
                alighted=float(np.sum(off)) if len(seen) else None,
                load_mean=float(np.mean(load)) if len(load) else None,
                load_p90=percentile(load, 90) if len(load) else None,
                load_max=float(np.max(load)) if len(load) else None,
            )
        )
    return found


def by_area(lines: Sequence[Counted], area_of: Mapping[str, str | None]) -> list[AreaBoardings]:
    """Boardings and alightings by the area of the stop (`area_of`: stop → code)."""
    sums: dict[str | None, tuple[set[str], int, float, float]] = {}
    for one in lines:
        for (stop,), rows in groups(one.passages.stop):
            stop_id = one.passages.stops[stop].stop_id
            seen = rows[np.isfinite(one.boarded[rows])]
            stops, count, boarded, alighted = sums.get(area_of.get(stop_id), (set(), 0, 0.0, 0.0))
            sums[area_of.get(stop_id)] = (
                stops | {stop_id},
                count + len(seen),
                boarded + float(np.sum(one.boarded[seen])),
                alighted + float(np.sum(one.alighted[seen])),
            )
    return [
        AreaBoardings(area=area, stops=len(stops), counted=count, boarded=boarded, alighted=alighted)
        for area, (stops, count, boarded, alighted) in sorted(sums.items(), key=lambda item: -item[1][2])
    ]


def _none(one: LinePassages) -> Counted:
    nothing = np.full(len(one), np.nan)
    return Counted(passages=one, boarded=nothing, alighted=nothing, load=nothing)


def _vehicles(one: LinePassages, place: Mapping[str, int]) -> I64:
    of_run = np.array([place.get(run.vehicle_id, -1) for run in one.runs], np.int64)
    return of_run[one.run] if len(one) else np.zeros(0, np.int64)


def _by_time(counts: Counts, vehicle: I64, arrival_ms: I64, departure_ms: I64) -> I64:
    """The passage (in order of vehicle and arrival) that each count belongs to, -1 for none."""
    base_ms = min(int(arrival_ms.min()), int(counts.measured_ms.min(initial=arrival_ms.min())))
    span_ms = max(int(arrival_ms.max()), int(counts.measured_ms.max(initial=0))) - base_ms + EARLY_MS + 1
    keys = (vehicle + 1) * span_ms + arrival_ms - base_ms
    asked = (counts.vehicle.at + 1) * span_ms + counts.measured_ms - base_ms + EARLY_MS
    row = np.searchsorted(keys, asked, "right") - 1
    safe = np.maximum(row, 0)
    fits = (row >= 0) & (vehicle[safe] == counts.vehicle.at) & (counts.measured_ms - departure_ms[safe] <= AFTER_MS)
    return np.where(fits, row, -1)


def _by_stop(counts: Counts, lines: Sequence[LinePassages], vehicle: I64, arrival_ms: I64, rank: I64) -> I64:
    """The visit of the stop that each count names nearest in time, -1 for none."""
    visits: dict[tuple[int, str], list[tuple[int, int]]] = {}
    at = 0
    for one in lines:
        for stop in one.stop.tolist():
            key = (int(vehicle[at]), one.stops[stop].stop_id)
            visits.setdefault(key, []).append((int(arrival_ms[at]), int(rank[at])))
            at += 1
    found = np.full(len(counts.measured_ms), -1, np.int64)
    for row in np.flatnonzero(counts.stop.at != UNSAID).tolist():
        moment_ms = int(counts.measured_ms[row])
        near = visits.get((int(counts.vehicle.at[row]), counts.stop[row] or ""), ())
        best = min(near, key=lambda visit: abs(visit[0] - moment_ms), default=None)
        if best is not None and abs(best[0] - moment_ms) <= NEAR_MS:
            found[row] = best[1]
    return found


def _change_over(
    boarded: F64, alighted: F64, known: Flags, vehicle: I64, arrival_ms: I64, begins: Flags, finishes: Flags
) -> None:
    """Alightings where a trip begins go to the end of the one before, boardings at an end to the trip after."""
    rows = len(vehicle)
    for at in np.flatnonzero(finishes[:-1] & begins[1:] & (vehicle[:-1] == vehicle[1:])).tolist():
        first, last = at, at + 1  # of the end's stops, and of the beginning's
        while first > 0 and finishes[first - 1] and vehicle[first - 1] == vehicle[at]:
            first -= 1
        while last + 1 < rows and begins[last + 1] and vehicle[last + 1] == vehicle[at]:
            last += 1
        here, there = slice(first, at + 1), slice(at + 1, last + 1)
        if arrival_ms[at + 1] - arrival_ms[at] > 2 * AFTER_MS or not (known[here].any() or known[there].any()):
            continue
        off, on = float(alighted[there].sum()), float(boarded[here].sum())
        alighted[at] += off
        boarded[at + 1] += on
        known[at] = known[at + 1] = True
        alighted[there] = boarded[here] = 0.0


def _quiet(counts: Counts) -> I64:
    """The vehicles whose counters have told a count often enough, and never a zero."""
    told = np.nan_to_num(counts.boarded) + np.nan_to_num(counts.alighted)
    said = (np.isfinite(counts.boarded) | np.isfinite(counts.alighted)) & (counts.vehicle.at != UNSAID)
    size = len(counts.vehicle.words)
    messages = np.bincount(counts.vehicle.at[said], minlength=size)
    zeros = np.bincount(counts.vehicle.at[said & (told == 0)], minlength=size)
    return np.flatnonzero((messages >= SPOKEN_MIN) & (zeros == 0))


def _silent(one: LinePassages, boarded: F64, quiet: Flags) -> Flags:
    """Passages without a count, on counted runs of vehicles that do not tell zeros."""
    counts = np.bincount(one.run[np.isfinite(boarded)], minlength=len(one.runs))
    found: Flags = np.isnan(boarded) & quiet & (counts[one.run] >= STOPS_MIN)
    return found


def _loads(one: LinePassages, boarded: F64, alighted: F64, onboard: F64) -> F64:
    """Passengers on leaving each stop: as counted, else on less off.

    The sum begins at nobody where the run was seen from the line's first stop to its last, with its off scaled to its
    on; else at what a counter told on the way. Without both who was on board before is not known, and no load.
    """
    load = np.full(len(one), np.nan)
    begins, finishes = one.begins, one.finishes
    for _, rows in groups(one.run):
        told = np.isfinite(onboard[rows])
        if np.mean(told) >= ONBOARD_SHARE_MIN:
            load[rows] = onboard[rows]
        elif not np.isfinite(boarded[rows]).all():
            continue
        elif told.any():
            more = np.cumsum(boarded[rows] - alighted[rows])
            load[rows] = more + np.median(onboard[rows][told] - more[told])
        elif begins[rows].any() and finishes[rows].any():
            off = alighted[rows].sum()
            scale = boarded[rows].sum() / off if off > 0 else 1.0
            load[rows] = np.cumsum(boarded[rows] - alighted[rows] * scale)
    # Scaling leaves a rounding error where the last one gets off.
    load[np.abs(load) < 1e-9] = 0.0
    return load
