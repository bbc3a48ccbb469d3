"""A timetable as analysis reads it: columns of trips and visits, services by date, lines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from city.gtfs.checks import check
from city.gtfs.faults import Faults, Reason
from city.gtfs.fields import day_of, seconds
from city.gtfs.patterns import lines_of
from city.gtfs.reader import Feed, read
from city.gtfs.tables import WEEKDAYS
from city.gtfs.usable import usable
from city.routes import Line

I64 = npt.NDArray[np.int64]


class Trips(Struct, frozen=True, kw_only=True, eq=False):
    """Trips, a row each. One that `frequencies.txt` repeats is a row a departure, `<trip_id>@HH:MM:SS`."""

    trip_id: tuple[str, ...]
    route_id: tuple[str, ...]
    short_name: tuple[str, ...]  # of the route; the id where it has none
    direction: I64  # 1 or 2: GTFS direction_id 0 or 1, 1 where unsaid
    service: I64  # place among `services`


class Visits(Struct, frozen=True, kw_only=True, eq=False):
    """Stop times by trip and sequence, in seconds of the service day (above 86,400 after midnight)."""

    trip: I64  # place among the trips
    stop: I64  # place among `stop_ids`
    arrival_s: I64
    departure_s: I64


class Timetable(Struct, frozen=True, kw_only=True, eq=False):
    """A city's timetable. Where the feed gives a stop no time, it is even between the stops around."""

    agency: str
    agency_url: str
    timezone: str
    stop_ids: tuple[str, ...]
    trips: Trips
    visits: Visits
    services: tuple[str, ...]
    dates: Mapping[date, tuple[int, ...]]  # services that run
    lines: tuple[Line, ...]  # the most common way of each route and direction

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def runs_on(self, day: date) -> npt.NDArray[np.bool_]:
        """Which trips run on a service day."""
        found: npt.NDArray[np.bool_] = np.isin(self.trips.service, np.array(self.dates.get(day, ()), np.int64))
        return found

    def trips_of(self, route: str) -> I64:
        """The trips of a route by its id, else of all routes with this short name."""
        named = self.trips.route_id if route in self.trips.route_id else self.trips.short_name
        return np.array([at for at, name in enumerate(named) if name == route], np.int64)


def load(path: Path) -> tuple[Timetable, list[str]]:
    """The timetable of a feed's folder or zip, and notes; raises GtfsError with all that is wrong."""
    faults = Faults()
    feed = usable(read(path, faults), faults)
    check(feed, faults)
    faults.refuse()
    timetable = timetable_of(feed)
    if not any(timetable.runs_on(day).any() for day in timetable.dates):
        faults.add("calendar.txt", 0, "", Reason.TOO_FEW, "no trip runs on any day")
        faults.refuse()
    return timetable, faults.notes


def timetable_of(feed: Feed) -> Timetable:
    """The timetable of a feed that was checked."""
    stop_ids = tuple(feed["stops"]["stop_id"])
    services = tuple(sorted({*feed["calendar"]["service_id"], *feed["calendar_dates"]["service_id"]}))
    trips, visits = _trips(feed, stop_ids, {name: at for at, name in enumerate(services)})
    agency = feed["agency"]
    return Timetable(
        agency=agency["agency_name"][0],
        agency_url=agency["agency_url"][0],
        timezone=agency["agency_timezone"][0],
        stop_ids=stop_ids,
        trips=trips,
        visits=visits,
        services=services,
        dates=_dates(feed, services),
        lines=lines_of(feed),
    )


def _trips(feed: Feed, stop_ids: tuple[str, ...], services: Mapping[str, int]) -> tuple[Trips, Visits]:
    times = feed["stop_times"]
    place = {name: at for at, name in enumerate(stop_ids)}
    rows_of: dict[str, list[tuple[int, int, int | None, int | None]]] = {}
    names = ("trip_id", "stop_sequence", "stop_id", "arrival_time", "departure_time")
    for trip, sequence, stop, arrival, departure in zip(*(times[name] for name in names), strict=True):
        rows_of.setdefault(trip, []).append((int(sequence), place[stop], seconds(arrival), seconds(departure)))
    starts = _frequencies(feed)
    routes = feed["routes"]
    short = {route: name or route for route, name in zip(routes["route_id"], routes["route_short_name"], strict=True)}
    trip_id: list[str] = []
    route_id: list[str] = []
    direction: list[int] = []
    service: list[int] = []
    at: list[int] = []
    stop_of: list[int] = []
    arrival_s: list[int] = []
    departure_s: list[int] = []
    trips = feed["trips"]
    given = zip(trips["trip_id"], trips["route_id"], trips["direction_id"], trips["service_id"], strict=True)
    for trip, route, way, of_service in given:
        if trip not in rows_of:
            continue
        visits = sorted(rows_of[trip])
        came, left = _filled([(one[2], one[3]) for one in visits])
        for name, shift_s in [(trip, 0)] if trip not in starts else _repeated(trip, left[0], starts[trip]):
            at += [len(trip_id)] * len(visits)
            stop_of += [one[1] for one in visits]
            arrival_s += [one + shift_s for one in came]
            departure_s += [one + shift_s for one in left]
            trip_id.append(name)
            route_id.append(route)
            direction.append(2 if way == "1" else 1)
            service.append(services[of_service])
    return (
        Trips(
            trip_id=tuple(trip_id),
            route_id=tuple(route_id),
            short_name=tuple(short[route] for route in route_id),
            direction=np.array(direction, np.int64),
            service=np.array(service, np.int64),
        ),
        Visits(
            trip=np.array(at, np.int64),
            stop=np.array(stop_of, np.int64),
            arrival_s=np.array(arrival_s, np.int64),
            departure_s=np.array(departure_s, np.int64),
        ),
    )


def _filled(times: list[tuple[int | None, int | None]]) -> tuple[list[int], list[int]]:
    """Arrivals and departures without a gap: the other of the two, else even between the stops around."""
    came = [arrival if arrival is not None else departure for arrival, departure in times]
    left = [departure if departure is not None else arrival for arrival, departure in times]
    known = [at for at, second in enumerate(came) if second is not None]
    arrivals, departures = [], []
    for at, (arrival, departure) in enumerate(zip(came, left, strict=True)):
        if arrival is None or departure is None:
            # Between departure there and arrival here.
            before = max(one for one in known if one < at)
            after = min(one for one in known if one > at)
            begin, end = left[before] or 0, came[after] or 0
            arrival = departure = round(begin + (end - begin) * (at - before) / (after - before))  # noqa: PLW2901
        arrivals.append(arrival)
        departures.append(departure)
    return arrivals, departures


def _frequencies(feed: Feed) -> dict[str, list[tuple[int, int, int]]]:
    found: dict[str, list[tuple[int, int, int]]] = {}
    rows = feed["frequencies"]
    names = ("trip_id", "start_time", "end_time", "headway_secs")
    for trip, start, end, headway in zip(*(rows[name] for name in names), strict=True):
        found.setdefault(trip, []).append((seconds(start) or 0, seconds(end) or 0, int(headway)))
    return found


def _repeated(trip: str, first_s: int, spans: list[tuple[int, int, int]]) -> list[tuple[str, int]]:
    """Names and shifts of the departures that a frequency stands for."""
    found = []
    for start, end, headway in sorted(spans):
        for second in range(start, end, headway):
            hour, rest = divmod(second, 3600)
            found.append((f"{trip}@{hour:02}:{rest // 60:02}:{rest % 60:02}", second - first_s))
    return found


def _dates(feed: Feed, services: tuple[str, ...]) -> dict[date, tuple[int, ...]]:
    place = {name: at for at, name in enumerate(services)}
    found: dict[date, set[int]] = {}
    calendar = feed["calendar"]
    for row, name in enumerate(calendar["service_id"]):
        day, last = day_of(calendar["start_date"][row]), day_of(calendar["end_date"][row])
        weekdays = [calendar[weekday][row] == "1" for weekday in WEEKDAYS]
        while day is not None and last is not None and day <= last:
            if weekdays[day.weekday()]:
                found.setdefault(day, set()).add(place[name])
            day += timedelta(days=1)
    rows = feed["calendar_dates"]
    for name, text, kind in zip(rows["service_id"], rows["date"], rows["exception_type"], strict=True):
        day = day_of(text)
        if day is not None and kind == "1":
            found.setdefault(day, set()).add(place[name])
        elif day is not None:
            found.get(day, set()).discard(place[name])
    return {day: tuple(sorted(found[day])) for day in sorted(found) if found[day]}
