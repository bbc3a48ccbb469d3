"""On-time performance: how many departures were early, on time, late (TCRP Report 165, ch. 5)."""

from __future__ import annotations

from datetime import tzinfo

import numpy as np
from msgspec import Struct

from analysis.transit.clock import hours
from analysis.transit.groups import groups, percentile
from analysis.transit.passages import LinePassages


class OnTime(Struct, frozen=True, kw_only=True):
    """What is on time: neither earlier nor later than this; both ends count as on time."""

    early_s: float = 60.0
    late_s: float = 300.0


class Punctuality(Struct, frozen=True, kw_only=True):
    """Departures (arrivals at the last stop) of a line, of one stop or hour of the day where asked."""

    route: str
    direction: int
    place: int | None = None  # of the stop in the line, from 0
    stop_id: str | None = None
    stop_name: str | None = None
    hour: int | None = None
    count: int  # passages
    compared: int  # of them with a schedule
    early: int
    on_time: int
    late: int
    on_time_share: float | None = None
    mean_late_s: float | None = None  # negative: early
    p10_late_s: float | None = None
    p50_late_s: float | None = None
    p90_late_s: float | None = None


def punctuality(
    passages: LinePassages,
    zone: tzinfo,
    on_time: OnTime | None = None,
    *,
    by_stop: bool = True,
    by_hour: bool = False,
) -> list[Punctuality]:
    """On-time performance of a line, from the deviation that its passages have."""
    limits = on_time or OnTime()
    everything = np.full(len(passages), -1)
    stops = passages.stop if by_stop else everything
    hour_of = hours(passages.moments_ms, zone) if by_hour else everything
    found = []
    for (stop, hour), rows in groups(stops, hour_of):
        late_s = -passages.deviation_s[rows]
        late_s = late_s[np.isfinite(late_s)]
        early, late = int(np.sum(late_s < -limits.early_s)), int(np.sum(late_s > limits.late_s))
        known = len(late_s)
        found.append(
            Punctuality(
                route=passages.line.route,
                direction=passages.line.direction,
                place=None if stop < 0 else stop,
                stop_id=None if stop < 0 else passages.stops[stop].stop_id,
                stop_name=None if stop < 0 else passages.stops[stop].name,
                hour=None if hour < 0 else hour,
                count=len(rows),
                compared=known,
                early=early,
                on_time=known - early - late,
                late=late,
                on_time_share=(known - early - late) / known if known else None,
                mean_late_s=float(np.mean(late_s)) if known else None,
                p10_late_s=percentile(late_s, 10) if known else None,
                p50_late_s=percentile(late_s, 50) if known else None,
                p90_late_s=percentile(late_s, 90) if known else None,
            )
        )
    return found
