"""The HTTP API of history: series, aggregates and rows of any time, as any question of `analysis.questions`.

Nothing is worked out here: a question goes to the analyst's processes and its answer is passed on as it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from analysis.measures import DIMENSIONS, FEEDS, MEASURES
from analysis.questions import PARAMETERS, Question, QuestionError, Shape, asked_by, query_of
from dashboard.analyst import Analyst, Answered, Job, NotAnswered, State, TooManyQuestions
from dashboard.analyst_words import Form
from dashboard.answers import Json, json_answer
from dashboard.problems import Problem, document

_TAG = "history"
_BLOCK = 1 << 18
_LISTEN_S = 0.5
# A vehicle's day at a position every five seconds, and a little.
_TRACK_LIMIT = 20_000

_MEANING = {
    "feed": "Which events: " + ", ".join(FEEDS),
    "from": "Beginning of the span, RFC 3339",
    "to": "Its end: the first moment that counts no more",
    "shape": ", ".join(Shape),
    "measure": "Which number; see /api/v1/history/measures",
    "by": "What to group by; see /api/v1/history/measures",
    "every": "Step in time: 30s, 15min, 1h, 1d",
    "hour": "Only rows of these hours of the city's clock, 0 to 23; may be given more than once",
    "weekday": "Only rows of these days of the city, 1 Monday to 7; may be given more than once",
    "value_min": "Only rows whose value of the measure is at least this",
    "value_max": "and below this",
    "late": "with, without or only rows that came out of order",
    "compare_from": "The same span from here on, too",
    "bins": "Of a distribution",
    "low": "Where its first bin begins",
    "high": "Where its last bin ends",
    "limit": "Rows, or entries of a top list",
    "order": "Of rows: a column, - before it for downwards; else by time",
    "cursor": "`next` of the page before",
    "format": "json, csv, geojson or parquet; else by Accept",
}
_MEDIA = {
    Form.JSON: "application/json",
    Form.CSV: "text/csv; charset=utf-8",
    Form.GEOJSON: "application/geo+json",
    Form.PARQUET: "application/vnd.apache.parquet",
    Form.ARROW: "application/vnd.apache.arrow.stream",
}
_ACCEPTED = {media.partition(";")[0]: form for form, media in _MEDIA.items()}
# Feeds whose rows bear a place.
_PLACED = frozenset({"position", "camera_status", "sensor", "case"})
# What became of a question → status and title of the problem document, and which kind of failure that is to a reader.
_FAILED = {
    "question": (422, "The question cannot be asked", "refused"),
    "too_much": (422, "The answer is too large", "too_much"),
    "timeout": (504, "No answer in time", "timeout"),
    "cancelled": (409, "The question was cancelled", "cancelled"),
    "history": (503, "The archive does not answer", "failed"),
    "lost": (503, "The question was ended", "failed"),
    "bug": (500, "The question failed", "failed"),
}


def add_routes(server: FastAPI, analyst: Analyst) -> None:
    desk = _Desk(analyst)

    @server.get(
        "/api/v1/history/query", tags=[_TAG], summary="Any question to history", openapi_extra=_told_of(PARAMETERS)
    )
    async def query(request: Request) -> Response:
        return await desk.answered(request, request.query_params.multi_items())

    @server.get(
        "/api/v1/history/rows",
        tags=[_TAG],
        summary="The events themselves, by page",
        openapi_extra=_told_of(tuple(p for p in PARAMETERS if p not in _NOT_OF_ROWS)),
    )
    async def rows(request: Request) -> Response:
        return await desk.answered(request, [*request.query_params.multi_items(), ("shape", "rows")])

    @server.get("/api/v1/history/areas", tags=[_TAG], summary="A measure by district or mahalla, and by time")
    async def areas(
        request: Request,
        from_: Annotated[str, Query(alias="from", description=_MEANING["from"])],
        to: Annotated[str, Query(description=_MEANING["to"])],
        kind: Annotated[str, Query(description="district or mahalla")] = "mahalla",
        every: Annotated[str | None, Query(description=_MEANING["every"])] = None,
        feed: Annotated[str, Query(description=_MEANING["feed"])] = "position",
        measure: Annotated[str, Query(description=_MEANING["measure"])] = "count",
        route: Annotated[list[str] | None, Query(description="Only these")] = None,
        district: Annotated[list[str] | None, Query(description="Only these")] = None,
        format_: Annotated[str | None, Query(alias="format", description=_MEANING["format"])] = None,
    ) -> Response:
        pairs = [("by" if name == "kind" else name, value) for name, value in request.query_params.multi_items()]
        if "by" not in dict(pairs):
            pairs.append(("by", kind))
        return await desk.answered(request, [*pairs, ("shape", "areas")])

    @server.get("/api/v1/history/vehicles/{vehicle_id}", tags=[_TAG], summary="What one vehicle said, in order")
    async def vehicle(
        request: Request,
        vehicle_id: Annotated[str, Path(max_length=64)],
        from_: Annotated[str, Query(alias="from", description=_MEANING["from"])],
        to: Annotated[str, Query(description=_MEANING["to"])],
        feed: Annotated[str, Query(description="position, vehicle_status, passengers or fuel")] = "position",
        limit: Annotated[int, Query(description="Rows; `cut` says that there are more")] = _TRACK_LIMIT,
        format_: Annotated[str | None, Query(alias="format", description=_MEANING["format"])] = None,
    ) -> Response:
        pairs = request.query_params.multi_items()
        if "limit" not in dict(pairs):
            pairs.append(("limit", str(limit)))
        return await desk.answered(request, [*pairs, ("vehicle", vehicle_id), ("shape", "track")])

    @server.get("/api/v1/history/measures", tags=[_TAG], summary="What can be asked of each feed")
    async def measures() -> Response:
        return json_answer({"feeds": [_feed(feed) for feed in FEEDS]})

    @server.post(
        "/api/v1/history/jobs",
        tags=[_TAG],
        status_code=202,
        summary="Have a question worked on, to ask for its answer later",
        openapi_extra=_told_of((*PARAMETERS, "format")),
    )
    async def begin(request: Request) -> Response:
        job = desk.begun(request, request.query_params.multi_items())
        if isinstance(job, Response):
            return job
        answer = json_answer(job_json(job))
        answer.status_code = 202
        answer.headers["Location"] = f"/api/v1/history/jobs/{job.id}"
        return answer

    @server.get("/api/v1/history/jobs/{job_id}", tags=[_TAG], summary="How far a question is")
    async def look(job_id: Annotated[str, Path(max_length=64)]) -> Response:
        return json_answer(job_json(desk.job(job_id)))

    @server.get("/api/v1/history/jobs/{job_id}/answer", tags=[_TAG], summary="The answer, as soon as there is one")
    async def result(request: Request, job_id: Annotated[str, Path(max_length=64)]) -> Response:
        return await desk.waited(request, desk.job(job_id), cancel=False)

    @server.delete("/api/v1/history/jobs/{job_id}", tags=[_TAG], summary="Cancel a question")
    async def cancel(job_id: Annotated[str, Path(max_length=64)]) -> Response:
        job = desk.job(job_id)
        analyst.cancel(job)
        return json_answer(job_json(job))


class _Desk:
    """Takes questions, waits for answers, says what went wrong."""

    def __init__(self, analyst: Analyst) -> None:
        self._analyst = analyst

    async def answered(self, request: Request, pairs: Iterable[tuple[str, str]]) -> Response:
        job = self.begun(request, pairs)
        if isinstance(job, Response):
            return job
        try:
            return await self.waited(request, job, cancel=True)
        finally:
            self._analyst.forget(job)

    def begun(self, request: Request, pairs: Iterable[tuple[str, str]]) -> Job | Response:
        """The job of a question, or a response where none is taken; raises Problem."""
        asked, form = _read(request, list(pairs))
        try:
            return self._analyst.ask(asked, form)
        except TooManyQuestions as error:
            detail = f"{error}; try again in a moment"
            full = document(429, "Too many questions", detail, request.url.path, kind="busy")
            full.headers["Retry-After"] = "5"
            return full

    async def waited(self, request: Request, job: Job, *, cancel: bool) -> Response:
        """The answer of a job; raises Problem. `cancel`: who asked has gone, and nobody else knows of it."""
        future = asyncio.wrap_future(job.future)
        while not (await asyncio.wait({future}, timeout=_LISTEN_S))[0]:
            if cancel and await request.is_disconnected():
                self._analyst.cancel(job)
        try:
            answered = future.result()
        except NotAnswered as error:
            status, title, kind = _FAILED[error.kind]
            raise Problem(status, title, _detail(error), kind=kind) from None
        return _streamed(answered, job)

    def job(self, job_id: str) -> Job:
        job = self._analyst.job(job_id)
        if job is None:
            raise Problem(404, "No such question", "it was never asked, or its answer is no longer kept")
        return job


def job_json(job: Job) -> Json:
    """How far a question is; of one without an answer what kind of failure, and the problem document."""
    failure = job.future.exception() if job.state in {State.FAILED, State.CANCELLED} and job.future.done() else None
    told: Json = {"kind": None, "detail": None, "problem": None}
    if isinstance(failure, NotAnswered):
        status, title, kind = _FAILED[failure.kind]
        detail = _detail(failure)
        problem = {"type": "about:blank", "title": title, "status": status, "detail": detail, "kind": kind}
        told = {"kind": kind, "detail": detail, "problem": problem}
    return {
        "id": job.id,
        "state": job.state,
        "progress": round(job.progress, 3),
        "query": query_of(job.question),
        "format": job.form,
        **told,
    }


def _detail(failure: NotAnswered) -> str:
    return f"{failure.parameter}: {failure.detail}" if failure.parameter else failure.detail


def _read(request: Request, pairs: list[tuple[str, str]]) -> tuple[Question, Form]:
    forms = [value for name, value in pairs if name == "format"]
    try:
        form = _form(forms[0] if forms else None, request.headers.get("accept", ""))
        asked = asked_by((name, value) for name, value in pairs if name != "format")
        _check_form(asked, form)
    except QuestionError as error:
        raise Problem(422, "A parameter cannot be used", str(error), kind="refused") from None
    return asked, form


def _form(given: str | None, accept: str) -> Form:
    if given is not None:
        if given not in set(Form):
            raise QuestionError("format", f"one of {', '.join(Form)}, not {given[:60]!r}")
        return Form(given)
    for kind in accept.split(","):
        if (form := _ACCEPTED.get(kind.partition(";")[0].strip().lower())) is not None:
            return form
    return Form.JSON


def _check_form(asked: Question, form: Form) -> None:
    placed = asked.shape in {Shape.ROWS, Shape.TRACK} and asked.feed in _PLACED
    if form is Form.GEOJSON and asked.shape is not Shape.AREAS and not placed:
        raise QuestionError("format", "only areas, and rows that bear a place, are GeoJSON")


def _streamed(answered: Answered, job: Job) -> Response:
    """The answer in blocks: as much of it as the caller takes is copied, and not all of it at once."""
    headers = {"Content-Length": str(len(answered.body)), "Cache-Control": "no-store"}
    if answered.told.next is not None:
        headers["Markaz-Next"] = answered.told.next.encode("unicode_escape").decode("ascii")
    if job.form in {Form.CSV, Form.PARQUET, Form.GEOJSON}:
        name = f"markaz-{job.question.feed}-{job.question.shape}.{job.form}"
        headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return StreamingResponse(_blocks(answered.body), media_type=_MEDIA[job.form], headers=headers)


def _blocks(body: bytes) -> Iterator[bytes]:
    for begin in range(0, len(body), _BLOCK):
        yield body[begin : begin + _BLOCK]


def _feed(feed: str) -> Json:
    return {
        "feed": feed,
        "measures": [{"measure": one.name, "unit": one.unit, "how": one.how} for one in MEASURES[feed].values()],
        "by": list(DIMENSIONS[feed]),
    }


# What a page of rows has no use for.
_NOT_OF_ROWS = frozenset({"shape", "by", "every", "compare_from", "bins", "low", "high"})


def _told_of(names: Iterable[str]) -> dict[str, Any]:
    """Parameters for the API's description; what they are is read by `analysis.questions` alone."""
    listed = list(dict.fromkeys((*names, "format")))
    return {"parameters": [_parameter(name) for name in listed]}


def _parameter(name: str) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": name in {"from", "to"},
        "description": _MEANING.get(name, "Only these; may be given more than once"),
        "schema": {"type": "string"},
    }
