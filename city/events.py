"""What the city says: frozen types of events, in SI units.

Every event knows two times, both in epoch milliseconds UTC: when it was measured in the
field and when Markaz received it. Latitude and longitude are WGS-84 degrees.
Field meanings follow GTFS-Realtime (VehiclePosition, OccupancyStatus) where it has them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from msgspec import Struct


class Facet(StrEnum):
    """One side of an entity's state; each has its own newest-wins order."""

    POSITION = "position"
    VEHICLE_STATUS = "vehicle_status"
    PASSENGERS = "passengers"
    FUEL = "fuel"
    CAMERA_EVENT = "camera_event"
    CAMERA_STATUS = "camera_status"
    SENSOR = "sensor"
    CASE = "case"
    CASE_LIST = "case_list"
    TRIP = "trip"


class Mode(StrEnum):
    """Kinds of vehicle the map draws apart. Any other word is kept as it came."""

    BUS = "bus"
    TROLLEYBUS = "trolleybus"
    TRAM = "tram"


class Event(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One measurement of one entity."""

    facet: ClassVar[Facet]

    measured_ms: int  # epoch milliseconds UTC, by the device's clock
    received_ms: int  # epoch milliseconds UTC, by Markaz's clock

    @property
    def key(self) -> str:
        """The field under which the newest of these is kept (entity, or entity and kind)."""
        raise NotImplementedError

    @property
    def entity(self) -> str:
        """The entity's id; decides its partition."""
        raise NotImplementedError

    @property
    def slot(self) -> str:
        """The field whose time decides duplicate and late; usually the key itself."""
        return self.key

    @property
    def mark(self) -> str:
        """Tells events of one slot and one time apart; empty where time alone does."""
        return ""


class VehicleEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """An event of a vehicle."""

    vehicle_id: str

    @property
    def key(self) -> str:
        return self.vehicle_id

    @property
    def entity(self) -> str:
        return self.vehicle_id


class SignalPriority(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a vehicle asked of a traffic light, or what the light answered."""

    junction: str | None = None
    signal_group: str | None = None
    request: str | None = None  # joins an answer to what was asked
    attempt: int | None = None  # 1 the first time
    kind: str | None = None  # normal, door_close, door_open or advance
    level: str | None = None  # normal, high, or norequest: nothing was asked
    reason: str | None = None  # why not: global, ahead, line or prioexep
    granted: bool | None = None


class VehicleStatus(VehicleEvent, frozen=True, kw_only=True, omit_defaults=True):
    """What a vehicle says of itself beside its place; kept when it has no position."""

    facet: ClassVar[Facet] = Facet.VEHICLE_STATUS

    kind: str = ""  # the format's own event name (HFP: vp, due, arr …), empty if it has none
    speed_mps: float | None = None
    bearing_deg: float | None = None  # 0 north, clockwise
    route: str | None = None
    direction: int | None = None  # 1 or 2
    trip: str | None = None
    odometer_m: float | None = None
    ignition: bool | None = None
    vin: str | None = None
    mode: str | None = None  # see Mode
    schedule_deviation_s: float | None = None  # positive: ahead of schedule
    occupancy_pct: float | None = None  # GTFS-Realtime occupancy_percentage; above 100 in a crush
    occupancy_status: str | None = None  # GTFS-Realtime OccupancyStatus in lower case
    doors_open: bool | None = None
    stop: str | None = None
    route_short_name: str | None = None  # GTFS: as passengers know it, where `route` is an id
    trip_start_date: str | None = None  # YYYYMMDD, the service day (GTFS-Realtime start_date)
    trip_start_time: str | None = None  # HH:MM:SS by the operator's local time (start_time)
    scheduled_arrival_ms: int | None = None  # at `stop`, epoch milliseconds UTC
    scheduled_departure_ms: int | None = None
    location_source: str | None = None  # gps, odometer, manual or dead_reckoning
    signal_priority: SignalPriority | None = None

    @property
    def slot(self) -> str:
        return f"{self.vehicle_id}|{self.kind}" if self.kind else self.vehicle_id


class VehiclePosition(VehicleStatus, frozen=True, kw_only=True, omit_defaults=True):
    """Where a vehicle was."""

    facet: ClassVar[Facet] = Facet.POSITION

    lat: float
    lon: float
    district: str | None = None  # 7-digit SOATO code; None outside every district
    mahalla: str | None = None  # 10-digit code; None where no polygon is known


class PassengerCount(VehicleEvent, frozen=True, kw_only=True, omit_defaults=True):
    """Passengers counted in or out since the last message, and how many are on board."""

    facet: ClassVar[Facet] = Facet.PASSENGERS

    boarded: int | None = None
    alighted: int | None = None
    onboard: int | None = None  # may be negative where the counters drift: kept, never clamped
    capacity: int | None = None
    stop: str | None = None
    door: str | None = None
    estimated: bool = False  # onboard was summed up by Markaz from boarded and alighted
    quality: str | None = None  # of the counting, by ITxPT: regular, defect or other

    @property
    def mark(self) -> str:
        # Vehicles send several counts of one time: a door each, or both journeys at a journey's change.
        onboard = "" if self.estimated else self.onboard
        return f"{self.door or ''}:{self.boarded}:{self.alighted}:{onboard}"


class FuelReading(VehicleEvent, frozen=True, kw_only=True, omit_defaults=True):
    """A vehicle's fuel level."""

    facet: ClassVar[Facet] = Facet.FUEL

    level_l: float | None = None
    level_pct: float | None = None  # 0–100 of the tank
    capacity_l: float | None = None
    used_l: float | None = None  # the vehicle's own counter of fuel burned
    ignition: bool | None = None


class CameraEvent(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Something that a camera recognised."""

    facet: ClassVar[Facet] = Facet.CAMERA_EVENT

    camera_id: str
    kind: str  # person, car, crowd, fire, smoke, accident, violation …
    severity: str = "info"  # info or alert
    score: float | None = None  # 0–1
    zone: str | None = None
    plate: str | None = None
    snapshot_url: str | None = None
    count: int | None = None
    event_id: str | None = None
    phase: str | None = None  # new, update or end
    # What began and ended under `event_id`, as far as its sender tells it in each phase.
    started_ms: int | None = None
    ended_ms: int | None = None

    @property
    def key(self) -> str:
        return f"{self.camera_id}|{self.kind}"

    @property
    def entity(self) -> str:
        return self.camera_id

    @property
    def mark(self) -> str:
        # A review may become an alert while its time and its zones stay as they are.
        alert = "!" if self.severity == "alert" else ""
        return f"{self.event_id or ''}{self.phase or ''}{self.zone or ''}{alert}"


class CameraStatus(Event, frozen=True, kw_only=True, omit_defaults=True):
    """Whether a camera is reachable, and where it stands."""

    facet: ClassVar[Facet] = Facet.CAMERA_STATUS

    camera_id: str
    online: bool
    stream_url: str | None = None
    name: str | None = None
    lat: float | None = None
    lon: float | None = None
    district: str | None = None
    mahalla: str | None = None

    @property
    def key(self) -> str:
        return self.camera_id

    @property
    def entity(self) -> str:
        return self.camera_id

    @property
    def mark(self) -> str:
        # Both may bear one time: messages that waited at the broker come within a millisecond.
        return "online" if self.online else "offline"


class SensorReading(Event, frozen=True, kw_only=True, omit_defaults=True):
    """One quantity of one sensor of a utility network."""

    facet: ClassVar[Facet] = Facet.SENSOR

    sensor_id: str
    quantity: str
    value: float
    unit: str
    lat: float | None = None
    lon: float | None = None
    network: str | None = None  # gas, electricity, water, hot_water, heat …
    district: str | None = None
    mahalla: str | None = None

    @property
    def key(self) -> str:
        return f"{self.sensor_id}|{self.quantity}"

    @property
    def entity(self) -> str:
        return self.sensor_id


class TripUpdate(Event, frozen=True, kw_only=True, omit_defaults=True):
    """How one run of a trip stands to its timetable (GTFS-Realtime TripUpdate)."""

    facet: ClassVar[Facet] = Facet.TRIP

    trip: str | None = None
    route: str | None = None
    direction: int | None = None  # 1 or 2
    trip_start_date: str | None = None  # YYYYMMDD, the service day
    trip_start_time: str | None = None  # HH:MM:SS, may be above 24 h; tells the runs of one trip apart
    vehicle_id: str | None = None  # that serves it
    schedule_deviation_s: float | None = None  # positive: ahead of schedule; None: nothing says it
    stop: str | None = None  # the next one, that the deviation is told for
    schedule_relationship: str | None = None  # GTFS-Realtime's word in lower case, or withdrawn

    @property
    def key(self) -> str:
        """The trip; with its start where several runs share the trip, or with all there is where it has no id."""
        if self.trip is None:
            direction = "" if self.direction is None else str(self.direction)
            return "|".join((self.route or "", direction, self.trip_start_date or "", self.trip_start_time or ""))
        return self.trip if self.trip_start_time is None else f"{self.trip}|{self.trip_start_time}"

    @property
    def entity(self) -> str:
        return self.key


class Affected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A part of the transport network; what is set holds together (GTFS-Realtime EntitySelector)."""

    agency: str | None = None
    route: str | None = None
    route_type: int | None = None  # GTFS routes.txt
    direction: int | None = None  # 1 or 2
    stop: str | None = None
    trip: str | None = None


class Case(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A citizen's appeal or an agency's case."""

    facet: ClassVar[Facet] = Facet.CASE

    source: str
    case_id: str
    category: str
    status: str  # open, in_progress, closed, rejected
    lat: float | None = None
    lon: float | None = None
    address_code: str | None = None
    title: str | None = None
    text: str | None = None
    severity: str | None = None
    agency: str | None = None
    due_ms: int | None = None
    reporter: str | None = None
    starts_ms: int | None = None  # from when on it holds; None: from ever
    ends_ms: int | None = None  # until when; None: open
    affects: tuple[Affected, ...] = ()  # of the transport network: any of them
    district: str | None = None
    mahalla: str | None = None

    @property
    def key(self) -> str:
        return f"{self.source}|{self.case_id}"

    @property
    def entity(self) -> str:
        return self.key

    @property
    def mark(self) -> str:
        return self.status


class CaseList(Event, frozen=True, kw_only=True, omit_defaults=True):
    """A source told all its cases that stand: what it last told before `measured_ms` is over."""

    facet: ClassVar[Facet] = Facet.CASE_LIST

    source: str
    unread: tuple[str, ...] = ()  # case ids in the list whose entry was refused: they stand as they were

    @property
    def key(self) -> str:
        return self.source

    @property
    def entity(self) -> str:
        return self.source


# Events that lie somewhere, or may.
LOCATED = (VehiclePosition, CameraStatus, SensorReading, Case)


EVENT_TYPES: dict[Facet, type[Event]] = {
    Facet.POSITION: VehiclePosition,
    Facet.VEHICLE_STATUS: VehicleStatus,
    Facet.PASSENGERS: PassengerCount,
    Facet.FUEL: FuelReading,
    Facet.CAMERA_EVENT: CameraEvent,
    Facet.CAMERA_STATUS: CameraStatus,
    Facet.SENSOR: SensorReading,
    Facet.CASE: Case,
    Facet.CASE_LIST: CaseList,
    Facet.TRIP: TripUpdate,
}
