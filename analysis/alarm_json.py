"""An alarm as others read it, in the API and on its topic."""

from __future__ import annotations

from city.alarms import Alarm, Hold, Transition
from city.rfc3339 import rfc3339

Told = dict[str, object]


def alarm_json(alarm: Alarm) -> Told:
    """An alarm with its times as RFC 3339; None where nothing is known. `docs/contracts.md` lists the fields."""
    return {
        "id": alarm.id,
        "version": alarm.version,
        "rule": alarm.rule,
        "priority": alarm.priority,
        "state": alarm.state,
        "active": alarm.active,
        "source": {"kind": alarm.source_kind, "id": alarm.source_id},
        "raised_at": _at(alarm.raised_ms),
        "updated_at": _at(alarm.updated_ms),
        "cleared_at": _at(alarm.cleared_ms),
        "acknowledged_at": _at(alarm.acknowledged_ms),
        "acknowledged_by": alarm.acknowledged_by or None,
        "shelved": _hold(alarm.shelved),
        "suppressed": _hold(alarm.suppressed),
        "out_of_service": _hold(alarm.out_of_service),
        "occurrences": alarm.occurrences,
        "assignee": alarm.assignee or None,
        "comments": alarm.comments,
        "incident": alarm.incident,
        "lat": alarm.lat,
        "lon": alarm.lon,
        "district": alarm.district,
        "mahalla": alarm.mahalla,
        "route": alarm.route,
        "values": alarm.values,
    }


def transition_json(one: Transition) -> Told:
    """One line of an alarm's history."""
    return {
        "at": rfc3339(one.at_ms),
        "action": one.action,
        "before": one.before,
        "after": one.after,
        "version": one.version,
        "by": one.by or None,
        "reason": one.reason or None,
        "until": _at(one.until_ms),
        "text": one.text or None,
        "values": one.values,
    }


def _hold(hold: Hold | None) -> Told | None:
    if hold is None:
        return None
    return {"since": rfc3339(hold.since_ms), "until": _at(hold.until_ms), "by": hold.by or None, "reason": hold.reason}


def _at(ms: int | None) -> str | None:
    return None if not ms else rfc3339(ms)
