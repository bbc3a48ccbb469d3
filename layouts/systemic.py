"""The page of systemic problems: what keeps coming back, why it is believed, and what is done about it."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from city.config import Config
from city.i18n import Translator
from layouts.components import Systemic
from layouts.shell import banner, head, selection


def systemic(config: Config, t: Translator, geography: frozenset[str]) -> Component:
    """The page without data: its component asks the API; `geography` names the layers that the city has."""
    ground = [f"/geo/{config.city}/{name}.geojson" for name in ("mahallas", "districts") if name in geography]
    return html.Div(
        [
            head(config, t, "/systemic"),
            banner(),
            html.Main(Systemic(ground=ground), className="systemic-work"),
            html.Div(selection(), hidden=True),
        ],
        className="screen systemic-page",
    )
