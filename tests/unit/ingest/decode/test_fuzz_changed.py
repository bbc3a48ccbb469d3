"""A good message with any of its values changed has an outcome, and that can be stored."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from city.messages import Received, Reject
from ingest.decode import frigate, owntracks, traccar

SEEN = {
    "id": "1-a", "camera": "door", "label": "person", "start_time": 1777888800.25, "frame_time": 1777888805.5,
    "end_time": None, "top_score": 0.9, "score": 0.8, "false_positive": False, "entered_zones": ["yard"],
    "current_zones": ["yard"], "recognized_license_plate": ["01A123BC", 0.9], "has_snapshot": True,
    "severity": "alert", "thumb_path": "/media/frigate/clips/review/t.webp",
    "data": {"zones": ["yard"], "thumb_time": 1777888806, "score": 0.5},
}  # fmt: skip
POSITION = {
    "deviceId": 7, "fixTime": "2026-05-04T10:00:00.000+00:00", "deviceTime": 1777888800000, "valid": True,
    "outdated": False, "latitude": 41.3, "longitude": 69.2, "speed": 20, "course": 10,
    "attributes": {"ignition": True, "odometer": 5, "fuel": 80, "fuelLevel": 50, "fuelUsed": 1, "vin": "X"},
}  # fmt: skip
DEVICE = {"uniqueId": "86", "category": "bus", "attributes": {"vin": "X"}}
EVENT = {"type": "alarm", "eventTime": 1777888800000, "deviceId": 7, "attributes": {"alarm": "sos"}}
GOOD = [
    (frigate.FORMAT, "frigate/events", {"type": "end", "after": SEEN}),
    (frigate.FORMAT, "frigate/reviews", {"type": "end", "after": SEEN}),
    (traccar.FORMAT, "traccar/positions", {"position": POSITION, "device": DEVICE}),
    (traccar.FORMAT, "traccar/events", {"event": EVENT, "position": POSITION, "device": DEVICE, "geofence": {"id": 1}}),
    (owntracks.FORMAT, "owntracks/u/d",
     {"_type": "location", "tst": 1777888800, "lat": 41.3, "lon": 69.2, "vel": 5, "cog": 1, "event": "enter"}),
]  # fmt: skip
anything = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300), st.just([]), st.just({}), st.just([1]),
    st.sampled_from([-1, 0, 360, 1e11, 1e12, 10**30, "new", "end", "lwt", "transition", "encrypted", "\ud800", "a|b"]),
    st.lists(st.text(max_size=70), max_size=40),
)  # fmt: skip


def places(value: Any) -> list[tuple[Any, ...]]:
    """The paths to all values inside an object."""
    if not isinstance(value, dict):
        return [()]
    return [(), *((key, *path) for key, inner in value.items() for path in places(inner))]


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    return new if not path else {**value, path[0]: changed(value[path[0]], path[1:], new)}


@pytest.mark.parametrize("good", GOOD, ids=lambda one: str(one[1]))
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_changed_message_has_an_outcome(good: tuple[Any, str, dict[str, Any]], data: st.DataObject) -> None:
    form, topic, value = good
    for _ in range(data.draw(st.integers(0, 3))):
        value = changed(value, data.draw(st.sampled_from(places(value))), data.draw(anything))
    message = Received(topic, json.dumps(value).encode(), 1_777_888_860_000, data.draw(st.booleans()))
    outcomes = form.bind(topic)(message)
    assert outcomes
    for outcome in outcomes:
        if isinstance(outcome, Reject):
            assert outcome.feed
            outcome.detail.encode()
            continue
        event = outcome.event
        assert msgspec.json.decode(msgspec.json.encode(event), type=type(event)) == event
        for text in (event.key, event.slot, event.mark, event.entity):
            text.encode()
        assert 0 <= event.measured_ms < 2**53  # the store compares in doubles
    assert any(outcome.feed for outcome in outcomes), "a message counts"


@pytest.mark.parametrize("good", GOOD, ids=lambda one: str(one[1]))
def test_the_good_message_is_one(good: tuple[Any, str, dict[str, Any]]) -> None:
    form, topic, value = good
    outcomes = form.bind(topic)(Received(topic, json.dumps(value).encode(), 1_777_888_860_000))
    assert not any(isinstance(outcome, Reject) for outcome in outcomes)
