"""The section `alarms` of config.yaml: one rule a detector."""

from __future__ import annotations

from city.checked import Section
from city.rules.cameras import CameraAlert, CameraFrozen, CameraOffline, CameraStorm
from city.rules.sensors import (
    NetworkFailure,
    NetworkFailureLocal,
    SensorFlat,
    SensorMissing,
    SensorRate,
    SensorThreshold,
)
from city.rules.system import (
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
