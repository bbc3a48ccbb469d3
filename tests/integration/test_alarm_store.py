"""Alarms in a real store: all or nothing, once, and never over what another one wrote."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace
from servers import Valkey

from analysis.alarm_states import apply
from city.alarm_store import AlarmCommit, Changed, ChangedIncident, Remembered
from city.alarms import Act, Action, Alarm, AlarmPriority, Transition
from city.incidents import Deed, Incident, IncidentEntry
from city.notices import Notice
from city.store import Store, StoreFenced, StoreRefused

pytestmark = pytest.mark.integration

NOW = 1_777_870_800_000
FRESH = Alarm(id="r:k", rule="r", priority=AlarmPriority.HIGH, source_kind="vehicle", source_id="k")
RISEN = apply(FRESH, Act(action=Action.RISE, at_ms=NOW, values={"lost_l": 9.5, "events": 3}))


@pytest.fixture
def store(valkey: Valkey) -> Store:
    return Store(valkey.url, "tashkent", 2)


def transition(alarm: Alarm, before: Alarm, action: Action) -> Transition:
    return Transition(
        alarm=alarm.id,
        version=alarm.version,
        action=action,
        before=before.state,
        after=alarm.state,
        at_ms=alarm.updated_ms,
        rule=alarm.rule,
        priority=alarm.priority,
        source_kind=alarm.source_kind,
        source_id=alarm.source_id,
    )


def commit(
    store: Store, before: Alarm | None, after: Alarm | None, *, remembered: Remembered | None = None
) -> list[str]:
    """The alarms that others changed meanwhile."""
    told = [transition(after, before or FRESH, Action.RISE)] if after else []
    written = AlarmCommit(alarms=[Changed(before, after)], transitions=told, remembered=remembered)
    return store.commit_alarms(written, keep_s=3600).alarms


def test_an_alarm_its_transition_and_the_memory_are_written_together(store: Store) -> None:
    store.own_alarms("me")
    remembered = Remembered(owner="me", cursors={0: "5-1"}, fields={"r:k": b'{"a":1}'})
    assert commit(store, None, RISEN, remembered=remembered) == []
    assert store.alarms() == [RISEN]
    assert store.alarm("r:k") == RISEN
    assert [one.action for _, one in store.transitions()] == [Action.RISE]
    assert store.read_alarms("0-0", block_ms=1)[1] == [RISEN]
    assert store.own_alarms("you") == ({0: "5-1"}, {"r:k": b'{"a":1}'})


def test_nothing_is_written_over_an_alarm_that_is_another_one_by_now(store: Store) -> None:
    commit(store, None, RISEN)
    mine, theirs = (apply(RISEN, Act(action=Action.ACKNOWLEDGE, at_ms=NOW + 1, by=by)) for by in ("me", "you"))
    other = replace(RISEN, id="r:other")
    assert commit(store, RISEN, theirs) == []
    told = [transition(mine, RISEN, Action.ACKNOWLEDGE)]
    written = AlarmCommit(alarms=[Changed(None, other), Changed(RISEN, mine)], transitions=told)
    assert store.commit_alarms(written, keep_s=3600).alarms == [RISEN.id]
    assert store.alarms() == [theirs]
    assert len(store.transitions()) == 2


def test_an_alarm_that_was_read_back_is_the_one_that_was_written(store: Store) -> None:
    commit(store, None, RISEN)
    (found,) = store.alarms()
    after = apply(found, Act(action=Action.CLEAR, at_ms=NOW + 1, values={"events": 4}))
    assert commit(store, found, after) == []
    assert commit(store, after, apply(after, Act(action=Action.RISE, at_ms=NOW + 2))) == []


def test_an_alarm_that_is_to_be_new_meets_one_that_is_there(store: Store) -> None:
    commit(store, None, RISEN)
    assert commit(store, None, replace(RISEN, occurrences=2)) == [RISEN.id]


def test_forgetting_takes_the_alarm_and_keeps_its_transitions(store: Store) -> None:
    commit(store, None, RISEN)
    assert commit(store, RISEN, None) == []
    assert (store.alarms(), store.alarm("r:k"), len(store.transitions())) == ([], None, 1)


def test_only_the_newest_owner_writes_memory(store: Store) -> None:
    store.own_alarms("old")
    store.own_alarms("new")
    with pytest.raises(StoreFenced):
        commit(store, None, RISEN, remembered=Remembered(owner="old", cursors={}, fields={}))
    assert store.alarms() == []
    assert commit(store, None, RISEN, remembered=Remembered(owner="new", cursors={}, fields={})) == []


def test_memory_that_is_forgotten_is_gone(store: Store) -> None:
    store.own_alarms("me")
    for fields, forgotten in (({"a:1": b"x", "a:2": b"y"}, []), ({}, ["a:1"])):
        remembered = Remembered(owner="me", cursors={1: "7-0"}, fields=fields, forgotten=forgotten)
        assert not store.commit_alarms(AlarmCommit(remembered=remembered), keep_s=1)
    assert store.own_alarms("me") == ({1: "7-0"}, {"a:2": b"y"})


def test_a_refusal_comes_before_the_first_write(store: Store) -> None:
    store.link.run(lambda client: client.set(store.keys.alarm_log(), "not a stream"))
    with pytest.raises(StoreRefused):
        commit(store, None, RISEN)
    assert store.alarms() == []


def test_transitions_are_read_on_from_the_last_one_seen(store: Store) -> None:
    told = [transition(replace(RISEN, version=n), FRESH, Action.COMMENT) for n in range(5)]
    store.commit_alarms(AlarmCommit(alarms=[Changed(None, RISEN)], transitions=told), keep_s=3600)
    first = store.transitions(count=3)
    rest = store.transitions(after=first[-1][0])
    assert [one.version for _, one in first + rest] == [0, 1, 2, 3, 4]


def test_thousands_are_written_in_one_go(store: Store) -> None:
    store.own_alarms("me")
    alarms = [replace(RISEN, id=f"r:{n}") for n in range(5000)]
    remembered = Remembered(owner="me", cursors={}, fields={f"r:{n}": b"{}" for n in range(9000)})
    told = [transition(one, FRESH, Action.RISE) for one in alarms]
    changes = [Changed(None, alarm) for alarm in alarms]
    assert not store.commit_alarms(AlarmCommit(alarms=changes, transitions=told, remembered=remembered), keep_s=60)
    assert len(store.alarms()) == 5000


OPENED = Incident(id="20260504-001", opened_ms=NOW, updated_ms=NOW, last_ms=NOW, rule="route", common={"route": "7"})
LINE = IncidentEntry(incident=OPENED.id, version=1, deed=Deed.OPEN, at_ms=NOW)


def test_an_incident_its_timeline_and_its_alarms_are_written_together(store: Store) -> None:
    joined = replace(RISEN, incident=OPENED.id)
    written = AlarmCommit(
        alarms=[Changed(None, joined)],
        incidents=[ChangedIncident(None, OPENED)],
        entries=[LINE, replace(LINE, at_ms=1)],
    )
    assert not store.commit_alarms(written, keep_s=60)
    assert (store.incidents(), store.incident(OPENED.id), store.alarms()) == ([OPENED], OPENED, [joined])
    assert store.read_incidents("0-0", block_ms=1)[1] == [OPENED]
    assert [one.at_ms for one in store.newest_entries({OPENED.id})] == [1, NOW]
    assert store.newest_entries({"another"}) == []


def test_an_incident_that_an_operator_changed_meanwhile_keeps_all_back(store: Store) -> None:
    store.commit_alarms(AlarmCommit(incidents=[ChangedIncident(None, OPENED)]), keep_s=60)
    theirs = replace(OPENED, assignee="Aziza", version=2)
    assert not store.commit_alarms(AlarmCommit(incidents=[ChangedIncident(OPENED, theirs)]), keep_s=60)
    mine = ChangedIncident(OPENED, replace(OPENED, alarms=3, version=2))
    others = store.commit_alarms(
        AlarmCommit(alarms=[Changed(None, RISEN)], incidents=[mine], entries=[LINE]), keep_s=60
    )
    assert (others.alarms, others.incidents) == ([], [OPENED.id])
    assert (store.incident(OPENED.id), store.alarms(), store.newest_entries({OPENED.id})) == (theirs, [], [])


def test_what_receivers_are_told_waits_in_their_own_queues_and_comes_once(store: Store) -> None:
    notices = [
        Notice(id=f"r:k:{n}:{receiver}", receiver=receiver, alarm=RISEN, at_ms=NOW)
        for n, receiver in enumerate(("duty", "gas", "duty"))
    ]
    store.own_alarms("me")
    remembered = Remembered(owner="me", cursors={}, fields={})
    written = AlarmCommit(alarms=[Changed(None, RISEN)], notices=notices, remembered=remembered)
    for _ in range(2):  # the second time nobody heard the first answer
        assert not store.commit_alarms(written, keep_s=60)
    counted = [store.link.run(lambda client, to=to: client.xlen(store.keys.outbox(to))) for to in ("duty", "gas")]
    assert counted == [2, 1]


def test_operators_who_act_at_the_same_moment_each_get_their_own_answer(store: Store) -> None:
    """The threads of a server share one store."""
    alarms = [replace(RISEN, id=f"r:{n}") for n in range(200)]
    store.commit_alarms(AlarmCommit(alarms=[Changed(None, alarm) for alarm in alarms]), keep_s=60)

    def act(number: int) -> list[str]:
        alarm = alarms[number % 200]
        seen = alarm if number < 200 else replace(alarm, occurrences=7)  # half of them saw another alarm
        after = replace(seen, assignee=f"op {number}")
        return store.commit_alarms(AlarmCommit(alarms=[Changed(seen, after)]), keep_s=60).alarms

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(act, range(400)))
    assert answers == [[]] * 200 + [[f"r:{n}"] for n in range(200)]


def test_two_comments_of_one_millisecond_are_two(store: Store) -> None:
    """They leave the same alarm; the second operator is told that somebody was first."""
    commit(store, None, RISEN)
    after = apply(RISEN, Act(action=Action.COMMENT, at_ms=NOW + 1, text="a"))
    told = [transition(after, RISEN, Action.COMMENT)]
    written = AlarmCommit(alarms=[Changed(RISEN, after)], transitions=told)
    assert not store.commit_alarms(written, keep_s=60)
    assert store.commit_alarms(written, keep_s=60).alarms == [RISEN.id]
    assert len(store.transitions()) == 2


@pytest.mark.parametrize(
    "odd",
    [
        b'{"id":"r:k","rule":"r","priority":"high","source_kind":"vehicle","source_id":"k","version":3,"colour":"red"}',
        b'{"id":"r:k","priority":"of another version"}',
        b"not JSON \xff",
    ],
)
def test_one_odd_record_holds_up_nothing(store: Store, odd: bytes) -> None:
    """Written by a newer version that was taken back, or broken: the others are written, and it too."""
    store.link.run(lambda client: client.hset(store.keys.alarms(), "r:k", odd))
    known = store.alarm("r:k")
    after = apply(known or FRESH, Act(action=Action.RISE, at_ms=NOW))
    written = AlarmCommit(alarms=[Changed(known, after), Changed(None, replace(RISEN, id="r:other"))])
    others = store.commit_alarms(written, keep_s=60)
    if odd.endswith(b"\xff"):
        assert others.alarms == ["r:k"], "what is no text cannot be compared"
    else:
        assert not others
        assert {alarm.id for alarm in store.alarms()} == {"r:k", "r:other"}


@pytest.mark.parametrize("name", ["r:k", 'r:a "quoted" \\ name', "r:Чилонзор", "r:\x01"])
def test_a_history_of_few_decodes_only_what_may_be_theirs(
    store: Store, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Others are left out by their bytes, whatever letters an id has."""
    own = replace(RISEN, id=name)
    others = [replace(RISEN, id=f"r:other-{n}") for n in range(50)]
    told = [transition(one, FRESH, Action.RISE) for one in (*others, own)]
    entries = [
        IncidentEntry(incident=one, version=1, deed=Deed.OPEN, at_ms=NOW) for one in ("20261122-001", "20261122-002")
    ]
    assert not store.commit_alarms(AlarmCommit(transitions=told, entries=entries), keep_s=3600)
    decoded: list[bytes] = []
    read = store._read

    def counted(decode: Any, value: bytes, what: str) -> Any:
        decoded.append(value)
        return read(decode, value, what)

    monkeypatch.setattr(store, "_read", counted)
    assert [one.alarm for one in store.newest_transitions({name})] == [name]
    assert len(decoded) == 1
    assert [one.incident for one in store.newest_entries({"20261122-002"})] == ["20261122-002"]
    assert len(decoded) == 2
    assert len(store.newest_transitions({one.id for one in others})) == 50
    assert store.newest_transitions(set()) == []
