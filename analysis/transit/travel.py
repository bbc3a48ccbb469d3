"""Travel times between stops, time at stops, and commercial speed.

Travel time is from departure to arrival, without the time at either stop. Commercial speed is distance over time from
departure at the first to arrival at the last stop that was seen of a run, stops included (TCRP Report 165).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

import numpy as np
from msgspec import Struct

from analysis.transit.clock import hours
from analysis.transit.columns import F64, I64
from analysis.transit.groups import groups, percentile
from analysis.transit.passages import LinePassages

# Shorter is no way between two stops: two poles of one.
WAY_MIN_M = 40.0


class Times(Struct, frozen=True, eq=False):
    """Arrivals and departures as runs × stops, epoch milliseconds; NaN where a stop was not seen."""

    arrival_ms: F64
    departure_ms: F64


class TravelTime(Struct, frozen=True, kw_only=True):
    """From one stop of a line to another, in one hour of the day (of departure), or in all."""

    route: str
    direction: int
    from_place: int  # in the line, from 0
    to_place: int
    from_stop: str
    from_name: str
    to_stop: str
    to_name: str
    distance_m: float
    hour: int | None = None
    count: int
    p10_s: float
    p50_s: float
    p90_s: float
    mean_s: float
    speed_kmh: float  # at the median


class CommercialSpeed(Struct, frozen=True, kw_only=True):
    """Of a line, in one hour of the day (of departure), or in all."""

    route: str
    direction: int
    hour: int | None = None
    runs: int
    distance_km: float
    duration_h: float
    speed_kmh: float


class Dwell(Struct, frozen=True, kw_only=True):
    """Time at a stop that is not an end of the line, in one hour of the day, or in all."""

    route: str
    direction: int
    place: int  # in the line, from 0
    stop_id: str
    stop_name: str
    hour: int | None = None
    count: int  # passages
    stood: int  # of them with any time at rest
    mean_s: float  # of those that stood, as the next; 0 where none did
    p50_s: float
    p90_s: float


def times_of(passages: LinePassages) -> Times:
    """The passages as a table with a row a run."""
    shape = (len(passages.runs), len(passages.stops))
    arrival_ms, departure_ms = np.full(shape, np.nan), np.full(shape, np.nan)
    arrival_ms[passages.run, passages.stop] = passages.arrival_ms
    departure_ms[passages.run, passages.stop] = passages.departure_ms
    return Times(arrival_ms, departure_ms)


def travel_times(
    passages: LinePassages, zone: tzinfo, pairs: Sequence[tuple[int, int]] | None = None, *, by_hour: bool = False
) -> list[TravelTime]:
    """Travel times between pairs of stops (places in the line); without pairs, from each stop to the next."""
    times = times_of(passages)
    stops = passages.stops
    chosen = pairs if pairs is not None else [(at, at + 1) for at in range(len(stops) - 1)]
    found = []
    for start, end in chosen:
        distance_m = stops[end].along_m - stops[start].along_m
        took_s = (times.arrival_ms[:, end] - times.departure_ms[:, start]) / 1000
        rows = np.flatnonzero(np.isfinite(took_s) & (took_s > 0))
        if not len(rows) or distance_m < WAY_MIN_M:
            continue
        hour = hours(times.departure_ms[rows, start].astype(np.int64), zone) if by_hour else np.full(len(rows), -1)
        for (one,), inside in groups(hour):
            taken_s = took_s[rows[inside]]
            found.append(
                TravelTime(
                    route=passages.line.route,
                    direction=passages.line.direction,
                    from_place=start,
                    to_place=end,
                    from_stop=stops[start].stop_id,
                    from_name=stops[start].name,
                    to_stop=stops[end].stop_id,
                    to_name=stops[end].name,
                    distance_m=distance_m,
                    hour=None if one < 0 else one,
                    count=len(taken_s),
                    p10_s=percentile(taken_s, 10),
                    p50_s=percentile(taken_s, 50),
                    p90_s=percentile(taken_s, 90),
                    mean_s=float(np.mean(taken_s)),
                    speed_kmh=3.6 * distance_m / percentile(taken_s, 50),
                )
            )
    return found


def commercial_speeds(passages: LinePassages, zone: tzinfo, *, by_hour: bool = False) -> list[CommercialSpeed]:
    """Commercial speed of a line."""
    if not len(passages):
        return []
    first = np.flatnonzero(np.concatenate([[True], np.diff(passages.run) != 0]))
    last = np.concatenate([first[1:], [len(passages)]]) - 1
    along_m = np.array([stop.along_m for stop in passages.stops])
    way_m = along_m[passages.stop[last]] - along_m[passages.stop[first]]
    took_s = (passages.arrival_ms[last] - passages.departure_ms[first]) / 1000
    good = (way_m >= WAY_MIN_M) & (took_s > 0)
    way_m, took_s, begins_ms = way_m[good], took_s[good], passages.departure_ms[first][good]
    hour = hours(begins_ms, zone) if by_hour else np.full(len(way_m), -1)
    return [
        CommercialSpeed(
            route=passages.line.route,
            direction=passages.line.direction,
            hour=None if one < 0 else one,
            runs=len(rows),
            distance_km=float(way_m[rows].sum()) / 1000,
            duration_h=float(took_s[rows].sum()) / 3600,
            speed_kmh=3.6 * float(way_m[rows].sum() / took_s[rows].sum()),
        )
        for (one,), rows in groups(hour)
    ]


def dwells(passages: LinePassages, zone: tzinfo, *, by_hour: bool = False) -> list[Dwell]:
    """Time at each stop between the line's ends, where vehicles wait for their departure."""
    rows: I64 = np.flatnonzero(~passages.ends)
    dwell_s = (passages.departure_ms - passages.arrival_ms) / 1000
    hour = hours(passages.arrival_ms[rows], zone) if by_hour else np.full(len(rows), -1)
    found = []
    for (stop, one), inside in groups(passages.stop[rows], hour):
        all_s = dwell_s[rows[inside]]
        stood_s = all_s[all_s > 0]
        found.append(
            Dwell(
                route=passages.line.route,
                direction=passages.line.direction,
                place=stop,
                stop_id=passages.stops[stop].stop_id,
                stop_name=passages.stops[stop].name,
                hour=None if one < 0 else one,
                count=len(all_s),
                stood=len(stood_s),
                mean_s=float(np.mean(stood_s)) if len(stood_s) else 0.0,
                p50_s=percentile(stood_s, 50) if len(stood_s) else 0.0,
                p90_s=percentile(stood_s, 90) if len(stood_s) else 0.0,
            )
        )
    return found
