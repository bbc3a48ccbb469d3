"""How far the city's clock is from UTC, and when that changes. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Clocks are put forward or back at full quarters of an hour.
_GRAIN_MS = 900_000
# Two changes of one clock are further apart than this.
_STRIDE_MS = 7 * 86_400_000


class Offset(NamedTuple):
    """From `from_ms` on the clock is `offset_ms` ahead of UTC."""

    from_ms: int
    offset_ms: int


def offsets(zone: ZoneInfo, from_ms: int, to_ms: int) -> tuple[Offset, ...]:
    """The offsets that hold in a span, in order; the first one holds at its beginning."""
    found = [Offset(from_ms, _offset_ms(zone, from_ms))]
    at = from_ms
    while at < to_ms:
        after = min(at + _STRIDE_MS, to_ms)
        if (changed := _offset_ms(zone, after)) != found[-1].offset_ms:
            found.append(Offset(_change_ms(zone, at, after), changed))
        at = after
    return tuple(found)


def _change_ms(zone: ZoneInfo, before_ms: int, after_ms: int) -> int:
    """When the offset changed between two times, to the quarter of an hour."""
    low, high = before_ms // _GRAIN_MS, -(-after_ms // _GRAIN_MS)
    wanted = _offset_ms(zone, after_ms)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset_ms(zone, middle * _GRAIN_MS) == wanted:
            high = middle
        else:
            low = middle
    return high * _GRAIN_MS


def _offset_ms(zone: ZoneInfo, ms: int) -> int:
    offset = (_EPOCH + timedelta(milliseconds=ms)).astimezone(zone).utcoffset()
    return 0 if offset is None else round(offset.total_seconds() * 1000)
