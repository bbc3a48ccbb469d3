"""Frames: what is packed is what the browser unpacks."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.picture import Camera, Picture, Vehicle
from city.alarms import Alarm, AlarmPriority, AlarmState
from city.events import CameraStatus, Event, FuelReading, PassengerCount, VehiclePosition, VehicleStatus
from city.incidents import Incident, IncidentStatus
from dashboard.frames import (
    HAS_BEARING,
    INCIDENTS_SHOWN,
    POINTS_SHOWN,
    STALE,
    TROLLEYBUS,
    UNKNOWN,
    VehicleTable,
    alarms_frame,
    cameras_frame,
    incidents_frame,
    mercator,
)

NOW = 1_800_000_000_000
BOUNDS = (69.12, 41.17, 69.42, 41.40)


def table() -> VehicleTable:
    return VehicleTable(
        BOUNDS, 10_000, capacity_default=80, stale_after_s=30, count_stale_after_s=1800, gone_after_s=86_400
    )


def position(vehicle_id: str, *, measured_ms: int = NOW, **more: Any) -> VehiclePosition:
    fields: dict[str, Any] = {"lat": 41.3, "lon": 69.25, **more}
    return VehiclePosition(vehicle_id=vehicle_id, measured_ms=measured_ms, received_ms=measured_ms, **fields)


def vehicle(*events: Event) -> Vehicle:
    picture = Picture()
    for event in events:
        picture.apply(event)
    (only,) = picture.vehicles.values()
    return only


def unpack(frame: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """What assets/map.js does."""
    data, n = b64decode(frame["data"]), frame["n"]
    assert len(data) == 15 * n
    columns: dict[str, np.ndarray[Any, Any]] = {}
    for at, name in enumerate(("x", "y", "age", "load_age", "fuel_age")):
        columns[name] = np.frombuffer(data, "<u2", n, 2 * n * at)
    for at, name in enumerate(("bearing", "load", "speed", "fuel", "flags")):
        columns[name] = np.frombuffer(data, np.uint8, n, 10 * n + at * n)
    return columns


@given(lat=st.floats(41.1, 41.47), lon=st.floats(69.05, 69.5))
def test_a_position_comes_back_within_a_metre(lat: float, lon: float) -> None:
    packed = table()
    packed.update(vehicle(position("a", lat=lat, lon=lon)))
    columns = unpack(packed.pack(NOW))
    x0, y0, x1, y1 = packed.box
    x, y = mercator(lat, lon)
    metres_a_unit = 40_075_017 * np.cos(np.radians(lat))
    assert abs(x0 + columns["x"][0] / 65535 * (x1 - x0) - x) * metres_a_unit < 1
    assert abs(y0 + columns["y"][0] / 65535 * (y1 - y0) - y) * metres_a_unit < 1


def test_a_position_far_outside_is_held_at_the_box_and_never_wraps_round() -> None:
    packed = table()
    packed.update(vehicle(position("a", lat=60.1, lon=24.9)))
    columns = unpack(packed.pack(NOW))
    assert (columns["x"][0], columns["y"][0]) == (0, 0)


def test_each_side_of_a_vehicle_has_its_column() -> None:
    packed = table()
    one = vehicle(
        position("a", bearing_deg=90.0, speed_mps=10.0, mode="trolleybus", route="67"),
        PassengerCount(vehicle_id="a", measured_ms=NOW, received_ms=NOW, onboard=60, capacity=50),
        FuelReading(vehicle_id="a", measured_ms=NOW, received_ms=NOW, level_l=50, capacity_l=200),
    )
    packed.update(one)
    columns = unpack(packed.pack(NOW + 7_400))
    assert (columns["load_age"][0], columns["fuel_age"][0]) == (7, 7)
    assert columns["bearing"][0] == 64
    assert columns["speed"][0] == 36
    assert columns["load"][0] == 120
    assert columns["fuel"][0] == 25
    assert columns["age"][0] == 7
    assert columns["flags"][0] == TROLLEYBUS | HAS_BEARING
    assert packed.roster()["routes"] == ["67"]


def test_what_is_not_known_is_marked_unknown_and_not_zero() -> None:
    packed = table()
    packed.update(vehicle(position("a")))
    columns = unpack(packed.pack(NOW))
    assert [columns[name][0] for name in ("load", "speed", "fuel")] == [UNKNOWN] * 3
    assert not columns["flags"][0] & HAS_BEARING


def test_a_negative_load_is_shown_as_empty_not_as_unknown() -> None:
    packed = table()
    packed.update(vehicle(position("a"), PassengerCount(vehicle_id="a", measured_ms=NOW, received_ms=NOW, onboard=-3)))
    assert unpack(packed.pack(NOW))["load"][0] == 0


@pytest.mark.parametrize(("age_ms", "stale"), [(29_000, False), (30_000, False), (30_001, True), (600_000, True)])
def test_a_vehicle_is_stale_from_the_configured_age(age_ms: int, stale: bool) -> None:
    packed = table()
    packed.update(vehicle(position("a", measured_ms=NOW - age_ms)))
    assert bool(unpack(packed.pack(NOW))["flags"][0] & STALE) is stale


def test_an_old_age_is_told_whole_and_one_beyond_the_column_as_the_most_it_can_say() -> None:
    packed = table()
    packed.update(vehicle(position("a")))
    assert unpack(packed.pack(NOW + 1_200_000))["age"][0] == 1200
    assert unpack(packed.pack(NOW + 86_000_000))["age"][0] == 65535


def test_a_count_of_long_ago_says_nothing_of_the_load_now() -> None:
    packed = table()
    count = PassengerCount(vehicle_id="a", measured_ms=NOW - 1_790_000, received_ms=NOW, onboard=40, capacity=80)
    packed.update(vehicle(position("a"), count))
    assert unpack(packed.pack(NOW))["load"][0] == 50
    assert unpack(packed.pack(NOW + 11_000))["load"][0] == UNKNOWN


def test_the_roster_changes_only_when_somebody_comes_or_changes_route() -> None:
    packed = table()
    packed.update(vehicle(position("a", route="1")))
    first = packed.revision
    packed.update(vehicle(position("a", route="1", lat=41.31)))
    assert packed.revision == first
    packed.update(vehicle(position("b")))
    assert packed.revision > first
    second = packed.revision
    packed.update(vehicle(position("a", route="2")))
    assert packed.revision > second
    assert packed.roster()["ids"] == ["a", "b"]
    assert packed.roster()["routes"] == ["2", None]


def test_a_later_status_without_position_refreshes_speed_but_not_place() -> None:
    packed = table()
    status = VehicleStatus(vehicle_id="a", measured_ms=NOW + 5000, received_ms=NOW, speed_mps=5.0)
    packed.update(vehicle(position("a", speed_mps=10.0), status))
    columns = unpack(packed.pack(NOW + 5000))
    assert columns["speed"][0] == 18
    assert columns["age"][0] == 5


def test_a_vehicle_without_any_position_is_not_on_the_map() -> None:
    packed = table()
    packed.update(vehicle(VehicleStatus(vehicle_id="a", measured_ms=NOW, received_ms=NOW, speed_mps=5.0)))
    assert len(packed) == 0


def test_vehicles_not_heard_of_for_a_day_leave_when_the_table_is_rebuilt() -> None:
    packed = table()
    old, new = vehicle(position("old", measured_ms=NOW - 86_400_001)), vehicle(position("new"))
    packed.update(old)
    packed.update(new)
    assert packed.has_gone(NOW)
    packed.rebuild([old, new], NOW)
    assert packed.roster()["ids"] == ["new"]
    assert not packed.has_gone(NOW)


def test_the_table_grows_past_its_first_size_without_losing_anyone() -> None:
    packed = table()
    for number in range(1000):
        packed.update(vehicle(position(f"v{number}", speed_mps=number % 50)))
    columns = unpack(packed.pack(NOW))
    assert len(columns["speed"]) == 1000
    assert columns["speed"][49] == round(49 * 3.6)


def test_cameras_without_a_status_have_no_row() -> None:
    status = CameraStatus(
        camera_id="k1", measured_ms=NOW, received_ms=NOW, online=False, name="Chorsu", lat=41.3, lon=69.2
    )
    frame = cameras_frame({"k2": Camera("k2"), "k1": Camera("k1", status)}, NOW, 3600)
    assert frame["ids"] == ["k1"]
    assert frame["states"] == ["offline"]


def test_a_camera_nobody_hears_of_is_unknown_and_not_online() -> None:
    status = CameraStatus(camera_id="k1", measured_ms=NOW - 3_600_001, received_ms=NOW, online=True)
    assert cameras_frame({"k1": Camera("k1", status)}, NOW, 3600)["states"] == ["unknown"]


def test_alarms_come_the_most_urgent_first_and_then_the_newest() -> None:
    def alarm(number: int, priority: AlarmPriority, raised_ms: int) -> Alarm:
        return Alarm(
            id=str(number), rule="overload", priority=priority, source_kind="vehicle", source_id="a",
            raised_ms=raised_ms, updated_ms=raised_ms,
        )  # fmt: skip

    frame = alarms_frame(
        [alarm(1, AlarmPriority.LOW, 9), alarm(2, AlarmPriority.CRITICAL, 1), alarm(3, AlarmPriority.LOW, 10)], NOW
    )
    assert [a["id"] for a in frame["alarms"]] == ["2", "3", "1"]
    assert frame["total"] == 3


def incident(name: str, **more: Any) -> Incident:
    return Incident(id=name, opened_ms=NOW, updated_ms=NOW, last_ms=NOW, rule="network", **more)


def inside(name: str, of: str | None, state: AlarmState = AlarmState.UNACKNOWLEDGED) -> Alarm:
    return Alarm(
        id=name, rule="overload", priority=AlarmPriority.MEDIUM, source_kind="vehicle", source_id=name, state=state,
        active=True, incident=of, lat=41.3, lon=69.2, raised_ms=NOW,
    )  # fmt: skip


def test_a_thousand_alarms_of_an_incident_are_one_row_with_their_numbers() -> None:
    known = {one.id: one for one in (incident("a", alarms=1000, first_alarm="0"),)}
    alarms = [
        inside(str(n), "a", AlarmState.ACKNOWLEDGED if n < 10 else AlarmState.UNACKNOWLEDGED) for n in range(1000)
    ]
    alone = inside("alone", None)
    folded = incidents_frame(known, {a.id: a for a in [*alarms, alone]}, [*alarms, alone])
    (row,) = folded["incidents"]
    assert (row["joined"], row["standing"], row["announced"], row["unseen"]) == (1000, 1000, 1000, 990)
    assert row["first"]["id"] == "0"
    assert len(folded["points"]) == POINTS_SHOWN
    frame = alarms_frame([*alarms, alone], NOW, known)
    assert (frame["total"], frame["loose"], [a["id"] for a in frame["alarms"]]) == (1001, 1, ["alone"])


def test_alarms_stand_alone_again_when_their_incident_is_closed() -> None:
    closed = incident("a", status=IncidentStatus.CLOSED, closed_ms=NOW)
    alarm = inside("1", "a")
    assert incidents_frame({"a": closed}, {"1": alarm}, [alarm])["incidents"] == []
    assert [a["id"] for a in alarms_frame([alarm], NOW, {"a": closed})["alarms"]] == ["1"]


def test_the_most_urgent_incident_comes_first_and_no_more_than_can_be_read() -> None:
    known = {f"{n:03}": incident(f"{n:03}", priority=AlarmPriority.LOW) for n in range(INCIDENTS_SHOWN + 5)}
    known["x"] = incident("x", priority=AlarmPriority.CRITICAL)
    folded = incidents_frame(known, {}, [])
    assert folded["incidents"][0]["id"] == "x"
    assert (len(folded["incidents"]), folded["incidents_total"]) == (INCIDENTS_SHOWN, INCIDENTS_SHOWN + 6)
