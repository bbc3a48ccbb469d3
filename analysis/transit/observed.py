"""The timetable that was driven, as GTFS: one trip a run, its stop times those of the passages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
from msgspec import Struct

from analysis.transit.clock import date_of, day_start_ms, service_days
from analysis.transit.passages import LinePassages
from city.gtfs.writer import FeedRows, clock
from city.routes import Line

# GTFS route_type of a bus: the vehicles' own mode is not known for a line.
BUS = "3"


class Agency(Struct, frozen=True, kw_only=True):
    """Whose timetable it is; GTFS wants all of it."""

    name: str
    url: str
    timezone: str
    language: str


def observed_feed(passages: Sequence[LinePassages], agency: Agency, begins_h: int = 3) -> FeedRows:
    """The tables of a GTFS feed: stops, routes, trips, stop times, service days and shapes of what was observed.

    Runs of fewer than two stops are left out. A service is one day, `calendar_dates` name it; times after midnight
    are above 24 h. Stops come in the line's order with times to the second, arrivals never before departures.
    """
    zone = ZoneInfo(agency.timezone)
    trips: list[dict[str, str]] = []
    stop_times: list[dict[str, str]] = []
    days: set[int] = set()
    used: dict[tuple[str, int], Line] = {}
    for one in passages:
        line = one.line
        if not len(one):
            continue
        starts = np.flatnonzero(np.concatenate([[True], np.diff(one.run) != 0]))
        for start, end in zip(starts, [*starts[1:], len(one)], strict=True):
            if end - start < 2:
                continue
            rows = range(int(start), int(end))
            first = int(start)
            day = int(service_days(one.departure_ms[start : start + 1], zone, begins_h)[0])
            zero_ms = day_start_ms(day, zone)
            run = one.runs[int(one.run[start])]
            trip_id = (
                f"{date_of(day):%Y%m%d}_{line.route}_{line.direction}_{run.vehicle_id}_{_second(one, first, zero_ms)}"
            )
            days.add(day)
            used[line.route, line.direction] = line
            trips.append(
                {
                    "route_id": line.route,
                    "service_id": f"{date_of(day):%Y%m%d}",
                    "trip_id": trip_id,
                    "trip_headsign": line.ends,
                    "direction_id": str(line.direction - 1),
                    "shape_id": _shape_id(line),
                }
            )
            last_s = 0
            for at in rows:
                # At its first stop it laid over: it was there for another trip, maybe on the day before.
                came_ms = one.departure_ms[at] if at == first else one.arrival_ms[at]
                came_s = max(last_s, round((int(came_ms) - zero_ms) / 1000))
                left_s = max(came_s, round((int(one.departure_ms[at]) - zero_ms) / 1000))
                last_s = left_s
                stop_times.append(
                    {
                        "trip_id": trip_id,
                        "arrival_time": clock(came_s),
                        "departure_time": clock(left_s),
                        "stop_id": one.stops[int(one.stop[at])].stop_id,
                        "stop_sequence": str(int(one.stop[at]) + 1),
                        "timepoint": "0" if one.estimated[at] else "1",
                    }
                )
    lines = [used[key] for key in sorted(used)]
    return {
        "agency": [
            {
                "agency_id": "1", "agency_name": agency.name, "agency_url": agency.url,
                "agency_timezone": agency.timezone, "agency_lang": agency.language,
            }
        ],
        "stops": _stops(lines),
        "routes": [
            {"route_id": route, "agency_id": "1", "route_short_name": route, "route_type": BUS}
            for route in sorted({line.route for line in lines})
        ],
        "calendar_dates": [
            {"service_id": f"{date_of(day):%Y%m%d}", "date": f"{date_of(day):%Y%m%d}", "exception_type": "1"}
            for day in sorted(days)
        ],
        "shapes": [
            {
                "shape_id": _shape_id(line), "shape_pt_lat": f"{lat:.7f}", "shape_pt_lon": f"{lon:.7f}",
                "shape_pt_sequence": str(at),
            }
            for line in lines
            for at, (lat, lon) in enumerate(line.points)
        ],
        "trips": trips,
        "stop_times": stop_times,
        "feed_info": _info(agency, [date_of(day) for day in sorted(days)]),
    }  # fmt: skip


def _second(one: LinePassages, at: int, zero_ms: int) -> int:
    return round((int(one.departure_ms[at]) - zero_ms) / 1000)


def _shape_id(line: Line) -> str:
    return f"{line.route}_{line.direction}"


def _stops(lines: Sequence[Line]) -> list[dict[str, str]]:
    found = {stop.stop_id: stop for line in lines for stop in line.stops}
    return [
        {
            "stop_id": stop.stop_id, "stop_name": stop.name or stop.stop_id, "stop_lat": f"{stop.lat:.7f}",
            "stop_lon": f"{stop.lon:.7f}",
        }
        for _, stop in sorted(found.items())
    ]  # fmt: skip


def _info(agency: Agency, days: Sequence[date]) -> list[dict[str, str]]:
    return [
        {
            "feed_publisher_name": agency.name, "feed_publisher_url": agency.url, "feed_lang": agency.language,
            "feed_start_date": f"{days[0]:%Y%m%d}" if days else "",
            "feed_end_date": f"{days[-1]:%Y%m%d}" if days else "", "feed_version": "observed",
        }
    ]  # fmt: skip
