"""Hours of the day and service days of many moments at once, in the city's own time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo

import numpy as np

from analysis.transit.columns import I64

QUARTER_MS = 900_000  # no time zone changes its offset within one
DAY_S = 86_400


def offsets_s(moments_ms: I64, zone: tzinfo) -> I64:
    """Seconds that the zone is ahead of UTC at each moment."""
    quarters, at = np.unique(moments_ms // QUARTER_MS, return_inverse=True)
    found = [_offset_s(int(quarter) * QUARTER_MS, zone) for quarter in quarters]
    return np.array(found, np.int64)[at] if found else np.zeros(0, np.int64)


def hours(moments_ms: I64, zone: tzinfo) -> I64:
    """The hour of the day, 0–23, of each moment."""
    return (moments_ms // 1000 + offsets_s(moments_ms, zone)) % DAY_S // 3600


def service_days(moments_ms: I64, zone: tzinfo, begins_h: int) -> I64:
    """The service day of each moment, in days since 1970: what runs before `begins_h` belongs to the day before."""
    return (moments_ms // 1000 + offsets_s(moments_ms, zone) - begins_h * 3600) // DAY_S


def day_kinds(moments_ms: I64, zone: tzinfo) -> I64:
    """The kind of day of each moment: 0 Monday to Friday, 1 Saturday, 2 Sunday."""
    # 1 January 1970 was a Thursday.
    weekday = ((moments_ms // 1000 + offsets_s(moments_ms, zone)) // DAY_S + 3) % 7
    found: I64 = np.maximum(weekday - 4, 0)
    return found


def day_start_ms(day: int, zone: tzinfo) -> int:
    """Where the times of a service day count from: noon minus twelve hours (GTFS), epoch milliseconds."""
    noon = datetime.combine(date_of(day), datetime.min.time(), zone).replace(hour=12)
    return round(noon.astimezone(UTC).timestamp() * 1000) - DAY_S * 500


def date_of(day: int) -> date:
    """The date of a number of days since 1970."""
    return date(1970, 1, 1) + timedelta(days=day)


def _offset_s(moment_ms: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(moment_ms / 1000, UTC).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds())
