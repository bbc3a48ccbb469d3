"""GTFS-Realtime: every entity of a feed is a reading or a reject of its own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.transit import gtfs_realtime_pb2 as pb
from hypothesis import given, settings
from hypothesis import strategies as st

from city.events import Affected, Case, CaseList, Event, TripUpdate, VehiclePosition, VehicleStatus
from city.messages import Reading, Received, Reject, RejectReason
from ingest.decode import Decoders, gtfs_rt
from ingest.decode.outcome import Outcome

AT_S = 1_700_000_000
AT_MS = AT_S * 1000
TOPIC = "gtfs-rt/city"
DECODERS = Decoders({"gtfs_rt": ("gtfs-rt/+",)}, payload_max_bytes=65536)


def feed(*entities: pb.FeedEntity, timestamp: int = AT_S, differential: bool = False) -> pb.FeedMessage:
    header = pb.FeedHeader(gtfs_realtime_version="2.0", timestamp=timestamp)
    if differential:
        header.incrementality = pb.FeedHeader.DIFFERENTIAL
    return pb.FeedMessage(header=header, entity=entities)


def decode(message: pb.FeedMessage | bytes, topic: str = TOPIC) -> tuple[Outcome, ...]:
    payload = message if isinstance(message, bytes) else message.SerializePartialToString()
    return DECODERS.decode(Received(topic, payload, AT_MS + 500))


def only(entity: pb.FeedEntity) -> Outcome:
    """What becomes of one entity, told as a change so that nothing else is said."""
    (outcome,) = decode(feed(entity, differential=True))
    return outcome


def event(entity: pb.FeedEntity) -> Event:
    outcome = only(entity)
    assert isinstance(outcome, Reading), outcome.detail
    return outcome.event


def reason(entity: pb.FeedEntity) -> tuple[str, RejectReason]:
    outcome = only(entity)
    assert isinstance(outcome, Reject)
    return outcome.feed, outcome.reason


def vehicle(**more: Any) -> pb.FeedEntity:
    fields: dict[str, Any] = {
        "vehicle": pb.VehicleDescriptor(id="b1", label="Bus 1", license_plate="01A"),
        "position": pb.Position(latitude=41.3, longitude=69.25),
        "timestamp": AT_S - 5,
    }
    return pb.FeedEntity(id="e1", vehicle=pb.VehiclePosition(**fields | more))


def trip(*stops: pb.TripUpdate.StopTimeUpdate, **more: Any) -> pb.FeedEntity:
    fields: dict[str, Any] = {"trip": pb.TripDescriptor(trip_id="t1"), "timestamp": AT_S, **more}
    return pb.FeedEntity(id="e2", trip_update=pb.TripUpdate(stop_time_update=stops, **fields))


def stop(name: str, **more: Any) -> pb.TripUpdate.StopTimeUpdate:
    return pb.TripUpdate.StopTimeUpdate(stop_id=name, **more)


def at(**more: int) -> pb.TripUpdate.StopTimeEvent:
    return pb.TripUpdate.StopTimeEvent(**more)


def alert(entity_id: str = "a1", *periods: tuple[int, int], **more: Any) -> pb.FeedEntity:
    spans = [pb.TimeRange(start=start, end=end) for start, end in periods]
    return pb.FeedEntity(id=entity_id, alert=pb.Alert(active_period=spans, **more))


def words(*texts: tuple[str, str]) -> pb.TranslatedString:
    return pb.TranslatedString(
        translation=[pb.TranslatedString.Translation(text=text, language=language) for text, language in texts]
    )


def can_be_stored(outcomes: tuple[Outcome, ...]) -> None:
    assert outcomes
    for outcome in outcomes:
        if isinstance(outcome, Reject):
            outcome.detail.encode()
            continue
        found = outcome.event
        assert outcome.feed or any(isinstance(one, Reject) for one in outcomes)
        assert msgspec.json.decode(msgspec.json.encode(found), type=type(found)) == found
        assert abs(found.measured_ms) < 2**53
        assert len(found.key) < 600


# --- the recorded feeds of a real agency ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "count"),
    [
        ("vehiclepositions", "gtfs_rt/vehicle", 48),
        ("tripupdates", "gtfs_rt/trip", 49),
        ("alerts", "gtfs_rt/alert", 51),
    ],
)
def test_every_entity_of_a_recorded_feed_is_a_reading(recordings: Path, name: str, kind: str, count: int) -> None:
    outcomes = decode((recordings / "gtfs-rt" / f"{name}.pb").read_bytes())
    assert [outcome.feed for outcome in outcomes] == [kind] * count + ["gtfs_rt"]
    assert all(isinstance(outcome, Reading) for outcome in outcomes)


def test_recorded_vehicles_are_where_the_feed_says(recordings: Path) -> None:
    payload = (recordings / "gtfs-rt" / "vehiclepositions.pb").read_bytes()
    told = {one.vehicle.vehicle.id: one.vehicle for one in pb.FeedMessage.FromString(payload).entity}
    read = [one.event for one in decode(payload) if isinstance(one, Reading)]
    positions = [one for one in read if isinstance(one, VehiclePosition)]
    assert {one.vehicle_id for one in positions} == set(told)
    for one in positions:
        source = told[one.vehicle_id]
        # Fewer digits, and the same 32 bits.
        assert pb.Position(latitude=one.lat, longitude=one.lon, bearing=source.position.bearing) == source.position
        assert len(str(one.lat)) <= len("42.3400612")
        assert one.bearing_deg == source.position.bearing % 360
        assert (one.measured_ms, one.trip) == (source.timestamp * 1000, source.trip.trip_id)
        assert (one.route, one.direction) == (source.trip.route_id, source.trip.direction_id + 1)


def test_recorded_trip_updates_that_only_predict_times_say_no_deviation(recordings: Path) -> None:
    read = decode((recordings / "gtfs-rt" / "tripupdates.pb").read_bytes())
    trips = [one.event for one in read if isinstance(one, Reading) and isinstance(one.event, TripUpdate)]
    assert {one.schedule_deviation_s for one in trips} == {None}
    assert all(one.vehicle_id and one.trip for one in trips)
    assert {one.schedule_relationship for one in trips} == {"added", "scheduled"}
    assert trips[0].stop == "70167"


def test_recorded_alerts_are_open_cases_with_their_texts(recordings: Path) -> None:
    read = decode((recordings / "gtfs-rt" / "alerts.pb").read_bytes(), "gtfs-rt/mbta")
    cases = [one.event for one in read if isinstance(one, Reading) and isinstance(one.event, Case)]
    assert {(one.source, one.status) for one in cases} == {("gtfs-rt-mbta", "open")}
    assert all(one.title and one.affects for one in cases)
    first = next(one for one in cases if one.case_id == "105025")
    assert (first.title, first.category) == ("elevator unavailable", "construction/other_effect")
    assert (first.starts_ms, first.ends_ms) == (1_451_727_000_000, None)
    assert [one.stop for one in first.affects] == ["70026", "70027", "70205", "70206"]


@pytest.mark.parametrize("name", ["vehiclepositions", "tripupdates", "alerts"])
def test_damaged_recordings_never_fail_and_never_vanish(recordings: Path, name: str) -> None:
    whole = (recordings / "gtfs-rt" / f"{name}.pb").read_bytes()
    chance = random.Random(7)
    for _ in range(100):
        payload = bytearray(whole)
        for _ in range(chance.choice((1, 3, 30))):
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        if chance.random() < 0.2:
            del payload[chance.randrange(len(payload)) :]
        can_be_stored(decode(bytes(payload)))


# --- vehicles ------------------------------------------------------------------------------------


def test_a_vehicle_with_everything_is_a_position() -> None:
    described = pb.TripDescriptor(
        trip_id="t1", route_id="8", direction_id=0, start_date="20260504", start_time="7:30:00"
    )
    place = pb.Position(latitude=41.3, longitude=69.25, bearing=360, speed=9.5, odometer=12_345.6)
    found = event(
        vehicle(
            trip=described, position=place, stop_id="s1", occupancy_percentage=105,
            occupancy_status=pb.VehiclePosition.FULL,
        )
    )  # fmt: skip
    assert found == VehiclePosition(
        vehicle_id="b1", measured_ms=AT_MS - 5000, received_ms=AT_MS + 500, lat=41.3, lon=69.25, bearing_deg=0,
        speed_mps=9.5, odometer_m=12_345.6, route="8", direction=1, trip="t1", stop="s1", occupancy_pct=105,
        occupancy_status="full", trip_start_date="20260504", trip_start_time="07:30:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("described", "name"),
    [
        ({"id": "b1", "label": "Bus 1", "license_plate": "01A"}, "b1"),
        ({"label": "Bus 1", "license_plate": "01A"}, "Bus 1"),
        ({"license_plate": "01A"}, "01A"),
    ],
)
def test_a_vehicle_is_named_by_id_else_label_else_plate(described: dict[str, str], name: str) -> None:
    found = event(vehicle(vehicle=pb.VehicleDescriptor(**described)))
    assert isinstance(found, VehiclePosition)
    assert found.vehicle_id == name


def test_a_vehicle_without_a_time_of_its_own_has_the_headers() -> None:
    assert event(vehicle(timestamp=0)).measured_ms == AT_MS
    outcome, whole = decode(feed(vehicle(timestamp=0), timestamp=0))
    assert isinstance(outcome, Reject)
    assert isinstance(whole, Reject)
    assert outcome.reason is whole.reason is RejectReason.BAD_TIME


def test_no_data_on_occupancy_is_unknown_and_empty_is_not() -> None:
    unknown = event(vehicle(occupancy_status=pb.VehiclePosition.NO_DATA_AVAILABLE))
    empty = event(vehicle(occupancy_status=pb.VehiclePosition.EMPTY, occupancy_percentage=0))
    assert isinstance(unknown, VehiclePosition)
    assert isinstance(empty, VehiclePosition)
    assert (unknown.occupancy_status, unknown.occupancy_pct) == (None, None)
    assert (empty.occupancy_status, empty.occupancy_pct) == ("empty", 0)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"vehicle": pb.VehicleDescriptor()}, RejectReason.BAD_ID),
        ({"vehicle": pb.VehicleDescriptor(id="a|b")}, RejectReason.BAD_ID),
        ({"vehicle": pb.VehicleDescriptor(id="b" * 65)}, RejectReason.BAD_ID),
        ({"position": pb.Position(latitude=95, longitude=69)}, RejectReason.BAD_VALUE),
        ({"position": pb.Position(latitude=41, longitude=-180.1)}, RejectReason.BAD_VALUE),
        ({"position": pb.Position(latitude=float("nan"), longitude=69)}, RejectReason.BAD_VALUE),
        ({"position": pb.Position(latitude=41, longitude=float("inf"))}, RejectReason.BAD_VALUE),
        ({"position": pb.Position(latitude=41, longitude=69, speed=-1)}, RejectReason.BAD_VALUE),
        ({"position": pb.Position(latitude=41, longitude=69, speed=float("nan"))}, RejectReason.BAD_VALUE),
        ({"position": pb.Position(latitude=41, longitude=69, bearing=361)}, RejectReason.BAD_VALUE),
        ({"position": pb.Position(latitude=41, longitude=69, odometer=-1)}, RejectReason.BAD_VALUE),
        ({"position": pb.Position(latitude=41)}, RejectReason.BAD_TYPE),
        ({"occupancy_percentage": 1001}, RejectReason.BAD_VALUE),
        ({"trip": pb.TripDescriptor(direction_id=2)}, RejectReason.BAD_VALUE),
        ({"trip": pb.TripDescriptor(trip_id="t" * 257)}, RejectReason.BAD_VALUE),
        ({"trip": pb.TripDescriptor(start_date="4 May")}, RejectReason.BAD_VALUE),
        ({"timestamp": 2**64 - 1}, RejectReason.BAD_TIME),
    ],
)
def test_impossible_vehicles_are_refused(more: dict[str, Any], why: RejectReason) -> None:
    assert reason(vehicle(**more)) == ("gtfs_rt/vehicle", why)


def test_a_vehicle_without_a_position_is_refused_and_its_state_kept() -> None:
    entity = vehicle(trip=pb.TripDescriptor(route_id="8"))
    entity.vehicle.ClearField("position")
    refused, kept = decode(feed(entity, differential=True))
    assert isinstance(refused, Reject)
    assert isinstance(kept, Reading)
    assert (refused.feed, refused.reason) == ("gtfs_rt/vehicle", RejectReason.NO_POSITION)
    assert (kept.feed, type(kept.event)) == ("", VehicleStatus)


def test_a_deleted_vehicle_says_nothing_that_is_kept() -> None:
    entity = vehicle()
    entity.is_deleted = True
    assert reason(entity) == ("gtfs_rt/vehicle", RejectReason.NOT_WANTED)


def test_text_that_is_not_utf8_is_refused() -> None:
    payload = feed(vehicle(vehicle=pb.VehicleDescriptor(id="ABCD")), differential=True).SerializeToString()
    (outcome,) = decode(payload.replace(b"ABCD", b"AB\xff\xfe"))
    assert isinstance(outcome, Reject)
    assert outcome.reason is RejectReason.NOT_UTF8


# --- trip updates --------------------------------------------------------------------------------


def deviation(entity: pb.FeedEntity) -> tuple[float | None, str | None]:
    found = event(entity)
    assert isinstance(found, TripUpdate)
    return found.schedule_deviation_s, found.stop


def test_a_late_trip_is_behind_schedule() -> None:
    assert deviation(trip(delay=120)) == (-120, None)
    assert deviation(trip(delay=-60)) == (60, None)
    assert deviation(trip(delay=0)) == (0, None)


def test_the_deviation_is_that_of_the_next_stop() -> None:
    """Stops that the trip has passed come first in the message; skipped ones are not stopped at."""
    passed = stop("s1", arrival=at(delay=10, time=AT_S - 200), departure=at(delay=20, time=AT_S - 180))
    skipped = stop("s2", schedule_relationship=pb.TripUpdate.StopTimeUpdate.SKIPPED)
    coming = stop("s3", arrival=at(delay=90, time=AT_S + 60))
    later = stop("s4", arrival=at(delay=30, time=AT_S + 160))
    assert deviation(trip(passed, skipped, coming, later)) == (-90, "s3")
    assert deviation(trip(passed, skipped, coming, later, delay=75)) == (-75, "s3")


def test_a_vehicle_at_a_stop_has_the_delay_of_its_departure() -> None:
    here = stop("s1", arrival=at(delay=10, time=AT_S - 20), departure=at(delay=45, time=AT_S + 20))
    assert deviation(trip(here)) == (-45, "s1")


def test_after_the_last_stop_told_its_delay_holds() -> None:
    assert deviation(trip(stop("s1", departure=at(delay=20, time=AT_S - 180)))) == (-20, None)


def test_a_delay_without_a_time_is_of_a_stop_to_come() -> None:
    assert deviation(trip(stop("s1", arrival=at(delay=30)), stop("s2", arrival=at(delay=40)))) == (-30, "s1")


def test_a_time_alone_says_no_deviation_and_with_the_scheduled_one_it_does() -> None:
    assert deviation(trip(stop("s1", arrival=at(time=AT_S + 60)))) == (None, "s1")
    assert deviation(trip(stop("s1", arrival=at(time=AT_S + 60, scheduled_time=AT_S + 20)))) == (-40, "s1")
    # The stop after it is known to be late; what is between the two nobody says.
    known = stop("s2", arrival=at(delay=40, time=AT_S + 200))
    assert deviation(trip(stop("s1", arrival=at(time=AT_S + 60)), known)) == (None, "s1")


def test_a_stop_without_data_says_no_deviation_for_those_after_it() -> None:
    nothing = stop("s2", schedule_relationship=pb.TripUpdate.StopTimeUpdate.NO_DATA)
    assert deviation(trip(stop("s1", departure=at(delay=20, time=AT_S - 180)), nothing)) == (None, None)


def test_a_trip_is_kept_under_its_id_and_its_start_where_it_has_several_runs() -> None:
    assert event(trip()).key == "t1"
    run = pb.TripDescriptor(trip_id="t1", start_time="25:05:00", start_date="20260504")
    assert event(trip(trip=run)).key == "t1|25:05:00"
    unnamed = pb.TripDescriptor(route_id="8", direction_id=1, start_date="20260504", start_time="07:30:00")
    found = event(trip(trip=unnamed))
    assert found.key == found.entity == "8|2|20260504|07:30:00"


def test_what_a_trip_says_of_itself_is_kept() -> None:
    described = pb.TripDescriptor(
        trip_id="t1", route_id="8", direction_id=1, schedule_relationship=pb.TripDescriptor.CANCELED
    )
    assert event(trip(trip=described, vehicle=pb.VehicleDescriptor(id="b1"))) == TripUpdate(
        measured_ms=AT_MS, received_ms=AT_MS + 500, trip="t1", route="8", direction=2, vehicle_id="b1",
        schedule_relationship="canceled",
    )  # fmt: skip


def test_a_trip_update_that_is_deleted_takes_its_deviation_back() -> None:
    entity = trip(delay=60)
    entity.is_deleted = True
    found = event(entity)
    assert isinstance(found, TripUpdate)
    assert (found.schedule_relationship, found.schedule_deviation_s) == ("withdrawn", None)


@pytest.mark.parametrize(
    ("entity", "why"),
    [
        (trip(trip=pb.TripDescriptor()), RejectReason.BAD_ID),
        (trip(trip=pb.TripDescriptor(trip_id="a|b")), RejectReason.BAD_ID),
        (trip(delay=864_001), RejectReason.BAD_VALUE),
        (trip(trip=pb.TripDescriptor(trip_id="t1", start_time="soon")), RejectReason.BAD_VALUE),
        (trip(vehicle=pb.VehicleDescriptor(id=" b1")), RejectReason.BAD_ID),
        (pb.FeedEntity(id="e", trip_update=pb.TripUpdate(delay=1)), RejectReason.BAD_TYPE),
    ],
)
def test_impossible_trips_are_refused(entity: pb.FeedEntity, why: RejectReason) -> None:
    assert reason(entity) == ("gtfs_rt/trip", why)


# --- alerts --------------------------------------------------------------------------------------


def case(entity: pb.FeedEntity) -> Case:
    found = event(entity)
    assert isinstance(found, Case)
    return found


def test_an_alert_is_an_open_case_of_its_feed() -> None:
    entity = alert(
        "a1", (AT_S - 60, AT_S + 60), cause=pb.Alert.STRIKE, effect=pb.Alert.DETOUR,
        severity_level=pb.Alert.SEVERE, header_text=words(("Detour", "en")), description_text=words(("Why", "en")),
        informed_entity=[
            pb.EntitySelector(agency_id="A", route_id="8", direction_id=0, route_type=3),
            pb.EntitySelector(agency_id="A", stop_id="s1", trip=pb.TripDescriptor(trip_id="t1", route_id="9")),
            pb.EntitySelector(),
        ],
    )  # fmt: skip
    assert case(entity) == Case(
        source="gtfs-rt-city", case_id="a1", measured_ms=AT_MS, received_ms=AT_MS + 500,
        category="strike/detour", status="open", title="Detour", text="Why", severity="severe", agency="A",
        starts_ms=AT_MS - 60_000, ends_ms=AT_MS + 60_000,
        affects=(
            Affected(agency="A", route="8", route_type=3, direction=1),
            Affected(agency="A", route="9", stop="s1", trip="t1"),
        ),
    )  # fmt: skip


def test_the_text_is_in_the_first_of_the_citys_languages_that_is_given() -> None:
    every = [("de", "de"), ("en-html", "EN-html"), ("en", "en"), ("ru", "ru-RU"), ("uz", "uz-Latn")]
    for offered, wanted in ((every, "uz"), (every[:4], "ru"), (every[:3], "en"), (every[:2], "en-html")):
        assert case(alert(header_text=words(*offered))).title == wanted
    assert case(alert(header_text=words(("de", "de"), ("plain", "")))).title == "plain"
    assert case(alert(header_text=words(("de", "de"), ("fr", "fr")))).title == "de"
    assert case(alert(header_text=words(("", "uz")))).title is None


@pytest.mark.parametrize(
    ("periods", "starts_s", "ends_s", "status"),
    [
        ([], None, None, "open"),
        ([(0, AT_S + 9)], None, AT_S + 9, "open"),
        ([(AT_S - 9, 0)], AT_S - 9, None, "open"),
        ([(AT_S - 9, 2**64 - 1)], AT_S - 9, None, "open"),
        ([(AT_S - 9, AT_S - 5), (AT_S + 70, AT_S + 90), (AT_S + 5, AT_S + 9)], AT_S + 5, AT_S + 9, "open"),
        ([(AT_S - 9, AT_S - 5), (AT_S + 5, AT_S + 9), (AT_S - 1, AT_S + 1)], AT_S - 1, AT_S + 1, "open"),
        ([(AT_S - 9, AT_S - 5), (AT_S - 4, AT_S)], AT_S - 4, AT_S, "closed"),
    ],
)
def test_of_its_periods_an_alert_has_the_one_that_holds_or_comes_next(
    periods: list[tuple[int, int]], starts_s: int | None, ends_s: int | None, status: str
) -> None:
    """With all of them over it is closed."""
    found = case(alert("a1", *periods))
    assert found.starts_ms == (None if starts_s is None else starts_s * 1000)
    assert found.ends_ms == (None if ends_s is None else ends_s * 1000)
    assert found.status == status


def test_a_deleted_alert_is_closed_with_or_without_its_content() -> None:
    entity = alert("a1", (AT_S, AT_S + 60))
    entity.is_deleted = True
    assert case(entity).status == "closed"
    bare = case(pb.FeedEntity(id="a1", is_deleted=True))
    assert (bare.key, bare.status) == ("gtfs-rt-city|a1", "closed")


@pytest.mark.parametrize(
    ("entity", "why"),
    [
        (alert(""), RejectReason.BAD_ID),
        (alert("a|b"), RejectReason.BAD_ID),
        (alert(header_text=words(("x" * 4097, "en"))), RejectReason.BAD_VALUE),
        (alert("a1", (2**63, 0)), RejectReason.BAD_TIME),
        (alert(informed_entity=[pb.EntitySelector(route_type=-1)]), RejectReason.BAD_VALUE),
        (alert(informed_entity=[pb.EntitySelector(stop_id="s")] * 10_001), RejectReason.BAD_VALUE),
        (pb.FeedEntity(id="a", alert=pb.Alert(header_text=pb.TranslatedString(
            translation=[pb.TranslatedString.Translation()]))), RejectReason.BAD_TYPE),
    ],
)  # fmt: skip
def test_impossible_alerts_are_refused(entity: pb.FeedEntity, why: RejectReason) -> None:
    assert reason(entity) == ("gtfs_rt/alert", why)


def test_an_alert_without_any_time_is_refused() -> None:
    outcome, _ = decode(feed(alert(), timestamp=0))
    assert isinstance(outcome, Reject)
    assert (outcome.feed, outcome.reason) == ("gtfs_rt/alert", RejectReason.BAD_TIME)


# --- whole messages ------------------------------------------------------------------------------


def lists(outcomes: tuple[Outcome, ...]) -> list[CaseList]:
    found = [one.event for one in outcomes if isinstance(one, Reading) and one.feed == "gtfs_rt"]
    return [one for one in found if isinstance(one, CaseList)]


def test_a_whole_feed_says_that_nothing_else_stands_and_a_change_does_not() -> None:
    told = CaseList(source="gtfs-rt-city", measured_ms=AT_MS, received_ms=AT_MS + 500)
    assert lists(decode(feed(alert()))) == [told]
    assert lists(decode(feed(alert(), differential=True))) == []


def test_an_empty_whole_feed_is_one_reading_and_an_empty_change_is_refused() -> None:
    (outcome,) = decode(feed())
    assert isinstance(outcome, Reading)
    assert isinstance(outcome.event, CaseList)
    (refused,) = decode(feed(differential=True))
    assert isinstance(refused, Reject)
    assert (refused.feed, refused.reason) == ("gtfs_rt", RejectReason.NOT_WANTED)


def test_an_alert_that_cannot_be_read_is_still_in_the_feed() -> None:
    (told,) = lists(decode(feed(alert("good"), alert("bad", header_text=words(("x" * 5000, "en"))))))
    assert told.unread == ("bad",)
    # Of an entity that is no protobuf not even the id is known: then nothing is said to be over.
    whole = feed(alert("good")).SerializeToString()
    outcomes = decode(whole + b"\x12\x02\xff\xff")
    assert [(one.feed, isinstance(one, Reject)) for one in outcomes] == [("gtfs_rt/alert", False), ("gtfs_rt", True)]


def test_one_bad_entity_costs_itself_and_is_kept_alone() -> None:
    """Read again, it says the same and ends no other alert."""
    bad = vehicle(position=pb.Position(latitude=95, longitude=69))
    outcomes = decode(feed(vehicle(), bad, trip(delay=1), alert()))
    assert [one.feed for one in outcomes] == [
        "gtfs_rt/vehicle", "gtfs_rt/vehicle", "gtfs_rt/trip", "gtfs_rt/alert", "gtfs_rt",
    ]  # fmt: skip
    refused = outcomes[1]
    assert isinstance(refused, Reject)
    kept = pb.FeedMessage.FromString(refused.message.payload)
    assert list(kept.entity) == [bad]
    assert (kept.header.timestamp, kept.header.gtfs_realtime_version) == (AT_S, "2.0")
    assert decode(refused.message.payload) == (refused,)


def test_readings_too_carry_their_entity_alone() -> None:
    """A later check may refuse them."""
    first, second, told = decode(feed(vehicle(), trip(delay=1)))
    assert [one.HasField("vehicle") for one in pb.FeedMessage.FromString(first.message.payload).entity] == [True]
    assert [one.HasField("vehicle") for one in pb.FeedMessage.FromString(second.message.payload).entity] == [False]
    assert decode(told.message.payload) == (told,)


def test_an_entity_with_several_contents_is_several_readings() -> None:
    both = vehicle()
    both.trip_update.CopyFrom(trip(delay=1).trip_update)
    assert [one.feed for one in decode(feed(both, differential=True))] == ["gtfs_rt/vehicle", "gtfs_rt/trip"]


def test_an_entity_of_another_kind_is_refused() -> None:
    assert reason(pb.FeedEntity(id="s", shape=pb.Shape(shape_id="s"))) == ("gtfs_rt", RejectReason.NOT_WANTED)


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"", RejectReason.BAD_TYPE),
        (b"{}", RejectReason.BAD_TYPE),
        (b"\xff" * 40, RejectReason.BAD_TYPE),
        (feed(vehicle()).SerializeToString()[:-1], RejectReason.BAD_TYPE),
        (feed(vehicle()).SerializeToString() + b"\x12\x05", RejectReason.BAD_TYPE),
        (feed(vehicle()).SerializeToString() + b"\x19\x00", RejectReason.BAD_TYPE),
        (feed(vehicle()).SerializeToString() + b"\x00", RejectReason.BAD_TYPE),
        (b"\x0a\x00" + feed(vehicle()).SerializeToString()[20:], RejectReason.BAD_TYPE),
        (feed(vehicle(), timestamp=2**64 - 1).SerializeToString(), RejectReason.BAD_TIME),
        (feed().SerializeToString() + b"\x12\x00" * 100_001, RejectReason.BAD_VALUE),
        (pb.FeedMessage(header=pb.FeedHeader(gtfs_realtime_version="2" * 1100)).SerializeToString(),
         RejectReason.BAD_VALUE),
    ],
)  # fmt: skip
def test_what_is_no_feed_is_one_reject(payload: bytes, why: RejectReason) -> None:
    (outcome,) = decode(payload)
    assert isinstance(outcome, Reject)
    assert (outcome.feed, outcome.reason, outcome.message.payload) == ("gtfs_rt", why, payload)


def test_fields_that_are_not_known_are_no_error() -> None:
    extension = b"\xc2\x3e\x01x" + b"\x98\x3f\x05" + b"\xa1\x3f" + b"8" * 8 + b"\xa5\x3f" + b"4" * 4
    payload = feed(vehicle(), differential=True).SerializeToString() + extension
    assert isinstance(decode(payload)[0], Reading)


def test_a_feed_may_be_larger_than_other_messages_and_its_name_must_be_an_id() -> None:
    many = feed(*(alert(f"a{n}", description_text=words(("x" * 4000, "en"))) for n in range(50)))
    assert len(decode(many)) == 51
    (outcome,) = decode(feed(vehicle()), "gtfs-rt/a|b")
    assert isinstance(outcome, Reject)
    assert (outcome.feed, outcome.reason) == ("gtfs_rt", RejectReason.BAD_ID)
    (large,) = decode(b"x" * (gtfs_rt.FORMAT.payload_max_bytes or 0) + b"x")
    assert isinstance(large, Reject)
    assert (large.feed, large.reason) == ("gtfs_rt", RejectReason.TOO_LARGE)


# --- whatever comes ------------------------------------------------------------------------------

_NUMBERS = [0, 1, 2, 3, 99, 1001, AT_S, 2**31 - 1]
_FLOATS = [0.0, 41.3, 69.2, 90.0, 95.0, -1.0, 1e9, 3e38, float("nan"), float("inf"), -float("inf")]
_TEXTS = [
    "",
    "b1",
    "t1",
    "a|b",
    "20260504",
    "07:30:00",
    "uz",
    "en-US",
    "x" * 300,
    "x" * 5000,
    "\x00",
    "ў\u2028",
    "\ufffd",
]


def _filled(message: Message, chance: random.Random, depth: int = 0) -> Message:
    """A message of the schema with any of its fields, of any value that they can hold."""
    for field in message.DESCRIPTOR.fields:
        if depth > 4 or chance.random() < (0.1 if field.is_required else 0.5):
            continue
        for _ in range(chance.randrange(3) if field.is_repeated else 1):
            if field.message_type is not None:
                held = getattr(message, field.name)
                _filled(held.add() if field.is_repeated else held, chance, depth + 1)
                if not field.is_repeated:
                    held.SetInParent()
                continue
            value = _value(field, chance)
            if field.is_repeated:
                getattr(message, field.name).append(value)
            else:
                setattr(message, field.name, value)
    return message


def _value(field: FieldDescriptor, chance: random.Random) -> Any:
    if field.enum_type is not None:
        return chance.choice([one.number for one in field.enum_type.values])
    if field.type == FieldDescriptor.TYPE_STRING:
        return chance.choice(_TEXTS)
    if field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE):
        return chance.choice(_FLOATS)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return chance.random() < 0.3
    if field.type == FieldDescriptor.TYPE_UINT64:
        return chance.choice([*_NUMBERS, AT_MS, 2**63, 2**64 - 1])
    return chance.choice(_NUMBERS)


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_any_feed_of_the_schema_whole_or_damaged_has_outcomes_that_can_be_stored(seed: int) -> None:
    chance = random.Random(seed)
    message = feed(timestamp=chance.choice([0, AT_S, AT_S, 2**64 - 1]), differential=chance.random() < 0.5)
    for _ in range(chance.randrange(4)):
        _filled(message.entity.add(), chance)
    payload = bytearray(message.SerializePartialToString())
    can_be_stored(decode(bytes(payload)))
    for _ in range(5):
        payload[chance.randrange(len(payload))] = chance.randrange(256)
        can_be_stored(decode(bytes(payload)))
