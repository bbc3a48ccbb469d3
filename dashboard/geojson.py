"""The live state as GeoJSON layers (RFC 7946), for maps that read an address.

Every feature has the properties of the entity in the API's list; its place is the geometry, null where none is known.
A layer is whole where it has no more than `limit` features, else it goes on at `next`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, TypeVar

from fastapi import FastAPI, Query
from fastapi.responses import Response
from msgspec import json as msgspec_json

from city.config import Config
from city.store import now_ms
from dashboard.answers import Cursor, Json, rfc3339
from dashboard.api import OfDistrict, OfMahalla, OfRoute, camera_json, choose, vehicle_json
from dashboard.screen import Screen

MEDIA_TYPE = "application/geo+json"
# 30 µs each: the pages' frames must not wait for a whole city's.
_FEATURES_A_TURN = 250

# More than a page of the lists: a map wants its layer whole.
LayerLimit = Annotated[int, Query(ge=1, le=10_000, description="Features at most")]
T = TypeVar("T")


def add_routes(server: FastAPI, config: Config, screen: Screen) -> None:
    """A layer of vehicles and one of cameras."""
    stale_ms = int(config.live.vehicle_stale_after_s * 1000)

    @server.get("/api/v1/vehicles.geojson", tags=["vehicles"], summary="Vehicles as a GeoJSON layer (RFC 7946)")
    async def vehicles(
        limit: LayerLimit = 10_000,
        cursor: Cursor = None,
        route: OfRoute = None,
        district: OfDistrict = None,
        mahalla: OfMahalla = None,
    ) -> Response:
        now = now_ms()
        chosen = choose(screen.state.picture.vehicles, route, district, mahalla)
        return await _layer(chosen, limit, cursor, now, lambda v: vehicle_json(v, config, now, stale_ms))

    @server.get("/api/v1/cameras.geojson", tags=["cameras"], summary="Cameras as a GeoJSON layer (RFC 7946)")
    async def cameras(limit: LayerLimit = 10_000, cursor: Cursor = None) -> Response:
        now = now_ms()
        return await _layer(dict(screen.state.picture.cameras), limit, cursor, now, lambda c: camera_json(c, now))


def feature(entity: Json) -> Json:
    """An entity of the API's lists as a point feature, `[lon, lat]`."""
    properties = {name: value for name, value in entity.items() if name not in ("lat", "lon")}
    lat, lon = entity["lat"], entity["lon"]
    geometry = None if lat is None or lon is None else {"type": "Point", "coordinates": [lon, lat]}
    return {"type": "Feature", "id": entity["id"], "geometry": geometry, "properties": properties}


async def _layer(
    entities: Mapping[str, T], limit: int, cursor: str | None, now: int, one: Callable[[T], Json]
) -> Response:
    ids = sorted(i for i in entities if cursor is None or i > cursor)
    features: list[Json] = []
    for begin in range(0, min(limit, len(ids)), _FEATURES_A_TURN):
        features += [feature(one(entities[i])) for i in ids[begin : min(begin + _FEATURES_A_TURN, limit)]]
        await asyncio.sleep(0)
    body = {
        "type": "FeatureCollection",
        "as_of": rfc3339(now),
        "next": ids[limit - 1] if len(ids) > limit else None,
        "features": features,
    }
    return Response(msgspec_json.encode(body), media_type=MEDIA_TYPE)
