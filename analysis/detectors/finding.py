"""What a detector found out: an alarm's rise, change or return to normal."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from city.alarms import AlarmPriority


class Change(StrEnum):
    """What happens to the alarm."""

    RAISE = "raise"
    UPDATE = "update"
    CLEAR = "clear"


class Finding(Struct, frozen=True, kw_only=True):
    """One change of one alarm. The alarm is named by rule and key."""

    rule: str  # a key of config.yaml's `alarms`
    change: Change
    source_kind: str  # vehicle, camera, sensor, area, feed, worker or store
    source_id: str
    key: str  # what has one open alarm at a time: the source, or source|kind
    raised_ms: int  # when the alarm rose, epoch ms
    at_ms: int  # when this change happened, epoch ms
    values: dict[str, float | str] = {}  # the numbers behind it, by name with unit
    # Where it is, for what is neither a vehicle nor a camera (their place is known).
    lat: float | None = None
    lon: float | None = None
    district: str | None = None
    mahalla: str | None = None
    route: str | None = None
    priority: AlarmPriority | None = None  # of this rise; None: the rule's

    @property
    def alarm_id(self) -> str:
        """The alarm's name: the same at every rise."""
        return f"{self.rule}:{self.key}"
