"""The tiles: eight numbers of the city now. What is not known is None, never 0."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from analysis.feed_rates import FeedRates
from analysis.fuel_meter import FuelMeter
from analysis.picture import Camera, Picture, Vehicle
from city.alarms import Alarm, AlarmPriority
from city.config import Config

KPI_UNITS: dict[str, str] = {  # in the tiles' order
    "vehicles_in_service": "vehicles",
    "passengers_on_board": "passengers",
    "mean_load": "ratio",
    "mean_speed_kmh": "km/h",
    "fuel_l_per_100km": "l/100 km",
    "cameras_online": "cameras",
    "open_alarms": "alarms",
    "messages_per_s": "1/s",
}
MPS_TO_KMH = 3.6


class KpiSettings(Struct, frozen=True, kw_only=True):
    """What the numbers depend on beside the data."""

    vehicle_stale_after_s: float
    camera_stale_after_s: float
    capacity_default: int
    count_stale_after_s: float = 1800.0

    @classmethod
    def of(cls, config: Config) -> KpiSettings:
        return cls(
            vehicle_stale_after_s=config.live.vehicle_stale_after_s,
            camera_stale_after_s=config.live.camera_stale_after_s,
            capacity_default=config.kpis.capacity_default,
            count_stale_after_s=config.kpis.count_stale_after_s,
        )


class Kpi(Struct, frozen=True, kw_only=True):
    """One tile's number."""

    name: str
    value: float | None
    unit: str
    measured_ms: int | None = None  # newest measurement in it, for its age; None without one
    of: int | None = None  # out of so many, where that says something
    by: dict[str, float] = {}  # its parts


def in_service(vehicle: Vehicle, now_ms: int, stale_after_s: float) -> bool:
    """Whether the vehicle told where it is within `stale_after_s`."""
    position = vehicle.position
    return position is not None and now_ms - position.measured_ms <= stale_after_s * 1000


def camera_state(camera: Camera, now_ms: int, stale_after_s: float) -> str:
    """`online`, `offline` or `unknown` (nothing heard for `stale_after_s`).

    A status holds until the camera contradicts it: an event after `offline` shows that it is back.
    A status of offline does not age, it is the last word of the camera's will.
    """
    status, event_ms = camera.status, camera.event_ms
    if status is None:
        heard_ms = event_ms
    elif status.online or event_ms > status.measured_ms:
        heard_ms = max(event_ms, status.measured_ms)
    else:
        return "offline"
    return "online" if now_ms - heard_ms <= stale_after_s * 1000 else "unknown"


def kpis(
    picture: Picture,
    meter: FuelMeter,
    open_alarms: Sequence[Alarm] | None,
    feeds: FeedRates,
    now_ms: int,
    settings: KpiSettings,
) -> list[Kpi]:
    """The numbers in the tiles' order; `open_alarms` None where they are not known."""
    return [
        *_of_vehicles(picture, now_ms, settings),
        _kpi("fuel_l_per_100km", meter.l_per_100km(now_ms), meter.measured_ms or None),
        _cameras_online(picture, now_ms, settings),
        _open_alarms(open_alarms, now_ms),
        _kpi("messages_per_s", feeds.per_s(), feeds.last_received_ms),
    ]


def _of_vehicles(picture: Picture, now_ms: int, settings: KpiSettings) -> list[Kpi]:
    oldest_ms = now_ms - settings.vehicle_stale_after_s * 1000
    oldest_count_ms = now_ms - settings.count_stale_after_s * 1000
    known = serving = counted = onboard_sum = speeds = 0
    load_sum = places_sum = speed_sum = 0.0
    newest_ms = count_ms = load_ms = speed_ms = 0
    default = settings.capacity_default
    for vehicle in picture.vehicles.values():
        position = vehicle.position
        if position is None:
            continue
        known += 1
        at_ms = position.measured_ms
        newest_ms = max(newest_ms, at_ms)
        if at_ms < oldest_ms:
            continue
        serving += 1
        if position.speed_mps is not None:
            speeds += 1
            speed_sum += position.speed_mps
            speed_ms = max(speed_ms, at_ms)
        count = vehicle.passengers
        if count is not None and count.onboard is not None:
            if count.measured_ms < oldest_count_ms:
                continue
            counted += 1
            onboard = max(0, count.onboard)
            onboard_sum += onboard
            load_sum += onboard
            places_sum += count.capacity or default
            count_ms = max(count_ms, count.measured_ms)
        elif (load := vehicle.load(default)) is not None:
            places = vehicle.capacity(default)
            load_sum += load * places
            places_sum += places
            load_ms = max(load_ms, at_ms)
    return [
        # Without a single vehicle ever heard, none in service is not known, it is a city without a feed.
        _kpi("vehicles_in_service", serving if known else None, newest_ms or None, of=known or None),
        _kpi("passengers_on_board", onboard_sum if counted else None, count_ms or None, of=counted or None),
        _kpi("mean_load", load_sum / places_sum if places_sum else None, max(count_ms, load_ms) or None),
        _kpi("mean_speed_kmh", speed_sum / speeds * MPS_TO_KMH if speeds else None, speed_ms or None),
    ]


def _cameras_online(picture: Picture, now_ms: int, settings: KpiSettings) -> Kpi:
    cameras = picture.cameras
    if not cameras:
        return _kpi("cameras_online", None, None)
    states = Counter(camera_state(camera, now_ms, settings.camera_stale_after_s) for camera in cameras.values())
    status_ms = max((camera.status.measured_ms for camera in cameras.values() if camera.status), default=0)
    newest_ms = max(status_ms, *(camera.event_ms for camera in cameras.values()))
    by = {state: float(states[state]) for state in ("online", "offline", "unknown")}
    return _kpi("cameras_online", states["online"], newest_ms or None, of=len(cameras), by=by)


def _open_alarms(open_alarms: Sequence[Alarm] | None, now_ms: int) -> Kpi:
    if open_alarms is None:
        return _kpi("open_alarms", None, None)
    standing = [alarm for alarm in open_alarms if alarm.announced]
    found = Counter(alarm.priority for alarm in standing)
    by = {priority.value: float(found[priority]) for priority in AlarmPriority if priority is not AlarmPriority.JOURNAL}
    # The number is of now even where no alarm changed for hours.
    return _kpi("open_alarms", len(standing), now_ms, by=by)


def _kpi(
    name: str,
    value: float | None,
    measured_ms: int | None,
    *,
    of: int | None = None,
    by: dict[str, float] | None = None,
) -> Kpi:
    return Kpi(name=name, value=value, unit=KPI_UNITS[name], measured_ms=measured_ms, of=of, by=by or {})
