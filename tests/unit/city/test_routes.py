"""Reading the city's routes: both directions of each, and one clear line for what cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from city.routes import RoutesError, load_routes

TASHKENT = Path(__file__).resolve().parents[3] / "data" / "tashkent"
LINE = {"type": "LineString", "coordinates": [[69.2, 41.3], [69.21, 41.3], [69.22, 41.31]]}
STOP = {"properties": {"osm_id": 5, "name_ru": "Bozor"}, "geometry": {"type": "Point", "coordinates": [69.21, 41.3]}}


def feature(route: Any = "7", geometry: Any = LINE, **more: Any) -> dict[str, Any]:
    properties = {"route_ref": route, "from": "West", "to": "East", "length_km": 2.0} | more
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def city(folder: Path, *routes: Any, stops: list[Any] | None = None, rows: str = "") -> Path:
    (folder / "bus_routes.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": routes}))
    (folder / "bus_stops.geojson").write_text(json.dumps({"features": [STOP] if stops is None else stops}))
    (folder / "route_stops.csv").write_text("route_ref,sequence,osm_id,along_m\n" + rows)
    return folder


def test_tashkent_has_fourteen_routes_there_and_back() -> None:
    lines = load_routes(TASHKENT)
    assert len(lines) == 28
    assert len({line.route for line in lines}) == 14
    assert sum(len(line.stops) for line in lines) == 2 * 464
    for out, back in zip(lines[::2], lines[1::2], strict=True):
        assert (out.route, out.direction, back.direction) == (back.route, 1, 2)
        assert out.points == back.points[::-1]
        assert [stop.stop_id for stop in out.stops] == [stop.stop_id for stop in reversed(back.stops)]
        for line in (out, back):
            alongs_m = [stop.along_m for stop in line.stops]
            assert alongs_m == sorted(alongs_m)
            assert 0 <= alongs_m[0] <= alongs_m[-1] <= line.length_m


def test_a_city_without_the_file_has_no_routes(tmp_path: Path) -> None:
    assert load_routes(tmp_path) == ()


def test_the_way_back_is_the_line_reversed_unless_it_is_drawn(tmp_path: Path) -> None:
    rows = "7,1,5,900\n"
    out, back = load_routes(city(tmp_path, feature(), rows=rows))
    assert (back.begins, back.ends, back.points[0]) == ("East", "West", (41.31, 69.22))
    assert [stop.along_m for stop in back.stops] == [1100.0]
    assert out.stops[0].name == "Bozor"
    other = {"type": "LineString", "coordinates": [[69.22, 41.32], [69.2, 41.32]]}
    _, drawn = load_routes(city(tmp_path, feature(), feature(direction=2, geometry=other), rows=rows))
    assert drawn.points == ((41.32, 69.22), (41.32, 69.2))


def test_stops_stand_in_their_sequence_and_numbers_are_names(tmp_path: Path) -> None:
    second = {"properties": {"osm_id": "b"}, "geometry": {"type": "Point", "coordinates": [69.2, 41.3]}}
    (out, _) = load_routes(city(tmp_path, feature(7), stops=[STOP, second], rows="7,2,5,900\n7,1,b,10\n"))
    assert (out.route, [stop.stop_id for stop in out.stops]) == ("7", ["b", "5"])


@pytest.mark.parametrize(
    ("routes", "rows", "why"),
    [
        ([feature(geometry={"type": "Point", "coordinates": [1, 2]})], "", r"feature 1: .*'Point'"),
        ([feature(), {"properties": {}, "geometry": LINE}], "", r"feature 2: .*route_ref"),
        ([feature(), feature()], "", r"feature 2 \(route 7\): direction 1 is there already"),
        ([feature(geometry=LINE | {"coordinates": [[69, 41]]})], "", r"feature 1 \(route 7\): .*two points"),
        ([feature(geometry=LINE | {"coordinates": [[41, 169], [41, 168]]})], "", "not longitude and latitude"),
        ([feature()], "7,1,6,100\n", r"line 2: no feature is the stop 6"),
        ([feature()], "7,1,5,1\n8,1,5,100\n", r"line 3: no feature is the route 8"),
        ([feature()], "7,1,5,far\n", r"line 2: .*far"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path, routes: list[Any], rows: str, why: str) -> None:
    with pytest.raises(RoutesError, match=why) as told:
        load_routes(city(tmp_path, *routes, rows=rows))
    assert "\n" not in str(told.value)


def test_a_file_that_is_no_geojson_or_lacks_a_column_is_named(tmp_path: Path) -> None:
    city(tmp_path, feature())
    (tmp_path / "bus_routes.geojson").write_text("[]")
    with pytest.raises(RoutesError, match=r"bus_routes.geojson: not a GeoJSON feature collection"):
        load_routes(tmp_path)
    city(tmp_path, feature())
    (tmp_path / "route_stops.csv").write_text("route_ref,sequence\n7,1\n")
    with pytest.raises(RoutesError, match=r"route_stops.csv: there is no column 'osm_id'"):
        load_routes(tmp_path)
