"""Declared feeds: the documentation's examples as written there, conversions, and what is refused and why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import Decoded

from city.events import (
    CameraEvent,
    CameraStatus,
    Case,
    FuelReading,
    PassengerCount,
    SensorReading,
    VehiclePosition,
    VehicleStatus,
)
from city.mappings import NATIVE, FeedMapping
from city.messages import Reading, Received, Reject, RejectReason
from ingest.decode import Decoders
from ingest.decode.mapping import format_of
from ingest.decode.native_events import KINDS, CaseMessage
from ingest.decode.outcome import Outcome

CONTRACTS = Path(__file__).resolve().parents[4] / "docs" / "contracts.md"
TS = "2026-05-04T10:00:00+05:00"
TS_MS = 1_777_870_800_000
RECEIVED_MS = TS_MS + 500


def outcomes(declared: dict[str, Any], payload: object, topic: str = "acme/b-1/gps") -> tuple[Outcome, ...]:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return format_of("acme", FeedMapping.model_validate(declared)).bind(topic)(Received(topic, raw, RECEIVED_MS))


def decode(declared: dict[str, Any], payload: object, topic: str = "acme/b-1/gps") -> Decoded:
    return Decoded.of(outcomes(declared, payload, topic))


def position(**fields: object) -> dict[str, Any]:
    """A declaration of positions with further fields, or others in place of the simplest ones."""
    simplest: dict[str, object] = {"ts": "ts", "lat": "lat", "lon": "lon"}
    return {"topics": "acme/+/gps", "kind": "vehicle/position", "id": 2, "fields": simplest | fields}


def of_position(field: str, source: object, payload: dict[str, Any]) -> Any:
    """What a field of a position becomes; the reject where there is none."""
    decoded = decode(position(**{field: source}), {"ts": TS, "lat": 41.3, "lon": 69.2} | payload)
    return decoded.reject if decoded.event is None else getattr(decoded.event, field)


# --- as documented ---------------------------------------------------------------------------------------------------


def blocks(language: str) -> list[str]:
    text = CONTRACTS.read_text(encoding="utf-8").partition("### Feeds of your own")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def documented() -> Decoders:
    declared = yaml.safe_load(blocks("yaml")[0])["ingest"]["mappings"]
    mappings = {name: FeedMapping.model_validate(one) for name, one in declared.items()}
    topics = {name: one.filters("tashkent") for name, one in mappings.items()}
    return Decoders(topics, payload_max_bytes=65536, mappings=mappings)


def test_the_documented_position_is_read_as_the_page_says() -> None:
    message = Received("acme/01-777/gps", blocks("json")[0].encode(), RECEIVED_MS)
    assert documented().decode(message) == (
        Reading(
            "acme_gps",
            VehiclePosition(
                vehicle_id="01-777", measured_ms=TS_MS, received_ms=RECEIVED_MS, lat=41.3, lon=69.25, speed_mps=12.5,
                odometer_m=120_500, ignition=True, mode="trolleybus", schedule_deviation_s=-300,
            ),
            message,
        ),
    )  # fmt: skip


def test_the_documented_array_is_two_readings_and_a_reject() -> None:
    message = Received("heat/telemetry", blocks("json")[1].encode(), RECEIVED_MS)
    first, second, third = documented().decode(message)
    for outcome, sensor_id, quantity, celsius in ((first, "B7-t1", "supply", 90), (second, "B7-t2", "return", 55)):
        assert isinstance(outcome, Reading)
        assert outcome.feed == "boiler_house"
        assert outcome.event == SensorReading(
            sensor_id=sensor_id, measured_ms=TS_MS, received_ms=RECEIVED_MS, quantity=quantity,
            value=pytest.approx(celsius), unit="C", network="heat",  # type: ignore[arg-type]
        )  # fmt: skip
    assert isinstance(third, Reject)
    assert (third.feed, third.reason) == ("boiler_house", RejectReason.BAD_TYPE)
    assert third.detail == "value (v): expected a number, got text"
    assert f"`{third.detail}`" in CONTRACTS.read_text(encoding="utf-8")


# --- the same types as the native topics -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NATIVE)
def test_a_declaration_knows_the_fields_of_the_native_messages(kind: str) -> None:
    """Names in both directions, which are required, and which hold what."""
    message = CaseMessage if kind == "case" else KINDS[kind].message
    fields = {field.encode_name: field for field in msgspec.structs.fields(message)}
    assert {name: one.required for name, one in NATIVE[kind].items()} == {
        name: field.required for name, field in fields.items()
    }
    probes: dict[str, list[object]] = {
        "number": [0.5], "whole": [1], "text": ["info", "new", "open"], "flag": [True], "time": ["x", 1, 0.5],
    }  # fmt: skip
    for name, native in NATIVE[kind].items():
        taken = [probe for holds in probes for probe in probes[holds] if takes(fields[name].type, probe)]
        assert set(map(type, taken)) & set(map(type, probes[native.holds])), (name, taken)
        if native.holds in ("flag", "whole", "number"):
            assert not takes(fields[name].type, "info"), name
        if native.holds == "whole":
            assert not takes(fields[name].type, 0.5), name


def takes(kind: Any, value: object) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def test_every_kind_is_read() -> None:
    ts = {"ts": "ts"}
    common = {"measured_ms": TS_MS, "received_ms": RECEIVED_MS}

    def event(kind: str, fields: dict[str, Any], **payload: object) -> object:
        declared = {"topics": "acme/#", "kind": kind, "id": 2, "fields": ts | fields}
        return decode(declared, {"ts": TS} | payload).event

    assert event("vehicle/passengers", {"in": "i", "out": "o"}, i=3, o=1) == PassengerCount(
        vehicle_id="b-1", boarded=3, alighted=1, **common
    )
    assert event("vehicle/fuel", {"level_pct": {"path": "f", "unit": "ratio"}}, f=0.5) == FuelReading(
        vehicle_id="b-1", level_pct=50, **common
    )
    assert event("camera/event", {"kind": "k"}, k="fire") == CameraEvent(camera_id="b-1", kind="fire", **common)
    assert event("camera/status", {"online": "s"}, s="off") == CameraStatus(camera_id="b-1", online=False, **common)
    assert event("case", {"category": "c", "status": "s", "address_code": "a"}, c="x", s="open", a="17") == Case(
        source="acme", case_id="b-1", category="x", status="open", address_code="17", **common
    )


def test_a_vehicle_without_a_fix_tells_its_other_state_as_in_native_messages() -> None:
    decoded = decode(position(speed_mps="v"), {"ts": TS, "lat": None, "lon": None, "v": 3})
    assert decoded.feed == "acme"
    assert decoded.reject is not None
    assert decoded.reject.reason is RejectReason.NO_POSITION
    assert decoded.event == VehicleStatus(vehicle_id="b-1", measured_ms=TS_MS, received_ms=RECEIVED_MS, speed_mps=3)


def test_what_is_beyond_the_native_bounds_is_refused_by_field_and_path() -> None:
    reject = of_position("bearing_deg", "course.true", {"course": {"true": 361}})
    assert reject.reason is RejectReason.BAD_VALUE
    assert reject.detail == "bearing_deg (course.true): Expected `float` <= 360.0"


# --- conversions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "source", "given_value", "becomes"),
    [
        ("speed_mps", {"path": "x", "unit": "km/h"}, 36, 10),
        ("speed_mps", {"path": "x", "type": "number", "unit": "kn"}, " +10.0 ", 5.14444),
        ("odometer_m", {"path": "x", "unit": "km"}, 12.5, 12500),
        ("lat", {"path": "x", "scale": 1e-7}, 413_000_000, 41.3),
        ("schedule_deviation_s", {"path": "x", "unit": "s_late"}, 40, -40),
        ("ignition", "x", "on", True),
        ("ignition", "x", " OFF ", False),
        ("ignition", "x", 1, True),
        ("ignition", "x", 0.0, False),
        ("ignition", "x", "1", True),
        ("mode", {"path": "x", "values": {1: "bus", "true": "tram"}}, 1, "bus"),
        ("mode", {"path": "x", "values": {1: "bus", "true": "tram"}}, 1.0, "bus"),
        ("mode", {"path": "x", "values": {1: "bus", "true": "tram"}}, True, "tram"),
        ("mode", {"path": "x", "values": {"A": "bus"}, "default": "tram"}, "Z", "tram"),
        ("mode", {"path": "x", "values": {"-": None}}, "-", None),
        ("mode", {"path": "y", "default": "bus"}, 0, "bus"),
        ("mode", {"path": "x", "default": "bus"}, None, "bus"),
        ("mode", {"path": "y"}, 0, None),
        ("mode", {"value": "bus"}, 0, "bus"),
        ("mode", {"level": 3}, 0, "gps"),
        ("route", "x", 11, "11"),
        ("route", {"value": 11}, 0, "11"),
        ("vin", {"path": "x", "type": "text"}, 1_000_000.0, "1000000"),
        ("direction", {"path": "x", "values": {"0": 1, "1": 2}}, 1, 2),
        ("direction", {"path": "x", "type": "number"}, "2", 2),
    ],
)
def test_a_value_becomes_the_native_one(field: str, source: object, given_value: object, becomes: object) -> None:
    assert of_position(field, source, {"x": given_value}) == (
        pytest.approx(becomes) if isinstance(becomes, float) else becomes
    )


@pytest.mark.parametrize(
    ("field", "source", "given_value", "reason", "detail"),
    [
        ("speed_mps", {"path": "x", "unit": "km/h"}, "36", "bad_type", "speed_mps (x): expected a number, got text"),
        ("speed_mps", {"path": "x", "unit": "kn"}, True, "bad_type", "speed_mps (x): expected a number, got a boolean"),
        ("speed_mps", {"path": "x", "scale": 10.0}, 1.7e308, "bad_value", "speed_mps (x): too large a number"),
        ("speed_mps", {"path": "x", "scale": 10.0}, 10**400, "bad_value", "speed_mps (x): too large a number"),
        ("trip", {"path": "x", "values": {"A": "B"}}, 10**400, "bad_value", None),
        ("direction", {"path": "x", "type": "number"}, "NaN", "bad_type", None),
        ("odometer_m", {"path": "x", "type": "number"}, "1_0", "bad_type", None),
        ("speed_mps", "x", "36", "bad_type", "speed_mps (x): Expected `float | null`, got `str`"),
        ("speed_mps", "x.y", 5, "bad_type", "speed_mps (x.y): y is looked for in a number, not in an object"),
        ("speed_mps", "x[0]", {}, "bad_type", "speed_mps (x[0]): [0] is looked for in an object, not in an array"),
        ("ignition", "x", "perhaps", "bad_value", None),
        ("ignition", "x", 2, "bad_value", None),
        ("ignition", "x", [], "bad_type", "ignition (x): expected on or off, got an array"),
        ("mode", {"path": "x", "values": {"A": "bus"}}, "Z", "bad_value", "mode (x): 'Z' is not among the values"),
        ("mode", {"path": "x", "values": {"A": "B"}}, {}, "bad_type", None),
        ("mode", "x", 5, "bad_type", "mode (x): Expected `str | null`, got `int`"),
        ("lat", "y", 5, "bad_type", "lat (y): nothing is there"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_what_it_should_be_names_field_and_path(
    field: str, source: object, given_value: object, reason: str, detail: str | None
) -> None:
    reject = of_position(field, source, {"x": given_value})
    assert isinstance(reject, Reject)
    assert reject.reason == reason
    assert detail is None or reject.detail == detail


TASHKENT = {"zone": "Asia/Tashkent"}


@pytest.mark.parametrize(
    ("source", "given_time"),
    [
        ({}, TS),
        ({}, TS_MS),
        (TASHKENT, "2026-05-04T10:00:00"),
        (TASHKENT, "2026-05-04T05:00:00Z"),
        (TASHKENT, TS_MS // 1000),
        (TASHKENT | {"time": "%d.%m.%y %H:%M:%S"}, "04.05.26 10:00:00"),
        (TASHKENT | {"time": "%Y%m%d%H%M%S.%f"}, "20260504100000.000"),
        ({"time": "%a, %d %b %Y %H:%M:%S %z"}, "Mon, 04 May 2026 05:00:00 +0000"),
        ({"time": "epoch_s"}, TS_MS // 1000),
        ({"time": "epoch_ms"}, TS_MS),
        ({"time": "epoch_ms", "type": "number"}, str(TS_MS)),
    ],
)
def test_one_moment_is_read_in_every_spelling(source: dict[str, Any], given_time: object) -> None:
    event = decode(position(ts={"path": "at"} | source), {"at": given_time, "lat": 41.3, "lon": 69.2}).event
    assert event is not None
    assert event.measured_ms == TS_MS


@pytest.mark.parametrize(
    ("source", "given_time", "reason"),
    [
        ({}, "2026-05-04T10:00:00", RejectReason.BAD_TIME),  # no offset, and no zone is declared
        (TASHKENT, "yesterday", RejectReason.BAD_TIME),
        (TASHKENT | {"time": "%d.%m.%Y %H:%M"}, "2026-05-04 10:00", RejectReason.BAD_TIME),
        (TASHKENT | {"time": "%d.%m.%Y %H:%M"}, "04.05.0001 10:00", RejectReason.BAD_TIME),
        (TASHKENT | {"time": "%d.%m.%Y %H:%M"}, 5, RejectReason.BAD_TYPE),
        ({"time": "epoch_s"}, -1, RejectReason.BAD_TIME),
        ({"time": "epoch_s"}, TS_MS, RejectReason.BAD_TIME),  # milliseconds where seconds are declared
        ({"time": "epoch_ms"}, 10**400, RejectReason.BAD_TIME),
        ({"time": "epoch_s"}, TS, RejectReason.BAD_TYPE),
        ({}, None, RejectReason.BAD_TYPE),
    ],
)
def test_a_time_that_is_none_is_refused(source: dict[str, Any], given_time: object, reason: RejectReason) -> None:
    decoded = decode(position(ts={"path": "at"} | source), {"at": given_time, "lat": 41.3, "lon": 69.2})
    assert decoded.reject is not None
    assert decoded.reject.reason is reason
    assert "ts" in decoded.reject.detail


def test_in_the_hour_that_comes_twice_the_reading_nearer_to_the_arrival_is_taken() -> None:
    """Helsinki, 29 October 2023: 03:30 is 00:30 UTC and, an hour later, 01:30 UTC again."""
    declared = position(ts={"path": "at", "zone": "Europe/Helsinki"})
    reader = format_of("acme", FeedMapping.model_validate(declared)).bind("acme/b-1/gps")
    payload = b'{"at": "2023-10-29T03:30:00", "lat": 60.2, "lon": 24.9}'
    for moment_ms in (1_698_539_400_000, 1_698_543_000_000):
        event = Decoded.of(reader(Received("acme/b-1/gps", payload, moment_ms + 2_000))).event
        assert event is not None
        assert event.measured_ms == moment_ms


# --- ids, arrays, messages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("entity", "expected"),
    [(2, "b-1"), ("device.imei", "356"), ("device.no", "7"), ([1, "device.no"], "acme-7"), ("$.device.no", "7")],
)
def test_an_id_is_a_level_a_path_or_both(entity: object, expected: str) -> None:
    payload = {"ts": TS, "lat": 41.3, "lon": 69.2, "device": {"imei": "356", "no": 7}}
    event = decode(position() | {"id": entity}, payload).event
    assert event is not None
    assert event.entity == expected


@pytest.mark.parametrize(
    ("given_id", "reason"),
    [
        (None, RejectReason.BAD_TYPE),
        (True, RejectReason.BAD_TYPE),
        (1.5, RejectReason.BAD_TYPE),
        (10**400, RejectReason.BAD_TYPE),
        ("", RejectReason.BAD_ID),
        ("a|b", RejectReason.BAD_ID),
        ("x" * 65, RejectReason.BAD_ID),
    ],
)
def test_an_id_that_names_nothing_sensible_is_refused(given_id: object, reason: RejectReason) -> None:
    decoded = decode(position() | {"id": "no"}, {"ts": TS, "lat": 41.3, "lon": 69.2, "no": given_id})
    assert decoded.reject is not None
    assert decoded.reject.reason is reason


def test_a_topic_that_is_too_short_is_refused_under_the_feed() -> None:
    decoded = decode(position() | {"topics": "acme/#", "id": 5}, {"ts": TS})
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason) == ("acme", RejectReason.UNKNOWN_TOPIC)
    assert decoded.reject.detail == "the topic has 3 levels; level 5 is needed"


@pytest.mark.parametrize(
    ("payload", "reason", "detail"),
    [
        ({"items": []}, RejectReason.BAD_VALUE, "each (items): 1 to 1000 readings are expected, not 0"),
        ({"items": [1] * 1001}, RejectReason.BAD_VALUE, "each (items): 1 to 1000 readings are expected, not 1001"),
        ({"items": {}}, RejectReason.BAD_TYPE, "each (items): expected an array, got an object"),
        ({}, RejectReason.BAD_TYPE, "each (items): expected an array, got nothing"),
        ([], RejectReason.BAD_TYPE, "each (items): items is looked for in an array, not in an object"),
        (b"", RejectReason.NOT_JSON, None),
        (b'{"items": NaN}', RejectReason.BAD_VALUE, None),
        (b"\xff", RejectReason.NOT_UTF8, None),
    ],
)
def test_a_message_without_readings_is_one_reject(payload: object, reason: RejectReason, detail: str | None) -> None:
    decoded = decode(position() | {"each": "items"}, payload)
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason) == ("acme", reason)
    assert detail is None or decoded.reject.detail == detail


def test_a_message_need_not_be_an_object_and_a_topic_may_say_the_rest() -> None:
    declared = {"topics": "meter/+/+", "kind": "sensor/reading", "id": 2, "fields": {
        "ts": "[0]", "quantity": {"level": 3}, "value": "$[1]", "unit": {"value": "bar"},
    }}  # fmt: skip
    event = decode(declared, [TS, 2.5], "meter/g-1/pressure").event
    assert event == SensorReading(
        sensor_id="g-1", measured_ms=TS_MS, received_ms=RECEIVED_MS, quantity="pressure", value=2.5, unit="bar"
    )


def test_a_mapping_has_a_topic_before_the_formats() -> None:
    mapping = FeedMapping.model_validate(position() | {"topics": "/hfp/v2/acme/#", "id": 4})
    decoders = Decoders(
        {"hfp": ("/hfp/v2/#",), "acme": mapping.topics}, payload_max_bytes=65536, mappings={"acme": mapping}
    )
    assert decoders.decode(Received("/hfp/v2/acme/x", b"{}", 1))[0].feed == "acme"
    assert decoders.decode(Received("/hfp/v2/other", b"{}", 1))[0].feed == "unknown"
    assert decoders.decode(Received("/hfp/v2/acme/x", b" " * 70_000, 1))[0].feed == "acme"


values = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
        st.sampled_from([TS, TS_MS, "on", 10**400]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["a", "b", "items"]), inner, max_size=3)
    ),
    max_leaves=8,
)  # fmt: skip
EVERYTHING: dict[str, Any] = {
    "topics": "acme/#", "kind": "vehicle/position", "id": [2, "b"], "each": "items",
    "fields": {
        "ts": {"path": "$.a", "zone": "Asia/Tashkent"}, "lat": "a",
        "lon": {"path": "b", "type": "number", "scale": 0.1},
        "speed_mps": {"path": "a", "unit": "km/h"}, "ignition": "b", "direction": {"path": "a", "values": {"1": 2}},
        "route": {"path": "b", "type": "text"}, "odometer_m": {"path": "a.b[0]", "type": "number", "unit": "mi"},
        "schedule_deviation_s": {"path": "b", "unit": "min", "default": 0}, "vin": {"level": 1},
    },
}  # fmt: skip


@pytest.mark.parametrize("each", ["items", None])
@settings(max_examples=400, deadline=None)
@given(
    payload=st.one_of(values, st.fixed_dictionaries({"a": values, "b": values, "items": st.lists(values, max_size=3)}))
)
def test_whatever_arrives_has_an_outcome_that_can_be_stored(each: str | None, payload: object) -> None:
    for outcome in outcomes(EVERYTHING | {"each": each}, json.dumps(payload).encode()):
        if isinstance(outcome, Reject):
            outcome.detail.encode()
        else:
            event = outcome.event
            assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
