"""Importing official polygons: what comes out, and how a file that cannot be used is told."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import geopandas
import pytest
from shapely import Point, Polygon, box
from shapely.geometry import shape

from city.config import Config, ConfigError
from city.settings import CityProfile
from markaz.geo import GeoError, add_arguments, read_areas, run

WEST, EAST = box(69.0, 41.0, 69.1, 41.1), box(69.1, 41.0, 69.2, 41.1)
CITIES = {
    name: CityProfile(names={"en": name}, bounds=(69, 41, 70, 42), timezone="Asia/Tashkent")
    for name in ("tashkent", "dushanbe")
}


def make(file: Path, rows: list[dict[str, object]], crs: str | None = "EPSG:4326") -> Path:
    geopandas.GeoDataFrame(rows, geometry="geometry", crs=crs).to_file(file)
    return file


def districts(tmp_path: Path) -> Path:
    rows = [
        {"code": "1726262", "name_uz": "Gʻarb", "geometry": WEST},
        {"code": "1726264", "name_uz": "Sharq", "geometry": EAST},
    ]
    return make(tmp_path / "official.gpkg", rows)


def command(tmp_path: Path, *words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(Config(cities=CITIES, root=tmp_path), parser.parse_args(["import", *words]))


def test_an_official_layer_becomes_the_citys_polygons(tmp_path: Path) -> None:
    """Another projection and other field names in, WGS-84 and ours out, sorted by code."""
    rows = [
        {"SOATO": 1726264, "NOMI": " Sharq  tumani ", "НАЗВ": "Восток", "geometry": EAST},
        {"SOATO": 1726262, "NOMI": "Gʻarb", "НАЗВ": None, "geometry": WEST},
    ]
    file = tmp_path / "official.gpkg"
    geopandas.GeoDataFrame(rows, geometry="geometry", crs="EPSG:4326").to_crs("EPSG:32642").to_file(file)
    fields = ["--code", "SOATO", "--name-uz", "NOMI", "--name-ru", "НАЗВ", "--city", "dushanbe"]
    assert command(tmp_path, "districts", str(file), *fields) == 0
    written = json.loads((tmp_path / "data" / "dushanbe" / "districts.geojson").read_text(encoding="utf-8"))
    west, east = written["features"]
    assert west["properties"] == {"code": "1726262", "name_uz": "Gʻarb", "area_ha": pytest.approx(9330, rel=0.01)}
    assert (east["properties"]["name_uz"], east["properties"]["name_ru"]) == ("Sharq tumani", "Восток")
    assert shape(west["geometry"]).symmetric_difference(WEST).area < 1e-6
    for lon, lat in west["geometry"]["coordinates"][0]:
        assert (lon, lat) == (round(lon, 5), round(lat, 5))
    assert [path.name for path in (tmp_path / "data" / "dushanbe").iterdir()] == ["districts.geojson"]


def test_a_mahalla_belongs_to_the_district_that_it_overlaps_most(tmp_path: Path) -> None:
    rows = [
        {"code": "1726262001", "name_uz": "A", "geometry": box(69.05, 41.0, 69.11, 41.05)},
        {"code": "1726264001", "name_uz": "B", "geometry": box(69.09, 41.05, 69.15, 41.1)},
    ]
    areas = read_areas(make(tmp_path / "m.gpkg", rows), "mahallas", districts=districts(tmp_path))
    assert [(area.code, area.district_code) for area in areas] == [("1726262001", "1726262"), ("1726264001", "1726264")]


def test_a_self_crossing_polygon_is_made_valid(tmp_path: Path) -> None:
    bow = Polygon([(69.0, 41.0), (69.1, 41.1), (69.1, 41.0), (69.0, 41.1)])
    (area,) = read_areas(make(tmp_path / "d.gpkg", [{"code": "1", "name_uz": "A", "geometry": bow}]), "districts")
    assert area.polygon.is_valid
    assert area.polygon.geom_type == "MultiPolygon"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("1", WEST), ("1", EAST)], "feature 1 (1): feature 0 has the same code"),
        ([("1", WEST), ("17-26", EAST)], "feature 1: code must be digits, not '17-26'"),
        ([("1", WEST), (None, EAST)], "feature 1: code must be digits"),
        ([("1", Point(69, 41))], "feature 0 (1): a polygon is expected, not a Point"),
        ([("1", None), ("2", EAST)], "feature 0 (1): it has no geometry"),
        ([("1", box(69.0, 41.0, 69.000001, 41.000001))], "feature 0 (1): nothing of it is left at a metre's precision"),
    ],
)
def test_a_feature_that_cannot_be_used_is_named_with_the_reason(
    rows: list[tuple[str | None, object]], said: str, tmp_path: Path
) -> None:
    named = [{"code": code, "name_uz": "A", "geometry": geometry} for code, geometry in rows]
    file = make(tmp_path / "official.gpkg", named)
    with pytest.raises(GeoError) as caught:
        read_areas(file, "districts")
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)


def test_a_mahalla_in_no_district_is_named(tmp_path: Path) -> None:
    far = make(tmp_path / "m.gpkg", [{"code": "1", "name_uz": "A", "geometry": box(70, 42, 70.1, 42.1)}])
    with pytest.raises(GeoError, match=r"feature 0 \(1\): it lies in no district"):
        read_areas(far, "mahallas", districts=districts(tmp_path))


def test_mahallas_before_districts_are_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GeoError, match="import districts first, or set --district"):
        read_areas(districts(tmp_path), "mahallas", districts=tmp_path / "none.geojson")


def test_a_missing_field_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(GeoError, match=r"no field 'soato' \(it has: code, name_uz\): set --code"):
        read_areas(districts(tmp_path), "districts", code="soato")


def test_a_file_that_is_no_map_leaves_the_old_one_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(tmp_path, "districts", str(districts(tmp_path))) == 0
    before = (tmp_path / "data" / "tashkent" / "districts.geojson").read_bytes()
    (tmp_path / "broken.geojson").write_text("not a map")
    assert command(tmp_path, "districts", str(tmp_path / "broken.geojson")) == 1
    assert "broken.geojson: cannot be read" in capsys.readouterr().err
    assert (tmp_path / "data" / "tashkent" / "districts.geojson").read_bytes() == before


def test_a_city_without_a_profile_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'samarkand' has no profile"):
        command(tmp_path, "districts", str(districts(tmp_path)), "--city", "samarkand")
