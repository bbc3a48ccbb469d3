"""The page of feeds: what comes in, who takes it in, and what was rejected."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from city.config import Config
from city.i18n import Translator
from city.messages import RejectReason
from layouts.components import FeedTable, Rejects, Workers
from layouts.shell import banner, head, selection


def feeds(config: Config, t: Translator) -> Component:
    """Feeds and workers on the left; rejected messages with the chosen one on the right."""
    return html.Div(
        [
            head(config, t, "/feeds"),
            banner(),
            html.Main(
                [
                    html.Div([FeedTable(), Workers()], className="feeds-left"),
                    Rejects(reasons=[reason.value for reason in RejectReason]),
                ],
                className="feeds-work",
            ),
            html.Div(selection(), hidden=True),
        ],
        className="screen feeds-page",
    )
