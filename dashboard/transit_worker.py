"""One answer of the transport analysis, in a process of its own and of low priority."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
from msgspec import Struct
from msgspec.structs import replace

from analysis.queries.served import served
from analysis.transit.passages import LinePassages
from analysis.transit.scheduled import schedule_of
from analysis.transit.study import City, Rows, TransitQuestion, What, answer, answer_of, read_passages
from city.areas import AreasError, load_areas
from city.config import Config
from city.gtfs.stored import StoredError, folder, stored
from city.gtfs.timetable import Timetable
from city.history.engines import HistoryError
from city.history.history import History, View
from city.history.origin import Origin
from city.routes import Line, RoutesError, load_routes
from dashboard.transit_desk import Answered, NotAnswered, TookTooLong
from dashboard.transit_lines import changed_ns

# A page asks several questions about one route and span: its passages stay for them. Live ones are out of date soon.
_FRESH_S, _SETTLED_S = 20.0, 300.0
_SETTLED_AFTER_MS = 2 * 3_600_000

Given = TypeVar("Given")


class Read(Struct, frozen=True, kw_only=True, eq=False):
    """Passages that were read, of which question, and where from."""

    key: tuple[object, ...]
    passages: tuple[LinePassages, ...]
    origin: Origin
    until_s: float  # by the monotonic clock


class Known(Struct, frozen=True, kw_only=True, eq=False):
    """Timetable and lines of a city, as its files were at some moment."""

    key: tuple[object, ...]
    timetable: Timetable | None
    lines: tuple[Line, ...]


_last: list[Read] = []  # one at most: of the question before
_city: list[Known] = []  # likewise


def work(config: Config, asked: TransitQuestion) -> Answered:
    """The answer; raises NotAnswered."""
    return in_time(config, lambda: _work(config, asked))


def in_time(config: Config, do: Callable[[], Given]) -> Given:
    """What `do` gives within `history.query_timeout_s`; raises NotAnswered, TookTooLong."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TookTooLong(f"no answer within {config.history.query_timeout_s:g} s: ask for a shorter time")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, config.history.query_timeout_s)
    try:
        return do()
    except (HistoryError, RoutesError, StoredError, AreasError) as error:
        raise NotAnswered(str(error)) from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def rows_of(view: View) -> Rows:
    """The rows of history as the analysis asks for them."""

    def rows(
        feed: str,
        from_ms: int,
        to_ms: int,
        columns: Sequence[str],
        *,
        routes: Sequence[str] = (),
        vehicles: Sequence[str] = (),
    ) -> pa.Table:
        table = view.table(feed, from_ms, to_ms)
        return view.run(served(table, from_ms, to_ms, columns, routes=routes, vehicles=vehicles))

    return rows


@contextmanager
def opened(config: Config, routes: Sequence[str], from_ms: int, to_ms: int) -> Iterator[tuple[View, City]]:
    """A view of history, and what the city knows of some routes; raises what `in_time` tells."""
    timetable, known = _known(config)
    lines = tuple(line for line in known if line.route in routes)
    schedule = None if timetable is None else schedule_of(timetable, lines, from_ms, to_ms)
    city = City(
        lines=lines,
        zone=ZoneInfo(config.profile.timezone),
        settings=config.transit,
        schedule=schedule,
    )
    history = History.open(config)
    try:
        yield history.view(), city
    finally:
        history.close()


def _known(config: Config) -> tuple[Timetable | None, tuple[Line, ...]]:
    """The city's timetable and lines: a country's takes seconds to read, so it stays until it is another."""
    kept = folder(config.data_dir, config.city)
    key = (config.city, config.city_dir, kept, *changed_ns(config.city_dir, kept))
    if not _city or _city[0].key != key:
        _city.clear()
        found = stored(kept)
        timetable = None if found is None else found[0]
        lines = load_routes(config.city_dir) or (() if timetable is None else timetable.lines)
        _city.append(Known(key=key, timetable=timetable, lines=lines))
    return _city[0].timetable, _city[0].lines


def _work(config: Config, asked: TransitQuestion) -> Answered:
    with opened(config, (asked.route,), asked.from_ms, asked.to_ms) as (view, city):
        if asked.what is What.FUEL:
            found, origin = answer(asked, city, rows_of(view)), view.origin()
        else:
            read = _passages(config, asked, city, view)
            before = view.origin()
            known = city
            if asked.what is What.BOARDINGS:
                known = replace(city, mahalla_of=mahallas_of(config, [one.line for one in read.passages]))
            found = answer_of(asked, known, rows_of(view), read.passages)
            origin = _together(read.origin, before, view.origin())
        return Answered(answer=found, origin=origin, at_ms=view.at_ms, scheduled=city.schedule is not None)


def _passages(config: Config, asked: TransitQuestion, city: City, view: View) -> Read:
    """The passages of the question's route and span: those of the question before where they are the same."""
    key = (config.city, config.history.url, config.city_dir, asked.route, asked.from_ms, asked.to_ms)
    now_s = time.monotonic()
    if _last and _last[0].key == key and _last[0].until_s > now_s:
        return _last[0]
    _last.clear()  # before the next ones need the memory
    passages = tuple(read_passages(asked, city, rows_of(view)))
    settled = asked.to_ms < view.at_ms - _SETTLED_AFTER_MS
    until_s = time.monotonic() + (_SETTLED_S if settled else _FRESH_S)
    _last.append(Read(key=key, passages=passages, origin=view.origin(), until_s=until_s))
    return _last[0]


def _together(read: Origin, before: Origin, after: Origin) -> Origin:
    """Where passages come from that were read before, and what was read now."""
    return replace(
        read,
        commit=after.commit,
        files=read.files + after.files - before.files,
        bytes=read.bytes + after.bytes - before.bytes,
        archived_rows=read.archived_rows + after.archived_rows - before.archived_rows,
        live_rows=read.live_rows + after.live_rows - before.live_rows,
        live_missing=read.live_missing or after.live_missing,
        skipped=tuple(dict.fromkeys((*read.skipped, *after.skipped))),
    )


def mahallas_of(config: Config, lines: Sequence[Line]) -> dict[str, str | None]:
    """The mahalla of each stop of lines, None where it lies in none; raises AreasError."""
    stops = {stop.stop_id: stop for line in lines for stop in line.stops}
    _, codes = load_areas(config.city_dir).locate(
        [stop.lat for stop in stops.values()], [stop.lon for stop in stops.values()]
    )
    return {stop: None if code is None else str(code) for stop, code in zip(stops, codes, strict=True)}
