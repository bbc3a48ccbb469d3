"""Puts the dashboard together: FastAPI below, Dash on top, one feed for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dash import Dash
from fastapi import FastAPI

from city.areas import load_areas
from city.config import Config
from dashboard import (
    api,
    api_alarm_load,
    api_alarms,
    api_feeds,
    api_history,
    api_incidents,
    api_replay,
    api_shifts,
    api_systemic,
    api_transit,
    cap,
    geojson,
    gtfs_rt,
    health,
    metrics,
    pages,
)
from dashboard.analyst import Analyst
from dashboard.load_reader import LoadReader
from dashboard.replay import ReplayDesk
from dashboard.screen import Screen
from dashboard.shift_desk import ShiftDesk
from dashboard.systemic_desk import SystemicDesk
from dashboard.transit_desk import TransitDesk
from layouts.shell import shell

_ROOT = Path(__file__).resolve().parent.parent
GEOGRAPHY = ("districts", "mahallas", "bus_routes", "bus_stops", "metro_lines", "metro_stations")

_INDEX = """<!DOCTYPE html>
<html data-link="connecting">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="referrer" content="same-origin">
    <title>Markaz</title>
    <link rel="icon" href="/assets/favicon.svg" type="image/svg+xml">
    {%css%}
  </head>
  <body>
    {%app_entry%}
    <footer>{%config%}{%scripts%}{%renderer%}</footer>
  </body>
</html>"""


def build(config: Config) -> FastAPI:
    """The web application of a city; its feed starts and stops with it."""
    areas = load_areas(config.city_dir)
    geography = frozenset(name for name in GEOGRAPHY if (config.city_dir / f"{name}.geojson").exists())
    screen = Screen(config, areas)
    load = LoadReader(config)
    desk = ShiftDesk(config, load)
    transit = TransitDesk(config)
    analyst = Analyst(config)
    systemic = SystemicDesk(config)
    replay = ReplayDesk(config)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        screen.start(asyncio.get_running_loop())
        load.start()
        systemic.start()
        yield
        analyst.stop()
        load.stop()
        screen.stop()
        desk.close()
        transit.stop()
        systemic.stop()
        replay.close()

    server = FastAPI(
        title="Markaz",
        description="The city's live state. Times are RFC 3339 UTC, GeoJSON is RFC 7946, errors are RFC 9457.",
        version=api.VERSION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,  # FastAPI's own pages load their scripts from outside
        redoc_url=None,
        lifespan=lifespan,
    )
    health.add_routes(server, config, screen)
    metrics.add_routes(server, screen, load)
    api_feeds.add_routes(server, screen)
    cap.add_routes(server, config, areas, screen)  # before the paths that take any alarm's name
    api_alarms.add_routes(server, config, screen)
    api_alarm_load.add_routes(server, config, load, desk)
    api_shifts.add_routes(server, screen, desk)
    api_incidents.add_routes(server, config, screen)
    api_systemic.add_routes(server, config, areas, systemic)
    api_replay.add_routes(server, replay)
    api_history.add_routes(server, analyst)
    gtfs_rt.add_routes(server, config, screen)
    api_transit.add_routes(server, config, transit)
    geojson.add_routes(server, config, screen)
    api.add_routes(server, config, areas, screen)
    pages.add_geography(server, config, geography)
    dash = Dash(
        "markaz",
        backend="fastapi",
        server=server,  # type: ignore[arg-type]
        assets_folder=str(_ROOT / "assets"),
        assets_ignore=r".*\.test\.js",
        serve_locally=True,
        title="Markaz",
        update_title=None,  # type: ignore[arg-type]
        index_string=_INDEX,
        suppress_callback_exceptions=True,
        websocket_allowed_origins=list(config.http.allowed_origins),
        websocket_batch_delay=0,  # with a delay, a flow faster than it would never be flushed
        websocket_inactivity_timeout=0,  # a quiet night must not close the socket
    )
    dash.layout = shell()
    pages.add_callbacks(dash, config, areas, screen, geography, on_replay=replay.warm)
    # Dash would do it at the first request of `/` or its own paths: a wall that asks for `/wall` first after a restart
    # got a page without our scripts.
    dash._setup_server()  # type: ignore[no-untyped-call]
    return server
