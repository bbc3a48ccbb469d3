"""What is suppressed by design: by another alarm, while it chatters, in a flood; each begins and ends as told."""

from __future__ import annotations

from datetime import UTC
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import ValidationError

from analysis.alarm_index import AlarmIndex
from analysis.alarm_states import apply
from analysis.detection import Detection
from analysis.detectors import DETECTORS
from analysis.detectors.seen import DiskSeen, FeedSeen
from analysis.schedule import Clock
from analysis.suppression import FEEDS
from city.alarms import Act, Action, Alarm, AlarmState, Transition
from city.events import CameraEvent
from city.messages import FeedCount
from city.notices import announces
from city.rules import Alarms
from city.rules.cameras import CameraAlert
from city.rules.incidents import Incidents
from city.rules.nuisance import Nuisance
from city.rules.system import FeedSilent

S = 1000
ALERT = CameraAlert(priority="low", clear_after_s=86400, suppressed_by=("feed_silent",))
SILENT = FeedSilent(silent_after_s={"camera/event": 15, "hfp": 15}, acknowledge=False)


class Watch:
    """A detection with its clock: cameras that see fires, and one feed, theirs unless said."""

    def __init__(self, alert: CameraAlert = ALERT, *, feed: str = "camera/event", **nuisance: Any) -> None:
        self.alert, self.feed, self.nuisance = alert, feed, Nuisance(**nuisance)
        self.now_s = 0
        self.spoke_s = 0
        self.speaks = True
        self.log: list[Transition] = []
        self.memory: dict[str, bytes] = {}
        self.detection = self.fresh()
        self.tick()

    def fresh(self) -> Detection:
        rules = Alarms(camera_alert=self.alert, feed_silent=SILENT)
        return Detection(rules, 80, Clock(UTC), joining=Incidents(rules={}), nuisance=self.nuisance)

    def fire(self, camera: object = "a", phase: str = "new") -> None:
        at_ms = self.now_s * S
        event = CameraEvent(camera_id=str(camera), kind="fire", phase=phase, measured_ms=at_ms, received_ms=at_ms)
        self.detection.apply([(event, False)])

    def flash(self, camera: object = "a") -> None:
        """A fire that is over at once."""
        self.fire(camera)
        self.fire(camera, "end")

    def tick(self, seconds: int = 1) -> None:
        for _ in range(seconds):
            self.now_s += 1
            self.spoke_s = self.now_s if self.speaks else self.spoke_s
            count = FeedCount(
                feed=self.feed, received=1, stored=1, late=0, rejected={}, last_received_ms=self.spoke_s * S
            )  # fmt: skip
            self.detection.tick(self.now_s * S)
            self.detection.see(FeedSeen(count=count, now_ms=self.now_s * S))

    def commit(self) -> None:
        detection = self.detection
        self.log += detection.book.transitions()
        kept, gone = detection.changed_memory()
        self.memory.update(kept)
        for name in gone:
            self.memory.pop(name, None)
        detection.written()

    def restart(self) -> None:
        self.commit()
        alarms = list(self.detection.book.alarms.values())
        self.detection = self.fresh()
        self.detection.restore(alarms, [])
        self.detection.remember(self.memory)
        self.detection.tick(self.now_s * S)

    def alarm(self, camera: object = "a") -> Alarm:
        return self.detection.book.alarms[f"camera_alert:{camera}|fire"]

    def why(self, camera: object = "a") -> str | None:
        held = self.alarm(camera).suppressed
        return held.reason if held else None

    def told(self, camera: object = "a") -> list[tuple[Action, AlarmState, str]]:
        self.commit()
        return [(one.action, one.after, one.reason) for one in self.log if one.alarm == f"camera_alert:{camera}|fire"]


def test_what_rises_while_another_alarm_explains_it_is_not_announced_for_a_moment() -> None:
    watch = Watch()
    watch.speaks = False
    watch.tick(16)
    watch.fire()
    assert watch.told() == [
        (Action.SUPPRESS, AlarmState.SUPPRESSED, "feed_silent"),
        (Action.RISE, AlarmState.SUPPRESSED, ""),
    ]
    watch.speaks = True
    watch.tick()
    assert watch.told()[2:] == [(Action.UNSUPPRESS, AlarmState.UNACKNOWLEDGED, "")]


def test_what_stands_already_is_suppressed_and_what_has_ended_stays_as_it_is() -> None:
    watch = Watch()
    watch.fire("stands")
    watch.flash("over")
    watch.speaks = False
    watch.tick(16)
    assert (watch.why("stands"), watch.why("over")) == ("feed_silent", None)
    assert watch.alarm("over").state is AlarmState.RETURNED_UNACKNOWLEDGED
    watch.fire("stands", "end")
    assert watch.why("stands") == "feed_silent"
    watch.speaks = True
    watch.tick()
    assert watch.alarm("stands").state is AlarmState.NORMAL


def test_a_silent_feed_explains_nothing_that_it_does_not_bring() -> None:
    watch = Watch(feed="hfp")
    watch.fire("before")
    watch.speaks = False
    watch.tick(16)
    watch.fire("after")
    assert watch.detection.book.index.explaining("feed_silent") == {"hfp": {"feed_silent:hfp": None}}
    assert (watch.why("before"), watch.why("after")) == (None, None)


def test_detectors_of_data_know_feeds_that_bring_it() -> None:
    brought = {one.rule for one in DETECTORS if any(FEEDS.get(kind) for kind in one.takes)}
    defaults = Alarms()
    assert {name for name in Alarms.model_fields if getattr(defaults, name).suppressed_by} <= brought
    explained = Detection(defaults, 80, Clock(UTC)).suppression.feeds
    assert "gtfs_rt/alert" not in set().union(*explained.values())
    assert explained["vehicle_silent"] >= {"vehicle/position", "hfp", "owntracks"}
    assert explained["network_failure_local"] == explained["sensor_missing"] == {"sensor/reading"}


@pytest.mark.parametrize(
    ("hold", "back"), [(Action.SHELVE, Action.UNSHELVE), (Action.REMOVE_FROM_SERVICE, Action.RETURN_TO_SERVICE)]
)
def test_a_cause_that_is_put_away_explains_nothing_until_it_comes_back(hold: Action, back: Action) -> None:
    watch = Watch()
    watch.fire("stands")
    watch.speaks = False
    watch.tick(16)
    book, at_ms = watch.detection.book, watch.now_s * S
    watch.commit()
    book.act(
        book.alarms["feed_silent:camera/event"],
        Act(action=hold, at_ms=at_ms, by="anvar", reason="works", until_ms=at_ms + 30 * S),
    )
    watch.tick()
    watch.fire("new")
    assert (watch.why("stands"), watch.why("new")) == (None, None)
    assert watch.alarm("stands").state is AlarmState.UNACKNOWLEDGED
    watch.tick(30)
    assert (watch.why("stands"), watch.why("new")) == ("feed_silent", "feed_silent")
    watch.commit()
    assert back in [one.action for one in watch.log]


def test_what_the_operator_did_to_a_cause_is_learned_from_the_store() -> None:
    watch = Watch()
    watch.fire()
    watch.speaks = False
    watch.tick(16)
    watch.commit()
    cause = watch.detection.book.alarms["feed_silent:camera/event"]
    away = Act(action=Action.SHELVE, at_ms=watch.now_s * S, by="anvar", reason="works", until_ms=10**9)
    watch.detection.learn([apply(cause, away)], [])
    watch.tick()
    assert watch.why() is None


def test_a_cause_that_another_explains_does_not_explain_others() -> None:
    rules = Alarms(
        camera_alert=ALERT,
        feed_silent=FeedSilent(silent_after_s={"camera/event": 15}, suppressed_by=("disk_full",)),
    )
    watch = Watch()
    watch.detection = Detection(rules, 80, Clock(UTC), joining=Incidents(rules={}))
    watch.tick()
    watch.fire()
    watch.speaks = False
    watch.tick(16)
    assert watch.why() == "feed_silent"
    watch.detection.see(DiskSeen(free_bytes=1, total_bytes=10**12, now_ms=watch.now_s * S))
    assert watch.detection.book.alarms["feed_silent:camera/event"].state is AlarmState.SUPPRESSED
    assert watch.why() is None


def test_the_third_rise_within_a_minute_is_announced_no_more() -> None:
    watch = Watch()
    for _ in range(3):
        watch.flash()
        watch.tick(30)
    assert [announces(one) for one in watch.log + list(watch.detection.book.transitions())].count(True) == 2
    assert watch.why() == "chattering"
    slow = Watch()
    for _ in range(5):
        slow.flash()
        slow.tick(31)
    assert slow.why() is None


def test_one_that_chatters_is_announced_again_when_it_was_quiet() -> None:
    watch = Watch()
    for _ in range(3):
        watch.flash()
        watch.tick()
    watch.tick(200)
    watch.fire()
    watch.tick(299)
    assert watch.why() == "chattering", "it rose since"
    watch.tick(2)
    assert watch.alarm().state is AlarmState.UNACKNOWLEDGED
    watch.fire("a", "end")
    watch.flash()
    assert watch.why() is None, "it begins anew"


def test_a_priority_that_is_left_out_may_chatter() -> None:
    watch = Watch(chatter_suppresses=["high"])
    for _ in range(5):
        watch.flash()
        watch.tick()
    assert watch.why() is None


def flood(watch: Watch, count: int = 11) -> None:
    for number in range(count):
        watch.fire(f"f{number}")


def test_more_than_ten_announcements_are_a_flood_and_what_rises_in_it_waits() -> None:
    watch = Watch()
    flood(watch, 10)
    watch.fire("eleventh")
    assert watch.why("eleventh") is None
    watch.fire("late")
    assert watch.why("late") == "flood"
    assert watch.why("f3") is None, "what was announced before stays"
    watch.tick(590)
    assert watch.why("late") == "flood"
    watch.tick(20)
    assert watch.alarm("late").state is AlarmState.UNACKNOWLEDGED


def test_slow_alarms_are_no_flood() -> None:
    watch = Watch()
    for number in range(30):
        watch.fire(number)
        watch.tick(61)
    assert all(watch.why(number) is None for number in range(30))


def test_a_flood_goes_on_while_five_alarms_come_in_ten_minutes() -> None:
    watch = Watch(flood_suppresses=["medium"])
    flood(watch)
    for number in range(20):
        watch.tick(100)
        watch.fire(f"more{number}")
    assert watch.detection.suppression.in_flood
    watch.tick(700)
    assert not watch.detection.suppression.in_flood


@pytest.mark.parametrize("priority", ["medium", "high", "critical"])
def test_what_matters_more_is_announced_in_a_flood_too(priority: Any) -> None:
    watch = Watch(CameraAlert(priority=priority))
    flood(watch)
    watch.fire("late")
    assert watch.why("late") is None


def test_the_next_reason_takes_over_when_the_first_one_ends() -> None:
    watch = Watch()
    flood(watch)
    watch.speaks = False
    watch.tick(16)
    watch.fire("late")
    for _ in range(2):
        watch.fire("late", "end")
        watch.tick()
        watch.fire("late")
    assert watch.why("late") == "feed_silent"
    watch.speaks = True
    watch.tick()
    assert watch.why("late") == "chattering"
    watch.tick(300)
    assert watch.why("late") == "flood"
    watch.tick(300)
    assert watch.why("late") is None


def test_the_operators_shelf_and_the_suppression_hold_apart() -> None:
    watch = Watch()
    for _ in range(3):
        watch.fire("a", "end")
        watch.tick()
        watch.fire()
    alarm = watch.alarm()
    until_ms = (watch.now_s + 30) * S
    shelve = Act(action=Action.SHELVE, at_ms=watch.now_s * S, by="anvar", reason="drill", until_ms=until_ms)
    watch.detection.book.act(alarm, shelve)
    watch.tick(31)
    assert (watch.alarm().state, watch.alarm().shelved) == (AlarmState.SUPPRESSED, None)


def test_a_restart_changes_nothing() -> None:
    watch = Watch()
    flood(watch)
    for _ in range(2):
        watch.flash("chatters")
        watch.tick()
        watch.restart()
    watch.flash("chatters")
    assert watch.why("chatters") == "chattering"
    watch.fire("late")
    watch.restart()
    watch.fire("later")
    assert (watch.why("late"), watch.why("later")) == ("flood", "flood")
    watch.tick(299)
    watch.restart()
    assert watch.why("chatters") == "chattering"
    watch.tick(2)
    assert watch.why("chatters") == "flood"
    watch.tick(320)
    assert (watch.why("late"), watch.why("later")) == (None, None)
    watch.commit()
    assert [name for name in watch.memory if name.startswith("nuisance:")] == ["nuisance:flood"]


def test_a_reason_that_the_settings_took_away_ends_at_the_next_tick() -> None:
    watch = Watch()
    watch.speaks = False
    watch.tick(16)
    watch.fire()
    watch.commit()
    held = [alarm for alarm in watch.detection.book.alarms.values() if alarm.rule == "camera_alert"]
    watch.detection = watch.fresh()
    watch.detection.restore(held, [])
    watch.detection.tick(watch.now_s * S)
    assert watch.why() is None


def test_a_flood_may_not_end_above_its_beginning() -> None:
    with pytest.raises(ValidationError, match="flood_clear"):
        Nuisance(flood_rises=3, flood_clear=4)


class Sequences(RuleBasedStateMachine):
    """Any order of rises, returns, silences, shelves and restarts."""

    def __init__(self) -> None:
        super().__init__()
        self.watch = Watch(chatter_quiet_s=120, flood_rises=4, flood_window_s=100, flood_clear=2)

    @rule(camera=st.sampled_from("abcdefgh"), phase=st.sampled_from(["new", "end"]))
    def sees(self, camera: str, phase: str) -> None:
        self.watch.fire(camera, phase)

    @rule(seconds=st.sampled_from([1, 5, 20, 70]))
    def time_passes(self, seconds: int) -> None:
        self.watch.tick(seconds)

    @rule()
    def the_feed_falls_silent_or_speaks(self) -> None:
        self.watch.speaks = not self.watch.speaks

    @rule(camera=st.sampled_from("abcdefgh"))
    def is_shelved(self, camera: str) -> None:
        alarm = self.watch.detection.book.alarms.get(f"camera_alert:{camera}|fire")
        if alarm is not None:
            at_ms = self.watch.now_s * S
            act = Act(action=Action.SHELVE, at_ms=at_ms, by="anvar", reason="drill", until_ms=at_ms + 30 * S)
            self.watch.detection.book.act(alarm, act)

    @rule()
    def restarts(self) -> None:
        self.watch.restart()

    @invariant()
    def the_index_knows_what_a_walk_over_all_alarms_finds(self) -> None:
        book = self.watch.detection.book
        walked = AlarmIndex()
        for alarm in book.alarms.values():
            walked.moved(None, alarm)
        for name in ("camera_alert", "feed_silent"):
            assert sorted(book.index.standing(name)) == sorted(walked.standing(name))
        assert sorted(book.index.reasons()) == sorted(walked.reasons())
        for reason in walked.reasons():
            assert sorted(book.index.suppressed(reason)) == sorted(walked.suppressed(reason))
        assert book.index.timed() == walked.timed()

    @invariant()
    def what_stands_while_the_feed_is_silent_is_suppressed_by_that(self) -> None:
        detection = self.watch.detection
        silent = bool(detection.book.index.explaining("feed_silent"))
        for name in detection.book.index.standing("camera_alert"):
            held = detection.book.alarms[name].suppressed
            assert (held is not None and held.reason == "feed_silent") == silent

    @invariant()
    def no_alarm_rises_before_the_operator_three_times_in_a_minute(self) -> None:
        watch = self.watch
        watch.commit()
        rises: dict[str, list[int]] = {}
        for one in watch.log:
            if one.action is Action.RISE and announces(one):
                rises.setdefault(one.alarm, []).append(one.at_ms)
        for times in rises.values():
            assert all(later - first > 60 * S for first, later in zip(times, times[2:], strict=False))

    def teardown(self) -> None:
        watch = self.watch
        watch.speaks = True
        watch.tick(300)
        held = [alarm.id for alarm in watch.detection.book.alarms.values() if alarm.suppressed is not None]
        assert held == [], "everything ends"


TestSequences = Sequences.TestCase
TestSequences.settings = settings(max_examples=30, stateful_step_count=30, deadline=None)
