"""The panel of a selected vehicle, camera or area: what is there now, its last hour, its alarms."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from dash import dcc, html
from dash.development.base_component import Component
from msgspec import Struct

from city.alarms import Alarm
from city.i18n import Translator
from layouts.figures import Line, hour_figure


class Row(Struct, frozen=True, kw_only=True):
    """One line of the panel's table."""

    label: str  # a key of the catalogue
    value: str  # in words already
    age_s: float | None = None  # None: the value has no age of its own


class Note(Struct, frozen=True, kw_only=True):
    """A message that was rejected, as a person reads it."""

    head: str
    words: str
    source: str  # topic and payload, shown as they came
    age_s: float


class Panel(Struct, frozen=True, kw_only=True):
    """Everything a panel shows, in words already."""

    title: str
    subtitle: str
    rows: Sequence[Row]
    alarms: Sequence[Alarm]
    lines: Sequence[Line] = ()
    axis: str = ""
    second_axis: str | None = None
    notes: Sequence[Note] = ()


def age_words(seconds: float | None, t: Translator) -> str:
    """ "12 s", "4 min", "2 h", "3 d"; a dash where there is none. The same steps as in live.js."""
    if seconds is None:
        return ""
    if seconds < 90:
        return t("age.seconds", n=max(0, round(seconds)))
    if seconds < 5400:
        return t("age.minutes", n=round(seconds / 60))
    if seconds < 172800:
        return t("age.hours", n=round(seconds / 3600))
    return t("age.days", n=round(seconds / 86400))


def moment_words(at_ms: int, timezone: str) -> str:
    """The city's time of a moment, with the date where it is not today's."""
    zone = ZoneInfo(timezone)
    at = datetime.fromtimestamp(at_ms / 1000, zone)
    return f"{at:%H:%M}" if at.date() == datetime.now(zone).date() else f"{at:%d.%m %H:%M}"


def value_words(name: str, value: float | str, t: Translator) -> str:
    """A value of an alarm or a problem: a number whole where it is whole or large, else with one digit.

    A word (a network, a quantity, a unit) as the catalogue has it under the value's name, else as it came.
    """
    if isinstance(value, str):
        return t.catalogue.get(f"{name}.{value}", value)
    return t.number(value, 0 if float(value).is_integer() or abs(value) >= 100 else 1)


def kind_words(kind: str, t: Translator) -> str:
    """A camera's word for what it saw, translated where there is a translation."""
    return t.catalogue.get(f"kind.{kind}", kind)


def alarm_words(alarm: Alarm, t: Translator) -> str:
    """What the alarm says, with the numbers that fired it."""
    numbers = {name: value_words(name, value, t) for name, value in alarm.values.items()}
    return t(f"alarm.{alarm.rule}", **numbers)


def panel_head(content: Panel, t: Translator) -> Component:
    """Who or what is selected, and the way out."""
    return html.Header(
        [
            html.Div([html.H2(content.title), html.P(content.subtitle)]),
            html.Button("✕", id="panel-close", className="close", title=t("close"), n_clicks=0),
        ]
    )


def panel_past(content: Panel, timezone: str, t: Translator) -> list[Component]:
    """The last hour, or a feed's last rejects: what does not change while one looks at it."""
    if content.notes:
        return [_notes(content.notes, t)]
    return [html.H3(t("panel.hour")), _hour(content, timezone, t)] if content.lines else []


def panel_now(content: Panel, timezone: str, t: Translator) -> list[Component]:
    """What changes while the panel is open."""
    table = html.Table(
        html.Tbody(
            [
                html.Tr([html.Th(t(row.label)), html.Td(row.value), html.Td(age_words(row.age_s, t), className="age")])
                for row in content.rows
            ]
        )
    )
    if not content.alarms:
        return [table, html.P(t("alarms.none"), className="note")]
    return [
        table,
        html.H3(t("alarms")),
        html.Ol([_alarm(a, timezone, t) for a in content.alarms], className="panel-alarms"),
    ]


def _alarm(alarm: Alarm, timezone: str, t: Translator) -> Component:
    state = f" · {t(f'alarm_state.{alarm.state}')}"
    return html.Li(
        [
            html.Span(f"{t(f'priority.{alarm.priority}')} · {alarm_words(alarm, t)}{state}"),
            html.Time(moment_words(alarm.raised_ms, timezone)),
        ]
    )


def _hour(content: Panel, timezone: str, t: Translator) -> Component:
    if not any(len(line.times_ms) > 1 for line in content.lines):
        return html.P(t("panel.no_hour"), className="note")
    return dcc.Graph(
        figure=hour_figure(content.lines, timezone, t, axis=content.axis, second_axis=content.second_axis),
        config={"displayModeBar": False, "responsive": True},
        style={"height": "10.5rem"},
        responsive=True,
    )


def _notes(notes: Sequence[Note], t: Translator) -> Component:
    items = [
        html.Li(
            [
                html.Div([html.B(note.head), html.Time(age_words(note.age_s, t))]),
                html.P(note.words),
                html.Pre(note.source),
            ]
        )
        for note in notes
    ]
    return html.Section([html.H3(t("panel.rejects")), html.Ol(items, className="panel-notes")])
