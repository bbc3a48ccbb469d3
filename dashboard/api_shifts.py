"""The HTTP API of shifts: the present one with its summary, the shift log, hand-overs and who signed them.

Who signs says which version of the shift he saw. Where somebody signed meanwhile he is told so (409), and nothing is
done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from fastapi import Body, FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from city.shifts import Handover, Pending
from city.store import StoreDown, now_ms
from dashboard.answers import By, Json, as_json, json_answer, rfc3339
from dashboard.problems import Problem
from dashboard.screen import Screen
from dashboard.shift_desk import CannotSign, Look, ShiftDesk, SignedMeanwhile, seen

T = TypeVar("T")
Version = Annotated[int, Field(ge=0, description="of the shift that was seen")]


class Writing(BaseModel):
    """A line for the shift log."""

    model_config = ConfigDict(extra="forbid")

    by: By
    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class Leaving(BaseModel):
    """The leaving operator's signature."""

    model_config = ConfigDict(extra="forbid")

    version: Version
    by: By
    note: Annotated[str, StringConstraints(strip_whitespace=True, max_length=4000)] = ""


class Arriving(BaseModel):
    """The arriving operator's signature."""

    model_config = ConfigDict(extra="forbid")

    version: Version
    by: By


def add_routes(server: FastAPI, screen: Screen, desk: ShiftDesk) -> None:
    @server.get("/api/v1/shift", tags=["shifts"], summary="The present shift: summary, log, a hand-over to be taken")
    async def shift() -> Response:
        live = seen(screen)
        return json_answer({"as_of": rfc3339(now_ms()), **shift_json(await _ask(lambda: desk.look(live)))})

    @server.post("/api/v1/shift/log", tags=["shifts"], summary="Write a line into the shift log")
    async def write(request: Request, writing: Annotated[Writing, Body()]) -> Response:
        _only_json(request)
        return json_answer(as_json(await _ask(lambda: desk.write(writing.by, writing.text))))

    @server.post("/api/v1/shift/handover", tags=["shifts"], summary="The leaving operator signs")
    async def hand_over(request: Request, leaving: Annotated[Leaving, Body()]) -> Response:
        _only_json(request)
        live = seen(screen)
        pending = await _ask(lambda: desk.sign(leaving.version, leaving.by, leaving.note, live))
        return json_answer({"version": leaving.version + 1, **pending_json(pending)})

    @server.post("/api/v1/shift/handover/accept", tags=["shifts"], summary="The arriving operator signs")
    async def accept(request: Request, arriving: Annotated[Arriving, Body()]) -> Response:
        _only_json(request)
        return json_answer(handover_json(await _ask(lambda: desk.accept(arriving.version, arriving.by))))

    @server.get("/api/v1/shifts", tags=["shifts"], summary="Hand-overs that both have signed, newest first")
    async def earlier(
        limit: Annotated[int, Query(ge=1, le=500, description="Entries a page")] = 50,
        cursor: Annotated[int | None, Query(ge=1, le=10**9, description="`next` of the page before")] = None,
    ) -> Response:
        found = await _ask(lambda: desk.earlier(limit=limit + 1, before=cursor))
        following = found[limit - 1].number if len(found) > limit else None
        listed = [as_json(one) for one in found[:limit]]
        return json_answer({"as_of": rfc3339(now_ms()), "shifts": listed, "next": following})

    @server.get("/api/v1/shifts/{number}", tags=["shifts"], summary="One hand-over, whole")
    async def one(number: Annotated[int, Path(ge=1, le=10**9)]) -> Response:
        found = await _ask(lambda: desk.one(number))
        if found is None:
            raise Problem(404, "No such hand-over", f"there is no hand-over number {number}")
        return json_answer({"as_of": rfc3339(now_ms()), **handover_json(found)})


def _only_json(request: Request) -> None:
    # A page of another site can send anything but this type without being asked about it first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(415, "Wrong content type", "send application/json")


async def _ask(question: Callable[[], T]) -> T:
    """The desk's answer, asked in a thread."""
    try:
        return await run_in_threadpool(question)
    except StoreDown as error:
        raise Problem(503, "The store does not answer", str(error)) from None
    except SignedMeanwhile as meanwhile:
        raise Problem(409, "The shift has changed meanwhile", f"{meanwhile}; look at it again") from None
    except CannotSign as refused:
        raise Problem(422, "This cannot be signed", str(refused)) from None


def shift_json(look: Look) -> Json:
    shift = look.shift
    return {
        "version": shift.version,
        "number": shift.number,
        "on_duty": shift.on_duty or None,
        "summary": as_json(look.summary),
        "lines": [as_json(line) for line in look.lines],
        "pending": None if shift.pending is None else pending_json(shift.pending),
    }


def pending_json(pending: Pending) -> Json:
    found = as_json(pending)
    del found["lines_to"]
    return found


def handover_json(handover: Handover) -> Json:
    return as_json(handover)
