"""The HTTP API of the replay: what can be played, how complete it is, and the past itself in chunks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from pydantic import AwareDatetime

from analysis.replay import HOUR_MS, step_s
from city.archive.files import ArchiveDown
from city.store import StoreDown, StoreRefused, now_ms
from dashboard.answers import as_json, json_answer, rfc3339
from dashboard.problems import Problem
from dashboard.replay import ProcessLost, ReplayDesk, TooBusy
from dashboard.replay_frames import SAMPLES_MAX

SPEEDS = (1, 2, 5, 10, 30, 60, 120)
_ALARMS_MAX_MS = HOUR_MS
_HOURS_MAX_MS = 32 * 24 * HOUR_MS
_LOOK_S = 0.25  # how often we look whether who asked is still there

At = Annotated[AwareDatetime, Query(description="RFC 3339 with offset")]
Page = Annotated[str | None, Query(max_length=64, description="any word of the asker's; each asker has its turn")]
T = TypeVar("T")


def add_routes(server: FastAPI, desk: ReplayDesk) -> None:
    @server.get("/api/v1/replay", tags=["replay"], summary="What can be played, and how fast")
    async def bounds(request: Request, page: Page = None) -> Response:
        found = await _answered(request, desk.bounds(_asker(request, page)))
        speeds = [{"speed": speed, "every_s": step_s(speed)} for speed in SPEEDS]
        return json_answer({"as_of": rfc3339(now_ms()), **as_json(found), "speeds": speeds})

    @server.get("/api/v1/replay/hours", tags=["replay"], summary="How many positions each hour has")
    async def hours(
        request: Request,
        since: Annotated[AwareDatetime, Query(alias="from", description="RFC 3339 with offset")],
        until: Annotated[AwareDatetime, Query(alias="to", description="At most 32 days later")],
        page: Page = None,
    ) -> Response:
        from_ms, to_ms = _span(since, until, _HOURS_MAX_MS)
        found = await _answered(request, desk.hours(from_ms, to_ms, _asker(request, page)))
        rows = [{"at": rfc3339(at_ms), "positions": n} for at_ms, n in sorted(found.items())]
        return json_answer({"as_of": rfc3339(now_ms()), "hours": rows})

    @server.get("/api/v1/replay/hour", tags=["replay"], summary="How complete the positions of an hour are")
    async def hour(request: Request, at: At, page: Page = None) -> Response:
        found = await _answered(request, desk.hour(_ms(at) // HOUR_MS * HOUR_MS, _asker(request, page)))
        return json_answer({"as_of": rfc3339(now_ms()), **as_json(found)})

    @server.get(
        "/api/v1/replay/chunk",
        tags=["replay"],
        summary="All vehicles and areas at evenly spaced moments, packed",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def chunk(
        request: Request,
        at: At,
        seconds: Annotated[float, Query(ge=1, le=7200, description="Of the city's time")] = 60,
        every: Annotated[float, Query(ge=0.5, le=30, description="Seconds from one moment to the next")] = 1,
        page: Page = None,
    ) -> Response:
        samples = max(1, round(seconds / every))
        if samples > SAMPLES_MAX:
            raise Problem(422, "A parameter cannot be used", f"seconds: at most {SAMPLES_MAX} times `every`")
        asker = _asker(request, page)
        body = await _answered(request, desk.chunk(_ms(at), round(every * 1000), samples, asker))
        return Response(body, media_type="application/octet-stream")

    @server.get("/api/v1/replay/alarms", tags=["replay"], summary="The alarms as operators saw them then")
    async def alarms(
        request: Request,
        since: Annotated[AwareDatetime, Query(alias="from", description="RFC 3339 with offset")],
        until: Annotated[AwareDatetime, Query(alias="to", description="At most an hour later")],
        page: Page = None,
    ) -> Response:
        from_ms, to_ms = _span(since, until, _ALARMS_MAX_MS)
        found = await _answered(request, desk.alarms(from_ms, to_ms, _asker(request, page)))
        return json_answer({"as_of": rfc3339(now_ms()), **as_json(found)})


def _asker(request: Request, page: str | None) -> str:
    """Who asks: a page, where it says which, else a machine."""
    return page or (request.client.host if request.client else "")


async def _answered(request: Request, question: Coroutine[Any, Any, T]) -> T:
    """The desk's answer; a question whose asker has gone is taken back. Raises Problem."""
    asked = asyncio.create_task(question)
    try:
        while not (await asyncio.wait({asked}, timeout=_LOOK_S))[0]:
            if await request.is_disconnected():
                raise Problem(409, "The question was cancelled", "who asked has gone")
        return asked.result()
    except TooBusy as error:
        raise Problem(503, "Too much of the past is asked for at once", str(error)) from None
    except ProcessLost as error:
        raise Problem(503, "The past cannot be worked on", str(error)) from None
    except (StoreDown, StoreRefused) as error:
        raise Problem(503, "The store does not answer", str(error)) from None
    except ArchiveDown as error:
        raise Problem(503, "The archive cannot be read", str(error)) from None
    finally:
        asked.cancel()


def _ms(at: AwareDatetime) -> int:
    return round(at.timestamp() * 1000)


def _span(since: AwareDatetime, until: AwareDatetime, most_ms: int) -> tuple[int, int]:
    from_ms, to_ms = _ms(since), _ms(until)
    if not from_ms <= to_ms <= from_ms + most_ms:
        raise Problem(
            422, "A parameter cannot be used", f"to: not before from, and at most {most_ms // HOUR_MS} h later"
        )
    return from_ms, to_ms
