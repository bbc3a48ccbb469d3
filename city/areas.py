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

# Cells along each side. In Tashkent a border then crosses every sixteenth cell; twice as fine would halve that,
# yet take four times the memory (now 8 MB) and longer than the caches hold.
_GRID_SIDE = 1024
_ROW = _GRID_SIDE + 2  # with one empty cell on either side
# A border counts as crossing a cell that it passes at this distance (0.1 mm), so that a point which rounding
# puts into the neighbouring cell is still decided rightly there.
_SLACK_DEG = 1e-9
_LANGUAGES = ("uz", "uz_cyrl", "ru", "en")
# What the grid says of a cell: the number of the area that it is all in, _NOWHERE, or _BORDER and below:
# the place in the list of cells with candidates.
_NOWHERE, _BORDER = -1, -2

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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
    """Finds the areas of many points at once, exactly: one of each layer.

    A grid over all areas knows of each cell and layer that no area touches it, that one area decides it
    all, or which areas may. Only points in cells of the last kind are tested against polygons.
    A point on a border belongs to the areas on both sides; of several areas of a layer the smaller code wins.
    """

    def __init__(self, layers: Sequence[Sequence[Area]]) -> None:
        ordered = [sorted(areas, key=lambda area: area.code) for areas in layers]
        everything = [area for areas in ordered for area in areas]
        self._layers = len(layers)
        self._codes: Codes = np.array([*(area.code for area in everything), None], dtype=object)
        self._polygons = np.array([area.polygon for area in everything], dtype=object)
        if everything:
            shapely.prepare(self._polygons)
            of_layer = np.repeat(np.arange(self._layers), [len(areas) for areas in ordered])
            self._build_grid(of_layer)

    def locate(self, lats: npt.ArrayLike, lons: npt.ArrayLike) -> tuple[Codes, ...]:
        """The codes of each point's areas, an array a layer, None where there is none."""
        x, y = np.asarray(lons, dtype=float), np.asarray(lats, dtype=float)
        if not len(self._polygons):
            return tuple(np.full(len(x), None, dtype=object) for _ in range(self._layers))
        # What lies beyond the grid, or is no number, falls into the empty cells around it.
        columns = (np.fmax(np.fmin(x, self._east), self._west) - self._west) * self._columns_per_deg
        rows = (np.fmax(np.fmin(y, self._north), self._south) - self._south) * self._rows_per_deg
        cells = rows.astype(np.int32) * _ROW + columns.astype(np.int32)
        found = self._table.take(cells, axis=1)
        flat = found.ravel()
        on_border = np.flatnonzero(flat <= _BORDER)
        if len(on_border):
            points = on_border % len(x)
            flat[on_border] = self._decide(_BORDER - flat[on_border], y[points], x[points])
        return tuple(self._codes.take(found))

    def _decide(self, listed: npt.NDArray[np.int32], lats: Floats, lons: Floats) -> npt.NDArray[np.int32]:
        """Test every point against the candidates of its cell, all in one go."""
        starts = self._starts[listed]
        counts = self._starts[listed + 1] - starts
        begins = np.cumsum(counts) - counts
        of_point = np.repeat(np.arange(len(listed)), counts)
        candidates = self._candidates[np.arange(len(of_point)) + (starts - begins)[of_point]]
        hit = shapely.intersects_xy(self._polygons[candidates], lons[of_point], lats[of_point])
        most = len(self._polygons)
        found = np.minimum.reduceat(np.where(hit, candidates, most), begins)
        return np.where(found == most, _NOWHERE, found).astype(np.int32)

    def _build_grid(self, of_layer: Ints) -> None:
        west, south, east, north = shapely.total_bounds(self._polygons)
        cell_lon, cell_lat = (east - west) / _GRID_SIDE, (north - south) / _GRID_SIDE
        self._columns_per_deg, self._rows_per_deg = 1 / cell_lon, 1 / cell_lat
        # One empty cell around: half of it is enough for what is clipped to it.
        self._west, self._south = west - cell_lon, south - cell_lat
        self._east, self._north = east + 0.5 * cell_lon, north + 0.5 * cell_lat
        border = self._border_cells()
        inner = self._inner_cells(border)
        cells = _ROW * _ROW
        # From here on a cell of a layer is one number: layer * cells + cell.
        border_numbers, border_at = border // cells, of_layer[border // cells] * cells + border % cells
        inner_numbers, inner_at = inner // cells, of_layer[inner // cells] * cells + inner % cells
        most = len(self._polygons)
        table = np.full(self._layers * cells, most, dtype=np.int32)
        # The smallest number is written last.
        table[inner_at[::-1]] = inner_numbers[::-1]
        # An area that holds the whole cell decides it, but for smaller ones whose border crosses the cell.
        open_ = border_numbers < table[border_at]
        border_numbers, border_at = border_numbers[open_], border_at[open_]
        listed = np.unique(border_at)
        with_holder = listed[table[listed] < most]
        at = np.concatenate([border_at, with_holder])
        numbers = np.concatenate([border_numbers, table[with_holder]])
        order = np.lexsort((numbers, at))
        self._candidates = numbers[order].astype(np.int32)
        self._starts = np.searchsorted(at[order], np.append(listed, self._layers * cells))
        table[table == most] = _NOWHERE
        table[listed] = _BORDER - np.arange(len(listed))
        self._table = table.reshape(self._layers, cells)

    def _border_cells(self) -> Ints:
        """The cells that each polygon's border crosses, as number * cells + cell, sorted."""
        parts, of_part = shapely.get_parts(self._polygons, return_index=True)
        rings, of_ring = shapely.get_rings(parts, return_index=True)
        points, of_point = shapely.get_coordinates(rings, return_index=True)
        same_ring = np.flatnonzero(of_point[1:] == of_point[:-1])
        numbers = of_part[of_ring[of_point[same_ring]]]
        points -= (self._west, self._south)
        x0, y0 = points[same_ring].T
        x1, y1 = points[same_ring + 1].T
        # Every segment in every row that it crosses …
        segments, rows = _spans(*_crossed(y0, y1, self._rows_per_deg))
        x0, y0, dx, dy = x0[segments], y0[segments], (x1 - x0)[segments], (y1 - y0)[segments]
        level = dy == 0
        dy[level] = 1.0
        enters = np.where(level, 0.0, ((rows / self._rows_per_deg - _SLACK_DEG) - y0) / dy)
        leaves = np.where(level, 1.0, (((rows + 1) / self._rows_per_deg + _SLACK_DEG) - y0) / dy)
        xa, xb = x0 + np.clip(enters, 0, 1) * dx, x0 + np.clip(leaves, 0, 1) * dx
        # … and there in every column.
        pieces, columns = _spans(*_crossed(xa, xb, self._columns_per_deg))
        return np.unique((numbers[segments][pieces] * _ROW + rows[pieces]) * _ROW + columns)

    def _inner_cells(self, border: Ints) -> Ints:
        """The cells wholly inside each polygon, as number * cells + cell, sorted.

        Between two border cells of a row all cells are inside, or all are outside: one is tested.
        """
        left, right = border[:-1], border[1:]
        gap = np.flatnonzero((right - left > 1) & (left // _ROW == right // _ROW))
        left, right = left[gap] + 1, right[gap] - 1
        rows, columns = left // _ROW % _ROW, left % _ROW
        inside = shapely.intersects_xy(
            self._polygons[left // (_ROW * _ROW)],
            self._west + (columns + 0.5) / self._columns_per_deg,
            self._south + (rows + 0.5) / self._rows_per_deg,
        )
        return _spans(left[inside], right[inside])[1]


def _crossed(a_deg: Floats, b_deg: Floats, cells_per_deg: float) -> tuple[Ints, Ints]:
    """The first and last row, or column, of what lies from a to b."""
    first = np.floor((np.minimum(a_deg, b_deg) - _SLACK_DEG) * cells_per_deg)
    last = np.floor((np.maximum(a_deg, b_deg) + _SLACK_DEG) * cells_per_deg)
    # In a city of a few centimetres the slack is more than a cell.
    return np.clip(first, 0, _ROW - 1).astype(np.int64), np.clip(last, 0, _ROW - 1).astype(np.int64)


def _spans(first: Ints, last: Ints) -> tuple[Ints, Ints]:
    """All whole numbers from each first to its last one, and which pair each is of."""
    counts = last - first + 1
    of = np.repeat(np.arange(len(first)), counts)
    return of, np.arange(len(of)) + (first - np.cumsum(counts) + counts)[of]


class Areas:
    """All areas of a city."""

    def __init__(self, areas: Sequence[Area]) -> None:
        ordered = sorted(areas, key=lambda area: area.code)
        self.districts = tuple(area for area in ordered if area.kind is AreaKind.DISTRICT)
        self.mahallas = tuple(area for area in ordered if area.kind is AreaKind.MAHALLA)
        self.by_code = {area.code: area for area in ordered}
        self._index = AreaIndex([self.districts, self.mahallas])

    def locate(self, lats: npt.ArrayLike, lons: npt.ArrayLike) -> tuple[Codes, Codes]:
        """District and mahalla codes of each point, None where there is none.

        The mahallas leave gaps: a point between them has a district and no mahalla, never the
        nearest one.
        """
        districts, mahallas = self._index.locate(lats, lons)
        return districts, mahallas


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
