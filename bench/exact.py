"""The area lookup against plain geometry: how long a point takes, and how many points are decided otherwise."""

from __future__ import annotations

import statistics
import time

import numpy as np
import numpy.typing as npt
import shapely
from rig import ROOT, Row

from city.areas import Area, load_areas

BATCH = 1000
# A little more than the city.
WEST, SOUTH, EAST, NORTH = 69.08, 41.12, 69.50, 41.46


def measure_areas(points: int) -> Row:
    begin = time.perf_counter()
    areas = load_areas(ROOT / "data" / "tashkent")
    load_s = time.perf_counter() - begin
    random = np.random.default_rng(1)
    lats, lons = random.uniform(SOUTH, NORTH, points), random.uniform(WEST, EAST, points)
    took: list[float] = []
    # As ingest asks: lists, a batch at a time.
    for start in range(0, min(points, 100 * BATCH), BATCH):
        some_lats, some_lons = lats[start : start + BATCH].tolist(), lons[start : start + BATCH].tolist()
        begin = time.perf_counter()
        areas.locate(some_lats, some_lons)
        took.append(time.perf_counter() - begin)
    districts, mahallas = areas.locate(lats, lons)
    wrong = int((districts != plainly(areas.districts, lats, lons)).sum())
    wrong += int((mahallas != plainly(areas.mahallas, lats, lons)).sum())
    return {
        "us_a_point": round(statistics.median(took) / BATCH * 1e6, 3),
        "best_us": round(min(took) / BATCH * 1e6, 3),
        "load_s": round(load_s, 2),
        "points": points,
        "in_a_mahalla": int((mahallas != None).sum()),  # noqa: E711 - element by element
        "wrong": wrong,
    }


def plainly(
    areas: tuple[Area, ...], lats: npt.NDArray[np.float64], lons: npt.NDArray[np.float64]
) -> npt.NDArray[np.object_]:
    """The smallest code whose polygon holds each point, by shapely's own index and predicate."""
    ordered = sorted(areas, key=lambda area: area.code)
    tree = shapely.STRtree([area.polygon for area in ordered])
    at, number = tree.query(shapely.points(lons, lats), predicate="intersects")
    found = np.full(len(lats), len(ordered))
    np.minimum.at(found, at, number)
    codes = np.array([*(area.code for area in ordered), None], dtype=object)
    decided: npt.NDArray[np.object_] = codes[found]
    return decided
