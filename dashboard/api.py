"""The HTTP API under /api/v1: the live state for other programs.

Answers come from the same state as the screens, so they say nothing that a screen does not.
Lists are paged by `limit` and `cursor` (the last id of the page before) and say `as_of`.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Literal, TypeVar

from fastapi import FastAPI, Path, Query
from fastapi.responses import HTMLResponse, Response
from msgspec import json as msgspec_json
from shapely.geometry import mapping

from analysis.picture import Camera, Vehicle
from city.areas import Area, Areas
from city.config import Config
from city.store import now_ms
from dashboard.answers import Cursor, Json, Limit, json_answer, rfc3339
from dashboard.problems import Problem, add_handlers
from dashboard.screen import Screen

try:
    VERSION = version("markaz")
except PackageNotFoundError:
    VERSION = "0"

OfRoute = Annotated[str | None, Query(description="Only this route")]
OfDistrict = Annotated[str | None, Query(description="Only in this district, 7-digit code")]
OfMahalla = Annotated[str | None, Query(description="Only in this mahalla, 10-digit code")]
T = TypeVar("T")


def add_routes(server: FastAPI, config: Config, areas: Areas, screen: Screen) -> None:
    """Every path of the API, and a problem document for what is no path."""
    add_handlers(server)
    stale_ms = int(config.live.vehicle_stale_after_s * 1000)
    geometries = {code: mapping(area.polygon) for code, area in areas.by_code.items()}

    @server.get("/api/v1/vehicles", tags=["vehicles"], summary="Last state of every vehicle, by id")
    async def vehicles(
        limit: Limit = 1000,
        cursor: Cursor = None,
        route: OfRoute = None,
        district: OfDistrict = None,
        mahalla: OfMahalla = None,
    ) -> Response:
        now = now_ms()
        chosen = choose(screen.state.picture.vehicles, route, district, mahalla)
        return _page("vehicles", chosen, limit, cursor, now, lambda v: vehicle_json(v, config, now, stale_ms))

    @server.get("/api/v1/vehicles/{vehicle_id}", tags=["vehicles"], summary="One vehicle")
    async def vehicle(vehicle_id: Annotated[str, Path(max_length=64)]) -> Response:
        now = now_ms()
        found = screen.state.picture.vehicles.get(vehicle_id)
        if found is None:
            raise Problem(404, "No such vehicle", f"no vehicle {vehicle_id!r} has been heard of")
        return json_answer({"as_of": rfc3339(now), **vehicle_json(found, config, now, stale_ms)})

    @server.get("/api/v1/cameras", tags=["cameras"], summary="Every camera with its status and last events")
    async def cameras(limit: Limit = 1000, cursor: Cursor = None) -> Response:
        now = now_ms()
        return _page("cameras", screen.state.picture.cameras, limit, cursor, now, lambda c: camera_json(c, now))

    @server.get("/api/v1/cameras/{camera_id}", tags=["cameras"], summary="One camera")
    async def camera(camera_id: Annotated[str, Path(max_length=64)]) -> Response:
        now = now_ms()
        found = screen.state.picture.cameras.get(camera_id)
        if found is None:
            raise Problem(404, "No such camera", f"no camera {camera_id!r} has been heard of")
        return json_answer({"as_of": rfc3339(now), **camera_json(found, now)})

    @server.get("/api/v1/areas", tags=["areas"], summary="Polygons with live indicators, as GeoJSON (RFC 7946)")
    async def area_list(
        kind: Annotated[Literal["district", "mahalla"], Query(description="Which areas")] = "district",
    ) -> Response:
        now = now_ms()
        chosen = areas.districts if kind == "district" else areas.mahallas
        features = [area_json(area, geometries[area.code], screen) for area in chosen]
        body = {"type": "FeatureCollection", "as_of": rfc3339(now), "features": features}
        return Response(msgspec_json.encode(body), media_type="application/geo+json")

    @server.get("/api/v1/areas/{code}", tags=["areas"], summary="One district or mahalla, as a GeoJSON feature")
    async def area(code: Annotated[str, Path(max_length=32)]) -> Response:
        found = areas.by_code.get(code)
        if found is None:
            raise Problem(404, "No such area", f"no district or mahalla has the code {code!r}")
        body = {"as_of": rfc3339(now_ms()), **area_json(found, geometries[found.code], screen)}
        return Response(msgspec_json.encode(body), media_type="application/geo+json")

    @server.get("/api/v1/kpis", tags=["city"], summary="The tiles' numbers: value, unit, target, trend, age")
    async def kpis() -> Response:
        return json_answer({"as_of": rfc3339(now_ms()), "kpis": screen.kpi_tiles()})

    @server.get("/api/v1/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:
        return HTMLResponse(_docs(server))

    @server.get("/api/{path:path}", include_in_schema=False)
    async def nothing(path: str) -> Response:
        raise Problem(404, "No such path", f"/api/{path} is not part of the API; see /api/v1/docs")


def choose(
    vehicles: Mapping[str, Vehicle], route: str | None, district: str | None, mahalla: str | None
) -> dict[str, Vehicle]:
    """The vehicles of a route, district and mahalla by id; None is any."""

    def wanted(vehicle: Vehicle) -> bool:
        position, newest = vehicle.position, vehicle.newest
        return (
            (route is None or (newest is not None and newest.route == route))
            and (district is None or (position is not None and position.district == district))
            and (mahalla is None or (position is not None and position.mahalla == mahalla))
        )

    return {vehicle_id: vehicle for vehicle_id, vehicle in vehicles.items() if wanted(vehicle)}


def vehicle_json(vehicle: Vehicle, config: Config, now: int, stale_ms: int) -> Json:
    position, newest, passengers, fuel = vehicle.position, vehicle.newest, vehicle.passengers, vehicle.fuel
    return {
        "id": vehicle.vehicle_id,
        "lat": position.lat if position else None,
        "lon": position.lon if position else None,
        "measured_at": rfc3339(position.measured_ms) if position else None,
        "received_at": rfc3339(position.received_ms) if position else None,
        "age_s": (now - position.measured_ms) / 1000 if position else None,
        "stale": position is None or now - position.measured_ms > stale_ms,
        "district": position.district if position else None,
        "mahalla": position.mahalla if position else None,
        "speed_mps": newest.speed_mps if newest else None,
        "bearing_deg": newest.bearing_deg if newest else None,
        "route": newest.route if newest else None,
        "direction": newest.direction if newest else None,
        "trip": newest.trip if newest else None,
        "mode": newest.mode if newest else None,
        "vin": newest.vin if newest else None,
        "odometer_m": newest.odometer_m if newest else None,
        "ignition": newest.ignition if newest else None,
        "schedule_deviation_s": vehicle.schedule_deviation_s,
        "doors_open": newest.doors_open if newest else None,
        "load": vehicle.load(config.kpis.capacity_default),
        "passengers": None
        if passengers is None
        else {
            "onboard": passengers.onboard,
            "capacity": passengers.capacity,
            "estimated": passengers.estimated,
            "measured_at": rfc3339(passengers.measured_ms),
            "age_s": (now - passengers.measured_ms) / 1000,
        },
        "fuel": None
        if fuel is None
        else {
            "level_l": fuel.level_l,
            "level_pct": vehicle.fuel_pct,
            "capacity_l": fuel.capacity_l,
            "used_l": fuel.used_l,
            "measured_at": rfc3339(fuel.measured_ms),
            "age_s": (now - fuel.measured_ms) / 1000,
        },
    }


def camera_json(camera: Camera, now: int) -> Json:
    status = camera.status
    events = sorted(camera.events.values(), key=lambda e: -e.measured_ms)
    return {
        "id": camera.camera_id,
        "name": status.name if status else None,
        "online": status.online if status else None,
        "stream_url": status.stream_url if status else None,
        "lat": status.lat if status else None,
        "lon": status.lon if status else None,
        "district": status.district if status else None,
        "mahalla": status.mahalla if status else None,
        "measured_at": rfc3339(status.measured_ms) if status else None,
        "age_s": (now - status.measured_ms) / 1000 if status else None,
        "events": [
            {
                "kind": e.kind,
                "severity": e.severity,
                "count": e.count,
                "score": e.score,
                "zone": e.zone,
                "event_id": e.event_id,
                "phase": e.phase,
                "snapshot_url": e.snapshot_url,
                "measured_at": rfc3339(e.measured_ms),
            }
            for e in events
        ],
    }


def area_json(area: Area, geometry: Json, screen: Screen) -> Json:
    return {
        "type": "Feature",
        "id": area.code,
        "properties": {
            "code": area.code,
            "kind": area.kind.value,
            "district": area.district_code,
            "names": area.names,
            "area_ha": area.area_ha,
            "indicators": screen.indicators_of(area.code),
        },
        "geometry": geometry,
    }


def _page(
    name: str, entities: Mapping[str, T], limit: int, cursor: str | None, now: int, one: Callable[[T], Json]
) -> Response:
    ids: Sequence[str] = sorted(i for i in entities if cursor is None or i > cursor)
    following = ids[limit - 1] if len(ids) > limit else None
    return json_answer({"as_of": rfc3339(now), name: [one(entities[i]) for i in ids[:limit]], "next": following})


def _docs(server: FastAPI) -> str:
    """The API's description as one plain page, from the same OpenAPI document that programs read."""
    rows = []
    for path, methods in server.openapi()["paths"].items():
        for method, about in methods.items():
            parameters = ", ".join(
                f"<code>{html.escape(p['name'])}</code> {html.escape(p.get('description', ''))}"
                for p in about.get("parameters", [])
            )
            rows.append(
                f"<tr><td><code>{method.upper()} {html.escape(path)}</code></td>"
                f"<td>{html.escape(about.get('summary', ''))}</td><td>{parameters}</td></tr>"
            )
    return (
        "<!DOCTYPE html><html><head><meta charset='utf-8'><title>Markaz API</title>"
        "<link rel='stylesheet' href='/assets/style.css'></head><body class='plain briefing'><h1>Markaz API</h1>"
        f"<p class='note'>{html.escape(server.description)} <a href='/api/v1/openapi.json'>openapi.json</a></p>"
        f"<table><thead><tr><th>Path</th><th>Gives</th><th>Parameters</th></tr></thead><tbody>{''.join(rows)}</tbody></table>"
        "</body></html>"
    )
