"""Roll-ups: how they are made of an hour's rows, which questions they answer, and how. Pure.

A question that a roll-up fits is answered from the hours that are rolled up and from the rows of the others, by the
same numbers that add up: count, sum, least and greatest.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import or_

import ibis
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr import types as ir

from analysis.local_time import Offset
from analysis.measures import DIMENSIONS, MEASURES, Cell, How, cells
from analysis.queries.parts import (
    BUCKET,
    HOUR_MS,
    ROWS,
    VALUE,
    bucket_ms,
    condition,
    entity,
    local_hour,
    local_weekday,
    on_clock,
    scoped,
    values,
)
from analysis.queries.shapes import greatest, in_order
from analysis.questions import FILTERS, Late, Question, Shape
from city.archive.columns import TRANSITION
from city.rollups import SCHEMA
from city.settings import Rollup

_NUMBERS = ("n", "sum", "least", "greatest")
# How many of them a large city has, about: of which roll-up the least is to be read.
_KEYS = {"district": 12, "route": 200, "mahalla": 400, "vehicle": 2000}
Span = tuple[int, int]  # [from_ms, to_ms)


def rolled_feeds(rollup: Rollup) -> list[str]:
    """The feeds that a roll-up is made of: whose rows bear what it goes by."""
    return [
        feed
        for feed, dimensions in DIMENSIONS.items()
        # An alarm's source is not always a vehicle.
        if rollup.by in dimensions and not (feed == TRANSITION and rollup.by == "vehicle")
    ]


def wide(table: ir.Table, feed: str, rollup: Rollup, span: Span) -> ir.Table:
    """The numbers of all cells of a feed by step and key, a row each; `lengthened` makes the roll-up's rows of it."""
    rows = table.filter(table.measured_ms >= span[0], table.measured_ms < span[1])
    every_ms = rollup.every_s * 1000
    numbers: dict[str, ir.Scalar] = {
        "rows": rows.count(),
        "entities": entity(rows, feed).nunique(),
        "received_ms": rows.received_ms.max(),
    }
    for number, cell in enumerate(cells(feed)):
        for name, value in _numbers(rows, cell).items():
            numbers[f"{name}_{number}"] = value
    return rows.group_by(
        measured_ms=rows.measured_ms - rows.measured_ms % every_ms, key=rows[DIMENSIONS[feed][rollup.by]]
    ).aggregate(**numbers)


def lengthened(found: pa.Table, feed: str) -> pa.Table:
    """The rows of a roll-up, of all cells of one feed."""
    size = found.num_rows
    tables = []
    for number, cell in enumerate(cells(feed)):
        columns = {name: found[name] for name in ("measured_ms", "received_ms", "key", "rows", "entities")}
        told = set(found.column_names)
        for name in _NUMBERS:
            of_cell = f"{name}_{number}"
            columns[name] = found[of_cell] if of_cell in told else pa.nulls(size, pa.float64())
        columns |= {
            "source": pa.repeat(feed, size),
            "cell": pa.repeat(cell.name, size),
            "late": pa.repeat(pa.scalar(value=False), size),
            "key": found["key"].cast(pa.string()),
        }
        tables.append(pa.table({name: columns[name] for name in SCHEMA.names}).cast(SCHEMA))
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def by_cell(table: pa.Table) -> list[pa.Table]:
    """Rows as their file has them: a table for each feed and cell, by key and time. What one question needs lies
    together, and the rest of the file is not even looked at."""
    keys = ["source", "cell", "key", "measured_ms"]
    order = [(name, "ascending", "at_start") for name in keys]
    ordered = table.take(pc.sort_indices(table, order)).combine_chunks()
    counts = ordered.group_by(["source", "cell"], use_threads=False).aggregate([([], "count_all")])["count_all"]
    found, at = [], 0
    for count in counts.to_pylist():
        found.append(ordered.slice(at, count))
        at += count
    return found or [ordered]


def without(table: ir.Table, gone: Sequence[tuple[str, Span]]) -> ir.Table:
    """The rows of a roll-up but those of feeds in spans."""
    for feed, span in gone:
        table = table.filter(~((table.source == feed) & within(table, [span])))
    return table


def fitting(asked: Question, rollups: Sequence[Rollup], offsets: Sequence[Offset]) -> Rollup | None:
    """The smallest roll-up that answers a question as its rows do, None where none does."""
    able = [rollup for rollup in rollups if _fits(asked, rollup, offsets)]
    return min(able, key=lambda rollup: _KEYS[rollup.by] / rollup.every_s, default=None)


def rolled(
    rollup_table: ir.Table,
    rows: ir.Table | None,
    asked: Question,
    rollup: Rollup,
    offsets: Sequence[Offset],
    rolled_spans: Sequence[Span],
    other_spans: Sequence[Span],
) -> ir.Table:
    """The answer from a roll-up's rows in `rolled_spans` and the feed's own in `other_spans`, as `shapes` has it."""
    measure = MEASURES[asked.feed][asked.measure]
    ready = rollup_table.filter(
        rollup_table.source == asked.feed,
        rollup_table.cell == measure.cell.name,
        within(rollup_table, rolled_spans),
        *_keys_chosen(rollup_table.key, asked, rollup),
        *on_clock(rollup_table.measured_ms, asked, offsets),
    )
    parts = ready.select("measured_ms", "key", *_NUMBERS, ROWS, "entities")
    if rows is not None:
        parts = parts.union(_partial(rows, asked, rollup, offsets, other_spans), distinct=False)
    keys = _keys(parts, asked, rollup, offsets)
    found = _summed(parts, asked, keys)
    if asked.shape is Shape.TOP:
        assert asked.by is not None
        return greatest(found.filter(found[asked.by].notnull()), asked)
    return in_order(found, list(keys))


def within(table: ir.Table, spans: Sequence[Span]) -> ir.BooleanValue:
    """Whether a row's time lies in one of the spans."""
    at = table.measured_ms
    if not spans:
        return ibis.literal(value=False)
    return reduce(or_, [(at >= from_ms) & (at < to_ms) for from_ms, to_ms in spans])


def merged_spans(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch as one."""
    found: list[Span] = []
    for from_ms, to_ms in sorted(spans):
        if found and from_ms <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], to_ms))
        elif from_ms < to_ms:
            found.append((from_ms, to_ms))
    return found


# --- below ------------------------------------------------------------------------------------------


def _fits(asked: Question, rollup: Rollup, offsets: Sequence[Offset]) -> bool:
    if asked.shape not in {Shape.TOTAL, Shape.SERIES, Shape.AREAS, Shape.TOP, Shape.HEAT}:
        return False
    if asked.late is not Late.WITH or asked.value_min is not None or asked.value_max is not None:
        return False
    if asked.feed not in rolled_feeds(rollup) or asked.by not in {None, rollup.by}:
        return False
    if any(getattr(asked, field) for field, name in FILTERS.items() if name != rollup.by):
        return False
    how = MEASURES[asked.feed][asked.measure].how
    every_ms = rollup.every_s * 1000
    step_ms = HOUR_MS if asked.shape is Shape.HEAT else (asked.every_s or rollup.every_s) * 1000
    # A step of the roll-up must lie in one of the question, by the city's clock too.
    if step_ms % every_ms or any(one.offset_ms % every_ms for one in offsets):
        return False
    if how is How.RISE:
        return rollup.by == "vehicle"
    if how is How.ENTITIES:
        # Who was seen in two steps is one and not two: only the very same step and key will do.
        return asked.by == rollup.by and asked.every_s == rollup.every_s and asked.shape is not Shape.TOP
    return True


def _numbers(rows: ir.Table, cell: Cell) -> dict[str, ir.Scalar]:
    where = condition(rows, cell)
    if cell.column is None:
        return {"n": rows.count(where=where)}
    column = values(rows, cell)
    return {
        "n": column.count(where=where),
        "sum": column.sum(where=where),
        "least": column.min(where=where),
        "greatest": column.max(where=where),
    }


def _partial(
    table: ir.Table, asked: Question, rollup: Rollup, offsets: Sequence[Offset], spans: Sequence[Span]
) -> ir.Table:
    """The numbers of rows as a roll-up has them, but for one cell."""
    rows = scoped(table, asked, offsets)
    rows = rows.filter(within(rows, spans))
    cell = MEASURES[asked.feed][asked.measure].cell
    every_ms = rollup.every_s * 1000
    grouped = rows.group_by(
        measured_ms=rows.measured_ms - rows.measured_ms % every_ms, key=rows[DIMENSIONS[asked.feed][rollup.by]]
    )
    who = entity(rows, asked.feed).nunique()
    found = grouped.aggregate(**_numbers(rows, cell), **{ROWS: rows.count(), "entities": who})
    if cell.column is None:
        found = found.mutate(**{name: ibis.null("float64") for name in _NUMBERS if name != "n"})
    return found.select("measured_ms", "key", *_NUMBERS, ROWS, "entities")


def _keys(parts: ir.Table, asked: Question, rollup: Rollup, offsets: Sequence[Offset]) -> dict[str, ir.Value]:
    keys: dict[str, ir.Value] = {}
    if asked.shape is Shape.HEAT:
        at = parts.measured_ms
        return {"weekday": local_weekday(at, offsets), "hour": local_hour(at, offsets)}
    if asked.every_s is not None:
        keys[BUCKET] = bucket_ms(parts.measured_ms, asked.every_s, offsets)
    if asked.by == rollup.by:
        keys[rollup.by] = parts.key
    return keys


def _summed(parts: ir.Table, asked: Question, keys: dict[str, ir.Value]) -> ir.Table:
    how = MEASURES[asked.feed][asked.measure].how
    if how is How.RISE:
        each = parts.group_by(**keys, of_vehicle=parts.key).aggregate(
            rise=parts.greatest.max() - parts.least.min(), **{ROWS: parts[ROWS].sum()}
        )
        numbers = {VALUE: each.rise.sum(), ROWS: each[ROWS].sum()}
        return each.group_by(*keys).aggregate(**numbers) if keys else each.aggregate(**numbers)
    value: ir.Scalar = {
        How.COUNT: parts.n.sum(),
        How.SUM: parts["sum"].sum(),
        How.MEAN: parts["sum"].sum() / parts.n.sum().nullif(0),
        How.MIN: parts.least.min(),
        How.MAX: parts.greatest.max(),
        How.ENTITIES: parts.entities.max(),
    }[how]
    numbers = {VALUE: value, ROWS: parts[ROWS].sum()}
    return parts.group_by(**keys).aggregate(**numbers) if keys else parts.aggregate(**numbers)


def _keys_chosen(key: ir.Value, asked: Question, rollup: Rollup) -> list[ir.BooleanValue]:
    field = next(field for field, name in FILTERS.items() if name == rollup.by)
    chosen = getattr(asked, field)
    return [key.isin(chosen)] if chosen else []
