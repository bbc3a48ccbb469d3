"""Times as people write them: by a pattern, and by the clock on the wall."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from city.messages import RejectReason
from ingest.decode.outcome import Undecodable

_SHOWN_CHARS = 40


def read_local_s(given: str, pattern: str | None, zone: ZoneInfo | None, received_ms: int) -> float:
    """Epoch seconds of a time written as RFC 3339 without an offset, or by a pattern of strptime.

    `zone` is where the clock hangs, for times that have no offset of their own. In the hour that a
    zone has twice a year the reading nearer to `received_ms` is taken. Raises Undecodable(bad_time).
    """
    try:
        moment = datetime.fromisoformat(given) if pattern is None else datetime.strptime(given, pattern)  # noqa: DTZ007
        if moment.tzinfo is not None:
            return moment.timestamp()
        if zone is None:
            raise Undecodable(RejectReason.BAD_TIME, f"{given[:_SHOWN_CHARS]!r} has no offset from UTC")
        first, second = (moment.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
    except (ValueError, OverflowError):
        expected = "RFC 3339" if pattern is None else repr(pattern)
        raise Undecodable(RejectReason.BAD_TIME, f"{given[:_SHOWN_CHARS]!r} is not {expected}") from None
    return min((first, second), key=lambda seconds: abs(seconds * 1000 - received_ms))
