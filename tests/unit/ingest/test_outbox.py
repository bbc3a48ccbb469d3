"""The outbox against receivers and a store that fail and come back: in order, nothing lost, nobody held up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from city.alarms import Alarm, AlarmPriority
from city.notices import Notice, Sending
from city.store import StoreDown
from ingest.outbox import REFUSED_TRIES, NotSent, Outbox, Queued, Refused, Stopped, pause_s, warn_of_left

ALARM = Alarm(id="r:k", rule="r", priority=AlarmPriority.HIGH, source_kind="sensor", source_id="k")
SETTINGS = Sending(at_once=4, retry_min_s=2, retry_max_s=60)


def notice(receiver: str, number: int) -> Notice:
    return Notice(id=f"{receiver}-{number}", receiver=receiver, alarm=ALARM, at_ms=number)


class Queues:
    """The store, in memory."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Queued]] = {}
        self.refused: list[tuple[str, str]] = []
        self.down = False
        self._entries = 0

    def add(self, *notices: Notice) -> None:
        for one in notices:
            self._entries += 1
            self.waiting.setdefault(one.receiver, []).append(Queued(str(self._entries), one))

    def outbox_heads(self, receivers: Sequence[str]) -> Mapping[str, Queued]:
        if self.down:
            raise StoreDown("away")
        return {name: self.waiting[name][0] for name in receivers if self.waiting.get(name)}

    def outbox_drop(self, receiver: str, entry: str, *, refused: str = "") -> None:
        if self.down:
            raise StoreDown("away")
        dropped = [one for one in self.waiting[receiver] if one.entry == entry]
        self.waiting[receiver] = [one for one in self.waiting[receiver] if one.entry != entry]
        self.refused += [(one.notice.id, refused) for one in dropped if refused]


class Friend:
    """A receiver that answers as it is told: `answers[n]` to the n-th message, None is thanks."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.got: list[str] = []
        self.seen: list[str] = []
        self.at_once = self.most_at_once = 0
        self.gate: threading.Event | None = None

    def send(self, notice: Notice) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate is not None:
                assert self.gate.wait(10)
            self.seen.append(notice.id)
            answer = self.answers.pop(0) if self.answers else None
            if answer is not None:
                raise answer
            self.got.append(notice.id)
        finally:
            self.at_once -= 1


class Post:
    """An outbox with its clock."""

    def __init__(self, queues: Queues, settings: Sending = SETTINGS, **friends: Friend) -> None:
        self.outbox = Outbox(queues, friends, settings, chance=lambda: 1.0)
        self.now_ms = 1_000_000

    def beat(self) -> None:
        """Begin what is due and wait for it."""
        self.outbox.beat(self.now_ms)
        for future in list(self.outbox._futures):
            future.exception(10)

    def pass_s(self, seconds: float, step_s: float = 1) -> None:
        for _ in range(round(seconds / step_s)):
            self.beat()
            self.now_ms += round(step_s * 1000)
        self.beat()


def test_each_receiver_gets_its_notices_in_order() -> None:
    queues, a, b = Queues(), Friend(), Friend()
    queues.add(*(notice(name, number) for number in range(5) for name in ("a", "b")))
    Post(queues, a=a, b=b).pass_s(10)
    assert a.got == [f"a-{number}" for number in range(5)]
    assert b.got == [f"b-{number}" for number in range(5)]
    assert not any(queues.waiting.values())


def test_what_fails_is_tried_again_after_growing_pauses_and_before_what_follows() -> None:
    queues, a = Queues(), Friend(*[NotSent("answered 503")] * 4)
    queues.add(notice("a", 1), notice("a", 2))
    post = Post(queues, a=a)
    tries: list[int] = []
    for second in range(60):
        before = len(a.seen)
        post.beat()
        tries += [second] * (len(a.seen) - before)
        post.now_ms += 1000
    # Seen a beat after the failure: pauses of 2, 4, 8 and 16 s, each a second late at most.
    assert a.seen == ["a-1"] * 5 + ["a-2"]
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert [round(pause) for pause in pauses[:4]] == [3, 5, 9, 17]
    assert a.got == ["a-1", "a-2"]


def test_a_receiver_that_is_away_for_days_gets_everything_in_the_end() -> None:
    queues, a = Queues(), Friend(*[NotSent("refused")] * 3000)
    queues.add(*(notice("a", number) for number in range(3)))
    post = Post(queues, a=a)
    post.pass_s(2 * 86400, step_s=60)
    assert a.got == []
    assert len(queues.waiting["a"]) == 3
    state = post.outbox.states()["a"]
    assert (state.error, state.failing_since_ms is not None) == ("refused", True)
    a.answers.clear()
    post.pass_s(200, step_s=20)
    assert a.got == ["a-0", "a-1", "a-2"]
    assert post.outbox.states()["a"].error == ""


def test_one_that_fails_or_hangs_holds_up_nobody() -> None:
    queues, sick, slow, well = Queues(), Friend(*[NotSent("no")] * 99), Friend(), Friend()
    slow.gate = threading.Event()
    queues.add(*(notice(name, number) for number in range(3) for name in ("sick", "slow", "well")))
    outbox = Outbox(queues, {"sick": sick, "slow": slow, "well": well}, SETTINGS, chance=lambda: 1.0)
    done = threading.Event()
    thread = threading.Thread(target=outbox.run, args=(done,))
    thread.start()
    until(lambda: well.got == ["well-0", "well-1", "well-2"])
    assert slow.got == []
    slow.gate.set()
    until(lambda: slow.got == ["slow-0", "slow-1", "slow-2"])
    done.set()
    thread.join(10)
    assert not thread.is_alive()


def until(true: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if true():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come true in 10 s")


def test_never_more_at_once_than_allowed_and_never_two_to_one_receiver() -> None:
    queues, gate = Queues(), threading.Event()
    friends = {f"r{number}": Friend() for number in range(6)}
    for name, friend in friends.items():
        friend.gate = gate
        queues.add(notice(name, 1), notice(name, 2))
    outbox = Outbox(queues, friends, Sending(at_once=2), chance=lambda: 1.0)
    for second in range(5):
        outbox.beat(second * 1000)
        assert sum(friend.at_once for friend in friends.values()) <= 2
        assert len(outbox._futures) == 2
    gate.set()
    for second in range(5, 200):
        outbox.beat(second * 1000)
        for future in list(outbox._futures):
            future.exception(10)
    assert all(friend.most_at_once == 1 and len(friend.got) == 2 for friend in friends.values())


def test_a_long_queue_does_not_keep_the_threads_to_itself() -> None:
    queues, long, short = Queues(), Friend(), Friend()
    queues.add(*(notice("long", number) for number in range(100)), notice("short", 1))
    post = Post(queues, Sending(at_once=1), long=long, short=short)
    post.pass_s(3)
    assert short.got == ["short-1"]


def test_410_stops_a_receiver_and_keeps_what_waits() -> None:
    queues, a, b = Queues(), Friend(Stopped("410: wants nothing")), Friend()
    queues.add(notice("a", 1), notice("a", 2), notice("b", 1))
    post = Post(queues, a=a, b=b)
    post.pass_s(600)
    assert a.seen == ["a-1"]
    assert post.outbox.states()["a"].stopped == "410: wants nothing"
    assert [one.notice.id for one in queues.waiting["a"]] == ["a-1", "a-2"]
    assert b.got == ["b-1"]


def test_one_that_is_called_wrong_again_and_again_is_put_aside_and_kept() -> None:
    queues, a = Queues(), Friend(*[Refused("answered 422")] * REFUSED_TRIES)
    queues.add(notice("a", 1), notice("a", 2))
    Post(queues, a=a).pass_s(300)
    assert queues.refused == [("a-1", "answered 422")]
    assert a.got == ["a-2"]


def test_only_refusals_running_put_a_message_aside() -> None:
    queues, away, refused = Queues(), NotSent("answered 503"), Refused("answered 422")
    a = Friend(*[away] * 10, refused, *[refused] * (REFUSED_TRIES - 2), away, *[refused] * (REFUSED_TRIES - 1))
    queues.add(notice("a", 1))
    Post(queues, a=a).pass_s(3000)
    assert queues.refused == []
    assert a.got == ["a-1"]


def test_a_clock_set_back_makes_no_pause_longer() -> None:
    queues, a = Queues(), Friend(NotSent("answered 503"))
    queues.add(notice("a", 1))
    post = Post(queues, a=a)
    post.pass_s(1)
    post.now_ms -= 86_400_000
    post.pass_s(1)
    assert a.got == ["a-1"]


class Left:
    def __init__(self, *, down: bool = False) -> None:
        self.down = down

    def outbox_left(self, receivers: Collection[str]) -> Mapping[str, int]:
        if self.down:
            raise StoreDown("away")
        return {name: count for name, count in {"gone": 7, "a": 1}.items() if name not in receivers}


def test_what_waits_for_receivers_that_are_no_more_is_told() -> None:
    with capture_logs() as logged:
        warn_of_left(Left(), {"a": Friend()})
    assert [(one["event"], one["receiver"], one["waiting"]) for one in logged] == [
        ("outbox_without_receiver", "gone", 7)
    ]
    with capture_logs() as logged:
        warn_of_left(Left(down=True), {})
    assert [one["event"] for one in logged] == ["outbox_left_unknown"]


def test_a_fault_of_ours_is_tried_again_too() -> None:
    queues, a = Queues(), Friend(ValueError("a bug"))
    queues.add(notice("a", 1))
    Post(queues, a=a).pass_s(10)
    assert a.got == ["a-1"]


def test_while_the_store_is_away_nothing_is_sent_twice() -> None:
    """What was sent when it went is taken out of the queue when it is back."""
    queues, a = Queues(), Friend()
    queues.add(notice("a", 1), notice("a", 2))
    post = Post(queues, a=a)
    post.beat()
    queues.down = True
    for _ in range(5):
        with pytest.raises(StoreDown):
            post.beat()
        post.now_ms += 1000
    queues.down = False
    post.pass_s(3)
    assert a.seen == ["a-1", "a-2"]


def test_killed_before_the_store_knows_it_is_sent_again_under_the_same_id() -> None:
    queues, a = Queues(), Friend()
    queues.add(notice("a", 1))
    Post(queues, a=a).beat()
    Post(queues, a=a).pass_s(3)
    assert a.seen == ["a-1", "a-1"]
    assert queues.waiting["a"] == []


def test_a_receiver_may_ask_for_a_longer_pause() -> None:
    queues, a = Queues(), Friend(NotSent("answered 429", after_s=30))
    queues.add(notice("a", 1))
    post = Post(queues, a=a)
    post.pass_s(29)
    assert a.got == []
    post.pass_s(5)
    assert a.got == ["a-1"]


def test_a_receiver_that_is_not_in_the_settings_keeps_its_queue() -> None:
    queues, a = Queues(), Friend()
    queues.add(notice("gone", 1), notice("a", 1))
    Post(queues, a=a).pass_s(3)
    assert len(queues.waiting["gone"]) == 1


@given(st.integers(1, 10_000), st.floats(0, 1), st.none() | st.floats(0, 1e9))
def test_a_pause_is_never_longer_than_allowed_nor_shorter_than_half(
    tries: int, chance: float, asked: float | None
) -> None:
    pause = pause_s(tries, SETTINGS, chance, asked)
    assert SETTINGS.retry_min_s / 2 <= pause <= SETTINGS.retry_max_s
    assert pause_s(tries + 1, SETTINGS, chance, asked) >= pause
