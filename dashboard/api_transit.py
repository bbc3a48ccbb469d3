"""The HTTP API of the transport analysis: figures of a route over a span, as JSON, CSV or Parquet."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi import FastAPI, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, Response
from msgspec import to_builtins
from starlette.background import BackgroundTask

from analysis.questions import QuestionError, time_ms
from analysis.transit.diagram import RunWay
from analysis.transit.od import OdEstimate
from analysis.transit.study import TransitQuestion, What
from city.config import Config
from city.gtfs.stored import StoredError
from city.routes import RoutesError
from dashboard.answers import Json, as_json, json_answer, rfc3339
from dashboard.problems import Problem
from dashboard.spreadsheet import plain
from dashboard.transit_desk import (
    Answered,
    CannotBeMade,
    FileAsked,
    NotAnswered,
    NothingSeen,
    NotWanted,
    Table,
    TookTooLong,
    TooManyQuestions,
    TransitDesk,
)
from dashboard.transit_lines import Lines, routes_json

DAY_MS = 86_400_000
ROUTES_MAX = 20
# Calendars end with the year 9999; days around a span must be dates, too.
TIME_MAX_MS = 7_258_118_400_000  # 2200-01-01T00:00:00Z
_LOOK_S = 0.5  # how often we look whether who asked is still there
_PARQUET = "application/vnd.apache.parquet"
Given = TypeVar("Given")
By = Literal["stop", "hour", "stop,hour", "line"]


def add_routes(server: FastAPI, config: Config, desk: TransitDesk) -> None:
    lines = Lines(config.city_dir, config.data_dir, config.city)

    @server.get("/api/v1/transit/routes", tags=["transit"], summary="The routes that can be asked about")
    async def routes(
        route: Annotated[str | None, Query(max_length=100, description="only this one, with its stops")] = None,
    ) -> Response:
        try:
            known = await run_in_threadpool(lines.all)
        except (RoutesError, StoredError) as error:
            raise Problem(503, "The routes cannot be read", str(error)) from None
        return json_answer({"routes": routes_json(known, route)})

    @server.get("/api/v1/transit/tides/{table}", tags=["transit"], summary="A TIDES table of a route over a span")
    async def tides(
        request: Request,
        table: Table,
        route: Annotated[list[str], Query(min_length=1, max_length=ROUTES_MAX)],
        from_: Annotated[str, Query(alias="from", description="RFC 3339")],
        to: Annotated[str, Query(description="RFC 3339")],
        format_: Annotated[Literal["csv", "parquet"], Query(alias="format")] = "csv",
    ) -> Response:
        from_ms, to_ms = span_of(from_, to, config.transit.days_max)
        asked = FileAsked(kind=table, routes=tuple(route), from_ms=from_ms, to_ms=to_ms, form=format_)
        made = await _waited(request, lambda gone: desk.file(asked, gone))
        return _sent(made, f"{table}.{format_}", _PARQUET if format_ == "parquet" else "text/csv; charset=utf-8")

    @server.get("/api/v1/transit/gtfs", tags=["transit"], summary="The timetable that was driven, as a GTFS zip")
    async def gtfs(
        request: Request,
        route: Annotated[list[str], Query(min_length=1, max_length=ROUTES_MAX)],
        from_: Annotated[str, Query(alias="from", description="RFC 3339")],
        to: Annotated[str, Query(description="RFC 3339")],
        agency_url: Annotated[str | None, Query(max_length=500, pattern=r"^https?://\S+$")] = None,
    ) -> Response:
        from_ms, to_ms = span_of(from_, to, config.transit.days_max)
        asked = FileAsked(
            kind="gtfs", routes=tuple(route), from_ms=from_ms, to_ms=to_ms, form="zip", agency_url=agency_url
        )
        return _sent(await _waited(request, lambda gone: desk.file(asked, gone)), "observed.zip", "application/zip")

    @server.get(
        "/api/v1/transit/{what}", tags=["transit"], summary="Headways, travel times, load … of a route over a span"
    )
    async def transit(
        request: Request,
        what: What,
        route: Annotated[str, Query(min_length=1, max_length=100)],
        from_: Annotated[str, Query(alias="from", description="RFC 3339")],
        to: Annotated[str, Query(description="RFC 3339")],
        direction: Annotated[int | None, Query(ge=1, le=2, description="else both")] = None,
        by: Annotated[
            By, Query(description="how rows are cut; fuel: vehicles, hour gives shifts, line the route")
        ] = "stop",
        from_stop: Annotated[str | None, Query(max_length=100, description="travel-times: from this stop")] = None,
        to_stop: Annotated[str | None, Query(max_length=100, description="travel-times: to this one")] = None,
        from_place: Annotated[
            int | None, Query(ge=0, le=9999, description="travel-times: from this place in the line, from 0")
        ] = None,
        to_place: Annotated[int | None, Query(ge=0, le=9999, description="travel-times: to this one")] = None,
        format_: Annotated[Literal["json", "csv", "parquet"], Query(alias="format")] = "json",
    ) -> Response:
        between = (("from_stop", from_stop), ("to_stop", to_stop), ("from_place", from_place), ("to_place", to_place))
        asked = question_of(what, route, direction, from_, to, by, config.transit.days_max, dict(between))
        answered = await _waited(request, lambda gone: desk.ask(asked, gone))
        if format_ == "csv":
            return _download(as_csv(answered), f"{what}-{route}.csv", "text/csv; charset=utf-8")
        if format_ == "parquet":
            return _download(as_parquet(answered), f"{what}-{route}.parquet", _PARQUET)
        return json_answer(answer_json(asked, answered))


def question_of(
    what: What,
    route: str,
    direction: int | None,
    from_: str,
    to: str,
    by: By,
    days_max: int,
    between: Mapping[str, Any] = MappingProxyType({}),
) -> TransitQuestion:
    """The question of the parameters; raises Problem naming the one that cannot be used.

    `between`: `from_stop` and `to_stop`, or `from_place` and `to_place`.
    """
    given = {name: value for name, value in between.items() if value is not None}
    for name in given:
        other = name.replace("from_", "to_") if name.startswith("from_") else name.replace("to_", "from_")
        if other not in given:
            raise Problem(422, "A parameter cannot be used", f"{other}: goes together with {name}")
        if what is not What.TRAVEL_TIMES:
            raise Problem(422, "A parameter cannot be used", f"{name}: is for travel-times only")
    if len(given) > 2:
        raise Problem(422, "A parameter cannot be used", "from_place: stops or places, not both")
    from_ms, to_ms = span_of(from_, to, days_max)
    return TransitQuestion(
        what=what,
        route=route,
        direction=direction,
        from_ms=from_ms,
        to_ms=to_ms,
        by_stop="stop" in by,
        by_hour="hour" in by,
        **given,
    )


def span_of(from_: str, to: str, days_max: int) -> tuple[int, int]:
    """Beginning and end in epoch milliseconds; raises Problem naming the one that cannot be used."""
    try:
        from_ms, to_ms = time_ms("from", from_), time_ms("to", to)
        for name, moment_ms in (("from", from_ms), ("to", to_ms)):
            if not 0 <= moment_ms < TIME_MAX_MS:
                raise QuestionError(name, "a time from 1970 to 2199")
        if to_ms <= from_ms:
            raise QuestionError("to", "is not after from")
        if to_ms - from_ms > days_max * DAY_MS:
            raise QuestionError("to", f"more than {days_max} days after from")
    except QuestionError as error:
        raise Problem(422, "A parameter cannot be used", f"{error.parameter}: {error.why}") from None
    return from_ms, to_ms


async def _waited(request: Request, ask: Callable[[threading.Event], Given]) -> Given:
    """What a desk gives, in a thread; work that nobody waits for any more is ended. Raises Problem."""
    gone = threading.Event()
    asked = asyncio.ensure_future(run_in_threadpool(ask, gone))
    try:
        while not (await asyncio.wait({asked}, timeout=_LOOK_S))[0]:
            if await request.is_disconnected():
                gone.set()
        return asked.result()
    except TooManyQuestions as error:
        raise Problem(429, "Too many questions", f"{error}; ask again later", kind="busy") from None
    except NotWanted:
        raise Problem(409, "The question was cancelled", "who asked has gone", kind="cancelled") from None
    except NothingSeen as error:
        raise Problem(404, "Nothing was observed", str(error)) from None
    except CannotBeMade as error:
        raise Problem(422, "A parameter is missing", str(error)) from None
    except TookTooLong as error:
        raise Problem(503, "The question was not answered", str(error), kind="timeout") from None
    except NotAnswered as error:
        raise Problem(503, "The question was not answered", str(error)) from None


def _sent(made: Path, name: str, media: str) -> Response:
    """The file, piece by piece; it is deleted when it was sent."""
    sent = BackgroundTask(shutil.rmtree, made.parent, ignore_errors=True)
    return FileResponse(made, media_type=media, filename=name, background=sent)


def _download(body: bytes, name: str, media: str) -> Response:
    named = re.sub(r"[^\w.-]", "-", name, flags=re.ASCII)
    return Response(body, media_type=media, headers={"Content-Disposition": f'attachment; filename="{named}"'})


def answer_json(asked: TransitQuestion, answered: Answered) -> Json:
    """The answer as the API tells it."""
    found, origin = answered.answer, answered.origin
    return {
        "as_of": rfc3339(answered.at_ms),
        "what": asked.what.value,
        "route": asked.route,
        "direction": asked.direction,
        "from_at": rfc3339(asked.from_ms),
        "to_at": rfc3339(asked.to_ms),
        "scheduled": answered.scheduled,
        "runs": found.runs,
        "passages": found.passages,
        "estimated": found.estimated,
        "against": found.against,
        "scheduled_share": found.scheduled_share,
        "coverage": found.coverage,
        "assumed": found.assumed,
        "clamped": found.clamped,
        "capacity": found.capacity,
        "spread": list(found.spread),
        "rows": [as_json(row) for row in found.rows],
        "refused": [as_json(row) for row in found.refused],
        "outliers": [as_json(row) for row in found.outliers],
        "origin": {
            "files": origin.files,
            "bytes": origin.bytes,
            "archived_rows": origin.archived_rows,
            "live_rows": origin.live_rows,
            "live_missing": origin.live_missing,
            "skipped": [list(one) for one in origin.skipped],
        },
    }


def as_csv(answered: Answered) -> bytes:
    """The rows as CSV (RFC 4180); an estimate's pairs and a trip's stops a row each."""
    rows = flat(answered)
    text = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({name: plain(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8")


def as_parquet(answered: Answered) -> bytes:
    """The same rows as one Parquet file, zstd."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(flat(answered)), sink, compression="zstd")
    return sink.getvalue()


def flat(answered: Answered) -> list[dict[str, Any]]:
    """The rows without anything nested in them."""
    found: list[dict[str, Any]] = []
    for row in answered.answer.rows:
        fields: dict[str, Any] = to_builtins(row)
        if isinstance(row, OdEstimate):
            pairs = fields.pop("pairs")
            found += [{**fields, **pair} for pair in pairs]
        elif isinstance(row, RunWay):
            columns = {name: fields.pop(name) for name in ("stops", "arrivals_s", "departures_s", "late_s")}
            for stop, arrival_s, departure_s, late_s in zip(*columns.values(), strict=True):
                found.append(
                    {
                        **fields,
                        "stop": stop,
                        "arrival_ms": row.first_ms + round(1000 * arrival_s),
                        "departure_ms": row.first_ms + round(1000 * departure_s),
                        "late_s": late_s,
                    }
                )
        else:
            found.append(fields)
    return found
