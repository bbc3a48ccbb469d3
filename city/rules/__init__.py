"""The section `alarms` of config.yaml: one rule a detector."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from pydantic import model_validator

from city.checked import Section
from city.rules.cameras import CameraAlert, CameraFrozen, CameraOffline, CameraStorm
from city.rules.rule import Rule
from city.rules.sensors import (
    NetworkFailure,
    NetworkFailureLocal,
    SensorFlat,
    SensorMissing,
    SensorRate,
    SensorThreshold,
)
from city.rules.system import (
    ArchiveBehind,
    ArchiveGap,
    BrokerLost,
    ClockSkew,
    DiskFull,
    FeedSilent,
    RejectsFull,
    RejectsRising,
    StoreLost,
    WorkerSilent,
)
from city.rules.transport import (
    Bunching,
    ExcessiveUse,
    FuelDrop,
    Gap,
    Geofence,
    Idling,
    LongStop,
    OffRoute,
    Overload,
    Overspeed,
    Refuel,
    ScheduleDeviation,
    VehicleSilent,
)


class Alarms(Section):
    fuel_drop: FuelDrop = FuelDrop()
    overload: Overload = Overload()
    refuel: Refuel = Refuel()
    excessive_use: ExcessiveUse = ExcessiveUse()
    overspeed: Overspeed = Overspeed()
    off_route: OffRoute = OffRoute()
    long_stop: LongStop = LongStop()
    idling: Idling = Idling()
    schedule_deviation: ScheduleDeviation = ScheduleDeviation()
    bunching: Bunching = Bunching()
    gap: Gap = Gap()
    geofence: Geofence = Geofence()
    vehicle_silent: VehicleSilent = VehicleSilent()
    camera_offline: CameraOffline = CameraOffline()
    camera_alert: CameraAlert = CameraAlert()
    camera_frozen: CameraFrozen = CameraFrozen()
    camera_storm: CameraStorm = CameraStorm()
    sensor_threshold: SensorThreshold = SensorThreshold()
    sensor_rate: SensorRate = SensorRate()
    sensor_flat: SensorFlat = SensorFlat()
    sensor_missing: SensorMissing = SensorMissing()
    network_failure: NetworkFailure = NetworkFailure()
    network_failure_local: NetworkFailureLocal = NetworkFailureLocal()
    feed_silent: FeedSilent = FeedSilent()
    rejects_full: RejectsFull = RejectsFull()
    rejects_rising: RejectsRising = RejectsRising()
    clock_skew: ClockSkew = ClockSkew()
    broker_lost: BrokerLost = BrokerLost()
    worker_silent: WorkerSilent = WorkerSilent()
    store_lost: StoreLost = StoreLost()
    disk_full: DiskFull = DiskFull()
    archive_behind: ArchiveBehind = ArchiveBehind()
    archive_gap: ArchiveGap = ArchiveGap()

    @model_validator(mode="after")
    def _suppression_ends(self) -> Alarms:
        """Whoever is suppressed by itself, at whatever remove, would come and go with every look at it."""
        names = tuple(type(self).model_fields)
        causes = {name: cast("Rule", getattr(self, name)).suppressed_by for name in names}
        for name, some in causes.items():
            if unknown := [one for one in some if one not in causes]:
                allowed = ", ".join(sorted(set(names) - {name}))
                raise ValueError(f"{name}.suppressed_by: no rule {unknown[0]!r} (allowed: {allowed})")
        for name in names:
            if ring := _ring(name, causes):
                raise ValueError(f"{name}.suppressed_by: {' < '.join(ring)} is a ring, a rule must not explain itself")
        return self


def _ring(name: str, causes: Mapping[str, Sequence[str]]) -> list[str]:
    """The way over causes from a rule back to itself; empty where there is none."""
    ways, seen = [[name]], {name}
    for way in ways:
        for cause in causes[way[-1]]:
            if cause == name:
                return [*way, name]
            if cause not in seen:
                seen.add(cause)
                ways.append([*way, cause])
    return []
