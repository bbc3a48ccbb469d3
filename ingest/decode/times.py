"""Times as devices write them, to epoch milliseconds UTC."""

from __future__ import annotations

import math
from datetime import datetime

from city.messages import RejectReason
from ingest.decode.outcome import Undecodable

WireTime = int | float | str

# Numbers below are seconds, from it on milliseconds: 1e11 s is the year 5138, 1e11 ms is 1973.
_MILLISECONDS_FROM = 1e11
_YEAR_9999_MS = 253_370_764_800_000


def read_time_ms(given: WireTime, field: str = "ts") -> int:
    """Epoch milliseconds of RFC 3339 text with an offset or of epoch seconds or milliseconds.

    Raises Undecodable(bad_time) for anything else, a text without an offset above all: the
    sender's wall clock is not known here.
    """
    if isinstance(given, str):
        ms = _from_text(given, field)
    elif isinstance(given, int) or math.isfinite(given):
        ms = given * 1000 if given < _MILLISECONDS_FROM else given
    else:
        ms = -1
    if not 0 <= ms <= _YEAR_9999_MS:
        raise Undecodable(RejectReason.BAD_TIME, f"{field}: {_short(given)} is no time between 1970 and 9999")
    return round(ms)


def _from_text(given: str, field: str) -> float:
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        try:
            # RFC 3339 allows a small z and t.
            moment = datetime.fromisoformat(given.upper())
        except ValueError:
            raise Undecodable(RejectReason.BAD_TIME, f"{field}: {_short(given)} is not RFC 3339") from None
    if moment.tzinfo is None:
        raise Undecodable(RejectReason.BAD_TIME, f"{field}: {_short(given)} has no offset from UTC")
    return moment.timestamp() * 1000


def _short(given: WireTime) -> str:
    try:
        return repr(given)[:40]
    except ValueError:  # an integer of thousands of digits has no repr
        return "a number that is too long"
