"""What the briefing calls worst."""

from msgspec.structs import replace

from analysis.indicators import AreaIndicators
from analysis.kpis import KpiSettings
from analysis.picture import Picture
from analysis.problems import Problem, worst_problems
from city.alarms import Alarm, AlarmPriority, AlarmState
from city.events import CameraStatus, PassengerCount, VehiclePosition
from city.incidents import Incident, IncidentStatus

SETTINGS = KpiSettings(vehicle_stale_after_s=30, camera_stale_after_s=3600, capacity_default=80)
NOW = 10_000_000
DISTRICT, MAHALLA = "1726269", "1726269040"


def alarm(name: str, priority: AlarmPriority, *, rule: str = "overload", at_ms: int = 5, placed: bool = True) -> Alarm:
    return Alarm(
        id=name,
        rule=rule,
        priority=priority,
        source_kind="vehicle",
        source_id=name,
        raised_ms=at_ms,
        updated_ms=at_ms,
        state=AlarmState.UNACKNOWLEDGED,
        active=True,
        district=DISTRICT if placed else None,
        mahalla=MAHALLA if placed else None,
        values={"load": 1.3},
    )


def worst(
    *,
    picture: Picture | None = None,
    areas: dict[str, AreaIndicators] | None = None,
    alarms: tuple[Alarm, ...] = (),
    incidents: tuple[Incident, ...] = (),
) -> list[Problem]:
    known = {one.id: one for one in incidents}
    return worst_problems(picture or Picture(), areas or {}, alarms, NOW, SETTINGS, incidents=known)


def test_a_quiet_city_has_none() -> None:
    assert worst(areas={MAHALLA: AreaIndicators(vehicles=9, load=0.5, speed_kmh=20)}) == []


def test_alarms_go_by_priority_then_age() -> None:
    found = worst(
        alarms=(
            alarm("hfp", AlarmPriority.HIGH, rule="feed_silent", placed=False),
            alarm("young", AlarmPriority.LOW, rule="camera_offline", at_ms=9),
            alarm("fire", AlarmPriority.CRITICAL, rule="camera_alert"),
        )
    )
    assert [problem.kind for problem in found] == ["camera_alert", "feed_silent", "camera_offline"]
    assert found[0].values == {"load": 1.3, "source_id": "fire"}
    assert (found[0].mahalla, found[1].mahalla, found[0].since_ms) == (MAHALLA, None, 5)


def test_many_of_one_kind_in_one_place_are_one_problem_that_never_outranks_the_next_priority() -> None:
    many = [alarm(f"bus{n}", AlarmPriority.MEDIUM, at_ms=n) for n in range(30)]
    found = worst(alarms=(*many, alarm("theft", AlarmPriority.HIGH, rule="fuel_drop")))
    assert [(problem.reason, problem.severity) for problem in found] == [("fuel_drop", 70), ("overload_many", 59)]
    assert found[1].values == {"alarms": 30}
    assert found[1].since_ms == 0


def test_full_and_slow_mahallas_count_with_enough_vehicles_and_districts_do_not() -> None:
    areas = {
        MAHALLA: AreaIndicators(vehicles=3, load=1.35, speed_kmh=4.0, moving=3),
        "1726269041": AreaIndicators(vehicles=5, speed_kmh=1.0, moving=2),
        DISTRICT: AreaIndicators(vehicles=50, load=2.0),
    }
    found = worst(areas=areas)
    assert [(p.kind, p.severity, p.district, p.mahalla) for p in found] == [
        ("mahalla_overload", 60.0, DISTRICT, MAHALLA),
        ("mahalla_slow", 60.0, DISTRICT, MAHALLA),
    ]


def test_a_full_route_and_a_district_without_cameras_count() -> None:
    picture = Picture()
    for n in range(3):
        at = {"vehicle_id": f"bus{n}", "measured_ms": NOW, "received_ms": NOW}
        picture.apply(VehiclePosition(**at, lat=41.3, lon=69.2, route="51"))
        picture.apply(PassengerCount(**at, onboard=90, capacity=100))
    for n in range(10):
        picture.apply(CameraStatus(camera_id=f"c{n}", measured_ms=n, received_ms=n, online=n > 3, district=DISTRICT))
    found = worst(picture=picture)
    assert [(p.kind, p.route, p.district, p.severity) for p in found] == [
        ("cameras_offline", None, DISTRICT, 80.0),
        ("route_overload", "51", None, 40.0),
    ]
    assert found[0].values == {"offline": 4, "of": 10, "share": 0.4}


def test_five_are_enough() -> None:
    alarms = tuple(alarm(str(n), AlarmPriority.HIGH, rule="feed_silent", placed=False) for n in range(9))
    assert len(worst(alarms=alarms)) == 5


def test_an_incident_is_one_problem_however_many_alarms_are_in_it() -> None:
    feeder = Incident(
        id="20260504-001", opened_ms=3, updated_ms=3, last_ms=3, rule="network",
        common={"network": "power", "district": DISTRICT},
        priority=AlarmPriority.CRITICAL, district=DISTRICT, mahalla=MAHALLA,
    )  # fmt: skip
    inside = tuple(
        replace(alarm(f"m{n}", AlarmPriority.CRITICAL, rule="sensor_threshold"), incident=feeder.id) for n in range(20)
    )
    loose = alarm("bus", AlarmPriority.LOW)
    found = worst(alarms=(*inside, loose), incidents=(feeder,))
    assert [(one.kind, one.severity) for one in found] == [("incident", 99), ("overload", 30)]
    assert (found[0].values, found[0].mahalla, found[0].since_ms) == ({"alarms": 20}, None, 3)
    closed = replace(feeder, status=IncidentStatus.CLOSED)
    assert [one.reason for one in worst(alarms=inside, incidents=(closed,))] == ["sensor_threshold_many"]
