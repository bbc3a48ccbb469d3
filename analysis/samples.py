"""What is kept of the city minute by minute, and how it is written.

Three series: `kpis` (an object by name), `areas` (by code) and `vehicles` (by id, those in service);
the latter two hold arrays, because there is one for every area and vehicle.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from analysis.indicators import AreaIndicators
from analysis.kpis import MPS_TO_KMH, Kpi, KpiSettings, in_service
from analysis.picture import Picture

KPIS = "kpis"
AREAS = "areas"
VEHICLES = "vehicles"
AREAS_EVERY_S = 60
VEHICLES_EVERY_S = 60

KpiSample = dict[str, float | None]  # by the KPI's name


class AreaSample(Struct, frozen=True, kw_only=True, array_like=True):
    """One area at a time: `[vehicles, load, speed_kmh, alarms, onboard]`."""

    vehicles: int
    load: float | None
    speed_kmh: float | None
    alarms: int
    onboard: int | None


class VehicleSample(Struct, frozen=True, kw_only=True, array_like=True):
    """One vehicle at a time: `[lat, lon, speed_kmh, load, fuel_pct, onboard]`."""

    lat: float
    lon: float
    speed_kmh: float | None
    load: float | None
    fuel_pct: float | None
    onboard: int | None


_encode = msgspec.json.Encoder().encode
_kpis = msgspec.json.Decoder(KpiSample)
_areas = msgspec.json.Decoder(dict[str, AreaSample])
_vehicles = msgspec.json.Decoder(dict[str, VehicleSample])
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])
_area = msgspec.json.Decoder(AreaSample)
_vehicle = msgspec.json.Decoder(VehicleSample)


def kpi_sample(kpis: list[Kpi]) -> bytes:
    """The numbers of the tiles at a time."""
    return _encode({kpi.name: _rounded(kpi.value, 4) for kpi in kpis})


def area_sample(areas: dict[str, AreaIndicators]) -> bytes:
    """The indicators of all areas at a time."""
    return _encode(
        {
            code: AreaSample(
                vehicles=area.vehicles,
                load=_rounded(area.load, 3),
                speed_kmh=_rounded(area.speed_kmh, 1),
                alarms=area.alarms,
                onboard=area.onboard,
            )
            for code, area in areas.items()
        }
    )


def vehicle_sample(picture: Picture, now_ms: int, settings: KpiSettings) -> bytes:
    """Every vehicle in service at a time."""
    sample: dict[str, VehicleSample] = {}
    for vehicle in picture.vehicles.values():
        position = vehicle.position
        if position is None or not in_service(vehicle, now_ms, settings.vehicle_stale_after_s):
            continue
        speed_mps = position.speed_mps
        sample[vehicle.vehicle_id] = VehicleSample(
            lat=round(position.lat, 5),
            lon=round(position.lon, 5),
            speed_kmh=None if speed_mps is None else round(speed_mps * MPS_TO_KMH, 1),
            load=_rounded(vehicle.load(settings.capacity_default), 3),
            fuel_pct=_rounded(vehicle.fuel_pct, 1),
            onboard=vehicle.onboard,
        )
    return _encode(sample)


def read_kpi_sample(sample: bytes) -> KpiSample:
    """Raises msgspec.DecodeError on anything else, as the two below."""
    return _kpis.decode(sample)


def read_area_sample(sample: bytes) -> dict[str, AreaSample]:
    return _areas.decode(sample)


def read_vehicle_sample(sample: bytes) -> dict[str, VehicleSample]:
    return _vehicles.decode(sample)


def area_in(sample: bytes, code: str) -> AreaSample | None:
    """One area of a sample, without reading the others; None if it is not in it."""
    found = _raw.decode(sample).get(code)
    return None if found is None else _area.decode(found)


def vehicle_in(sample: bytes, vehicle_id: str) -> VehicleSample | None:
    """One vehicle of a sample, without reading the others; None if it was not in service."""
    found = _raw.decode(sample).get(vehicle_id)
    return None if found is None else _vehicle.decode(found)


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
