"""Whatever arrives on whatever topic has an outcome, and that can be stored."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city.mappings import FeedMapping
from city.messages import Received, Reject
from ingest.decode import Decoders

TOPICS = (
    "markaz/v1/tashkent/vehicle/v/position",
    "markaz/v1/tashkent/vehicle/v/passengers",
    "markaz/v1/tashkent/vehicle/v/fuel",
    "markaz/v1/tashkent/camera/c/event",
    "markaz/v1/tashkent/camera/c/status",
    "markaz/v1/tashkent/sensor/s/reading",
    "markaz/v1/tashkent/case/s/c",
    "/hfp/v2/journey/ongoing/vp/bus/0012/01913",
    "/hfp/v2/journey/ongoing/apc/bus/0012/01913",
    "frigate/events",
    "frigate/reviews",
    "frigate/available",
    "traccar/positions",
    "traccar/events",
    "owntracks/jane/phone",
    "cap/met",
    "gtfs-rt/city",
    "apc-from-vehicle/v1/fi/waltti/vendor/system",
    "acme/v/gps",
)
FIELDS = [
    "ts",
    "tst",
    "lat",
    "lon",
    "long",
    "speed_mps",
    "bearing_deg",
    "route",
    "direction",
    "in",
    "out",
    "onboard",
    "capacity",
    "level_l",
    "level_pct",
    "kind",
    "severity",
    "score",
    "count",
    "online",
    "value",
    "quantity",
    "unit",
    "category",
    "status",
    "address_code",
    "due_at",
    "VP",
    "APC",
    "vehiclecounts",
    "vehicleCounts",
    "doorcounts",
    "doorCounts",
    "vehicleLoad",
    "vehicleLoadRatio",
    "dir",
    "spd",
    "door",
    "type",
    "after",
    "id",
    "camera",
    "label",
    "start_time",
    "frame_time",
    "end_time",
    "top_score",
    "false_positive",
    "entered_zones",
    "recognized_license_plate",
    "has_snapshot",
    "data",
    "thumb_path",
    "thumb_time",
    "zones",
    "device",
    "uniqueId",
    "deviceId",
    "position",
    "fixTime",
    "deviceTime",
    "valid",
    "latitude",
    "longitude",
    "speed",
    "course",
    "attributes",
    "ignition",
    "odometer",
    "fuel",
    "fuelLevel",
    "alarm",
    "event",
    "eventTime",
    "geofence",
    "name",
    "_type",
    "vel",
    "cog",
    "oday",
    "ttarr",
    "loc",
    "tlp-requestid",
    "tlp-decision",
    "countquality",
    "vehicleload",
    "count",
    "class",
]
ACME = FeedMapping.model_validate({
    "topics": "acme/+/gps", "kind": "vehicle/position", "id": [2, "type"], "fields": {
        "ts": {"path": "ts", "zone": "Asia/Tashkent"}, "lat": "lat", "lon": {"path": "data[0].lon", "default": 69.2},
        "speed_mps": {"path": "speed", "type": "number", "unit": "km/h"}, "ignition": "online",
        "mode": {"path": "kind", "values": {"1": "bus"}}, "route": {"path": "route", "type": "text"},
    },
})  # fmt: skip
DECODERS = Decoders(
    {
        "native": ("markaz/v1/tashkent/#",),
        "hfp": ("/hfp/v2/#",),
        "frigate": ("frigate/+",),
        "traccar": ("traccar/+",),
        "owntracks": ("owntracks/#",),
        "cap": ("cap/+",),
        "gtfs_rt": ("gtfs-rt/+",),
        "waltti_apc": ("apc-from-vehicle/#",),
        "acme": ACME.topics,
    },
    payload_max_bytes=65536,
    mappings={"acme": ACME},
)

plain = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=12), st.just("2026-05-04T10:00:00Z"),
    st.sampled_from([1, 2, 41.3, 69.2, 0, -1, 10**30, "open", "info", "end", "alert", "location", "lwt"]),
)  # fmt: skip
anything = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=5)), inner, max_size=10),
    ),
    max_leaves=15,
)


def has_an_outcome(topic: str, payload: bytes) -> None:
    outcomes = DECODERS.decode(Received(topic, payload, 1_700_000_000_000))
    assert outcomes
    for outcome in outcomes:
        if isinstance(outcome, Reject):
            outcome.detail.encode()
            continue
        event = outcome.event
        assert outcome.feed or any(isinstance(one, Reject) for one in outcomes)
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
        for text in (event.key, event.slot, event.mark, event.entity):
            text.encode()
        assert abs(event.measured_ms) < 2**53  # the store compares in doubles


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=150, deadline=None)
@given(payload=st.binary(max_size=200))
def test_arbitrary_bytes(topic: str, payload: bytes) -> None:
    has_an_outcome(topic, payload)


@pytest.mark.parametrize("topic", TOPICS)
@settings(max_examples=250, deadline=None)
@given(value=anything)
def test_arbitrary_json_with_the_formats_own_field_names(topic: str, value: object) -> None:
    """NaN, Infinity and lone surrogates included: Python's writer lets them through."""
    has_an_outcome(topic, json.dumps(value).encode())


@settings(max_examples=300, deadline=None)
@given(
    levels=st.lists(
        st.one_of(st.text(max_size=8), st.sampled_from(["markaz", "v1", "vehicle", "position", "hfp", "v2", "case"])),
        max_size=11,
    ),
    payload=st.sampled_from([b"{}", b'{"ts": 1, "lat": 1, "lon": 1}', b'{"VP": {"tst": 1, "lat": 1, "long": 1}}']),
)
def test_arbitrary_topics(levels: list[str], payload: bytes) -> None:
    for prefix in ("", "markaz/v1/tashkent/", "/hfp/v2/journey/ongoing/"):
        has_an_outcome(prefix + "/".join(levels), payload)
