"""Every question gives, on every engine, what going through the events one by one gives."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs
from small_city import FROM_MS, TO_MS, events, is_late

from analysis.local_time import offsets
from analysis.measures import COLUMNS, DIMENSIONS, ENTITIES, MEASURES, How, Is
from analysis.queries.shapes import bounds, expression
from analysis.questions import FILTERS, Late, Question, QuestionError, Shape, question
from city.archive.archive import Archive
from city.archive.columns import columns
from city.history.engines import DuckDb
from city.history.history import History
from dashboard.history_pages import page_of

ZONE = ZoneInfo("Asia/Tashkent")
Row = dict[str, Any]


def ways() -> list[tuple[str, str]]:
    """(feed, measure): every way of making a number of a cell once, and every feed."""
    found: dict[tuple[Any, ...], tuple[str, str]] = {}
    for feed, measures in MEASURES.items():
        for name, measure in measures.items():
            cell = measure.cell
            found.setdefault((measure.how, cell.column is None, cell.when and cell.when.how), (feed, name))
    met = {feed for feed, _ in found.values()}
    return [*found.values(), *((feed, next(iter(names))) for feed, names in MEASURES.items() if feed not in met)]


def asked(feed: str = "position", shape: Shape = Shape.SERIES, **more: Any) -> Question:
    return question(Question(**{"feed": feed, "from_ms": FROM_MS, "to_ms": TO_MS, "shape": shape} | more))


# As many measures, dimensions and filters as there are ways through the code; Spark takes a second for each.
ON_EVERY_ENGINE = [
    *(asked(feed, measure=name, every_s=1800, by=next(iter(DIMENSIONS[feed]))) for feed, name in ways()),
    asked(measure="speed_mean", every_s=3600, routes=("it's; --", "40")),
    asked(measure="vehicles", every_s=86_400),
    asked(measure="count", every_s=604_800, late=Late.ONLY),
    asked(shape=Shape.AREAS, by="district", late=Late.WITHOUT, districts=("1726262",)),
    asked(shape=Shape.TOP, by="vehicle", measure="speed_mean", limit=3),
    asked("fuel", Shape.TOP, by="vehicle", measure="used"),
    asked("transition", Shape.TOP, by="rule", measure="raised", priorities=("high",)),
    asked("transition", Shape.TOP, by="vehicle", measure="raised", vehicles=("01-1001", "01-1002")),
    asked(shape=Shape.HEAT, measure="speed_mean"),
    asked(shape=Shape.HEAT, from_ms=FROM_MS + 3_600_000, mahallas=("1726262001",)),
    asked(shape=Shape.DISTRIBUTION, measure="speed_mean", bins=7, low=2.0, high=12.0),
    asked("passengers", Shape.DISTRIBUTION, measure="onboard_mean", bins=5, low=-2.0, high=90.0),
    asked(shape=Shape.TOTAL, measure="speed_mean", hours=(22, 23), weekdays=(1,)),
    asked(shape=Shape.TOTAL, measure="count", weekdays=(5, 6)),
    asked("fuel", Shape.TOTAL, measure="used"),
    asked(measure="count", every_s=1800, by="mahalla", hours=(0, 23), weekdays=(2,)),
    asked(shape=Shape.HEAT, measure="speed_mean", value_min=4.0, value_max=9.5, hours=(0, 22)),
    asked("passengers", Shape.TOP, by="stop", measure="onboard_mean", value_min=40.0),
    asked("sensor", Shape.DISTRIBUTION, measure="value_mean", bins=9, low=200.0, high=250.0, value_max=231.5),
    asked(shape=Shape.ORIGIN, measure="speed_mean", value_max=7.25, hours=(23,)),
    asked(shape=Shape.ORIGIN, from_ms=FROM_MS + 1, to_ms=TO_MS - 1),
    asked("case", Shape.ORIGIN),
]


def said(one: Question) -> list[Row]:
    """The question's rows, gone through one by one."""
    found = []
    for number, event in enumerate(events()[one.feed]):
        row = {column.name: getattr(event, column.field) for column in columns(one.feed)} | {"late": is_late(number)}
        row.setdefault("received_ms", row["measured_ms"])
        row |= {axis: getattr(event, axis) for axis in ("lat", "lon") if hasattr(event, axis)}
        names = {name: row[column] for name, column in DIMENSIONS[one.feed].items()}
        chosen = all(not getattr(one, field) or names[name] in getattr(one, field) for field, name in FILTERS.items())
        late = {Late.WITH: True, Late.ONLY: row["late"], Late.WITHOUT: not row["late"]}[one.late]
        local = datetime.fromtimestamp(row["measured_ms"] // 1000, ZONE)
        on_clock = (not one.hours or local.hour in one.hours) and (
            not one.weekdays or local.isoweekday() in one.weekdays
        )
        if one.from_ms <= row["measured_ms"] < one.to_ms and chosen and late and on_clock and has_value(row, one):
            found.append(row)
    return found


def has_value(row: Row, one: Question) -> bool:
    """Whether the value of the measure lies within the question's bounds, where it has any."""
    if one.value_min is None and one.value_max is None:
        return True
    cell = MEASURES[one.feed][one.measure].cell
    value = row[cell.column or ""]
    if value is None or (cell.when is not None and not value > cell.when.value):
        return False
    return (one.value_min is None or value >= one.value_min) and (one.value_max is None or value < one.value_max)


def measured(rows: Sequence[Row], feed: str, name: str) -> float | None:
    measure = MEASURES[feed][name]
    cell, when = measure.cell, measure.cell.when
    if when is not None and when.how is Is.ABOVE:
        rows = [row for row in rows if row[when.column] is not None and row[when.column] > when.value]
    elif when is not None:
        rows = [row for row in rows if row[when.column] == when.value]
    if measure.how is How.ENTITIES:
        return len({ids for row in rows if None not in (ids := tuple(row[name] for name in ENTITIES[feed]))})
    if cell.column is None:
        return len(rows)
    if measure.how is How.RISE:
        used = defaultdict(list)
        for row in rows:
            used[row["vehicle_id"]] += [] if row[cell.column] is None else [row[cell.column]]
        rises = [max(values) - min(values) for values in used.values() if values]
        return sum(rises) if rises else None
    values = [row[cell.column] for row in rows if row[cell.column] is not None]
    if not values:
        return None
    ways: dict[How, Callable[[list[float]], float]] = {
        How.SUM: sum, How.MIN: min, How.MAX: max, How.MEAN: lambda given: math.fsum(given) / len(given)
    }  # fmt: skip
    return ways[measure.how](values)


def grouped(one: Question, key_of: Callable[[Row], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Keys, value and rows, in the order of the keys with none last."""
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    if one.shape is Shape.TOTAL:
        groups[()] = []  # one number there always is
    for row in said(one):
        groups[key_of(row)].append(row)
    ordered = sorted(groups, key=lambda key: tuple((part is None, part or 0) for part in key))
    return [(*key, measured(groups[key], one.feed, one.measure), len(groups[key])) for key in ordered]


def begin_of(at_ms: int, every_s: int) -> int:
    """The beginning of a step by the clock on the wall."""
    local = datetime.fromtimestamp(at_ms // 1000, ZONE)
    midnight = local.replace(hour=0, minute=0, second=0)
    if every_s == 604_800:
        return round((midnight.timestamp() - midnight.weekday() * 86_400) * 1000)
    second = (local - midnight).seconds
    return round((midnight.timestamp() + second // every_s * every_s) * 1000)


def expected(one: Question) -> list[tuple[Any, ...]]:
    column = DIMENSIONS[one.feed].get(one.by or "", "")
    if one.shape in {Shape.SERIES, Shape.AREAS, Shape.TOTAL}:

        def key_of(row: Row) -> tuple[Any, ...]:
            at = (begin_of(row["measured_ms"], one.every_s),) if one.every_s else ()
            return (*at, row[column]) if column else at

        return grouped(one, key_of)
    if one.shape is Shape.HEAT:

        def of_week(row: Row) -> tuple[Any, ...]:
            local = datetime.fromtimestamp(row["measured_ms"] // 1000, ZONE)
            return local.weekday(), local.hour

        return grouped(one, of_week)
    if one.shape is Shape.TOP:
        found = [row for row in grouped(one, lambda row: (row[column],)) if None not in row[:2]]
        return sorted(found, key=lambda row: (-row[1], row[0]))[: one.limit]
    if one.shape is Shape.DISTRIBUTION:
        cell = MEASURES[one.feed][one.measure].cell
        assert cell.column is not None
        bins: dict[int, int] = defaultdict(int)
        for row in said(one):
            value = row[cell.column]
            if value is not None and (cell.when is None or value > cell.when.value):
                number = math.floor((value - one.low) / ((one.high - one.low) / one.bins))
                bins[min(max(number, 0), one.bins - 1)] += 1
        return sorted(bins.items())
    rows = said(one)
    times = [row["measured_ms"] for row in rows]
    who = next(name for name, measure in MEASURES[one.feed].items() if measure.how is How.ENTITIES)
    late = sum(row["late"] for row in rows)
    newest = max(row["received_ms"] for row in rows)
    return [(len(rows), late, measured(rows, one.feed, who), min(times), max(times), newest)]


def close(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> bool:
    """Equal, but for the last digits of a sum that was added in another order."""
    return len(found) == len(wanted) and all(
        a == b or (isinstance(a, float) and b is not None and math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-9))
        for left, right in zip(found, wanted, strict=True)
        for a, b in zip(left, right, strict=True)
    )


def answers(history: History, one: Question) -> list[tuple[Any, ...]]:
    view = history.view()
    table = view.table(one.feed, one.from_ms, one.to_ms)
    found = view.run(expression(table, one, offsets(ZONE, one.from_ms, one.to_ms)))
    return [tuple(row.values()) for row in found.to_pylist()]


@pytest.mark.parametrize("one", ON_EVERY_ENGINE, ids=lambda one: f"{one.feed}-{one.shape}-{one.measure}-{one.by}")
def test_an_answer_is_what_going_through_the_events_gives(history: History, one: Question) -> None:
    wanted = expected(one)
    assert wanted
    assert close(answers(history, one), wanted)


@pytest.mark.parametrize("feed", ["position", "trip", "case"])
def test_pages_of_rows_are_all_rows_once_in_their_order(history: History, feed: str) -> None:
    one = asked(feed, Shape.ROWS, limit=1000)
    found = answers(history, one)
    names = list(history.view().table(feed, FROM_MS, TO_MS).columns)
    assert len(found) == len(said(one)) > 0
    order = [(row[names.index("measured_ms")], *(row[names.index(n)] or "" for n in ENTITIES[feed])) for row in found]
    assert order == sorted(order)
    for row in said(one):
        assert [row[name] for name in names if name in row][:2] == [row["measured_ms"], row["received_ms"]]
    if feed == "position":
        wanted = sorted((row["measured_ms"], row["vehicle_id"], row["lat"], row["lon"]) for row in said(one))
        places = ("measured_ms", "vehicle_id", "lat", "lon")
        assert sorted(tuple(row[names.index(name)] for name in places) for row in found) == wanted


@pytest.mark.parametrize(
    ("feed", "order"),
    [
        ("position", "-measured_at"),
        ("position", "speed_mps"),
        ("position", "-speed_mps"),
        ("position", "-lat"),
        ("position", "route"),
        ("position", "-late"),
        ("trip", "-schedule_deviation_s"),
        ("transition", "version"),
    ],
)
def test_pages_in_any_order_are_all_rows_once(history: History, feed: str, order: str) -> None:
    """Upwards and downwards, what is not known last, with many equal values and a page's end among them."""
    one = asked(feed, Shape.ROWS, limit=307 if feed == "position" else 17, order=order)
    found: list[Row] = []
    while True:
        answered = page_of(history.view(), one, offsets(ZONE, one.from_ms, one.to_ms))
        found += answered.table.to_pylist()
        if answered.told.next is None:
            break
        assert answered.table.num_rows == one.limit
        one = structs.replace(one, cursor=answered.told.next)
    column, down = COLUMNS[feed][order.removeprefix("-")], order.startswith("-")
    values = [row[column] for row in found]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=down)
    assert values[: len(known)] == known
    whole = history.view()
    every = whole.run(whole.table(feed, FROM_MS, TO_MS)).to_pylist()
    as_text = [sorted(map(repr, rows)) for rows in (found, every)]
    assert as_text[0] == as_text[1]


def test_a_cursor_of_another_order_is_refused(archive: Archive, duckdb: DuckDb) -> None:
    history = History(archive, duckdb, None)
    one = asked(shape=Shape.ROWS, limit=5, order="speed_mps")
    cursor = page_of(history.view(), one, ()).told.next
    for order in (None, "-speed_mps", "route"):
        with pytest.raises(QuestionError) as refused:
            page_of(history.view(), structs.replace(one, order=order, cursor=cursor), ())
        assert refused.value.parameter == "cursor"
    for forged in ('"x"', "true", str(10**30), '"9"'):
        with pytest.raises(QuestionError):
            page_of(history.view(), structs.replace(one, cursor=f'[1,["a"],0,"speed_mps",{forged}]'), ())


def test_a_track_is_one_vehicles_rows_in_the_order_of_time(history: History) -> None:
    one = asked(shape=Shape.TRACK, vehicles=("01-1003",))
    times = [row[0] for row in answers(history, one)]
    assert times == sorted(row["measured_ms"] for row in said(one))


def test_what_lies_far_beyond_the_bounds_is_in_the_outermost_bin(history: History) -> None:
    one = asked(shape=Shape.DISTRIBUTION, measure="speed_mean", bins=40, low=0.0, high=1e-280)
    moving = [row for row in said(one) if row["speed_mps"] is not None and row["speed_mps"] > 0.5]
    assert answers(history, one) == [(39, len(moving))]


def test_bounds_are_the_least_and_the_greatest_value(history: History) -> None:
    one = asked("passengers", Shape.DISTRIBUTION, measure="onboard_max")
    view = history.view()
    (found,) = view.run(bounds(view.table("passengers", FROM_MS, TO_MS), one, ())).to_pylist()
    onboard = [row["onboard"] for row in said(one)]
    assert found == {"low": min(onboard), "high": max(onboard)}


@pytest.mark.parametrize(("feed", "measure"), [(feed, name) for feed, names in MEASURES.items() for name in names])
def test_every_measure_of_every_feed(archive: Archive, duckdb: DuckDb, feed: str, measure: str) -> None:
    one = asked(feed, measure=measure, every_s=1800, by=next(iter(DIMENSIONS[feed])))
    assert close(answers(History(archive, duckdb, None), one), expected(one))


@pytest.mark.parametrize("by", [None, "mahalla", "route", "vehicle", "direction"])
@pytest.mark.parametrize("measure", list(MEASURES["position"]))
def test_every_measure_goes_with_every_dimension(
    archive: Archive, duckdb: DuckDb, by: str | None, measure: str
) -> None:
    history = History(archive, duckdb, None)
    one = asked(measure=measure, by=by, every_s=900)
    assert close(answers(history, one), expected(one))


def test_a_name_is_never_taken_for_a_piece_of_a_query(archive: Archive, duckdb: DuckDb) -> None:
    history = History(archive, duckdb, None)
    for name in ("' OR 1=1 --", '"; DROP TABLE x', "\\", "it's; --", "%", "\x00", "🚌"):
        one = asked(measure="count", every_s=86_400, routes=(name,))
        assert close(answers(history, one), expected(one)), name


@pytest.mark.parametrize(
    "cursor",
    [
        *("", "x", "[]", "[1,[],0]", '[1,["a","b"],0]', '[1,["a"],-1]', '{"a":1}'),
        *(f'[{ms},["a"],0]' for ms in (-1, 2**63, 10**30)),
        *(f'[1,["a"],{shown}]' for shown in (100_001, 2**63 - 1, 10**30)),
    ],
)
def test_a_cursor_that_no_page_gave_is_refused(archive: Archive, duckdb: DuckDb, cursor: str) -> None:
    one = asked(shape=Shape.ROWS)
    one = structs.replace(one, cursor=cursor)
    with pytest.raises(QuestionError) as refused:
        answers(History(archive, duckdb, None), one)
    assert refused.value.parameter == "cursor"
