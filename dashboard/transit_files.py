"""Files that others work on with: tables of TIDES, and the timetable that was driven as GTFS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from analysis.transit import tides
from analysis.transit.columns import fixes_by_route
from analysis.transit.counts import counted, counts_of, of_visits
from analysis.transit.observed import Agency, observed_feed
from analysis.transit.passages import LinePassages
from analysis.transit.study import (
    AROUND_MS,
    COUNTS,
    POSITIONS,
    City,
    Rows,
    TransitQuestion,
    What,
    days,
    read_passages,
)
from city.config import Config
from city.gtfs.stored import folder, stored
from city.gtfs.writer import feed_bytes
from dashboard.transit_desk import CannotBeMade, FileAsked, NothingSeen
from dashboard.transit_worker import in_time, opened, rows_of

# Some 0.7 GB as CSV: beyond this the process would outgrow what a machine has left.
ROWS_MAX = 5_000_000


def work(config: Config, asked: FileAsked, folder: Path) -> Path:
    """A file of the folder with it; raises NotAnswered."""
    return in_time(config, lambda: _work(config, asked, folder))


def _work(config: Config, asked: FileAsked, into: Path) -> Path:
    with opened(config, asked.routes, asked.from_ms, asked.to_ms) as (view, city):
        rows = rows_of(view)
        if asked.kind == "gtfs":
            made = _gtfs(config, asked, city, rows)
        else:
            table = _table(asked, city, rows)
            made = tides.as_parquet(table) if asked.form == "parquet" else tides.as_csv(table)
    path = into / f"{asked.kind}.{asked.form}"
    path.write_bytes(made)
    return path


def _gtfs(config: Config, asked: FileAsked, city: City, rows: Rows) -> bytes:
    known = stored(folder(config.data_dir, config.city))
    url = asked.agency_url or (known[0].agency_url if known else None)
    if url is None:
        raise CannotBeMade("agency_url: GTFS asks for the agency's address, and no timetable was imported that has it")
    agency = Agency(
        name=known[0].agency if known else config.profile.names.get("en", config.city),
        url=url,
        timezone=config.profile.timezone,
        language=config.profile.language,
    )
    passages = [one for route in asked.routes for one in _passages(asked, route, city, rows)]
    feed = observed_feed(passages, agency, config.transit.day_begins_h)
    if not feed["trips"]:
        raise NothingSeen("no trip was observed in that time")
    return feed_bytes(feed)


def _table(asked: FileAsked, city: City, rows: Rows) -> pa.Table:
    told = tides.Days(city.zone, city.settings.day_begins_h)
    parts: list[pa.Table] = []
    for route in asked.routes:
        if asked.kind == "vehicle_locations":
            for span in days(asked.from_ms, asked.to_ms, city):
                found = fixes_by_route(rows("position", *span, POSITIONS, routes=(route,)))
                parts += [tides.vehicle_locations(fixes, told) for fixes in found]
                _check_size(parts)
            continue
        _check_size(parts)
        passages = _passages(asked, route, city, rows)
        if asked.kind == "trips_performed":
            parts.append(tides.trips_performed(passages, told))
            continue
        vehicles = sorted({run.vehicle_id for one in passages for run in one.runs})
        if not vehicles:
            continue
        around = rows("passengers", asked.from_ms - AROUND_MS, asked.to_ms + AROUND_MS, COUNTS, vehicles=vehicles)
        counts = counts_of(around)
        if asked.kind == "passenger_events":
            parts.append(tides.passenger_events(of_visits(counts, passages), told))
        else:
            parts.append(tides.stop_visits(counted(counts, passages), told))
    _check_size(parts)
    filled = [part for part in parts if part.num_columns and len(part)]
    if not filled:
        raise NothingSeen("nothing was observed in that time")
    return pa.concat_tables(filled)


def _check_size(parts: Sequence[pa.Table]) -> None:
    rows = sum(len(part) for part in parts)
    if rows > ROWS_MAX:
        raise CannotBeMade(f"to: more than {ROWS_MAX} rows; ask for a shorter time or fewer routes")


def _passages(asked: FileAsked, route: str, city: City, rows: Rows) -> Sequence[LinePassages]:
    of_route = TransitQuestion(what=What.TRIPS, route=route, from_ms=asked.from_ms, to_ms=asked.to_ms)
    return read_passages(of_route, city, rows)
