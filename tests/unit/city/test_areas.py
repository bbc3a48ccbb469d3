"""Points → district and mahalla, held against plain geometry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from city.areas import Area, AreaIndex, AreaKind, Areas, AreasError, load_areas

TASHKENT = Path(__file__).resolve().parents[3] / "data" / "tashkent"


@pytest.fixture(scope="module")
def tashkent() -> Areas:
    return load_areas(TASHKENT)


def area(code: str, polygon: shapely.Polygon, kind: AreaKind = AreaKind.MAHALLA) -> Area:
    return Area(code=code, kind=kind, district_code="1", names={}, area_ha=None, polygon=polygon)


def plainly(areas: tuple[Area, ...], lats: np.ndarray, lons: np.ndarray) -> list[str | None]:
    """The smallest code whose polygon holds each point, by testing every polygon."""
    found: list[str | None] = [None] * len(lats)
    for one in sorted(areas, key=lambda a: a.code, reverse=True):
        for at in np.flatnonzero(shapely.intersects_xy(one.polygon, lons, lats)):
            found[at] = one.code
    return found


def test_every_point_gets_the_area_that_plain_geometry_gives(tashkent: Areas) -> None:
    """20,000 random points over the city and around it, 0 wrong."""
    random = np.random.default_rng(7)
    lats, lons = random.uniform(41.1, 41.5, 20_000), random.uniform(69.0, 69.5, 20_000)
    districts, mahallas = tashkent.locate(lats, lons)
    assert districts.tolist() == plainly(tashkent.districts, lats, lons)
    assert mahallas.tolist() == plainly(tashkent.mahallas, lats, lons)
    assert 0 < sum(code is None for code in mahallas) < len(mahallas)


def test_points_on_and_beside_corners_are_decided_as_plain_geometry_does(tashkent: Areas) -> None:
    """Corners of polygons lie on borders; several share most of them."""
    corners = np.concatenate([shapely.get_coordinates(a.polygon) for a in tashkent.mahallas[::20]])
    lons = np.concatenate([corners[:, 0], corners[:, 0] + 1e-9, corners[:, 0] - 1e-7])
    lats = np.concatenate([corners[:, 1], corners[:, 1] - 1e-9, corners[:, 1] + 1e-7])
    assert tashkent.locate(lats, lons)[1].tolist() == plainly(tashkent.mahallas, lats, lons)


@settings(max_examples=60, deadline=None)
@given(
    boxes=st.lists(st.tuples(*[st.integers(0, 40)] * 4), min_size=1, max_size=8),
    points=st.lists(st.tuples(st.integers(-2, 84), st.integers(-2, 84)), min_size=1, max_size=60),
)
def test_overlapping_boxes_are_decided_by_the_smaller_code(
    boxes: list[tuple[int, int, int, int]], points: list[tuple[int, int]]
) -> None:
    areas = tuple(
        area(f"{number:03}", shapely.box(x, y, x + width + 1, y + height + 1))
        for number, (x, y, width, height) in enumerate(boxes)
    )
    lons, lats = (np.array(axis) / 2 for axis in zip(*points, strict=True))
    assert AreaIndex([areas]).locate(lats, lons)[0].tolist() == plainly(areas, lats, lons)


def test_a_shared_border_belongs_to_the_smaller_code_whatever_the_order() -> None:
    west, east = area("2", shapely.box(0, 0, 1, 1)), area("1", shapely.box(1, 0, 2, 1))
    assert AreaIndex([[west, east]]).locate([0.5, 0.5, 0.5], [0.5, 1.0, 1.5])[0].tolist() == ["2", "1", "1"]
    assert AreaIndex([[east, west]]).locate([0.5], [1.0])[0].tolist() == ["1"]


def test_holes_parts_and_slivers_are_decided_as_plain_geometry_does() -> None:
    """Holes with an island, a second part, and a strip far thinner than a cell of the grid."""
    ring = shapely.box(0, 0, 10, 10).difference(shapely.box(2, 2, 8, 8))
    far = shapely.box(20, 0, 30.001, 3)
    areas = (
        area("1", shapely.union(shapely.union(ring, far), shapely.box(4, 4, 5, 5))),
        area("2", shapely.Polygon([(-1, -1), (31, 12), (31, 12.00001), (-1, -0.99999)])),
        area("3", shapely.box(1, 1, 9, 9)),
    )
    random = np.random.default_rng(5)
    lons, lats = random.uniform(-2, 32, 20_000), random.uniform(-2, 13, 20_000)
    # Points along the strip and at the grid's own lines, where rounding decides the cell.
    lons = np.concatenate([lons, np.linspace(-1, 31, 4097), -1 + 32 / 1024 * np.arange(1025)])
    lats = np.concatenate([lats, -1 + 13 / 32 * (np.linspace(0, 32, 4097)), -1 + 13.00001 / 1024 * np.arange(1025)])
    found = AreaIndex([areas]).locate(lats, lons)[0].tolist()
    assert found == plainly(areas, lats, lons)
    assert {*found} == {None, "1", "2", "3"}


def test_layers_do_not_hide_each_other() -> None:
    """Each layer has its own answer, wherever the others lie; an empty one has none."""
    low, high = [area("2", shapely.box(0, 0, 4, 4))], [area("1", shapely.box(2, 2, 6, 6))]
    found = AreaIndex([low, [], high]).locate([1, 3, 5, 9], [1, 3, 5, 9])
    assert [layer.tolist() for layer in found] == [["2", "2", None, None], [None] * 4, [None, "1", "1", None]]


def test_a_city_smaller_than_the_slack_of_the_grid_is_still_exact() -> None:
    """Half a metre wide: its cells are smaller than the distance at which a border counts as near."""
    size = 5e-7
    areas = tuple(area(str(n), shapely.box(69 + n * size, 41, 69 + (n + 1) * size, 41 + size)) for n in range(2))
    random = np.random.default_rng(11)
    lons, lats = random.uniform(69 - size, 69 + 3 * size, 2000), random.uniform(41 - size, 41 + 2 * size, 2000)
    assert AreaIndex([areas]).locate(lats, lons)[0].tolist() == plainly(areas, lats, lons)


def test_two_mahallas_of_one_name_stay_apart(tmp_path: Path) -> None:
    """Mustaqillik exists in Mirzo Ulugʻbek (1726269040) and in Olmazor (1726280001): codes tell them apart.

    The shipped layer has a polygon of the second only, so both are drawn here.
    """
    codes = ["1726269040", "1726280001"]
    features = []
    for number, code in enumerate(codes):
        west = 69.2 + number / 10
        ring = [[west, 41.3], [west + 0.05, 41.3], [west + 0.05, 41.35], [west, 41.35], [west, 41.3]]
        polygon = {"type": "Polygon", "coordinates": [ring]}
        features.append(feature(code=code, district_code=code[:7], name_uz="Mustaqillik", geometry=polygon))
    (tmp_path / "mahallas.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    areas = load_areas(tmp_path)
    assert areas.locate([41.32, 41.32], [69.22, 69.32])[1].tolist() == codes
    assert [areas.by_code[code].district_code for code in codes] == ["1726269", "1726280"]
    assert {areas.by_code[code].name("uz") for code in codes} == {"Mustaqillik"}


def test_olmazors_mustaqillik_is_found_by_its_place(tashkent: Areas) -> None:
    inside = tashkent.by_code["1726280001"].polygon.representative_point()
    districts, mahallas = tashkent.locate([inside.y], [inside.x])
    assert (districts.tolist(), mahallas.tolist()) == (["1726280"], ["1726280001"])


def test_a_point_between_mahallas_has_a_district_and_no_mahalla(tashkent: Areas) -> None:
    random = np.random.default_rng(3)
    districts, mahallas = tashkent.locate(random.uniform(41.2, 41.4, 5000), random.uniform(69.15, 69.4, 5000))
    between = (districts != None) & (mahallas == None)  # noqa: E711 - element by element
    assert between.any()


def test_points_that_are_no_place_are_in_no_area(tashkent: Areas) -> None:
    districts, mahallas = tashkent.locate([np.nan, 41.3, np.inf], [69.2, np.nan, -np.inf])
    assert districts.tolist() == mahallas.tolist() == [None, None, None]


def test_a_city_without_polygons_has_no_areas_and_locates_nothing(tmp_path: Path) -> None:
    areas = load_areas(tmp_path)
    assert areas.districts == areas.mahallas == ()
    districts, mahallas = areas.locate([41.3, 0.0], [69.2, 0.0])
    assert districts.tolist() == mahallas.tolist() == [None, None]


def test_all_of_tashkent_is_read_with_its_names(tashkent: Areas) -> None:
    assert (len(tashkent.districts), len(tashkent.mahallas)) == (12, 402)
    assert tashkent.by_code["1726262"].names == {"uz": "Uchtepa", "uz_cyrl": "Учтепа", "ru": "Учтепа"}
    assert tashkent.by_code["1726262001"].district_code == "1726262"
    assert tashkent.by_code["1726262001"].name("en") == "Bogʻobod"


def feature(**changes: Any) -> dict[str, Any]:
    polygon = {"type": "Polygon", "coordinates": [[[69, 41], [69.1, 41], [69.1, 41.1], [69, 41]]]}
    properties = {"code": "1726262001", "district_code": "1726262", "name_uz": "A", "area_ha": 1.0}
    return {
        "type": "Feature",
        "properties": properties | {k: v for k, v in changes.items() if k != "geometry"},
        "geometry": changes.get("geometry", polygon),
    }


BOW_TIE = {"type": "Polygon", "coordinates": [[[69, 41], [69.1, 41.1], [69.1, 41], [69, 41.1], [69, 41]]]}
METRES = {
    "type": "Polygon",
    "coordinates": [[[500000, 4500000], [500100, 4500000], [500100, 4500100], [500000, 4500000]]],
}


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (feature(code=None), "feature 2: code"),
        (feature(code=""), "feature 2: code"),
        (feature(code="1726262009", geometry={"type": "Point", "coordinates": [69, 41]}), "not Point"),
        (feature(code="1726262009", geometry=None), "feature 2 (code 1726262009): geometry"),
        (feature(code="1726262009", geometry=BOW_TIE), "Self-intersection"),
        (feature(code="1726262009", geometry=METRES), "not longitude and latitude"),
        (feature(code="1726262009", district_code=None), "district_code"),
        (feature(), "the code 1726262001 is there already"),
    ],
)
def test_a_bad_feature_is_named_with_its_file(tmp_path: Path, broken: dict[str, Any], told: str) -> None:
    path = tmp_path / "mahallas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature(), broken]}))
    with pytest.raises(AreasError) as error:
        load_areas(tmp_path)
    assert str(path) in str(error.value)
    assert told in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_geojson_is_named(tmp_path: Path) -> None:
    path = tmp_path / "districts.geojson"
    path.write_text('{"type": "FeatureColl')
    with pytest.raises(AreasError, match=r"districts\.geojson: not a GeoJSON"):
        load_areas(tmp_path)
