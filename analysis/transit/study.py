"""A question to the transport analysis, and its answer: rows of one route, read day by day so that they fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from msgspec import Struct

from analysis.transit.clock import offsets_s
from analysis.transit.columns import fixes_by_route, numbers, words
from analysis.transit.counts import Counted, by_area, counted, counts_of, profile
from analysis.transit.diagram import run_ways
from analysis.transit.fuel import FuelRules, FuelUse, outliers, readings_of, shifts, together
from analysis.transit.headways import HeadwayRules, headways_of, summaries
from analysis.transit.od import OdEstimate, OdRefused, OdRules, estimate
from analysis.transit.passages import LinePassages, PassageRules, joined, passages_of
from analysis.transit.punctuality import OnTime, punctuality
from analysis.transit.scheduled import Schedule, with_schedule
from analysis.transit.summary import line_summary
from analysis.transit.travel import commercial_speeds, dwells, travel_times
from analysis.transit.vehicles import VehicleUse, together_used, tracks_of, use_of
from city.routes import Line
from city.transit import Transit

DAY_MS = 86_400_000
# A count comes in after the vehicle left, a fuel reading before it starts.
AROUND_MS = 900_000
# Whole days of all routes are read of a vehicle.
VEHICLES_AT_ONCE = 25

POSITIONS = (
    "measured_ms", "vehicle_id", "route", "direction", "trip", "lat", "lon", "speed_mps", "schedule_deviation_s",
    "stop", "kind",
)  # fmt: skip
TRACKS = ("measured_ms", "vehicle_id", "route", "lat", "lon", "speed_mps", "odometer_m")
COUNTS = (
    "measured_ms", "vehicle_id", "boarded", "alighted", "onboard", "stop", "capacity", "estimated", "quality",
)  # fmt: skip
# Inside a span, runs over the beginning of a service day are read whole; no run is longer.
OVERLAP_MS = 10_800_000
FUEL = ("measured_ms", "vehicle_id", "level_l", "used_l")


class Rows(Protocol):
    """Where archived rows come from."""

    def __call__(
        self,
        feed: str,
        from_ms: int,
        to_ms: int,
        columns: Sequence[str],
        *,
        routes: Sequence[str] = (),
        vehicles: Sequence[str] = (),
    ) -> pa.Table: ...


class What(StrEnum):
    """What can be asked."""

    HEADWAYS = "headways"
    TRAVEL_TIMES = "travel-times"
    SPEEDS = "speeds"
    PUNCTUALITY = "punctuality"
    DWELL = "dwell"
    LOAD = "load"
    OD = "od"
    FUEL = "fuel"
    SUMMARY = "summary"
    TRIPS = "trips"
    BOARDINGS = "boardings"
    USE = "use"


class TransitQuestion(Struct, frozen=True, kw_only=True):
    """One question, of one route; of a direction, or both.

    Fuel is told by vehicle, with `by_hour` by shift, with neither of the two of the route.
    """

    what: What
    route: str
    direction: int | None = None
    from_ms: int
    to_ms: int
    by_stop: bool = True
    by_hour: bool = False
    from_stop: str | None = None  # travel times between these two alone; None: from each stop to the next
    to_stop: str | None = None
    from_place: int | None = None  # the same by their places in the line, from 0: a line may come to a stop twice
    to_place: int | None = None


class TransitAnswer(Struct, frozen=True, kw_only=True):
    """Rows of figures, what they rest on, and what could not be answered."""

    rows: tuple[Struct, ...]
    runs: int
    passages: int
    estimated: int  # passages between fixes more than a minute apart
    against: int
    coverage: float | None = None  # share of passages with passenger counts
    assumed: int = 0  # of them without anybody, as their counters tell no zeros
    clamped: int = 0  # passages with a load below nobody, taken as nobody
    scheduled_share: float | None = None  # of the lines' stops that the timetable knows; None: there is none
    refused: tuple[OdRefused, ...] = ()
    outliers: tuple[Struct, ...] = ()
    capacity: float | None = None  # of the vehicles that were counted, the median; None: they tell none
    spread: tuple[int, ...] = ()  # headways by whole minute, from 0 on


class City(Struct, frozen=True, kw_only=True):
    """What the city knows beside the rows."""

    lines: tuple[Line, ...]
    zone: ZoneInfo
    settings: Transit
    schedule: Schedule | None = None
    # stop → code of its mahalla; a stop that is not there lies in none
    mahalla_of: Mapping[str, str | None] = {}


def answer(
    asked: TransitQuestion, city: City, rows: Rows, progress: Callable[[float], None] = lambda _: None
) -> TransitAnswer:
    """The answer; `progress` is told how much of the span was read."""
    if asked.what is What.FUEL:
        return _fuel(asked, city, rows)
    return answer_of(asked, city, rows, read_passages(asked, city, rows, progress))


def answer_of(asked: TransitQuestion, city: City, rows: Rows, passages: Sequence[LinePassages]) -> TransitAnswer:
    """The answer from passages that were read already, those of all lines of the route."""
    if asked.what is What.USE:
        return _use(asked, city, rows, passages)
    return _answer(asked, city, rows, passages)


def read_passages(
    asked: TransitQuestion, city: City, rows: Rows, progress: Callable[[float], None] = lambda _: None
) -> list[LinePassages]:
    """The passages of the route's lines, a day at a time."""
    rules = PassageRules(within_m=city.settings.stop_within_m)
    lines = [line for line in city.lines if line.route == asked.route]
    parts: list[list[LinePassages]] = [[] for _ in lines]
    for from_ms, to_ms in days(asked.from_ms, asked.to_ms, city):
        # A run belongs to the day that it began on: the next day's rows are read as far as it goes on.
        begin_ms = max(asked.from_ms, from_ms - OVERLAP_MS)
        end_ms = min(asked.to_ms, to_ms + OVERLAP_MS)
        table = rows("position", begin_ms, end_ms, POSITIONS, routes=(asked.route,))
        for fixes in fixes_by_route(table):
            for part, line in zip(parts, lines, strict=True):
                part.append(passages_of(fixes, line, rules, (from_ms, to_ms)))
        progress((to_ms - asked.from_ms) / (asked.to_ms - asked.from_ms))
    found = [joined(part) for part in parts if part]
    schedule = city.schedule
    return found if schedule is None else [with_schedule(one, schedule) for one in found]


def days(from_ms: int, to_ms: int, city: City) -> list[tuple[int, int]]:
    """The span cut where service days begin, when the fewest vehicles are on their way."""
    shift_s = int(offsets_s(np.array([from_ms]), city.zone)[0])
    begins_ms = (city.settings.day_begins_h * 3600 - shift_s) * 1000
    cuts = [from_ms]
    while (following := (cuts[-1] - begins_ms) // DAY_MS * DAY_MS + DAY_MS + begins_ms) < to_ms:
        cuts.append(following)
    return list(zip(cuts, [*cuts[1:], to_ms], strict=True))


def _answer(asked: TransitQuestion, city: City, rows: Rows, passages: Sequence[LinePassages]) -> TransitAnswer:
    shown = [one for one in passages if asked.direction in (None, one.line.direction)]
    settings, zone, by_hour = city.settings, city.zone, asked.by_hour
    found: list[Struct] = []
    refused: list[OdRefused] = []
    coverage: float | None = None
    capacity: float | None = None
    assumed = clamped = 0
    spread: Counter[int] = Counter()
    if asked.what in (What.LOAD, What.OD, What.BOARDINGS):
        # Both directions always: vehicles change over from one to the other.
        everything, capacity = _counted(asked, rows, passages)
        counts = [one for one in everything if one.passages in shown]
        assumed, clamped = sum(one.assumed for one in counts), sum(one.clamped for one in counts)
        size = sum(len(one.passages) for one in counts)
        coverage = sum(one.coverage * len(one.passages) for one in counts) / size if size else None
        if asked.what is What.BOARDINGS:
            found += by_area(counts, city.mahalla_of)
            counts = []
        for one in counts:
            if asked.what is What.LOAD:
                found += profile(one, zone, by_hour=by_hour)
                continue
            made = estimate(one, OdRules(coverage_min=settings.counted_min_share))
            if isinstance(made, OdEstimate):
                found.append(made)
            else:
                refused.append(made)
    rules = HeadwayRules(bunched_share=settings.bunched_share, gap_share=settings.gap_share)
    on_time = OnTime(early_s=settings.early_s, late_s=settings.late_s)
    for line in shown:
        if asked.what is What.HEADWAYS:
            gaps = headways_of(line, zone, rules, city.schedule)
            found += summaries(gaps, rules, by_stop=asked.by_stop, by_hour=by_hour)
            spread.update((gaps.headway_s // 60).astype(np.int64).tolist())
        elif asked.what is What.SUMMARY:
            found.append(line_summary(line, zone, on_time, rules, city.schedule))
        elif asked.what is What.TRIPS:
            found += run_ways(line)
        elif asked.what is What.TRAVEL_TIMES:
            found += travel_times(line, zone, _pairs(asked, line.line), by_hour=by_hour)
        elif asked.what is What.SPEEDS:
            found += commercial_speeds(line, zone, by_hour=by_hour)
        elif asked.what is What.DWELL:
            found += dwells(line, zone, by_hour=by_hour)
        elif asked.what is What.PUNCTUALITY:
            found += punctuality(line, zone, on_time, by_stop=asked.by_stop, by_hour=by_hour)
    return TransitAnswer(
        rows=tuple(found),
        runs=sum(len(one.runs) for one in shown),
        passages=sum(len(one) for one in shown),
        estimated=sum(int(one.estimated.sum()) for one in shown),
        against=sum(one.against for one in shown),
        coverage=coverage,
        assumed=assumed,
        clamped=clamped,
        scheduled_share=city.schedule.share([one.line for one in shown]) if city.schedule and shown else None,
        refused=tuple(refused),
        capacity=capacity,
        spread=tuple(spread[minute] for minute in range(max(spread) + 1)) if spread else (),
    )


def _pairs(asked: TransitQuestion, line: Line) -> list[tuple[int, int]] | None:
    """The two places that were asked for, or the nearest two visits to two stops; None: no two were."""
    if asked.from_place is not None and asked.to_place is not None:
        return [(asked.from_place, asked.to_place)] if asked.from_place < asked.to_place < len(line.stops) else []
    if asked.from_stop is None or asked.to_stop is None:
        return None
    starts = [at for at, stop in enumerate(line.stops) if stop.stop_id == asked.from_stop]
    ends = [at for at, stop in enumerate(line.stops) if stop.stop_id == asked.to_stop]
    found = [(start, end) for start in starts for end in ends if start < end]
    return [min(found, key=lambda pair: pair[1] - pair[0])] if found else []


def _counted(
    asked: TransitQuestion, rows: Rows, passages: Sequence[LinePassages]
) -> tuple[list[Counted], float | None]:
    vehicles = sorted({run.vehicle_id for one in passages for run in one.runs})
    if not vehicles:
        return [], None
    table = rows("passengers", asked.from_ms - AROUND_MS, asked.to_ms + AROUND_MS, COUNTS, vehicles=vehicles)
    return counted(counts_of(table), passages), capacity_of(table)


def capacity_of(table: pa.Table) -> float | None:
    """The places of the vehicles that were counted: the median of the most that each one told; None: none told."""
    vehicle, places = words(table, "vehicle_id").at, numbers(table, "capacity")
    said = places > 0
    if not said.any():
        return None
    most = np.zeros(int(vehicle.max()) + 1)
    np.maximum.at(most, vehicle[said], places[said])
    return float(np.median(most[most > 0]))


def _use(asked: TransitQuestion, city: City, rows: Rows, passages: Sequence[LinePassages]) -> TransitAnswer:
    """How much the vehicles that served the route were used, on whatever route; trips are those on this one."""
    trips = Counter(run.vehicle_id for one in passages for run in one.runs)
    vehicles = sorted(trips)
    uses: dict[str, list[VehicleUse]] = {}
    for from_ms, to_ms in days(asked.from_ms, asked.to_ms, city):
        for at in range(0, len(vehicles), VEHICLES_AT_ONCE):
            some = vehicles[at : at + VEHICLES_AT_ONCE]
            for track in tracks_of(rows("position", from_ms, to_ms, TRACKS, vehicles=some)):
                uses.setdefault(track.vehicle_id, []).append(use_of(track, trips))
    return TransitAnswer(
        rows=tuple(together_used(uses[name]) for name in sorted(uses)),
        runs=sum(len(one.runs) for one in passages),
        passages=sum(len(one) for one in passages),
        estimated=sum(int(one.estimated.sum()) for one in passages),
        against=sum(one.against for one in passages),
    )


def _fuel(asked: TransitQuestion, city: City, rows: Rows) -> TransitAnswer:
    """Fuel of the shifts of the vehicles that served the route; outliers among its vehicles, by hour among shifts."""
    uses: list[FuelUse] = []
    for from_ms, to_ms in days(asked.from_ms, asked.to_ms, city):
        served = rows("position", from_ms, to_ms, ("vehicle_id",), routes=(asked.route,))
        vehicles = sorted(name for name in served["vehicle_id"].unique().to_pylist() if name)
        # A handful at a time: all routes of a vehicle's day are needed for its shifts.
        for at in range(0, len(vehicles), VEHICLES_AT_ONCE):
            some = vehicles[at : at + VEHICLES_AT_ONCE]
            positions = rows("position", from_ms, to_ms, TRACKS, vehicles=some)
            fuel = rows("fuel", from_ms - AROUND_MS, to_ms + AROUND_MS, FUEL, vehicles=some)
            tracks = {track.vehicle_id: track for track in tracks_of(positions)}
            for readings in readings_of(fuel):
                if readings.vehicle_id in tracks:
                    uses += shifts(tracks[readings.vehicle_id], readings)
    mine = [one for one in uses if one.route == asked.route]
    by_vehicle = list(together(mine, lambda one: one.vehicle_id).values())
    stand_out = outliers(mine if asked.by_hour else by_vehicle, lambda one: one.route, FuelRules())
    of_route = list(together(mine, lambda one: one.route).values())
    return TransitAnswer(
        rows=tuple(mine if asked.by_hour else by_vehicle if asked.by_stop else of_route),
        runs=len(mine),
        passages=0,
        estimated=0,
        against=0,
        outliers=tuple(stand_out),
    )
