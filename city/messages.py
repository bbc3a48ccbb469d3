"""Messages on their way in, and what is counted of them."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from city.events import Event


class RejectReason(StrEnum):
    """Why a message was not stored. The word stands in the reject stream, the page and the API."""

    TOO_LARGE = "too_large"  # payload above ingest.payload_max_bytes
    NOT_UTF8 = "not_utf8"
    NOT_JSON = "not_json"
    BAD_TYPE = "bad_type"  # a field is missing or of the wrong type
    BAD_VALUE = "bad_value"  # a field is of the right type but impossible (NaN, latitude 95)
    BAD_TIME = "bad_time"  # the time of measuring cannot be read or has no offset
    BAD_ID = "bad_id"  # an id that is empty, too long or holds control characters
    UNKNOWN_TOPIC = "unknown_topic"
    NOT_WANTED = "not_wanted"  # understood, and it says nothing that Markaz keeps
    NO_POSITION = "no_position"  # the vehicle spoke but does not know where it is
    FUTURE = "future"  # measured later than now by more than checks.future_max_s
    STALE = "stale"  # measured longer ago than checks.stale_max_s
    DUPLICATE = "duplicate"
    IMPOSSIBLE_SPEED = "impossible_speed"
    OUT_OF_AREA = "out_of_area"
    STORE_REFUSED = "store_refused"  # the store answered an error to this one message


class Received(Struct, frozen=True, gc=False):
    """A message as the broker gave it."""

    topic: str
    payload: bytes
    received_ms: int
    retained: bool = False
    again: bool = False  # the broker says that it has sent it before
    packet_id: int = 0  # that its acknowledgement names; 0: it wants none
    connection: int = 0  # to the broker, counted: an acknowledgement is good for the one that brought it


class Reject(Struct, frozen=True, kw_only=True):
    """A message that was not stored, and why."""

    feed: str
    reason: RejectReason
    detail: str  # what was wrong, in words, for the person who mends the sender
    message: Received


class Reading(Struct, gc=False):
    """An event on its way in. The steps of ingest put what they find out into `event`."""

    feed: str  # that counts it; empty: stored beside its message's reject, uncounted
    event: Event
    message: Received


class FeedCount(Struct, frozen=True, kw_only=True):
    """What became of a feed's messages since the state began.

    received = stored + late + sum(rejected).
    """

    feed: str
    received: int
    stored: int
    late: int
    rejected: dict[str, int]
    last_received_ms: int | None


class Histogram(Struct, frozen=True, kw_only=True):
    """How often a value fell up to each bound, as Prometheus counts it (not cumulated)."""

    bounds: tuple[float, ...]  # upper ones, rising; one more count is for what is above the last
    counts: tuple[int, ...]
    total: float  # the sum of all values


class Arrival(Struct, frozen=True, kw_only=True):
    """How old a feed's messages of the last minute were when they came, by the devices' clocks, in seconds.

    Delay and the clocks' error together: a negative `least_s` is a clock that runs ahead.
    """

    least_s: float
    median_s: float
    most_s: float


class WorkerFigures(Struct, frozen=True, kw_only=True):
    """What one ingest worker says of itself, counted since its start."""

    worker: str  # its session's client id
    started_ms: int
    at_ms: int  # of these figures; an old one is a worker that has gone
    connected: bool  # to the broker
    received: int  # messages
    redelivered: int  # of them, that the store had already
    batches: int
    queued: int  # messages now that no batch holds
    in_flight: int  # messages now that are being written
    batch_messages: Histogram  # messages a batch
    store_s: Histogram  # from sending a batch to the store until its answer
    lag_s: Histogram  # of the oldest message of a batch, from its arrival until the store has it
    arrivals: dict[str, Arrival]  # by feed
