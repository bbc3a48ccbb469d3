"""The states of an alarm and what moves it from one to another, by ISA-18.2-2016, clause 5 (IEC 62682).

    normal ──rise──▶ unacknowledged ──acknowledge──▶ acknowledged ──clear──▶ normal
                        │      ▲                         │  (latched: ──clear──▶ latched_acknowledged ──reset──▶ normal)
                      clear   rise                     realarm ──▶ unacknowledged
                        ▼      │
              returned_unacknowledged ──acknowledge──▶ normal      (latched: latched_unacknowledged)

    any ──shelve, suppress, remove_from_service──▶ held; when nothing holds it any more: unacknowledged while its
    condition stands, else normal.

Pure functions: an alarm and what happens to it → the alarm afterwards. They refuse what the standard does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from city.alarms import Act, Action, Alarm, AlarmState, Hold, Transition

S = AlarmState


class NotAllowed(Exception):
    """This cannot be done to an alarm of this state; the message says why."""


def state_of(alarm: Alarm) -> AlarmState:
    """What the operator sees: the strongest hold, else the condition's own state."""
    if alarm.out_of_service is not None:
        return S.OUT_OF_SERVICE
    if alarm.suppressed is not None:
        return S.SUPPRESSED
    if alarm.shelved is not None:
        return S.SHELVED
    return alarm.condition


def apply(alarm: Alarm, act: Act) -> Alarm:
    """The alarm after `act`, one version on; the same alarm where it changes nothing. Raises NotAllowed."""
    after = _RULES[act.action](alarm, act)
    if after is alarm:
        return alarm
    held = _held(after)
    if _held(alarm) and not held:
        # Out of the hold an alarm that stands is new to the operator.
        after = replace(after, condition=S.UNACKNOWLEDGED if after.active else S.NORMAL, acknowledged_ms=None)
    return replace(after, state=state_of(after), version=alarm.version + 1, updated_ms=max(alarm.updated_ms, act.at_ms))


def transition_of(before: Alarm, after: Alarm, act: Act) -> Transition:
    """What is kept for ever of an act that changed an alarm."""
    return Transition(
        alarm=after.id,
        version=after.version,
        action=act.action,
        before=before.state,
        after=after.state,
        at_ms=act.at_ms,
        by=act.by,
        reason=act.reason,
        until_ms=act.until_ms,
        text=act.text,
        values=act.values,
        rule=after.rule,
        priority=after.priority,
        source_kind=after.source_kind,
        source_id=after.source_id,
        district=after.district,
        mahalla=after.mahalla,
        route=after.route,
    )


def _held(alarm: Alarm) -> bool:
    return alarm.shelved is not None or alarm.suppressed is not None or alarm.out_of_service is not None


# --- what the condition does ------------------------------------------------------------------------


def _rise(alarm: Alarm, act: Act) -> Alarm:
    if alarm.active:
        return alarm
    return replace(
        alarm,
        active=True,
        condition=S.UNACKNOWLEDGED,
        raised_ms=act.at_ms,
        cleared_ms=None,
        acknowledged_ms=None,
        acknowledged_by="",
        occurrences=alarm.occurrences + 1,
        values=act.values,
    )


def _clear(alarm: Alarm, act: Act) -> Alarm:
    if not alarm.active:
        return alarm
    acknowledged = alarm.condition is S.ACKNOWLEDGED
    if alarm.latching:
        condition = S.LATCHED_ACKNOWLEDGED if acknowledged else S.LATCHED_UNACKNOWLEDGED
    elif acknowledged or _held(alarm) or not alarm.wants_acknowledgement:
        condition = S.NORMAL  # who never saw it has nothing to acknowledge
    else:
        condition = S.RETURNED_UNACKNOWLEDGED
    return replace(
        alarm,
        active=False,
        condition=condition,
        cleared_ms=max(act.at_ms, alarm.raised_ms),
        values={**alarm.values, **act.values},
    )


def _realarm(alarm: Alarm, act: Act) -> Alarm:
    if alarm.condition is not S.ACKNOWLEDGED or _held(alarm):
        return alarm
    return replace(alarm, condition=S.UNACKNOWLEDGED, acknowledged_ms=None, acknowledged_by="")


# --- what the operator does -------------------------------------------------------------------------

_ACKNOWLEDGED: Mapping[AlarmState, AlarmState] = {
    S.UNACKNOWLEDGED: S.ACKNOWLEDGED,
    S.RETURNED_UNACKNOWLEDGED: S.NORMAL,
    S.LATCHED_UNACKNOWLEDGED: S.LATCHED_ACKNOWLEDGED,
}


def _acknowledge(alarm: Alarm, act: Act) -> Alarm:
    if _held(alarm):
        raise NotAllowed(f"a {alarm.state} alarm is not announced: there is nothing to acknowledge")
    after = _ACKNOWLEDGED.get(alarm.condition)
    if after is None:
        raise NotAllowed(f"the alarm is {alarm.condition}: there is nothing to acknowledge")
    return replace(alarm, condition=after, acknowledged_ms=act.at_ms, acknowledged_by=act.by)


def _reset(alarm: Alarm, act: Act) -> Alarm:
    if alarm.condition is not S.LATCHED_ACKNOWLEDGED:
        raise NotAllowed(f"the alarm is {alarm.condition}: only a latched one that is acknowledged can be reset")
    return replace(alarm, condition=S.NORMAL)


def _shelve(alarm: Alarm, act: Act) -> Alarm:
    if act.until_ms is None or act.until_ms <= act.at_ms:
        raise NotAllowed("shelving needs a time in the future at which it ends")
    if not act.reason.strip():
        raise NotAllowed("shelving needs a reason")
    return replace(alarm, shelved=Hold(since_ms=act.at_ms, by=act.by, reason=act.reason, until_ms=act.until_ms))


def _unshelve(alarm: Alarm, act: Act) -> Alarm:
    if alarm.shelved is None:
        raise NotAllowed("the alarm is not shelved")
    return replace(alarm, shelved=None)


def _suppress(alarm: Alarm, act: Act) -> Alarm:
    if alarm.suppressed is not None and alarm.suppressed.reason == act.reason:
        return alarm
    return replace(alarm, suppressed=Hold(since_ms=act.at_ms, by=act.by, reason=act.reason))


def _unsuppress(alarm: Alarm, act: Act) -> Alarm:
    return alarm if alarm.suppressed is None else replace(alarm, suppressed=None)


def _remove_from_service(alarm: Alarm, act: Act) -> Alarm:
    if alarm.out_of_service is not None:
        raise NotAllowed("the alarm is out of service already")
    if not act.reason.strip():
        raise NotAllowed("taking an alarm out of service needs a reason")
    return replace(alarm, out_of_service=Hold(since_ms=act.at_ms, by=act.by, reason=act.reason, until_ms=act.until_ms))


def _return_to_service(alarm: Alarm, act: Act) -> Alarm:
    if alarm.out_of_service is None:
        raise NotAllowed("the alarm is in service")
    return replace(alarm, out_of_service=None)


def _assign(alarm: Alarm, act: Act) -> Alarm:
    return replace(alarm, assignee=act.text)


def _comment(alarm: Alarm, act: Act) -> Alarm:
    if not act.text.strip():
        raise NotAllowed("the comment is empty")
    return replace(alarm, comments=alarm.comments + 1)


def _join(alarm: Alarm, act: Act) -> Alarm:
    return alarm if alarm.incident == (act.text or None) else replace(alarm, incident=act.text or None)


_RULES: Mapping[Action, Callable[[Alarm, Act], Alarm]] = {
    Action.RISE: _rise,
    Action.CLEAR: _clear,
    Action.REALARM: _realarm,
    Action.ACKNOWLEDGE: _acknowledge,
    Action.RESET: _reset,
    Action.SHELVE: _shelve,
    Action.UNSHELVE: _unshelve,
    Action.SUPPRESS: _suppress,
    Action.UNSUPPRESS: _unsuppress,
    Action.REMOVE_FROM_SERVICE: _remove_from_service,
    Action.RETURN_TO_SERVICE: _return_to_service,
    Action.ASSIGN: _assign,
    Action.COMMENT: _comment,
    Action.JOIN: _join,
}
