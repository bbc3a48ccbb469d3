"""What a detector found out: an alarm's rise, change or return to normal."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Change(StrEnum):
    """What happens to the alarm."""

    RAISE = "raise"
    UPDATE = "update"
    CLEAR = "clear"


class Finding(Struct, frozen=True, kw_only=True):
    """One change of one alarm. The alarm is named by rule, key and the time of its rise."""

    rule: str  # a key of config.yaml's `alarms`
    change: Change
    source_kind: str  # vehicle, camera, feed or store
    source_id: str
    key: str  # what has one open alarm at a time: the source, or source|kind
    raised_ms: int  # when the alarm rose, epoch ms
    at_ms: int  # when this change happened, epoch ms
    values: dict[str, float | str] = {}  # the numbers behind it, by name with unit

    @property
    def alarm_id(self) -> str:
        return alarm_id(self.rule, self.key, self.raised_ms)


def alarm_id(rule: str, key: str, raised_ms: int) -> str:
    """The alarm's name; the same events always give the same one."""
    return f"{rule}:{key}:{raised_ms}"


def key_of(alarm_id: str) -> str:
    """The detector's key inside an alarm's name (keys may hold colons themselves)."""
    return alarm_id.partition(":")[2].rpartition(":")[0]
