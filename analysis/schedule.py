"""Hours of a rule in the city's own time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo

from msgspec import Struct

from city.rules.rule import Hours

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Clock(Struct, frozen=True):
    """What time it is in the city."""

    timezone: tzinfo

    def local(self, at_ms: int) -> datetime:
        """The city's wall clock at epoch milliseconds."""
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(self.timezone)


def in_hours(hours: Sequence[Hours], clock: Clock, at_ms: int) -> bool:
    """Whether a moment lies in any of `hours`; equal start and end mean the whole day."""
    local = clock.local(at_ms)
    now, today = f"{local:%H:%M}", _DAYS[local.weekday()]
    yesterday = _DAYS[local.weekday() - 1]
    for one in hours:
        if one.start < one.end:
            if today in one.days and one.start <= now < one.end:
                return True
        elif one.start == one.end:
            if today in one.days:
                return True
        elif (today in one.days and now >= one.start) or (yesterday in one.days and now < one.end):
            return True
    return False
