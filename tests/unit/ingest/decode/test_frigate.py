"""Frigate: objects joined over their phases, reviews, and the recorder's own state."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from outcomes import Decoded

from analysis.detection import Detection
from analysis.picture import Picture
from analysis.schedule import Clock
from city.alarms import Alarm
from city.events import CameraEvent, CameraStatus
from city.messages import Received, RejectReason
from city.rules import Alarms
from ingest.decode import Decoders, frigate

START = 1607123955.475377
START_MS = 1_607_123_955_475
SEEN = 1607123962.082975
SEEN_MS = 1_607_123_962_083
OBJECT: dict[str, Any] = {
    "id": "1607123955.475377-mxklsc", "camera": "front_door", "frame_time": SEEN, "label": "person",
    "sub_label": ["John Smith", 0.79], "top_score": 0.958984375, "score": 0.87890625, "false_positive": False,
    "start_time": START, "end_time": None, "box": [432, 496, 544, 854], "current_zones": ["yard"],
    "entered_zones": ["yard", "driveway"], "thumbnail": None, "has_snapshot": False, "has_clip": False,
    "snapshot": {"frame_time": 1607123965.975463, "attributes": []}, "recognized_license_plate": None,
}  # fmt: skip
REVIEW: dict[str, Any] = {
    "id": "1718987129.308396-fqk5ka", "camera": "front_cam", "start_time": 1718987129.308396, "end_time": None,
    "severity": "detection", "thumb_path": "/media/frigate/clips/review/thumb-front_cam-fqk5ka.webp",
    "data": {"detections": ["1718987128.947436-g92ztx"], "objects": ["person", "car"], "zones": [], "audio": []},
}  # fmt: skip


def message(payload: Any, kind: str = "events", *, prefix: str = "frigate", received_ms: int = 5) -> Received:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Received(f"{prefix}/{kind}", body, received_ms)


def change(phase: str, after: dict[str, Any]) -> dict[str, Any]:
    return {"type": phase, "before": after, "after": after}


def decode(one: Received) -> Decoded:
    return Decoded.of(frigate.FORMAT.bind(one.topic)(one))


def event(phase: str, kind: str = "events", **changed: Any) -> CameraEvent:
    base = OBJECT if kind == "events" else REVIEW
    decoded = decode(message(change(phase, base | changed), kind))
    assert isinstance(decoded.event, CameraEvent), decoded.reject
    return decoded.event


def test_an_object_is_an_event_of_its_camera_with_all_that_it_was_so_far() -> None:
    assert event("update") == CameraEvent(
        camera_id="front_door", kind="person", event_id="1607123955.475377-mxklsc", phase="update",
        measured_ms=SEEN_MS, received_ms=5, score=0.958984375, zone="yard, driveway", started_ms=START_MS,
    )  # fmt: skip


def test_its_end_is_measured_when_it_ended_and_tells_the_whole_span() -> None:
    ended = event("end", end_time=SEEN + 10)
    assert (ended.phase, ended.measured_ms, ended.started_ms) == ("end", SEEN_MS + 10_000, START_MS)
    assert ended.ended_ms == SEEN_MS + 10_000


@pytest.mark.parametrize("end_time", [None, START, SEEN])
def test_an_end_is_newer_than_every_phase_before_it(end_time: float | None) -> None:
    """Also where its time is missing or that of the last sight, which an update may bear too."""
    assert event("end", end_time=end_time).measured_ms > event("update").measured_ms


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_in_whatever_order_the_phases_come_the_event_has_ended(order: tuple[int, ...]) -> None:
    phases = [event("new", frame_time=START), event("update"), event("end", end_time=SEEN)]
    picture = Picture()
    for at in order:
        picture.apply(phases[at])
    (kept,) = picture.cameras["front_door"].events.values()
    assert (kept.phase, kept.event_id, kept.started_ms) == ("end", OBJECT["id"], START_MS)


def test_two_objects_in_one_frame_are_two_events() -> None:
    first, second = event("new", id="a"), event("new", id="b")
    assert (first.key, first.measured_ms) == (second.key, second.measured_ms)
    assert first.mark != second.mark


@pytest.mark.parametrize(
    ("changed", "field", "expected"),
    [
        ({"label": "Fire"}, "kind", "fire"),
        ({"label": "license_plate"}, "kind", "license_plate"),
        ({"top_score": None}, "score", 0.87890625),
        ({"top_score": None, "score": None, "data": {"top_score": 0.92, "score": 0.9}}, "score", 0.92),
        ({"entered_zones": []}, "zone", "yard"),
        ({"entered_zones": [], "current_zones": [], "zones": ["front_yard"]}, "zone", "front_yard"),
        ({"entered_zones": [], "current_zones": []}, "zone", None),
        ({"recognized_license_plate": "01A123BC"}, "plate", "01A123BC"),
        ({"recognized_license_plate": ["01A123BC", 0.9]}, "plate", "01A123BC"),
        ({"recognized_license_plate": []}, "plate", None),
        ({"recognized_license_plate": [None, None]}, "plate", None),
        ({"has_snapshot": True}, "snapshot_url", "/api/events/1607123955.475377-mxklsc/snapshot.jpg"),
        ({"has_snapshot": True, "id": "a/b"}, "snapshot_url", "/api/events/a%2Fb/snapshot.jpg"),
        ({"frame_time": None}, "measured_ms", START_MS),
        ({}, "severity", "info"),
    ],
)
def test_what_a_field_becomes(changed: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(event("update", **changed), field) == expected


def test_a_false_positive_is_over_as_soon_as_it_is_told() -> None:
    taken_back = event("new", label="fire", false_positive=True)
    assert (taken_back.severity, taken_back.phase) == ("info", "end")


def test_a_review_is_an_event_of_its_own_kind() -> None:
    zones = {"zones": ["front_yard"], "thumb_time": 1718987130.5}
    assert event("update", "reviews", severity="alert", data=zones) == CameraEvent(
        camera_id="front_cam", kind="review", event_id="1718987129.308396-fqk5ka", phase="update", severity="alert",
        measured_ms=1_718_987_130_500, received_ms=5, zone="front_yard", started_ms=1_718_987_129_308,
        snapshot_url="/clips/review/thumb-front_cam-fqk5ka.webp",
    )  # fmt: skip


def test_a_review_that_becomes_an_alert_is_no_repetition() -> None:
    """Without a picture's time all phases but the end bear that of the start."""
    begun, raised = event("update", "reviews"), event("update", "reviews", severity="alert")
    assert (begun.severity, raised.severity) == ("info", "alert")
    assert begun.measured_ms == raised.measured_ms
    assert begun.mark != raised.mark


def test_the_end_of_a_review_is_newer_than_its_last_picture() -> None:
    """Frigate ends a review at its last activity; the picture of it was made a moment later."""
    data = {"thumb_time": 1718987140.2}
    update = event("update", "reviews", data=data)
    ended = event("end", "reviews", data=data, end_time=1718987140.0)
    assert ended.measured_ms == update.measured_ms + 1
    assert ended.ended_ms == 1_718_987_140_000


@pytest.mark.parametrize("path", ["", "/etc/passwd", None])
def test_a_thumbnail_elsewhere_is_none(path: str | None) -> None:
    assert event("new", "reviews", thumb_path=path).snapshot_url is None


@pytest.mark.parametrize(("payload", "online"), [(b"online", True), (b"offline", False), (b"online\n", True)])
def test_the_recorder_is_one_camera_that_is_there_or_not(payload: bytes, online: bool) -> None:
    decoded = decode(message(payload, "available", received_ms=77))
    assert decoded.feed == "frigate/available"
    assert decoded.event == CameraStatus(
        camera_id="frigate", online=online, name="Frigate", measured_ms=77, received_ms=77
    )


def test_another_recorder_is_known_by_its_prefix() -> None:
    status = decode(message(b"offline", "available", prefix="sites/north")).event
    assert isinstance(status, CameraStatus)
    assert (status.camera_id, status.name) == ("sites-north", "Frigate sites-north")
    assert decode(message(change("new", OBJECT), prefix="sites/north")).event == event("new")


def test_a_recorder_that_went_and_came_back_within_a_millisecond_is_there() -> None:
    """So they come when they waited at the broker; they must not be taken for one message twice."""
    gone, back = (decode(message(said, "available")).event for said in (b"offline", b"online"))
    assert gone is not None
    assert back is not None
    assert gone.measured_ms == back.measured_ms
    assert gone.mark != back.mark


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", RejectReason.NOT_JSON),
        (b"\xff", RejectReason.NOT_UTF8),
        ({"type": "new"}, RejectReason.BAD_TYPE),
        (change("new", {}), RejectReason.BAD_TYPE),
        (change("gone", OBJECT), RejectReason.BAD_VALUE),
        (change("new", OBJECT | {"id": ""}), RejectReason.BAD_VALUE),
        (change("new", OBJECT | {"label": "x" * 65}), RejectReason.BAD_VALUE),
        (change("new", OBJECT | {"score": 1.5}), RejectReason.BAD_VALUE),
        (change("new", OBJECT | {"entered_zones": ["z"] * 33}), RejectReason.BAD_VALUE),
        (change("new", OBJECT | {"camera": "a|b"}), RejectReason.BAD_ID),
        (change("new", OBJECT | {"start_time": "2026-06-05T11:30:09.365581"}), RejectReason.BAD_TIME),
        (change("new", OBJECT | {"frame_time": -1}), RejectReason.BAD_TIME),
    ],
)
def test_bad_messages_are_rejected_with_their_reason(payload: Any, reason: RejectReason) -> None:
    decoded = decode(message(payload))
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason, decoded.event) == ("frigate/event", reason, None)


@pytest.mark.parametrize(("payload", "reason"), [(b"", "bad_value"), (b"Online", "bad_value"), (b"\xff", "not_utf8")])
def test_a_word_that_is_neither_is_rejected(payload: bytes, reason: str) -> None:
    decoded = decode(message(payload, "available"))
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason) == ("frigate/available", reason)


@pytest.mark.parametrize("topic", ["frigate/stats", "frigate", "/events", "frigate/events/x"])
def test_other_topics_of_frigate_are_unknown(topic: str) -> None:
    decoded = decode(Received(topic, b"{}", 5))
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason) == ("unknown", RejectReason.UNKNOWN_TOPIC)


def test_an_overlong_prefix_is_no_id() -> None:
    decoded = decode(message(b"online", "available", prefix="x" * 65))
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason) == ("frigate/available", RejectReason.BAD_ID)


DECODERS = Decoders({"frigate": ("frigate/events", "frigate/reviews", "frigate/available")}, payload_max_bytes=65536)


def recorded(recordings: Path, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((recordings / "frigate" / name).read_text())
    return found


def test_recorded_events_decode(recordings: Path) -> None:
    """They are of the HTTP API, and are wrapped here as MQTT does it."""
    wrapped = [change("end", one) for one in recorded(recordings, "events.json")]
    events = [Decoded.of(DECODERS.decode(message(one))).event for one in wrapped]
    assert [(e.camera_id, e.kind, e.score, e.zone) for e in events if isinstance(e, CameraEvent)] == [
        ("front_door", "person", 0.92, "front_yard"), ("backyard", "car", 0.87, "driveway"),
        ("garage", "person", 0.78, None),
    ]  # fmt: skip
    assert all(isinstance(e, CameraEvent) and e.ended_ms == e.measured_ms > (e.started_ms or 0) for e in events)


def test_recorded_reviews_decode(recordings: Path) -> None:
    """The HTTP API writes local times without an offset, MQTT epoch seconds; as they are they are refused."""
    reviews = recorded(recordings, "reviews.json")
    as_they_are = [Decoded.of(DECODERS.decode(message(change("end", one), "reviews"))).reject for one in reviews]
    assert {one.reason for one in as_they_are if one} == {RejectReason.BAD_TIME}
    times = ("start_time", "end_time")
    as_sent = [
        one | {name: one[name] and datetime.fromisoformat(one[name] + "Z").timestamp() for name in times}
        for one in reviews
    ]
    events = [Decoded.of(DECODERS.decode(message(change("end", one), "reviews"))).event for one in as_sent]
    assert [e.severity for e in events if isinstance(e, CameraEvent)] == ["alert", "alert", "info", "info"]
    assert {e.kind for e in events if isinstance(e, CameraEvent)} == {"review"}


def alarms_of(*events: CameraEvent) -> list[Alarm]:
    """The alarms as each change left them."""
    detection = Detection(Alarms(), 80, Clock(UTC))
    found = []
    for one in events:
        detection.apply([(one, False)])
        found += [after for _, after in detection.book.changes() if after is not None]
        detection.written()
    return found


def test_a_review_is_one_alarm_from_its_first_alert_until_its_end() -> None:
    detected = event("new", "reviews")
    alert = event("update", "reviews", severity="alert")
    ended = event("end", "reviews", severity="alert", end_time=REVIEW["start_time"] + 40)
    raised, cleared = alarms_of(detected, alert, ended, alert)
    assert raised.id == cleared.id == "camera_alert:front_cam|review"
    assert raised.raised_ms == alert.measured_ms
    assert (raised.cleared_ms, cleared.cleared_ms) == (None, ended.measured_ms)
    assert alarms_of(detected, event("end", "reviews")) == []


def test_one_fire_does_not_hide_another_before_the_same_camera() -> None:
    """The alarm stands until the last has ended, also when phases of the first come after its end."""
    first, second = {"label": "fire", "id": "a"}, {"label": "fire", "id": "b"}
    changes = alarms_of(
        event("new", **first),
        event("new", **second, frame_time=SEEN + 1),
        event("end", **first, frame_time=SEEN + 5, end_time=SEEN + 6),
        event("update", **first, frame_time=SEEN + 5),
        event("end", **second, end_time=SEEN + 9),
    )
    assert [alarm.cleared_ms for alarm in changes] == [None, SEEN_MS + 9000]


def test_a_false_fire_raises_no_alarm() -> None:
    assert alarms_of(event("new", label="fire", false_positive=True)) == []
