"""An alarm of the past is what operators saw then: nothing of later gets in."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from analysis.alarm_states import NotAllowed, apply, transition_of
from analysis.replay_alarms import DEEDS_SHOWN, SNAPSHOT_EVERY, AlarmLog, AlarmThen, Open, states_at, take
from city.alarms import Act, Action, Alarm, AlarmPriority, AlarmState, Transition

T0 = 1_780_000_000_000
Log = list[tuple[str, Transition]]


def alarm(name: str, **more: Any) -> Alarm:
    fields: dict[str, Any] = {"latching": False, **more}
    return Alarm(
        id=f"overspeed:{name}",
        rule="overspeed",
        priority=AlarmPriority.HIGH,
        source_kind="vehicle",
        source_id=name,
        **fields,
    )


def happened(acts: list[tuple[str, Act]], latching: bool = False) -> tuple[Log, list[dict[str, Alarm]]]:
    """The log of what was done, and after each entry all alarms as the alarm states themselves have them."""
    now: dict[str, Alarm] = {}
    log: Log = []
    states: list[dict[str, Alarm]] = []
    for name, act in acts:
        before = now.get(name) or alarm(name, latching=latching)
        try:
            after = apply(before, act)
        except NotAllowed:
            continue
        if after is before:
            continue
        now[name] = after
        log.append((f"{act.at_ms + 40}-{len(log)}", transition_of(before, after, act)))
        states.append(dict(now))
    return log, states


def at(log: Log, moment_ms: int, until_ms: int | None = None) -> Open:
    """As the replay finds it: from the nearest snapshot on."""
    known = AlarmLog()
    known.take(log)
    cursor, then = known.before(moment_ms)
    start = 0 if cursor == "-" else 1 + [entry_id for entry_id, _ in log].index(cursor)
    later = states_at(then, log[start:], moment_ms)
    for written, transition in later:
        if until_ms is not None and written <= until_ms:
            take(then, transition)
    return then


def act(action: Action, at_s: int, **more: Any) -> Act:
    return Act(action=action, at_ms=T0 + at_s * 1000, **more)


def test_what_an_operator_did_later_is_not_there_yet() -> None:
    log, _ = happened(
        [
            ("a", act(Action.RISE, 0, values={"speed_kmh": 95.0})),
            ("a", act(Action.ACKNOWLEDGE, 60, by="Aziza")),
            ("a", act(Action.SHELVE, 120, by="Bek", reason="test drive", until_ms=T0 + 900_000)),
        ]
    )
    first = at(log, T0 + 30_000)["overspeed:a"]
    assert (first.alarm.state, first.alarm.acknowledged_by) == (AlarmState.UNACKNOWLEDGED, "")
    assert [deed.action for deed in first.deeds] == [Action.RISE]
    second = at(log, T0 + 90_000)["overspeed:a"]
    assert (second.alarm.state, second.alarm.acknowledged_by) == (AlarmState.ACKNOWLEDGED, "Aziza")
    third = at(log, T0 + 150_000)["overspeed:a"]
    assert third.alarm.state is AlarmState.SHELVED
    assert third.alarm.shelved is not None
    assert (third.alarm.shelved.reason, third.alarm.shelved.until_ms) == ("test drive", T0 + 900_000)
    assert [(deed.action, deed.by) for deed in third.deeds[1:]] == [
        (Action.ACKNOWLEDGE, "Aziza"),
        (Action.SHELVE, "Bek"),
    ]
    assert third.alarm.values == {"speed_kmh": 95.0}


def test_it_is_seen_when_it_was_written_not_when_its_cause_was_measured() -> None:
    log, _ = happened([("a", act(Action.RISE, 0))])
    assert at(log, T0 + 39) == {}
    assert set(at(log, T0 + 40)) == {"overspeed:a"}


def test_who_became_normal_is_no_more_there_and_comes_again_without_what_was_done() -> None:
    log, _ = happened(
        [
            ("a", act(Action.RISE, 0)),
            ("a", act(Action.ACKNOWLEDGE, 10, by="Aziza")),
            ("a", act(Action.COMMENT, 11, by="Aziza", text="seen")),
            ("a", act(Action.CLEAR, 20)),
            ("a", act(Action.RISE, 100)),
        ]
    )
    assert at(log, T0 + 50_000) == {}
    again = at(log, T0 + 101_000)["overspeed:a"]
    assert (again.alarm.acknowledged_by, again.alarm.comments, len(again.deeds)) == ("", 0, 1)


def test_of_a_chattering_alarm_only_the_newest_doings_are_kept() -> None:
    acts = [("a", act(Action.RISE, 0))]
    for n in range(40):
        acts += [("a", act(Action.CLEAR, 2 * n + 1)), ("a", act(Action.RISE, 2 * n + 2))]
    log, _ = happened(acts)
    assert len(at(log, T0 + 10**6)["overspeed:a"].deeds) == DEEDS_SHOWN


def test_a_log_that_begins_in_the_middle_is_read_as_far_as_it_goes() -> None:
    log, _ = happened([("a", act(Action.RISE, 0)), ("a", act(Action.ACKNOWLEDGE, 10, by="Aziza"))])
    then = at(log[1:], T0 + 20_000)["overspeed:a"]
    assert (then.alarm.state, then.alarm.acknowledged_by) == (AlarmState.ACKNOWLEDGED, "Aziza")


ACTS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(list(Action)),
        st.integers(0, 3),
        st.sampled_from(["", "Aziza", "Bek"]),
        st.sampled_from(["", "why"]),
    ),
    max_size=60,
)


@settings(max_examples=200)
@given(ACTS, st.booleans(), st.integers(0, 200))
def test_at_any_moment_it_is_the_state_that_the_alarm_had(
    drawn: list[tuple[str, Action, int, str, str]], latching: bool, moment_s: int
) -> None:
    """Random doings by the states of ISA-18.2; the fold of their log finds each state again."""
    acts, at_s = [], 0
    for name, action, pause_s, by, text in drawn:
        at_s += pause_s
        until_ms = T0 + at_s * 1000 + 60_000 if action is Action.SHELVE else None
        acts.append((name, act(action, at_s, by=by, reason=text, text=text, until_ms=until_ms)))
    log, states = happened(acts, latching)
    moment_ms = T0 + moment_s * 1000
    seen = sum(int(entry_id.partition("-")[0]) <= moment_ms for entry_id, _ in log)
    wanted = states[seen - 1] if seen else {}
    found = at(log, moment_ms)
    assert set(found) == {one.id for one in wanted.values() if one.state is not AlarmState.NORMAL}
    for one in wanted.values():
        if one.id in found:
            assert _shown(found[one.id]) == _of(one)


def _shown(then: AlarmThen) -> tuple[object, ...]:
    return _of(then.alarm)


def _of(one: Alarm) -> tuple[object, ...]:
    holds = tuple(hold is not None for hold in (one.shelved, one.suppressed, one.out_of_service))
    raised_ms = one.raised_ms if one.active else None
    return one.state, one.version, holds, one.active, raised_ms, one.announced


def test_from_any_snapshot_on_it_is_the_same_as_from_the_beginning() -> None:
    acts = []
    for n in range(3 * SNAPSHOT_EVERY):
        name = f"v{n % 37}"
        acts.append((name, act(Action.RISE if (n // 37) % 2 == 0 else Action.CLEAR, n)))
    log, _ = happened(acts)
    assert len(log) > 2 * SNAPSHOT_EVERY
    for moment_s in (0, 999, 1000, 1001, 1500, 2000, 2400, 4000):
        moment_ms = T0 + moment_s * 1000
        plain: Open = {}
        states_at(plain, log, moment_ms)
        assert at(log, moment_ms) == plain


def test_what_a_log_tells_in_pieces_is_what_it_tells_at_once() -> None:
    log, _ = happened([(f"v{n}", act(Action.RISE, n)) for n in range(2500)])
    whole, pieces = AlarmLog(), AlarmLog()
    whole.take(log)
    for from_ in range(0, len(log), 700):
        pieces.take(log[from_ : from_ + 700])
    assert (pieces.cursor, pieces.read_ms) == (whole.cursor, whole.read_ms)
    cursor, then = pieces.before(T0 + 2_100_000)
    assert (cursor, then) == whole.before(T0 + 2_100_000)
    assert len(then) == 2000, "the nearest snapshot before it"
    assert replace(then["overspeed:v0"].alarm).active
