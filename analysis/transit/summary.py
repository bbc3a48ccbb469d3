"""A line in one row: what a person who reads nothing else should know of it."""

from __future__ import annotations

from datetime import tzinfo

from msgspec import Struct

from analysis.transit.headways import HeadwayRules, headways_of, summaries
from analysis.transit.passages import LinePassages
from analysis.transit.punctuality import OnTime, punctuality
from analysis.transit.scheduled import Schedule
from analysis.transit.travel import commercial_speeds


class LineSummary(Struct, frozen=True, kw_only=True):
    """One direction of a route over a span. None: nothing is known of it."""

    route: str
    direction: int
    runs: int
    vehicles: int
    passages: int
    compared: int  # passages with a schedule
    early_share: float | None = None
    on_time_share: float | None = None
    late_share: float | None = None
    headways: int = 0
    mean_headway_s: float | None = None
    bunched_share: float | None = None
    gap_share: float | None = None
    wait_s: float | None = None
    excess_wait_s: float | None = None
    reference: str | None = None  # what headways are held against: usual, timetable or deviation
    speed_kmh: float | None = None  # stops included


def line_summary(
    passages: LinePassages, zone: tzinfo, on_time: OnTime, rules: HeadwayRules, schedule: Schedule | None = None
) -> LineSummary:
    """The figures of a line over all its stops and hours, as those that are told by stop."""
    late = next(iter(punctuality(passages, zone, on_time, by_stop=False)), None)
    gaps = next(iter(summaries(headways_of(passages, zone, rules, schedule), rules, by_stop=False)), None)
    speed = next(iter(commercial_speeds(passages, zone)), None)
    known = late.compared if late is not None else 0
    return LineSummary(
        route=passages.line.route,
        direction=passages.line.direction,
        runs=len(passages.runs),
        vehicles=len({run.vehicle_id for run in passages.runs}),
        passages=len(passages),
        compared=known,
        early_share=late.early / known if late is not None and known else None,
        on_time_share=late.on_time / known if late is not None and known else None,
        late_share=late.late / known if late is not None and known else None,
        headways=0 if gaps is None else gaps.count,
        mean_headway_s=None if gaps is None else gaps.mean_s,
        bunched_share=None if gaps is None else gaps.bunched_share,
        gap_share=None if gaps is None else gaps.gap_share,
        wait_s=None if gaps is None else gaps.wait_s,
        excess_wait_s=None if gaps is None else gaps.excess_wait_s,
        reference=None if gaps is None else gaps.reference,
        speed_kmh=None if speed is None else speed.speed_kmh,
    )
