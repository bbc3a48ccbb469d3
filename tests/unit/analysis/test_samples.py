"""What is written is what is read."""

import msgspec
import pytest

from analysis.indicators import AreaIndicators
from analysis.kpis import Kpi, KpiSettings
from analysis.picture import Picture
from analysis.samples import (
    AreaSample,
    VehicleSample,
    area_sample,
    kpi_sample,
    read_area_sample,
    read_kpi_sample,
    read_vehicle_sample,
    vehicle_sample,
)
from city.events import FuelReading, PassengerCount, VehiclePosition

SETTINGS = KpiSettings(vehicle_stale_after_s=30, camera_stale_after_s=3600, capacity_default=80)


def test_kpis_keep_the_unknown() -> None:
    sample = kpi_sample([Kpi(name="mean_load", value=0.51236, unit="ratio"), Kpi(name="x", value=None, unit="")])
    assert sample == b'{"mean_load":0.5124,"x":null}'
    assert read_kpi_sample(sample) == {"mean_load": 0.5124, "x": None}


def test_areas_are_arrays() -> None:
    sample = area_sample({"1726269040": AreaIndicators(vehicles=2, load=0.5, alarms=1, onboard=80)})
    assert sample == b'{"1726269040":[2,0.5,null,1,80]}'
    assert read_area_sample(sample) == {
        "1726269040": AreaSample(vehicles=2, load=0.5, speed_kmh=None, alarms=1, onboard=80)
    }


def test_vehicles_are_those_in_service() -> None:
    picture = Picture()
    for name, at_ms in (("a", 100_000), ("old", 60_000)):
        at = {"vehicle_id": name, "measured_ms": at_ms, "received_ms": at_ms}
        picture.apply(VehiclePosition(**at, lat=41.3000049, lon=69.2, speed_mps=5.0))
        picture.apply(PassengerCount(**at, onboard=20))
        picture.apply(FuelReading(**at, level_pct=33.33))
    sample = vehicle_sample(picture, 100_500, SETTINGS)
    assert sample == b'{"a":[41.3,69.2,18.0,0.25,33.3,20]}'
    assert read_vehicle_sample(sample) == {
        "a": VehicleSample(lat=41.3, lon=69.2, speed_kmh=18.0, load=0.25, fuel_pct=33.3, onboard=20)
    }


def test_other_bytes_are_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        read_area_sample(b'{"a":[1]}')
