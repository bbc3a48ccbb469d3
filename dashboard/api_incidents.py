"""The HTTP API of incidents: which there are, what happened in each, and what operators do about them.

An operator says which version of the incident he saw. Deeds that only add (a comment, a tick, a link, a promise) are
done on the newest one; for the others a newer version means 409 and nothing is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Annotated, Literal, TypeVar
from zoneinfo import ZoneInfo

from fastapi import Body, FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from analysis.alarm_states import NotAllowed
from analysis.incident_deeds import IncidentAct
from analysis.incident_members import home, names_of
from analysis.incident_timeline import Line
from analysis.incident_timeline import timeline as timeline_of
from analysis.schedule import Clock
from city.alarms import Act, Action, Alarm
from city.config import Config
from city.events import Case
from city.incidents import Deed, Incident
from city.store import Store, StoreDown, now_ms
from dashboard.answers import ID_MAX, By, Cursor, Json, Limit, json_answer, rfc3339
from dashboard.api_alarms import alarm_json, transition_json
from dashboard.frames import UNSEEN
from dashboard.incident_deeds import IncidentChanged, IncidentDesk, UnknownIncident
from dashboard.problems import Problem
from dashboard.screen import Screen

T = TypeVar("T")
IncidentId = Annotated[str, Path(max_length=40, description="`<date>-<number>`")]
AlarmIds = Annotated[list[Annotated[str, Field(max_length=ID_MAX)]], Field(max_length=500, description="ids of alarms")]
Title = Annotated[str, Field(max_length=200)]
# What a path's last word asks for; the others are not done to the incident alone.
_DEEDS = {
    "status": Deed.STATUS,
    "priority": Deed.PRIORITY,
    "title": Deed.TITLE,
    "assign": Deed.ASSIGN,
    "agencies": Deed.AGENCIES,
    "comment": Deed.COMMENT,
    "check": Deed.CHECK,
    "uncheck": Deed.UNCHECK,
    "attach": Deed.ATTACH,
    "promise": Deed.PROMISE,
    "keep-promise": Deed.KEEP_PROMISE,
    "merge": Deed.MERGE,
    "split": Deed.LEAVE,
    "join": Deed.JOIN,
    "acknowledge": Deed.JOIN,
}
Verb = Literal[
    "status", "priority", "title", "assign", "agencies", "comment", "check", "uncheck", "attach", "promise",
    "keep-promise", "merge", "split", "join", "acknowledge",
]  # fmt: skip


class IncidentDoing(BaseModel):
    """What an operator does to an incident."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[int, Field(ge=0, description="of the incident that was seen")]
    by: By
    text: Annotated[str, Field(max_length=2000, description="the status, priority, title, assignee, comment …")] = ""
    reason: Annotated[str, Field(max_length=500)] = ""
    force: Annotated[bool, Field(description="close it although alarms stand; needs a reason")] = False
    number: Annotated[int, Field(ge=0, description="of the step or the promise, from 1")] = 0
    url: Annotated[str, Field(max_length=2000)] = ""
    due_at: Annotated[AwareDatetime | None, Field(description="when a promise is due")] = None
    agencies: Annotated[list[Annotated[str, Field(max_length=80)]], Field(max_length=20)] = []
    into: Annotated[str, Field(max_length=40, description="the incident that it is merged into")] = ""
    alarms: AlarmIds = []


class IncidentMaking(BaseModel):
    """A new incident."""

    model_config = ConfigDict(extra="forbid")

    by: By
    title: Title = ""
    alarms: AlarmIds = []


def add_routes(server: FastAPI, config: Config, screen: Screen) -> None:
    keep_s = config.store.alarms_keep_s

    def agency_of(rule: str) -> str:
        return str(getattr(getattr(config.alarms, rule, None), "agency", ""))

    desk = IncidentDesk(screen.store, Clock(ZoneInfo(config.profile.timezone)), agency_of, keep_s=keep_s)

    @server.get("/api/v1/incidents", tags=["incidents"], summary="Incidents, the newest first")
    async def incidents(
        limit: Limit = 1000,
        cursor: Cursor = None,
        state: Annotated[Literal["open", "closed", "all"], Query(description="Whether work goes on")] = "open",
    ) -> Response:
        known = screen.state.incidents
        chosen = [one for one in known.values() if state == "all" or one.open is (state == "open")]
        chosen.sort(key=lambda one: (-one.opened_ms, one.id))
        if cursor is not None:
            at = next((n for n, one in enumerate(chosen) if one.id == cursor), None)
            if at is None:
                raise Problem(422, "A parameter cannot be used", f"cursor: {cursor!r} is not in this list any more")
            chosen = chosen[at + 1 :]
        following = chosen[limit - 1].id if len(chosen) > limit else None
        inside = _alarms_of(screen)
        listed = [incident_json(one, inside.get(one.id, ())) for one in chosen[:limit]]
        return json_answer({"as_of": rfc3339(now_ms()), "incidents": listed, "next": following})

    @server.get("/api/v1/incidents/{incident_id}", tags=["incidents"], summary="One incident with what is in it")
    async def incident(
        incident_id: IncidentId,
        limit: Annotated[int, Query(ge=0, le=2000, description="Alarms, newest rise first")] = 200,
        timeline: Annotated[int, Query(ge=0, le=1000, description="Lines of the timeline, newest first")] = 200,
    ) -> Response:
        found = screen.state.incidents.get(incident_id)
        if found is None or timeline:
            found = await _ask(lambda: screen.store.incident(incident_id))
        if found is None:
            raise _unknown(incident_id)
        names = names_of(incident_id, screen.state.incidents)
        members = sorted(
            (a for a in screen.state.alarms.values() if a.incident in names), key=lambda a: (-a.raised_ms, a.id)
        )
        body = incident_json(found, members)
        body["known"] = len(members)
        body["alarms"] = [alarm_json(a) for a in members[:limit]]
        body["known_cases"] = [case_json(c) for key in found.cases if (c := screen.state.picture.cases.by_key.get(key))]
        ids = {a.id for a in members}
        body["timeline"] = await _ask(lambda: _timeline(screen.store, names, ids, timeline)) if timeline else []
        return json_answer({"as_of": rfc3339(now_ms()), **body})

    @server.post("/api/v1/incidents", tags=["incidents"], summary="A new incident")
    async def create(request: Request, making: Annotated[IncidentMaking, Body()]) -> Response:
        _only_json(request)
        act = IncidentAct(deed=Deed.OPEN, at_ms=now_ms(), by=making.by, text=making.title.strip())
        taken = set(screen.state.incidents)
        made = await _try("", lambda: desk.create(making.alarms, act, taken))
        return json_answer({"as_of": rfc3339(now_ms()), **incident_json(made, ())})

    @server.post(
        "/api/v1/incidents/{incident_id}/{verb}", tags=["incidents"], summary="What an operator does to an incident"
    )
    async def do(
        request: Request, incident_id: IncidentId, verb: Verb, doing: Annotated[IncidentDoing, Body()]
    ) -> Response:
        _only_json(request)
        now, by = now_ms(), doing.by
        act = IncidentAct(
            deed=_DEEDS[verb],
            at_ms=now,
            by=by,
            text=doing.text.strip(),
            reason=doing.reason.strip(),
            force=doing.force,
            number=doing.number,
            url=doing.url.strip(),
            due_ms=None if doing.due_at is None else int(doing.due_at.timestamp() * 1000),
            agencies=tuple(doing.agencies),
        )
        if verb == "title" and len(act.text) > 200:
            raise Problem(422, "A parameter cannot be used", "text: a title has 200 letters at most")
        state = screen.state
        names, taken = names_of(incident_id, state.incidents), set(state.incidents)
        seen = doing.version
        more: Json = {}
        if verb == "acknowledge":
            waiting = [a for a in state.alarms.values() if a.incident in names and a.state in UNSEEN]
            tick = Act(action=Action.ACKNOWLEDGE, at_ms=now, by=by)
            found = await _ask(lambda: screen.store.incident(incident_id))
            if found is None:
                raise _unknown(incident_id)
            after = found
            more["acknowledged"] = await _try(incident_id, lambda: desk.acknowledge(waiting, tick))
        elif verb == "merge":
            after = await _try(incident_id, lambda: desk.merge(incident_id, seen, doing.into, act))
        elif verb == "split":
            after, new = await _try(incident_id, lambda: desk.split(incident_id, seen, doing.alarms, act, names, taken))
            more["new"] = incident_json(new, ())
        elif verb == "join":
            after = await _try(incident_id, lambda: desk.join(incident_id, seen, doing.alarms, act, names))
        else:
            after = await _try(incident_id, lambda: desk.do(incident_id, seen, act, names))
        members = [a for a in state.alarms.values() if a.incident in names]
        return json_answer({"as_of": rfc3339(now_ms()), **incident_json(after, members), **more})


def _alarms_of(screen: Screen) -> Mapping[str, Sequence[Alarm]]:
    """All that is known of each incident's alarms, closed ones too."""
    inside: dict[str, list[Alarm]] = {}
    homes: dict[str, str] = {}
    for alarm in screen.state.alarms.values():
        name = alarm.incident
        if name is None:
            continue
        if name not in homes:
            found = home(name, screen.state.incidents)
            homes[name] = name if found is None else found.id
        inside.setdefault(homes[name], []).append(alarm)
    return inside


def _timeline(store: Store, names: frozenset[str], alarms: Set[str], limit: int) -> list[Json]:
    return [line_json(one) for one in timeline_of(store.newest_entries(names), store.newest_transitions(alarms), limit)]


async def _try(incident_id: str, deed: Callable[[], T]) -> T:
    """What a deed gives, done in a thread; what refused it as a problem."""
    try:
        return await _ask(deed)
    except UnknownIncident as unknown:
        raise _unknown(str(unknown) or incident_id) from None
    except IncidentChanged as changed:
        raise Problem(409, "The incident has changed meanwhile", f"{changed}; look at it again") from None
    except NotAllowed as refused:
        raise Problem(422, "This cannot be done to the incident", str(refused)) from None


async def _ask(question: Callable[[], T]) -> T:
    try:
        return await run_in_threadpool(question)
    except StoreDown as error:
        raise Problem(503, "The store does not answer", str(error)) from None


def _only_json(request: Request) -> None:
    # A page of another site can send anything but this type without being asked about it first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(415, "Wrong content type", "send application/json")


def _unknown(incident_id: str) -> Problem:
    return Problem(404, "No such incident", f"{incident_id!r} is not known")


def incident_json(one: Incident, alarms: Iterable[Alarm]) -> Json:
    """An incident; `alarms`: those of it that are known."""
    known = list(alarms)
    return {
        "id": one.id,
        "version": one.version,
        "rule": one.rule or None,
        "common": one.common,
        "status": one.status,
        "priority": one.priority,
        "title": one.title or None,
        "opened_at": rfc3339(one.opened_ms),
        "updated_at": rfc3339(one.updated_ms),
        "last_at": rfc3339(one.last_ms),
        "closed_at": _at(one.closed_ms),
        "first_alarm": one.first_alarm or None,
        "joined": one.alarms,
        "standing": sum(a.active for a in known),
        "unacknowledged": sum(a.state in UNSEEN for a in known),
        "cases": one.cases,
        "agencies": one.agencies,
        "lat": one.lat,
        "lon": one.lon,
        "district": one.district,
        "mahalla": one.mahalla,
        "route": one.route,
        "assignee": one.assignee or None,
        "comments": one.comments,
        "checklist": [
            {"text": step.text, "done_at": _at(step.done_ms), "done_by": step.done_by or None} for step in one.checklist
        ],
        "attachments": [
            {"url": link.url, "title": link.title, "by": link.by, "at": rfc3339(link.at_ms)} for link in one.attachments
        ],
        "promises": [
            {"text": p.text, "by": p.by, "due_at": rfc3339(p.due_ms), "kept_at": _at(p.kept_ms)} for p in one.promises
        ],
        "merged_into": one.merged_into,
    }


def line_json(line: Line) -> Json:
    """A line of the timeline: a `deed` of the incident, or an `action` of some of its alarms."""
    body: Json = {"at": rfc3339(line.at_ms), "since": rfc3339(line.since_ms)}
    if (entry := line.entry) is not None:
        body |= {
            "incident": entry.incident,
            "version": entry.version,
            "deed": entry.deed,
            "by": entry.by or None,
            "text": entry.text or None,
            "values": entry.values,
        }
    if (one := line.transition) is not None:
        body |= {"alarms": line.alarms, "alarm": one.alarm, "rule": one.rule, "source": one.source_id}
        body |= {name: value for name, value in transition_json(one).items() if name != "at"}
    return body


def case_json(case: Case) -> Json:
    """A case as an incident shows it."""
    return {
        "source": case.source,
        "id": case.case_id,
        "category": case.category,
        "status": case.status,
        "title": case.title,
        "severity": case.severity,
        "agency": case.agency,
        "measured_at": rfc3339(case.measured_ms),
        "due_at": _at(case.due_ms),
        "lat": case.lat,
        "lon": case.lon,
        "district": case.district,
        "mahalla": case.mahalla,
    }


def _at(ms: int | None) -> str | None:
    return None if not ms else rfc3339(ms)
