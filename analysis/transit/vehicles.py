"""How much vehicles are used: hours in service and moving, kilometres by odometer and by satellite, trips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from msgspec import Struct

from analysis.geometry import METRES_PER_DEGREE
from analysis.transit.columns import F64, I64, Words, integers, numbers, words

# Between two fixes farther apart nobody knows what the vehicle did.
SILENT_MS = 300_000
# Faster is no bus: an odometer that jumped, a fix that was reflected.
SPEED_MAX_MPS = 45.0
MOVES_MPS = 0.5
# From place to place in steps that are longer than the jitter of fixes.
STEP_MS, STEP_MIN_M = 20_000, 15.0


class Track(Struct, frozen=True, kw_only=True, eq=False):
    """One vehicle's positions in order of time."""

    vehicle_id: str
    measured_ms: I64
    lat: F64
    lon: F64
    speed_mps: F64
    odometer_m: F64  # NaN where unsaid
    route: Words


class VehicleUse(Struct, frozen=True, kw_only=True):
    """One vehicle over a span."""

    vehicle_id: str
    heard_h: float  # between fixes at most five minutes apart
    service_h: float  # of that, with a route
    moving_h: float  # of service_h
    odometer_km: float | None  # None: it tells none
    gps_km: float
    trips: int | None = None


def tracks_of(table: pa.Table) -> Iterator[Track]:
    """The positions of each vehicle."""
    vehicle = words(table, "vehicle_id")
    measured_ms = integers(table, "measured_ms")
    order = np.lexsort((measured_ms, vehicle.at))
    ends = np.searchsorted(vehicle.at[order], np.arange(len(vehicle.words) + 1))
    lat, lon, speed = numbers(table, "lat"), numbers(table, "lon"), numbers(table, "speed_mps")
    odometer, route = numbers(table, "odometer_m"), words(table, "route")
    for at, name in enumerate(vehicle.words):
        rows = order[ends[at] : ends[at + 1]]
        rows = rows[np.concatenate([[True], np.diff(measured_ms[rows]) > 0])[: len(rows)]]
        if len(rows):
            yield Track(
                vehicle_id=name, measured_ms=measured_ms[rows], lat=lat[rows], lon=lon[rows], speed_mps=speed[rows],
                odometer_m=odometer[rows], route=Words(route.words, route.at[rows]),
            )  # fmt: skip


def use_of(track: Track, trips: Mapping[str, int] | None = None) -> VehicleUse:
    """What a vehicle did."""
    step_ms = np.diff(track.measured_ms)
    heard = step_ms <= SILENT_MS
    service = heard & (track.route.at[:-1] >= 0)
    moving = service & moves(track)[1:]
    return VehicleUse(
        vehicle_id=track.vehicle_id,
        heard_h=float(step_ms[heard].sum()) / 3_600_000,
        service_h=float(step_ms[service].sum()) / 3_600_000,
        moving_h=float(step_ms[moving].sum()) / 3_600_000,
        odometer_km=odometer_km(track),
        gps_km=gps_km(track),
        trips=None if trips is None else trips.get(track.vehicle_id, 0),
    )


def together_used(days: Sequence[VehicleUse]) -> VehicleUse:
    """One vehicle's days added up; `trips` are of the whole span on each of them."""
    by_odometer = [one.odometer_km for one in days if one.odometer_km is not None]
    return VehicleUse(
        vehicle_id=days[0].vehicle_id,
        heard_h=sum(one.heard_h for one in days),
        service_h=sum(one.service_h for one in days),
        moving_h=sum(one.moving_h for one in days),
        odometer_km=sum(by_odometer) if by_odometer else None,
        gps_km=sum(one.gps_km for one in days),
        trips=days[0].trips,
    )


def moves(track: Track) -> np.ndarray:
    """Whether the vehicle moved up to each fix: by its own speed, else from place to place."""
    found = np.zeros(len(track.measured_ms), bool)
    step_s = np.maximum(np.diff(track.measured_ms) / 1000, 0.001)
    by_place = _steps_m(track.lat, track.lon) / step_s >= MOVES_MPS
    found[1:] = np.where(np.isfinite(track.speed_mps[1:]), track.speed_mps[1:] >= MOVES_MPS, by_place)
    return found


def odometer_km(track: Track) -> float | None:
    """Kilometres by odometer; a jump back or faster than any bus is a reset or another unit's, and left out."""
    said = np.isfinite(track.odometer_m)
    if not said.any():
        return None
    step_m = np.diff(track.odometer_m[said])
    step_s = np.diff(track.measured_ms[said]) / 1000
    good = (step_m > 0) & (step_m <= SPEED_MAX_MPS * step_s + STEP_MIN_M)
    return float(step_m[good].sum()) / 1000


def gps_km(track: Track) -> float:
    """Kilometres from place to place, in steps of 20 s: shorter ones would add up the jitter of standing."""
    bucket = track.measured_ms // STEP_MS
    rows = np.flatnonzero(np.concatenate([[True], np.diff(bucket) > 0]))
    if rows[-1] != len(bucket) - 1:
        rows = np.append(rows, len(bucket) - 1)
    step_m = _steps_m(track.lat[rows], track.lon[rows])
    step_s = np.diff(track.measured_ms[rows]) / 1000
    good = (step_m >= STEP_MIN_M) & (step_m <= SPEED_MAX_MPS * step_s)
    return float(step_m[good].sum()) / 1000


def _steps_m(lat: F64, lon: F64) -> F64:
    east = np.diff(lon) * np.cos(np.radians(lat[:-1]))
    found: F64 = METRES_PER_DEGREE * np.hypot(np.diff(lat), east)
    return found
