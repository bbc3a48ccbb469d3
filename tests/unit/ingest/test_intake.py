"""The queue between broker and store: its bounds, its batches, and when a message is acknowledged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from played_store import NOW, Fault, PlayedStore
from structlog.testing import capture_logs

import ingest.intake
import ingest.session
from city.areas import Areas
from city.config import Config, load_config
from city.messages import Received
from ingest.figures import Figures
from ingest.intake import Intake
from ingest.pipeline import Pipeline

ROOT = Path(__file__).resolve().parents[3]
CONFIG = load_config(ROOT / "config.yaml", {})


class Clock:
    """The monotonic clock of the intake, in seconds; sleeping moves it on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    one = Clock()
    for module in (ingest.intake, ingest.session):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=one.monotonic, sleep=one.sleep))
    return one


class Rig:
    """An intake on a played store, and what it acknowledged."""

    def __init__(self, **settings: int) -> None:
        given = {"batch_max": 10, "batch_window_ms": 5, "queue_max": 1000} | settings
        config: Config = CONFIG.model_copy(update={"ingest": CONFIG.ingest.model_copy(update=given)})
        self.store = PlayedStore()
        self.acknowledged: list[int] = []
        self.figures = Figures("worker", NOW)
        self.intake = Intake(
            Pipeline(config, Areas([]), self.store),  # type: ignore[arg-type]
            config.ingest,
            self.figures,
            store_url="redis://user:secret@store:6379/0",
            clock_ms=lambda: NOW,
            acknowledge=self._acknowledge,
        )
        assert self.intake.resume()

    def _acknowledge(self, messages: Sequence[Received]) -> None:
        stored = {reading.message.packet_id for reading in self.store.readings}
        stored |= {reject.message.packet_id for reject in self.store.rejects}
        assert {message.packet_id for message in messages} <= stored, "acknowledged before it is stored"
        self.acknowledged += [message.packet_id for message in messages]


@pytest.fixture
def rig(clock: Clock) -> Rig:
    return Rig()


def messages(first: int, last: int, *, connection: int = 1, size: int = 0) -> list[Received]:
    """Fixes with the packet ids `first` to `last`, and `size` bytes beside what they say."""
    return [
        Received(
            f"markaz/v1/tashkent/vehicle/v{packet_id % 7}/position",
            json.dumps({"ts": NOW + packet_id, "lat": 41.3, "lon": 69.2, "pad": "x" * size}).encode(),
            NOW,
            packet_id=packet_id,
            connection=connection,
        )
        for packet_id in range(first, last + 1)
    ]


def test_a_batch_goes_off_when_its_window_is_over(rig: Rig, clock: Clock) -> None:
    assert rig.intake.due_in_s() is None
    rig.intake.offer(messages(1, 3))
    assert rig.intake.due_in_s() == pytest.approx(0.005)
    clock.now += 0.002
    rig.intake.offer(messages(4, 5))
    assert rig.intake.due_in_s() == pytest.approx(0.003), "the first one's window"
    rig.intake.work()
    assert rig.store.numbers == []
    clock.now += 0.003
    rig.intake.work()
    assert (rig.intake.queued, rig.intake.in_hand) == (0, 5)
    rig.intake.work()
    assert rig.acknowledged == [1, 2, 3, 4, 5]
    assert len(rig.intake) == 0


def test_a_full_batch_goes_off_at_once_and_the_rest_waits(rig: Rig, clock: Clock) -> None:
    rig.intake.offer(messages(1, 13))
    assert rig.intake.due_in_s() == 0
    rig.intake.work()
    assert (rig.intake.queued, rig.intake.in_hand) == (3, 10)
    assert rig.intake.due_in_s() == pytest.approx(0.005)


def test_two_batches_are_on_their_way_and_no_third(rig: Rig, clock: Clock) -> None:
    rig.store.silent = True
    rig.intake.offer(messages(1, 35))
    rig.intake.work()
    assert (rig.intake.queued, rig.intake.in_hand) == (15, 20)
    assert rig.intake.due_in_s() is None, "only answers are awaited"
    assert rig.acknowledged == []
    rig.store.silent = False
    rig.intake.work()
    assert rig.acknowledged == list(range(1, 21))
    assert (rig.intake.queued, rig.intake.in_hand) == (5, 10)


def test_the_queue_is_full_by_the_number_of_messages_that_the_store_does_not_have(rig: Rig, clock: Clock) -> None:
    rig.store.silent = True
    rig.intake.offer(messages(1, 999))
    assert not rig.intake.full
    rig.intake.work()
    rig.intake.offer(messages(1000, 1000))
    assert rig.intake.full, "what is on its way counts"
    rig.store.silent = False
    rig.intake.work()
    assert not rig.intake.full


def test_the_queue_is_full_by_bytes_too_and_they_are_given_back(clock: Clock) -> None:
    rig = Rig(queue_max_bytes=1_000_000, batch_max=100)
    rig.store.silent = True
    rig.intake.offer(messages(1, 20, size=60_000))
    assert rig.intake.full
    rig.intake.offer(messages(21, 40, connection=2, size=60_000))
    rig.intake.forget_before(2)
    assert rig.intake.queued == 20
    clock.now += 1
    rig.intake.work()
    assert rig.intake.full, "bytes on their way count"
    rig.store.silent = False
    rig.intake.work()
    assert not rig.intake.full
    assert rig.intake._bytes == 0
    assert rig.acknowledged == list(range(21, 41))


def test_rejects_are_acknowledged_in_their_place(rig: Rig, clock: Clock) -> None:
    bad = Received("markaz/v1/tashkent/vehicle/v/position", b"{", NOW, packet_id=2, connection=1)
    rig.intake.offer([*messages(1, 1), bad, *messages(3, 3)])
    rig.intake.finish(clock.now + 1)
    clock.now += 1
    rig.intake.work()
    rig.intake.work()
    assert rig.acknowledged == [1, 2, 3]


def test_while_the_store_is_away_all_waits_and_nothing_is_acknowledged(rig: Rig, clock: Clock) -> None:
    rig.store.down = True
    with capture_logs() as logs:
        rig.intake.offer(messages(1, 15))
        for _ in range(20):
            rig.intake.work()
            assert not rig.intake.store_up
            due_in_s = rig.intake.due_in_s()
            assert due_in_s is not None
            assert 0 < due_in_s <= 1.0, "tried again within a second, and not before"
            clock.now += due_in_s
        assert len(rig.intake) == 15
        assert rig.acknowledged == []
        rig.store.down = False
        rig.intake.work()
        assert rig.intake.store_up
        clock.now += 0.005
        for _ in range(3):
            rig.intake.work()
    assert rig.acknowledged == list(range(1, 16))
    assert [log["event"] for log in logs] == ["waiting_for_store", "store_back"]
    assert logs[0]["store"] == "store:6379", "and no password"


def test_a_batch_that_was_stored_is_acknowledged_although_the_next_one_is_lost(rig: Rig, clock: Clock) -> None:
    rig.store.faults.extend([None, Fault.NOT_ANSWERED, Fault.NOT_SENT])
    rig.intake.offer(messages(1, 20))
    rig.intake.work()
    rig.intake.work()
    assert rig.acknowledged == list(range(1, 11))
    for _ in range(5):
        clock.now += 1
        rig.intake.work()
    assert rig.acknowledged == list(range(1, 21))
    assert len(rig.intake) == 0


def test_what_the_broker_will_send_again_is_dropped_from_the_queue_and_not_from_what_is_on_its_way(
    rig: Rig, clock: Clock
) -> None:
    rig.store.silent = True
    rig.intake.offer(messages(1, 10))
    rig.intake.work()
    without_id = Received("markaz/v1/tashkent/vehicle/v/position", b"{", NOW, connection=1)
    rig.intake.offer([*messages(11, 14), without_id, *messages(15, 16, connection=2)])
    rig.intake.forget_before(2)
    assert (rig.intake.queued, rig.intake.in_hand) == (3, 10), "a message of QoS 0 comes only once"
    rig.store.silent = False
    clock.now += 1
    rig.store.lately = set()
    rig.intake.work()
    rig.intake.work()
    assert len(rig.intake) == 0
    assert [one for one in rig.acknowledged if one] == [*range(1, 11), 15, 16]


def test_finishing_stores_what_is_in_hand_and_leaves_the_queue_to_the_broker(rig: Rig, clock: Clock) -> None:
    rig.store.silent = True
    rig.intake.offer(messages(1, 30))
    rig.intake.work()
    rig.store.faults.append(Fault.NOT_SENT)
    rig.store.hang_up()
    rig.intake._pipeline.writer._all_unanswered()
    rig.intake.finish(clock.now + 5)
    assert rig.acknowledged == list(range(1, 21))
    assert (rig.intake.queued, rig.intake.in_hand) == (10, 0)


def test_finishing_waits_no_longer_than_it_may_for_a_store_that_is_away(rig: Rig, clock: Clock) -> None:
    rig.store.down = True
    rig.intake.offer(messages(1, 10))
    rig.intake.work()
    until = clock.now + 5
    rig.intake.finish(until)
    assert clock.now == pytest.approx(until, abs=0.01)
    assert len(rig.intake) == 10
    assert rig.acknowledged == []


def test_a_store_lost_between_the_steps_is_asked_again_for_the_same_batch(rig: Rig, clock: Clock) -> None:
    """A fuel level in per cent makes the step `recall` ask the store for the tank's size."""
    fuel = Received(
        "markaz/v1/tashkent/vehicle/v/fuel",
        json.dumps({"ts": NOW, "level_pct": 50}).encode(),
        NOW,
        packet_id=1,
        connection=1,
    )
    rig.store.down = True
    rig.intake.offer([fuel])
    clock.now += 1
    rig.intake.work()
    assert (rig.intake.queued, rig.intake.in_hand) == (0, 1)
    rig.intake.finish(clock.now + 0.5)
    assert rig.acknowledged == []
    rig.store.down = False
    rig.intake.finish(clock.now + 5)
    assert rig.acknowledged == [1]


def test_a_store_that_is_away_at_the_start_is_waited_for(rig: Rig, clock: Clock) -> None:
    rig.store.down = True
    assert not rig.intake.resume()
    assert rig.intake.wait.until > clock.now
    rig.store.down = False
    assert rig.intake.resume()
    assert rig.intake.store_up


def test_a_worker_alone_has_counted_what_it_took(rig: Rig, clock: Clock) -> None:
    rig.intake.offer(messages(1, 25))
    for _ in range(5):
        clock.now += 1
        rig.intake.work()
    assert (rig.figures.received, rig.figures.batches) == (25, 3)


STEPS = st.lists(
    st.tuples(
        st.integers(0, 25),  # messages that come
        st.none() | st.sampled_from(Fault),  # what befalls the next sending
        st.booleans(),  # whether the broker connects anew and sends again what it has no word of
        st.floats(0, 2),  # seconds
    ),
    max_size=25,
)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_whatever_fails_every_message_is_stored_once_and_acknowledged_after(
    steps: list[tuple[int, Fault | None, bool, float]],
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        clock = Clock()
        for module in (ingest.intake, ingest.session):
            patched.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=clock.sleep))
        rig = Rig()
        connection, sent = 1, 0
        for count, fault, anew, seconds in steps:
            if anew:
                connection += 1
                rig.intake.forget_before(connection)
                unheard = [n for n in range(1, sent + 1) if n not in rig.acknowledged]
                again = [one for n in unheard for one in messages(n, n, connection=connection)]
                rig.intake.offer([structs.replace(one, again=True) for one in again])
            rig.intake.offer(messages(sent + 1, sent + count, connection=connection))
            sent += count
            rig.store.faults.append(fault)
            clock.now += seconds
            rig.intake.work()
        for _ in range(300):
            clock.now += 1
            rig.intake.work()
        assert len(rig.intake) == rig.intake._bytes == 0
        assert sorted(reading.message.packet_id for reading in rig.store.readings) == list(range(1, sent + 1))
        assert set(rig.acknowledged) == set(range(1, sent + 1))
        assert rig.store.looked_at == [], "sent again is no duplicate"
