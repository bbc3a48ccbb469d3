"""The pages of incidents: the list, and one of them with its map."""

from __future__ import annotations

from dash import html
from dash.development.base_component import Component

from city.areas import Areas
from city.config import Config
from city.i18n import Translator
from layouts.citymap import city_map
from layouts.components import Incident, Incidents, Layers
from layouts.shell import banner, head, selection


def incidents(config: Config, t: Translator) -> Component:
    """What is open, and what was closed not long ago."""
    return html.Div(
        [
            head(config, t, "/incidents"),
            banner(),
            html.Main(Incidents(), className="incidents-work"),
            html.Div(selection(), hidden=True),
        ],
        className="screen incidents-page",
    )


def incident(config: Config, areas: Areas, t: Translator, geography: frozenset[str], incident_id: str) -> Component:
    """Head, alarms, timeline and what is to be done; the map shows where its alarms and cases are."""
    return html.Div(
        [
            head(config, t, f"/incidents/{incident_id}"),
            banner(),
            html.Main(
                [
                    Incident(incident=incident_id),
                    html.Div(
                        [
                            city_map(config, areas, t, geography, restore=True, focus=True),
                            html.Div(Layers(), className="map-layers"),
                            selection(),
                        ],
                        className="map-holder incident-map",
                    ),
                ],
                className="incident-work",
            ),
        ],
        className="screen incident-page",
    )
