"""The page of analytics: any question to history on a map, by time, by value, as a list and as rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_ag_grid as dag
from dash import dcc, html
from dash.development.base_component import Component

from analysis.measures import AREAS, DIMENSIONS, MEASURES, SPORADIC
from analysis.questions import FILTERS
from city.areas import Areas
from city.config import Config
from city.i18n import Translator
from layouts.components import Analytics
from layouts.shell import banner, head, selection
from layouts.theme import PLOT

# By what a feed's list of the greatest is taken apart where nobody chose: what people ask for first.
_BY_FIRST = ("route", "rule", "category", "network", "kind", "vehicle", "camera", "sensor")
# Rows near the eye that the browser holds: what is farther is asked for again.
_BLOCK_ROWS, _BLOCKS = 200, 25
_GRID_WORDS = ("loadingOoo", "noRowsToShow", "equals", "filterOoo")


def analytics(config: Config, areas: Areas, t: Translator, routes: Sequence[str]) -> Component:
    """The page without data: its component asks the API. `routes`: those that the city knows, to be proposed."""
    return html.Div(
        [
            head(config, t, "/analytics"),
            banner(),
            html.Main(
                [
                    Analytics(
                        feeds=feeds(),
                        city=config.city,
                        cityName=config.profile.names[t.language],
                        bounds=list(config.profile.bounds),
                        kinds=[
                            kind for kind, some in zip(AREAS, (areas.districts, areas.mahallas), strict=True) if some
                        ],
                        districts=[area.code for area in areas.districts],
                        parents={area.code: area.district_code for area in areas.mahallas},
                        routes=list(routes),
                    ),
                    html.Div(_grid(t), className="an-grid"),
                ],
                id="analytics",
                className="analytics-work",
            ),
            # Only so that Dash fetches its Plotly.
            html.Div(dcc.Graph(id="analytics-plotly"), hidden=True),
            html.Div(selection(), hidden=True),
        ],
        className="screen analytics-page",
    )


def feeds() -> dict[str, dict[str, Any]]:
    """What can be asked of each feed, for the browser: measures, dimensions, filters, columns that can be filtered."""
    return {
        feed: {
            "first": next(iter(measures)),
            "sporadic": feed in SPORADIC,
            "measures": [
                {
                    "name": measure.name,
                    "unit": measure.unit,
                    "how": measure.how.value,
                    "valued": measure.cell.column is not None,
                }
                for measure in measures.values()
            ],
            "by": list(DIMENSIONS[feed]),
            "by_first": next(name for name in _BY_FIRST if name in DIMENSIONS[feed]),
            "filters": [name for name in DIMENSIONS[feed] if name in FILTERS.values()],
            "columns": {
                column: name for name, column in reversed(DIMENSIONS[feed].items()) if name in FILTERS.values()
            },
        }
        for feed, measures in MEASURES.items()
    }


def _grid(t: Translator) -> Component:
    """AG Grid without rows: the page's script gives it the source that pages them from the server."""
    theme = (
        "themeQuartz.withParams({backgroundColor: '#111a23', foregroundColor: '#e8eef4', headerTextColor: '#b3c0cd',"
        " headerBackgroundColor: '#172330', oddRowBackgroundColor: '#131d27', borderColor: '#233241',"
        f" accentColor: '{PLOT['lines'][0]}', browserColorScheme: 'dark', fontFamily: 'inherit',"
        " fontSize: '0.95rem', spacing: '0.38rem', wrapperBorderRadius: '0.4rem'})"
    )
    grid: Component = dag.AgGrid(
        id="analytics-grid",
        rowModelType="infinite",
        columnDefs=[],
        defaultColDef={"resizable": True},
        dangerously_allow_code=False,
        enableEnterpriseModules=False,
        style={"height": "100%", "width": "100%"},
        dashGridOptions={
            "theme": {"function": theme},
            "cacheBlockSize": _BLOCK_ROWS,
            "maxBlocksInCache": _BLOCKS,
            # No limit: what Dash's own source was asked for is never answered, and would hold up ours.
            "maxConcurrentDatasourceRequests": -1,
            # The server sorts by one column, then by time.
            "suppressMultiSort": True,
            "cacheOverflowSize": 1,
            "blockLoadDebounceMillis": 80,
            "animateRows": False,
            "suppressFieldDotNotation": True,
            "enableCellTextSelection": True,
            "localeText": {name: t(f"analytics.grid.{name}") for name in _GRID_WORDS},
        },
    )
    return grid
