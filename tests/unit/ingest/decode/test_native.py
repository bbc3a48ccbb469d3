"""The native topics: what each payload means, and the reason for what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from outcomes import Decoded

from city.events import (
    CameraEvent,
    CameraStatus,
    Case,
    Event,
    FuelReading,
    PassengerCount,
    SensorReading,
    VehiclePosition,
    VehicleStatus,
)
from city.messages import Received, RejectReason
from ingest.decode import Decoders

PREFIX = "markaz/v1/tashkent/"
DECODERS = Decoders({"native": (PREFIX + "#",), "hfp": ("/hfp/v2/#",)}, payload_max_bytes=65536)
TS = "2026-05-04T10:00:00+05:00"
TS_MS = 1_777_870_800_000

GOOD: dict[str, dict[str, Any]] = {
    "vehicle/bus-1/position": {"ts": TS, "lat": 41.3, "lon": 69.25},
    "vehicle/bus-1/passengers": {"ts": TS, "in": 3, "out": 1},
    "vehicle/bus-1/fuel": {"ts": TS, "level_l": 120.5},
    "camera/cam-1/event": {"ts": TS, "kind": "car"},
    "camera/cam-1/status": {"ts": TS, "online": True},
    "sensor/gas-1/reading": {"ts": TS, "quantity": "pressure", "value": 1.2, "unit": "bar"},
    "case/1055/77": {"ts": TS, "category": "roads", "status": "open", "lat": 41.3, "lon": 69.25},
}


def decode(topic: str, payload: dict[str, Any] | bytes) -> Decoded:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Decoded.of(DECODERS.decode(Received(PREFIX + topic, raw, 1_000)))


def event_of(topic: str, payload: dict[str, Any]) -> Event:
    decoded = decode(topic, payload)
    assert decoded.reject is None, decoded.reject
    assert decoded.event is not None
    return decoded.event


def reason_of(topic: str, payload: dict[str, Any] | bytes) -> RejectReason:
    decoded = decode(topic, payload)
    assert decoded.event is None
    assert decoded.reject is not None
    return decoded.reject.reason


def test_a_position_is_read_with_all_that_the_vehicle_says() -> None:
    said = {
        "speed_mps": 8.5, "bearing_deg": 360, "route": "11", "direction": 2, "trip": "t1", "odometer_m": 1e6,
        "ignition": True, "vin": "XTA210990Y1234567", "mode": "trolleybus", "schedule_deviation_s": -30,
    }  # fmt: skip
    assert event_of("vehicle/bus-1/position", GOOD["vehicle/bus-1/position"] | said | {"unknown": [1]}) == (
        VehiclePosition(
            vehicle_id="bus-1",
            measured_ms=TS_MS,
            received_ms=1_000,
            lat=41.3,
            lon=69.25,
            speed_mps=8.5,
            bearing_deg=0,
            route="11",
            direction=2,
            trip="t1",
            odometer_m=1e6,
            ignition=True,
            vin="XTA210990Y1234567",
            mode="trolleybus",
            schedule_deviation_s=-30,
        )
    )


def test_the_other_topics_are_read() -> None:
    assert event_of("vehicle/bus-1/passengers", {"ts": TS, "onboard": -2, "capacity": 90, "door": 2}) == (
        PassengerCount(vehicle_id="bus-1", measured_ms=TS_MS, received_ms=1_000, onboard=-2, capacity=90, door="2")
    )
    assert event_of("vehicle/bus-1/passengers", GOOD["vehicle/bus-1/passengers"]) == (
        PassengerCount(vehicle_id="bus-1", measured_ms=TS_MS, received_ms=1_000, boarded=3, alighted=1)
    )
    assert event_of("vehicle/bus-1/fuel", {"ts": TS, "level_pct": 40, "capacity_l": 200}) == (
        FuelReading(vehicle_id="bus-1", measured_ms=TS_MS, received_ms=1_000, level_pct=40, capacity_l=200)
    )
    alert = {"severity": "alert", "score": 0.9, "count": 4, "event_id": "e", "phase": "new", "plate": "01A123BC"}
    assert event_of("camera/cam-1/event", {"ts": TS, "kind": "fire"} | alert) == (
        CameraEvent(camera_id="cam-1", measured_ms=TS_MS, received_ms=1_000, kind="fire", **alert)  # type: ignore[arg-type]
    )
    assert event_of("camera/cam-1/status", {"ts": TS, "online": False, "lat": 41.3, "lon": 69.2}) == (
        CameraStatus(camera_id="cam-1", measured_ms=TS_MS, received_ms=1_000, online=False, lat=41.3, lon=69.2)
    )
    assert event_of("sensor/gas-1/reading", GOOD["sensor/gas-1/reading"] | {"network": "gas"}) == (
        SensorReading(
            sensor_id="gas-1",
            measured_ms=TS_MS,
            received_ms=1_000,
            quantity="pressure",
            value=1.2,
            unit="bar",
            network="gas",
        )
    )
    case = {"ts": TS, "category": "roads", "status": "closed", "address_code": "1726262001", "due_at": TS}
    assert event_of("case/1055/77", case | {"text": "x" * 4096}) == (
        Case(
            source="1055",
            case_id="77",
            measured_ms=TS_MS,
            received_ms=1_000,
            category="roads",
            status="closed",
            address_code="1726262001",
            due_ms=TS_MS,
            text="x" * 4096,
        )
    )


@pytest.mark.parametrize("topic", GOOD)
def test_each_feed_is_counted_under_its_own_name(topic: str) -> None:
    feed = "case" if topic.startswith("case") else f"{topic.split('/', maxsplit=1)[0]}/{topic.split('/')[2]}"
    assert decode(topic, GOOD[topic]).feed == decode(topic, b"").feed == feed


@pytest.mark.parametrize("place", [{"lat": None}, {"lon": None}, {"lat": None, "lon": None}])
def test_a_null_position_is_rejected_and_still_tells_the_vehicles_other_state(place: dict[str, None]) -> None:
    decoded = decode("vehicle/bus-1/position", GOOD["vehicle/bus-1/position"] | {"speed_mps": 3, "route": "8"} | place)
    assert decoded.reject is not None
    assert decoded.reject.reason is RejectReason.NO_POSITION
    assert decoded.event == (
        VehicleStatus(vehicle_id="bus-1", measured_ms=TS_MS, received_ms=1_000, speed_mps=3, route="8")
    )


BAD_EVERYWHERE: list[tuple[bytes, RejectReason]] = [
    (b"", RejectReason.NOT_JSON),
    (b"\xff\xfe\x00", RejectReason.NOT_UTF8),
    ('{"ts": "қ'.encode("cp1251", "replace") + b'\xb0"}', RejectReason.NOT_UTF8),
    (b"hello", RejectReason.NOT_JSON),
    (b'{"ts": 1', RejectReason.NOT_JSON),
    (b'{"ts": "\\ud800"}', RejectReason.NOT_JSON),
    (b"{}", RejectReason.BAD_TYPE),
    (b"[]", RejectReason.BAD_TYPE),
    (b"null", RejectReason.BAD_TYPE),
    (b"17", RejectReason.BAD_TYPE),
    (b"[" * 10_000 + b"]" * 10_000, RejectReason.BAD_TYPE),
    (b'{"x":' * 10_000 + b"1" + b"}" * 10_000, RejectReason.BAD_VALUE),
    (b'{"ts": NaN}', RejectReason.BAD_VALUE),
    (b'{"ts": 1e999}', RejectReason.BAD_VALUE),
]


@pytest.mark.parametrize("topic", GOOD)
@pytest.mark.parametrize(("payload", "reason"), BAD_EVERYWHERE)
def test_bytes_that_are_no_message_cost_one_reject_with_its_reason(
    topic: str, payload: bytes, reason: RejectReason
) -> None:
    assert reason_of(topic, payload) is reason


@pytest.mark.parametrize("topic", GOOD)
def test_every_required_field_is_required(topic: str) -> None:
    for name in GOOD[topic]:
        assert reason_of(topic, {k: v for k, v in GOOD[topic].items() if k != name}) is RejectReason.BAD_TYPE, name


@pytest.mark.parametrize("topic", GOOD)
def test_every_required_field_has_a_type(topic: str) -> None:
    for name in GOOD[topic]:
        for wrong in ([1], {"a": 1}):
            assert reason_of(topic, GOOD[topic] | {name: wrong}) is RejectReason.BAD_TYPE, (name, wrong)


@pytest.mark.parametrize("topic", GOOD)
@pytest.mark.parametrize("ts", ["2026-05-04T10:00:00", "yesterday", "", -1, 1e300, 10**30, "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_or_has_no_offset_is_a_bad_time(topic: str, ts: object) -> None:
    assert reason_of(topic, GOOD[topic] | {"ts": ts}) is RejectReason.BAD_TIME


@pytest.mark.parametrize(
    ("topic", "change", "reason"),
    [
        ("vehicle/b/position", {"lat": 95}, RejectReason.BAD_VALUE),
        ("vehicle/b/position", {"lon": -181}, RejectReason.BAD_VALUE),
        ("vehicle/b/position", {"lat": "41.3"}, RejectReason.BAD_TYPE),
        ("vehicle/b/position", {"lat": True}, RejectReason.BAD_TYPE),
        ("vehicle/b/position", {"direction": 3}, RejectReason.BAD_VALUE),
        ("vehicle/b/position", {"direction": "1"}, RejectReason.BAD_TYPE),
        ("vehicle/b/position", {"speed_mps": -1}, RejectReason.BAD_VALUE),
        ("vehicle/b/position", {"bearing_deg": 361}, RejectReason.BAD_VALUE),
        ("vehicle/b/position", {"route": "x" * 257}, RejectReason.BAD_VALUE),
        ("vehicle/b/position", {"route": 10**300}, RejectReason.BAD_VALUE),
        ("vehicle/b/passengers", {"in": -1}, RejectReason.BAD_VALUE),
        ("vehicle/b/passengers", {"in": 1.5}, RejectReason.BAD_TYPE),
        ("vehicle/b/passengers", {"onboard": 10**30}, RejectReason.BAD_VALUE),
        ("vehicle/b/fuel", {"level_l": -0.1}, RejectReason.BAD_VALUE),
        ("vehicle/b/fuel", {"level_pct": 101}, RejectReason.BAD_VALUE),
        ("camera/c/event", {"kind": ""}, RejectReason.BAD_VALUE),
        ("camera/c/event", {"severity": "panic"}, RejectReason.BAD_VALUE),
        ("camera/c/event", {"score": 1.1}, RejectReason.BAD_VALUE),
        ("camera/c/event", {"phase": 1}, RejectReason.BAD_TYPE),
        ("camera/c/status", {"online": "yes"}, RejectReason.BAD_TYPE),
        ("camera/c/status", {"lat": 41.3}, RejectReason.BAD_TYPE),
        ("sensor/s/reading", {"value": "1"}, RejectReason.BAD_TYPE),
        ("case/a/b", {"status": "lost"}, RejectReason.BAD_VALUE),
        ("case/a/b", {"text": "x" * 4097}, RejectReason.BAD_VALUE),
        ("case/a/b", {"due_at": "soon"}, RejectReason.BAD_TIME),
    ],
)
def test_wrong_types_and_impossible_values_are_told_apart(
    topic: str, change: dict[str, object], reason: RejectReason
) -> None:
    good = next(
        v for k, v in GOOD.items() if k.split("/")[::2] == topic.split("/")[::2] or k[:4] == topic[:4] == "case"
    )
    assert reason_of(topic, good | change) is reason


@pytest.mark.parametrize("bad", ["", "x" * 65, "a\x00b", "a\nb", "a|b", " a", "\ufffd", "a\u2028b"])
def test_an_id_that_names_nothing_sensible_is_a_bad_id(bad: str) -> None:
    for topic, good in GOOD.items():
        levels = topic.split("/")
        assert reason_of(f"{levels[0]}/{bad}/{levels[2]}", good) is RejectReason.BAD_ID


@pytest.mark.parametrize(
    "name", ["автобус 5", "<script>alert(1)</script>", "'; DROP TABLE x;--", "a\\u0000", "..", "🚌"]
)
def test_an_unknown_or_hostile_id_is_simply_a_new_entity(name: str) -> None:
    levels = name.replace("/", "\\")  # a slash would be another topic level
    assert event_of(f"vehicle/{levels}/position", GOOD["vehicle/bus-1/position"]).entity == levels


def test_hostile_text_is_kept_as_text() -> None:
    event = event_of("vehicle/b/position", GOOD["vehicle/bus-1/position"] | {"route": "<img onerror=x>\x00\n"})
    assert isinstance(event, VehiclePosition)
    assert event.route == "<img onerror=x>\x00\n"


@pytest.mark.parametrize(
    "topic",
    ["vehicle/b", "vehicle/b/position/x", "vehicle/b/speed", "bicycle/b/position", "camera/b/position", "case/x", ""],
)
def test_a_topic_that_nobody_decodes_is_unknown(topic: str) -> None:
    decoded = decode(topic, {})
    assert decoded.feed == "unknown"
    assert decoded.reject is not None
    assert decoded.reject.reason is RejectReason.UNKNOWN_TOPIC


def test_too_large_a_payload_keeps_its_beginning_and_says_so() -> None:
    decoded = decode("vehicle/b/position", b'{"ts": 1, "x": "' + b"y" * 70_000 + b'"}')
    assert decoded.feed == "vehicle/position"
    assert decoded.reject is not None
    assert decoded.reject.reason is RejectReason.TOO_LARGE
    assert len(decoded.reject.message.payload) == 4096
    assert "70018 bytes" in decoded.reject.detail


def test_a_reject_keeps_the_original_bytes() -> None:
    decoded = decode("vehicle/b/position", b"\x00\xff raw")
    assert decoded.reject is not None
    assert decoded.reject.message.payload == b"\x00\xff raw"


@pytest.mark.parametrize("payload", [b"", b'{"id": "camera_alert:c|fire"}', b"\xff", b"y" * 70_000])
def test_our_own_alarms_come_back_and_are_passed_over(payload: bytes) -> None:
    """Neither stored nor rejected, whatever somebody else publishes there."""
    message = Received(PREFIX + "alarm/camera_alert:c|fire", payload, TS_MS)
    assert DECODERS.decode(message) == ()
    readings: list[Any] = []
    rejects: list[Any] = []
    DECODERS.decode_all([message, message], readings, rejects)
    assert (readings, rejects) == ([], [])


@pytest.mark.parametrize("topic", ["alarm/a/b", "alarm", "alarms/a"])
def test_what_only_looks_like_our_own_alarms_is_unknown(topic: str) -> None:
    decoded = decode(topic, {})
    assert decoded.reject is not None
    assert decoded.reject.reason is RejectReason.UNKNOWN_TOPIC
