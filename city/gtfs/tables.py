"""The files and fields of a feed that are read: their kinds, what is required, what they refer to.

GTFS Schedule reference (gtfs.org); other files and columns of a feed are left alone.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Kind(StrEnum):
    """How a field must look."""

    TEXT = "text"
    URL = "url"
    TIMEZONE = "timezone"
    LATITUDE = "latitude"
    LONGITUDE = "longitude"
    WHOLE = "whole"  # not negative
    POSITIVE = "positive"  # a whole number above 0
    NUMBER = "number"  # not negative
    TIME = "time"
    DATE = "date"
    CHOICE = "choice"
    COLOR = "color"


class Field(Struct, frozen=True):
    """A column."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False  # column and a value in each row
    refers: str = ""  # "file.column" that must have the value
    choice: tuple[str, ...] = ()


class Table(Struct, frozen=True):
    """A file."""

    name: str
    required: bool
    key: tuple[str, ...]  # must differ from row to row
    fields: tuple[Field, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.txt"


def _flag(name: str, *choice: str, required: bool = False) -> Field:
    return Field(name, Kind.CHOICE, required, choice=choice or ("0", "1"))


_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
WEEKDAYS = _DAYS
# Basic route types, and the extended ones of Google's that most feeds of Europe use.
ROUTE_TYPES = (*map(str, (0, 1, 2, 3, 4, 5, 6, 7, 11, 12)), *map(str, range(100, 1800)))

TABLES = (
    Table(
        "agency", True, ("agency_id",),
        (
            Field("agency_id"), Field("agency_name", required=True), Field("agency_url", Kind.URL, True),
            Field("agency_timezone", Kind.TIMEZONE, True), Field("agency_lang"),
        ),
    ),
    Table(
        "stops", True, ("stop_id",),
        (
            Field("stop_id", required=True), Field("stop_code"), Field("stop_name"),
            Field("stop_lat", Kind.LATITUDE), Field("stop_lon", Kind.LONGITUDE),
            _flag("location_type", "0", "1", "2", "3", "4"),
            Field("parent_station", refers="stops.stop_id"), Field("stop_timezone", Kind.TIMEZONE),
        ),
    ),
    Table(
        "routes", True, ("route_id",),
        (
            Field("route_id", required=True), Field("agency_id", refers="agency.agency_id"),
            Field("route_short_name"), Field("route_long_name"),
            Field("route_type", Kind.CHOICE, True, choice=ROUTE_TYPES), Field("route_url", Kind.URL),
            Field("route_color", Kind.COLOR), Field("route_text_color", Kind.COLOR),
        ),
    ),
    Table(
        "calendar", False, ("service_id",),
        (
            Field("service_id", required=True), *(_flag(day, required=True) for day in _DAYS),
            Field("start_date", Kind.DATE, True), Field("end_date", Kind.DATE, True),
        ),
    ),
    Table(
        "calendar_dates", False, ("service_id", "date"),
        (
            Field("service_id", required=True), Field("date", Kind.DATE, True),
            _flag("exception_type", "1", "2", required=True),
        ),
    ),
    Table(
        "shapes", False, ("shape_id", "shape_pt_sequence"),
        (
            Field("shape_id", required=True), Field("shape_pt_lat", Kind.LATITUDE, True),
            Field("shape_pt_lon", Kind.LONGITUDE, True), Field("shape_pt_sequence", Kind.WHOLE, True),
            Field("shape_dist_traveled", Kind.NUMBER),
        ),
    ),
    Table(
        "trips", True, ("trip_id",),
        (
            Field("route_id", required=True, refers="routes.route_id"), Field("service_id", required=True),
            Field("trip_id", required=True), Field("trip_headsign"), _flag("direction_id"), Field("block_id"),
            Field("shape_id", refers="shapes.shape_id"), _flag("wheelchair_accessible", "0", "1", "2"),
        ),
    ),
    Table(
        "stop_times", True, ("trip_id", "stop_sequence"),
        (
            Field("trip_id", required=True, refers="trips.trip_id"), Field("arrival_time", Kind.TIME),
            Field("departure_time", Kind.TIME), Field("stop_id", required=True, refers="stops.stop_id"),
            Field("stop_sequence", Kind.WHOLE, True), _flag("pickup_type", "0", "1", "2", "3"),
            _flag("drop_off_type", "0", "1", "2", "3"), _flag("timepoint"),
            Field("shape_dist_traveled", Kind.NUMBER), Field("location_id"), Field("location_group_id"),
        ),
    ),
    Table(
        "frequencies", False, ("trip_id", "start_time"),
        (
            Field("trip_id", required=True, refers="trips.trip_id"), Field("start_time", Kind.TIME, True),
            Field("end_time", Kind.TIME, True), Field("headway_secs", Kind.POSITIVE, True), _flag("exact_times"),
        ),
    ),
    Table(
        "feed_info", False, (),
        (
            Field("feed_publisher_name", required=True), Field("feed_publisher_url", Kind.URL, True),
            Field("feed_lang", required=True), Field("feed_start_date", Kind.DATE),
            Field("feed_end_date", Kind.DATE), Field("feed_version"),
        ),
    ),
)  # fmt: skip
BY_NAME = {table.name: table for table in TABLES}
FILES = frozenset(table.file for table in TABLES)
