"""What operators do to incidents: an incident and a deed → the incident afterwards and the line of its timeline.

Pure: who may do it to which version, and what is written together, is `dashboard.incident_deeds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from analysis.alarm_states import NotAllowed
from city.alarms import Alarm, AlarmPriority
from city.incidents import Attachment, Deed, Incident, IncidentEntry, IncidentStatus, Promise

T = TypeVar("T")

# What a person can still read, and a record of some ten kilobytes at most.
ATTACHMENTS_MAX = 100
PROMISES_MAX = 100
# A later one is a slip of the hand: a promise is about what is open now.
PROMISE_AHEAD_MAX_MS = 366 * 86_400_000
_CASES_MAX = 500
_RANK = {priority: rank for rank, priority in enumerate(AlarmPriority)}
# They add to what there is: they mean the same whatever joined since the operator looked.
BLIND = frozenset({Deed.COMMENT, Deed.ATTACH, Deed.CHECK, Deed.UNCHECK, Deed.ASSIGN, Deed.PROMISE, Deed.KEEP_PROMISE})
# What is written about an incident after its end.
_AFTERWARDS = frozenset({Deed.STATUS, Deed.COMMENT, Deed.ATTACH, Deed.KEEP_PROMISE})


class IncidentAct(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an operator does to an incident."""

    deed: Deed
    at_ms: int
    by: str
    text: str = ""  # the new status, priority or title, who is assigned, the comment, the promise, a link's title
    reason: str = ""
    force: bool = False  # close it although alarms stand
    number: int = 0  # of a step or a promise, from 1
    url: str = ""
    due_ms: int | None = None
    agencies: tuple[str, ...] = ()


Values = dict[str, float | str]
Result = tuple[Incident, str, Values]  # the incident, and its line's text and values


def apply_deed(before: Incident, act: IncidentAct, *, standing: int = 0) -> tuple[Incident, IncidentEntry | None]:
    """The incident after a deed and its line; the same incident and None where it changes nothing.

    `standing`: how many of its alarms stand. Raises NotAllowed.
    """
    if not before.open and act.deed not in _AFTERWARDS:
        raise NotAllowed("the incident is closed: open it again first")
    after, text, values = _DEEDS[act.deed](before, act, standing)
    if after is before:
        return before, None
    return _signed(after, act, text, values)


def merge(one: Incident, into: Incident, act: IncidentAct) -> tuple[Incident, Incident, list[IncidentEntry]]:
    """Both after `one` went into the other: it is closed and points on, what it has counts there. Raises NotAllowed."""
    if one.id == into.id:
        raise NotAllowed("an incident cannot be merged into itself")
    for each in (one, into):
        if not each.open:
            raise NotAllowed(f"incident {each.id} is closed: only open ones are merged")
    gone = replace(one, status=IncidentStatus.CLOSED, closed_ms=act.at_ms, merged_into=into.id)
    whole = replace(
        into,
        alarms=into.alarms + one.alarms,
        cases=_together(into.cases, one.cases)[-_CASES_MAX:],
        agencies=_together(into.agencies, one.agencies),
        priority=_most_urgent([into.priority, one.priority]),
        last_ms=max(into.last_ms, one.last_ms),
        attachments=(into.attachments + one.attachments)[:ATTACHMENTS_MAX],
        # What was promised there is still owed.
        promises=(into.promises + tuple(p for p in one.promises if p.kept_ms is None))[:PROMISES_MAX],
    )
    gone, said = _signed(gone, act, into.id, {"into": into.id})
    whole, heard = _signed(whole, act, one.id, {"from": one.id, "alarms": one.alarms, "cases": len(one.cases)})
    return gone, whole, [said, heard]


def leave(before: Incident, alarms: int, to: str, act: IncidentAct) -> tuple[Incident, IncidentEntry]:
    """The incident without `alarms` of its alarms, which went to the incident `to`."""
    after = replace(before, alarms=max(0, before.alarms - alarms))
    return _signed(after, _as(act, Deed.LEAVE), to, {"alarms": alarms})


def join(
    before: Incident, alarms: Sequence[Alarm], agencies: Iterable[str], act: IncidentAct
) -> tuple[Incident, IncidentEntry]:
    """The incident with these alarms too; `agencies`: of their rules. Raises NotAllowed."""
    if not before.open:
        raise NotAllowed("the incident is closed: open it again first")
    after = replace(
        before,
        alarms=before.alarms + len(alarms),
        agencies=_together(before.agencies, [one for one in agencies if one]),
        priority=_most_urgent([before.priority, *(one.priority for one in alarms)]),
        last_ms=max(before.last_ms, *(one.raised_ms for one in alarms)),
        first_alarm=before.first_alarm or _first_out(alarms).id,
    )
    return _signed(after, _as(act, Deed.JOIN), "", {"alarms": len(alarms)})


def begin(
    incident_id: str, alarms: Sequence[Alarm], agencies: Iterable[str], act: IncidentAct, *, out_of: str = ""
) -> tuple[Incident, IncidentEntry]:
    """A new incident that an operator makes, of alarms, or of a title alone; `out_of`: the one that was split."""
    if not alarms and not act.text:
        raise NotAllowed("an incident needs alarms or a title")
    first = _first_out(alarms) if alarms else None
    made = Incident(
        id=incident_id,
        opened_ms=act.at_ms,
        updated_ms=act.at_ms,
        last_ms=max([act.at_ms, *(one.raised_ms for one in alarms)]),
        title=act.text,
        priority=_most_urgent([AlarmPriority.LOW, *(one.priority for one in alarms)]),
        first_alarm=first.id if first else "",
        alarms=len(alarms),
        agencies=_together((), [one for one in agencies if one]),
        lat=first.lat if first else None,
        lon=first.lon if first else None,
        district=first.district if first else None,
        mahalla=first.mahalla if first else None,
        route=first.route if first else None,
        version=0,
    )
    values: Values = {"alarms": len(alarms)}
    if out_of:
        values["from"] = out_of
    return _signed(made, _as(act, Deed.OPEN), out_of, values)


# --- one deed each ----------------------------------------------------------------------------------


def _status(before: Incident, act: IncidentAct, standing: int) -> Result:
    if before.merged_into is not None:
        raise NotAllowed(f"the incident was merged into {before.merged_into}: work goes on there")
    try:
        status = IncidentStatus(act.text)
    except ValueError:
        raise NotAllowed(f"a status is one of {', '.join(IncidentStatus)}") from None
    if status is before.status:
        return before, "", {}
    closes = status is IncidentStatus.CLOSED
    if closes and standing and not (act.force and act.reason):
        raise NotAllowed(f"{standing} of its alarms still stand: to close it all the same give `force` and a reason")
    after = replace(before, status=status, closed_ms=act.at_ms if closes else None)
    values: Values = {"before": before.status.value}
    if act.reason:
        values["reason"] = act.reason
    if closes and standing:
        values["standing"] = standing
    return after, status.value, values


def _priority(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    allowed = [one for one in AlarmPriority if one is not AlarmPriority.JOURNAL]
    if act.text not in allowed:
        raise NotAllowed(f"a priority is one of {', '.join(allowed)}")
    priority = AlarmPriority(act.text)
    if priority is before.priority:
        return before, "", {}
    return replace(before, priority=priority), priority.value, {"before": before.priority.value}


def _title(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    return (before if act.text == before.title else replace(before, title=act.text)), act.text, {}


def _assign(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    return (before if act.text == before.assignee else replace(before, assignee=act.text)), act.text, {}


def _agencies(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    agencies = _together((), [one.strip() for one in act.agencies if one.strip()])
    return (before if agencies == before.agencies else replace(before, agencies=agencies)), ", ".join(agencies), {}


def _comment(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    if not act.text:
        raise NotAllowed("the comment is empty")
    return replace(before, comments=before.comments + 1), act.text, {}


def _check(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    done = act.deed is Deed.CHECK
    if not 1 <= act.number <= len(before.checklist):
        raise NotAllowed(f"the checklist has {len(before.checklist)} steps, there is no step {act.number}")
    step = before.checklist[act.number - 1]
    if (step.done_ms is not None) is done:
        return before, "", {}
    step = replace(step, done_ms=act.at_ms if done else None, done_by=act.by if done else "")
    return replace(before, checklist=_put(before.checklist, act.number, step)), str(act.number), {}


def _attach(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    if not is_web_address(act.url):
        raise NotAllowed("what is attached is an http or https address")
    if len(before.attachments) >= ATTACHMENTS_MAX:
        raise NotAllowed(f"{ATTACHMENTS_MAX} links are attached already")
    link = Attachment(url=act.url, title=act.text or act.url, by=act.by, at_ms=act.at_ms)
    return replace(before, attachments=(*before.attachments, link)), link.title, {"url": act.url}


def _promise(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    if not act.text:
        raise NotAllowed("the promise is empty")
    if act.due_ms is None or act.due_ms <= act.at_ms:
        raise NotAllowed("a promise needs a time in the future by which it is kept")
    if act.due_ms - act.at_ms > PROMISE_AHEAD_MAX_MS:
        raise NotAllowed("a promise is due within a year")
    if len(before.promises) >= PROMISES_MAX:
        raise NotAllowed(f"{PROMISES_MAX} promises are noted already")
    promise = Promise(text=act.text, by=act.by, due_ms=act.due_ms)
    return replace(before, promises=(*before.promises, promise)), act.text, {"due_ms": act.due_ms}


def _keep_promise(before: Incident, act: IncidentAct, standing: int) -> Result:
    del standing
    if not 1 <= act.number <= len(before.promises):
        raise NotAllowed(f"there are {len(before.promises)} promises, there is no promise {act.number}")
    promise = before.promises[act.number - 1]
    if promise.kept_ms is not None:
        return before, "", {}
    kept = replace(promise, kept_ms=act.at_ms)
    after = replace(before, promises=_put(before.promises, act.number, kept))
    return after, promise.text, {"number": act.number}


_DEEDS: Mapping[Deed, Callable[[Incident, IncidentAct, int], Result]] = {
    Deed.STATUS: _status,
    Deed.PRIORITY: _priority,
    Deed.TITLE: _title,
    Deed.ASSIGN: _assign,
    Deed.AGENCIES: _agencies,
    Deed.COMMENT: _comment,
    Deed.CHECK: _check,
    Deed.UNCHECK: _check,
    Deed.ATTACH: _attach,
    Deed.PROMISE: _promise,
    Deed.KEEP_PROMISE: _keep_promise,
}


def is_web_address(text: str) -> bool:
    """Whether a text is an http or https URL that a page may link to."""
    if not text.isprintable() or any(letter.isspace() for letter in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False


def _signed(after: Incident, act: IncidentAct, text: str, values: Values) -> tuple[Incident, IncidentEntry]:
    after = replace(after, version=after.version + 1, updated_ms=max(after.updated_ms, act.at_ms))
    entry = IncidentEntry(
        incident=after.id, version=after.version, deed=act.deed, at_ms=act.at_ms, by=act.by, text=text, values=values
    )
    return after, entry


def _as(act: IncidentAct, deed: Deed) -> IncidentAct:
    return replace(act, deed=deed)


def _first_out(alarms: Sequence[Alarm]) -> Alarm:
    return min(alarms, key=lambda one: (one.raised_ms, one.id))


def _most_urgent(priorities: Iterable[AlarmPriority]) -> AlarmPriority:
    return min(priorities, key=_RANK.__getitem__)


def _together(some: Sequence[str], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*some, *more]))


def _put(items: tuple[T, ...], number: int, item: T) -> tuple[T, ...]:
    return (*items[: number - 1], item, *items[number:])
