"""What can be asked of history: the measures of each feed, and by what they can be taken apart. Plain data.

A measure is read from a *cell*: a column of the feed, or its rows, under a condition. Of a cell four numbers are enough
for every measure and add up over time and place: how many values, their sum, the least and the greatest. That is what
roll-ups keep, and why they answer as the raw rows do.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from city.archive.columns import TRANSITION, schema
from city.events import Facet


class How(StrEnum):
    """What is made of a cell's values."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    ENTITIES = "entities"  # how many different ones spoke
    RISE = "rise"  # of a counter: greatest less least, entity by entity, summed


class Is(StrEnum):
    """How a condition compares."""

    ABOVE = "above"
    EQUAL = "equal"


class When(Struct, frozen=True):
    """Which rows of a feed a cell takes."""

    column: str
    how: Is
    value: float | str | bool


class Cell(Struct, frozen=True):
    """Values of a feed that measures are made of."""

    name: str
    column: str | None = None  # None: rows are counted
    when: When | None = None


class Measure(Struct, frozen=True):
    """A number that can be asked of a feed."""

    name: str
    cell: Cell
    how: How
    unit: str  # as a person writes it; empty: a plain number


# Slower than a walk is standing: what a gauge tells of a vehicle at rest.
MOVING_MPS = 0.5

_ROWS = Cell("rows")
_MOVING = Cell("speed_moving", "speed_mps", When("speed_mps", Is.ABOVE, MOVING_MPS))
_DEVIATION = Cell("deviation", "schedule_deviation_s")
_COUNT = Measure("count", _ROWS, How.COUNT, "")
_VEHICLES = Measure("vehicles", _ROWS, How.ENTITIES, "")


def _of(cell: Cell, unit: str, **names: How) -> tuple[Measure, ...]:
    return tuple(Measure(name, cell, how, unit) for name, how in names.items())


_MOTION = (
    _COUNT,
    _VEHICLES,
    *_of(_MOVING, "m/s", speed_mean=How.MEAN, speed_max=How.MAX),
    *_of(_DEVIATION, "s", deviation_mean=How.MEAN, deviation_min=How.MIN, deviation_max=How.MAX),
)
_TOLD: dict[str, tuple[Measure, ...]] = {
    Facet.POSITION: _MOTION,
    Facet.VEHICLE_STATUS: _MOTION,
    Facet.PASSENGERS: (
        _COUNT,
        _VEHICLES,
        *_of(Cell("onboard", "onboard"), "", onboard_mean=How.MEAN, onboard_max=How.MAX),
        *_of(Cell("boarded", "boarded"), "", boarded=How.SUM),
        *_of(Cell("alighted", "alighted"), "", alighted=How.SUM),
    ),
    Facet.FUEL: (
        _COUNT,
        _VEHICLES,
        *_of(Cell("level", "level_l"), "l", level_mean=How.MEAN, level_min=How.MIN),
        *_of(Cell("level_pct", "level_pct"), "%", level_pct_mean=How.MEAN),
        *_of(Cell("used", "used_l"), "l", used=How.RISE),
    ),
    Facet.CAMERA_EVENT: (
        _COUNT,
        Measure("cameras", _ROWS, How.ENTITIES, ""),
        *_of(Cell("alerts", None, When("severity", Is.EQUAL, "alert")), "", alerts=How.COUNT),
        *_of(Cell("objects", "count"), "", objects_max=How.MAX),
    ),
    Facet.CAMERA_STATUS: (
        _COUNT,
        Measure("cameras", _ROWS, How.ENTITIES, ""),
        *_of(Cell("offline", None, When("online", Is.EQUAL, value=False)), "", offline=How.COUNT),
    ),
    Facet.SENSOR: (
        _COUNT,
        Measure("sensors", _ROWS, How.ENTITIES, ""),
        *_of(Cell("value", "value"), "", value_mean=How.MEAN, value_min=How.MIN, value_max=How.MAX),
    ),
    Facet.CASE: (
        _COUNT,
        Measure("cases", _ROWS, How.ENTITIES, ""),
        *_of(Cell("opened", None, When("status", Is.EQUAL, "open")), "", opened=How.COUNT),
    ),
    Facet.TRIP: (
        _COUNT,
        Measure("trips", _ROWS, How.ENTITIES, ""),
        *_of(_DEVIATION, "s", deviation_mean=How.MEAN, deviation_min=How.MIN, deviation_max=How.MAX),
    ),
    TRANSITION: (
        *_of(Cell("raised", None, When("action", Is.EQUAL, "rise")), "", raised=How.COUNT),
        *_of(Cell("acknowledged", None, When("action", Is.EQUAL, "acknowledge")), "", acknowledged=How.COUNT),
        Measure("alarms", _ROWS, How.ENTITIES, ""),
        _COUNT,
    ),
}
# By feed, by name; the first is what is shown where nothing is asked for.
MEASURES: dict[str, dict[str, Measure]] = {
    str(feed): {measure.name: measure for measure in told} for feed, told in _TOLD.items()
}


def _told_as(column: str) -> str:
    """How answers name a column: times as moments, degrees as such."""
    return f"{column.removesuffix('_ms')}_at" if column.endswith("_ms") else column.removesuffix("_e7")


_MOVES = {"vehicle": "vehicle_id", "route": "route", "direction": "direction", "mode": "mode", "trip": "trip"}
_PLACES = {"district": "district", "mahalla": "mahalla"}
# By feed: what its rows can be grouped and chosen by → the column that holds it.
DIMENSIONS: dict[str, dict[str, str]] = {
    Facet.POSITION.value: {**_PLACES, **_MOVES},
    Facet.VEHICLE_STATUS.value: {**_MOVES, "kind": "kind", "stop": "stop"},
    Facet.PASSENGERS.value: {"vehicle": "vehicle_id", "stop": "stop", "door": "door"},
    Facet.FUEL.value: {"vehicle": "vehicle_id"},
    Facet.CAMERA_EVENT.value: {"camera": "camera_id", "kind": "kind", "severity": "severity", "zone": "zone"},
    Facet.CAMERA_STATUS.value: {**_PLACES, "camera": "camera_id"},
    Facet.SENSOR.value: {**_PLACES, "sensor": "sensor_id", "quantity": "quantity", "network": "network"},
    Facet.CASE.value: {**_PLACES, "category": "category", "status": "status", "agency": "agency"},
    Facet.TRIP.value: {"route": "route", "direction": "direction", "vehicle": "vehicle_id", "trip": "trip"},
    TRANSITION: {
        **_PLACES,
        "route": "route",
        "rule": "rule",
        "priority": "priority",
        "action": "action",
        "alarm": "alarm",
        "vehicle": "source_id",
        "camera": "source_id",
        "sensor": "source_id",
    },
}
# Whose a row is. A camera's event and a vehicle's count bear no place: theirs is where they are.
ENTITIES: dict[str, tuple[str, ...]] = {
    Facet.POSITION.value: ("vehicle_id",),
    Facet.VEHICLE_STATUS.value: ("vehicle_id",),
    Facet.PASSENGERS.value: ("vehicle_id",),
    Facet.FUEL.value: ("vehicle_id",),
    Facet.CAMERA_EVENT.value: ("camera_id",),
    Facet.CAMERA_STATUS.value: ("camera_id",),
    Facet.SENSOR.value: ("sensor_id",),
    Facet.CASE.value: ("source", "case_id"),
    Facet.TRIP.value: ("trip",),
    TRANSITION: ("alarm",),
}
FEEDS = tuple(MEASURES)
# Feeds that tell when something happens: a place of which they tell nothing had none of it.
SPORADIC = frozenset({Facet.CASE.value, TRANSITION})
# By feed: the columns of its rows, as answers name them.
COLUMNS: dict[str, dict[str, str]] = {
    feed: {_told_as(name): name.removesuffix("_e7") for name in schema(feed).names} for feed in FEEDS
}
AREAS = ("district", "mahalla")


def cells(feed: str) -> tuple[Cell, ...]:
    """The different cells of a feed's measures."""
    return tuple({measure.cell.name: measure.cell for measure in MEASURES[feed].values()}.values())
