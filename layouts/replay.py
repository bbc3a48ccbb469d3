"""The page that plays the past: the live page's map and list, of a moment that somebody chose."""

from __future__ import annotations

from collections.abc import Sequence

from dash import html
from dash.development.base_component import Component

from analysis.replay import step_s
from city.areas import Areas
from city.config import Config
from city.i18n import Translator
from layouts.citymap import city_map
from layouts.components import Indicators, Key, Layers, ReplayAlarms, ReplayBanner, ReplayControls
from layouts.shell import banner, head, selection


def replay(config: Config, areas: Areas, t: Translator, geography: frozenset[str], speeds: Sequence[int]) -> Component:
    """The page without data: its components ask the API. `speeds`: city seconds a second that may be chosen."""
    return html.Div(
        [
            head(config, t, "/replay"),
            banner(),
            ReplayBanner(),
            html.Main(
                [
                    html.Div(
                        [
                            city_map(config, areas, t, geography, restore=True),
                            html.Div([Indicators(), Key()], className="map-foot"),
                            html.Div(Layers(), className="map-layers"),
                        ],
                        className="map-holder",
                    ),
                    ReplayAlarms(),
                ],
                className="work",
            ),
            ReplayControls(speeds=[[speed, step_s(speed)] for speed in speeds]),
            html.Div(selection(), hidden=True),
        ],
        className="screen replay-page",
    )
