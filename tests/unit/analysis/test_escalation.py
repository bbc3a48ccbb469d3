"""The ladder as a timeline: alarms rise, nobody acknowledges, and who is told when."""

from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from analysis.alarm_states import apply
from analysis.escalation import Ladder, Waiting, due, follow, next_due_ms
from city.alarms import Act, Action, Alarm, AlarmPriority, Transition
from city.notices import EscalationStep, Notice

T0 = 1_777_870_800_000
SECOND, MINUTE = 1_000, 60_000
STEPS = (
    EscalationStep(after_s=120, tell=("duty",), priorities=("critical", "high")),
    EscalationStep(after_s=300, tell=("chief", "duty")),
    EscalationStep(after_s=60, tell=("gas",), agencies=("gas_works",)),
)
FRESH = Alarm(id="r:k", rule="r", priority=AlarmPriority.HIGH, source_kind="sensor", source_id="k")


class Shift:
    """Alarms through the ladder, second by second."""

    def __init__(self, fresh: Alarm = FRESH, agencies: dict[str, str] | None = None) -> None:
        self.alarms = {fresh.id: fresh}
        self.agencies = agencies or {}
        self.ladder: Ladder = {}
        self.transitions: list[Transition] = []
        self.told: list[tuple[float, str]] = []
        self.notices: list[Notice] = []
        self.now_ms = T0

    def act(self, action: Action, alarm_id: str = FRESH.id, **said: object) -> None:
        before = self.alarms[alarm_id]
        after = apply(before, Act(action=action, at_ms=self.now_ms, by="aziza", **said))  # type: ignore[arg-type]
        self.alarms[alarm_id] = after
        transition = Transition(
            alarm=alarm_id, version=after.version, action=action, before=before.state, after=after.state,
            at_ms=self.now_ms, rule=after.rule, priority=after.priority, source_kind="sensor", source_id="k",
        )  # fmt: skip
        self.transitions.append(transition)
        self.ladder = follow(self.ladder, transition)

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now_ms += SECOND
            self.tick()

    def tick(self) -> None:
        self.ladder, notices = due(self.ladder, self.alarms, STEPS, self.agencies, self.now_ms)
        self.notices += notices
        self.told += [((self.now_ms - T0) / 1000, one.receiver) for one in notices]


def test_each_step_is_told_once_when_its_time_comes() -> None:
    shift = Shift()
    shift.act(Action.RISE)
    shift.wait(3600)
    assert shift.told == [(120, "duty"), (300, "chief"), (300, "duty")]
    assert [one.unacknowledged_s for one in shift.notices] == [120, 300, 300]
    assert len({one.id for one in shift.notices}) == 3


def test_who_acknowledges_ends_it() -> None:
    shift = Shift()
    shift.act(Action.RISE)
    shift.wait(200)
    shift.act(Action.ACKNOWLEDGE)
    shift.wait(3600)
    assert shift.told == [(120, "duty")]
    assert shift.ladder == {}


@pytest.mark.parametrize("action", [Action.SHELVE, Action.SUPPRESS, Action.REMOVE_FROM_SERVICE])
def test_what_is_held_calls_nobody(action: Action) -> None:
    shift = Shift()
    shift.act(Action.RISE)
    shift.wait(60)
    shift.act(action, reason="works", until_ms=T0 + 10 * MINUTE)
    shift.wait(3600)
    assert shift.told == []


def test_another_announcement_begins_anew() -> None:
    shift = Shift()
    shift.act(Action.RISE)
    shift.wait(130)
    shift.act(Action.ACKNOWLEDGE)
    shift.wait(870)
    shift.act(Action.REALARM)
    shift.wait(150)
    assert shift.told == [(120, "duty"), (1120, "duty")]


def test_an_alarm_that_comes_and_goes_escalates_like_one_that_stays() -> None:
    shift = Shift()
    for _ in range(10):
        shift.act(Action.RISE)
        shift.wait(40)
        shift.act(Action.CLEAR)
        shift.wait(30)
    assert shift.told == [(141, "duty"), (300, "chief"), (300, "duty")]


def test_what_has_returned_by_itself_calls_nobody() -> None:
    shift = Shift()
    shift.act(Action.RISE)
    shift.wait(60)
    shift.act(Action.CLEAR)
    shift.wait(3600)
    assert shift.told == []


def test_a_latched_one_calls_though_it_returned() -> None:
    shift = Shift(replace(FRESH, latching=True))
    shift.act(Action.RISE)
    shift.wait(60)
    shift.act(Action.CLEAR)
    shift.wait(100)
    assert shift.told == [(120, "duty")]


def test_steps_are_by_priority_and_agency() -> None:
    low = Shift(replace(FRESH, priority=AlarmPriority.LOW))
    low.act(Action.RISE)
    low.wait(400)
    assert low.told == [(300, "chief"), (300, "duty")]
    gas = Shift(agencies={"r": "gas_works"})
    gas.act(Action.RISE)
    gas.wait(130)
    assert gas.told == [(60, "gas"), (120, "duty")]


def test_what_is_only_recorded_calls_nobody() -> None:
    shift = Shift(replace(FRESH, priority=AlarmPriority.JOURNAL))
    shift.act(Action.RISE)
    shift.wait(400)
    assert shift.told == []


def test_after_an_outage_all_that_was_missed_is_due_in_its_order() -> None:
    shift = Shift(agencies={"r": "gas_works"})
    shift.act(Action.RISE)
    shift.now_ms += 3_600_000
    shift.tick()
    shift.tick()
    assert [receiver for _, receiver in shift.told] == ["gas", "duty", "chief", "duty"]


def test_transitions_read_again_change_nothing() -> None:
    shift = Shift()
    shift.act(Action.RISE)
    shift.wait(130)
    before = shift.ladder
    for transition in shift.transitions:
        shift.ladder = follow(shift.ladder, transition)
    assert shift.ladder == before
    shift.wait(30)
    assert shift.told == [(120, "duty")]


def test_a_step_that_was_not_remembered_is_the_same_notice_again() -> None:
    """Killed between outbox and checkpoint: the outbox knows it by its id."""
    shift = Shift()
    shift.act(Action.RISE)
    forgotten = shift.ladder
    shift.wait(130)
    shift.ladder = forgotten
    shift.wait(30)
    assert shift.notices[0].id == shift.notices[1].id


def test_new_settings_do_not_repeat_old_steps() -> None:
    shift = Shift()
    shift.act(Action.RISE)
    shift.wait(130)
    steps = (EscalationStep(after_s=10, tell=("gas",)), *STEPS)
    _, notices = due(shift.ladder, shift.alarms, steps, {}, shift.now_ms)
    assert [one.receiver for one in notices] == ["gas"]


def test_the_next_time_is_known() -> None:
    shift = Shift()
    assert next_due_ms(shift.ladder, shift.alarms, STEPS, {}) is None
    shift.act(Action.RISE)
    assert next_due_ms(shift.ladder, shift.alarms, STEPS, {}) == T0 + 120 * SECOND
    shift.wait(130)
    assert next_due_ms(shift.ladder, shift.alarms, STEPS, {}) == T0 + 300 * SECOND
    shift.wait(300)
    assert next_due_ms(shift.ladder, shift.alarms, STEPS, {}) is None


def test_the_ladder_can_be_written_down() -> None:
    shift = Shift()
    shift.act(Action.RISE)
    shift.wait(130)
    assert msgspec.json.decode(msgspec.json.encode(shift.ladder), type=dict[str, Waiting]) == shift.ladder


def test_an_alarm_that_is_not_known_yet_waits() -> None:
    shift = Shift()
    shift.act(Action.RISE)
    _, notices = due(shift.ladder, {}, STEPS, {}, T0 + 10 * MINUTE)
    assert notices == []
