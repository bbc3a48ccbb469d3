"""What the next shift must know: a summary of alarms, incidents, promises, feeds and load, as of one moment.

What ISA-18.2 calls shelved, suppressed by design and out of service stands in it one by one: who has just come cannot
see it anywhere else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from analysis.alarm_load import STALE_AFTER_MS
from analysis.alarm_load_report import LoadReport
from city.alarms import Alarm, AlarmPriority, AlarmState, Hold
from city.incidents import Incident
from city.shifts import (
    AlarmLine,
    DuePromise,
    FeedTrouble,
    HeldAlarm,
    IncidentLine,
    OpenAlarms,
    ShiftLoad,
    Summary,
)

# A record is kept for ever and read by a person: nobody reads more of one kind.
LINES_MAX = 60
_ANNOUNCED = tuple(priority for priority in AlarmPriority if priority is not AlarmPriority.JOURNAL)
_RANK = {priority: rank for rank, priority in enumerate(AlarmPriority)}
_NOT_ACKNOWLEDGED = frozenset(
    {AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED_UNACKNOWLEDGED, AlarmState.LATCHED_UNACKNOWLEDGED}
)
_FOR_EVER_MS = 1 << 62


def summarise(
    *,
    since_ms: int,
    now_ms: int,
    alarms: Iterable[Alarm],
    incidents: Iterable[Incident],
    feeds: Sequence[FeedTrouble],
    load: LoadReport | None,
) -> Summary:
    """The summary of a shift that began at `since_ms`; `load` is of the same time."""
    known = [alarm for alarm in alarms if alarm.priority is not AlarmPriority.JOURNAL]
    told = [one for one in incidents if one.merged_into is None]
    held, stale = _held(known), _stale(known, now_ms)
    concerned, promises = _incidents(told, since_ms), _promises(told)
    return Summary(
        since_ms=since_ms,
        at_ms=now_ms,
        open=_open(known),
        held=held[:LINES_MAX],
        stale=stale[:LINES_MAX],
        incidents=concerned[:LINES_MAX],
        promises=promises[:LINES_MAX],
        feeds=tuple(feeds),
        load=None if load is None else _load(load),
        totals={
            "held": len(held),
            "stale": len(stale),
            "incidents": len(concerned),
            "promises": len(promises),
        },
    )


def _open(alarms: Sequence[Alarm]) -> tuple[OpenAlarms, ...]:
    found = []
    for priority in _ANNOUNCED:
        standing = [alarm for alarm in alarms if alarm.announced and alarm.priority is priority]
        waiting = [alarm for alarm in standing if alarm.state in _NOT_ACKNOWLEDGED]
        oldest = min(waiting, key=lambda alarm: (alarm.raised_ms, alarm.id), default=None)
        found.append(
            OpenAlarms(
                priority=priority,
                open=len(standing),
                unacknowledged=len(waiting),
                oldest=None if oldest is None else _line(oldest, oldest.raised_ms),
            )
        )
    return tuple(found)


def _held(alarms: Sequence[Alarm]) -> tuple[HeldAlarm, ...]:
    found = []
    for alarm in alarms:
        # By its state alone: one that is shelved and suppressed is told once, as the operator sees it.
        hold: Hold | None = None
        match alarm.state:
            case AlarmState.SHELVED:
                hold = alarm.shelved
            case AlarmState.SUPPRESSED:
                hold = alarm.suppressed
            case AlarmState.OUT_OF_SERVICE:
                hold = alarm.out_of_service
        if hold is not None:
            found.append(
                HeldAlarm(
                    alarm=_line(alarm, hold.since_ms),
                    how=alarm.state.value,
                    until_ms=hold.until_ms,
                    by=hold.by,
                    reason=hold.reason,
                )
            )
    # What operators decided before what Markaz holds back by itself, which in a flood is much.
    return tuple(
        sorted(found, key=lambda one: (one.how == "suppressed", one.until_ms or _FOR_EVER_MS, one.alarm.alarm))
    )


def _stale(alarms: Sequence[Alarm], now_ms: int) -> tuple[AlarmLine, ...]:
    found = [
        _line(alarm, alarm.raised_ms)
        for alarm in alarms
        if alarm.announced and alarm.active and now_ms - alarm.raised_ms > STALE_AFTER_MS
    ]
    return tuple(sorted(found, key=lambda line: (line.since_ms, line.alarm)))


def _line(alarm: Alarm, since_ms: int) -> AlarmLine:
    return AlarmLine(
        alarm=alarm.id,
        rule=alarm.rule,
        priority=alarm.priority,
        source_kind=alarm.source_kind,
        source_id=alarm.source_id,
        since_ms=since_ms,
        district=alarm.district,
        route=alarm.route,
        values=alarm.values,
    )


def _incidents(incidents: Sequence[Incident], since_ms: int) -> tuple[IncidentLine, ...]:
    """Those that are open, and those that were closed in the shift."""
    concerned = [one for one in incidents if one.open or (one.closed_ms or 0) >= since_ms]
    concerned.sort(key=lambda one: (not one.open, _RANK[one.priority], -one.opened_ms, one.id))
    return tuple(
        IncidentLine(
            id=one.id,
            rule=one.rule,
            title=one.title,
            common=one.common,
            district=one.district,
            mahalla=one.mahalla,
            status=one.status,
            priority=one.priority,
            assignee=one.assignee,
            alarms=one.alarms,
            opened_ms=one.opened_ms,
            closed_ms=one.closed_ms,
        )
        for one in concerned
    )


def _promises(incidents: Sequence[Incident]) -> tuple[DuePromise, ...]:
    """Those that are not kept, of closed incidents too: a promise does not end with the incident."""
    found = [
        DuePromise(incident=one.id, text=promise.text, by=promise.by, due_ms=promise.due_ms)
        for one in incidents
        for promise in one.promises
        if promise.kept_ms is None
    ]
    return tuple(sorted(found, key=lambda promise: (promise.due_ms, promise.incident)))


def _load(load: LoadReport) -> ShiftLoad:
    return ShiftLoad(
        announced=load.announced,
        mean_per_10min=load.mean_per_10min,
        peak_10min=load.peak_10min,
        share_over_10=load.share_over_10,
        flood_s=load.flood_s,
    )
