"""How a systemic problem is followed: what may be done in which state, and what it is afterwards.

    new ──accept──▶ accepted ──start──▶ in_work ──done──▶ done ──close──▶ closed
     │                 ├─────────────done───────────────▶   │                │
     └────reject───────┴──reject────────┘ ▶ rejected      reopen, by a person or by itself ──▶ accepted
                                              └──reopen──▶ new

What comes back is taken on anew: who answers for it and by when is said again, and it is measured from that day on.

Pure: who is allowed to write over which version is `dashboard.systemic_desk`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from analysis.alarm_states import NotAllowed
from city.systemic import FollowDeed, Followed, FollowEntry, FollowState, Measure, Problem

S = FollowState
D = FollowDeed

ALLOWED: Mapping[FollowState, Mapping[FollowDeed, FollowState]] = {
    S.NEW: {D.ACCEPT: S.ACCEPTED, D.REJECT: S.REJECTED},
    S.ACCEPTED: {D.START: S.IN_WORK, D.DONE: S.DONE, D.REJECT: S.REJECTED, D.ASSIGN: S.ACCEPTED},
    S.IN_WORK: {D.DONE: S.DONE, D.REJECT: S.REJECTED, D.ASSIGN: S.IN_WORK},
    S.DONE: {D.CLOSE: S.CLOSED, D.REOPEN: S.ACCEPTED},
    S.CLOSED: {D.REOPEN: S.ACCEPTED},
    S.REJECTED: {D.REOPEN: S.NEW},
}
# It only adds: it is done whatever others did meanwhile.
BLIND = frozenset({D.COMMENT})


class FollowAct(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What somebody does about a problem."""

    deed: FollowDeed
    at_ms: int
    by: str = ""  # empty: Markaz itself
    text: str = ""  # a comment, what was done, or the reason
    owner: str = ""
    due_ms: int | None = None
    measure: Measure | None = None  # as it stands at the moment of the deed


def begin(problem: Problem, at_ms: int) -> Followed:
    """A problem that nobody has looked at, as it is found."""
    return Followed(problem=problem, version=0, state=S.NEW, since_ms=at_ms, updated_ms=at_ms)


def follow(before: Followed, act: FollowAct) -> tuple[Followed, FollowEntry]:
    """The problem after a deed, one version on, and the line of its history. Raises NotAllowed."""
    state = before.state if act.deed is D.COMMENT else ALLOWED[before.state].get(act.deed)
    if state is None:
        able = ", ".join([*ALLOWED[before.state], D.COMMENT])
        raise NotAllowed(f"the problem is {before.state}: what can be done is {able}")
    after = _DEEDS[act.deed](before, act)
    after = replace(
        after,
        state=state,
        version=before.version + 1,
        since_ms=before.since_ms if state is before.state else act.at_ms,
        updated_ms=max(before.updated_ms, act.at_ms),
    )
    values: dict[str, float | str] = {}
    if act.deed in (D.ACCEPT, D.ASSIGN) or (act.deed is D.REOPEN and act.by and after.owner):
        values = {"owner": after.owner, **({} if after.due_ms is None else {"due_ms": after.due_ms})}
    if act.deed in (D.CLOSE, D.REOPEN) and act.measure is not None and act.measure.ratio is not None:
        values |= {"ratio": act.measure.ratio, "before": act.measure.before, "after": act.measure.after}
    entry = FollowEntry(
        problem=before.id,
        version=after.version,
        deed=act.deed,
        state=state,
        at_ms=act.at_ms,
        by=act.by,
        text=act.text,
        values=values,
    )
    return after, entry


def returned(one: Followed, now: Measure, at_ms: int) -> FollowAct | None:
    """What Markaz itself does when a problem that was mended is there again; None where it is not."""
    if one.state not in (S.DONE, S.CLOSED) or not now.returned:
        return None
    return FollowAct(deed=D.REOPEN, at_ms=at_ms, measure=now)


def _accept(before: Followed, act: FollowAct) -> Followed:
    if not act.owner:
        raise NotAllowed("a problem that is accepted has an owner: say who")
    if act.due_ms is None or act.due_ms <= act.at_ms:
        raise NotAllowed("say by when it is to be better: a day in the future")
    return replace(
        before, owner=act.owner, due_ms=act.due_ms, accepted_ms=act.at_ms, done_ms=None, reason="", measure=None
    )


def _assign(before: Followed, act: FollowAct) -> Followed:
    if not act.owner and act.due_ms is None:
        raise NotAllowed("say the new owner, the new day, or both")
    if act.due_ms is not None and act.due_ms <= act.at_ms:
        raise NotAllowed("the new day is in the past")
    return replace(before, owner=act.owner or before.owner, due_ms=act.due_ms or before.due_ms)


def _start(before: Followed, act: FollowAct) -> Followed:
    del act
    return before


def _done(before: Followed, act: FollowAct) -> Followed:
    if not act.text:
        raise NotAllowed("say in a line what was done: whoever sees it return must know")
    return replace(before, done_ms=act.at_ms)


def _close(before: Followed, act: FollowAct) -> Followed:
    measured = act.measure
    if (measured is None or not measured.dropped) and not act.text:
        raise NotAllowed("the alarms have not dropped measurably since it was done: to close it all the same say why")
    return replace(before, reason=act.text, measure=measured)


def _reject(before: Followed, act: FollowAct) -> Followed:
    if not act.text:
        raise NotAllowed("a problem is rejected with a reason")
    return replace(before, reason=act.text)


def _reopen(before: Followed, act: FollowAct) -> Followed:
    if act.by and not act.text:
        raise NotAllowed("say why it is opened again")
    again = replace(before, done_ms=None, reason=act.text, reopened=before.reopened + 1)
    if before.state is S.REJECTED:  # to be judged as if it were found now
        return replace(again, owner="", due_ms=None, accepted_ms=None, measure=None)
    again = replace(again, accepted_ms=act.at_ms, measure=act.measure or before.measure)
    if act.by:
        return replace(_accept(again, act), reason=act.text, measure=again.measure)
    # By itself: whoever had it looks first, until somebody says who does it and by when.
    return replace(again, due_ms=None)


def _comment(before: Followed, act: FollowAct) -> Followed:
    if not act.text:
        raise NotAllowed("the comment is empty")
    return replace(before, comments=before.comments + 1)


_DEEDS: Mapping[FollowDeed, Callable[[Followed, FollowAct], Followed]] = {
    D.ACCEPT: _accept,
    D.ASSIGN: _assign,
    D.START: _start,
    D.DONE: _done,
    D.CLOSE: _close,
    D.REJECT: _reject,
    D.REOPEN: _reopen,
    D.COMMENT: _comment,
}
