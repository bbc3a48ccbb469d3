"""A small right feed, to be spoilt."""

from __future__ import annotations

import zipfile
from pathlib import Path

from city.gtfs.timetable import Timetable

RIGHT = {
    "agency.txt": "agency_id,agency_name,agency_url,agency_timezone\n1,Toshshahartransxizmat,https://example.org,Asia/Tashkent\n",
    "stops.txt": (
        "stop_id,stop_name,stop_lat,stop_lon,location_type,parent_station\n"
        'A,"Chorsu, bozor",41.300,69.200,,\nB,Oʻrda,41.300,69.210,0,\nC,Amir Temur,41.300,69.220,,P\n'
        "P,Bekat,41.300,69.220,1,\n"
    ),
    "routes.txt": "route_id,agency_id,route_short_name,route_long_name,route_type\nr1,1,7,,3\nr2,1,,Uzun yoʻl,11\n",
    "calendar.txt": (
        "service_id,monday,tuesday,wednesday,thursday,friday,saturday,sunday,start_date,end_date\n"
        "work,1,1,1,1,1,0,0,20260504,20260517\n"
    ),
    "calendar_dates.txt": "service_id,date,exception_type\nwork,20260509,1\nwork,20260511,2\nfeast,20260510,1\n",
    "shapes.txt": (
        "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence,shape_dist_traveled\n"
        "s,41.300,69.200,1,0\ns,41.300,69.210,2,0.8\ns,41.300,69.220,3,1.7\n"
    ),
    "trips.txt": (
        "route_id,service_id,trip_id,direction_id,shape_id\n"
        "r1,work,t1,0,s\nr1,work,t2,0,s\nr1,feast,t3,1,\nr2,work,night,0,\n"
    ),
    "stop_times.txt": (
        "trip_id,arrival_time,departure_time,stop_id,stop_sequence,shape_dist_traveled\n"
        "t1,08:00:00,08:00:00,A,1,0\nt1,,,B,2,0.8\nt1,08:10:00,08:10:00,C,5,1.7\n"
        "t2,8:15:00,8:15:30,A,1,\nt2,08:20:00,08:20:00,B,2,\nt2,08:26:00,08:26:00,C,3,\n"
        "t3,09:00:00,09:00:00,C,1,\nt3,09:12:00,09:12:00,A,2,\n"
        "night,23:55:00,23:55:00,A,1,\nnight,25:05:00,25:05:00,C,2,\n"
    ),
    "frequencies.txt": "trip_id,start_time,end_time,headway_secs,exact_times\nt3,09:00:00,10:00:00,1200,1\n",
    "feed_info.txt": "feed_publisher_name,feed_publisher_url,feed_lang\nMarkaz,https://example.org,uz\n",
    "fares.txt": "this,is,not,read\n\xff",
}  # fmt: skip


def folder(tmp_path: Path, **spoilt: str | bytes | None) -> Path:
    """The feed as a folder; `stops=…` replaces `stops.txt`, None leaves it out."""
    made = tmp_path / "feed"
    made.mkdir()
    for name, text in RIGHT.items():
        given = spoilt.get(name.removesuffix(".txt"), text)
        if given is not None:
            (made / name).write_bytes(given if isinstance(given, bytes) else given.encode())
    return made


def packed(tmp_path: Path, files: dict[str, str]) -> Path:
    """Files as a zip, names as they are given."""
    made = tmp_path / "feed.zip"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return made


def departures(timetable: Timetable, trip: str) -> dict[str, int]:
    """A trip's departures by stop, seconds of the service day."""
    rows = timetable.visits.trip == timetable.trips.trip_id.index(trip)
    stops = [timetable.stop_ids[stop] for stop in timetable.visits.stop[rows]]
    return dict(zip(stops, timetable.visits.departure_s[rows].tolist(), strict=True))
