"""What a format is, what its readers give back, and the words for what they could not read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import msgspec

from city.events import Event
from city.messages import Reading, Received, Reject, RejectReason

UNKNOWN_FEED = "unknown"
# Long enough for any sensible name, short enough that ids do not fill the store.
ID_MAX_CHARS = 64
_DETAIL_MAX_CHARS = 300

T = TypeVar("T")


class Undecodable(Exception):
    """A message that is not what its topic promises."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


Outcome = Reading | Reject
# What the payloads of one topic say: an outcome or more for each message; never raises. Nothing: it is our own.
Read = Callable[[Received], tuple[Outcome, ...]]


class Format(NamedTuple):
    """How the messages of one format are read."""

    # Looks at a topic once, ids in it included, and gives the reader of its payloads.
    bind: Callable[[str], Read]
    # Whether a topic comes again and again, so that what `bind` found is worth keeping.
    topics_repeat: bool = True
    # Some formats carry a whole fleet in a message; None: ingest.payload_max_bytes.
    payload_max_bytes: int | None = None


def pass_over(message: Received) -> tuple[Outcome, ...]:
    """The reader of a topic on which Markaz itself speaks: nothing is stored, nothing rejected."""
    return ()


def rejected(feed: str, problem: Undecodable, message: Received) -> Reject:
    """The outcome of a message, or of one reading in it, that is refused."""
    # Details quote the sender; what cannot be written as UTF-8 must not stop the reject from being stored.
    detail = problem.detail[:_DETAIL_MAX_CHARS].encode("utf-8", "replace").decode()
    return Reject(feed=feed, reason=problem.reason, detail=detail, message=message)


def refusing(feed: str, problem: Undecodable) -> Read:
    """The reader of a topic that is wrong by itself: refuses every message."""
    return lambda message: (rejected(feed, problem, message),)


def reading(feed: str, read: Callable[[Received], Event]) -> Read:
    """The reader of a topic whose every message is one event; `read` raises Undecodable."""

    def read_message(message: Received) -> tuple[Outcome, ...]:
        try:
            return (Reading(feed, read(message), message),)
        except Undecodable as problem:
            return (rejected(feed, problem, message),)

    return read_message


def read_json(decode: Callable[[bytes], T], payload: bytes) -> T:
    """The payload as its wire type; raises Undecodable with the reason and the place."""
    if not payload.isascii():
        try:
            payload.decode()
        except UnicodeDecodeError as error:
            raise Undecodable(RejectReason.NOT_UTF8, f"byte {error.start} is not UTF-8") from None
    try:
        return decode(payload)
    except msgspec.ValidationError as error:
        raise Undecodable(reason_of(str(error)), str(error)) from None
    except RecursionError:
        raise Undecodable(RejectReason.BAD_VALUE, "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        if _is_json_but_for_nan(payload):
            raise Undecodable(RejectReason.BAD_VALUE, "NaN and Infinity are not numbers of JSON") from None
        raise Undecodable(RejectReason.NOT_JSON, str(error)) from None


def reason_of(error: str) -> RejectReason:
    """Tells a wrong type from an impossible value by msgspec's wording; a unit test holds it to that."""
    wrong_type = "missing required field" in error or (error.startswith("Expected") and ", got " in error)
    return RejectReason.BAD_TYPE if wrong_type else RejectReason.BAD_VALUE


def _is_json_but_for_nan(payload: bytes) -> bool:
    found: list[str] = []
    try:
        json.loads(payload, parse_constant=found.append)
    except (ValueError, RecursionError):
        return False
    return bool(found)


_BAD_IN_ID = re.compile(r"[\x00-\x1f\x7f-\x9f|\ufffd\ud800-\udfff\u2028\u2029]")


def check_id(what: str, given: str) -> str:
    """`given`, if it can name an entity; raises Undecodable.

    `|` is refused because the store's fields join an id and a kind with it; U+FFFD because it
    stands where a topic was not UTF-8.
    """
    if not given or len(given) > ID_MAX_CHARS or given != given.strip():
        detail = f"{what}: 1 to {ID_MAX_CHARS} characters without spaces around them are needed, not {len(given)}"
        raise Undecodable(RejectReason.BAD_ID, detail)
    if _BAD_IN_ID.search(given):
        raise Undecodable(RejectReason.BAD_ID, f"{what}: control characters and | are not allowed: {given!r}")
    return given
