"""Where a CAP warning is: a point for what is small enough to be one, an area's code where it tells one.

Source: OASIS Common Alerting Protocol Version 1.2, section 3.2.4 (polygon: latitude first, WGS-84).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import shapely

from city.messages import RejectReason
from ingest.decode.cap_xml import Element
from ingest.decode.outcome import Undecodable

# A district is about 10 km across, a large city 40. What is larger covers the city, or does not: no point says it.
_SPAN_MAX_KM = 40.0
_KM_PER_DEGREE = 111.195  # mean, on the IUGG sphere
# Names under which the code of a district or mahalla is told (7 or 10 digits).
_CODE_NAMES = frozenset({"soato", "soato_code", "mahalla", "district"})

_Point = tuple[float, float]  # latitude, longitude


class Place(NamedTuple):
    """Where it is; None where nothing says."""

    lat: float | None
    lon: float | None
    code: str | None
    words: str


def place_of(areas: Sequence[Element]) -> Place:
    """The place of all areas of an info block together; raises Undecodable for coordinates that are none."""
    points: list[_Point] = []
    centre: _Point | None = None
    reach_km = 0.0
    for area in areas:
        for circle in area.all("circle"):
            middle, radius_km = _circle(circle.own_text())
            points.append(middle)
            centre, reach_km = centre or middle, max(reach_km, radius_km)
        for polygon in area.all("polygon"):
            ring = _ring(polygon.own_text())
            points += ring
            centre = centre or _inside(ring)
    if centre is None or 2 * reach_km > _SPAN_MAX_KM or _span_km(points) > _SPAN_MAX_KM:
        centre = None
    lat, lon = centre or (None, None)
    words = ", ".join(text for one in areas if (text := one.text("areaDesc")))
    return Place(lat, lon, next(_codes(areas), None), words)


def _codes(areas: Sequence[Element]) -> Iterator[str]:
    for code in (one for area in areas for one in area.all("geocode")):
        value = code.text("value") or ""
        known = (code.text("valueName") or "").lower() in _CODE_NAMES
        if known and value.isascii() and value.isdigit() and len(value) <= 20:
            yield value


def _ring(text: str) -> list[_Point]:
    """A polygon's corners: `lat,lon` with spaces between them, the last one is the first."""
    ring = [_point(pair) for pair in text.split()]
    if len(ring) < 4 or ring[0] != ring[-1]:
        detail = "polygon: four or more points are needed, and the last one is the first"
        raise Undecodable(RejectReason.BAD_VALUE, detail)
    return ring


def _circle(text: str) -> tuple[_Point, float]:
    """`lat,lon radius`, the radius in kilometres."""
    pair, _, radius = text.partition(" ")
    radius_km = _number("circle", radius)
    if not 0 <= radius_km <= 20_100:  # half the Earth's circumference
        raise Undecodable(RejectReason.BAD_VALUE, f"circle: a radius of {radius.strip()[:40]} km")
    return _point(pair), radius_km


def _point(pair: str) -> _Point:
    first, _, second = pair.partition(",")
    lat, lon = _number("latitude", first), _number("longitude", second)
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise Undecodable(RejectReason.BAD_VALUE, f"{pair[:40]!r}: not latitude,longitude in degrees")
    return lat, lon


def _number(what: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Undecodable(RejectReason.BAD_VALUE, f"{what}: {text.strip()[:40]!r} is no number")
    return number


def _inside(ring: Sequence[_Point]) -> _Point:
    """A point in the polygon, not only in its box; of one that crosses itself the middle of its corners."""
    polygon = shapely.Polygon([(lon, lat) for lat, lon in ring])
    if polygon.is_valid:
        point = polygon.representative_point()
        return point.y, point.x
    corners = ring[:-1]
    return sum(lat for lat, _ in corners) / len(corners), sum(lon for _, lon in corners) / len(corners)


def _span_km(points: Sequence[_Point]) -> float:
    """The diagonal of the box around the points."""
    lats, lons = [lat for lat, _ in points], [lon for _, lon in points]
    high = (max(lats) - min(lats)) * _KM_PER_DEGREE
    wide = (max(lons) - min(lons)) * _KM_PER_DEGREE * math.cos(math.radians(sum(lats) / len(lats)))
    return math.hypot(high, wide)
