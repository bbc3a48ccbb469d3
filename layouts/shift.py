"""The page of the shift: what the next one must know, the shift log, two signatures; on the screen and on paper."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from city.config import Config
from city.i18n import Translator
from layouts.components import Shift
from layouts.shell import banner, head, selection


def shift(config: Config, t: Translator, number: int | None) -> Component:
    """The present shift, or an earlier hand-over by its number; its component asks the API."""
    return html.Div(
        [
            head(config, t, "/shift" if number is None else f"/shift/{number}"),
            banner(),
            html.Main(Shift(number=number)),
            html.Div(selection(), hidden=True),
        ],
        className="screen shift-page",
    )
