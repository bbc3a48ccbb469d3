"""OwnTracks: locations, transitions, last wills, and what is not wanted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from outcomes import Decoded

from city.events import VehiclePosition, VehicleStatus
from city.messages import Received, RejectReason
from ingest.decode import owntracks

TOPIC = "owntracks/jane/phone"
TST, TST_MS = 1_777_888_800, 1_777_888_800_000
NOW_MS = TST_MS + 60_000
LOCATION = {
    "_type": "location", "acc": 75, "alt": 13, "batt": 90, "cog": 270, "lat": 41.3, "lon": 69.2, "t": "u", "tid": "JP",
    "tst": TST, "vac": 10, "vel": 54, "conn": "m",
}  # fmt: skip


def decode(payload: Any, topic: str = TOPIC, *, retained: bool = False) -> Decoded:
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Decoded.of(owntracks.FORMAT.bind(topic)(Received(topic, body, NOW_MS, retained)))


def test_a_location_is_a_position_of_user_and_device_in_si_units() -> None:
    decoded = decode(LOCATION)
    assert decoded.feed == "owntracks"
    assert decoded.event == VehiclePosition(
        vehicle_id="jane-phone", measured_ms=TST_MS, received_ms=NOW_MS, lat=41.3, lon=69.2, speed_mps=15.0,
        bearing_deg=270,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "field", "expected"),
    [
        ({"vel": -1}, "speed_mps", None),
        ({"vel": None}, "speed_mps", None),
        ({"vel": 0}, "speed_mps", 0),
        ({"cog": -1}, "bearing_deg", None),
        ({"cog": 360}, "bearing_deg", 0),
        ({"event": "enter", "desc": "home"}, "kind", ""),
    ],
)
def test_what_a_field_becomes(changed: dict[str, Any], field: str, expected: object) -> None:
    assert getattr(decode(LOCATION | changed).event, field) == expected


@pytest.mark.parametrize("lost", [{"lat": None}, {"lat": None, "lon": None}])
def test_a_location_without_a_place_is_rejected_and_its_speed_is_kept(lost: dict[str, None]) -> None:
    decoded = decode(LOCATION | lost)
    assert decoded.reject is not None
    assert decoded.reject.reason is RejectReason.NO_POSITION
    assert type(decoded.event) is VehicleStatus
    assert decoded.event.speed_mps == 15.0


@pytest.mark.parametrize("event", ["enter", "leave"])
def test_a_transition_is_a_position_beside_the_location_of_the_same_time(event: str) -> None:
    transition = {"_type": "transition", "wtst": 1, "lat": 41.3, "lon": 69.2, "tst": TST, "event": event, "t": "c"}
    where = decode(transition, f"{TOPIC}/event").event
    assert isinstance(where, VehiclePosition)
    assert (where.vehicle_id, where.kind, where.slot) == ("jane-phone", event, f"jane-phone|{event}")


def test_a_last_will_counts_from_its_arrival() -> None:
    """Its own time is when the app had connected."""
    assert decode({"_type": "lwt", "tst": TST}).event == VehicleStatus(
        vehicle_id="jane-phone", kind="lwt", measured_ms=NOW_MS, received_ms=NOW_MS
    )


def test_a_retained_last_will_is_no_news() -> None:
    gone = decode({"_type": "lwt", "tst": TST}, retained=True).event
    assert gone is not None
    assert gone.measured_ms == TST_MS


@pytest.mark.parametrize("kind", sorted(owntracks.NOT_WANTED))
def test_what_tells_nothing_of_the_device_is_not_wanted(kind: str) -> None:
    decoded = decode({"_type": kind, "tst": TST, "lat": 41.3, "lon": 69.2, "desc": "Depot", "data": "1Vu7Owp"})
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason, decoded.event) == ("owntracks", RejectReason.NOT_WANTED, None)
    assert kind in decoded.reject.detail


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", RejectReason.NOT_JSON),
        (b"C2,561ebac3,v,50123456,65987654,0,0,11,0,5232", RejectReason.NOT_JSON),
        (b"\xff", RejectReason.NOT_UTF8),
        ({"lat": 41.3, "lon": 69.2, "tst": TST}, RejectReason.BAD_TYPE),
        ({"_type": "locations"}, RejectReason.BAD_VALUE),
        (LOCATION | {"tst": None}, RejectReason.BAD_TYPE),
        (LOCATION | {"tst": -5}, RejectReason.BAD_TIME),
        (LOCATION | {"lat": "41.3"}, RejectReason.BAD_TYPE),
        (LOCATION | {"lat": 91}, RejectReason.BAD_VALUE),
        (LOCATION | {"vel": -2}, RejectReason.BAD_VALUE),
        (LOCATION | {"_type": "transition"}, RejectReason.BAD_VALUE),
    ],
)
def test_bad_messages_are_rejected_with_their_reason(payload: Any, reason: RejectReason) -> None:
    decoded = decode(payload)
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason, decoded.event) == ("owntracks", reason, None)


@pytest.mark.parametrize(
    ("topic", "feed", "reason"),
    [
        ("owntracks/jane", "unknown", RejectReason.UNKNOWN_TOPIC),
        ("owntracks/ja|ne/phone", "owntracks", RejectReason.BAD_ID),
        (f"owntracks/{'x' * 60}/phone", "owntracks", RejectReason.BAD_ID),
    ],
)
def test_bad_topics_are_rejected_with_their_reason(topic: str, feed: str, reason: RejectReason) -> None:
    decoded = decode(LOCATION, topic)
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason) == (feed, reason)
