"""Waltti APC 1-2-0: whatever its schema takes is read; identity by topic, sums over doors and classes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outcomes import Decoded

from city.events import PassengerCount
from city.messages import Received, RejectReason
from ingest.decode import waltti_apc

SYSTEM = "3298a747-c434-4030-b6d7-ab803bd823d2"
TOPIC = f"apc-from-vehicle/v1/fi/waltti/telia/{SYSTEM}"
TST = "2023-09-22T10:57:08.647Z"
TST_MS = 1_695_380_228_647
CLASSES = ["adult", "child", "pram", "bike", "wheelchair", "other"]


def apc(doors: list[dict[str, Any]], **counts: object) -> dict[str, Any]:
    return {"APC": {
        "schemaVersion": "1-2-0", "countingSystemId": SYSTEM, "messageId": "06e64ba5-e555-4e2f-b8b4-b57bc69e8b99",
        "tst": TST, "vehiclecounts": {"countquality": "regular", "doorcounts": doors} | counts,
    }}  # fmt: skip


def door(name: str, **by_class: tuple[int, int]) -> dict[str, Any]:
    return {"door": name, "count": [{"class": k, "in": i, "out": o} for k, (i, o) in by_class.items()]}


def decode(payload: object, topic: str = TOPIC) -> Decoded:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return Decoded.of(waltti_apc.FORMAT.bind(topic)(Received(topic, raw, 5)))


def test_passengers_are_summed_over_doors_and_classes_but_prams_and_bicycles_are_none() -> None:
    payload = apc([door("1", adult=(3, 0), wheelchair=(1, 0)), door("2", child=(0, 2), pram=(1, 0), bike=(2, 2))])
    assert decode(payload).event == PassengerCount(
        vehicle_id=SYSTEM, measured_ms=TST_MS, received_ms=5, boarded=4, alighted=2, quality="regular"
    )


def test_the_specifications_example_is_read(recordings: Path) -> None:
    decoded = decode((recordings / "waltti-apc" / "example-message.json").read_bytes())
    assert decoded.feed == "waltti_apc"
    assert decoded.event == PassengerCount(
        vehicle_id=SYSTEM, measured_ms=TST_MS, received_ms=5, boarded=3, alighted=2, quality="regular"
    )


def test_the_schema_is_the_one_that_the_variants_below_are_made_of(recordings: Path) -> None:
    """Required fields and enumerations, so that a changed schema does not go unnoticed."""
    schema = json.loads((recordings / "waltti-apc" / "apc-from-vehicle.schema.json").read_text(encoding="utf-8"))
    message = schema["properties"]["APC"]
    counts = message["properties"]["vehiclecounts"]
    doors = counts["properties"]["doorcounts"]["items"]
    one = doors["properties"]["count"]["items"]
    assert message["required"] == ["schemaVersion", "countingSystemId", "messageId", "tst", "vehiclecounts"]
    assert counts["required"] == ["countquality", "doorcounts"]
    assert counts["properties"]["countquality"]["enum"] == ["regular", "defect", "other"]
    assert doors["required"] == ["door", "count"]
    assert one["required"] == ["class", "in", "out"]
    assert one["properties"]["class"]["enum"] == CLASSES


# JSON Schema's integer takes 3.0 too. Markaz's own bound is above any vehicle.
people = st.one_of(st.integers(0, 10000), st.integers(0, 10000).map(float))
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(), inner, max_size=2)),
    max_leaves=4,
)
# Every object of the schema but the outermost takes additional properties.
more = st.dictionaries(
    st.one_of(st.sampled_from(["vehicleload", "vehicleloadratio", "clazz", "stop", "vehicleCounts"]), st.text()),
    anything,
    max_size=3,
)


def with_more(needed: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda extra, own: extra | own, more, st.fixed_dictionaries(needed))


counted = with_more({"class": st.sampled_from(CLASSES), "in": people, "out": people})
a_door = with_more({"door": st.text(min_size=1), "count": st.lists(counted, min_size=1, max_size=6)})
moments = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
valid = st.fixed_dictionaries({"APC": with_more({
    "schemaVersion": st.just("1-2-0"),
    "countingSystemId": st.text(),
    "messageId": st.uuids(version=4).map(str),
    "tst": moments.map(lambda at: f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"),
    "vehiclecounts": with_more({
        "countquality": st.sampled_from(["regular", "defect", "other"]),
        "doorcounts": st.lists(a_door, min_size=1, max_size=4, unique_by=json.dumps),
    }),
})})  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(payload=valid)
def test_whatever_the_schema_takes_is_read(payload: dict[str, Any]) -> None:
    decoded = decode(json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace"))
    assert decoded.reject is None
    assert isinstance(decoded.event, PassengerCount)
    passengers = [
        one
        for a_door in payload["APC"]["vehiclecounts"]["doorcounts"]
        for one in a_door["count"]
        if one["class"] not in ("pram", "bike")
    ]
    assert decoded.event.boarded == sum(one["in"] for one in passengers)
    assert decoded.event.alighted == sum(one["out"] for one in passengers)
    assert UUID(payload["APC"]["messageId"])
    assert decoded.event.quality == payload["APC"]["vehiclecounts"]["countquality"]


def test_a_load_that_a_vehicle_says_gives_who_is_on_board_and_its_capacity() -> None:
    event = decode(apc([door("1", adult=(2, 3))], vehicleload=7, vehicleloadratio=0.1)).event
    assert isinstance(event, PassengerCount)
    assert (event.onboard, event.capacity) == (7, 70)


def test_on_a_topic_of_another_shape_the_payload_names_the_vehicle() -> None:
    event = decode(apc([door("1", adult=(1, 0))]), "relay/counts").event
    assert isinstance(event, PassengerCount)
    assert event.vehicle_id == SYSTEM


@pytest.mark.parametrize(
    ("payload", "topic", "reason"),
    [
        (apc([]), TOPIC, RejectReason.BAD_TYPE),  # counts nothing
        (apc([door("1", adult=(-1, 0))]), TOPIC, RejectReason.BAD_VALUE),
        (apc([door("1", adult=(1.5, 0))]), TOPIC, RejectReason.BAD_VALUE),  # type: ignore[arg-type]
        (apc([door("1", adult=(10001, 0))]), TOPIC, RejectReason.BAD_VALUE),
        ({"APC": {"tst": TST}}, TOPIC, RejectReason.BAD_TYPE),
        ({"APC": apc([door("1", adult=(1, 0))])["APC"] | {"tst": "2023-09-22T10:57:08"}}, TOPIC, RejectReason.BAD_TIME),
        (b"connected at 2023-09-27T08:29:28.123Z", TOPIC, RejectReason.NOT_JSON),
        (apc([door("1", adult=(1, 0))]), TOPIC.replace(SYSTEM, "a|b"), RejectReason.BAD_ID),
        ({"APC": {**apc([door("1", adult=(1, 0))])["APC"], "countingSystemId": ""}}, "relay", RejectReason.BAD_ID),
    ],
)
def test_bad_messages_are_rejected_with_their_reason(payload: object, topic: str, reason: RejectReason) -> None:
    decoded = decode(payload, topic)
    assert decoded.reject is not None
    assert (decoded.feed, decoded.reject.reason, decoded.event) == ("waltti_apc", reason, None)
