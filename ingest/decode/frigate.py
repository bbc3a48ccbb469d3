"""Frigate: recognised objects, reviews, and whether the recorder is there.

Topics `<prefix>/events`, `<prefix>/reviews` and `<prefix>/available`; the last level says which. An
event or review is `{"type": new|update|end, "before": …, "after": …}`. `after` holds the object as it
now stands, so each message alone tells its whole event so far: when it began, in which zones it
was, and at last when it ended. `before` and every other topic of Frigate are not read.

Source: docs.frigate.video, "MQTT".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Literal, NamedTuple
from urllib.parse import quote

import msgspec
from msgspec import Meta, Struct

from city.events import CameraEvent, CameraStatus
from city.messages import Received, RejectReason
from ingest.decode.outcome import (
    UNKNOWN_FEED,
    Format,
    Read,
    Undecodable,
    check_id,
    read_json,
    reading,
    refusing,
)
from ingest.decode.times import WireTime, read_time_ms
from ingest.decode.wire import Share, Text, Url, Word

EVENT_FEED = "frigate/event"
REVIEW_FEED = "frigate/review"
AVAILABLE_FEED = "frigate/available"

# Of all that a review holds: people, cars and what else moved together. An object's kind is its label.
REVIEW_KIND = "review"
# Where Frigate keeps its files; its web server serves the same paths without it.
_MEDIA_FOLDER = "/media/frigate"

_Id = Annotated[str, Meta(min_length=1, max_length=256)]
_Phase = Literal["new", "update", "end"]
_Zones = Annotated[list[Word], Meta(max_length=32)]
# The text alone, or as [text, score].
_Plate = Text | Annotated[list[Text | float | None], Meta(max_length=2)]


class _Scores(Struct):
    top_score: Share | None = None
    score: Share | None = None


class _Object(Struct):
    id: _Id
    camera: str
    label: Word
    start_time: WireTime
    frame_time: WireTime | None = None  # when it was last seen
    end_time: WireTime | None = None
    top_score: Share | None = None
    score: Share | None = None
    false_positive: bool | None = None
    entered_zones: _Zones | None = None
    current_zones: _Zones | None = None
    recognized_license_plate: _Plate | None = None
    has_snapshot: bool | None = None
    # Where Frigate's HTTP API has the zones and the scores.
    zones: _Zones | None = None
    data: _Scores | None = None


class _Event(Struct):
    phase: _Phase = msgspec.field(name="type")
    after: _Object


class _ReviewData(Struct):
    zones: _Zones | None = None
    thumb_time: WireTime | None = None  # of the newest picture; not every version tells it


class _Review(Struct):
    id: _Id
    camera: str
    severity: Word  # alert, or detection
    start_time: WireTime
    end_time: WireTime | None = None
    thumb_path: Url | None = None
    data: _ReviewData | None = None


class _ReviewChange(Struct):
    phase: _Phase = msgspec.field(name="type")
    after: _Review


_read_event = msgspec.json.Decoder(_Event).decode
_read_review = msgspec.json.Decoder(_ReviewChange).decode


def bind(topic: str) -> Read:
    """The reader of a Frigate topic."""
    prefix, _, kind = topic.rpartition("/")
    bind_kind = _KINDS.get(kind)
    if bind_kind is None or not prefix:
        expected = " or ".join(f"<prefix>/{one}" for one in _KINDS)
        return refusing(UNKNOWN_FEED, Undecodable(RejectReason.UNKNOWN_TOPIC, f"expected {expected}"))
    return bind_kind(prefix)


class _Span(NamedTuple):
    """The times of one phase, epoch milliseconds."""

    measured_ms: int
    started_ms: int
    ended_ms: int | None


def _span(phase: str, start: WireTime, end: WireTime | None, seen: WireTime | None, seen_field: str) -> _Span:
    """When a phase was measured: when its object was last seen, its end at its end.

    The end is the newest of all phases, whatever order they come in. Where its time is not later
    than the last sight it counts a millisecond after it: of two equal times the last to come wins.
    """
    started_ms = read_time_ms(start, "start_time")
    seen_ms = started_ms if seen is None else max(started_ms, read_time_ms(seen, seen_field))
    ended_ms = None if end is None else read_time_ms(end, "end_time")
    if phase != "end":
        return _Span(seen_ms, started_ms, ended_ms)
    return _Span(max(ended_ms or 0, seen_ms + 1), started_ms, seen_ms if ended_ms is None else ended_ms)


def _event(message: Received) -> CameraEvent:
    wire = read_json(_read_event, message.payload)
    seen = wire.after
    # A false positive raises nothing, and what it had begun is over.
    phase = "end" if seen.false_positive else wire.phase
    span = _span(phase, seen.start_time, seen.end_time, seen.frame_time, "frame_time")
    data = seen.data or _Scores()
    scores = (seen.top_score, seen.score, data.top_score, data.score)
    return CameraEvent(
        camera_id=check_id("camera", seen.camera),
        measured_ms=span.measured_ms,
        received_ms=message.received_ms,
        kind=seen.label.lower(),
        score=next((score for score in scores if score is not None), None),
        zone=_joined(seen.entered_zones or seen.current_zones or seen.zones),
        plate=_plate(seen.recognized_license_plate),
        snapshot_url=f"/api/events/{quote(seen.id, safe='')}/snapshot.jpg" if seen.has_snapshot else None,
        event_id=seen.id,
        phase=phase,
        started_ms=span.started_ms,
        ended_ms=span.ended_ms,
    )


def _review(message: Received) -> CameraEvent:
    wire = read_json(_read_review, message.payload)
    review = wire.after
    data = review.data or _ReviewData()
    span = _span(wire.phase, review.start_time, review.end_time, data.thumb_time, "thumb_time")
    path = (review.thumb_path or "").removeprefix(_MEDIA_FOLDER)
    return CameraEvent(
        camera_id=check_id("camera", review.camera),
        measured_ms=span.measured_ms,
        received_ms=message.received_ms,
        kind=REVIEW_KIND,
        severity="alert" if review.severity == "alert" else "info",
        zone=_joined(data.zones),
        snapshot_url=path if path.startswith("/clips/") else None,
        event_id=review.id,
        phase=wire.phase,
        started_ms=span.started_ms,
        ended_ms=span.ended_ms,
    )


def _available(recorder_id: str, message: Received) -> CameraStatus:
    """The whole recorder as one camera; the message bears no time, so it counts from its arrival."""
    online = _AVAILABLE.get(message.payload.strip())
    if online is None:
        try:
            given = message.payload[:40].decode()
        except UnicodeDecodeError as error:
            raise Undecodable(RejectReason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None
        raise Undecodable(RejectReason.BAD_VALUE, f"expected online or offline, not {given!r}")
    return CameraStatus(
        camera_id=recorder_id,
        measured_ms=message.received_ms,
        received_ms=message.received_ms,
        online=online,
        name="Frigate" if recorder_id == "frigate" else f"Frigate {recorder_id}",
    )


_AVAILABLE = {b"online": True, b"offline": False}


def _bind_available(prefix: str) -> Read:
    try:
        # A slash would be the end of an id in the API's paths.
        recorder_id = check_id("recorder", prefix.replace("/", "-"))
    except Undecodable as problem:
        return refusing(AVAILABLE_FEED, problem)
    return reading(AVAILABLE_FEED, partial(_available, recorder_id))


def _joined(zones: list[str] | None) -> str | None:
    return ", ".join(zones) if zones else None


def _plate(given: str | list[str | float | None] | None) -> str | None:
    text = given[0] if isinstance(given, list) and given else given
    return text if isinstance(text, str) and text else None


# Last level of the topic → prefix → reader.
_KINDS: Mapping[str, Callable[[str], Read]] = {
    "events": lambda _: reading(EVENT_FEED, _event),
    "reviews": lambda _: reading(REVIEW_FEED, _review),
    "available": _bind_available,
}

FORMAT = Format(bind)
