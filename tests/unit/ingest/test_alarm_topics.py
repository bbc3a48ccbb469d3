"""Alarms on topics of their own: what is announced is there, what is not is empty, whatever fails in between."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from city.alarms import Alarm, AlarmPriority, AlarmState, Hold
from city.store import Store, StoreDown
from ingest.alarm_topics import AlarmTopics, topic_of
from ingest.paho_publisher import NotPublished

FRESH = Alarm(id="fire:cam", rule="fire", priority=AlarmPriority.HIGH, source_kind="camera", source_id="cam")
STANDS = replace(
    FRESH, state=AlarmState.UNACKNOWLEDGED, condition=AlarmState.UNACKNOWLEDGED, active=True, raised_ms=1, version=1
)
OVER = replace(FRESH, version=2)
TOPIC = "markaz/v1/tashkent/alarm/fire:cam"


class Shelf(Store):
    """A store in memory, as far as the topics ask it."""

    def __init__(self) -> None:
        self.kept: dict[str, Alarm] = {}
        self.changes: list[Alarm] = []
        self.state: bytes | None = None
        self.down = self.full = False  # full: it answers, and takes nothing
        self.saves = 0

    def change(self, *alarms: Alarm) -> None:
        self.kept.update({alarm.id: alarm for alarm in alarms})
        self.changes += alarms

    def _answer(self) -> None:
        if self.down:
            raise StoreDown("gone")

    def alarms(self) -> list[Alarm]:
        self._answer()
        return list(self.kept.values())

    def alarm_tip(self) -> str:
        self._answer()
        return str(len(self.changes))

    def read_alarms(self, cursor: str, *, block_ms: int) -> tuple[str, list[Alarm]]:
        self._answer()
        return str(len(self.changes)), self.changes[int(cursor) :]

    def checkpoint(self, worker: str) -> tuple[dict[int, str], bytes | None]:
        self._answer()
        return {}, self.state

    def save_checkpoint(self, worker: str, cursors: Mapping[int, str], state: bytes) -> None:
        self._answer()
        if self.full:
            raise StoreDown("OOM")
        self.state = state
        self.saves += 1


class Broker:
    """Retained messages by topic. `takes`: how many more messages before it is lost."""

    def __init__(self) -> None:
        self.topics: dict[str, bytes] = {}
        self.connected = False
        self.away = False
        self.takes = 10**9
        self.sent = 0

    def connect(self) -> None:
        if self.away:
            raise NotPublished("refused")
        self.connected = True

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        for topic, payload in messages:
            if not self.connected or self.takes <= 0:
                self.connected = False
                raise NotPublished("lost")
            self.takes -= 1
            self.sent += 1
            if payload:
                self.topics[topic] = payload
            else:
                self.topics.pop(topic, None)

    def close(self) -> None:
        self.connected = False


def turns(topics: AlarmTopics, count: int = 3) -> None:
    for _ in range(count):
        topics.turn()


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def broker() -> Broker:
    return Broker()


def test_an_alarm_is_told_as_the_api_tells_it_and_its_topic_emptied_when_it_is_over(
    shelf: Shelf, broker: Broker
) -> None:
    topics = AlarmTopics(shelf, broker, "tashkent")
    turns(topics)
    assert broker.topics == {}
    shelf.change(STANDS)
    turns(topics)
    told = msgspec.json.decode(broker.topics[TOPIC])
    assert (told["id"], told["state"], told["raised_at"]) == ("fire:cam", "unacknowledged", "1970-01-01T00:00:00.001Z")
    shelf.change(OVER)
    turns(topics)
    assert broker.topics == {}


@pytest.mark.parametrize(
    "alarm",
    [
        replace(STANDS, state=AlarmState.SHELVED, shelved=Hold(since_ms=2)),
        replace(STANDS, state=AlarmState.SUPPRESSED, suppressed=Hold(since_ms=2)),
        replace(STANDS, priority=AlarmPriority.JOURNAL),
    ],
)
def test_what_is_held_or_only_recorded_has_no_topic(shelf: Shelf, broker: Broker, alarm: Alarm) -> None:
    topics = AlarmTopics(shelf, broker, "tashkent")
    shelf.change(STANDS)
    turns(topics)
    shelf.change(alarm)
    turns(topics)
    assert broker.topics == {}


def test_a_rise_that_was_over_before_it_was_read_is_not_published_at_all(shelf: Shelf, broker: Broker) -> None:
    topics = AlarmTopics(shelf, broker, "tashkent")
    turns(topics)
    shelf.change(STANDS)
    shelf.change(OVER)
    turns(topics)
    assert broker.sent == 0


def test_started_anew_it_publishes_what_stands_and_empties_what_ended_meanwhile(shelf: Shelf, broker: Broker) -> None:
    shelf.change(STANDS, replace(STANDS, id="fire:b"))
    turns(AlarmTopics(shelf, broker, "tashkent"))
    shelf.change(OVER, replace(STANDS, id="fire:c"))
    del shelf.kept["fire:b"]
    turns(AlarmTopics(shelf, broker, "tashkent"))
    assert list(broker.topics) == ["markaz/v1/tashkent/alarm/fire:c"]


def test_a_broker_that_forgot_everything_gets_it_again(shelf: Shelf, broker: Broker) -> None:
    topics = AlarmTopics(shelf, broker, "tashkent")
    shelf.change(STANDS)
    turns(topics)
    broker.topics.clear()
    broker.connected = False
    turns(topics)
    assert list(broker.topics) == [TOPIC]


def test_turned_off_it_empties_what_it_left_and_ends(shelf: Shelf, broker: Broker) -> None:
    shelf.change(STANDS)
    turns(AlarmTopics(shelf, broker, "tashkent"))
    AlarmTopics(shelf, broker, "tashkent", wanted=False).run(threading.Event())
    assert broker.topics == {}
    broker.away = True
    AlarmTopics(shelf, broker, "tashkent", wanted=False).run(threading.Event())


def test_what_the_store_did_not_take_is_not_published_either(shelf: Shelf, broker: Broker) -> None:
    topics = AlarmTopics(shelf, broker, "tashkent")
    turns(topics)
    shelf.full = True
    shelf.change(STANDS)
    for _ in range(2):
        with pytest.raises(StoreDown):
            topics.turn()
        topics._cursor = ""
    assert broker.topics == {}
    shelf.full = False
    turns(topics)
    shelf.change(OVER)
    turns(AlarmTopics(shelf, broker, "tashkent"))
    assert broker.topics == {}


def test_the_list_of_topics_is_written_only_when_it_changes(shelf: Shelf, broker: Broker) -> None:
    topics = AlarmTopics(shelf, broker, "tashkent")
    shelf.change(STANDS)
    turns(topics)
    for version in range(2, 9):
        shelf.change(replace(STANDS, version=version))
        turns(topics)
    assert shelf.saves == 1
    shelf.change(OVER, replace(STANDS, id="fire:never", state=AlarmState.NORMAL, active=False))
    turns(topics)
    assert shelf.saves == 2


@given(
    st.lists(
        st.tuples(st.sampled_from(["stands", "over", "broker", "store", "killed"]), st.integers(0, 5)), max_size=30
    )
)
def test_whatever_fails_in_between_the_topics_come_to_what_the_alarms_are(steps: list[tuple[str, int]]) -> None:
    shelf, broker = Shelf(), Broker()
    topics = AlarmTopics(shelf, broker, "tashkent")

    def turn() -> None:
        try:
            topics.turn()
        except (NotPublished, StoreDown):
            topics._cursor = ""

    for what, number in steps:
        if what == "killed":
            topics = AlarmTopics(shelf, broker, "tashkent")
            broker.connected = False
        elif what == "broker":
            broker.takes = number  # it is lost after so many messages
        elif what == "store":
            shelf.down = not shelf.down
        else:
            shelf.change(replace(STANDS if what == "stands" else OVER, id=f"fire:{number}"))
        turn()
        if not broker.connected:
            broker.takes = 10**9
    shelf.down, broker.takes = False, 10**9
    for _ in range(4):
        turn()
    standing = {topic_of("tashkent", alarm.id) for alarm in shelf.kept.values() if alarm.announced}
    assert broker.topics.keys() == standing


@pytest.mark.parametrize(
    ("alarm_id", "level"),
    [
        ("camera_alert:cam-1|fire", "camera_alert:cam-1|fire"),
        ("geofence:a/b", "geofence:a%2Fb"),
        ("x:+#%", "x:%2B%23%25"),
        ("x:two words", "x:two%20words"),
        ("long_stop:автобус 5", "long_stop:автобус%205"),
        ("x:\x00", "x:%00"),
        ("x:\u2028", "x:%E2%80%A8"),
    ],
)
def test_only_what_a_topic_must_not_hold_is_encoded(alarm_id: str, level: str) -> None:
    assert topic_of("tashkent", alarm_id) == f"markaz/v1/tashkent/alarm/{level}"


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_an_id_can_be_read_back_from_its_topic(alarm_id: str) -> None:
    level = topic_of("t", alarm_id).removeprefix("markaz/v1/t/alarm/")
    assert unquote(level) == alarm_id
    assert not set(level) & set("+#/ \x00")


def test_ids_that_are_no_text_can_be_published_too() -> None:
    topic_of("t", "x:\ud800").encode()
