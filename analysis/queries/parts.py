"""Pieces of expressions: which rows count, which bucket of time they are in, what is made of a cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import pairwise

import ibis
from ibis.expr import types as ir

from analysis.local_time import Offset
from analysis.measures import DIMENSIONS, ENTITIES, MEASURES, Cell, How, Is, Measure
from analysis.questions import FILTERS, Late, Question
from city.archive.columns import TRANSITION

HOUR_MS, DAY_MS, WEEK_MS = 3_600_000, 86_400_000, 604_800_000
# 1 January 1970 was a Thursday: so far was the Monday before it.
MONDAY_MS = 3 * DAY_MS
BUCKET, VALUE, ROWS = "bucket_ms", "value", "rows"


def scoped(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """The rows of a feed that a question is about."""
    wanted = [table.measured_ms >= asked.from_ms, table.measured_ms < asked.to_ms]
    wanted += chosen(table, asked, DIMENSIONS[asked.feed])
    wanted += of_source(table, asked)
    wanted += on_clock(table.measured_ms, asked, offsets)
    wanted += valued(table, asked)
    if asked.late is not Late.WITH:
        wanted.append(table.late if asked.late is Late.ONLY else ~table.late)
    return table.filter(*wanted)


def of_source(table: ir.Table, asked: Question) -> list[ir.BooleanValue]:
    """An alarm's source may be anything: where vehicles, cameras or sensors are asked for, only those."""
    if asked.feed != TRANSITION:
        return []
    named = {FILTERS[field] for field in FILTERS if getattr(asked, field)} | {asked.by}
    return [table.source_kind == kind for kind in ("vehicle", "camera", "sensor") if kind in named]


def chosen(table: ir.Table, asked: Question, columns: Mapping[str, str]) -> list[ir.BooleanValue]:
    """The question's lists as conditions on the columns that hold their names."""
    found = []
    for field, name in FILTERS.items():
        if values := getattr(asked, field):
            column = table[columns[name]]
            found.append(column == values[0] if len(values) == 1 else column.isin(values))
    return found


def on_clock(at_ms: ir.IntegerValue, asked: Question, offsets: Sequence[Offset]) -> list[ir.BooleanValue]:
    """The question's hours and weekdays as conditions on a time."""
    found: list[ir.BooleanValue] = []
    if asked.hours:
        found.append(local_hour(at_ms, offsets).isin(asked.hours))
    if asked.weekdays:
        # Asked for by ISO's numbers, 1 to 7.
        found.append(local_weekday(at_ms, offsets).isin([day - 1 for day in asked.weekdays]))
    return found


def valued(table: ir.Table, asked: Question) -> list[ir.BooleanValue]:
    """The bounds of the measure's values as conditions on its column."""
    if asked.value_min is None and asked.value_max is None:
        return []
    cell = MEASURES[asked.feed][asked.measure].cell
    column = values(table, cell)
    where = condition(table, cell)
    found = [] if where is None else [where]
    if asked.value_min is not None:
        found.append(column >= asked.value_min)
    if asked.value_max is not None:
        found.append(column < asked.value_max)
    return found


def local_hour(at_ms: ir.IntegerValue, offsets: Sequence[Offset]) -> ir.IntegerValue:
    """The hour of the city's clock, 0 to 23."""
    return ((local_ms(at_ms, offsets) % DAY_MS) // HOUR_MS).cast("int64")


def local_weekday(at_ms: ir.IntegerValue, offsets: Sequence[Offset]) -> ir.IntegerValue:
    """The day of the city's week, 0 Monday."""
    return (((local_ms(at_ms, offsets) + MONDAY_MS) % WEEK_MS) // DAY_MS).cast("int64")


def local_ms(at_ms: ir.IntegerValue, offsets: Sequence[Offset]) -> ir.IntegerValue:
    """Milliseconds on the city's clock, as if it were UTC."""
    if len(offsets) == 1:
        return at_ms + offsets[0].offset_ms
    cases = [(at_ms < after.from_ms, before.offset_ms) for before, after in pairwise(offsets)]
    return at_ms + ibis.cases(*cases, else_=offsets[-1].offset_ms)


def bucket_ms(at_ms: ir.IntegerValue, every_s: int, offsets: Sequence[Offset]) -> ir.IntegerValue:
    """The beginning of the step that a time lies in: by the city's clock, so that a day begins at its midnight."""
    every_ms = every_s * 1000
    week = every_ms % WEEK_MS == 0
    # The remainder, not a division: engines disagree on what the quotient of whole numbers is.
    if not week and all(one.offset_ms % every_ms == 0 for one in offsets):
        return at_ms - at_ms % every_ms
    local = local_ms(at_ms, offsets)
    return _utc_ms(local - (local + (MONDAY_MS if week else 0)) % every_ms, offsets)


def _utc_ms(wall_ms: ir.IntegerValue, offsets: Sequence[Offset]) -> ir.IntegerValue:
    """When the city's clock shows a time: the first of two such moments; the change itself where the clock skips it."""
    if len(offsets) == 1:
        return wall_ms - offsets[0].offset_ms
    cases: list[tuple[ir.BooleanValue, ir.IntegerValue]] = []
    for before, after in pairwise(offsets):
        cases.append((wall_ms < after.from_ms + before.offset_ms, wall_ms - before.offset_ms))
        if after.offset_ms > before.offset_ms:
            cases.append((wall_ms < after.from_ms + after.offset_ms, ibis.literal(after.from_ms, "int64")))
    return ibis.cases(*cases, else_=wall_ms - offsets[-1].offset_ms)


def entity(table: ir.Table, feed: str) -> ir.Value:
    """Whose a row is, as one value."""
    columns = [table[column] for column in ENTITIES[feed]]
    return reduce(lambda left, right: left + "|" + right, columns)


def measured(table: ir.Table, asked_feed: str, measure: Measure) -> ir.NumericScalar:
    """A measure over rows of its feed. Not of a counter's rise: see `risen`."""
    cell = measure.cell
    where = condition(table, cell)
    if measure.how is How.COUNT:
        return table.count(where=where) if cell.column is None else table[cell.column].count(where=where)
    if measure.how is How.ENTITIES:
        return entity(table, asked_feed).nunique(where=where)
    column = values(table, cell)
    if measure.how is How.MEAN:
        return column.mean(where=where)
    if measure.how is How.SUM:
        return column.sum(where=where)
    return column.min(where=where) if measure.how is How.MIN else column.max(where=where)


def values(table: ir.Table, cell: Cell) -> ir.FloatingValue:
    """The values of a cell's column. Doubles always: of whole numbers some engines make a whole mean."""
    assert cell.column is not None
    return table[cell.column].cast("float64")


def condition(table: ir.Table, cell: Cell) -> ir.BooleanValue | None:
    """Which rows a cell takes; None: all."""
    if cell.when is None:
        return None
    column = table[cell.when.column]
    if cell.when.how is Is.ABOVE:
        return column > cell.when.value
    if isinstance(cell.when.value, bool):
        return column if cell.when.value else ~column
    return column == cell.when.value
