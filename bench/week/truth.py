"""What really happened, as far as an alarm should, may or must not tell of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

from msgspec import Struct

CITY_TIME = timezone(timedelta(hours=5))
MONDAY_MS = int(datetime(2026, 1, 5, tzinfo=CITY_TIME).astimezone(UTC).timestamp() * 1000)
MINUTE_S, HOUR_S, DAY_S = 60, 3_600, 86_400


def ms(at_s: float) -> int:
    """Epoch milliseconds of a second of the week."""
    return MONDAY_MS + int(at_s * 1000)


class Truth(Struct, frozen=True, kw_only=True):
    """One thing that happened. Rule and key name the alarm that would tell of it."""

    rule: str
    key: str
    start_s: float
    end_s: float
    must: bool = True  # False: an alarm is neither wrong nor needed, the case is not clear
    planted: bool = True  # False: it grew by itself out of traffic and demand
    label: str = ""  # its size or kind
    slack_s: float = 900.0  # so long after its end an alarm still is about it


class TruthBook:
    """All that happened."""

    def __init__(self) -> None:
        self._all: list[Truth] = []

    def add(self, truth: Truth) -> None:
        self._all.append(truth)

    def __iter__(self) -> Iterator[Truth]:
        return iter(self._all)
