"""Rows by page, in any order, so that pages follow one another without a seam: each begins where the one before ended.

Rows are in the order of the column that was asked for, then of time and whose they are, then of all that tells them
apart. What is not known comes last, upwards and downwards. Where a page ended is told by the values of its last row
(not by a count: rows may come in the meantime), and by how many rows with the very same values were shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import ibis
import pyarrow as pa
from ibis.expr import types as ir
from msgspec import Struct
from msgspec import json as msgspec_json

from analysis.local_time import Offset
from analysis.measures import COLUMNS, ENTITIES
from analysis.queries.parts import scoped
from analysis.questions import AT, LAST_MS, LIMIT_MAX, Question, QuestionError

Value = bool | int | float | str | None


class Place(Struct, frozen=True, array_like=True):
    """The last row of a page: its time and whose it is, how many such were shown, and what else it is ordered by."""

    measured_ms: int
    entity: tuple[str, ...]
    shown: int
    order: str = ""
    value: Value = None


class Order(NamedTuple):
    """What rows are ordered by."""

    column: str | None  # of the table; None: by time
    down: bool
    name: str  # as it was asked for

    @property
    def by_time(self) -> bool:
        return self.column is None


def order_of(asked: Question) -> Order:
    """What the rows of a question are ordered by."""
    name = asked.order or AT
    down, told = name.startswith("-"), name.removeprefix("-")
    return Order(None if told == AT else COLUMNS[asked.feed][told], down, asked.order or "")


def page(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """Rows in their order, from the cursor's row on; one more than the page holds, so that its end is known.

    The rows of the cursor's own values that were shown already come first; the reader leaves them out.
    """
    rows = from_cursor(scoped(table, asked, offsets), asked)
    first = {"measured_ms", *ENTITIES[asked.feed], order_of(asked).column}
    # Rows that are alike so far are told apart by all that they have.
    rest = [name for name in rows.columns if name not in first]
    return rows.order_by(*_ordered(rows, asked), *rest).limit(_count(asked))


def end(table: ir.Table, asked: Question, offsets: Sequence[Offset]) -> ir.Table:
    """What `page` orders by, of its rows alone: to find where it ends, few columns need be read."""
    rows = from_cursor(scoped(table, asked, offsets), asked)
    column = order_of(asked).column
    names = dict.fromkeys(("measured_ms", *ENTITIES[asked.feed], *([column] if column else [])))
    return rows.select(*names).order_by(*_ordered(rows, asked)).limit(_count(asked))


def up_to(table: ir.Table, asked: Question, last: Place, offsets: Sequence[Offset]) -> ir.Table:
    """The rows of `page`, when it is known where it ends."""
    rows = scoped(table, asked, offsets)
    return page(rows.filter(~_behind(rows, asked, last, own=False)), asked, offsets)


def from_cursor(rows: ir.Table, asked: Question) -> ir.Table:
    """The rows from the cursor's on."""
    return rows if asked.cursor is None else rows.filter(_behind(rows, asked, place_of(asked), own=True))


def place_of(asked: Question) -> Place:
    """Where the page before ended; raises QuestionError."""
    assert asked.cursor is not None
    try:
        place = msgspec_json.decode(asked.cursor, type=Place)
    except ValueError as error:
        raise QuestionError("cursor", f"none that a page gave ({error})") from None
    if len(place.entity) != len(ENTITIES[asked.feed]):
        raise QuestionError("cursor", "of another feed")
    # What was shown is read once more.
    if not 0 <= place.measured_ms <= LAST_MS or not 0 <= place.shown <= LIMIT_MAX:
        raise QuestionError("cursor", "none that a page gave")
    if place.order != order_of(asked).name:
        raise QuestionError("cursor", "of another order")
    return place


def place_at(table: pa.Table, at: int, asked: Question, shown: int) -> Place:
    """The place of one row of a page."""
    order = order_of(asked)
    entity = tuple(table[name][at].as_py() or "" for name in ENTITIES[asked.feed])
    value = None if order.column is None else table[order.column][at].as_py()
    return Place(table["measured_ms"][at].as_py(), entity, shown, order.name, value)


# --- below ------------------------------------------------------------------------------------------


def _count(asked: Question) -> int:
    return asked.limit + 1 + (0 if asked.cursor is None else place_of(asked).shown)


def _whose(rows: ir.Table, feed: str) -> list[ir.StringValue]:
    """Whose a row is. A trip may have no id: that is the empty one, as engines sort null at different ends."""
    return [rows[column].fill_null("") for column in ENTITIES[feed]]


def _ordered(rows: ir.Table, asked: Question) -> list[ir.Value]:
    order = order_of(asked)
    at, whose = rows.measured_ms, _whose(rows, asked.feed)
    if order.column is None:
        return [at.desc() if order.down else at, *whose]
    column = rows[order.column]
    return [column.desc(nulls_first=False) if order.down else column.asc(nulls_first=False), at, *whose]


def _behind(rows: ir.Table, asked: Question, place: Place, *, own: bool) -> ir.BooleanValue:
    """Which rows come behind a place; those with the very same values are among them by `own`."""
    behind: ir.BooleanValue = ibis.literal(value=own)
    for column, value in reversed(list(zip(_whose(rows, asked.feed), place.entity, strict=True))):
        behind = (column > value) | ((column == value) & behind)
    order = order_of(asked)
    at = rows.measured_ms
    later = at < place.measured_ms if order.by_time and order.down else at > place.measured_ms
    behind = later | ((at == place.measured_ms) & behind)
    if order.column is None:
        return behind
    column = rows[order.column]
    if place.value is None:
        return column.isnull() & behind
    if not _is_of(column, place.value):
        raise QuestionError("cursor", "of another order")
    try:
        further = column < place.value if order.down else column > place.value
        same = column == place.value
    except (ibis.common.exceptions.IbisError, TypeError):
        raise QuestionError("cursor", "of another order") from None
    # The one is null where the column is, and what is not known comes last: behind every value.
    return column.isnull() | further | (same & behind)


def _is_of(column: ir.Value, value: Value) -> bool:
    """Whether a value may stand in a column: engines would make one of it, or fail with the whole span read."""
    if column.type().is_boolean() or isinstance(value, bool):
        return bool(column.type().is_boolean()) and isinstance(value, bool)
    return isinstance(value, int | float) == bool(column.type().is_numeric())
