"""The city as it stands now: the newest event of every entity, held in memory.

The dashboard, the alarms and the history worker each keep one and feed it from the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from analysis.cases import Cases
from analysis.trips import Trips
from city.events import (
    CameraEvent,
    CameraStatus,
    Case,
    CaseList,
    Event,
    FuelReading,
    PassengerCount,
    SensorReading,
    TripUpdate,
    VehiclePosition,
    VehicleStatus,
)


@dataclass(slots=True)
class Vehicle:
    """What is known of one vehicle; each side has its own age."""

    vehicle_id: str
    position: VehiclePosition | None = None
    status: VehicleStatus | None = None  # from messages without a position
    passengers: PassengerCount | None = None
    fuel: FuelReading | None = None
    trips: Trips | None = field(default=None, repr=False, compare=False)  # the picture's

    @property
    def newest(self) -> VehicleStatus | None:
        """The later of position and status: the one to ask for route, speed or doors."""
        if self.position is None or (self.status and self.status.measured_ms > self.position.measured_ms):
            return self.status
        return self.position

    @property
    def onboard(self) -> int | None:
        return self.passengers.onboard if self.passengers else None

    def capacity(self, default: int) -> int:
        """Places on board; `default` where the vehicle never said."""
        return (self.passengers.capacity if self.passengers else None) or default

    def load(self, capacity_default: int) -> float | None:
        """Passengers on board over capacity (1.0 is full), None where nothing counts them."""
        if self.onboard is not None:
            return max(0, self.onboard) / self.capacity(capacity_default)
        newest = self.newest
        if newest is not None and newest.occupancy_pct is not None:
            return newest.occupancy_pct / 100
        return None

    @property
    def schedule_deviation_s(self) -> float | None:
        """Seconds ahead of schedule: what the vehicle itself says, else what is told of its trip."""
        newest = self.newest
        if newest is None:
            return None
        if newest.schedule_deviation_s is not None or self.trips is None:
            return newest.schedule_deviation_s
        update = self.trips.of(self.vehicle_id, newest)
        return None if update is None else update.schedule_deviation_s

    @property
    def fuel_pct(self) -> float | None:
        """Fuel in the tank, 0–100 %, None for vehicles without a tank or a gauge."""
        fuel = self.fuel
        if fuel is None:
            return None
        if fuel.level_pct is not None:
            return fuel.level_pct
        if fuel.level_l is not None and fuel.capacity_l:
            return 100 * fuel.level_l / fuel.capacity_l
        return None


@dataclass(slots=True)
class Camera:
    """What is known of one camera."""

    camera_id: str
    status: CameraStatus | None = None
    events: dict[str, CameraEvent] = field(default_factory=dict)  # newest of each kind
    event_ms: int = 0  # newest of all


@dataclass(slots=True)
class Picture:
    """Newest-wins state of the whole city."""

    vehicles: dict[str, Vehicle] = field(default_factory=dict)
    cameras: dict[str, Camera] = field(default_factory=dict)
    sensors: dict[str, SensorReading] = field(default_factory=dict)  # by sensor and quantity
    cases: Cases = field(default_factory=Cases)
    trips: Trips = field(default_factory=Trips)

    def apply(self, event: Event) -> bool:
        """Take an event in; False if something newer was known already."""
        match event:
            case VehiclePosition():
                vehicle = self._vehicle(event.vehicle_id)
                if _newer(vehicle.position, event):
                    return False
                vehicle.position = event
            case VehicleStatus():
                vehicle = self._vehicle(event.vehicle_id)
                if _newer(vehicle.status, event):
                    return False
                vehicle.status = event
            case PassengerCount():
                vehicle = self._vehicle(event.vehicle_id)
                if _newer(vehicle.passengers, event):
                    return False
                vehicle.passengers = event
            case FuelReading():
                vehicle = self._vehicle(event.vehicle_id)
                if _newer(vehicle.fuel, event):
                    return False
                vehicle.fuel = event
            case CameraStatus():
                camera = self._camera(event.camera_id)
                if _newer(camera.status, event):
                    return False
                camera.status = event
            case CameraEvent():
                camera = self._camera(event.camera_id)
                events = camera.events
                if _newer(events.get(event.kind), event):
                    return False
                events[event.kind] = event
                camera.event_ms = max(camera.event_ms, event.measured_ms)
            case SensorReading():
                if _newer(self.sensors.get(event.key), event):
                    return False
                self.sensors[event.key] = event
            case Case() | CaseList():
                return self.cases.apply(event)
            case TripUpdate():
                return self.trips.apply(event)
        return True

    def forget_vehicles(self, oldest_ms: int) -> None:
        """Drop the vehicles that said nothing since `oldest_ms`."""
        for vehicle_id, vehicle in list(self.vehicles.items()):
            sides = (vehicle.position, vehicle.status, vehicle.passengers, vehicle.fuel)
            if max((side.measured_ms for side in sides if side is not None), default=0) < oldest_ms:
                del self.vehicles[vehicle_id]

    def _vehicle(self, vehicle_id: str) -> Vehicle:
        vehicle = self.vehicles.get(vehicle_id)
        if vehicle is None:
            vehicle = self.vehicles[vehicle_id] = Vehicle(vehicle_id, trips=self.trips)
        return vehicle

    def _camera(self, camera_id: str) -> Camera:
        camera = self.cameras.get(camera_id)
        if camera is None:
            camera = self.cameras[camera_id] = Camera(camera_id)
        return camera


def _newer(known: Event | None, event: Event) -> bool:
    return known is not None and known.measured_ms > event.measured_ms
