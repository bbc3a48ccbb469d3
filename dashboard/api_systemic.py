"""The HTTP API of systemic problems: what was found with its evidence, and how each is followed.

Whoever does something says which version of the problem he saw; a newer one means 409 and nothing is done. A problem
that nobody has looked at has version 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from fastapi import Body, FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from msgspec import Struct
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from shapely.geometry import MultiPolygon, mapping

from analysis.alarm_states import NotAllowed
from analysis.systemic_deeds import ALLOWED, FollowAct
from city.areas import Areas
from city.config import Config
from city.i18n import Language, Translator, translator
from city.store import StoreDown, now_ms
from city.systemic import FollowDeed, FollowState, PatternKind
from dashboard.answers import ID_MAX, By, Cursor, Json, Limit, as_json, json_answer, rfc3339
from dashboard.problems import Problem
from dashboard.systemic_desk import Listed, ProblemChanged, SystemicDesk, UnknownProblem
from dashboard.systemic_words import measured, proposal, title, when, why
from dashboard.systemic_work import Calculation

T = TypeVar("T")

WEEKS_LEAST = 2  # as analysis.systemic has it; that module loads the statistics
OPEN = frozenset({FollowState.NEW, FollowState.ACCEPTED, FollowState.IN_WORK, FollowState.DONE})
ProblemId = Annotated[str, Path(max_length=ID_MAX + 80, description="as the list has it")]
Lang = Annotated[Language | None, Query(description="Of titles, reasons and proposals; else the city's")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
Verb = Literal["accept", "start", "done", "close", "reject", "reopen", "assign", "comment"]


class Doing(BaseModel):
    """What somebody does about a systemic problem."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=0, description="of the problem that was seen; 0: nobody has looked at it yet")]
    by: By
    text: Annotated[Text, Field(description="the comment, what was done, or the reason")] = ""
    owner: Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)] = ""
    due_at: Annotated[AwareDatetime | None, Field(description="by when it is to be better")] = None


def add_routes(server: FastAPI, config: Config, areas: Areas, desk: SystemicDesk) -> None:
    timezone = config.profile.timezone

    def words(lang: Language | None) -> Translator:
        return translator(lang or config.profile.language)

    @server.get("/api/v1/systemic", tags=["systemic"], summary="Systemic problems, the weightiest first")
    async def problems(
        limit: Limit = 200,
        cursor: Cursor = None,
        state: Annotated[Literal["open", "all"] | FollowState, Query(description="How far the work is")] = "open",
        kind: Annotated[PatternKind | None, Query(description="In what it shows")] = None,
        lang: Lang = None,
    ) -> Response:
        listed = [one for one in await _ask(desk.listed) if kind is None or one.problem.pattern.kind is kind]
        if state == "open":
            listed = [one for one in listed if one.followed.state in OPEN]
        elif state != "all":
            listed = [one for one in listed if one.followed.state is state]
        if cursor is not None:
            at = next((n for n, one in enumerate(listed) if one.problem.id == cursor), None)
            if at is None:
                raise Problem(422, "A parameter cannot be used", f"cursor: {cursor!r} is not in this list any more")
            listed = listed[at + 1 :]
        following = listed[limit - 1].problem.id if len(listed) > limit else None
        t = words(lang)
        told = [problem_json(one, areas, timezone, t) for one in listed[:limit]]
        head = search_json(desk.calculation, searching=desk.searching, failed=desk.failed)
        return json_answer({"as_of": rfc3339(now_ms()), **head, "problems": told, "next": following})

    @server.post("/api/v1/systemic", tags=["systemic"], summary="Have systemic problems searched for anew")
    async def search(request: Request) -> Response:
        _only_json(request)
        desk.search()
        head = search_json(desk.calculation, searching=True, failed=desk.failed)
        return json_answer({"as_of": rfc3339(now_ms()), **head})

    @server.get("/api/v1/systemic/{problem_id:path}", tags=["systemic"], summary="One problem, its place and history")
    async def problem(problem_id: ProblemId, lang: Lang = None) -> Response:
        listed, history = await _ask(lambda: desk.one(problem_id))
        body = problem_json(listed, areas, timezone, words(lang))
        body["geometry"] = geometry(listed, areas)
        body["history"] = [_whole(entry) for entry in history]
        return json_answer({"as_of": rfc3339(now_ms()), **body})

    @server.post(
        "/api/v1/systemic/{problem_id:path}/{verb}", tags=["systemic"], summary="What somebody does about a problem"
    )
    async def do(
        request: Request, problem_id: ProblemId, verb: Verb, doing: Annotated[Doing, Body()], lang: Lang = None
    ) -> Response:
        _only_json(request)
        act = FollowAct(
            deed=FollowDeed(verb),
            at_ms=now_ms(),
            by=doing.by,
            text=doing.text,
            owner=doing.owner,
            due_ms=None if doing.due_at is None else int(doing.due_at.timestamp() * 1000),
        )
        after = await _ask(lambda: desk.do(problem_id, doing.version, act))
        return json_answer({"as_of": rfc3339(now_ms()), **problem_json(after, areas, timezone, words(lang))})


def search_json(calculation: Calculation | None, *, searching: bool, failed: str) -> Json:
    """Of what and when the last search was; nulls before the first one."""
    body: Json = {"searching": searching, "failed": failed or None, "weeks_needed": WEEKS_LEAST}
    if calculation is None:
        times = ("searched_at", "took_s", "since_at", "until_at", "weeks", "known_since_at")
        empty = (*times, "rises", "cases", "nowhere")
        return {**body, **dict.fromkeys(empty), "without_polygon": []}
    known = calculation.known_since_ms
    return {
        **body,
        "searched_at": rfc3339(calculation.at_ms),
        "took_s": round(calculation.took_s, 2),
        "since_at": rfc3339(calculation.since_ms),
        "until_at": rfc3339(calculation.until_ms),
        "weeks": calculation.weeks,
        "known_since_at": None if known is None else rfc3339(known),
        "rises": calculation.rises,
        "cases": calculation.cases,
        "nowhere": calculation.nowhere,
        "without_polygon": [{"district": d, "rises": n} for d, n in sorted(calculation.without_polygon.items())],
    }


def problem_json(listed: Listed, areas: Areas, timezone: str, t: Translator) -> Json:
    one, problem = listed.followed, listed.problem
    pattern = problem.pattern
    done = one.done_ms is not None
    return {
        "id": problem.id,
        "version": one.version,
        "state": one.state,
        "kind": pattern.kind,
        "rule": pattern.rule,
        "title": title(problem, areas, t),
        "when": when(pattern, t),
        "why": why(problem, timezone, t),
        "proposal": proposal(problem, t),
        "score": round(problem.score, 4),
        "parts": {name: round(part, 4) for name, part in problem.parts.items()},
        "found": listed.found,
        "areas": pattern.areas,
        "district": problem.district,
        "days": pattern.days,
        "hours": pattern.hours,
        "alarm": pattern.alarm or None,
        "source": None if problem.source is None else {"kind": problem.source[0], "id": problem.source[1]},
        "evidence": _whole(problem.evidence),
        "since_at": rfc3339(one.since_ms) if one.version else None,
        "owner": one.owner or None,
        "due_at": _at(one.due_ms),
        "reason": one.reason or None,
        "accepted_at": _at(one.accepted_ms),
        "done_at": _at(one.done_ms),
        "measure": None
        if listed.measure is None
        else {**_whole(listed.measure), "dropped": listed.measure.dropped, "text": measured(listed.measure, done, t)},
        "comments": one.comments,
        "reopened": one.reopened,
        "can": [*ALLOWED[one.state], FollowDeed.COMMENT],
    }


def geometry(listed: Listed, areas: Areas) -> Json | None:
    """The polygons of a problem's areas as one GeoJSON MultiPolygon; None where none is known."""
    pattern = listed.problem.pattern
    known = [areas.by_code[code].polygon for code in pattern.areas if code in areas.by_code]
    parts = [part for polygon in known for part in getattr(polygon, "geoms", [polygon])]
    return dict(mapping(MultiPolygon(parts))) if parts else None


async def _ask(question: Callable[[], T]) -> T:
    """The desk's answer, asked in a thread; what refused it as a problem."""
    try:
        return await run_in_threadpool(question)
    except StoreDown as error:
        raise Problem(503, "The store does not answer", str(error)) from None
    except UnknownProblem as unknown:
        raise Problem(404, "No such problem", f"{str(unknown)!r} is not known, or not found any more") from None
    except ProblemChanged as changed:
        raise Problem(409, "The problem has changed meanwhile", f"{changed}; look at it again") from None
    except NotAllowed as refused:
        raise Problem(422, "This cannot be done to the problem", str(refused)) from None


def _only_json(request: Request) -> None:
    # A page of another site can send anything but this type without being asked about it first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(415, "Wrong content type", "send application/json")


def _whole(value: Struct) -> Json:
    """A Struct with all its fields, those too that are at their defaults."""
    names = {name: f"{name[:-3]}_at" if name.endswith("_ms") else name for name in value.__struct_fields__}
    names |= {"at_ms": "at"} if "at_ms" in names else {}
    body = as_json(value)
    return {told: body.get(told, getattr(value, name)) for name, told in names.items()}


def _at(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
