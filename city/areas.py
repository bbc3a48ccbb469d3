"""The city's districts and mahallas: their polygons, names, and which of them a point lies in.

`data/<city>/districts.geojson` and `mahallas.geojson` are read once. A city without these files
has no areas, and every point lies in none.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely
import shapely.errors
import shapely.geometry
from msgspec import Struct
from shapely.geometry.base import BaseGeometry

Codes = npt.NDArray[np.object_]  # a code (str) or None a point

# Cells along each side. With 512 a border crosses every tenth cell of Tashkent; 1024 would halve
# that and take four times as long to build.
_GRID_SIDE = 512
# The grid is built by blocks first: a block that a polygon covers or does not touch is not looked into.
_BLOCK_SIDES = (4, 1)
# Cells are tested this much larger (0.1 mm), so that a point which rounding puts into the
# neighbouring cell is still decided rightly there.
_CELL_SLACK_DEG = 1e-9
_LANGUAGES = ("uz", "uz_cyrl", "ru", "en")
_NOWHERE, _BORDER = -1, -2


class AreasError(Exception):
    """A geography file cannot be used. The message is one line and names file and feature."""


class AreaKind(StrEnum):
    DISTRICT = "district"
    MAHALLA = "mahalla"


class Area(Struct, frozen=True, kw_only=True, eq=False):
    """One district or mahalla."""

    code: str  # SOATO: 7 digits a district, 10 a mahalla; join on this, names repeat
    kind: AreaKind
    district_code: str | None  # of a mahalla; None for a district
    names: dict[str, str]  # language (uz, uz_cyrl, ru, en) → name, those that are known
    area_ha: float | None
    polygon: BaseGeometry  # WGS-84, x is the longitude

    def name(self, language: str) -> str:
        """The name in a language, in Uzbek where there is none, else the code."""
        return self.names.get(language) or self.names.get("uz") or next(iter(self.names.values()), self.code)


class AreaIndex:
    """Finds the area of many points at once, exactly.

    A grid over the areas knows of each cell that no area touches it, that one area decides it
    all, or which areas may. Only points in cells of the last kind are tested against polygons.
    A point on a border belongs to the areas on both sides; of several areas the smaller code wins.
    """

    def __init__(self, areas: Sequence[Area]) -> None:
        ordered = sorted(areas, key=lambda area: area.code)
        self._codes: Codes = np.array([*(area.code for area in ordered), None], dtype=object)
        self._polygons = np.array([area.polygon for area in ordered], dtype=object)
        if ordered:
            shapely.prepare(self._polygons)
            self._build_grid()

    def locate(self, lats: npt.ArrayLike, lons: npt.ArrayLike) -> Codes:
        """The code of the area of each point, None where there is none."""
        return self._codes[self._find(np.asarray(lats, dtype=float), np.asarray(lons, dtype=float))]

    def _find(self, lats: npt.NDArray[np.float64], lons: npt.NDArray[np.float64]) -> npt.NDArray[np.int32]:
        found = np.full(len(lats), _NOWHERE, dtype=np.int32)
        if not len(self._polygons):
            return found
        west, south, east, north = self._bounds
        inside = np.flatnonzero((lons >= west) & (lons <= east) & (lats >= south) & (lats <= north))
        if not len(inside):
            return found
        columns = np.minimum(((lons[inside] - west) / self._cell_lon).astype(np.int32), _GRID_SIDE - 1)
        rows = np.minimum(((lats[inside] - south) / self._cell_lat).astype(np.int32), _GRID_SIDE - 1)
        cells = rows * _GRID_SIDE + columns
        known = self._cells[cells]
        found[inside] = np.maximum(known, _NOWHERE)
        on_border = known == _BORDER
        if on_border.any():
            points = inside[on_border]
            found[points] = self._decide(cells[on_border], lats[points], lons[points])
        return found

    def _decide(
        self, cells: npt.NDArray[np.int32], lats: npt.NDArray[np.float64], lons: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.int32]:
        """Test every point against the candidates of its cell, all in one go."""
        starts, ends = self._starts[cells], self._starts[cells + 1]
        counts = ends - starts
        of_point = np.repeat(np.arange(len(cells)), counts)
        position = np.arange(len(of_point)) - np.repeat(np.cumsum(counts) - counts, counts) + starts[of_point]
        candidates = self._candidates[position]
        hit = shapely.intersects_xy(self._polygons[candidates], lons[of_point], lats[of_point])
        found = np.full(len(cells), len(self._polygons), dtype=np.int32)
        np.minimum.at(found, of_point[hit], candidates[hit])
        found[found == len(self._polygons)] = _NOWHERE
        return found

    def _build_grid(self) -> None:
        west, south, east, north = shapely.total_bounds(self._polygons)
        self._bounds = (west, south, east, north)
        # A single point or line has no width; any positive cell will do then.
        self._cell_lon = (east - west) / _GRID_SIDE or 1.0
        self._cell_lat = (north - south) / _GRID_SIDE or 1.0
        covered: list[tuple[npt.NDArray[np.int32], int]] = []
        touched: list[tuple[npt.NDArray[np.int32], int]] = []
        for number, polygon in enumerate(self._polygons):
            whole, part = self._cells_of(polygon)
            covered.append((whole, number))
            touched += [(whole, number), (part, number)]
        self._fill(covered, touched)

    def _fill(
        self, covered: list[tuple[npt.NDArray[np.int32], int]], touched: list[tuple[npt.NDArray[np.int32], int]]
    ) -> None:
        cells = np.concatenate([some for some, _ in touched])
        numbers = np.concatenate([np.full(len(some), number, dtype=np.int32) for some, number in touched])
        order = np.lexsort((numbers, cells))
        self._candidates = numbers[order]
        self._starts = np.searchsorted(cells[order], np.arange(_GRID_SIDE * _GRID_SIDE + 1)).astype(np.int64)
        smallest_cover = np.full(_GRID_SIDE * _GRID_SIDE, len(self._polygons), dtype=np.int32)
        for some, number in covered:
            smallest_cover[some] = np.minimum(smallest_cover[some], number)
        self._cells = np.full(_GRID_SIDE * _GRID_SIDE, _NOWHERE, dtype=np.int32)
        has_any = np.flatnonzero(np.diff(self._starts))
        first = self._candidates[self._starts[has_any]]
        # An area that covers the cell decides it if no smaller code touches the cell.
        self._cells[has_any] = np.where(first == smallest_cover[has_any], first, _BORDER)

    def _cells_of(self, polygon: BaseGeometry) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The cells that a polygon covers wholly, and those that it only touches."""
        west, south, _, _ = self._bounds
        low_lon, low_lat, high_lon, high_lat = polygon.bounds
        size = _BLOCK_SIDES[0]
        spans = []
        for low, high, origin, cell in (
            (low_lat, high_lat, south, self._cell_lat),
            (low_lon, high_lon, west, self._cell_lon),
        ):
            # One cell more on either side: the slack must reach it.
            first = max(0, int((low - origin) / cell) - 1) // size * size
            last = min(_GRID_SIDE - 1, int((high - origin) / cell) + 1)
            spans.append(np.arange(first, last + 1, size))
        rows, columns = (grid.ravel() for grid in np.meshgrid(*spans, indexing="ij"))
        covered: list[npt.NDArray[np.int64]] = []
        for level, size in enumerate(_BLOCK_SIDES):
            boxes = shapely.box(
                west + columns * self._cell_lon - _CELL_SLACK_DEG,
                south + rows * self._cell_lat - _CELL_SLACK_DEG,
                west + (columns + size) * self._cell_lon + _CELL_SLACK_DEG,
                south + (rows + size) * self._cell_lat + _CELL_SLACK_DEG,
            )
            touches = shapely.intersects(polygon, boxes)
            rows, columns, boxes = rows[touches], columns[touches], boxes[touches]
            covers = shapely.covers(polygon, boxes)
            covered.append(_block(rows[covers], columns[covers], size, 1))
            rows, columns = rows[~covers], columns[~covers]
            if level + 1 < len(_BLOCK_SIDES):
                parts = _block(rows, columns, size, _BLOCK_SIDES[level + 1])
                rows, columns = parts // _GRID_SIDE, parts % _GRID_SIDE
        return np.concatenate(covered).astype(np.int32), (rows * _GRID_SIDE + columns).astype(np.int32)


class Areas:
    """All areas of a city."""

    def __init__(self, areas: Sequence[Area]) -> None:
        ordered = sorted(areas, key=lambda area: area.code)
        self.districts = tuple(area for area in ordered if area.kind is AreaKind.DISTRICT)
        self.mahallas = tuple(area for area in ordered if area.kind is AreaKind.MAHALLA)
        self.by_code = {area.code: area for area in ordered}
        self._districts = AreaIndex(self.districts)
        self._mahallas = AreaIndex(self.mahallas)

    def locate(self, lats: npt.ArrayLike, lons: npt.ArrayLike) -> tuple[Codes, Codes]:
        """District and mahalla codes of each point, None where there is none.

        The mahallas leave gaps: a point between them has a district and no mahalla, never the
        nearest one.
        """
        return self._districts.locate(lats, lons), self._mahallas.locate(lats, lons)


def load_areas(city_dir: Path) -> Areas:
    """The areas of `data/<city>/`; raises AreasError. A missing file means no areas of its kind."""
    districts = _read(city_dir / "districts.geojson", AreaKind.DISTRICT)
    mahallas = _read(city_dir / "mahallas.geojson", AreaKind.MAHALLA)
    return Areas([*districts, *mahallas])


def _read(path: Path, kind: AreaKind) -> list[Area]:
    if not path.exists():
        return []
    try:
        collection = json.loads(path.read_bytes())
        features = collection["features"]
        rows = [{**feature["properties"], "geometry": _shape(feature["geometry"])} for feature in features]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, shapely.errors.ShapelyError) as error:
        told = " ".join(str(error).split()) or type(error).__name__
        raise AreasError(f"{path}: not a GeoJSON feature collection (RFC 7946): {told}") from error
    areas: list[Area] = []
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        area = _area(path, number, kind, row)
        if area.code in seen:
            raise AreasError(f"{path}: feature {number}: the code {area.code} is there already")
        seen.add(area.code)
        areas.append(area)
    return areas


def _shape(geometry: Any) -> BaseGeometry | None:
    return None if geometry is None else shapely.geometry.shape(geometry)


def _area(path: Path, number: int, kind: AreaKind, row: dict[str, Any]) -> Area:
    where = f"{path}: feature {number}"
    code = row.get("code")
    if not isinstance(code, str) or not code:
        raise AreasError(f"{where}: code: a text is needed, not {code!r}")
    where = f"{where} (code {code})"
    polygon = row.get("geometry")
    if not isinstance(polygon, shapely.Polygon | shapely.MultiPolygon) or polygon.is_empty:
        given = "nothing" if polygon is None else getattr(polygon, "geom_type", type(polygon).__name__)
        raise AreasError(f"{where}: geometry: a Polygon or MultiPolygon is needed, not {given}")
    if not polygon.is_valid:
        raise AreasError(f"{where}: geometry: {shapely.is_valid_reason(polygon)}")
    west, south, east, north = polygon.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise AreasError(f"{where}: geometry: not longitude and latitude in degrees")
    district_code = row.get("district_code")
    if kind is AreaKind.MAHALLA and not isinstance(district_code, str):
        raise AreasError(f"{where}: district_code: a text is needed, not {district_code!r}")
    names = {language: row.get(f"name_{language}") for language in _LANGUAGES}
    area_ha = row.get("area_ha")
    return Area(
        code=code,
        kind=kind,
        district_code=district_code if kind is AreaKind.MAHALLA else None,
        names={language: name for language, name in names.items() if isinstance(name, str) and name},
        area_ha=float(area_ha) if isinstance(area_ha, int | float) and math.isfinite(area_ha) else None,
        polygon=polygon,
    )


def _block(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64], size: int, step: int) -> npt.NDArray[np.int64]:
    """The cells at every `step` of square blocks `size` wide, as row * side + column, within the grid."""
    inner = np.arange(0, size, step)
    all_rows = (rows[:, None, None] + inner[None, :, None] + np.zeros_like(inner)[None, None, :]).ravel()
    all_columns = (columns[:, None, None] + inner[None, None, :] + np.zeros_like(inner)[None, :, None]).ravel()
    within = (all_rows < _GRID_SIDE) & (all_columns < _GRID_SIDE)
    return (all_rows[within] * _GRID_SIDE + all_columns[within]).astype(np.int64)
