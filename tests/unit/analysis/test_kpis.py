"""The tiles' numbers."""

from analysis.feed_rates import FeedRates
from analysis.fuel_meter import FuelMeter
from analysis.kpis import KPI_UNITS, Kpi, KpiSettings, kpis
from analysis.picture import Picture
from city.alarms import Alarm, AlarmPriority, AlarmState
from city.events import CameraEvent, CameraStatus, Event, PassengerCount, VehiclePosition
from city.messages import FeedCount

SETTINGS = KpiSettings(vehicle_stale_after_s=30, camera_stale_after_s=3600, capacity_default=80)
NOW = 10_000_000


def position(vehicle_id: str, age_s: float, speed_mps: float | None = 10.0, **more: float) -> VehiclePosition:
    at_ms = NOW - int(age_s * 1000)
    return VehiclePosition(
        vehicle_id=vehicle_id,
        measured_ms=at_ms,
        received_ms=at_ms,
        lat=41.3,
        lon=69.2,
        speed_mps=speed_mps,
        occupancy_pct=more.get("occupancy_pct"),
    )


def passengers(vehicle_id: str, onboard: int, capacity: int | None) -> PassengerCount:
    return PassengerCount(
        vehicle_id=vehicle_id, measured_ms=NOW - 5000, received_ms=NOW, onboard=onboard, capacity=capacity
    )


def status(camera_id: str, age_s: float, *, online: bool) -> CameraStatus:
    return CameraStatus(camera_id=camera_id, measured_ms=NOW - int(age_s * 1000), received_ms=NOW, online=online)


def seen(camera_id: str, age_s: float) -> CameraEvent:
    return CameraEvent(camera_id=camera_id, kind="car", measured_ms=NOW - int(age_s * 1000), received_ms=NOW)


def numbers(*events: Event, alarms: list[Alarm] | None = None, feeds: FeedRates | None = None) -> dict[str, Kpi]:
    picture = Picture()
    for event in events:
        picture.apply(event)
    found = kpis(picture, FuelMeter(900), alarms, feeds or FeedRates(), NOW, SETTINGS)
    assert [kpi.name for kpi in found] == list(KPI_UNITS)
    return {kpi.name: kpi for kpi in found}


def test_of_a_city_that_never_spoke_nothing_is_known() -> None:
    assert {kpi.value for kpi in numbers().values()} == {None}


def test_only_vehicles_heard_lately_are_in_service() -> None:
    found = numbers(position("a", 1), position("b", 30), position("c", 31))
    service = found["vehicles_in_service"]
    assert (service.value, service.of, service.measured_ms) == (2, 3, NOW - 1000)
    assert numbers(position("c", 31))["vehicles_in_service"].value == 0


def test_passengers_and_load_are_of_vehicles_in_service_that_count() -> None:
    found = numbers(
        position("a", 1),
        passengers("a", 50, 100),
        position("b", 1),
        passengers("b", 40, None),
        position("drift", 1),
        passengers("drift", -7, 20),
        position("gone", 60),
        passengers("gone", 99, 100),
        position("silent", 1),
    )
    assert found["passengers_on_board"].value == 90
    assert found["passengers_on_board"].of == 3
    assert found["mean_load"].value == 90 / (100 + 80 + 20)
    assert numbers(position("silent", 1))["passengers_on_board"].value is None


def test_occupancy_stands_in_where_nobody_counts() -> None:
    found = numbers(position("a", 1, occupancy_pct=50))
    assert found["mean_load"].value == 0.5
    assert found["passengers_on_board"].value is None


def test_mean_speed_leaves_out_vehicles_that_give_none() -> None:
    found = numbers(position("a", 1, 10.0), position("b", 1, 0.0), position("c", 1, None))
    assert found["mean_speed_kmh"].value == 18.0


def test_a_camera_is_what_it_said_last_and_unknown_when_that_is_long_ago() -> None:
    found = numbers(
        status("on", 10, online=True),
        status("old", 4000, online=True),
        status("old but busy", 4000, online=True),
        seen("old but busy", 10),
        status("off for hours", 9_000, online=False),
        status("back", 100, online=False),
        seen("back", 50),
        seen("never said", 10),
    )["cameras_online"]
    assert (found.value, found.of) == (4, 6)
    assert found.by == {"online": 4, "offline": 1, "unknown": 1}


def test_open_alarms_are_counted_by_priority() -> None:
    def alarm(name: str, priority: AlarmPriority, cleared_ms: int | None = None) -> Alarm:
        return Alarm(
            id=name,
            rule="overload",
            priority=priority,
            source_kind="vehicle",
            source_id=name,
            raised_ms=1,
            updated_ms=1,
            cleared_ms=cleared_ms,
            state=AlarmState.UNACKNOWLEDGED if cleared_ms is None else AlarmState.NORMAL,
            active=cleared_ms is None,
        )

    alarms = [alarm("a", AlarmPriority.HIGH), alarm("b", AlarmPriority.LOW), alarm("c", AlarmPriority.LOW, 5)]
    found = numbers(alarms=alarms)["open_alarms"]
    assert (found.value, found.by) == (2, {"critical": 0, "high": 1, "medium": 0, "low": 1})
    assert numbers(alarms=[])["open_alarms"].value == 0


def test_messages_are_counted_over_all_feeds() -> None:
    feeds = FeedRates()
    for received, at_ms in ((100, NOW - 5000), (160, NOW)):
        feeds.update(
            [FeedCount(feed="hfp", received=received, stored=0, late=0, rejected={}, last_received_ms=NOW - 100)], at_ms
        )
    found = numbers(feeds=feeds)["messages_per_s"]
    assert (found.value, found.measured_ms) == (12.0, NOW - 100)
