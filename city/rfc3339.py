"""Times as others read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

# The years 1 and 9999: what RFC 3339 can write with four digits and Python can hold.
FIRST_MS = -62_135_596_800_000
LAST_MS = 253_402_300_799_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(ms: int) -> str:
    """Epoch milliseconds as RFC 3339 in UTC: `2026-05-04T05:00:00.250Z`; the nearest there is for one beyond."""
    # Never raises: one odd time in the store must not take a whole list away.
    return (
        (_EPOCH + timedelta(milliseconds=min(max(ms, FIRST_MS), LAST_MS)))
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )
