"""HFP v2: identity by topic, positions, dead runs, passenger counts in both spellings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from outcomes import Decoded

from city.models import PassengerCount, Received, RejectReason, VehiclePosition, VehicleStatus
from ingest.decode import hfp

TOPIC = "/hfp/v2/journey/ongoing/vp/bus/0012/01913/4400/1/Vantaankoski/15:21/1130110/4/60;24/19/72/15"
APC_TOPIC = "/hfp/v2/journey/ongoing/apc-partial/bus/0018/01029"
TST = "2023-10-29T13:24:10.684Z"
TST_MS = 1_698_585_850_684
BODY = {
    "desi": "400", "dir": "1", "oper": 6, "veh": 1913, "tst": TST, "spd": 4.53, "hdg": 274, "lat": 60.171325,
    "long": 24.925031, "dl": -112, "odo": 746, "drst": 1, "jrn": 663, "stop": 1130110, "route": "4400", "occu": 50,
}  # fmt: skip


def message(payload: Any, topic: str = TOPIC) -> Received:
    return Received(topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode(), 5)


def decode(one: Received) -> Decoded:
    return Decoded.of(hfp.FORMAT.bind(one.topic)(one))


def counts(payload: Any, topic: str = APC_TOPIC) -> PassengerCount:
    decoded = decode(message(payload, topic))
    assert isinstance(decoded.event, PassengerCount), decoded.reject
    return decoded.event


def test_a_position_is_the_vehicle_of_its_topic() -> None:
    """The payload's operator (6) differs from the topic's (0012): the topic names the vehicle."""
    assert decode(message({"VP": BODY})).event == VehiclePosition(
        vehicle_id="0012-01913", kind="vp", measured_ms=TST_MS, received_ms=5, lat=60.171325, lon=24.925031,
        speed_mps=4.53, bearing_deg=274, odometer_m=746, doors_open=True, schedule_deviation_s=-112,
        occupancy_pct=50, route="4400", direction=1, trip="663", stop="1130110", mode="bus",
    )  # fmt: skip


@pytest.mark.parametrize(
    "event", ["due", "arr", "dep", "ars", "pde", "pas", "wait", "doo", "doc", "tlr", "vja", "vjout"]
)
def test_every_event_type_is_a_position_of_its_own_kind(event: str) -> None:
    decoded = decode(message({event.upper(): BODY}, TOPIC.replace("/vp/", f"/{event}/")))
    assert isinstance(decoded.event, VehiclePosition)
    assert decoded.event.kind == event
    assert decoded.event.slot == f"0012-01913|{event}"


def test_a_null_position_is_rejected_and_still_refreshes_the_status() -> None:
    decoded = decode(message({"VP": BODY | {"lat": None, "long": None}}))
    assert decoded.feed == "hfp"
    assert decoded.reject is not None
    assert decoded.reject.reason is RejectReason.NO_POSITION
    assert type(decoded.event) is VehicleStatus
    assert decoded.event.odometer_m == 746


def test_a_dead_run_without_route_or_stop_is_understood() -> None:
    nothing = dict.fromkeys(("desi", "dir", "spd", "hdg", "dl", "jrn", "stop", "route", "occu"))
    decoded = decode(message({"VP": BODY | nothing}, "/hfp/v2/deadrun/ongoing/vp/bus/0018/01029"))
    assert isinstance(decoded.event, VehiclePosition)
    assert decoded.event.vehicle_id == "0018-01029"
    assert decoded.event.route is None


def test_a_speed_below_zero_is_no_speed() -> None:
    decoded = decode(message({"VP": BODY | {"spd": -1.0}}))
    assert isinstance(decoded.event, VehiclePosition)
    assert decoded.event.speed_mps is None


def test_percent_encoded_topics_are_decoded() -> None:
    topic = TOPIC.replace("Vantaankoski", "Helsinki%20%28M%29").replace("/0012/", "/00%31%32/")
    event = decode(message({"VP": BODY}, topic)).event
    assert isinstance(event, VehiclePosition)
    assert event.vehicle_id == "0012-01913"


LOWER = {"vehicleload": -1, "doorcounts": [
    {"door": "1", "count": [{"class": "adult", "in": 2, "out": 0}, {"class": "pram", "in": 1, "out": 0}]},
    {"door": "3", "count": [{"class": "child", "in": 0, "out": 8}]},
]}  # fmt: skip
CAMEL = {"vehicleLoad": 12, "vehicleLoadRatio": 0.1538462, "doorCounts": [
    {"door": "1", "count": [{"clazz": "adult", "in": 1, "out": 0}]},
    {"door": "2", "count": [{"clazz": "adult", "in": 0, "out": 4}]},
]}  # fmt: skip


def test_a_vehicles_own_count_is_summed_over_doors_and_a_negative_load_is_kept() -> None:
    assert counts({"APC": {"tst": TST, "vehiclecounts": LOWER}}) == PassengerCount(
        vehicle_id="0018-01029", measured_ms=TST_MS, received_ms=5, boarded=2, alighted=8, onboard=-1
    )


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_back_ends_count_is_read_wrapped_or_bare_and_gives_the_capacity(wrapped: bool) -> None:
    body = {"tst": 1698585896, "stop": 1130110, "vehicleCounts": CAMEL}
    event = counts({"APC": body} if wrapped else body, "/hfp/v2/journey/ongoing/apc/bus/0012/01913")
    assert event == PassengerCount(
        vehicle_id="0012-01913", measured_ms=1_698_585_896_000, received_ms=5, boarded=1, alighted=4, onboard=12,
        capacity=78, stop="1130110",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"DUE": BODY}, RejectReason.BAD_TYPE),  # the topic says vp
        ({"VP": {"lat": 60.1, "long": 24.9}}, RejectReason.BAD_TYPE),
        ({"VP": BODY | {"lat": 91}}, RejectReason.BAD_VALUE),
        ({"VP": BODY | {"dir": "3"}}, RejectReason.BAD_VALUE),
        ({"VP": BODY | {"tst": "2023-10-29T13:24:10"}}, RejectReason.BAD_TIME),
        (b"\xff", RejectReason.NOT_UTF8),
        (b"nonsense", RejectReason.NOT_JSON),
    ],
)
def test_bad_messages_are_rejected_with_their_reason(payload: Any, reason: RejectReason) -> None:
    decoded = decode(message(payload))
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason, decoded.event) == ("hfp", reason, None)


@pytest.mark.parametrize("payload", [{"APC": {"tst": TST}}, {"APC": {"tst": TST, "vehiclecounts": {}}}, {"APC": 1}, {}])
def test_a_count_that_counts_nothing_is_rejected(payload: Any) -> None:
    decoded = decode(message(payload, APC_TOPIC))
    assert decoded.reject is not None
    assert decoded.reject.reason is RejectReason.BAD_TYPE


def test_a_topic_without_a_vehicle_is_unknown() -> None:
    decoded = decode(message({"VP": BODY}, "/hfp/v2/journey/ongoing/vp/bus/0012"))
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason) == ("unknown", RejectReason.UNKNOWN_TOPIC)
