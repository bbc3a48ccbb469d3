"""One page for the khokim, on the screen and on paper: what changed, the worst problems, the districts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from babel.dates import format_datetime
from dash import html
from dash.development.base_component import Component
from msgspec import Struct

from city.config import Config
from city.i18n import Translator
from layouts.components import Ago
from layouts.panel import moment_words
from layouts.shell import banner, head, selection

# Which way is better, for those numbers where it is plain; the others only change.
_BETTER_UP = frozenset({"vehicles_in_service", "mean_speed_kmh", "cameras_online"})
_BETTER_DOWN = frozenset({"mean_load", "fuel_l_per_100km", "open_alarms"})
_ONE_DIGIT = frozenset({"mean_speed_kmh", "fuel_l_per_100km"})


class KpiLine(Struct, frozen=True, kw_only=True):
    name: str
    unit: str
    now: float | None
    hour_ago: float | None
    day_ago: float | None


class ProblemLine(Struct, frozen=True, kw_only=True):
    words: str
    place: str
    since_ms: int | None


class DistrictLine(Struct, frozen=True, kw_only=True):
    name: str
    vehicles: int
    onboard: int | None
    load: float | None  # passengers over places
    load_hour_ago: float | None
    speed_kmh: float | None
    speed_hour_ago_kmh: float | None
    alarms: int


class Briefing(Struct, frozen=True, kw_only=True):
    """Everything on the page, as of one moment."""

    at_ms: int  # epoch milliseconds UTC
    store_up: bool
    kpis: Sequence[KpiLine]
    problems: Sequence[ProblemLine]
    districts: Sequence[DistrictLine]
    coverage_pct: int | None


def briefing(content: Briefing, config: Config, t: Translator) -> Component:
    """The page."""
    zone = ZoneInfo(config.profile.timezone)
    at = format_datetime(datetime.fromtimestamp(content.at_ms / 1000, zone), t.moment_pattern, locale=t.language)
    return html.Div(
        [
            head(config, t, "/briefing"),
            banner(),
            html.Main(
                [
                    html.Div(
                        [
                            html.H1(f"{config.profile.names[t.language]} · {t('briefing.title')}"),
                            html.P([t("briefing.as_of", at=at), " · ", Ago(at=content.at_ms)]),
                            html.A(t("briefing.anew"), href=f"/briefing?lang={t.language}"),
                            html.Button(t("briefing.print"), id="briefing-print", n_clicks=0),
                        ],
                        className="briefing-title",
                    ),
                    None if content.store_up else html.P(t("briefing.store_down"), className="late"),
                    html.Section([html.H2(t("briefing.problems")), _problems(content, config.profile.timezone, t)]),
                    html.Section([html.H2(t("briefing.changed")), _changes(content.kpis, t)]),
                    _districts(content.districts, t) if content.districts else None,
                    html.P(t("briefing.coverage", percent=content.coverage_pct), className="note")
                    if content.coverage_pct is not None and content.coverage_pct < 100
                    else None,
                ]
            ),
            html.Div(selection(), hidden=True),
        ],
        className="screen briefing",
    )


def _problems(content: Briefing, timezone: str, t: Translator) -> Component:
    if not content.problems:
        return html.P(t("briefing.no_problems"), className="empty")
    items = []
    for problem in content.problems:
        since = None
        if problem.since_ms is not None:
            since = t("briefing.since", at=moment_words(problem.since_ms, timezone))
        items.append(html.Li([html.Div([html.B(problem.words), html.Span(problem.place)]), html.Time(since or "")]))
    return html.Ol(items, className="problems")


def _changes(lines: Sequence[KpiLine], t: Translator) -> Component:
    head_row = html.Tr([html.Th(t(f"briefing.{name}")) for name in ("indicator", "now", "hour_ago", "day_ago")])
    rows = [
        html.Tr(
            [
                html.Td(t(f"kpi.{line.name}")),
                html.Td(_amount(line.name, line.unit, line.now, t), className="number"),
                _then(line, line.hour_ago, t),
                _then(line, line.day_ago, t),
            ]
        )
        for line in lines
        if line.name != "messages_per_s"  # the machinery's pulse is no news for a city
    ]
    return html.Table([html.Thead(head_row), html.Tbody(rows)])


def _then(line: KpiLine, then: float | None, t: Translator) -> Component:
    if then is None:
        return html.Td(t("briefing.no_data"), className="note")
    words = _amount(line.name, line.unit, then, t)
    if line.now is None:
        return html.Td(words)
    change = line.now - then
    shown = _number(line.name, line.unit, abs(change), t)
    if shown == _number(line.name, line.unit, 0.0, t):
        return html.Td(f"{words} (±0)")
    better = (change > 0) == (line.name in _BETTER_UP)
    known = line.name in _BETTER_UP or line.name in _BETTER_DOWN
    arrow = "▲" if change > 0 else "▼"
    return html.Td(
        [f"{words} ", html.Span(f"{arrow} {shown}", className=("better" if better else "worse") if known else "")]
    )


def _districts(lines: Sequence[DistrictLine], t: Translator) -> Component:
    names = (
        "briefing.district",
        "alarms",
        "vehicles",
        "panel.onboard",
        "load",
        "briefing.hour_ago",
        "speed.moving",
        "briefing.hour_ago",
    )
    rows = [
        html.Tr(
            [
                html.Td(line.name),
                html.Td(str(line.alarms), className="number"),
                html.Td(str(line.vehicles)),
                html.Td("–" if line.onboard is None else t.number(line.onboard)),
                html.Td(_percent(line.load, t), className="number"),
                html.Td(_percent(line.load_hour_ago, t), className="note"),
                html.Td(_speed(line.speed_kmh, t), className="number"),
                html.Td(_speed(line.speed_hour_ago_kmh, t), className="note"),
            ]
        )
        for line in lines
    ]
    return html.Section(
        [
            html.H2(t("briefing.districts")),
            html.Table([html.Thead(html.Tr([html.Th(t(name)) for name in names])), html.Tbody(rows)]),
        ]
    )


def _number(name: str, unit: str, value: float, t: Translator) -> str:
    if unit == "ratio":
        return t.number(value * 100)
    return t.number(value, 1 if name in _ONE_DIGIT else 0)


def _amount(name: str, unit: str, value: float | None, t: Translator) -> str:
    return "–" if value is None else f"{_number(name, unit, value, t)} {t(f'unit.{unit}')}"


def _percent(load: float | None, t: Translator) -> str:
    return "–" if load is None else f"{t.number(load * 100)} %"


def _speed(speed_kmh: float | None, t: Translator) -> str:
    return "–" if speed_kmh is None else f"{t.number(speed_kmh)} {t('unit.kmh')}"
