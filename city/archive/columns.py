"""Events as columns and back: the Arrow schema of every feed of the archive. Pure.

A feed is a facet of `city.events`, or `transition`, the log of alarms. Its columns are the fields of the event's type,
under their names, with these differences:

- `lat`, `lon` are `lat_e7`, `lon_e7`: whole ten-millionths of a degree (11 mm), which halves their room and is exact
  for what devices send; divided by 1e7 they give the nearest double of the seven decimals;
- what is nested (a signal priority, affected lines, the values of an alarm) is JSON text, null where it is empty;
- a transition's `at_ms` is `measured_ms`, and `received_ms` is the same;
- `late`: it was older than what its entity had said before.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from city.alarms import Transition
from city.events import EVENT_TYPES, Event, Facet

TRANSITION = "transition"
FEEDS: tuple[str, ...] = (*(facet.value for facet in Facet), TRANSITION)

Said = Event | Transition

# What the rows of a feed are sorted by before their time: who said it. Null counts as empty.
_ENTITY: dict[str, tuple[str, ...]] = {
    Facet.CAMERA_EVENT.value: ("camera_id",),
    Facet.CAMERA_STATUS.value: ("camera_id",),
    Facet.SENSOR.value: ("sensor_id", "quantity"),
    Facet.CASE.value: ("source", "case_id"),
    Facet.CASE_LIST.value: ("source",),
    Facet.TRIP.value: ("trip", "route"),
    TRANSITION: ("alarm",),
}
# What tells two rows of one entity and one time apart: without it one of them is a copy of the other.
_KIND: dict[str, tuple[str, ...]] = {
    Facet.POSITION.value: ("kind",),
    Facet.VEHICLE_STATUS.value: ("kind",),
    Facet.PASSENGERS.value: ("door", "boarded", "alighted", "onboard"),
    Facet.CAMERA_EVENT.value: ("kind", "event_id", "phase", "zone", "severity"),
    Facet.CAMERA_STATUS.value: ("online",),
    Facet.CASE.value: ("status",),
    Facet.TRIP.value: ("direction", "trip_start_date", "trip_start_time"),
    TRANSITION: ("version",),
}
_E7 = 1e7
_DEGREES = {"lat": 90.0, "lon": 180.0}
_AT = "measured_ms"


class Column(NamedTuple):
    """One field of an event as a column."""

    name: str  # of the column
    field: str  # of the event
    type: pa.DataType
    nullable: bool
    nested: Any = None  # its type, where it is JSON text
    words: type[StrEnum] | None = None  # the enumeration that its texts are of


def schema(feed: str) -> pa.Schema:
    """The columns of a feed, in their order; KeyError for what is none."""
    return _SCHEMAS[feed]


def columns(feed: str) -> tuple[Column, ...]:
    """How each field of a feed's events becomes a column; `late`, `received_ms` of a transition are beside them."""
    return _COLUMNS[feed]


def entity_columns(feed: str) -> tuple[str, ...]:
    """The columns that say whose a row is, as rows are sorted by them."""
    if feed.startswith("rollup_"):
        return ("source", "cell", "key")
    return _ENTITY.get(feed, ("vehicle_id",))


def identity_columns(feed: str) -> tuple[str, ...]:
    """The columns that no two rows have all alike: whose, when, and of what kind."""
    return (*entity_columns(feed), _AT, *_KIND.get(feed, ()))


def event_type(feed: str) -> type[Said]:
    """The type whose fields a feed's columns are."""
    return Transition if feed == TRANSITION else EVENT_TYPES[Facet(feed)]


def batch_of(feed: str, events: Sequence[Said], late: bool | Sequence[bool]) -> pa.RecordBatch:
    """Events as rows, in their order. A number that its column cannot hold is null there.

    Raises pa.ArrowInvalid where that is no choice (a time beyond 64 bits).
    """
    n = len(events)
    if n == 0:
        return _empty(feed)
    arrays: list[pa.Array] = []
    # Column by column: rows as tuples would keep the garbage collector busy for half of the time.
    for column, getter in _GETTERS[feed]:
        arrays.append(_array(column, list(map(getter, events)), n))
    if feed == TRANSITION:
        arrays.insert(1, arrays[0])
    arrays.append(pa.repeat(late, n) if isinstance(late, bool) else pa.array(late, pa.bool_()))
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMAS[feed])


def events_of(feed: str, table: pa.Table | pa.RecordBatch) -> list[Said]:
    """Rows as the events that they were, in their order.

    Columns that an older version did not write have their fields' defaults; those of a newer one are left out.
    """
    kind = event_type(feed)
    there = set(table.schema.names)
    known = [column for column in _COLUMNS[feed] if column.name in there]
    # A default stands for null, as JSON leaves it out. What is nested is read by its type.
    lists = [_values(column, table.column(column.name)) for column in known]
    names = [column.field for column in known]
    defaults = {field.name: field for field in msgspec.structs.fields(kind)}
    filled = [
        [default if value is None else value for value in values]
        if (default := _default(defaults[name])) is not None
        else values
        for name, values in zip(names, lists, strict=True)
    ]
    if not filled:
        return []
    return [kind(**dict(zip(names, cells, strict=True))) for cells in zip(*filled, strict=True)]


# --- one column -------------------------------------------------------------------------------------


def _array(column: Column, cells: Sequence[Any], n: int) -> pa.Array:
    if column.nullable and cells.count(None) == n:
        return pa.nulls(n, column.type)
    if column.nested is not None:
        cells = [_json(value) if value else None for value in cells]
    try:
        if column.field in _DEGREES:
            degrees = pa.array(cells, pa.float64())
            return pc.cast(pc.round(pc.multiply(degrees, _E7)), pa.int32())
        return pa.array(cells, column.type)
    except (pa.ArrowInvalid, OverflowError):
        if not column.nullable:
            raise
        return pa.array([_fitting(column, value) for value in cells], column.type)


def _fitting(column: Column, value: Any) -> Any:
    """A value as its column holds it, None where it cannot."""
    if value is None or isinstance(value, str):
        return value
    if column.field in _DEGREES:
        return round(value * _E7) if abs(value) <= _DEGREES[column.field] else None
    try:
        return pa.scalar(value, column.type).as_py()
    except (pa.ArrowInvalid, OverflowError):
        return None


def _values(column: Column, chunks: pa.ChunkedArray | pa.Array) -> list[Any]:
    if column.field in _DEGREES:
        chunks = pc.divide(pc.cast(chunks, pa.float64()), _E7)
    elif chunks.type != column.type:
        chunks = chunks.cast(column.type)
    values: list[Any] = chunks.to_pylist()
    if column.nested is not None:
        return [None if value is None else msgspec.json.decode(value, type=column.nested) for value in values]
    if column.words is not None:
        words = {word.value: word for word in column.words}
        return [None if value is None else words[value] for value in values]
    return values


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _empty(feed: str) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=_SCHEMAS[feed])


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


# --- of types ---------------------------------------------------------------------------------------


def _columns_of(kind: type[Said]) -> tuple[Column, ...]:
    hints = get_type_hints(kind)
    found = [_column(field.name, hints[field.name]) for field in msgspec.structs.fields(kind)]
    # The times first, as in every feed.
    times = [column for column in found if column.name in {_AT, "received_ms"}]
    return (*times, *(column for column in found if column not in times))


def _column(field: str, hint: Any) -> Column:
    parts = get_args(hint) if get_origin(hint) in {Union, types.UnionType} else (hint,)
    nullable = type(None) in parts
    (bare,) = (part for part in parts if part is not type(None))
    if field in _DEGREES:
        return Column(f"{field}_e7", field, pa.int32(), nullable)
    name = _AT if field == "at_ms" else field
    if isinstance(bare, type) and issubclass(bare, StrEnum):
        return Column(name, field, pa.string(), nullable, words=bare)
    if bare in _PLAIN:
        # A number beyond its column is null: rather that than a feed that cannot be archived any more.
        return Column(name, field, _PLAIN[bare], nullable)
    return Column(name, field, pa.string(), nullable=True, nested=bare)


def _schema_of(feed: str) -> pa.Schema:
    fields = [pa.field(column.name, column.type, column.nullable) for column in _COLUMNS[feed]]
    if feed == TRANSITION:
        fields.insert(1, pa.field("received_ms", pa.int64(), nullable=False))
    fields.append(pa.field("late", pa.bool_(), nullable=False))
    return pa.schema(fields)


_PLAIN: Mapping[Any, pa.DataType] = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bool: pa.bool_(),
}
_COLUMNS: dict[str, tuple[Column, ...]] = {feed: _columns_of(event_type(feed)) for feed in FEEDS}
_SCHEMAS: dict[str, pa.Schema] = {feed: _schema_of(feed) for feed in FEEDS}
_GETTERS: dict[str, tuple[tuple[Column, Callable[[Said], Any]], ...]] = {
    feed: tuple((column, attrgetter(column.field)) for column in _COLUMNS[feed]) for feed in FEEDS
}
