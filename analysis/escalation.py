"""The ladder: who is told when nobody acknowledges an alarm in time. Pure; each step is due once.

An alarm waits from its announcement until somebody acknowledges, holds or resets it, or it is over. A return to normal
that nobody acknowledged does not begin the count anew: an alarm that comes and goes escalates like one that stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from city.alarms import Alarm, AlarmPriority, AlarmState, Transition
from city.notices import EscalationStep, Notice

# Unacknowledged, and wants somebody: what has returned by itself waits in the list, and calls nobody.
_CALLING = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.LATCHED_UNACKNOWLEDGED})
_UNACKNOWLEDGED = _CALLING | {AlarmState.RETURNED_UNACKNOWLEDGED}

# One rung for one receiver: (seconds, receiver). Known by what it says, so that new settings do not repeat old steps.
Rung = tuple[float, str]


class Waiting(Struct, frozen=True, kw_only=True):
    """An alarm that nobody has acknowledged."""

    since_ms: int  # its announcement
    calling: bool = True  # False: it has returned by itself
    version: int = 0  # of the transition that was taken last
    told: tuple[Rung, ...] = ()


# By alarm id; what must outlive a restart.
Ladder = Mapping[str, Waiting]


def follow(ladder: Ladder, transition: Transition) -> Ladder:
    """The ladder after a transition; the same one where nothing changes. Taking one twice does no harm."""
    known = ladder.get(transition.alarm)
    if known is not None and transition.version <= known.version:
        return ladder
    if transition.after not in _UNACKNOWLEDGED:
        return {name: one for name, one in ladder.items() if name != transition.alarm} if known else ladder
    calling = transition.after in _CALLING
    if known is None:
        if not calling:
            return ladder
        waiting = Waiting(since_ms=transition.at_ms, version=transition.version)
    else:
        waiting = replace(known, calling=calling, version=transition.version)
    return {**ladder, transition.alarm: waiting}


def due(
    ladder: Ladder,
    alarms: Mapping[str, Alarm],
    steps: Sequence[EscalationStep],
    agencies: Mapping[str, str],
    now_ms: int,
) -> tuple[Ladder, list[Notice]]:
    """What is to be told now, in the order in which it became due, and the ladder that knows it is told.

    `alarms` are those known, by id; `agencies` who owns the alarms of a rule. One receiver is told of one alarm once
    for each time that the settings name.
    """
    found: list[tuple[int, Notice]] = []
    after = dict(ladder)
    for name, waiting in ladder.items():
        alarm = alarms.get(name)
        if alarm is None or not waiting.calling:
            continue
        for after_s, receiver in _rungs(steps, alarm, agencies.get(alarm.rule, "")):
            at_ms = waiting.since_ms + round(after_s * 1000)
            if at_ms > now_ms or (after_s, receiver) in after[name].told:
                continue
            after[name] = replace(after[name], told=(*after[name].told, (after_s, receiver)))
            found.append((at_ms, _notice(alarm, waiting, after_s, receiver, now_ms)))
    found.sort(key=lambda one: (one[0], one[1].id))
    return (after if found else ladder), [notice for _, notice in found]


def next_due_ms(
    ladder: Ladder, alarms: Mapping[str, Alarm], steps: Sequence[EscalationStep], agencies: Mapping[str, str]
) -> int | None:
    """When the next step is due, epoch ms; None where nothing waits."""
    times = [
        waiting.since_ms + round(after_s * 1000)
        for name, waiting in ladder.items()
        if waiting.calling and (alarm := alarms.get(name)) is not None
        for after_s, receiver in _rungs(steps, alarm, agencies.get(alarm.rule, ""))
        if (after_s, receiver) not in waiting.told
    ]
    return min(times, default=None)


def _rungs(steps: Iterable[EscalationStep], alarm: Alarm, agency: str) -> list[Rung]:
    if alarm.priority is AlarmPriority.JOURNAL:
        return []  # it was recorded, not announced: nobody was asked to acknowledge it
    return [
        (step.after_s, receiver)
        for step in steps
        if (not step.priorities or alarm.priority.value in step.priorities)
        and (not step.agencies or agency in step.agencies)
        for receiver in step.tell
    ]


def _notice(alarm: Alarm, waiting: Waiting, after_s: float, receiver: str, now_ms: int) -> Notice:
    return Notice(
        # By its own time, not by now: made again after a crash it is the same one.
        id=f"{alarm.id}:{waiting.since_ms}:{after_s:g}s:{receiver}",
        receiver=receiver,
        alarm=alarm,
        unacknowledged_s=(now_ms - waiting.since_ms) / 1000,
        at_ms=now_ms,
    )
