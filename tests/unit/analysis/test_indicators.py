"""Numbers by area."""

from analysis.indicators import AreaIndicators, indicators
from analysis.kpis import KpiSettings
from analysis.picture import Picture
from city.alarms import Alarm, AlarmPriority, AlarmState
from city.events import PassengerCount, VehiclePosition

SETTINGS = KpiSettings(vehicle_stale_after_s=30, camera_stale_after_s=3600, capacity_default=80)
NOW = 10_000_000
DISTRICT, MAHALLA = "1726269", "1726269040"


def vehicle(picture: Picture, name: str, *, age_s: int = 1, onboard: int | None = None, mahalla: bool = True) -> None:
    at_ms = NOW - age_s * 1000
    place = VehiclePosition(
        vehicle_id=name,
        measured_ms=at_ms,
        received_ms=at_ms,
        lat=41.3,
        lon=69.3,
        speed_mps=5.0,
        district=DISTRICT,
        mahalla=MAHALLA if mahalla else None,
    )
    picture.apply(place)
    if onboard is not None:
        picture.apply(
            PassengerCount(vehicle_id=name, measured_ms=at_ms, received_ms=at_ms, onboard=onboard, capacity=100)
        )


def test_a_vehicle_counts_in_its_district_and_its_mahalla() -> None:
    picture = Picture()
    vehicle(picture, "a", onboard=50)
    vehicle(picture, "b", onboard=100, mahalla=False)
    vehicle(picture, "old", age_s=31, onboard=100)
    found = indicators(picture, [], NOW, SETTINGS)
    assert found == {
        DISTRICT: AreaIndicators(vehicles=2, load=0.75, speed_kmh=18.0, moving=2, onboard=150),
        MAHALLA: AreaIndicators(vehicles=1, load=0.5, speed_kmh=18.0, moving=1, onboard=50),
    }


def test_what_nobody_counts_is_unknown() -> None:
    picture = Picture()
    vehicle(picture, "a")
    assert indicators(picture, [], NOW, SETTINGS)[MAHALLA] == AreaIndicators(vehicles=1, speed_kmh=18.0, moving=1)


def test_open_alarms_count_where_they_are() -> None:
    def alarm(name: str, mahalla: str | None, cleared_ms: int | None = None) -> Alarm:
        return Alarm(
            id=name,
            rule="fuel_drop",
            priority=AlarmPriority.HIGH,
            source_kind="vehicle",
            source_id=name,
            raised_ms=1,
            updated_ms=1,
            cleared_ms=cleared_ms,
            state=AlarmState.UNACKNOWLEDGED if cleared_ms is None else AlarmState.NORMAL,
            active=cleared_ms is None,
            district=DISTRICT if mahalla else None,
            mahalla=mahalla,
        )

    alarms = [alarm("a", MAHALLA), alarm("b", MAHALLA, 2), alarm("c", None)]
    found = indicators(Picture(), alarms, NOW, SETTINGS)
    assert found == {DISTRICT: AreaIndicators(alarms=1), MAHALLA: AreaIndicators(alarms=1)}


def test_waiting_vehicles_do_not_slow_an_area_down() -> None:
    picture = Picture()
    vehicle(picture, "moves")
    waits = VehiclePosition(
        vehicle_id="waits", measured_ms=NOW, received_ms=NOW, lat=41.3, lon=69.3, speed_mps=0.0, mahalla=MAHALLA
    )
    picture.apply(waits)
    assert indicators(picture, [], NOW, SETTINGS)[MAHALLA] == AreaIndicators(vehicles=2, speed_kmh=18.0, moving=1)
