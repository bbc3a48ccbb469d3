"""What every finding about a sensor's quantity says, and which readings come too late to say anything."""

from __future__ import annotations

from analysis.detectors.detector import City
from analysis.detectors.finding import Change, Finding
from city.alarms import AlarmPriority
from city.events import SensorReading


def outdated(reading: SensorReading, city: City) -> bool:
    """Whether a newer reading of the same quantity is known already."""
    known = city.picture.sensors.get(reading.key)
    return known is not None and known.measured_ms > reading.measured_ms


def rounded(value: float) -> float:
    """A value as an operator reads it: six digits."""
    return float(f"{value:.6g}")


def sensor_finding(
    rule: str,
    change: Change,
    key: str,
    *,
    raised_ms: int,
    at_ms: int,
    values: dict[str, float | str],
    city: City,
    priority: AlarmPriority | None = None,
) -> Finding:
    """A finding of `sensor|quantity`, where the sensor last was; `quantity` and `network` are added to its values."""
    sensor_id, _, quantity = key.rpartition("|")
    known = city.picture.sensors.get(key)
    network: dict[str, float | str] = {"network": known.network} if known is not None and known.network else {}
    return Finding(
        rule=rule,
        change=change,
        source_kind="sensor",
        source_id=sensor_id,
        key=key,
        raised_ms=raised_ms,
        at_ms=at_ms,
        values={"quantity": quantity, **network, **values},
        lat=known.lat if known else None,
        lon=known.lon if known else None,
        district=known.district if known else None,
        mahalla=known.mahalla if known else None,
        priority=priority,
    )
