"""HFP v2: identity by topic, positions of every event, dead runs, passenger counts in both spellings, recordings."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from outcomes import Decoded

from city.events import PassengerCount, SignalPriority, VehiclePosition, VehicleStatus
from city.messages import Received, RejectReason
from ingest.decode import hfp

TOPIC = "/hfp/v2/journey/ongoing/vp/bus/0012/01913/4400/1/Vantaankoski/15:21/1130110/4/60;24/19/72/15"
APC_TOPIC = "/hfp/v2/journey/ongoing/apc-partial/bus/0018/01029"
TST = "2023-10-29T13:24:10.684Z"
TST_MS = 1_698_585_850_684
BODY = {
    "desi": "400", "dir": "1", "oper": 6, "veh": 1913, "tst": TST, "spd": 4.53, "hdg": 274, "lat": 60.171325,
    "long": 24.925031, "dl": -112, "odo": 746, "drst": 1, "jrn": 663, "stop": 1130110, "route": "4400", "occu": 50,
    "oday": "2023-10-29", "start": "15:21", "loc": "GPS", "line": 1109, "acc": -1.7,
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
        occupancy_pct=50, route="4400", direction=1, trip="663", stop="1130110", mode="bus", route_short_name="400",
        trip_start_date="20231029", trip_start_time="15:21:00", location_source="gps",
    )  # fmt: skip


@pytest.mark.parametrize(
    "event",
    [
        "due",
        "arr",
        "dep",
        "ars",
        "pde",
        "pas",
        "wait",
        "doo",
        "doc",
        "tlr",
        "tla",
        "da",
        "dout",
        "ba",
        "bout",
        "vja",
        "vjout",
        "stp",
        "never-heard-of",
    ],
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


def test_an_event_at_a_stop_tells_what_the_timetable_says_of_it() -> None:
    times = {"ttarr": "2023-10-29T13:24:00.000Z", "ttdep": "2023-10-29T13:25:00.000Z"}
    event = decode(message({"DUE": BODY | times}, TOPIC.replace("/vp/", "/due/"))).event
    assert isinstance(event, VehiclePosition)
    assert event.scheduled_arrival_ms == 1_698_585_840_000
    assert event.scheduled_departure_ms == 1_698_585_900_000


def test_a_drivers_event_says_nothing_of_a_journey() -> None:
    """`da`, `dout`, `ba` and `bout` leave out what belongs to a journey."""
    body = {
        "oper": 12, "veh": 1211, "tst": TST, "spd": 0, "hdg": 84, "lat": 60.3, "long": 25.1, "acc": 0, "odo": 15666,
        "drst": 1, "oday": "2023-10-29", "loc": "GPS", "dr-type": 1, "block": 314,
    }  # fmt: skip
    event = decode(message({"BOUT": body}, "/hfp/v2/deadrun/ongoing/bout/bus/0012/01211")).event
    assert event == VehiclePosition(
        vehicle_id="0012-01211", kind="bout", measured_ms=TST_MS, received_ms=5, lat=60.3, lon=25.1, speed_mps=0,
        bearing_deg=84, odometer_m=15666, doors_open=True, mode="bus", trip_start_date="20231029",
        location_source="gps",
    )  # fmt: skip


def test_a_traffic_lights_request_and_its_answer_are_kept() -> None:
    asked = {
        "sid": 3230, "signal-groupid": 1626, "tlp-signalgroupnbr": 9, "tlp-requestid": 139, "tlp-requesttype": "NORMAL",
        "tlp-prioritylevel": "normal", "tlp-line-configid": None, "tlp-frequency": 461200, "tlp-protocol": "KAR-MQTT",
        "tlp-att-seq": 2,
    }  # fmt: skip
    request = decode(message({"TLR": BODY | asked}, TOPIC.replace("/vp/", "/tlr/"))).event
    assert isinstance(request, VehiclePosition)
    assert request.signal_priority == SignalPriority(
        junction="3230", signal_group="1626", request="139", attempt=2, kind="normal", level="normal"
    )
    refused = {"sid": 3230, "tlp-requestid": 139, "tlp-decision": "NAK"}
    answer = decode(message({"TLA": BODY | refused}, TOPIC.replace("/vp/", "/tla/"))).event
    assert isinstance(answer, VehiclePosition)
    assert answer.signal_priority == SignalPriority(junction="3230", request="139", granted=False)
    why_not = {"tlp-prioritylevel": "norequest", "tlp-reason": "AHEAD"}
    silent = decode(message({"TLR": BODY | why_not}, TOPIC.replace("/vp/", "/tlr/"))).event
    assert isinstance(silent, VehiclePosition)
    assert silent.signal_priority == SignalPriority(level="norequest", reason="ahead")


@pytest.mark.parametrize(
    ("loc", "source"),
    [("GPS", "gps"), ("ODO", "odometer"), ("MAN", "manual"), ("DR", "dead_reckoning"), ("N/A", None), (None, None)],
)
def test_where_a_place_comes_from_is_said_in_words(loc: str | None, source: str | None) -> None:
    event = decode(message({"VP": BODY | {"loc": loc}})).event
    assert isinstance(event, VehiclePosition)
    assert event.location_source == source


def test_the_metros_direction_0_is_no_direction() -> None:
    event = decode(message({"VP": BODY | {"dir": "0"}})).event
    assert isinstance(event, VehiclePosition)
    assert event.direction is None


def test_an_upcoming_journey_does_not_make_the_ongoing_one_a_duplicate() -> None:
    """On the way to a journey a vehicle tells of both at one time."""
    upcoming = decode(message({"VP": BODY}, TOPIC.replace("/ongoing/", "/upcoming/"))).event
    ongoing = decode(message({"VP": BODY})).event
    assert isinstance(upcoming, VehiclePosition)
    assert isinstance(ongoing, VehiclePosition)
    assert (upcoming.kind, ongoing.kind) == ("upcoming/vp", "vp")
    assert upcoming.slot != ongoing.slot
    assert upcoming.key == ongoing.key == "0012-01913"


def test_a_speed_below_zero_is_no_speed() -> None:
    decoded = decode(message({"VP": BODY | {"spd": -1.0}}))
    assert isinstance(decoded.event, VehiclePosition)
    assert decoded.event.speed_mps is None


def test_percent_encoded_topics_are_decoded() -> None:
    topic = TOPIC.replace("Vantaankoski", "Helsinki%20%28M%29").replace("/0012/", "/00%31%32/")
    event = decode(message({"VP": BODY}, topic)).event
    assert isinstance(event, VehiclePosition)
    assert event.vehicle_id == "0012-01913"


LOWER = {"vehicleload": -1, "countquality": "defect", "doorcounts": [
    {"door": "1", "count": [{"class": "adult", "in": 2, "out": 0}, {"class": "pram", "in": 1, "out": 0}]},
    {"door": "3", "count": [{"class": "child", "in": 0, "out": 8}]},
]}  # fmt: skip
CAMEL = {"vehicleLoad": 12, "vehicleLoadRatio": 0.1538462, "doorCounts": [
    {"door": "1", "count": [{"clazz": "adult", "in": 1, "out": 0}]},
    {"door": "2", "count": [{"clazz": "adult", "in": 0, "out": 4}]},
]}  # fmt: skip


def test_a_vehicles_own_count_is_summed_over_doors_and_a_negative_load_is_kept() -> None:
    assert counts({"APC": {"tst": TST, "vehiclecounts": LOWER}}) == PassengerCount(
        vehicle_id="0018-01029", measured_ms=TST_MS, received_ms=5, boarded=2, alighted=8, onboard=-1, quality="defect",
    )  # fmt: skip


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


def recorded(file: Path) -> Iterator[Received]:
    """The messages of a recording: a line each, with time of arrival, topic (spaces included) and payload."""
    for line in file.read_text(encoding="utf-8").splitlines():
        said, _, payload = line.partition(" {")
        yield message(b"{" + payload.encode(), said.partition(" ")[2])


def test_every_recorded_message_is_a_position_or_says_that_it_has_none(recordings: Path) -> None:
    """940 of the 1,565 messages were sent by vehicles without a fix; nothing else is refused."""
    events: Counter[str] = Counter()
    refused: Counter[RejectReason] = Counter()
    for file in sorted(recordings.glob("hfp/*/hfp.dump")):
        for one in recorded(file):
            decoded = decode(one)
            if decoded.reject is not None:
                refused[decoded.reject.reason] += 1
                assert type(decoded.event) is VehicleStatus
            assert isinstance(decoded.event, VehicleStatus)
            events[decoded.event.kind] += 1
    assert refused == {RejectReason.NO_POSITION: 940}
    assert events == {
        "vp": 1487, "upcoming/vp": 3, "due": 9, "arr": 7, "ars": 7, "pde": 7, "dep": 8, "pas": 1, "wait": 4, "doo": 7,
        "doc": 7, "tlr": 8, "vja": 4, "vjout": 5, "bout": 1,
    }  # fmt: skip


def test_no_recorded_message_is_another_ones_duplicate(recordings: Path) -> None:
    seen: Counter[tuple[str, int]] = Counter()
    for file in recordings.glob("hfp/*/hfp.dump"):
        for one in recorded(file):
            event = decode(one).event
            assert event is not None
            seen[event.slot, event.measured_ms] += 1
    assert max(seen.values()) == 1


@pytest.mark.parametrize(
    "case",
    [
        "currentStopNull", "partialApcAfterLongDeadRunStart", "serviceJourneyChangeSameStop", "stopChange",
        "wrongServiceJourneySelectedAfterDeadRun",
    ],
)  # fmt: skip
def test_recorded_counts_add_up_to_what_the_back_end_made_of_them(recordings: Path, case: str) -> None:
    """The back end's results by journey and stop, in its own spelling, against the vehicle's own messages.

    Who boarded and alighted is only shared out otherwise there: at a journey's change who alights
    belongs to the old journey, who boards to the new one.
    """
    sent = [decode(one) for one in recorded(recordings / "hfp" / case / "partialApc.dump")]
    results: list[dict[str, Any]] = json.loads((recordings / "hfp" / case / "apc.json").read_text(encoding="utf-8"))
    made = [counts(one["data"]["payload"], one["data"]["topic"]) for one in results]
    told = [one.event for one in sent if isinstance(one.event, PassengerCount)]
    assert len(told) == len(sent)
    assert {one.vehicle_id for one in told} == {one.vehicle_id for one in made}
    assert sum(one.boarded or 0 for one in told) == sum(one.boarded or 0 for one in made)
    assert sum(one.alighted or 0 for one in told) == sum(one.alighted or 0 for one in made)
    assert {one.quality for one in (*told, *made)} == {"regular"}
    assert told[-1].measured_ms == made[-1].measured_ms
    if [one.measured_ms for one in told] == [one.measured_ms for one in made]:
        # A result a message: they agree in everything.
        assert [(one.boarded, one.alighted, one.onboard) for one in told] == [
            (one.boarded, one.alighted, one.onboard) for one in made
        ]
    else:
        assert told[-1].onboard == made[-1].onboard


def test_a_recorded_load_below_nobody_is_kept(recordings: Path) -> None:
    file = recordings / "hfp" / "currentStopNull" / "partialApc.dump"
    loads = [counts(one.payload, one.topic).onboard for one in recorded(file)]
    assert loads == [-1, 6]
