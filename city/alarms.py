"""What an alarm is."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class AlarmPriority(StrEnum):
    """Priorities by ISA-18.2 and EEMUA 191, the most urgent first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Alarm(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One alarm from its rise to its return to normal.

    `id` is made of rule, source and the time of rising, so that reading the same events
    again finds the same alarm.
    """

    id: str
    rule: str  # a key of config.yaml's `alarms`
    priority: AlarmPriority
    source_kind: str  # vehicle, camera, feed or store
    source_id: str
    raised_ms: int  # the measurement that fired it
    updated_ms: int
    cleared_ms: int | None = None  # None while it stands
    lat: float | None = None
    lon: float | None = None
    district: str | None = None
    mahalla: str | None = None
    route: str | None = None
    values: dict[str, float | str] = {}  # the numbers that fired it, by name with unit
