"""Fuel use of the fleet."""

import pytest

from analysis.fuel_meter import FuelMeter, decode_meter, encode_meter
from city.events import FuelReading, VehiclePosition

S = 1000
T0 = 1_000_000 * S


def position(at_s: float, odometer_m: float | None, *, lat: float = 41.3, vehicle: str = "bus") -> VehiclePosition:
    at_ms = T0 + int(at_s * S)
    return VehiclePosition(
        vehicle_id=vehicle, measured_ms=at_ms, received_ms=at_ms, lat=lat, lon=69.2, odometer_m=odometer_m
    )


def fuel(at_s: float, *, used_l: float | None = None, level_l: float | None = None) -> FuelReading:
    at_ms = T0 + int(at_s * S)
    return FuelReading(vehicle_id="bus", measured_ms=at_ms, received_ms=at_ms, used_l=used_l, level_l=level_l)


def drive(meter: FuelMeter, seconds: int, *, by_counter: bool = True, by_odometer: bool = True) -> None:
    """10 m/s at 40 l/100 km: 4 ml a second; a fuel reading every 30 s."""
    for at_s in range(seconds + 1):
        if at_s % 30 == 0:
            used_l = 500 + 0.004 * at_s
            meter.apply(fuel(at_s, used_l=used_l) if by_counter else fuel(at_s, level_l=600 - used_l))
        meter.apply(position(at_s, 70_000 + 10 * at_s if by_odometer else None, lat=41.3 + at_s * 10 / 111_195))


@pytest.mark.parametrize("by_counter", [True, False])
@pytest.mark.parametrize("by_odometer", [True, False])
def test_is_litres_over_metres_whatever_the_vehicle_gives(by_counter: bool, by_odometer: bool) -> None:
    meter = FuelMeter(900)
    drive(meter, 900, by_counter=by_counter, by_odometer=by_odometer)
    assert meter.l_per_100km(T0 + 900 * S) == pytest.approx(40, rel=0.05)


def test_is_unknown_before_a_kilometre_and_after_the_window() -> None:
    meter = FuelMeter(900)
    drive(meter, 90)
    assert meter.l_per_100km(T0 + 90 * S) is None
    drive(meter, 900)
    assert meter.l_per_100km(T0 + 2000 * S) is None


def test_thefts_refuels_and_reset_counters_are_not_burned() -> None:
    meter = FuelMeter(900)
    drive(meter, 600, by_counter=False)
    before = meter.sums(T0 + 600 * S)
    for at_s, level_l in ((630, 50), (660, 20), (690, 200)):
        meter.apply(position(at_s, 80_000 + at_s))
        meter.apply(fuel(at_s, level_l=level_l))
    assert meter.sums(T0 + 690 * S)[0] == pytest.approx(before[0])
    counter = FuelMeter(900)
    for at_s, used_l in ((1, 500.0), (31, 500.2), (61, 0.1), (91, 0.3)):
        counter.apply(position(at_s, 0))
        counter.apply(fuel(at_s, used_l=used_l))
    assert counter.sums(T0 + 91 * S)[0] == pytest.approx(0.4)


def test_vehicles_without_fuel_readings_do_not_thin_the_litres() -> None:
    meter = FuelMeter(900)
    drive(meter, 900)
    alone = meter.sums(T0 + 900 * S)
    for at_s in range(900):
        meter.apply(position(at_s, 10 * at_s, vehicle="tram"))
    assert meter.sums(T0 + 900 * S) == alone


def test_events_read_twice_count_once_and_a_restart_forgets_nothing() -> None:
    meter = FuelMeter(900)
    drive(meter, 600)
    again = decode_meter(encode_meter(meter), 900)
    drive(again, 600)
    assert again.sums(T0 + 600 * S) == pytest.approx(meter.sums(T0 + 600 * S))
