"""Every shape of question as an expression over the rows of its feed.

The table is as `city.history` gives it: the columns of the archive, `lat` and `lon` in degrees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ibis
from ibis.expr import types as ir

from analysis.local_time import Offset
from analysis.measures import DIMENSIONS, ENTITIES, MEASURES, How, Measure
from analysis.queries.pages import page
from analysis.queries.parts import (
    BUCKET,
    ROWS,
    VALUE,
    bucket_ms,
    condition,
    local_hour,
    local_weekday,
    measured,
    scoped,
    values,
)
from analysis.questions import Question, QuestionError, Shape


def expression(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """The answer to a question. A distribution needs its bounds first: `low` and `high` must be set, see `bounds`."""
    return _SHAPES[asked.shape](table, asked, offsets)


def by_time(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """By step in time and by what the question groups by, or in all: `bucket_ms`, that dimension, `value`, `rows`."""
    rows = scoped(table, asked, offsets)
    keys: dict[str, ir.Value] = {}
    if asked.every_s is not None:
        keys[BUCKET] = bucket_ms(rows.measured_ms, asked.every_s, offsets)
    if asked.by is not None:
        keys[asked.by] = rows[DIMENSIONS[asked.feed][asked.by]]
    return in_order(_grouped(rows, asked, keys), list(keys))


def top(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """The `limit` greatest of a dimension: its name, `value`, `rows`; equal ones by name."""
    assert asked.by is not None
    rows = scoped(table, asked, offsets)
    key = rows[DIMENSIONS[asked.feed][asked.by]]
    found = _grouped(rows.filter(key.notnull()), asked, {asked.by: key})
    return greatest(found, asked)


def greatest(found: ir.Table, asked: Question) -> ir.Table:
    """The first of a top list."""
    assert asked.by is not None
    return found.filter(found[VALUE].notnull()).order_by(ibis.desc(VALUE), asked.by).limit(asked.limit)


def heat(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """By `weekday` (0 Monday) and `hour` of the city's clock: `value`, `rows`."""
    rows = scoped(table, asked, offsets)
    at = rows.measured_ms
    keys: dict[str, ir.Value] = {"weekday": local_weekday(at, offsets), "hour": local_hour(at, offsets)}
    return in_order(_grouped(rows, asked, keys), list(keys))


def bounds(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """Between which values a distribution lies: one row of `low`, `high`."""
    column = _values(scoped(table, asked, offsets), asked)
    return column.aggregate(low=column.v.min(), high=column.v.max())


def distribution(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """How many values lie in each bin: `bin` from 0, `rows`. What is beyond the bounds counts in the outermost bins."""
    if asked.low is None or asked.high is None:
        raise QuestionError("low", "the bounds of a distribution are not known")
    told = _values(scoped(table, asked, offsets), asked)
    width = (asked.high - asked.low) / asked.bins
    # Held within the bins before it is a whole number: what is far outside is too great for one.
    number = ((told.v - asked.low) / width).clip(0.0, asked.bins - 1.0).floor().cast("int64")
    found = told.group_by(bin=number).aggregate(**{ROWS: told.count()})
    return found.order_by("bin")


def origin(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """What is behind the numbers, one row: `rows`, `late`, `entities`, `first_ms`, `last_ms`, `last_received_ms`."""
    rows = scoped(table, asked, offsets)
    return rows.aggregate(
        rows=rows.count(),
        late=rows.count(where=rows.late),
        entities=measured(rows, asked.feed, _entities(asked.feed)),
        first_ms=rows.measured_ms.min(),
        last_ms=rows.measured_ms.max(),
        last_received_ms=rows.received_ms.max(),
    )


def track(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """The rows of one vehicle in the order of time, at most `limit` and one more."""
    return scoped(table, asked, offsets).order_by("measured_ms", "received_ms").limit(asked.limit + 1)


def in_order(found: ir.Table, keys: Sequence[str]) -> ir.Table:
    """By its keys, what has none of a kind last."""
    return found.order_by(*(ibis.asc(key, nulls_first=False) for key in keys)) if keys else found


# --- below ------------------------------------------------------------------------------------------


def _grouped(rows: ir.Table, asked: Question, keys: dict[str, ir.Value]) -> ir.Table:
    measure = MEASURES[asked.feed][asked.measure]
    if measure.how is How.RISE:
        return _risen(rows, asked, keys)
    numbers = {VALUE: measured(rows, asked.feed, measure), ROWS: rows.count()}
    return rows.group_by(**keys).aggregate(**numbers) if keys else rows.aggregate(**numbers)


def _risen(rows: ir.Table, asked: Question, keys: dict[str, ir.Value]) -> ir.Table:
    """What counters rose by: of each entity the greatest less the least within a step, then the sum.

    What a counter rose by between the last reading of one step and the first of the next is in neither.
    """
    cell = MEASURES[asked.feed][asked.measure].cell
    column = values(rows, cell)
    whose = {f"of_{name}": rows[name] for name in ENTITIES[asked.feed]}
    each = rows.group_by(**keys, **whose).aggregate(rise=column.max() - column.min(), **{ROWS: rows.count()})
    numbers = {VALUE: each.rise.sum(), ROWS: each[ROWS].sum()}
    return each.group_by(*keys).aggregate(**numbers) if keys else each.aggregate(**numbers)


def _values(rows: ir.Table, asked: Question) -> ir.Table:
    """The values of the measure's cell as `v`, without those that there are none of."""
    cell = MEASURES[asked.feed][asked.measure].cell
    if (where := condition(rows, cell)) is not None:
        rows = rows.filter(where)
    found = rows.select(v=values(rows, cell))
    return found.filter(found.v.notnull())


def _entities(feed: str) -> Measure:
    return next(measure for measure in MEASURES[feed].values() if measure.how is How.ENTITIES)


_SHAPES: dict[Shape, Callable[[ir.Table, Question, Sequence[Offset]], ir.Table]] = {
    Shape.TOTAL: by_time,
    Shape.SERIES: by_time,
    Shape.AREAS: by_time,
    Shape.TOP: top,
    Shape.HEAT: heat,
    Shape.DISTRIBUTION: distribution,
    Shape.ORIGIN: origin,
    Shape.ROWS: page,
    Shape.TRACK: track,
}
