"""The alarm process without a store: what it writes, keeps for later and writes again."""

from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from city.alarms import Alarm
from city.config import Config
from city.events import CameraEvent, CameraStatus, Event, Facet
from city.messages import FeedCount
from city.store import Entry, RejectsKept, Store, Stored, StoreDown
from ingest.alarms import AlarmWorker

CITIES = {"tashkent": {"names": {"en": "Tashkent"}, "bounds": [69.1, 41.1, 69.5, 41.5], "timezone": "Asia/Tashkent"}}
S = 1000
NOW = 1_000_000 * S


class Shelf(Store):
    """A store in memory, as far as the alarms ask it."""

    def __init__(self) -> None:
        self.kept: dict[str, Alarm] = {}
        self.known: list[Event] = []
        self.writes = 0
        self.rejects_bytes = 0
        self.down = False

    def latest(self, facet: Facet) -> Any:
        return iter([event for event in self.known if event.facet is facet])

    def counts(self) -> list[FeedCount]:
        return []

    def rejects_kept(self) -> RejectsKept:
        return RejectsKept(messages=1, size_bytes=self.rejects_bytes)

    def alarms(self) -> list[Alarm]:
        return list(self.kept.values())

    def save_alarms(self, alarms: Sequence[Alarm], *, now_ms: int, alarms_keep_s: float) -> None:
        if self.down:
            raise StoreDown("gone")
        self.writes += 1
        self.kept.update({alarm.id: alarm for alarm in alarms})

    def forget_alarms(self, ids: Sequence[str]) -> None:
        for one in ids:
            del self.kept[one]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def worker(shelf: Shelf) -> AlarmWorker:
    return started(shelf)


def started(shelf: Shelf, state: bytes | None = None) -> AlarmWorker:
    config = Config.model_validate({"cities": CITIES, "store": {"alarms_keep_s": 600}})
    worker = AlarmWorker(shelf, config)
    worker.begin(state)
    worker.caught_up(NOW)
    return worker


def take(worker: AlarmWorker, *events: Event) -> None:
    worker.take([Entry(0, "1-0", [Stored(event, False) for event in events])])


def fire(at_ms: int = NOW, phase: str | None = None) -> CameraEvent:
    return CameraEvent(camera_id="cam", kind="fire", measured_ms=at_ms, received_ms=at_ms, phase=phase)


def test_an_alarm_is_written_with_the_place_of_its_camera(worker: AlarmWorker, shelf: Shelf) -> None:
    at = CameraStatus(
        camera_id="cam", measured_ms=1, received_ms=1, online=True, lat=41.3, lon=69.2, mahalla="1726269040"
    )
    take(worker, at, fire())
    worker.beat(NOW)
    (alarm,) = shelf.kept.values()
    assert (alarm.rule, alarm.priority, alarm.lat, alarm.mahalla) == ("camera_alert", "critical", 41.3, "1726269040")


def test_an_alarm_found_while_the_store_is_away_is_written_when_it_is_back(worker: AlarmWorker, shelf: Shelf) -> None:
    shelf.down = True
    take(worker, fire())
    with pytest.raises(StoreDown):
        worker.beat(NOW)
    shelf.down = False
    worker.beat(NOW + S)
    assert [alarm.cleared_ms for alarm in shelf.kept.values()] == [None]
    worker.beat(NOW + 2 * S)
    assert shelf.writes == 1


def test_alarms_that_the_store_lost_are_written_again(worker: AlarmWorker, shelf: Shelf) -> None:
    take(worker, fire())
    worker.beat(NOW)
    written = dict(shelf.kept)
    shelf.kept.clear()
    worker.resume()
    worker.beat(NOW + S)
    assert shelf.kept == written
    (alarm,) = written.values()
    shelf.kept[alarm.id] = replace(alarm, values={})
    worker.resume()
    worker.beat(NOW + 2 * S)
    assert shelf.kept == written


def test_a_restart_without_a_checkpoint_reads_all_again_and_writes_nothing_twice(shelf: Shelf) -> None:
    first = started(shelf)
    take(first, fire(NOW - 5 * S), fire(NOW, "end"))
    first.beat(NOW)
    before, writes = dict(shelf.kept), shelf.writes
    second = started(shelf)
    take(second, fire(NOW - 5 * S), fire(NOW, "end"))
    second.beat(NOW)
    assert (shelf.kept, shelf.writes) == (before, writes)


def test_cleared_alarms_leave_after_their_time(worker: AlarmWorker, shelf: Shelf) -> None:
    take(worker, fire(NOW), fire(NOW + S, "end"))
    worker.beat(NOW + S)
    worker.beat(NOW + 600 * S)
    assert len(shelf.kept) == 1
    worker.beat(NOW + 662 * S)
    assert shelf.kept == {}


def test_a_camera_long_offline_is_found_at_the_first_start(shelf: Shelf) -> None:
    shelf.known = [CameraStatus(camera_id="cam", measured_ms=NOW - 10**7, received_ms=1, online=False)]
    worker = started(shelf)
    worker.beat(NOW)
    assert [alarm.rule for alarm in shelf.kept.values()] == ["camera_offline"]


def test_a_state_of_another_version_is_left_behind(shelf: Shelf) -> None:
    assert started(shelf, b'{"fuel_drop": 5}').state() == started(shelf).state()


def test_a_reject_stream_near_its_bound_is_an_alarm_until_it_is_emptied(worker: AlarmWorker, shelf: Shelf) -> None:
    worker.beat(NOW)
    assert shelf.kept == {}
    shelf.rejects_bytes = 60 << 20
    worker.beat(NOW + S)
    assert [(alarm.rule, alarm.cleared_ms) for alarm in shelf.kept.values()] == [("rejects_full", None)]
    shelf.rejects_bytes = 10 << 20
    worker.beat(NOW + 2 * S)
    assert [alarm.cleared_ms for alarm in shelf.kept.values()] == [NOW + 2 * S]
