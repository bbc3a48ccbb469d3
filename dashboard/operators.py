"""What operators do to alarms: checked by the standard's states, and never over somebody else's change."""

from __future__ import annotations

from analysis.alarm_states import apply, transition_of
from city.alarm_store import AlarmCommit, Changed
from city.alarms import Act, Alarm
from city.store import Store

# The watching process changes alarms too; each try is a round trip later.
_TRIES = 20


class UnknownAlarm(Exception):
    """There is no such alarm (any more)."""


class ChangedMeanwhile(Exception):
    """The alarm is not the one that the operator saw."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(f"the alarm has changed: it is {alarm.state} now, version {alarm.version}")
        self.alarm = alarm


def operate(store: Store, alarm_id: str, version: int, act: Act, *, keep_s: float) -> Alarm:
    """The alarm after an operator's act on the version that he saw.

    Raises UnknownAlarm, ChangedMeanwhile, analysis.alarm_states.NotAllowed, StoreDown.
    """
    alarm: Alarm | None = None
    for _ in range(_TRIES):
        alarm = store.alarm(alarm_id)
        if alarm is None:
            raise UnknownAlarm(alarm_id)
        if alarm.version != version:
            raise ChangedMeanwhile(alarm)
        after = apply(alarm, act)
        if after is alarm:
            return alarm
        # Numbers may go on without a new version: then it is written onto the newer ones.
        commit = AlarmCommit(alarms=[Changed(alarm, after)], transitions=[transition_of(alarm, after, act)])
        if not store.commit_alarms(commit, keep_s=keep_s):
            return after
    assert alarm is not None
    raise ChangedMeanwhile(alarm)
