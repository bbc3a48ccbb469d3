"""Rows by page: looked for near the beginning of a long span first, which is never read as a whole to be sorted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pyarrow as pa
from msgspec import json as msgspec_json
from msgspec import structs

from analysis.local_time import Offset
from analysis.queries.pages import Place, end, order_of, page, place_at, place_of, up_to
from analysis.queries.parts import HOUR_MS
from analysis.questions import Question
from city.history.history import View
from dashboard.analyst_words import Told

# The first page of a long span is looked for in its first hours before it is in all of them.
_FIRST_WINDOW_MS = 2 * HOUR_MS


class Answer(NamedTuple):
    """Rows, and what there is to say of them."""

    table: pa.Table
    told: Told


def told_of(view: View, **more: object) -> Told:
    """What an answer of a view says of itself."""
    return Told(at_ms=view.at_ms, origin=view.origin(), **more)  # type: ignore[arg-type]


def page_of(view: View, asked: Question, clock: Sequence[Offset]) -> Answer:
    """A page of rows in the order that was asked for. Raises QuestionError for a cursor that no page gave."""
    place = None if asked.cursor is None else place_of(asked)
    shown = 0 if place is None else place.shown
    by_time = order_of(asked).by_time
    table = _by_time(view, asked, clock, place) if by_time else _by_column(view, asked, clock)
    # What the page before showed already of the cursor's own values comes first.
    table = table.slice(shown, asked.limit + 1)
    more = table.num_rows > asked.limit
    table = table.slice(0, asked.limit)
    return Answer(table, told_of(view, next=_cursor(table, asked, place) if more else None, cut=more))


def _by_column(view: View, asked: Question, clock: Sequence[Offset]) -> pa.Table:
    """First where the page ends, by the few columns of its order; then the rows up to there."""
    table = view.table(asked.feed, asked.from_ms, asked.to_ms)
    ends = view.run(end(table, asked, clock))
    if ends.num_rows == 0:
        return view.run(page(table, asked, clock))
    return view.run(up_to(table, asked, place_at(ends, ends.num_rows - 1, asked, 0), clock))


def _by_time(view: View, asked: Question, clock: Sequence[Offset], place: Place | None) -> pa.Table:
    """Looked for in windows that grow: the beginning of a year is not behind all of it."""
    down = order_of(asked).down
    from_ms, to_ms = asked.from_ms, asked.to_ms
    if place is not None and down:
        to_ms = min(to_ms, place.measured_ms + 1)
    elif place is not None:
        from_ms = max(from_ms, place.measured_ms)
    wanted = asked.limit + 1 + (0 if place is None else place.shown)
    window_ms, rows = _FIRST_WINDOW_MS, 0
    tables: list[pa.Table] = []
    while True:
        # Windows end with an hour: each file is in one of them.
        if down:
            begin_ms, end_ms = max(from_ms, -((window_ms - to_ms) // HOUR_MS) * HOUR_MS), to_ms
        else:
            begin_ms, end_ms = from_ms, min(to_ms, (from_ms + window_ms) // HOUR_MS * HOUR_MS)
        part = structs.replace(asked, from_ms=begin_ms, to_ms=end_ms, limit=max(1, wanted - rows))
        tables.append(view.run(page(view.table(asked.feed, begin_ms, end_ms), part, clock)))
        rows += tables[-1].num_rows
        from_ms, to_ms = (from_ms, begin_ms) if down else (end_ms, to_ms)
        if rows >= wanted or from_ms >= to_ms:
            return pa.concat_tables(tables)
        window_ms *= 4
        asked = structs.replace(asked, cursor=None)


def _cursor(table: pa.Table, asked: Question, before: Place | None) -> str:
    """Where the page ends: its last row, and how many of the same values it and those before have shown."""
    last = place_at(table, table.num_rows - 1, asked, 0)
    same = 0
    while same < table.num_rows and place_at(table, table.num_rows - 1 - same, asked, 0) == last:
        same += 1
    if before is not None and structs.replace(before, shown=0) == last:
        # The page before ended among the same rows.
        same += before.shown
    return msgspec_json.encode(structs.replace(last, shown=same)).decode()
