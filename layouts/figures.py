"""Plotly figures in the interface's own dress."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import plotly.graph_objects as go
from msgspec import Struct

from city.i18n import Translator
from layouts.theme import PLOT


class Line(Struct, frozen=True, kw_only=True):
    """One line of a figure: epoch milliseconds and values; None is a gap, drawn as one."""

    name: str
    times_ms: Sequence[int]
    values: Sequence[float | None]
    second_axis: bool = False


def hour_figure(
    lines: Sequence[Line], timezone: str, t: Translator, *, axis: str, second_axis: str | None = None
) -> go.Figure:
    """The last hour of a few values, times in the city's time zone. `axis` names the units."""
    zone = ZoneInfo(timezone)
    dashes = ("solid", "dot", "dash")
    traces = [
        go.Scatter(
            # Wall-clock times without a zone: Plotly would turn aware ones into UTC.
            x=[datetime.fromtimestamp(ms / 1000, zone).replace(tzinfo=None) for ms in line.times_ms],
            y=list(line.values),
            name=line.name,
            mode="lines",
            connectgaps=False,
            yaxis="y2" if line.second_axis else "y",
            line={"color": PLOT["lines"][at % 3], "width": 2, "dash": dashes[at % 3]},
        )
        for at, line in enumerate(lines)
    ]
    axis_style = {
        "gridcolor": PLOT["grid"],
        "zeroline": False,
        "tickfont": {"size": 11},
        "rangemode": "tozero",
        "nticks": 4,
        "tickformat": ".0f",
    }
    return go.Figure(
        traces,
        {
            "paper_bgcolor": PLOT["paper"],
            "plot_bgcolor": PLOT["paper"],
            "font": {"color": PLOT["muted"], "size": 12},
            "margin": {"l": 36, "r": 36, "t": 6, "b": 22},
            "showlegend": True,
            "legend": {"orientation": "h", "y": 1.2, "x": 0, "font": {"color": PLOT["ink"]}},
            "xaxis": {"gridcolor": PLOT["grid"], "tickformat": "%H:%M", "nticks": 5},
            "yaxis": {**axis_style, "title": {"text": axis, "font": {"size": 11}}},
            "yaxis2": {
                **axis_style,
                "overlaying": "y",
                "side": "right",
                "showgrid": False,
                "title": {"text": second_axis or "", "font": {"size": 11}},
            },
            "separators": t.decimal + t.group,
            "hovermode": "x unified",
            "uirevision": "keep",
        },
    )
