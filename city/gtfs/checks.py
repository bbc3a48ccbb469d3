"""What holds between the rows of a feed: order of times and shapes, conditions, references to services."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from city.gtfs.faults import Faults, Reason
from city.gtfs.fields import check_fields, day_of, seconds
from city.gtfs.reader import Feed, Rows

# Some feeds are valid up to 2099; each day of a service is kept.
SERVICE_DAYS_MAX = 36_525
# A city's day has some 10,000 departures; each one of a frequency is a trip with all its stop times.
REPEATED_MAX = 100_000


def check(feed: Feed, faults: Faults) -> None:
    """Everything that is wrong in a feed, in the order of its files."""
    # What refers to a file that could not be read whole is not blamed.
    broken = frozenset(fault.file for fault in faults.told)
    check_fields(feed, faults, broken)
    _agencies(feed, faults)
    _stops(feed["stops"], faults)
    _routes(feed, faults)
    _services(feed, faults, broken)
    _shapes(feed["shapes"], faults)
    _stop_times(feed, faults)
    _frequencies(feed["frequencies"], faults)
    _info(feed["feed_info"], faults)
    if len(feed["feed_info"]) > 1:
        faults.add("feed_info.txt", feed["feed_info"].lines[1], "", Reason.DUPLICATE_KEY, "one row is allowed")
    for name in ("agency", "stops", "routes", "trips", "stop_times"):
        rows = feed[name]
        if rows.given and not len(rows) and not any(fault.file == rows.file for fault in faults.told):
            faults.add(rows.file, 0, "", Reason.TOO_FEW, "has no row")


def _agencies(feed: Feed, faults: Faults) -> None:
    agency = feed["agency"]
    zones = agency["agency_timezone"]
    for line, name, zone in zip(agency.lines, agency["agency_id"], zones, strict=True):
        if zone and zone != zones[0]:
            detail = f"{zone!r}, but the feed's first agency has {zones[0]!r}: all must be the same"
            faults.add(agency.file, line, "agency_timezone", Reason.BAD_VALUE, detail)
        if len(agency) > 1 and not name:
            faults.add(agency.file, line, "agency_id", Reason.EMPTY_VALUE, "required where there are several agencies")


def _stops(stops: Rows, faults: Faults) -> None:
    names = ("stop_name", "stop_lat", "stop_lon", "location_type", "parent_station")
    kind_of = dict(zip(stops["stop_id"], stops["location_type"], strict=True))
    for line, (name, lat, lon, kind, parent) in _columns(stops, *names):
        if kind in ("", "0", "1", "2"):
            for column, value in (("stop_name", name), ("stop_lat", lat), ("stop_lon", lon)):
                if not value:
                    faults.add(stops.file, line, column, Reason.EMPTY_VALUE, "a value is required")
        if _near_origin(lat, lon):
            faults.add(stops.file, line, "stop_lat", Reason.OUT_OF_RANGE, "lies at 0, 0: a place that was never filled")
        if kind in ("2", "3", "4") and not parent:
            faults.add(stops.file, line, "parent_station", Reason.EMPTY_VALUE, f"required for location_type {kind}")
        if kind == "1" and parent:
            faults.add(stops.file, line, "parent_station", Reason.BAD_VALUE, "a station has no station above it")
        if parent and kind in ("", "0", "2", "3") and kind_of.get(parent, "1") != "1":
            faults.add(stops.file, line, "parent_station", Reason.BAD_VALUE, f"{parent!r} is no station")


def _near_origin(lat: str, lon: str) -> bool:
    try:
        return abs(float(lat)) < 1 and abs(float(lon)) < 1
    except ValueError:
        return False


def _routes(feed: Feed, faults: Faults) -> None:
    routes = feed["routes"]
    several = len(feed["agency"]) > 1
    for line, (short, long, agency) in _columns(routes, "route_short_name", "route_long_name", "agency_id"):
        if not short and not long:
            detail = "one of route_short_name and route_long_name is required"
            faults.add(routes.file, line, "route_short_name", Reason.EMPTY_VALUE, detail)
        if several and not agency:
            faults.add(routes.file, line, "agency_id", Reason.EMPTY_VALUE, "required where there are several agencies")


def _services(feed: Feed, faults: Faults, broken: frozenset[str]) -> None:
    calendar, trips = feed["calendar"], feed["trips"]
    for line, (start, end) in _columns(calendar, "start_date", "end_date"):
        first, last = day_of(start), day_of(end)
        if first is not None and last is not None and last < first:
            faults.add(calendar.file, line, "end_date", Reason.WRONG_ORDER, f"{end} is before start_date {start}")
        elif first is not None and last is not None and (last - first).days > SERVICE_DAYS_MAX:
            faults.add(calendar.file, line, "end_date", Reason.OUT_OF_RANGE, f"{end} is a century after {start}")
    if broken & {"calendar.txt", "calendar_dates.txt"}:
        return
    known = frozenset(calendar["service_id"]) | frozenset(feed["calendar_dates"]["service_id"])
    for line, (service,) in _columns(trips, "service_id"):
        if service and service not in known:
            detail = f"{service!r} is no service_id of calendar.txt or calendar_dates.txt"
            faults.add(trips.file, line, "service_id", Reason.UNKNOWN_REFERENCE, detail)


def _shapes(shapes: Rows, faults: Faults) -> None:
    points: dict[str, list[tuple[int, int, str]]] = {}
    for line, (name, sequence, dist) in _columns(shapes, "shape_id", "shape_pt_sequence", "shape_dist_traveled"):
        if sequence.isdecimal():
            points.setdefault(name, []).append((int(sequence), line, dist))
    places: dict[str, set[tuple[str, str]]] = {}
    for _, (name, lat, lon) in _columns(shapes, "shape_id", "shape_pt_lat", "shape_pt_lon"):
        places.setdefault(name, set()).add((lat, lon))
    for name, of_shape in points.items():
        if len(of_shape) > 1 and len(places[name]) < 2:
            faults.add(shapes.file, of_shape[0][1], "shape_id", Reason.TOO_FEW, f"{name!r} is one point only")
        if len(of_shape) < 2:
            faults.add(shapes.file, of_shape[0][1], "shape_id", Reason.TOO_FEW, f"{name!r} has one point only")
        _distances(shapes.file, sorted(of_shape), faults)


def _stop_times(feed: Feed, faults: Faults) -> None:
    stop_times = feed["stop_times"]
    kinds = dict(zip(feed["stops"]["stop_id"], feed["stops"]["location_type"], strict=True))
    names = ("trip_id", "stop_id", "stop_sequence", "arrival_time", "departure_time", "shape_dist_traveled")
    visits: dict[str, list[tuple[int, int, str, str, str]]] = {}
    stops_of: dict[int, str] = {}
    places = _columns(feed["stops"], "stop_id", "stop_lat", "stop_lon")
    spots = {stop: (lat, lon) for _, (stop, lat, lon) in places}
    shapeless = {trip for _, (trip, shape) in _columns(feed["trips"], "trip_id", "shape_id") if not shape}
    for line, (trip, stop, sequence, arrival, departure, dist) in _columns(stop_times, *names):
        if kinds.get(stop, "0") not in ("", "0"):
            faults.add(stop_times.file, line, "stop_id", Reason.BAD_VALUE, f"{stop!r} is no stop but a station or door")
        stops_of[line] = stop
        if sequence.isdecimal():
            visits.setdefault(trip, []).append((int(sequence), line, arrival, departure, dist))
    for trip, of_trip in visits.items():
        of_trip.sort()
        if trip in shapeless and len({spots.get(stops_of[line]) for _, line, *_ in of_trip}) < 2:
            detail = f"all stops of trip {trip!r} lie at one place, and it has no shape"
            faults.add(stop_times.file, of_trip[0][1], "trip_id", Reason.TOO_FEW, detail)
        for _, line, arrival, departure, _dist in (of_trip[0], of_trip[-1]):
            for column, value in (("arrival_time", arrival), ("departure_time", departure)):
                if not value:
                    detail = "required at the first and the last stop of a trip"
                    faults.add(stop_times.file, line, column, Reason.EMPTY_VALUE, detail)
        _times(stop_times.file, of_trip, faults)
        _distances(stop_times.file, [(at, line, dist) for at, line, _, _, dist in of_trip], faults)
    idle = len(frozenset(feed["trips"]["trip_id"]) - visits.keys())
    if idle:
        faults.notes.append(f"trips.txt: {idle} trips have no stop times that can be used and are left out")


def _times(file: str, of_trip: list[tuple[int, int, str, str, str]], faults: Faults) -> None:
    last, last_line = None, 0
    for _, line, arrival, departure, _ in of_trip:
        for column, text in (("arrival_time", arrival), ("departure_time", departure)):
            second = seconds(text)
            if second is None:
                continue
            if last is not None and second < last:
                where = "arrival_time of the same line" if last_line == line else f"time of line {last_line}"
                faults.add(file, line, column, Reason.WRONG_ORDER, f"{text} is before the {where}")
            last, last_line = max(second, last or 0), line


def _distances(file: str, points: list[tuple[int, int, str]], faults: Faults) -> None:
    last = None
    for _, line, text in points:
        try:
            here = float(text)
        except ValueError:
            continue
        if last is not None and here < last:
            faults.add(file, line, "shape_dist_traveled", Reason.WRONG_ORDER, f"{text} is less than {last:g} before it")
        last = max(here, last or 0.0)


def _frequencies(frequencies: Rows, faults: Faults) -> None:
    spans: dict[str, list[tuple[int, int, int]]] = {}
    repeated = 0
    for line, (trip, start, end, headway) in _columns(frequencies, "trip_id", "start_time", "end_time", "headway_secs"):
        first_s, last_s = seconds(start), seconds(end)
        if first_s is None or last_s is None:
            continue
        if last_s <= first_s:
            faults.add(frequencies.file, line, "end_time", Reason.WRONG_ORDER, f"{end} is not after {start}")
        elif headway.isdecimal() and int(headway):
            repeated += (last_s - first_s) // int(headway)
            if repeated > REPEATED_MAX:
                detail = f"more than {REPEATED_MAX} departures, with those before"
                faults.add(frequencies.file, line, "headway_secs", Reason.TOO_LARGE, detail)
                repeated = 0
        spans.setdefault(trip, []).append((first_s, last_s, line))
    for of_trip in spans.values():
        of_trip.sort()
        for (_, end_s, before), (start_s, _, line) in pairwise(of_trip):
            if start_s < end_s:
                detail = f"begins before the span of line {before} ends"
                faults.add(frequencies.file, line, "start_time", Reason.WRONG_ORDER, detail)


def _info(info: Rows, faults: Faults) -> None:
    for line, (start, end) in _columns(info, "feed_start_date", "feed_end_date"):
        first, last = day_of(start), day_of(end)
        if first is not None and last is not None and last < first:
            faults.add(info.file, line, "feed_end_date", Reason.WRONG_ORDER, f"{end} is before {start}")


def _columns(rows: Rows, *names: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    return zip(rows.lines, zip(*(rows[name] for name in names), strict=True), strict=True)
