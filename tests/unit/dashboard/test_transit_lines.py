"""The routes that can be asked about, as the API tells them."""

from __future__ import annotations

import json
import os
from pathlib import Path

from analysis.transit.study import capacity_of
from city.routes import Line, Stop
from dashboard.transit_lines import Lines, routes_json
from tests.unit.analysis.transit.planted import table


def line(route: str, direction: int = 1) -> Line:
    stop = Stop(stop_id="s", name="Chorsu", lat=41.0, lon=69.0, along_m=12.34)
    return Line(
        route=route, direction=direction, points=((41, 69), (42, 69)), stops=(stop,), begins="A", ends="B", length_m=9.0
    )


def test_routes_come_in_the_order_of_their_numbers_names_last() -> None:
    lines = [line(name) for name in ("12", "Express", "7m", "7", "100")] + [line("7", 2)]
    told = routes_json(lines, None)
    assert [one["route"] for one in told] == ["7", "7m", "12", "100", "Express"]
    assert [one["direction"] for one in told[0]["lines"]] == [1, 2]
    assert told[0]["lines"][0]["stops"] == 1


def test_one_route_has_its_stops() -> None:
    (told,) = routes_json([line("7"), line("8")], "7")
    assert told["lines"][0]["stops"] == [{"stop_id": "s", "stop_name": "Chorsu", "along_m": 12.3}]
    assert routes_json([line("7")], "9") == []


def test_lines_are_read_again_when_their_file_is_another(tmp_path: Path) -> None:
    lines = Lines(tmp_path, tmp_path / "var", "tashkent")
    assert lines.all() == ()
    feature = {
        "type": "Feature",
        "properties": {"route_ref": "7", "direction": 1},
        "geometry": {"type": "LineString", "coordinates": [[69.0, 41.0], [69.1, 41.0]]},
    }
    file = tmp_path / "bus_routes.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert [(one.route, one.direction) for one in lines.all()] == [("7", 1), ("7", 2)]
    assert lines.all() is lines.all()
    feature["properties"] = {"route_ref": "8", "direction": 1}
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    os.utime(file, ns=(1, 1))
    assert {one.route for one in lines.all()} == {"8"}


def test_capacity_is_the_median_of_the_vehicles_that_tell_one() -> None:
    rows: list[dict[str, object]] = [
        {"vehicle_id": "a", "capacity": 90},
        {"vehicle_id": "a", "capacity": 100},
        {"vehicle_id": "b", "capacity": 60},
        {"vehicle_id": "c", "capacity": None},
        {"vehicle_id": "d", "capacity": 0},
    ]
    assert capacity_of(table(rows)) == 80
    assert capacity_of(table(rows[3:])) is None
