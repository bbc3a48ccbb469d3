"""The live components: Python's names for the React functions of `assets/*.js`.

Dash needs only a class with a namespace, a type and the names of its properties. The browser
looks the function up as `window.markaz_live.<type>`.
"""

from __future__ import annotations

from typing import Any

from dash.development.base_component import Component

NAMESPACE = "markaz_live"


def _component(name: str, properties: tuple[str, ...], doc: str) -> type[Component]:
    names = ["id", *properties]

    def __init__(self: Any, id: str | None = None, **given: Any) -> None:  # noqa: A002, N807 - Dash's own names
        self._prop_names = names
        self._valid_wildcard_attributes = []
        self.available_properties = names
        self.available_wildcard_properties = []
        unknown = set(given) - set(names)
        if unknown:
            raise TypeError(f"{name} has no property {', '.join(sorted(unknown))}")
        if id is not None:
            given["id"] = id
        Component.__init__(self, **given)  # type: ignore[no-untyped-call]

    return type(
        name,
        (Component,),
        {
            "__init__": __init__,
            "__doc__": doc,
            "__module__": __name__,  # Dash files components under the module that made them
            "_children_props": [],
            "_base_nodes": ["children"],
            "_namespace": NAMESPACE,
            "_type": name,
        },
    )


Live = _component(
    "Live",
    ("settings", "roster", "vehicles", "cameras", "areas", "summary", "alarms", "feeds"),
    "Takes the pushed frames. None of these properties may be the Input of a callback: "
    "Dash would keep every frame for its undo history.",
)
CityMap = _component(
    "CityMap",
    ("labels", "bounds", "restore", "focus"),
    "The canvas of vehicles, cameras, alarms and labels inside a dash-leaflet map. "
    "`bounds`: what to show at first; `restore`: take up the remembered view and selection; "
    "`focus`: show what the page is about instead, and leave the remembered view alone.",
)
Selection = _component("Selection", ("value",), "What the person chose: value = {kind, id} or null.")
Tiles = _component("Tiles", (), "The row of KPI tiles.")
Alarms = _component("Alarms", ("limit",), "Open incidents, and alarms that are in none; `limit` rows at most.")
Incidents = _component("Incidents", (), "Incidents that are open or closed not long ago, and a form for a new one.")
Incident = _component(
    "Incident", ("incident",), "All about the incident of this number, and what operators do about it."
)
Feeds = _component("Feeds", (), "The strip of feeds: rate, age, rejects.")
FeedTable = _component("FeedTable", (), "A row a feed: state, rate against the expected one, age, clocks, rejects.")
Workers = _component("Workers", (), "A row an ingest worker: connection, lag, batches, the store's delay.")
Rejects = _component(
    "Rejects", ("reasons",), "Rejected messages, newest first, and the chosen one; `reasons`: all there are."
)
AlarmLoad = _component("AlarmLoad", (), "The measures of the alarm load, the worst alarms and their proposals.")
Shift = _component(
    "Shift", ("number",), "The present shift with its log and signatures; with `number` that earlier hand-over."
)
ReplayBanner = _component("ReplayBanner", (), "Says, large, that this is the past, and which moment of it.")
ReplayControls = _component(
    "ReplayControls",
    ("speeds",),
    "Plays, pauses, steps, scrubs; `speeds`: [city seconds a second, seconds between samples] that may be chosen.",
)
ReplayAlarms = _component("ReplayAlarms", (), "The operator's list of that moment, with what had been done by then.")
Systemic = _component(
    "Systemic", ("ground",), "Systemic problems with their evidence; `ground`: addresses of mahallas and districts."
)
Analytics = _component(
    "Analytics",
    ("feeds", "city", "cityName", "bounds", "kinds", "districts", "parents", "routes"),
    "Everything of the page of analytics but the grid of rows. `feeds`: what can be asked of each; `kinds`: of areas "
    "that the city has; `parents`: mahalla → district; `routes`: those to be proposed.",
)
Transit = _component(
    "Transit", ("limits",), "All of the page of transport analysis; `limits`: what is early, late, bunched, a gap."
)
Banner = _component("Banner", (), "Says when the page does not hear the server or the server not the store.")
Clock = _component("Clock", (), "Connection state, date and time in the city's time zone.")
Indicators = _component("Indicators", (), "Chooses what colours the polygons, with its scale.")
Key = _component("Key", (), "What the signs on the map mean.")
Layers = _component("Layers", (), "Switches layers of the map on and off.")
Ago = _component("Ago", ("at",), "How long ago `at` (epoch ms) was, counting on.")
