"""What the map colours: numbers by district and by mahalla."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from analysis.kpis import MPS_TO_KMH, KpiSettings
from analysis.picture import Picture
from city.alarms import Alarm

STANDING_MPS = 0.5


class AreaIndicators(Struct, frozen=True, kw_only=True):
    """One area now. None is unknown; an area that nothing is known of is not in the answer."""

    vehicles: int = 0  # in service
    load: float | None = None  # passengers over places, 1.0 is full
    speed_kmh: float | None = None  # mean of the moving ones: a terminal full of waiting buses is no jam
    moving: int = 0  # vehicles in that mean
    alarms: int = 0  # open
    onboard: int | None = None  # passengers in vehicles that count them


class _Sums:
    """One area's running sums."""

    __slots__ = ("alarms", "counted", "load", "onboard", "places", "speed", "speeds", "vehicles")

    def __init__(self) -> None:
        self.vehicles = self.counted = self.onboard = self.speeds = self.alarms = 0
        self.load = self.places = self.speed = 0.0


def indicators(
    picture: Picture, open_alarms: Iterable[Alarm], now_ms: int, settings: KpiSettings
) -> dict[str, AreaIndicators]:
    """Indicators by district and mahalla code, of areas with a vehicle in service or an open alarm."""
    oldest_ms = now_ms - settings.vehicle_stale_after_s * 1000
    oldest_count_ms = now_ms - settings.count_stale_after_s * 1000
    default = settings.capacity_default
    areas: dict[str, _Sums] = {}
    for vehicle in picture.vehicles.values():
        position = vehicle.position
        if position is None or position.measured_ms < oldest_ms:
            continue
        count = vehicle.passengers
        onboard: int | None = None
        load = places = 0.0
        if count is not None and count.onboard is not None and count.measured_ms >= oldest_count_ms:
            onboard = max(0, count.onboard)
            load, places = onboard, count.capacity or default
        elif (count is None or count.onboard is None) and (share := vehicle.load(default)) is not None:
            places = vehicle.capacity(default)
            load = share * places
        for code in (position.district, position.mahalla):
            if code is None:
                continue
            area = areas.get(code)
            if area is None:
                area = areas[code] = _Sums()
            area.vehicles += 1
            area.load += load
            area.places += places
            if onboard is not None:
                area.counted += 1
                area.onboard += onboard
            if position.speed_mps is not None and position.speed_mps > STANDING_MPS:
                area.speeds += 1
                area.speed += position.speed_mps
    for alarm in open_alarms:
        if alarm.announced and alarm.active:
            for code in (alarm.district, alarm.mahalla):
                if code is not None:
                    areas.setdefault(code, _Sums()).alarms += 1
    return {
        code: AreaIndicators(
            vehicles=area.vehicles,
            load=area.load / area.places if area.places else None,
            speed_kmh=area.speed / area.speeds * MPS_TO_KMH if area.speeds else None,
            moving=area.speeds,
            alarms=area.alarms,
            onboard=area.onboard if area.counted else None,
        )
        for code, area in areas.items()
    }
