"""All detectors together: the same events tell the same transitions, whatever is killed in between."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from analysis.detection import Detection
from analysis.detectors.finding import Change, Finding
from analysis.detectors.seen import FeedSeen
from analysis.schedule import Clock
from city.alarms import Act, Action, Alarm, AlarmState, Transition
from city.events import CameraEvent, CameraStatus, Case, Event, FuelReading, PassengerCount, VehiclePosition
from city.incidents import Deed, Incident, IncidentEntry
from city.messages import FeedCount
from city.rules import Alarms
from city.rules.cameras import CameraAlert, CameraOffline
from city.rules.incidents import Incidents, JoinRule
from city.rules.nuisance import Nuisance
from city.rules.rule import Hours
from city.rules.system import FeedSilent
from city.rules.transport import FuelDrop, Overload

S = 1000
RULES: dict[str, Any] = {
    "fuel_drop": FuelDrop(clear_after_s=100),
    "overload": Overload(on_delay_s=20, forget_after_s=200),
    "camera_offline": CameraOffline(on_delay_s=10),
    "camera_alert": CameraAlert(clear_after_s=40),
    "feed_silent": FeedSilent(silent_after_s={"hfp": 15}),
}

# So that alarms chatter, and come in floods, within a few minutes.
NUISANCE = Nuisance(chatter_rises=2, chatter_quiet_s=30, flood_rises=6, flood_window_s=40, flood_clear=3)
# Of one source within a minute, and the first of any that follow each other closely.
JOINING = Incidents(
    rules={
        "source": JoinRule(together=("source",), within_s=60, at_least=2),
        "kind": JoinRule(together=("rule",), within_s=20, at_least=3, cases=("*",)),
    }
)


@dataclass
class Kept:
    """What a store has after each commit: alarms, memory, and the log for ever."""

    alarms: dict[str, Alarm] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)
    entries: list[IncidentEntry] = field(default_factory=list)
    memory: dict[str, bytes] = field(default_factory=dict)
    log: list[Transition] = field(default_factory=list)
    at: int = 0

    def commit(self, detection: Detection, at: int) -> None:
        for before, after in detection.book.changes():
            one = after or before
            assert one is not None
            assert self.alarms.get(one.id) == before, "written over what the store has"
            if after is None:
                del self.alarms[one.id]
            else:
                self.alarms[one.id] = after
        self.log += detection.book.transitions()
        self.entries += detection.incidents.entries()
        for known, incident in detection.incidents.changes():
            assert self.incidents.get(incident.id) == known, "written over what the store has"
            self.incidents[incident.id] = incident
        kept, gone = detection.changed_memory()
        self.memory.update(kept)
        for name in gone:
            self.memory.pop(name, None)
        self.at = at
        detection.written()

    def start(self, **rules: Any) -> Detection:
        detection = fresh(**rules)
        detection.restore(list(self.alarms.values()), list(self.incidents.values()))
        detection.remember(self.memory)
        return detection


def feed(last_s: float, now_s: float, name: str = "hfp") -> FeedSeen:
    count = FeedCount(feed=name, received=1, stored=1, late=0, rejected={}, last_received_ms=int(last_s * S))
    return FeedSeen(count=count, now_ms=int(now_s * S))


def fresh(**rules: Any) -> Detection:
    return Detection(Alarms(**{**RULES, **rules}), 80, Clock(UTC), joining=JOINING, nuisance=NUISANCE)


def scenario(seed: int, seconds: int = 250) -> list[list[Event]]:
    """A batch of events a second: four vehicles and four cameras with everything that happens to them."""
    chance = random.Random(seed)
    level = dict.fromkeys("abcd", 200.0)
    batches: list[list[Event]] = []
    for second in range(1, seconds):
        at = {"measured_ms": second * S, "received_ms": second * S}
        batch: list[Event] = []
        for name in "abcd":
            batch.append(VehiclePosition(**at, vehicle_id=name, lat=41.3, lon=69.2, speed_mps=0.0))
            if chance.random() < 0.02:
                level[name] = max(5.0, level[name] - chance.choice([2, 10, 40]))
            if second % 3 == 0:
                batch.append(FuelReading(**at, vehicle_id=name, level_l=level[name]))
            if chance.random() < 0.1:
                batch.append(PassengerCount(**at, vehicle_id=name, onboard=chance.choice([20, 90, 120, 120, 120])))
            if chance.random() < 0.05:
                batch.append(CameraStatus(**at, camera_id=name, online=chance.random() < 0.5))
            if chance.random() < 0.02:
                phase = chance.choice([None, "new", "end"])
                batch.append(CameraEvent(**at, camera_id=name, kind=chance.choice(["fire", "car"]), phase=phase))
        batches.append(batch)
    return batches


def play(detection: Detection, batches: list[list[Event]]) -> None:
    for batch in batches:
        detection.apply([(event, False) for event in batch])
        at_s = batch[0].measured_ms // S
        detection.tick(at_s * S)
        detection.see(feed(at_s, at_s))


def told(log: list[Transition]) -> list[tuple[str, Action, int, int]]:
    return [(one.alarm, one.action, one.at_ms, one.version) for one in log]


@given(st.integers(0, 10**6), st.lists(st.tuples(st.integers(1, 60), st.integers(0, 20)), max_size=6))
@settings(deadline=None, max_examples=20)
def test_killed_at_any_moment_no_transition_is_lost_or_told_twice(seed: int, lives: list[tuple[int, int]]) -> None:
    """Each life works on for some batches behind its last commit, and is killed there."""
    batches = scenario(seed)
    whole = Kept()
    detection = whole.start()
    play(detection, batches)
    whole.commit(detection, len(batches))

    kept = Kept()
    for committed, lost in lives:
        detection = kept.start()
        until = kept.at + committed
        play(detection, batches[kept.at : until])
        kept.commit(detection, until)
        play(detection, batches[until : until + lost])
    detection = kept.start()
    play(detection, batches[kept.at :])
    kept.commit(detection, len(batches))
    assert told(kept.log) == told(whole.log)
    assert kept.alarms == whole.alarms
    assert {name: gist(one) for name, one in kept.incidents.items()} == {
        name: gist(one) for name, one in whole.incidents.items()
    }
    joined = sum(entry.values["alarms"] for entry in kept.entries if entry.deed is Deed.JOIN)  # type: ignore[misc]
    assert joined == sum(one.alarms for one in kept.incidents.values()) == len(joins(kept.log))


def gist(incident: Incident) -> Incident:
    """Without what tells how often it was written."""
    return replace(incident, version=0, last_ms=0, updated_ms=0)


def joins(log: list[Transition]) -> list[Transition]:
    return [one for one in log if one.action is Action.JOIN]


def test_alarms_that_belong_together_are_told_so_with_the_rule_that_joined_them() -> None:
    detection = fresh()
    detection.apply([(fire(1), False), (fire(2, kind="smoke"), False)])
    first, second = joins(list(detection.book.transitions()))
    assert (first.alarm, second.alarm) == ("camera_alert:cam|fire", "camera_alert:cam|smoke")
    assert first.reason == "source"
    assert first.text == detection.book.alarms[second.alarm].incident == "19700101-001"


def test_what_is_only_recorded_is_in_no_incident() -> None:
    detection = fresh(camera_alert=CameraAlert(priority="journal"))
    detection.apply([(fire(1), False), (fire(2, kind="smoke"), False)])
    assert not detection.incidents.changed


def test_a_case_joins_while_it_stands_and_once() -> None:
    def case(at_s: int, status: str = "open") -> Case:
        return Case(source="112", case_id="7", category="fire", status=status, measured_ms=at_s * S, received_ms=0)

    detection = Detection(
        Alarms(**RULES),
        80,
        Clock(UTC),
        joining=Incidents(rules={"any": JoinRule(alarms=("camera_alert",), at_least=1, cases=("*",))}),
    )
    detection.apply([(fire(1), False), (case(2, "closed"), False), (case(3), False), (case(4), False)])
    ((_, incident),) = detection.incidents.changes()
    assert (incident.alarms, incident.cases) == (1, ("112|7",))


def fire(at_s: int, phase: str | None = None, kind: str = "fire", **given: Any) -> CameraEvent:
    return CameraEvent(camera_id="cam", kind=kind, phase=phase, measured_ms=at_s * S, received_ms=at_s * S, **given)


def states(detection: Detection) -> dict[str, AlarmState]:
    return {name: alarm.state for name, alarm in detection.book.alarms.items()}


def test_a_batch_is_read_in_the_order_of_measuring() -> None:
    detection = fresh()
    detection.apply([(fire(9, "end"), False), (fire(5, "new"), False)])
    assert states(detection) == {"camera_alert:cam|fire": AlarmState.RETURNED_UNACKNOWLEDGED}


def test_late_events_change_nothing_but_alerts() -> None:
    detection = fresh()
    at = {"measured_ms": 5 * S, "received_ms": 5 * S}
    detection.apply([(CameraStatus(**at, camera_id="cam", online=False), True)])
    detection.tick(60 * S)
    assert states(detection) == {}
    detection.apply([(fire(7), True)])
    assert list(states(detection)) == ["camera_alert:cam|fire"]


def test_silence_counts_only_while_somebody_watches() -> None:
    detection = fresh()
    detection.tick(100 * S)
    detection.see(feed(10, 100))
    assert states(detection) == {}, "nobody looked before"
    for second in range(101, 117):
        detection.tick(second * S)
        detection.see(feed(10, second))
    assert states(detection) == {"feed_silent:hfp": AlarmState.UNACKNOWLEDGED}


def test_states_from_before_the_kept_events_are_seeded() -> None:
    detection = fresh()
    at = {"measured_ms": 5 * S, "received_ms": 5 * S}
    detection.picture.apply(CameraStatus(**at, camera_id="cam", online=False, lat=41.3, lon=69.2, district="1726262"))
    detection.seed(100 * S)
    detection.tick(100 * S)
    (alarm,) = detection.book.alarms.values()
    assert (alarm.id, alarm.district) == ("camera_offline:cam", "1726262")


def test_an_alarm_that_no_detector_holds_ends_at_the_start() -> None:
    kept = Kept()
    detection = kept.start()
    detection.apply([(fire(5), False)])
    kept.commit(detection, 1)
    kept.memory.clear()
    detection = kept.start()
    detection.settle(50 * S)
    assert states(detection) == {"camera_alert:cam|fire": AlarmState.RETURNED_UNACKNOWLEDGED}


def test_memory_of_another_version_is_left_out_and_overwritten() -> None:
    kept = Kept(memory={"camera_alert:cam|fire": b"[1]", "of_the_future:x": b"{}"})
    detection = kept.start()
    kept.commit(detection, 0)
    assert kept.memory == {"of_the_future:x": b"{}"}


def test_a_rule_that_is_off_sees_nothing() -> None:
    detection = fresh(camera_alert=CameraAlert(enabled=False))
    detection.apply([(fire(5), False)])
    assert states(detection) == {}


def test_areas_routes_and_hours_decide_what_may_rise_and_nothing_else() -> None:
    at = {"measured_ms": 4 * S, "received_ms": 4 * S}
    for rule, rises in (
        (CameraAlert(areas=("1726262",)), True),
        (CameraAlert(areas=("1726269040",)), True),
        (CameraAlert(areas=("1726264",)), False),
        (CameraAlert(routes=("67",)), False),
        (CameraAlert(hours=(Hours(start="00:00", end="01:00"),)), True),
        (CameraAlert(hours=(Hours(start="02:00", end="03:00"),)), False),
    ):
        detection = fresh(camera_alert=rule)
        place = {"lat": 41.3, "lon": 69.2, "district": "1726262", "mahalla": "1726269040"}
        detection.apply([(CameraStatus(**at, camera_id="cam", online=True, **place), False), (fire(5), False)])
        assert bool(states(detection)) == rises, rule
        detection.apply([(fire(6, "end"), False)])


def test_what_another_alarm_explains_is_suppressed_until_that_ends() -> None:
    detection = fresh(
        camera_offline=CameraOffline(on_delay_s=0, suppressed_by=("feed_silent",)),
        feed_silent=FeedSilent(silent_after_s={"camera/status": 15}),
    )
    at = {"received_ms": 20 * S, "measured_ms": 20 * S}
    detection.tick(1 * S)
    for second in range(1, 20):
        detection.tick(second * S)
        detection.see(feed(1, second, "camera/status"))
    detection.apply([(CameraStatus(**at, camera_id="cam", online=False), False)])
    assert states(detection)["camera_offline:cam"] is AlarmState.SUPPRESSED
    detection.see(feed(21, 21, "camera/status"))
    assert states(detection)["camera_offline:cam"] is AlarmState.UNACKNOWLEDGED


def test_a_shelf_ends_by_itself_and_what_stands_is_announced_anew() -> None:
    detection = fresh()
    detection.apply([(fire(5), False)])
    (alarm,) = detection.book.alarms.values()
    shelve = Act(action=Action.SHELVE, at_ms=6 * S, by="anvar", reason="drill", until_ms=30 * S)
    detection.book.act(alarm, shelve)
    detection.tick(29 * S)
    assert list(states(detection).values()) == [AlarmState.SHELVED]
    detection.tick(30 * S)
    assert list(states(detection).values()) == [AlarmState.UNACKNOWLEDGED]


def test_an_acknowledged_alarm_that_still_stands_is_announced_again() -> None:
    detection = fresh(camera_alert=CameraAlert(realarm_after_s=600, clear_after_s=9000))
    detection.apply([(fire(5), False)])
    (alarm,) = detection.book.alarms.values()
    detection.book.act(alarm, Act(action=Action.ACKNOWLEDGE, at_ms=10 * S, by="anvar"))
    detection.tick(609 * S)
    assert list(states(detection).values()) == [AlarmState.ACKNOWLEDGED]
    detection.tick(610 * S)
    assert list(states(detection).values()) == [AlarmState.UNACKNOWLEDGED]


def test_a_number_that_has_no_json_is_left_out_of_what_is_told() -> None:
    detection = fresh()
    raised = Finding(
        rule="camera_alert", change=Change.RAISE, source_kind="camera", source_id="c", key="c", raised_ms=1, at_ms=1,
        values={"change": float("inf"), "score": 0.5},
    )  # fmt: skip
    detection._found(raised, RULES["camera_alert"])
    assert detection.book.alarms["camera_alert:c"].values == {"score": 0.5}
