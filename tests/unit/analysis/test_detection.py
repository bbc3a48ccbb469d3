"""All detectors together: the same events give the same alarms, whatever is killed in between."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.detection import Detection, Memory, decode_memory, encode_memory
from city.alarms import Alarm
from city.events import CameraEvent, CameraStatus, Event, FuelReading, PassengerCount, VehiclePosition
from city.messages import FeedCount
from city.rules import Alarms
from city.rules.cameras import CameraAlert, CameraOffline
from city.rules.system import FeedSilent
from city.rules.transport import FuelDrop, Overload

S = 1000
RULES = Alarms(
    fuel_drop=FuelDrop(clear_after_s=100),
    overload=Overload(on_delay_s=20, forget_after_s=200),
    camera_offline=CameraOffline(on_delay_s=10),
    camera_alert=CameraAlert(clear_after_s=40),
    feed_silent=FeedSilent(silent_after_s={"hfp": 15}),
)


def feed(last_s: int) -> list[FeedCount]:
    return [FeedCount(feed="hfp", received=1, stored=1, late=0, rejected={}, last_received_ms=last_s * S)]


def fresh(memory: Memory | None = None) -> Detection:
    return Detection(RULES, 80, memory=memory or Memory())


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


def fields(alarms: dict[str, Alarm]) -> dict[str, tuple[int, int | None]]:
    return {name: (alarm.raised_ms, alarm.cleared_ms) for name, alarm in alarms.items()}


def play(detection: Detection, batches: list[list[Event]], *, ticking: bool = True) -> list[Alarm]:
    changed = []
    for batch in batches:
        changed += detection.apply([(event, False) for event in batch])
        if ticking:
            changed += detection.tick(batch[0].measured_ms, feed(batch[0].measured_ms // S))
    return changed


@given(st.integers(0, 10**6), st.lists(st.tuples(st.integers(0, 248), st.integers(0, 20)), max_size=5))
@settings(deadline=None, max_examples=20)
def test_killed_at_any_moment_it_finds_the_same_alarms(seed: int, kills: list[tuple[int, int]]) -> None:
    """At each kill the memory is some batches older than the alarms that were written."""
    batches = scenario(seed)
    whole = fresh()
    play(whole, batches)

    stored: dict[str, Alarm] = {}
    detection, at = fresh(), 0
    for kill, lost in sorted(kills):
        checkpoint = max(at, kill - lost)
        for alarm in play(detection, batches[at:checkpoint]):
            stored[alarm.id] = alarm
        memory = encode_memory(detection.memory)
        for alarm in play(detection, batches[checkpoint : max(kill, checkpoint)]):
            stored[alarm.id] = alarm
        detection, at = fresh(decode_memory(memory)), checkpoint
        detection.book.restore(stored.values())
        detection.adopt()
        # Waiting events are read without ticks.
        for alarm in play(detection, batches[at : max(kill, at)], ticking=False):
            stored[alarm.id] = alarm
        at = max(kill, at)
        for alarm in detection.settle(at * S):
            stored[alarm.id] = alarm
    for alarm in play(detection, batches[at:]):
        stored[alarm.id] = alarm
    assert fields(stored) == fields(whole.book.alarms)


def test_one_rule_and_source_has_one_open_alarm() -> None:
    detection = fresh()
    for batch in scenario(7):
        play(detection, [batch])
        open_keys = [alarm.id.rpartition(":")[0] for alarm in detection.book.open()]
        assert len(open_keys) == len(set(open_keys))
    assert {alarm.rule for alarm in detection.book.alarms.values()} == {
        "fuel_drop",
        "overload",
        "camera_offline",
        "camera_alert",
    }


def test_a_batch_is_read_in_the_order_of_measuring() -> None:
    """The facets of a batch come apart: all positions, then all readings."""
    at_ms = 1000 * S
    moments: list[Event] = []
    for n, level_l in enumerate((120, 120, 120, 100, 100, 100)):
        at = {"vehicle_id": "bus", "measured_ms": at_ms + n * S, "received_ms": at_ms}
        moments += [
            VehiclePosition(**at, lat=41.3, lon=69.2, speed_mps=9.0 if n < 3 else 0.0),
            FuelReading(**at, level_l=level_l),
        ]
    by_facet = sorted(moments, key=lambda event: event.facet)
    found = fresh().apply([(event, False) for event in by_facet])
    assert [alarm.rule for alarm in found] == ["fuel_drop"]


def test_late_events_change_nothing_but_alerts() -> None:
    detection = fresh()
    at = {"measured_ms": S, "received_ms": 9 * S}
    late: list[Event] = [
        CameraStatus(**at, camera_id="c", online=False),
        CameraEvent(**at, camera_id="c", kind="fire"),
        PassengerCount(**at, vehicle_id="v", onboard=200),
    ]
    found = detection.apply([(event, True) for event in late])
    assert [alarm.rule for alarm in found] == ["camera_alert"]
    assert detection.tick(100 * S, []) != []
    assert {alarm.rule for alarm in detection.book.alarms.values()} == {"camera_alert"}


def test_silence_counts_only_while_somebody_watches() -> None:
    detection = fresh()
    assert detection.tick(1000 * S, feed(500)) == []
    assert detection.tick(1004 * S, feed(500)) == []
    # Ten minutes without a tick: the store was away.
    assert detection.tick(1600 * S, feed(500)) == []
    found = [alarm for s in range(1601, 1620) for alarm in detection.tick(s * S, feed(500))]
    assert [(alarm.rule, alarm.raised_ms) for alarm in found] == [("feed_silent", 1615 * S)]
    cleared = detection.tick(1620 * S, feed(1619))
    assert [alarm.cleared_ms for alarm in cleared] == [1619 * S]


def test_a_standing_feed_alarm_is_held_after_a_restart_without_memory() -> None:
    first = fresh()
    first.tick(1000 * S, feed(999))
    found = [alarm for s in range(1001, 1020) for alarm in first.tick(s * S, feed(999))]
    second = fresh()
    second.book.restore(found)
    second.adopt()
    assert second.settle(1021 * S) == []
    assert second.tick(1021 * S, feed(999)) == []
    assert [alarm.id for alarm in second.tick(1022 * S, feed(1021))] == [found[0].id]


def test_settling_ends_what_no_detector_holds_and_lets_stand_what_one_does() -> None:
    first = fresh()
    first.apply([(CameraStatus(camera_id="c", measured_ms=S, received_ms=S, online=False), False)])
    (risen,) = first.tick(60 * S, [])
    orphaned = fresh()
    orphaned.book.restore([risen])
    assert [alarm.cleared_ms for alarm in orphaned.settle(70 * S)] == [70 * S]
    held = fresh(first.memory)
    held.book.restore([first.book.end(risen, 65 * S)])
    assert [(alarm.id, alarm.cleared_ms) for alarm in held.settle(70 * S)] == [(risen.id, None)]


def test_states_from_before_the_kept_events_are_seeded() -> None:
    detection = fresh()
    now = 100_000 * S
    for event in (
        CameraStatus(camera_id="c", measured_ms=S, received_ms=S, online=False),
        PassengerCount(vehicle_id="young", measured_ms=now - 100 * S, received_ms=now, onboard=200),
        PassengerCount(vehicle_id="old", measured_ms=now - 300 * S, received_ms=now, onboard=200),
    ):
        detection.picture.apply(event)
    detection.seed(now)
    detection.tick(now, [])
    assert {(alarm.rule, alarm.source_id) for alarm in detection.book.open()} == {
        ("camera_offline", "c"),
        ("overload", "young"),
    }


def test_what_left_is_forgotten() -> None:
    detection = fresh()
    at = {"vehicle_id": "v", "measured_ms": S, "received_ms": S}
    detection.apply([(FuelReading(**at, level_l=100), False)])
    fire = {"camera_id": "c", "kind": "fire", "received_ms": S}
    detection.apply([(CameraEvent(**fire, measured_ms=S), False)])
    detection.apply([(CameraEvent(**fire, measured_ms=2 * S, phase="end"), False)])
    detection.forget(86_000 * S)
    assert (len(detection.memory.fuel_drop), len(detection.memory.camera_alert)) == (1, 1)
    detection.forget(86_500 * S)
    assert (len(detection.memory.fuel_drop), len(detection.memory.camera_alert)) == (0, 0)
