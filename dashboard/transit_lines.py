"""The lines that the transport analysis knows: the city's own, else those of its timetable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from city.gtfs.stored import folder, stored
from city.routes import Line, load_routes
from dashboard.answers import Json


def lines_of(city_dir: Path, kept: Path) -> tuple[Line, ...]:
    """The city's own lines, else those of its timetable; raises RoutesError, StoredError."""
    lines = load_routes(city_dir)
    if lines:
        return lines
    found = stored(kept)
    return () if found is None else found[0].lines


class Lines:
    """The lines as the API tells them; files are read with the first question, and again when they are others."""

    def __init__(self, city_dir: Path, data_dir: Path, city: str) -> None:
        self._city_dir = city_dir
        self._kept = folder(data_dir, city)
        self._read: tuple[tuple[int, ...], tuple[Line, ...]] | None = None

    def all(self) -> tuple[Line, ...]:
        """Every line; reads files, so not in the event loop's thread. Raises RoutesError, StoredError."""
        now = changed_ns(self._city_dir, self._kept)
        if self._read is None or self._read[0] != now:
            self._read = now, lines_of(self._city_dir, self._kept)
        return self._read[1]


def changed_ns(city_dir: Path, kept: Path) -> tuple[int, ...]:
    """When the files of lines and timetable were changed; 0 for one that is not there."""
    files = [city_dir / name for name in ("bus_routes.geojson", "bus_stops.geojson", "route_stops.csv")]
    return tuple(_changed_ns(file) for file in (*files, kept / "current"))


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def routes_json(lines: Sequence[Line], route: str | None) -> list[Json]:
    """Routes in the order of their numbers, with their lines; of one `route` the stops, too."""
    routes: dict[str, list[Json]] = {}
    for line in lines:
        if route is not None and line.route != route:
            continue
        told: Json = {
            "direction": line.direction,
            "begins": line.begins,
            "ends": line.ends,
            "length_m": round(line.length_m, 1),
            "stops": len(line.stops),
        }
        if route is not None:
            told["stops"] = [
                {"stop_id": stop.stop_id, "stop_name": stop.name, "along_m": round(stop.along_m, 1)}
                for stop in line.stops
            ]
        routes.setdefault(line.route, []).append(told)
    return [{"route": name, "lines": routes[name]} for name in sorted(routes, key=lambda one: (_number(one), one))]


def _number(route: str) -> tuple[bool, int]:
    """Before letters: `7`, `7m`, `12`, then names without a number."""
    digits = ""
    for letter in route:
        if not letter.isdecimal():
            break
        digits += letter
    return not digits, int(digits or 0)
