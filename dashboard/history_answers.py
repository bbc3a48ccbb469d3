"""From a question to its answer: which tables, roll-up or rows, and where the numbers come from.

Runs in the worker processes; one question at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import structs

from analysis.local_time import Offset, offsets
from analysis.queries.parts import HOUR_MS
from analysis.queries.rollups import Span, fitting, merged_spans, rolled
from analysis.queries.shapes import bounds, expression
from analysis.questions import Question, Shape, compared, has_bins
from city.archive.log import File
from city.history.history import History, View
from city.history.origin import Origin
from city.rollups import SCHEMA, feed_of, made_of_hours
from city.settings import Rollup
from dashboard.history_pages import Answer, page_of, told_of

__all__ = ["PERIOD", "Answer", "answer"]

PERIOD = "period"
# Steps are bounded, and so are groups, but not the one times the other. No page shows as many.
ROWS_MAX = 1_000_000


def answer(
    history: History,
    asked: Question,
    zone: ZoneInfo,
    rollups: Sequence[Rollup],
    progress: Callable[[float], None] = lambda _: None,
) -> Answer:
    """The answer to a checked question; with another period its rows follow, told apart by `period` 0 and 1.

    `progress` is told which share of the work begins. Raises HistoryError.
    """
    other = compared(asked)
    if other is None:
        return _answered(history, asked, zone, rollups)
    first = _answered(history, structs.replace(asked, compare_from_ms=None), zone, rollups)
    if asked.shape is Shape.DISTRIBUTION:
        # Side by side they need the same bins.
        other = structs.replace(other, low=first.told.low, high=first.told.high)
    progress(0.5)
    second = _answered(history, other, zone, rollups)
    tables = [
        one.table.append_column(PERIOD, pa.repeat(pa.scalar(number, pa.int64()), one.table.num_rows))
        for number, one in enumerate((first, second))
    ]
    told = structs.replace(first.told, cut=first.told.cut or second.told.cut, origin=_both(first, second))
    return Answer(pa.concat_tables(tables), told)


def _answered(history: History, asked: Question, zone: ZoneInfo, rollups: Sequence[Rollup]) -> Answer:
    view = history.view()
    # The step that the span begins in may have begun before the clock was changed.
    clock = offsets(zone, max(0, asked.from_ms - (asked.every_s or 0) * 1000), asked.to_ms)
    if asked.shape is Shape.ROWS:
        return page_of(view, asked, clock)
    if asked.shape is Shape.DISTRIBUTION:
        return _distribution(view, asked, clock)
    if (rollup := fitting(asked, rollups, clock)) is not None:
        found = _rolled(view, asked, rollup, clock)
        if found is not None:
            return found
    expr = expression(view.table(asked.feed, asked.from_ms, asked.to_ms), asked, clock)
    table = view.run(expr, rows_max=_rows_max(asked))
    cut = asked.shape is Shape.TRACK and table.num_rows > asked.limit
    return Answer(table.slice(0, asked.limit) if cut else table, told_of(view, cut=cut))


def _rows_max(asked: Question) -> int | None:
    """Of shapes that have no limit of their own."""
    return ROWS_MAX if asked.shape in {Shape.SERIES, Shape.AREAS} else None


def _both(first: Answer, second: Answer) -> Origin:
    one, other = first.told.origin, second.told.origin
    return structs.replace(
        one,
        files=one.files + other.files,
        bytes=one.bytes + other.bytes,
        archived_rows=one.archived_rows + other.archived_rows,
        live_rows=one.live_rows + other.live_rows,
        live_missing=one.live_missing or other.live_missing,
        skipped=tuple(dict.fromkeys((*one.skipped, *other.skipped))),
    )


# --- distributions ----------------------------------------------------------------------------------


def _distribution(view: View, asked: Question, clock: Sequence[Offset]) -> Answer:
    table = view.table(asked.feed, asked.from_ms, asked.to_ms)
    if asked.low is None:
        (found,) = view.run(bounds(table, asked, clock)).to_pylist()
        low, high = found["low"], found["high"]
        if low is None:
            empty = pa.table({"bin": pa.array([], pa.int64()), "rows": pa.array([], pa.int64())})
            return Answer(empty, told_of(view))
        # All the same value: one bin of them is as good as another.
        high = high if has_bins(low, high, asked.bins) else low + max(1.0, abs(low) / 1e6)
        asked = structs.replace(asked, low=low, high=high)
    answered = view.run(expression(table, asked, clock))
    return Answer(answered, told_of(view, low=asked.low, high=asked.high))


# --- roll-ups ---------------------------------------------------------------------------------------


def _rolled(view: View, asked: Question, rollup: Rollup, clock: Sequence[Offset]) -> Answer | None:
    """The answer from a roll-up where it is ready, and from the rows elsewhere; None where it is ready nowhere."""
    feed, name = asked.feed, feed_of(rollup)
    live = view.live(feed, asked.from_ms, asked.to_ms)
    raw = view.files(feed, asked.from_ms, asked.to_ms)
    files = view.usable(view.files(name, asked.from_ms, asked.to_ms))
    # Rows by hour: what a roll-up is made of must be what there is.
    archived: Counter[int] = Counter()
    for file in raw:
        archived[file.place.from_ms] += file.rows
    hours_live = set(pc.unique(pc.divide(live["measured_ms"], HOUR_MS)).to_pylist())
    ready: list[File] = []
    hours: set[int] = set()
    for file in files:
        found = {
            at_ms
            for at_ms, feeds in made_of_hours(file).items()
            if asked.from_ms <= at_ms
            and at_ms + HOUR_MS <= asked.to_ms
            and feed in feeds
            # More rows have come since: they answer themselves. Fewer are there when they were forgotten.
            and archived.get(at_ms, 0) <= feeds[feed]
            and at_ms // HOUR_MS not in hours_live
        }
        if found - hours:
            ready.append(file)
            hours |= found
    if not ready:
        return None
    spans = merged_spans([(at, at + HOUR_MS) for at in hours])
    others = _beside(spans, asked.from_ms, asked.to_ms)
    left = [file for file in raw if file.place.from_ms not in hours]
    rows = view.table_of(feed, left, live) if left or live.num_rows else None
    table = view.table_of(name, ready, SCHEMA.empty_table())
    expr = rolled(table, rows, asked, rollup, clock, spans, others)
    return Answer(view.run(expr, rows_max=_rows_max(asked)), told_of(view, rollup=name))


def _beside(spans: Sequence[Span], from_ms: int, to_ms: int) -> list[Span]:
    """What of [from_ms, to_ms) lies in none of the spans."""
    found: list[Span] = []
    at = from_ms
    for begin, end in spans:
        if at < begin:
            found.append((at, begin))
        at = end
    if at < to_ms:
        found.append((at, to_ms))
    return found
