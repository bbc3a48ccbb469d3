"""The alarm process without a store: what it writes, keeps for later and says again."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.alarm_states import apply, transition_of
from city.alarm_store import AlarmCommit, Others
from city.alarms import Act, Action, Alarm, AlarmState, Transition
from city.archive_figures import ArchiveFigures, ArchiveLoss
from city.config import Config
from city.events import CameraEvent, CameraStatus, Event, Facet
from city.incidents import Incident
from city.messages import FeedCount
from city.notices import Notice
from city.store import Entry, RejectsKept, Store, Stored, StoreDown
from ingest.alarms import AlarmWorker

CITIES = {"tashkent": {"names": {"en": "Tashkent"}, "bounds": [69.1, 41.1, 69.5, 41.5], "timezone": "Asia/Tashkent"}}
S = 1000
NOW = 1_000_000 * S


class Shelf(Store):
    """A store in memory, as far as the alarms ask it."""

    def __init__(self) -> None:
        self.kept: dict[str, Alarm] = {}
        self.log: list[Transition] = []
        self.kept_incidents: dict[str, Incident] = {}
        self.notices: list[Notice] = []
        self.memory: dict[str, bytes] = {}
        self.cursors: dict[int, str] = {}
        self.known: list[Event] = []
        self.commits = 0
        self.rejects_bytes = 0
        self.archive: ArchiveFigures | None = None
        self.down = False

    def latest(self, facet: Facet) -> Any:
        return iter([event for event in self.known if event.facet is facet])

    def counts(self) -> list[FeedCount]:
        return []

    def workers(self) -> list[Any]:
        return []

    def archive_figures(self) -> ArchiveFigures | None:
        return self.archive

    def rejects_kept(self) -> RejectsKept:
        return RejectsKept(messages=1, size_bytes=self.rejects_bytes)

    def alarms(self) -> list[Alarm]:
        return list(self.kept.values())

    def alarm(self, alarm_id: str) -> Alarm | None:
        return self.kept.get(alarm_id)

    def alarm_tip(self) -> str:
        return "0-0"

    def read_alarms(self, cursor: str, *, block_ms: int) -> tuple[str, list[Alarm]]:
        # Every change, again and again: an alarm that is known already changes nothing.
        return cursor, list(self.kept.values())

    def own_alarms(self, owner: str) -> tuple[dict[int, str], dict[str, bytes]]:
        return dict(self.cursors), dict(self.memory)

    def incidents(self) -> list[Incident]:
        return list(self.kept_incidents.values())

    def incident(self, incident_id: str) -> Incident | None:
        return self.kept_incidents.get(incident_id)

    def incident_tip(self) -> str:
        return "0-0"

    def read_incidents(self, cursor: str, *, block_ms: int) -> tuple[str, list[Incident]]:
        return cursor, []

    def alarm_log_tip(self) -> str:
        return f"{len(self.log)}-0"

    def alarm_log_after(self, cursor: str) -> tuple[str, list[Transition]]:
        return self.alarm_log_tip(), self.log[int(cursor.partition("-")[0]) :]

    def commit_alarms(self, commit: AlarmCommit, *, keep_s: float) -> Others:
        if self.down:
            raise StoreDown("gone")
        others = Others(
            alarms=[one.id for one in commit.alarms if self.kept.get(one.id) != one.before],
            incidents=[one.after.id for one in commit.incidents if self.incident(one.after.id) != one.before],
        )
        if others:
            return others
        for one in commit.alarms:
            if one.after is None:
                del self.kept[one.id]
            else:
                self.kept[one.id] = one.after
        self.kept_incidents.update({one.after.id: one.after for one in commit.incidents})
        self.log += commit.transitions
        self.notices += commit.notices
        assert commit.remembered is not None
        self.memory.update(commit.remembered.fields)
        for name in commit.remembered.forgotten:
            self.memory.pop(name, None)
        self.cursors = dict(commit.remembered.cursors)
        self.commits += 1
        return others


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def worker(shelf: Shelf) -> AlarmWorker:
    return started(shelf)


def started(shelf: Shelf, **given: Any) -> AlarmWorker:
    config = Config.model_validate({"cities": CITIES, "store": {"alarms_keep_s": 600}} | given)
    worker = AlarmWorker(shelf, config)
    worker.begin()
    worker.caught_up(NOW)
    return worker


def take(worker: AlarmWorker, *events: Event) -> None:
    worker.take([Entry(0, "1-0", [Stored(event, False) for event in events])])


def fire(at_ms: int = NOW, phase: str | None = None) -> CameraEvent:
    return CameraEvent(camera_id="cam", kind="fire", measured_ms=at_ms, received_ms=at_ms, phase=phase)


def beat(worker: AlarmWorker, now_ms: int, *, due: bool = False) -> None:
    worker.beat(now_ms)
    worker.keep({0: str(now_ms)}, due=due)


def test_an_alarm_is_written_with_the_place_of_its_camera(worker: AlarmWorker, shelf: Shelf) -> None:
    at = CameraStatus(
        camera_id="cam", measured_ms=1, received_ms=1, online=True, lat=41.3, lon=69.2, mahalla="1726269040"
    )
    take(worker, at, fire())
    beat(worker, NOW)
    alarm = shelf.kept["camera_alert:cam|fire"]
    assert (alarm.rule, alarm.priority, alarm.lat, alarm.mahalla) == ("camera_alert", "critical", 41.3, "1726269040")
    assert (shelf.log[0].action, shelf.log[0].mahalla) == (Action.RISE, "1726269040")


def test_alarms_are_written_at_once_and_memory_alone_when_it_is_due(worker: AlarmWorker, shelf: Shelf) -> None:
    beat(worker, NOW)
    assert shelf.commits == 0
    take(worker, fire())
    beat(worker, NOW)
    assert shelf.commits == 1
    assert shelf.cursors == {0: str(NOW)}
    beat(worker, NOW + S)
    assert shelf.commits == 1
    beat(worker, NOW + 2 * S, due=True)
    assert shelf.commits == 2
    assert shelf.cursors == {0: str(NOW + 2 * S)}


def test_after_an_outage_it_goes_on_from_what_the_store_has(worker: AlarmWorker, shelf: Shelf) -> None:
    take(worker, fire())
    worker.beat(NOW)
    shelf.down = True
    with pytest.raises(StoreDown):
        worker.keep({}, due=False)
    shelf.down = False
    assert worker.begin() == {}
    take(worker, fire())
    beat(worker, NOW + S)
    assert [one.action for one in shelf.log] == [Action.RISE]


def test_what_an_operator_did_meanwhile_stays(worker: AlarmWorker, shelf: Shelf) -> None:
    take(worker, fire())
    beat(worker, NOW)
    name = "camera_alert:cam|fire"
    shelf.kept[name] = apply(shelf.kept[name], Act(action=Action.ACKNOWLEDGE, at_ms=NOW + 1, by="anvar"))
    take(worker, fire(NOW + S, "end"))
    beat(worker, NOW + S)
    alarm = shelf.kept[name]
    assert (alarm.state, alarm.acknowledged_by, alarm.version) == (AlarmState.NORMAL, "anvar", 3)
    assert [(one.action, one.before) for one in shelf.log] == [
        (Action.RISE, AlarmState.NORMAL),
        (Action.CLEAR, AlarmState.ACKNOWLEDGED),
    ]


def test_a_restart_tells_nothing_twice(shelf: Shelf) -> None:
    first = started(shelf)
    take(first, fire(NOW - 5 * S), fire(NOW, "end"))
    beat(first, NOW)
    before, log = dict(shelf.kept), list(shelf.log)
    second = started(shelf)
    beat(second, NOW, due=True)
    assert (shelf.kept, shelf.log) == (before, log)


def test_normal_alarms_leave_after_their_time(worker: AlarmWorker, shelf: Shelf) -> None:
    take(worker, fire(NOW))
    beat(worker, NOW)
    name = "camera_alert:cam|fire"
    shelf.kept[name] = apply(shelf.kept[name], Act(action=Action.ACKNOWLEDGE, at_ms=NOW, by="anvar"))
    take(worker, fire(NOW + S, "end"))
    beat(worker, NOW + S)
    beat(worker, NOW + 600 * S)
    assert name in shelf.kept
    beat(worker, NOW + 662 * S)
    assert name not in shelf.kept


def test_a_camera_long_offline_is_found_at_the_first_start(shelf: Shelf) -> None:
    shelf.known = [CameraStatus(camera_id="cam", measured_ms=NOW - 10**7, received_ms=1, online=False)]
    worker = started(shelf)
    beat(worker, NOW)
    assert "camera_offline:cam" in shelf.kept


def test_a_reject_stream_near_its_bound_is_an_alarm_until_it_is_emptied(worker: AlarmWorker, shelf: Shelf) -> None:
    beat(worker, NOW)
    assert "rejects_full:rejects" not in shelf.kept
    shelf.rejects_bytes = 60 << 20
    beat(worker, NOW + S)
    (alarm,) = (one for one in shelf.kept.values() if one.rule == "rejects_full")
    assert alarm.active
    shelf.rejects_bytes = 10 << 20
    beat(worker, NOW + 2 * S)
    assert not shelf.kept[alarm.id].active


def test_what_the_archive_lost_is_an_alarm_and_the_end_of_its_writing_too(worker: AlarmWorker, shelf: Shelf) -> None:
    lost = ArchiveLoss(streams=("0",), from_ms=NOW - 9 * S, to_ms=NOW - S, entries=3, since_ms=NOW, found_ms=NOW)
    shelf.archive = ArchiveFigures(
        at_ms=NOW, committed_ms=NOW, commit=1, files=1, rows_written=0, waiting_rows=0, lag_s=0, hold_s=100, lost=lost
    )
    for second in range(100):
        beat(worker, NOW + second * S)
    standing = {one.rule: one for one in shelf.kept.values() if one.active}
    assert standing.keys() == {"archive_gap", "archive_behind"}
    assert standing["archive_gap"].values["batches"] == 3
    assert standing["archive_behind"].values["waits_for"] == "process"


TOLD = {
    "receivers": {"gas": {"webhook": "https://gas.example/", "secret": "s" * 24}},
    "escalation": [{"after_s": 60, "tell": ["gas"]}],
}


def told(shelf: Shelf) -> list[str]:
    return [one.transition.action if one.transition else "escalate" for one in shelf.notices]


def test_what_is_told_follows_what_is_written_and_an_operators_act_too(shelf: Shelf) -> None:
    worker = started(shelf, notices=TOLD)
    take(worker, fire())
    beat(worker, NOW)
    assert told(shelf) == [], "the log has it only now"
    beat(worker, NOW + 200)
    assert told(shelf) == ["rise"]
    name = "camera_alert:cam|fire"
    act = Act(action=Action.ACKNOWLEDGE, at_ms=NOW + 300, by="anvar")
    before, shelf.kept[name] = shelf.kept[name], apply(shelf.kept[name], act)
    shelf.log.append(transition_of(before, shelf.kept[name], act))
    beat(worker, NOW + 400)
    assert told(shelf) == ["rise", "acknowledge"]
    assert shelf.notices[-1].alarm.acknowledged_by == "anvar"


def test_killed_after_a_transition_was_written_its_notices_are_made_by_the_next_one(shelf: Shelf) -> None:
    worker = started(shelf, notices=TOLD)
    take(worker, fire())
    beat(worker, NOW)
    worker = started(shelf, notices=TOLD)
    beat(worker, NOW + S)
    worker = started(shelf, notices=TOLD)
    beat(worker, NOW + 59 * S)
    assert told(shelf) == ["rise"]
    beat(worker, NOW + 60 * S)
    worker = started(shelf, notices=TOLD)
    beat(worker, NOW + 61 * S)
    assert told(shelf) == ["rise", "escalate"]


def test_without_receivers_nothing_is_remembered_of_them(shelf: Shelf) -> None:
    worker = started(shelf)
    take(worker, fire())
    beat(worker, NOW)
    beat(worker, NOW + S, due=True)
    assert not [name for name in shelf.memory if name.startswith(("notices:", "escalation:"))]
