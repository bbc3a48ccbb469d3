"""`markaz geo import`: brings a city's official polygons into `data/<city>/`.

Any format that geopandas reads goes in; out comes GeoJSON in WGS-84 with 5 decimals (about a
metre), valid polygons, checked codes, and each mahalla's district.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

import geopandas
import shapely
from shapely.geometry import MultiPolygon, Polygon, mapping
from shapely.geometry.base import BaseGeometry

from city.config import Config, ConfigError

Kind = Literal["districts", "mahallas"]
_WGS84 = "EPSG:4326"
_EQUAL_AREA = "EPSG:6933"
_GRID_DEG = 1e-5


class GeoError(Exception):
    """The file cannot be used; the message names the file, the feature and why."""


class Fields(NamedTuple):
    """The names of the file's columns; None: the kind has none."""

    code: str
    name_uz: str
    name_ru: str | None
    district: str | None


class Area(NamedTuple):
    """A polygon ready to be written: degrees, 5 decimals."""

    code: str
    district_code: str | None  # None: it is a district itself
    name_uz: str
    name_ru: str | None
    area_ha: float
    polygon: Polygon | MultiPolygon


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="action", required=True)
    bring = actions.add_parser("import", help="read polygons from a file into data/<city>/")
    bring.add_argument("kind", choices=("districts", "mahallas"))
    bring.add_argument("file", type=Path, help="any format that geopandas reads: GeoJSON, GeoPackage, Shapefile …")
    bring.add_argument("--code", default="code", metavar="FIELD", help="the official code, digits (default: code)")
    bring.add_argument("--name-uz", default="name_uz", metavar="FIELD", help="(default: name_uz)")
    bring.add_argument("--name-ru", metavar="FIELD", help="(default: name_ru if there is such a field)")
    bring.add_argument(
        "--district", metavar="FIELD", help="a mahalla's district code (default: the district that it overlaps most)"
    )
    bring.add_argument("--config", type=Path, default=argparse.SUPPRESS, metavar="FILE", help="settings (config.yaml)")
    bring.add_argument("--city", help="the city profile (default: the setting `city`)")


def run(config: Config, arguments: argparse.Namespace) -> int:
    city = arguments.city or config.city
    if city not in config.cities:
        raise ConfigError(f"--city: {city!r} has no profile (allowed: {', '.join(config.cities)})")
    folder = config.root / "data" / city
    try:
        areas = read_areas(
            arguments.file,
            arguments.kind,
            code=arguments.code,
            name_uz=arguments.name_uz,
            name_ru=arguments.name_ru,
            district=arguments.district,
            districts=folder / "districts.geojson",
        )
        written = write_areas(areas, folder / f"{arguments.kind}.geojson")
    except (GeoError, OSError) as error:
        print(f"markaz: {error}", file=sys.stderr)
        return 1
    print(f"{len(areas)} {arguments.kind} of {city} written to {written}")
    return 0


def read_areas(
    file: Path,
    kind: Kind,
    *,
    code: str = "code",
    name_uz: str = "name_uz",
    name_ru: str | None = None,
    district: str | None = None,
    districts: Path | None = None,
) -> list[Area]:
    """The polygons of `file`, sorted by code. Raises GeoError.

    A mahalla's district comes from the field `district`, else from the largest overlap with the
    polygons of the file `districts`.
    """
    frame = _read(file)
    if frame.crs is None:
        raise GeoError(f"{file}: it does not say its coordinate system")
    if frame.empty:
        raise GeoError(f"{file}: it holds no feature")
    fields = _fields(file, [str(column) for column in frame.columns], kind, code, name_uz, name_ru, district)
    frame = frame.to_crs(_WGS84)
    codes = [_code(file, at, value) for at, value in enumerate(frame[fields.code])]
    for at, value in enumerate(codes):
        if value in codes[:at]:
            raise GeoError(f"{file}: feature {at} ({value}): feature {codes.index(value)} has the same code")
    polygons = [_polygon(file, at, codes[at], geometry) for at, geometry in enumerate(frame.geometry)]
    ground = geopandas.GeoSeries(polygons, crs=_WGS84).to_crs(_EQUAL_AREA)
    if kind == "districts":
        owners: list[str | None] = [None] * len(codes)
    elif fields.district is not None:
        owners = [_code(file, at, value, fields.district) for at, value in enumerate(frame[fields.district])]
    else:
        owners = list(_largest_overlaps(file, codes, ground, districts))
    areas = [
        Area(
            code=codes[at],
            district_code=owners[at],
            name_uz=_text(frame[fields.name_uz].iloc[at]) or codes[at],
            name_ru=_text(frame[fields.name_ru].iloc[at]) if fields.name_ru else None,
            area_ha=round(float(ground.iloc[at].area) / 10_000, 2),
            polygon=polygons[at],
        )
        for at in range(len(codes))
    ]
    return sorted(areas, key=lambda area: area.code)


def write_areas(areas: Iterable[Area], file: Path) -> Path:
    """Write GeoJSON, whole or not at all: a reader never sees half a city."""
    file.parent.mkdir(parents=True, exist_ok=True)
    features = []
    for area in areas:
        properties = {"code": area.code, "district_code": area.district_code}
        properties |= {"name_uz": area.name_uz, "name_ru": area.name_ru}
        properties = {name: value for name, value in properties.items() if value is not None}
        features.append(
            {
                "type": "Feature",
                "properties": properties | {"area_ha": area.area_ha},
                "geometry": _rounded(mapping(area.polygon)),
            }
        )
    text = json.dumps({"type": "FeatureCollection", "features": features}, ensure_ascii=False, separators=(",", ":"))
    descriptor, fresh = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        Path(fresh).chmod(0o644)
        Path(fresh).replace(file)
    except OSError:
        with suppress(OSError):
            Path(fresh).unlink()
        raise
    return file


def _read(file: Path) -> geopandas.GeoDataFrame:
    if not file.exists():
        raise GeoError(f"{file}: no such file")
    try:
        frame = geopandas.read_file(file)
    except Exception as error:  # noqa: BLE001 - each driver has its own; the person needs the file and the reason
        raise GeoError(f"{file}: cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(frame, geopandas.GeoDataFrame):
        raise GeoError(f"{file}: it holds no geometry")
    return frame


def _fields(
    file: Path, there: list[str], kind: Kind, code: str, name_uz: str, name_ru: str | None, district: str | None
) -> Fields:
    wanted = {"--code": code, "--name-uz": name_uz, "--name-ru": name_ru, "--district": district}
    for option, field in wanted.items():
        if field is not None and field not in there:
            columns = ", ".join(column for column in there if column != "geometry")
            raise GeoError(f"{file}: no field {field!r} (it has: {columns}): set {option}")
    if name_ru is None and "name_ru" in there:
        name_ru = "name_ru"
    if kind == "mahallas" and district is None and "district_code" in there:
        district = "district_code"
    return Fields(code, name_uz, name_ru, district)


def _code(file: Path, at: int, value: object, field: str = "code") -> str:
    # A column with gaps makes 1726262 a 1726262.0.
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else (_text(value) or "")
    if not (text.isascii() and text.isdigit()):
        raise GeoError(f"{file}: feature {at}: {field} must be digits, not {value!r}")
    return text


def _text(value: object) -> str | None:
    """A cell as text, None when it is empty or missing (None or NaN)."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return None
    return " ".join(str(value).split()) or None


def _polygon(file: Path, at: int, code: str, geometry: BaseGeometry | None) -> Polygon | MultiPolygon:
    where = f"{file}: feature {at} ({code})"
    if geometry is None or geometry.is_empty:
        raise GeoError(f"{where}: it has no geometry")
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        raise GeoError(f"{where}: a polygon is expected, not a {geometry.geom_type}")
    west, south, east, north = geometry.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise GeoError(f"{where}: it lies outside the earth after reprojection: is its coordinate system right?")
    # Rounding can fold a thin polygon over: the grid snap keeps it valid.
    snapped = shapely.set_precision(shapely.make_valid(shapely.force_2d(geometry)), _GRID_DEG)
    parts = [part for part in shapely.get_parts(snapped).tolist() if isinstance(part, Polygon | MultiPolygon)]
    merged = shapely.union_all(parts) if parts else Polygon()
    if merged.is_empty or not isinstance(merged, Polygon | MultiPolygon):
        raise GeoError(f"{where}: nothing of it is left at a metre's precision")
    return merged


def _largest_overlaps(
    file: Path, codes: list[str], ground: geopandas.GeoSeries, districts: Path | None
) -> Iterable[str]:
    if districts is None or not districts.exists():
        raise GeoError(f"{file}: no districts to find the mahallas' own: import districts first, or set --district")
    known = _read(districts).to_crs(_EQUAL_AREA)
    owners = [str(value) for value in known["code"]]
    shapes = known.geometry.make_valid()
    for at, polygon in enumerate(ground.make_valid()):
        shared = shapes.intersection(polygon).area.to_numpy()
        best = int(shared.argmax())
        if shared[best] <= 0:
            raise GeoError(f"{file}: feature {at} ({codes[at]}): it lies in no district of {districts}")
        yield owners[best]


def _rounded(value: object) -> object:
    """Coordinates of a GeoJSON mapping with 5 decimals; the snap leaves 69.27999999999999."""
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {key: _rounded(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(below) for below in value]
    return value
