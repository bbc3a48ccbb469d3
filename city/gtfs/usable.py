"""What of a feed says when a vehicle is at which stop: the rest is valid, and nothing for a timetable of lines."""

from __future__ import annotations

from collections import Counter

from city.gtfs.faults import Faults
from city.gtfs.reader import Feed, Rows


def usable(feed: Feed, faults: Faults) -> Feed:
    """The feed without the stop times of flexible trips (areas in place of stops) and of trips with one stop only.

    Both are noted with their number.
    """
    times, trips = feed["stop_times"], feed["trips"]
    areas = zip(times["trip_id"], times["location_id"], times["location_group_id"], strict=True)
    flexible = {trip for trip, area, group in areas if area or group}
    stops = Counter(times["trip_id"])
    single = {trip for trip in set(trips["trip_id"]) if stops[trip] == 1} - flexible
    for names, what in ((flexible, "serve areas in place of stops"), (single, "have one stop only")):
        if names:
            faults.notes.append(f"stop_times.txt: {len(names)} trips {what} and are left out")
    left_out = flexible | single
    if left_out:
        feed = {**feed, "stop_times": _without(times, left_out)}
    unsaid = trips["direction_id"].count("")
    if unsaid:
        faults.notes.append(f"trips.txt: {unsaid} trips have no direction_id and are taken as of the first direction")
    return feed


def _without(rows: Rows, trips: set[str]) -> Rows:
    kept = [at for at, trip in enumerate(rows["trip_id"]) if trip not in trips]
    columns = {name: [column[at] for at in kept] for name, column in rows.columns.items()}
    return Rows(rows.file, [rows.lines[at] for at in kept], columns, rows.given)
