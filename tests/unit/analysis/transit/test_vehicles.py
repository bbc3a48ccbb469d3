"""Use and fuel of planted vehicles."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.transit.fuel import FuelUse, Readings, outliers, readings_of, robust_z, shifts, together
from analysis.transit.vehicles import Track, tracks_of, use_of
from tests.unit.analysis.transit.planted import DAY_MS, place, table

SPEED_MPS = 8.0


def drive(
    vehicle: str, spans: list[tuple[float, float, str | None]], *, odometer: bool = True
) -> list[dict[str, object]]:
    """Positions every 10 s: drives east in the spans (begin, end, route), stands between them."""
    found: list[dict[str, object]] = []
    way_m = 0.0
    for second in range(0, int(spans[-1][1]) + 600, 10):
        inside = next((span for span in spans if span[0] <= second < span[1]), None)
        lat, lon = place(way_m, 0.0)
        found.append(
            {
                "vehicle_id": vehicle, "measured_ms": DAY_MS + second * 1000, "lat": lat, "lon": lon,
                "speed_mps": SPEED_MPS if inside else 0.0, "route": inside[2] if inside else None,
                "odometer_m": 5_000_000 + way_m if odometer else None,
            }
        )  # fmt: skip
        way_m += 10 * SPEED_MPS if inside else 0.0
    return found


def track(rows: list[dict[str, object]]) -> Track:
    (found,) = tracks_of(table(rows))
    return found


def test_hours_and_kilometres_are_those_driven() -> None:
    rows = drive("b", [(0, 3600, "7"), (7200, 9000, "7")])
    found = use_of(track(rows), {"b": 4})
    assert found.service_h == pytest.approx(1.5, abs=0.01)
    assert found.moving_h == pytest.approx(1.5, abs=0.01)
    assert found.heard_h == pytest.approx(9590 / 3600)
    km = 5400 * SPEED_MPS / 1000
    assert found.odometer_km == pytest.approx(km, rel=0.01)
    assert found.gps_km == pytest.approx(km, rel=0.01)
    assert found.trips == 4


def test_driving_without_a_route_is_not_moving_in_service() -> None:
    """To the route and back to the depot: no more can have moved than was in service."""
    found = use_of(track(drive("b", [(0, 3600, None), (3600, 7200, "7")])))
    assert found.service_h == pytest.approx(1.0, abs=0.01)
    assert found.moving_h == pytest.approx(1.0, abs=0.01)


def test_a_reset_odometer_and_silence_are_left_out() -> None:
    rows = drive("b", [(0, 3600, "7")])
    for row in rows[250:]:
        row["odometer_m"] = float(str(row["odometer_m"])) - 4_900_000
    quiet = [row for row in rows if not 1000 <= (int(str(row["measured_ms"])) - DAY_MS) / 1000 < 1900]
    found = use_of(track(quiet))
    assert found.heard_h == pytest.approx((4190 - 910) / 3600, abs=0.01)
    assert found.odometer_km == pytest.approx(3600 * SPEED_MPS / 1000, rel=0.02)


def test_without_an_odometer_there_is_none_and_jitter_of_standing_adds_nothing() -> None:
    chance = random.Random(2)
    rows = drive("b", [(0, 10, "7")], odometer=False)
    for row in rows:
        lat, lon = place(chance.gauss(0, 2), chance.gauss(0, 2))
        row["lat"], row["lon"] = lat, lon
    found = use_of(track(rows))
    assert found.odometer_km is None
    assert found.gps_km < 0.05


def fuel_rows(
    rows: list[dict[str, object]],
    per_100km: float,
    *,
    counter: bool,
    noise_l: float = 0.0,
    refuel: tuple[int, float] | None = None,
    drain: tuple[int, float] | None = None,
) -> list[dict[str, object]]:
    """A reading a minute: litres that follow the odometer, with a refuel and a theft at seconds."""
    chance, found = random.Random(3), []
    for row in rows[::6]:
        second = (int(str(row["measured_ms"])) - DAY_MS) / 1000
        km = (float(str(row["odometer_m"])) - 5_000_000) / 1000
        used = km * per_100km / 100
        level = (
            150
            - used
            + (refuel[1] if refuel and second >= refuel[0] else 0)
            - (drain[1] if drain and second >= drain[0] else 0)
        )
        found.append(
            {
                "vehicle_id": row["vehicle_id"], "measured_ms": row["measured_ms"],
                "level_l": level + chance.gauss(0, noise_l), "used_l": 1000 + used if counter else None,
            }
        )  # fmt: skip
    return found


def readings(rows: list[dict[str, object]]) -> Readings:
    (found,) = readings_of(table(rows))
    return found


def test_the_counter_gives_the_use_of_each_shift() -> None:
    """Two shifts, three hours of rest between them."""
    rows = drive("b", [(0, 7200, "7"), (18_000, 25_200, "11")])
    found = shifts(track(rows), readings(fuel_rows(rows, 38, counter=True)))
    assert [(one.route, one.source) for one in found] == [("7", "counter"), ("11", "counter")]
    for one in found:
        assert one.km == pytest.approx(7200 * SPEED_MPS / 1000, rel=0.01)
        assert one.per_100km == pytest.approx(38, rel=0.02)


def test_a_counter_that_stands_still_is_not_believed() -> None:
    rows = drive("b", [(0, 7200, "7")])
    stuck = [{**row, "used_l": 1000.0} for row in fuel_rows(rows, 38, counter=True)]
    (found,) = shifts(track(rows), readings(stuck))
    assert found.source == "level"
    assert found.per_100km == pytest.approx(38, rel=0.05)
    assert shifts(track(rows), readings([{**row, "level_l": None} for row in stuck])) == []


@pytest.mark.parametrize("spoilt", ["stuck", "late", "kilometres"])
def test_an_odometer_that_cannot_be_gives_way_to_the_satellites(spoilt: str) -> None:
    rows = drive("b", [(0, 7200, "7")])
    fuel = readings(fuel_rows(rows, 38, counter=True))
    for at, row in enumerate(rows):
        way_m = float(str(row["odometer_m"]))
        said = {"stuck": 5_000_000.0, "late": way_m if at > 600 else None, "kilometres": way_m / 1000}
        row["odometer_m"] = said[spoilt]
    (found,) = shifts(track(rows), fuel)
    assert found.way == "satellite"
    assert found.km == pytest.approx(7200 * SPEED_MPS / 1000, rel=0.02)


def test_litres_of_a_long_silence_are_counted() -> None:
    """A counter that speaks twice in two hours: 45 l in one step."""
    rows = drive("b", [(0, 14_400, "7")])
    given_l = fuel_rows(rows, 38, counter=True)
    (found,) = shifts(track(rows), readings([given_l[0], given_l[-8]]))
    assert found.litres == pytest.approx(0.38 * 14_400 * SPEED_MPS / 1000, rel=0.02)
    assert found.way == "odometer"


def test_a_short_rest_is_within_the_shift() -> None:
    rows = drive("b", [(0, 7200, "7"), (9000, 12_600, "7")])
    assert len(shifts(track(rows), readings(fuel_rows(rows, 38, counter=True)))) == 1


@pytest.mark.parametrize("noise_l", [0.0, 0.8])
def test_the_gauge_gives_it_too_with_refuels_and_thefts_taken_out(noise_l: float) -> None:
    rows = drive("b", [(0, 10_800, "7"), (14_400, 25_200, "7")])
    given_l = fuel_rows(rows, 38, counter=False, noise_l=noise_l, refuel=(12_000, 60.0), drain=(13_500, 25.0))
    (found,) = shifts(track(rows), readings(given_l))
    assert found.source == "level"
    assert found.refuelled_l == pytest.approx(60, abs=2.5)
    assert found.drained_l == pytest.approx(25, abs=2.5)
    assert found.per_100km == pytest.approx(38, rel=0.05)


def use(name: str, value: float, route: str = "7") -> FuelUse:
    return FuelUse(vehicle_id=name, route=route, first_ms=0, last_ms=1, km=100, litres=value, per_100km=value)


def test_uses_add_up_by_litres_and_kilometres() -> None:
    uses = [use("a", 30), FuelUse(vehicle_id="a", route="7", first_ms=2, last_ms=9, km=300, litres=150, per_100km=50)]
    found = together(uses, lambda one: one.vehicle_id)["a"]
    assert (found.km, found.litres, found.per_100km, found.shifts) == (400, 180, 45, 2)
    assert (found.first_ms, found.last_ms, found.route) == (0, 9, "7")


def test_who_stands_out_is_told_with_the_evidence() -> None:
    values = [36, 37, 38, 38.5, 39, 37.5, 36.5, 38, 61]
    uses = [use(f"b{at}", value) for at, value in enumerate(values)]
    (found,) = outliers(uses, lambda one: one.route)
    middle = sorted(values)[4]
    spread = sorted(abs(one - middle) for one in values)[4]
    assert found.use.vehicle_id == "b8"
    assert (found.median, found.mad, found.count) == (middle, spread, 9)
    assert found.z == pytest.approx(0.6745 * (61 - middle) / spread)


def test_a_handful_is_no_group() -> None:
    assert outliers([use("a", 30), use("b", 90)], lambda one: one.route) == []


@given(st.lists(st.floats(20, 60), min_size=3, max_size=40), st.floats(0.1, 10), st.floats(-50, 50))
def test_scores_do_not_depend_on_unit_or_origin(values: list[float], factor: float, shift: float) -> None:
    first, second = robust_z(np.array(values)), robust_z(np.array(values) * factor + shift)
    if first[1] > 1e-3:
        assert np.allclose(first[2], second[2], rtol=1e-3, atol=1e-3)


def test_many_equal_values_still_show_the_one_that_differs() -> None:
    _, mad, scores = robust_z(np.array([30.0] * 20 + [45.0]))
    assert mad == 0
    assert scores[-1] > 3.5
    assert (scores[:-1] == 0).all()
