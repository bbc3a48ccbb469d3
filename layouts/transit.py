"""The page of transport analysis: a route's headways, travel times, punctuality, load, fuel, and their numbers."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component
from msgspec import Struct, to_builtins

from city.config import Config
from city.i18n import Translator
from layouts.components import Transit
from layouts.shell import banner, head, selection


class Limits(Struct, frozen=True, kw_only=True):
    """What is early, late, bunched, a gap: for the words beside the pictures."""

    early_s: float
    late_s: float
    bunched_share: float
    gap_share: float


def transit(config: Config, t: Translator) -> Component:
    """The page without data: its component asks the API."""
    rules = config.transit
    limits = Limits(
        early_s=rules.early_s, late_s=rules.late_s, bunched_share=rules.bunched_share, gap_share=rules.gap_share
    )
    return html.Div(
        [
            head(config, t, "/transit"),
            banner(),
            html.Main(Transit(limits=to_builtins(limits)), className="transit-work"),
            html.Div(selection(), hidden=True),
        ],
        className="screen transit-page",
    )
