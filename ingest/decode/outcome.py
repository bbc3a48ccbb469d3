"""What a decoder gives back, and the words for what it could not read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec
from msgspec import Struct

from city.models import Event, Received, Reject, RejectReason

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


class Decoded(Struct, frozen=True, kw_only=True):
    """One message's meaning. At least one of `event` and `reject` is there.

    With both, the message counts as rejected and the event is stored beside it, uncounted.
    """

    feed: str
    event: Event | None = None
    reject: Reject | None = None


def rejected(feed: str, problem: Undecodable, message: Received, event: Event | None = None) -> Decoded:
    """The outcome of a message that is refused (with what is still true of it, if anything)."""
    # Details quote the sender; what cannot be written as UTF-8 must not stop the reject from being stored.
    detail = problem.detail[:_DETAIL_MAX_CHARS].encode("utf-8", "replace").decode()
    return Decoded(
        feed=feed, event=event, reject=Reject(feed=feed, reason=problem.reason, detail=detail, message=message)
    )


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
        raise Undecodable(_reason_of(str(error)), str(error)) from None
    except RecursionError:
        raise Undecodable(RejectReason.BAD_VALUE, "nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        if _is_json_but_for_nan(payload):
            raise Undecodable(RejectReason.BAD_VALUE, "NaN and Infinity are not numbers of JSON") from None
        raise Undecodable(RejectReason.NOT_JSON, str(error)) from None


def _reason_of(error: str) -> RejectReason:
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
