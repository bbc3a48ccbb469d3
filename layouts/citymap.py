"""The map: ground layers by dash-leaflet, everything that moves in one canvas above them."""

from __future__ import annotations

import dash_leaflet as dl
from dash.development.base_component import Component

from city.areas import Areas
from city.config import Config
from city.i18n import Translator
from layouts.components import CityMap

# Under Leaflet's own panes for pop-ups (700); each pane can be hidden by itself.
_PANES = (("areas", 401), ("outline", 410), ("routes", 420), ("metro", 430), ("stops", 440), ("live", 450))


def city_map(
    config: Config, areas: Areas, t: Translator, geography: frozenset[str], *, restore: bool, focus: bool = False
) -> Component:
    """The city's map without data; `geography` names the layers that the city has.

    `restore`: a person works with it, so it has buttons and comes back as it was left; `focus`: or shows what the page
    is about.
    """
    west, south, east, north = config.profile.bounds

    def layer(name: str, pane: str, **options: object) -> list[Component]:
        if name not in geography:
            return []
        return [dl.GeoJSON(url=f"/geo/{config.city}/{name}.geojson", id=f"geo-{name}", pane=pane, **options)]

    def styled(function: str) -> dict[str, str]:
        return {"variable": f"markaz.map.{function}"}

    ground = [
        *layer("mahallas", "areas", style=styled("mahallaStyle"), onEachFeature=styled("eachArea")),
        *layer("districts", "outline", style=styled("districtStyle"), interactive=False),
        *layer("bus_routes", "routes", style=styled("routeStyle"), interactive=False),
        *layer("metro_lines", "metro", style=styled("metroStyle"), interactive=False),
        *layer("metro_stations", "metro", pointToLayer=styled("stationPoint"), interactive=False),
        *layer("bus_stops", "stops", pointToLayer=styled("stopPoint"), interactive=False),
    ]
    city: Component = dl.Map(
        [
            *[dl.Pane(name=name, style={"zIndex": z}) for name, z in _PANES],
            *ground,
            CityMap(
                labels=_labels(areas, t.language), bounds=[[south, west], [north, east]], restore=restore, focus=focus
            ),
            *([dl.ZoomControl(position="bottomright")] if restore else []),
            dl.ScaleControl(position="bottomright", imperial=False),
            dl.AttributionControl(prefix=False, position="bottomright"),
        ],
        id="map",
        className="map greyable",
        center=[(south + north) / 2, (west + east) / 2],
        zoom=11,
        zoomSnap=0.25,
        zoomDelta=0.5,
        minZoom=9,
        maxZoom=18,
        zoomAnimation=False,
        fadeAnimation=False,
        markerZoomAnimation=False,
        attributionControl=False,
        zoomControl=False,
        preferCanvas=False,
    )
    return city


def _labels(areas: Areas, language: str) -> dict[str, list[list[object]]]:
    labels: dict[str, list[list[object]]] = {"districts": [], "mahallas": []}
    for area in areas.by_code.values():
        point = area.polygon.representative_point()
        labels[f"{area.kind}s"].append([round(point.y, 5), round(point.x, 5), area.name(language)])
    return labels
