"""Which page is where, the panel of a selection, and the stream that feeds both."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from dash import Dash, Input, Output
from dash.development.base_component import Component
from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from city.areas import Areas
from city.config import Config
from city.i18n import LANGUAGES, Translator, translator
from city.routes import RoutesError, load_routes
from dashboard.api_replay import SPEEDS
from dashboard.briefing import areas_an_hour_ago, brief
from dashboard.dash_page import DashPage
from dashboard.problems import Problem
from dashboard.screen import Screen
from dashboard.selected import past, selected
from layouts.alarm_load import alarm_load
from layouts.analytics import analytics
from layouts.briefing import briefing
from layouts.feeds import feeds
from layouts.incidents import incident, incidents
from layouts.operations import operations, wall
from layouts.panel import panel_head, panel_now, panel_past
from layouts.replay import replay
from layouts.shell import live_settings, not_found
from layouts.shift import shift
from layouts.systemic import systemic
from layouts.transit import transit

_PANEL_EVERY_S = 2.0
_INCIDENT = re.compile(r"/incidents/([\w-]{1,40})")


def add_geography(server: FastAPI, config: Config, geography: frozenset[str]) -> None:
    """The map's ground layers as files: fetched once, kept by the browser for an hour."""

    def layer(name: str) -> FileResponse:
        path = config.city_dir / f"{name}.geojson"
        return FileResponse(path, media_type="application/geo+json", headers={"Cache-Control": "max-age=3600"})

    for name in sorted(geography):
        server.add_api_route(
            f"/geo/{config.city}/{name}.geojson",
            lambda name=name: layer(name),
            methods=["GET"],
            include_in_schema=False,
        )

    @server.get("/geo/{path:path}", include_in_schema=False)
    async def nothing(path: str) -> None:
        raise Problem(404, "No such layer", f"/geo/{path}: the city has no such layer")


def language_of(search: str | None, config: Config) -> Translator:
    """The language asked for by `?lang=`, the city's own where there is none or an unknown one."""
    asked = parse_qs((search or "").lstrip("?")).get("lang", [""])[0]
    return translator(next((language for language in LANGUAGES if language == asked), config.profile.language))


def route_names(config: Config) -> tuple[str, ...]:
    """The routes that the city knows, in the order of their numbers; none where their file cannot be used."""
    try:
        names = {line.route for line in load_routes(config.city_dir)}
    except RoutesError:
        return ()
    return tuple(sorted(names, key=lambda name: (len(name), name)))


def add_callbacks(
    app: Dash,
    config: Config,
    areas: Areas,
    screen: Screen,
    geography: frozenset[str],
    *,
    on_replay: Callable[[], None] = lambda: None,
) -> None:
    """The pages, by their path. `on_replay` is called on the event loop when the replay's is served."""
    timezone = config.profile.timezone
    routes = route_names(config)

    async def page_of(path: str, t: Translator) -> Component:
        match path:
            case "/":
                return operations(config, areas, t, geography)
            case "/wall":
                return wall(config, areas, t, geography)
            case "/briefing":
                # The store is asked in a thread; the state is read here, where alone it changes.
                hour_ago = await run_in_threadpool(areas_an_hour_ago, screen.store) if screen.state.store_up else {}
                return briefing(brief(config, areas, screen.state, hour_ago, t), config, t)
            case "/feeds":
                return feeds(config, t)
            case "/alarm-load":
                return alarm_load(config, t)
            case "/analytics":
                return analytics(config, areas, t, routes)
            case "/transit":
                return transit(config, t)
            case "/replay":
                on_replay()
                return replay(config, areas, t, geography, SPEEDS)
            case "/systemic":
                return systemic(config, t, geography)
            case "/shift":
                return shift(config, t, None)
            case _ if (number := path.removeprefix("/shift/")).isdecimal() and len(number) < 10:
                return shift(config, t, int(number))
            case "/incidents":
                return incidents(config, t)
            case _ if match := _INCIDENT.fullmatch(path):
                return incident(config, areas, t, geography, match[1])
            case _:
                return not_found(config, t, path)

    @app.callback(
        Output("page", "children"),
        Output("live", "settings"),
        Input("url", "pathname"),
        Input("url", "search"),
    )
    async def show_page(path: str | None, search: str | None) -> tuple[Component, dict[str, object]]:
        t = language_of(search, config)
        return await page_of((path or "/").rstrip("/") or "/", t), live_settings(config, areas, t)

    @app.callback(
        {
            "head": Output("panel-head", "children"),
            "now": Output("panel-now", "children"),
            "past": Output("panel-past", "children"),
            "hidden": Output("panel", "hidden"),
        },
        Input("selection", "value"),
        Input("url", "search"),
    )
    async def show_panel(value: Any, search: str | None) -> dict[str, Any]:
        t = language_of(search, config)
        # A store that hangs would keep a person waiting for what they clicked.
        before = await run_in_threadpool(past, value, screen.store, t) if screen.state.store_up else None
        content = selected(value, config, areas, screen.state, screen.indicators, before, t)
        if content is None:
            return {"head": None, "now": None, "past": None, "hidden": True}
        return {
            "head": panel_head(content, t),
            "now": panel_now(content, timezone, t),
            "past": panel_past(content, timezone, t),
            "hidden": False,
        }

    app.clientside_callback(  # type: ignore[no-untyped-call]
        "function(clicks) { if (clicks) window.markaz.select(null); return window.dash_clientside.no_update; }",
        Output("panel-close", "title"),
        Input("panel-close", "n_clicks"),
        prevent_initial_call=True,
    )
    app.clientside_callback(  # type: ignore[no-untyped-call]
        "function(clicks) { if (clicks) window.print(); return window.dash_clientside.no_update; }",
        Output("briefing-print", "title"),
        Input("briefing-print", "n_clicks"),
        prevent_initial_call=True,
    )

    @app.callback(websocket=True, persistent=True)
    async def stream() -> None:
        """Runs as long as the page is open: frames for the map, the living part of the panel."""
        page = DashPage()

        async def refresh_panel() -> bool:
            answered, value = await page.ask("selection", "value")
            if value:
                _, search = await page.ask("url", "search")
                t = language_of(search, config)
                content = selected(value, config, areas, screen.state, screen.indicators, None, t)
                if content is not None:
                    page.show("panel-now", {"children": panel_now(content, timezone, t)})
            return answered

        await screen.push.stream(page, refresh_panel, every_s=_PANEL_EVERY_S)
