"""`markaz gtfs`: looks at a timetable (GTFS static), brings one in, or writes the one that was observed."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from city.config import Config, ConfigError
from city.gtfs.faults import GtfsError
from city.gtfs.stored import StoredError, folder, save, stored
from city.gtfs.timetable import Timetable, load

HOUR_S = 3600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(dest="verb", metavar="verb", title="verbs", required=True)
    check = verbs.add_parser("check", help="say what is wrong in a feed; without FILE, show the city's timetable")
    check.add_argument("file", type=Path, nargs="?", metavar="FILE", help="a GTFS zip, or a folder with its files")
    bring = verbs.add_parser("import", help="make a feed the city's timetable")
    bring.add_argument("file", type=Path, metavar="FILE", help="a GTFS zip, or a folder with its files")
    export = verbs.add_parser("export", help="write what was observed as a GTFS zip")
    export.add_argument("--from", dest="first", type=_day, required=True, metavar="DATE", help="first service day")
    export.add_argument("--to", dest="last", type=_day, metavar="DATE", help="last service day (default: the first)")
    export.add_argument("--out", type=Path, required=True, metavar="FILE.zip")
    export.add_argument("--route", action="append", default=[], help="only this route; may be given several times")
    export.add_argument("--agency-url", metavar="URL", help="default: that of the city's timetable")
    for below in (check, bring, export):
        below.add_argument("--config", type=Path, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(config: Config, arguments: argparse.Namespace) -> int:
    try:
        if arguments.verb == "import":
            return _import(config, arguments.file)
        if arguments.verb == "export":
            return _export(config, arguments)
        return _check(config, arguments.file)
    except GtfsError as error:
        for fault in error.faults:
            print(f"markaz: {fault}", file=sys.stderr)
        more = error.total - len(error.faults)
        rest = f", {more} more" if more else ""
        print(f"markaz: {arguments.file}: {error.total} faults{rest}; nothing was changed", file=sys.stderr)
    except (OSError, StoredError) as error:
        print(f"markaz: {error}", file=sys.stderr)
    return 1


def _check(config: Config, file: Path | None) -> int:
    if file is not None:
        timetable, notes = load(file)
        print(_shown(timetable))
        for note in notes:
            print(f"note: {note}")
        return 0
    found = stored(folder(config.data_dir, config.city))
    if found is None:
        print(f"{config.city} has no timetable: markaz gtfs import FILE")
        return 0
    timetable, about = found
    when = datetime.fromtimestamp(about.imported_ms / 1000, UTC)
    print(f"{config.city}: {about.source}, imported {when:%Y-%m-%d %H:%M} UTC")
    print(_shown(timetable))
    return 0


def _import(config: Config, file: Path) -> int:
    timetable, notes = load(file)
    save(timetable, folder(config.data_dir, config.city), file.name, time.time_ns() // 1_000_000)
    print(f"{file.name} is the timetable of {config.city} now")
    print(_shown(timetable))
    for note in notes:
        print(f"note: {note}")
    if timetable.timezone != config.profile.timezone:
        print(f"note: its times are of {timetable.timezone}, the city's of {config.profile.timezone}")
    return 0


def _shown(timetable: Timetable) -> str:
    trips, dates = timetable.trips, sorted(timetable.dates)
    days = f"{dates[0]} to {dates[-1]}, {len(dates)} days with service" if dates else "no day with service"
    return "\n".join(
        (
            f"{timetable.agency}, {timetable.timezone}: {days}",
            f"{len(set(trips.route_id))} routes, {len(timetable.lines)} lines, {len(timetable.stop_ids)} stops, "
            f"{len(trips.trip_id)} trips, {len(timetable.visits.trip)} stop times",
        )
    )


def _export(config: Config, arguments: argparse.Namespace) -> int:
    # The numeric libraries and the archive, that only this needs.
    from analysis.transit.columns import fixes_by_route  # noqa: PLC0415
    from analysis.transit.observed import Agency, observed_feed  # noqa: PLC0415
    from analysis.transit.passages import PassageRules, passages_of  # noqa: PLC0415
    from analysis.transit.study import OVERLAP_MS  # noqa: PLC0415
    from city.gtfs.writer import write_feed  # noqa: PLC0415
    from city.history.engines import HistoryError  # noqa: PLC0415
    from city.routes import RoutesError, load_routes  # noqa: PLC0415
    from markaz.gtfs_rows import position_rows  # noqa: PLC0415

    first, last = arguments.first, arguments.last or arguments.first
    if last < first:
        raise ConfigError("gtfs export: --to is before --from")
    zone = ZoneInfo(config.profile.timezone)
    known = stored(folder(config.data_dir, config.city))
    try:
        lines = load_routes(config.city_dir) or (known[0].lines if known else ())
    except RoutesError as error:
        raise ConfigError(str(error)) from None
    url = arguments.agency_url or (known[0].agency_url if known else None)
    if url is None:
        raise ConfigError("gtfs export: --agency-url is needed: GTFS asks for it, and no timetable was imported")
    name = known[0].agency if known else config.profile.names.get("en", config.city)
    begins_h = config.transit.day_begins_h
    passages = []
    routes = sorted({line.route for line in lines if not arguments.route or line.route in arguments.route})
    rules = PassageRules(within_m=config.transit.stop_within_m)
    spans = [
        (_start_ms(first, zone, begins_h, day), _start_ms(first, zone, begins_h, day + 1))
        for day in range((last - first).days + 1)
    ]
    try:
        with position_rows(config) as rows:
            for route in routes:
                for begin_ms, end_ms in spans:
                    # A run belongs to the day that it began on, and is read to its end.
                    for fixes in fixes_by_route(rows(begin_ms - OVERLAP_MS, end_ms + OVERLAP_MS, route)):
                        of_route = [line for line in lines if line.route == fixes.route]
                        passages += [passages_of(fixes, line, rules, (begin_ms, end_ms)) for line in of_route]
    except HistoryError as error:
        print(f"markaz: gtfs export: {error}", file=sys.stderr)
        return 1
    agency = Agency(name=name, url=url, timezone=config.profile.timezone, language=config.profile.language)
    feed = observed_feed(passages, agency, begins_h)
    if not feed["trips"]:
        print("markaz: gtfs export: no trip was observed in that time; nothing was written", file=sys.stderr)
        return 1
    write_feed(feed, arguments.out)
    print(f"{len(feed['trips'])} trips, {len(feed['stop_times'])} stop times written to {arguments.out}")
    return 0


def _start_ms(day: date, zone: ZoneInfo, begins_h: int, days: int = 0) -> int:
    start = datetime.combine(day + timedelta(days=days), datetime.min.time(), zone)
    return round(start.timestamp() * 1000) + begins_h * HOUR_S * 1000


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date, such as 2026-05-04") from None
