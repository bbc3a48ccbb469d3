"""Several sensors of one network at once as timelines."""

from __future__ import annotations

from typing import Any

import pytest
from timelines import S, Timeline, changes, play
from timelines import reading as read

from analysis.detectors.finding import Change, Finding
from analysis.detectors.network_failure import DETECTORS
from city.rules.sensors import NetworkFailure, NetworkFailureLocal

DISTRICT, MAHALLA = DETECTORS
RULE = NetworkFailure(sensors_min=3, sensors_clear=1, share_min=0, window_s=900, forget_after_s=86_400)


def found(at_s: int, sensor: str, change: Change = Change.RAISE, rule: str = "sensor_missing", **more: Any) -> Finding:
    given = {"district": "1726262", "mahalla": "1726262001", "network": "gas", "quantity": "pressure"} | more
    network, quantity = given.pop("network"), given.pop("quantity")
    values = {"quantity": quantity, **({"network": network} if network else {})} | given.pop("values", {})
    return Finding(
        rule=rule, change=change, source_kind="sensor", source_id=sensor, key=f"{sensor}|{quantity}",
        raised_ms=at_s * S, at_ms=at_s * S, values=values, **given,
    )  # fmt: skip


def back(at_s: int, sensor: str, **more: Any) -> Finding:
    return found(at_s, sensor, Change.CLEAR, **more)


THREE = [found(10, "a"), found(20, "b", rule="sensor_threshold"), found(30, "c")]


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (THREE, [("raise", 30)]),
        (THREE[:2], []),
        ([found(10, "a"), found(20, "b"), found(1000, "c")], []),  # not at the same time
        ([found(10, "a"), back(15, "a"), found(20, "b"), found(30, "c")], []),
        ([*THREE, back(40, "a"), back(50, "b", rule="sensor_threshold")], [("raise", 30), ("clear", 50)]),
        ([*THREE, back(40, "a"), found(45, "d"), back(50, "c")], [("raise", 30)]),  # two still are: hysteresis
        ([found(10, "a"), found(20, "a", quantity="flow"), found(30, "b")], []),  # two sensors, not three
        ([found(10, "a"), found(20, "b"), found(30, "c", network="heat")], []),
        ([found(10, "a"), found(20, "b"), found(30, "c", district="1726266")], []),
        ([found(10, "a", network=None), found(20, "b", district=None), found(30, "c", rule="overload")], []),
        ([*THREE, 86_409, 86_420, 86_430], [("raise", 30), ("clear", 86_420)]),  # forgotten
        ([*THREE, back(5, "a"), back(6, "c")], [("raise", 30)]),  # ends from before
    ],
)
def test_sensors_that_fail_together_are_one_alarm(moments: list[object], expected: list[tuple[str, float]]) -> None:
    alarms = play(DISTRICT, RULE, moments)
    assert changes(one for one in alarms if one.change is not Change.UPDATE) == expected


def test_the_alarm_names_network_area_and_numbers() -> None:
    (alarm,) = play(DISTRICT, RULE, THREE)
    assert (alarm.rule, alarm.key, alarm.source_kind, alarm.source_id) == (
        "network_failure", "gas|1726262", "area", "1726262"
    )  # fmt: skip
    assert (alarm.district, alarm.mahalla) == ("1726262", None)
    assert alarm.values == {"network": "gas", "sensors": 3, "of": 1}  # nobody told of other sensors
    (alarm,) = play(MAHALLA, NetworkFailureLocal(share_min=0), THREE)
    assert (alarm.rule, alarm.key, alarm.district, alarm.mahalla) == (
        "network_failure_local", "gas|1726262001", "1726262", "1726262001"
    )  # fmt: skip


def test_three_of_a_hundred_sensors_are_no_failure_of_the_network() -> None:
    line = Timeline(DISTRICT, RULE.model_copy(update={"share_min": 0.2}))
    for number in range(10):
        line.city.picture.apply(read(1, 4, sensor=f"s{number}", network="gas"))
    line.city.picture.apply(read(1, 4, sensor="other", network="gas", district="1726266"))
    for at, one in enumerate("ab"):
        line.see(found(10 + at, one))
    assert line.see(found(20, "c"))[0].values == {"network": "gas", "sensors": 3, "of": 10}
    line = Timeline(DISTRICT, RULE.model_copy(update={"share_min": 0.2}))
    for number in range(100):
        line.city.picture.apply(read(1, 4, sensor=f"s{number}", network="gas"))
    for at in range(19):
        assert line.see(found(10 + at, f"s{at}")) == []
    assert [one.change for one in line.see(found(40, "s19"))] == ["raise"]


def test_a_sensor_of_a_wrong_unit_is_no_failure_of_the_network() -> None:
    units = [found(at, name, rule="sensor_threshold", values={"level": "unit"}) for at, name in enumerate("abc", 10)]
    assert play(DISTRICT, RULE, units) == []


def test_further_sensors_change_the_numbers_now_and_then() -> None:
    many = [found(40 + at, f"m{at}") for at in range(20)]
    alarms = play(DISTRICT, RULE, [*THREE, *many])
    assert [one.change for one in alarms] == ["raise", "update", "update", "update", "update"]
    assert alarms[-1].values["sensors"] == 19


def test_limits_that_would_chatter_are_refused() -> None:
    with pytest.raises(ValueError, match="sensors_clear must be below sensors_min"):
        NetworkFailure(sensors_min=3, sensors_clear=3)
