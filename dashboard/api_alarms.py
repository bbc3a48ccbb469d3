"""The HTTP API of alarms: which there are, what happened to each, and what operators do about them.

An operator says which version of the alarm he saw. Where it has changed meanwhile he is told so (409) and nothing is
done: the last one never wins silently.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeVar

from fastapi import Body, FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from analysis.alarm_json import alarm_json, transition_json
from analysis.alarm_states import NotAllowed
from city.alarms import Act, Action, Alarm
from city.config import Config
from city.store import StoreDown, now_ms
from dashboard.answers import ID_MAX, By, Cursor, Limit, json_answer, rfc3339
from dashboard.operators import ChangedMeanwhile, UnknownAlarm, operate
from dashboard.problems import Problem
from dashboard.screen import Screen

__all__ = ["add_routes", "alarm_json", "transition_json"]

T = TypeVar("T")
AlarmId = Annotated[str, Path(max_length=ID_MAX, description="`<rule>:<key>`")]
# What a path's last word asks for.
_ACTIONS = {
    "acknowledge": Action.ACKNOWLEDGE,
    "reset": Action.RESET,
    "shelve": Action.SHELVE,
    "unshelve": Action.UNSHELVE,
    "remove-from-service": Action.REMOVE_FROM_SERVICE,
    "return-to-service": Action.RETURN_TO_SERVICE,
    "assign": Action.ASSIGN,
    "comment": Action.COMMENT,
}
Verb = Literal[
    "acknowledge", "reset", "shelve", "unshelve", "remove-from-service", "return-to-service", "assign", "comment"
]
_SHELVE_MAX_S = 7 * 86_400


class Doing(BaseModel):
    """What an operator does."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=0, description="of the alarm that was seen")]
    by: By
    reason: Annotated[str, Field(max_length=500)] = ""
    for_s: Annotated[int | None, Field(gt=0, le=_SHELVE_MAX_S, description="how long a hold lasts")] = None
    text: Annotated[str, Field(max_length=2000, description="the comment, or who is assigned")] = ""


def add_routes(server: FastAPI, config: Config, screen: Screen) -> None:
    @server.get("/api/v1/alarms", tags=["alarms"], summary="Alarms, newest rise first")
    async def alarms(
        limit: Limit = 1000,
        cursor: Cursor = None,
        state: Annotated[
            Literal["open", "held", "normal", "all"], Query(description="Announced, held back, or neither")
        ] = "open",
    ) -> Response:
        chosen = [a for a in screen.state.alarms.values() if state in ("all", _group(a))]
        chosen.sort(key=lambda a: (-a.raised_ms, a.id))
        if cursor is not None:
            at = next((n for n, a in enumerate(chosen) if a.id == cursor), None)
            if at is None:
                raise Problem(422, "A parameter cannot be used", f"cursor: {cursor!r} is not in this list any more")
            chosen = chosen[at + 1 :]
        following = chosen[limit - 1].id if len(chosen) > limit else None
        listed = [alarm_json(a) for a in chosen[:limit]]
        return json_answer({"as_of": rfc3339(now_ms()), "alarms": listed, "next": following})

    @server.get("/api/v1/alarms/{alarm_id:path}", tags=["alarms"], summary="One alarm, and what happened to it lately")
    async def alarm(alarm_id: AlarmId) -> Response:
        found = await _ask(lambda: screen.store.alarm(alarm_id))
        if found is None:
            raise _unknown(alarm_id)
        history = await _ask(lambda: screen.store.newest_transitions({alarm_id}))
        body = {**alarm_json(found), "history": [transition_json(one) for one in history]}
        return json_answer({"as_of": rfc3339(now_ms()), **body})

    @server.post("/api/v1/alarms/{alarm_id:path}/{verb}", tags=["alarms"], summary="What an operator does to an alarm")
    async def do(request: Request, alarm_id: AlarmId, verb: Verb, doing: Annotated[Doing, Body()]) -> Response:
        # A page of another site can send anything but this type without being asked about it first.
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            raise Problem(415, "Wrong content type", "send application/json")
        now = now_ms()
        act = Act(
            action=_ACTIONS[verb],
            at_ms=now,
            by=doing.by,
            reason=doing.reason.strip(),
            until_ms=None if doing.for_s is None else now + doing.for_s * 1000,
            text=doing.text.strip(),
        )
        keep_s = config.store.alarms_keep_s
        try:
            after = await _ask(lambda: operate(screen.store, alarm_id, doing.version, act, keep_s=keep_s))
        except UnknownAlarm:
            raise _unknown(alarm_id) from None
        except ChangedMeanwhile as changed:
            who = f" by {changed.alarm.acknowledged_by}" if changed.alarm.acknowledged_by else ""
            raise Problem(409, "The alarm has changed meanwhile", f"{changed}{who}; look at it again") from None
        except NotAllowed as refused:
            raise Problem(422, "This cannot be done to the alarm", str(refused)) from None
        return json_answer({"as_of": rfc3339(now_ms()), **alarm_json(after)})


def _group(alarm: Alarm) -> str:
    if alarm.announced:
        return "open"
    return "held" if alarm.shelved or alarm.suppressed or alarm.out_of_service else "normal"


def _unknown(alarm_id: str) -> Problem:
    return Problem(404, "No such alarm", f"{alarm_id!r} is not known, or not any more")


async def _ask(question: Callable[[], T]) -> T:
    """The store's answer, asked in a thread."""
    try:
        return await run_in_threadpool(question)
    except StoreDown as error:
        raise Problem(503, "The store does not answer", str(error)) from None
