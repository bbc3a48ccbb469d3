"""Who is told what, as a timeline: transitions of the log and the clock in, notices out; killed in between or not."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.alarm_states import NotAllowed, apply, transition_of
from analysis.notifier import Notifier, as_of
from city.alarms import Act, Action, Alarm, AlarmPriority, AlarmState, Transition
from city.notices import Notice, Notices

S = 1000
SECRET = "s" * 24
GAS = {"webhook": "https://gas.example/hook", "secret": SECRET}
SETTINGS = Notices.model_validate(
    {
        "receivers": {
            "gas": GAS | {"agencies": ["gas_works"]},
            "duty": GAS,
            "chief": GAS | {"priorities": []},
        },
        "escalation": [{"after_s": 120, "tell": ["chief"], "priorities": ["critical", "high"]}],
    }
)
AGENCIES = {"leak": "gas_works"}


class Room:
    """Alarms, their log, and a notifier that reads it."""

    def __init__(self, given: Notices = SETTINGS) -> None:
        self.given = given
        self.alarms: dict[str, Alarm] = {}
        self.log: list[tuple[str, Transition]] = []
        self.memory: dict[str, bytes] = {}
        self.told: list[Notice] = []
        self.start()
        self.commit()  # with the first transition, in one go

    def start(self) -> None:
        self.notifier = Notifier(self.given, AGENCIES)
        self.notifier.remember(self.memory, self.alarms)
        self.notifier.begin(self.log[-1][0] if self.log else "0-0")

    def do(self, action: Action, at_s: float, name: str = "leak:a", **given: Any) -> None:
        rule, _, key = name.partition(":")
        fresh = Alarm(id=name, rule=rule, priority=AlarmPriority.HIGH, source_kind="sensor", source_id=key)
        before = self.alarms.get(name, fresh)
        act = Act(action=action, at_ms=int(at_s * S), **given)
        after = apply(before, act)
        if after is not before:
            self.alarms[name] = after
            self.log.append((f"{len(self.log) + 1}-0", transition_of(before, after, act)))

    def beat(self, now_s: float) -> None:
        read = int(self.notifier.cursor.partition("-")[0] or 0) if self.notifier.cursor else 0
        for cursor, transition in self.log[read:] if self.notifier.wanted else []:
            self.notifier.take(transition, self.alarms.get(transition.alarm))
            self.notifier.read_to(cursor)
        self.notifier.tick(self.alarms, int(now_s * S))

    def commit(self) -> None:
        self.told += self.notifier.notices
        kept, gone = self.notifier.changed_memory()
        self.memory.update(kept)
        for name in gone:
            self.memory.pop(name, None)
        self.notifier.written()

    def beat_and_commit(self, now_s: float) -> None:
        self.beat(now_s)
        self.commit()

    def heard(self) -> list[tuple[str, str]]:
        return [(one.receiver, one.transition.action if one.transition else "escalate") for one in self.told]


def test_a_rise_an_acknowledgement_and_an_end_are_told_in_the_order_of_the_log() -> None:
    room = Room()
    room.do(Action.RISE, 1)
    room.do(Action.ACKNOWLEDGE, 5, by="aziza")
    room.do(Action.COMMENT, 6, by="aziza", text="on the way")
    room.do(Action.CLEAR, 9)
    room.beat_and_commit(10)
    both = [(receiver, action) for action in ("rise", "acknowledge", "clear") for receiver in ("duty", "gas")]
    assert room.heard() == both
    rise, *_, over = (one.alarm for one in room.told if one.receiver == "gas")
    assert (rise.state, rise.active, rise.cleared_ms, rise.version) == (AlarmState.UNACKNOWLEDGED, True, None, 1)
    assert over == room.alarms["leak:a"]


def test_only_the_agency_that_owns_an_alarm_hears_of_it() -> None:
    room = Room()
    room.do(Action.RISE, 1, "fire:b")
    room.beat_and_commit(1)
    assert room.heard() == [("duty", "rise")]


def test_who_is_suppressed_from_the_start_is_told_to_nobody() -> None:
    room = Room()
    room.do(Action.SUPPRESS, 1, reason="flood")
    room.do(Action.RISE, 1)
    room.beat_and_commit(500)
    assert room.heard() == []
    room.do(Action.UNSUPPRESS, 600)
    room.beat_and_commit(600)
    assert room.heard() == [("duty", "unsuppress"), ("gas", "unsuppress")]


def test_when_nobody_acknowledges_the_next_one_is_told_once() -> None:
    room = Room()
    room.do(Action.RISE, 10)
    for second in range(10, 400):
        room.beat_and_commit(second)
    assert room.heard() == [("duty", "rise"), ("gas", "rise"), ("chief", "escalate")]
    escalated = room.told[-1]
    assert (escalated.at_ms, escalated.unacknowledged_s) == (130 * S, 120)


def test_an_acknowledgement_in_time_calls_nobody_and_leaves_no_memory() -> None:
    room = Room()
    room.do(Action.RISE, 10)
    room.beat_and_commit(11)
    assert "escalation:leak:a" in room.memory
    room.do(Action.ACKNOWLEDGE, 129, by="aziza")
    room.beat_and_commit(130)
    room.beat_and_commit(500)
    assert ("chief", "escalate") not in room.heard()
    assert list(room.memory) == ["notices:cursor"]


def test_what_happened_before_anybody_was_to_be_told_is_no_news() -> None:
    room = Room(Notices())
    room.do(Action.RISE, 1)
    room.beat_and_commit(2)
    assert room.memory == {}
    room.given = SETTINGS
    room.start()
    room.beat_and_commit(3)
    assert room.heard() == []
    room.do(Action.CLEAR, 4)
    room.beat_and_commit(5)
    assert room.heard() == [("duty", "clear"), ("gas", "clear")]


def test_who_is_told_nothing_any_more_leaves_no_memory() -> None:
    room = Room()
    room.do(Action.RISE, 1)
    room.beat_and_commit(2)
    assert len(room.memory) == 2
    room.given = Notices()
    room.start()
    room.commit()
    assert room.memory == {}


def test_an_alarm_that_is_further_by_now_is_told_as_it_was() -> None:
    room = Room()
    room.do(Action.RISE, 1, values={"ppm": 40.0})
    room.do(Action.ACKNOWLEDGE, 2, by="aziza")
    room.do(Action.CLEAR, 3)
    room.do(Action.RISE, 4, values={"ppm": 90.0})
    newest = room.alarms["leak:a"]
    rise, acknowledged, cleared, again = (as_of(newest, one) for _, one in room.log)
    assert (rise.raised_ms, rise.values, rise.state) == (1 * S, {"ppm": 40.0}, AlarmState.UNACKNOWLEDGED)
    assert (acknowledged.acknowledged_by, acknowledged.state) == ("aziza", AlarmState.ACKNOWLEDGED)
    assert (cleared.active, cleared.state) == (False, AlarmState.NORMAL)
    assert again == newest


ACTS = st.tuples(
    st.sampled_from([Action.RISE, Action.CLEAR, Action.ACKNOWLEDGE, Action.SUPPRESS, Action.UNSUPPRESS]),
    st.sampled_from(["leak:a", "leak:b", "fire:c"]),
    st.integers(0, 90),
)


@given(st.lists(ACTS, max_size=40), st.sets(st.integers(0, 39)))
@settings(deadline=None, max_examples=100)
def test_killed_at_any_moment_no_notice_is_lost_or_made_twice(
    acts: list[tuple[Action, str, int]], kills: set[int]
) -> None:
    """Killed between what it made and its commit, it makes the same again; the log is there already."""
    whole, killed = Room(), Room()
    now_s = 0
    for at, (action, name, pause_s) in enumerate(acts):
        now_s += pause_s
        for room in (whole, killed):
            try:
                room.do(action, now_s, name, by="aziza" if action is Action.ACKNOWLEDGE else "", reason="")
            except NotAllowed:
                continue
        whole.beat_and_commit(now_s)
        killed.beat(now_s)
        if at in kills:
            killed.start()
            killed.beat(now_s)
        killed.commit()
    assert sorted(one.id for one in killed.told) == sorted(one.id for one in whole.told)
    assert len({one.id for one in whole.told}) == len(whole.told)
    of_log = [[one.id for one in room.told if one.transition] for room in (whole, killed)]
    assert of_log[0] == of_log[1], "in the order of the log"
