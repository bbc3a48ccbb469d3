"""Traccar's forwarding: positions with fuel in them, events, and what is wrong in one part alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from city.events import FuelReading, VehiclePosition, VehicleStatus
from city.messages import Reading, Received, Reject, RejectReason
from ingest.decode import traccar
from ingest.decode.outcome import Outcome

FIX_MS = 1_777_888_800_000
FIX = "2026-05-04T10:00:00.000+00:00"
TOLD = "2026-05-04T10:00:05.000+00:00"
POSITION: dict[str, Any] = {
    "id": 18336, "deviceId": 7, "protocol": "teltonika", "serverTime": TOLD, "deviceTime": TOLD, "fixTime": FIX,
    "outdated": False, "valid": True, "latitude": 41.3, "longitude": 69.2, "altitude": 455.0, "speed": 36.0,
    "course": 360.0, "address": None, "accuracy": 0.0, "network": None,
    "attributes": {"ignition": True, "odometer": 120500, "totalDistance": 99000.5, "sat": 12, "batteryLevel": 100},
}  # fmt: skip
DEVICE: dict[str, Any] = {
    "id": 7, "name": "Bus 7", "uniqueId": "860000000000007", "status": "online", "category": "bus",
    "attributes": {"vin": "XTA00000000000007", "speedLimit": 43.2},
}  # fmt: skip
EVENT: dict[str, Any] = {
    "id": 1216, "deviceId": 7, "type": "deviceOverspeed", "eventTime": TOLD, "positionId": 18336, "geofenceId": 0,
    "maintenanceId": 0, "attributes": {"speed": 20.0, "speedLimit": 10.0},
}  # fmt: skip


def position(**changed: Any) -> dict[str, Any]:
    """The forwarded position with other fields; `attributes` are added to those that it has."""
    attributes = POSITION["attributes"] | changed.pop("attributes", {})
    return POSITION | changed | {"attributes": attributes}


def decode(payload: Any, topic: str = "traccar/positions") -> list[Outcome]:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(traccar.FORMAT.bind(topic)(Received(topic, body, 5)))


def forwarded(**changed: Any) -> list[Outcome]:
    return decode({"position": position(**changed), "device": DEVICE})


def only_event(outcomes: list[Outcome]) -> Any:
    (outcome,) = outcomes
    assert isinstance(outcome, Reading), outcome
    return outcome.event


def only_reject(outcomes: list[Outcome]) -> Reject:
    (outcome,) = outcomes
    assert isinstance(outcome, Reject), outcome
    return outcome


def test_a_position_is_that_of_its_fix_in_si_units() -> None:
    (outcome,) = forwarded()
    assert isinstance(outcome, Reading)
    assert outcome.feed == "traccar/position"
    assert outcome.event == VehiclePosition(
        vehicle_id="860000000000007", measured_ms=FIX_MS, received_ms=5, lat=41.3, lon=69.2,
        speed_mps=18.52, bearing_deg=0, odometer_m=120500, ignition=True,
        vin="XTA00000000000007", mode="bus",
    )  # fmt: skip


def test_fuel_in_it_is_a_second_reading_of_when_the_device_told_it() -> None:
    where, fuel = forwarded(attributes={"fuel": 180.5, "fuelLevel": 60, "fuelUsed": 9120.0})
    assert isinstance(where, Reading)
    assert isinstance(where.event, VehiclePosition)
    assert isinstance(fuel, Reading)
    assert fuel.feed == "traccar/fuel"
    assert fuel.event == FuelReading(
        vehicle_id="860000000000007", measured_ms=FIX_MS + 5000, received_ms=5, level_l=180.5, level_pct=60,
        used_l=9120.0, ignition=True,
    )  # fmt: skip


@pytest.mark.parametrize("told", [{"fuel": 180.5}, {"fuelLevel": 60}, {"fuelUsed": 9120}])
def test_any_of_the_three_is_a_reading(told: dict[str, float]) -> None:
    assert [one.feed for one in forwarded(attributes=told)] == ["traccar/position", "traccar/fuel"]


@pytest.mark.parametrize("wrong", [{"fuel": "full"}, {"fuelLevel": 101}, {"fuel": -1}])
def test_a_wrong_level_does_not_take_the_position_with_it(wrong: dict[str, Any]) -> None:
    where, fuel = forwarded(attributes=wrong)
    assert isinstance(where, Reading)
    assert where.feed == "traccar/position"
    assert isinstance(fuel, Reject)
    assert fuel.feed == "traccar/fuel"


@pytest.mark.parametrize(
    ("changed", "field", "expected"),
    [
        ({"attributes": {"odometer": None}}, "odometer_m", 99000.5),
        ({"attributes": {"vin": "OTHER"}}, "vin", "OTHER"),
        ({"attributes": {"ignition": None}}, "ignition", None),
        ({"fixTime": "2026-05-04T10:00:00.000+0000"}, "measured_ms", FIX_MS),  # older servers
        ({"fixTime": FIX_MS}, "measured_ms", FIX_MS),
        ({"course": None}, "bearing_deg", None),
        ({"speed": None}, "speed_mps", None),
        ({"latitude": 0, "longitude": 0}, "lat", 0),
    ],
)
def test_what_a_field_becomes(changed: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(only_event(forwarded(**changed)), field) == expected


@pytest.mark.parametrize(("category", "mode"), [("Tram", "tram"), ("default", None), ("arrow", None), (None, None)])
def test_the_devices_category_is_the_mode(category: str | None, mode: str | None) -> None:
    assert only_event(decode({"position": POSITION, "device": DEVICE | {"category": category}})).mode == mode


@pytest.mark.parametrize("device", [None, {}, {"uniqueId": None}])
def test_a_device_without_its_unique_id_goes_by_its_number(device: dict[str, Any] | None) -> None:
    assert only_event(decode({"position": POSITION, "device": device})).vehicle_id == "7"


@pytest.mark.parametrize("attributes", [None, {}])
def test_attributes_may_be_missing(attributes: dict[str, Any] | None) -> None:
    assert only_event(decode({"position": POSITION | {"attributes": attributes}})).ignition is None


@pytest.mark.parametrize(
    "changed",
    [
        {"valid": False},
        {"valid": False, "latitude": 0, "longitude": 0},
        {"outdated": True},
        {"latitude": None},
        {"fixTime": None},
    ],
)
def test_without_a_fix_the_rest_is_kept_as_the_vehicles_state(changed: dict[str, Any]) -> None:
    reject, status, fuel = forwarded(**changed, attributes={"fuel": 80})
    assert isinstance(reject, Reject)
    assert (reject.feed, reject.reason) == ("traccar/position", RejectReason.NO_POSITION)
    assert isinstance(status, Reading)
    assert type(status.event) is VehicleStatus
    assert (status.feed, status.event.measured_ms, status.event.odometer_m) == ("", FIX_MS + 5000, 120500)
    assert isinstance(fuel, Reading)
    assert fuel.feed == "traccar/fuel"


def by_event(kind: str = "deviceOverspeed", **beside: Any) -> VehicleStatus:
    attributes = beside.pop("attributes", EVENT["attributes"])
    payload = {"event": EVENT | {"type": kind, "attributes": attributes}, "device": DEVICE} | beside
    (outcome,) = decode(payload, "traccar/events")
    assert isinstance(outcome, Reading), outcome
    assert outcome.feed == "traccar/event"
    assert type(outcome.event) is VehicleStatus
    return outcome.event


def test_an_event_is_a_state_of_its_own_kind_with_what_its_position_says() -> None:
    assert by_event(position=POSITION) == VehicleStatus(
        vehicle_id="860000000000007", kind="deviceOverspeed", measured_ms=FIX_MS + 5000, received_ms=5,
        speed_mps=18.52, bearing_deg=0, odometer_m=120500, ignition=True,
        vin="XTA00000000000007", mode="bus",
    )  # fmt: skip


@pytest.mark.parametrize("beside", [{}, {"position": POSITION | {"deviceTime": FIX}}, {"position": None}])
def test_what_an_older_position_says_is_not_taken_for_now(beside: dict[str, Any]) -> None:
    status = by_event("deviceOffline", **beside)
    assert (status.kind, status.speed_mps, status.ignition, status.odometer_m) == ("deviceOffline", None, None, None)


@pytest.mark.parametrize(
    ("kind", "beside", "expected"),
    [
        ("alarm", {"attributes": {"alarm": "sos"}}, "alarm:sos"),
        ("alarm", {"attributes": None}, "alarm"),
        ("geofenceEnter", {"geofence": {"id": 4, "name": "Depot 3"}}, "geofenceEnter:Depot 3"),
        ("geofenceExit", {"geofence": {"id": 4}}, "geofenceExit:4"),
    ],
)
def test_alarms_and_geofences_are_told_apart(kind: str, beside: dict[str, Any], expected: str) -> None:
    status = by_event(kind, **beside)
    assert (status.kind, status.slot) == (expected, f"860000000000007|{expected}")


@pytest.mark.parametrize(("kind", "ignition"), [("ignitionOn", True), ("ignitionOff", False), ("deviceMoving", None)])
def test_ignition_events_set_the_ignition(kind: str, ignition: bool | None) -> None:
    assert by_event(kind).ignition is ignition


def test_the_message_and_not_its_topic_says_what_it_is() -> None:
    assert [one.feed for one in decode({"event": EVENT, "device": DEVICE}, "fleet/7")] == ["traccar/event"]
    assert [one.feed for one in decode({"position": POSITION}, "traccar/events")] == ["traccar/position"]


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", RejectReason.NOT_JSON),
        (b"\xff", RejectReason.NOT_UTF8),
        ({}, RejectReason.BAD_TYPE),
        ({"position": position(latitude=95)}, RejectReason.BAD_VALUE),
        ({"position": position(speed=-1)}, RejectReason.BAD_VALUE),
        ({"position": position(fixTime="2026-05-04T10:00:00")}, RejectReason.BAD_TIME),
        ({"position": position(attributes={"ignition": "yes"})}, RejectReason.BAD_TYPE),
        ({"position": POSITION | {"attributes": 4}}, RejectReason.BAD_TYPE),
        ({"position": position(fixTime=None, deviceTime=None)}, RejectReason.BAD_TYPE),
        ({"position": position(deviceId=None)}, RejectReason.BAD_TYPE),
        ({"position": POSITION, "device": {"uniqueId": ""}}, RejectReason.BAD_ID),
        ({"position": POSITION, "device": {"uniqueId": "a|b"}}, RejectReason.BAD_ID),
    ],
)
def test_bad_positions_are_rejected_with_their_reason(payload: Any, reason: RejectReason) -> None:
    reject = only_reject(decode(payload))
    assert (reject.feed, reject.reason) == ("traccar/position", reason)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"nonsense", RejectReason.NOT_JSON),
        ({"event": {"type": "alarm", "deviceId": 7}}, RejectReason.BAD_TYPE),
        ({"event": EVENT | {"eventTime": "now"}}, RejectReason.BAD_TIME),
        ({"event": EVENT | {"deviceId": None}}, RejectReason.BAD_TYPE),
    ],
)
def test_bad_events_are_rejected_with_their_reason(payload: Any, reason: RejectReason) -> None:
    reject = only_reject(decode(payload, "traccar/events"))
    assert (reject.feed, reject.reason) == ("traccar/event", reason)
