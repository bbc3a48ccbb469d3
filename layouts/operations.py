"""The operations page and the wall: the same pieces, one to act with, one to look at."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component

from city.areas import Areas
from city.config import Config
from city.i18n import Translator
from layouts.citymap import city_map
from layouts.components import Alarms, Clock, Feeds, Indicators, Key, Layers, Tiles
from layouts.shell import banner, head, selection

_WALL_ALARMS = 6  # what fits beside the map at every 16:9 size, because all sizes scale with the screen


def operations(config: Config, areas: Areas, t: Translator, geography: frozenset[str]) -> Component:
    """Tiles, map, alarms, feeds and the panel of whatever is selected."""
    return html.Div(
        [
            head(config, t, "/"),
            banner(),
            Tiles(),
            html.Main(
                [
                    html.Div(
                        [
                            city_map(config, areas, t, geography, restore=True),
                            html.Div([Indicators(), Key()], className="map-foot"),
                            html.Div(Layers(), className="map-layers"),
                            selection(),
                        ],
                        className="map-holder",
                    ),
                    Alarms(),
                ],
                className="work",
            ),
            html.Div(
                [
                    Feeds(),
                    dcc.Link(t("feeds.all"), href=f"/feeds?lang={t.language}", className="all-feeds", refresh=False),
                ],
                className="feeds-line",
            ),
        ],
        className="screen operations",
    )


def wall(config: Config, areas: Areas, t: Translator, geography: frozenset[str]) -> Component:
    """The same city for a wall: no navigation, no pointer, nothing to press."""
    return html.Div(
        [
            html.Header(
                [
                    html.Div([html.B("Markaz"), html.Span(config.profile.names[t.language])], className="brand"),
                    Clock(),
                ],
                className="head",
            ),
            banner(),
            Tiles(),
            html.Main(
                [
                    html.Div(
                        [
                            city_map(config, areas, t, geography, restore=False),
                            html.Div([Indicators(), Key()], className="map-foot"),
                        ],
                        className="map-holder",
                    ),
                    Alarms(limit=_WALL_ALARMS),
                ],
                className="work",
            ),
            Feeds(),
            html.Div(selection(), hidden=True),
        ],
        className="screen operations wall",
    )
