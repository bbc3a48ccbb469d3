"""Points in polygons and near pieces, held against shapely."""

from __future__ import annotations

from itertools import pairwise

import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from analysis.geometry import distance_m, inside, least_m, segment

# Millimetres: shapely itself is lost in what no map can show.
coordinates = st.integers(-1_000_000, 1_000_000).map(lambda mm: mm / 1000)
points = st.tuples(coordinates, coordinates)


@given(st.lists(points, min_size=3, max_size=8, unique=True), points)
def test_inside_is_what_plain_geometry_says(corners: list[tuple[float, float]], point: tuple[float, float]) -> None:
    polygon = shapely.Polygon(corners)
    assume(polygon.is_valid)
    # Whether a point on the border is inside is no business of a fence.
    assume(polygon.exterior.distance(shapely.Point(point)) > 1e-6)
    assert inside(tuple(corners), *point) == polygon.contains(shapely.Point(point))


@given(st.lists(points, min_size=2, max_size=6), points)
def test_the_nearest_piece_is_as_far_as_plain_geometry_says(
    corners: list[tuple[float, float]], point: tuple[float, float]
) -> None:
    pieces = [segment(*start, *end) for start, end in pairwise(corners)]
    true_m = min(shapely.LineString(pair).distance(shapely.Point(point)) for pair in pairwise(corners))
    assert least_m(pieces, *point) == pytest.approx(true_m, abs=1e-3)


def test_a_degree_of_latitude_is_111_kilometres() -> None:
    assert distance_m(41.0, 69.0, 42.0, 69.0) == pytest.approx(111_195, rel=1e-4)
    assert distance_m(60.0, 24.0, 60.0, 24.1) == pytest.approx(5_560, rel=1e-3)
