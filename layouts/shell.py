"""What every page has: head, navigation, language switch, banner, the live receiver."""

from __future__ import annotations

from dash import dcc, html
from dash.development.base_component import Component
from msgspec import to_builtins

from city.areas import Areas
from city.config import Config
from city.i18n import LANGUAGE_NAMES, LANGUAGES, Translator
from layouts.components import Banner, Clock, Live, Selection
from layouts.theme import INDICATORS

PAGES = (
    ("/", "page.operations"),
    ("/incidents", "page.incidents"),
    ("/analytics", "page.analytics"),
    ("/transit", "page.transit"),
    ("/alarm-load", "page.alarm_load"),
    ("/systemic", "page.systemic"),
    ("/replay", "page.replay"),
    ("/shift", "page.shift"),
    ("/wall", "page.wall"),
    ("/briefing", "page.briefing"),
    ("/feeds", "page.feeds"),
)


def shell() -> Component:
    """The frame that stays while pages change; the receiver is in it, so the push survives navigation."""
    return html.Div(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            html.Div(Live(id="live"), id="live-holder", hidden=True),
            html.Div(id="page"),
        ],
        id="shell",
    )


def live_settings(config: Config, areas: Areas, t: Translator) -> dict[str, object]:
    """What the page's scripts need to know once: words, language, scales, area names."""
    return {
        "text": dict(t.catalogue),
        "lang": t.language,
        "timezone": config.profile.timezone,
        "page_stale_after_s": config.live.page_stale_after_s,
        "kpi_stale_after_s": config.live.vehicle_stale_after_s,
        "number": {"decimal": t.decimal, "group": t.group},
        "days": t.days,
        "months": t.months,
        "day_pattern": t.day_pattern,
        "indicators": to_builtins(INDICATORS),
        "areas": [[area.code, area.name(t.language)] for area in areas.by_code.values()],
    }


def head(config: Config, t: Translator, path: str) -> Component:
    """The top line: where we are, the other pages, the languages, the clock."""
    return html.Header(
        [
            html.A(
                [
                    html.Img(src="/assets/markaz.svg", alt=""),
                    html.B("Markaz"),
                    html.Span(config.profile.names[t.language]),
                ],
                href=f"/?lang={t.language}",
                className="brand",
            ),
            html.Nav(
                [
                    dcc.Link(
                        t(words),
                        href=f"{to}?lang={t.language}",
                        className="on" if to == path or path.startswith(f"{to}/") else "",
                        refresh=False,
                    )
                    for to, words in PAGES
                ]
            ),
            html.Div(
                [
                    html.A(
                        language.upper(),
                        href=f"{path}?lang={language}",
                        className="on" if language == t.language else "",
                        title=LANGUAGE_NAMES[language],
                        lang=language,
                    )
                    for language in LANGUAGES
                ],
                className="languages",
            ),
            Clock(),
        ],
        className="head",
    )


def banner() -> Component:
    return html.Div(Banner(), className="banner-holder")


def selection() -> Component:
    """The panel of whatever is selected, and the component that knows what that is. On every page, once."""
    parts = [html.Div(id="panel-head"), html.Div(id="panel-now"), html.Div(id="panel-past")]
    return html.Div(
        [Selection(id="selection"), html.Div(parts, id="panel", className="panel", hidden=True)],
        className="panel-holder",
    )


def not_found(config: Config, t: Translator, path: str) -> Component:
    return html.Div(
        [
            head(config, t, "/"),
            html.Main([html.H1(t("page.unknown")), html.P(path)], className="plain"),
            html.Div(selection(), hidden=True),
        ],
        className="screen",
    )
