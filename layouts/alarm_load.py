"""The page of the alarm load: how much the alarms ask of an operator, and what would help."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from city.config import Config
from city.i18n import Translator
from layouts.components import AlarmLoad
from layouts.shell import banner, head, selection


def alarm_load(config: Config, t: Translator) -> Component:
    """The page without data: its component asks the API."""
    return html.Div(
        [
            head(config, t, "/alarm-load"),
            banner(),
            html.Main(AlarmLoad(), className="load-work"),
            html.Div(selection(), hidden=True),
        ],
        className="screen load-page",
    )
