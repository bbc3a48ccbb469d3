"""What the scripts are called with."""

from __future__ import annotations

import struct
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, msgpack

import city.commits
from city.commits import Commits, Keep, Part
from city.events import CameraEvent, CameraStatus, Event, PassengerCount, VehiclePosition, VehicleStatus
from city.keys import Keys, partition_of
from city.messages import Reading, Received, Reject, RejectReason

NOW = 1_777_870_800_000
COMMITS = Commits(Keys("tashkent", 4), Keep(events_s=60, rejects_max_bytes=1000))
AT = {"measured_ms": NOW, "received_ms": NOW}


def reading(event: Event, payload: bytes = b"{}", *, feed: str = "feed", retained: bool = False) -> Reading:
    return Reading(feed, event, Received("topic", payload, NOW, retained))


def fix(vehicle: str, kind: str = "") -> VehiclePosition:
    return VehiclePosition(vehicle_id=vehicle, lat=41.3, lon=69.2, kind=kind, **AT)


def reject(topic: str = "t", payload: bytes = b"\xff") -> Reject:
    return Reject(feed="f", reason=RejectReason.NOT_UTF8, detail="d", message=Received(topic, payload, NOW))


def header_of(*readings: Reading) -> list[list[object]]:
    """The header of the one part that these readings make."""
    (part,) = COMMITS.parts(readings, [])
    call = COMMITS.call("w", 1, part, NOW)
    found: list[list[object]] = msgpack.decode(call.arguments[5])
    return found


def test_a_batch_is_cut_by_partition_in_the_order_given() -> None:
    readings = [reading(fix(f"v{n % 30}"), b"%d" % n) for n in range(90)]
    parts = COMMITS.parts(readings, [])
    assert {part.partition for part in parts} == {0, 1, 2, 3}
    for part in parts:
        mine = [one for one in readings if partition_of(one.event.entity, 4) == part.partition]
        assert part.readings == mine
        assert part.digests == [crc32(one.message.payload) << 32 | crc32(one.event.entity.encode()) for one in mine]


def test_rejects_are_a_part_of_their_own_and_nothing_is_no_part() -> None:
    assert COMMITS.parts([], []) == []
    *_, part = COMMITS.parts([reading(fix("a"))], [reject(), reject("u", b"x")])
    assert part.partition is None
    assert part.digests == [crc32(b"\xff") << 32 | crc32(b"t"), crc32(b"x") << 32 | crc32(b"u")]
    assert len(part) == 2


@given(st.lists(st.text(), max_size=5))
def test_any_id_has_the_partition_that_other_languages_find(ids: list[str]) -> None:
    for one in [*ids, "lone \ud800 surrogate"]:
        assert COMMITS.crc(one) % 4 == partition_of(one, 4)


def test_remembered_ids_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(city.commits, "_CRCS_MAX", 10)
    commits = Commits(Keys("tashkent", 4), city.commits.KEEP)
    for n in range(100):
        assert commits.crc(f"v{n}") == crc32(f"v{n}".encode())
        assert len(commits._crcs) <= 10


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_pieces_hold_everything_once_and_in_order(size: int) -> None:
    (part,) = Commits(Keys("tashkent", 1), city.commits.KEEP).parts([reading(fix(f"v{n}")) for n in range(size)], [])
    for pieces in (part.pieces(3), part.halves()):
        assert [one for piece in pieces for one in piece.readings] == part.readings
        assert [one for piece in pieces for one in piece.digests] == part.digests
        assert {piece.partition for piece in pieces} == {0}
        assert all(len(piece) for piece in pieces)
    assert all(len(piece) <= 3 for piece in part.pieces(3))
    assert len(part.halves()) == min(2, size)
    if size > 1:
        assert max(len(half) for half in part.halves()) < size, "halves come to an end"


def test_every_name_of_a_call_lies_in_one_slot_of_a_cluster() -> None:
    status = VehicleStatus(vehicle_id="a", **AT)
    (part, rejected) = COMMITS.parts([reading(fix("a")), reading(status)], [reject()])
    for one in (part, rejected):
        call = COMMITS.call("w", 1, one, NOW)
        assert len({name[name.index("{") : name.index("}")] for name in call.keys}) == 1
        assert len(set(call.keys)) == len(call.keys)


def test_a_call_says_worker_number_time_digests_and_each_facets_events() -> None:
    events = [fix("a"), PassengerCount(vehicle_id="a", boarded=1, alighted=3, **AT), fix("a")]
    (part,) = COMMITS.parts([reading(event) for event in events], [])
    call = COMMITS.call("w", 41, part, NOW)
    assert call.arguments[:3] == ["w", 41, NOW]
    assert struct.unpack("<3Q", call.arguments[4]) == tuple(part.digests)
    positions, passengers = msgpack.decode(call.arguments[5])
    assert positions[:2] == ["position", "feed"]
    assert positions[2:4] == [["a", "a"], [str(NOW)] * 2]
    assert [len(blob) for blob in json.decode(call.arguments[7])]
    assert json.decode(call.arguments[7], type=list[VehiclePosition]) == [events[0], events[2]]
    assert json.decode(call.arguments[8], type=list[PassengerCount]) == [events[1]]
    # Lengths say where each event's text lies between brackets and commas.
    start = 1
    for length, event in zip(positions[4], (events[0], events[2]), strict=True):
        assert json.decode(call.arguments[7][start : start + length], type=VehiclePosition) == event
        start += length + 1
    assert passengers[7] == [[-2, False]]
    assert positions[7] is False


def test_the_answers_positions_are_counted_by_facet() -> None:
    mixed = [reading(fix("a")), reading(VehicleStatus(vehicle_id="a", **AT)), reading(fix("a"))]
    (part,) = COMMITS.parts(mixed, [])
    assert COMMITS.order(part) == [mixed[0], mixed[2], mixed[1]]


def test_a_vehicles_own_number_is_told_apart_from_what_is_to_be_added() -> None:
    counts = [
        PassengerCount(vehicle_id="a", onboard=0, boarded=5, **AT),
        PassengerCount(vehicle_id="a", boarded=5, **AT),
        PassengerCount(vehicle_id="a", alighted=5, **AT),
        PassengerCount(vehicle_id="a", capacity=80, **AT),
    ]
    ((*_, told),) = header_of(*(reading(count) for count in counts))
    assert told == [[False, 0], [5, False], [-5, False], [0, False]]


def test_one_feed_is_told_once_and_several_one_by_one() -> None:
    assert header_of(reading(fix("a")), reading(fix("a")))[0][1] == "feed"
    assert header_of(reading(fix("a")), reading(fix("a"), feed="hfp"))[0][1] == ["feed", "hfp"]


def test_retained_messages_are_marked_for_not_being_counted_again() -> None:
    assert header_of(reading(fix("a"), retained=True))[0][1] == "~feed"
    assert header_of(reading(fix("a"), retained=True), reading(fix("a")))[0][1] == ["~feed", "feed"]


def test_times_are_compared_by_slot_where_a_vehicle_sends_several_kinds() -> None:
    assert header_of(reading(fix("a")))[0][5] is False
    assert header_of(reading(fix("a")), reading(fix("a", "vp")))[0][5] == ["a", "a|vp"]


def test_marks_are_told_only_where_time_alone_tells_nothing_apart() -> None:
    assert header_of(reading(fix("a")))[0][6] is False
    camera = CameraStatus(camera_id="a", online=True, **AT)
    event = CameraEvent(camera_id="a", kind="car", event_id="7", phase="new", **AT)
    assert header_of(reading(camera))[0][6] == ["online"]
    assert header_of(reading(event))[0][2:7:4] == [["a|car"], ["7new"]]


def test_rejects_go_with_their_original_bytes_and_are_counted_unless_told_otherwise() -> None:
    (part,) = COMMITS.parts([], [reject("markaz/\ud800", b"\x00\xff")])
    call = COMMITS.call("w", 3, part, NOW)
    assert call.arguments[:4] == ["w", 3, 1000, 1]
    assert call.arguments[5:] == ["f", "not_utf8", "d", b"markaz/\xed\xa0\x80", b"\x00\xff", NOW]
    uncounted = COMMITS.reject_call("w", 3, part.rejects, b"", counted=False)
    assert uncounted.arguments[3] == 0
    assert uncounted.keys == call.keys


def test_parts_are_made_of_what_they_are_given() -> None:
    assert len(Part(0, [reading(fix("a"))], [], [1])) == 1
