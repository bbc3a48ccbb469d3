"""Which decoded events may be stored. Pure: limits, memory and times come in.

An event passes when every function of `CHECKS` finds nothing wrong. What is older than the
entity's newest passes too: the store keeps it as late and never lets it overwrite.

Two kinds of message may be old and still true, and are not stale:
a retained camera status (a camera that went offline yesterday is offline), and a citizen's
case (sources send them in batches, and an open case stays open).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct, structs

from city.config import Checks
from city.models import CameraStatus, Case, Event, Received, RejectReason, SensorReading, VehiclePosition, VehicleStatus
from ingest.memory import Fix, Memory, Suspects

_EARTH_RADIUS_M = 6_371_008.8  # IUGG mean radius
_METRES_PER_DEGREE = math.pi * _EARTH_RADIUS_M / 180
# Two fixes of a standing vehicle may lie so far apart; without it a jump of satellite noise
# between fixes half a second apart would be a speed of 200 km/h.
_GPS_NOISE_M = 30
# So many fixes that agree with each other outvote the one before them.
_AGREEING_FIXES = 3
# A last will is written when the camera connects, just before it says that it is online.
_WILL_BEFORE_ONLINE_MS = 10_000


class Problem(NamedTuple):
    """Why an event is not stored."""

    reason: RejectReason
    detail: str


class Limits(Struct, frozen=True, kw_only=True):
    """`ingest.checks` made ready for one city."""

    future_max_ms: float
    stale_max_ms: float
    speed_max_mps: float
    west: float
    south: float
    east: float
    north: float

    @classmethod
    def of(cls, checks: Checks, bounds: tuple[float, float, float, float]) -> Limits:
        """Limits with the city's bounds (west, south, east, north in degrees) widened by the margin."""
        west, south, east, north = bounds
        margin_lat = checks.area_margin_m / _METRES_PER_DEGREE
        widest = min(max(abs(south), abs(north)), 89.0)
        margin_lon = margin_lat / math.cos(math.radians(widest))
        return cls(
            future_max_ms=checks.future_max_s * 1000,
            stale_max_ms=checks.stale_max_s * 1000,
            speed_max_mps=checks.speed_max_mps,
            west=west - margin_lon,
            south=south - margin_lat,
            east=east + margin_lon,
            north=north + margin_lat,
        )


Check = Callable[[Event, Received, Memory, Limits], Problem | None]


def is_repetition(event: Event, message: Received, memory: Memory) -> bool:
    """Whether a retained message only says again what is known here.

    The broker repeats every retained message at each subscription; those are no messages of
    the field and not counted.
    """
    if not message.retained:
        return False
    stamp = memory.slots[event.facet].get(event.slot)
    return stamp is not None and stamp.measured_ms >= event.measured_ms


def as_last_will(event: Event, message: Received, memory: Memory, limits: Limits) -> Event:
    """A camera's last will under the time at which the broker sent it; other events unchanged.

    The camera writes its will when it connects, so its `ts` lies before the online status that
    it must end. A live "offline" for a camera known to be online is a will when its `ts` is at
    or shortly before that status, or so old that no live message could be.
    """
    if not isinstance(event, CameraStatus) or event.online or message.retained:
        return event
    known = memory.reachable.get(event.camera_id)
    if known is None or not known.online or event.measured_ms > known.measured_ms:
        return event
    just_before = known.measured_ms - event.measured_ms <= _WILL_BEFORE_ONLINE_MS
    too_old_to_be_live = message.received_ms - event.measured_ms > limits.stale_max_ms
    if not (just_before or too_old_to_be_live):
        return event
    return structs.replace(event, measured_ms=max(message.received_ms, known.measured_ms + 1))


def from_future(event: Event, message: Received, memory: Memory, limits: Limits) -> Problem | None:
    ahead_ms = event.measured_ms - message.received_ms
    if ahead_ms <= limits.future_max_ms:
        return None
    return Problem(RejectReason.FUTURE, f"measured {ahead_ms / 1000:.0f} s ahead of the clock here")


def stale(event: Event, message: Received, memory: Memory, limits: Limits) -> Problem | None:
    age_ms = message.received_ms - event.measured_ms
    if age_ms <= limits.stale_max_ms:
        return None
    if isinstance(event, Case) or (isinstance(event, CameraStatus) and message.retained):
        return None
    return Problem(RejectReason.STALE, f"measured {age_ms / 1000:.0f} s ago")


def duplicate(event: Event, message: Received, memory: Memory, limits: Limits) -> Problem | None:
    stamp = memory.slots[event.facet].get(event.slot)
    if stamp is None or stamp.measured_ms != event.measured_ms or event.mark not in stamp.marks:
        return None
    return Problem(RejectReason.DUPLICATE, "this measurement is known")


def out_of_area(event: Event, message: Received, memory: Memory, limits: Limits) -> Problem | None:
    if not isinstance(event, VehiclePosition | CameraStatus | SensorReading | Case):
        return None
    lat, lon = event.lat, event.lon
    if lat is None or lon is None:
        return None
    if limits.south <= lat <= limits.north and limits.west <= lon <= limits.east:
        return None
    return Problem(RejectReason.OUT_OF_AREA, f"{lat:.5f}, {lon:.5f} is outside the city and its margin")


def too_fast(event: Event, message: Received, memory: Memory, limits: Limits) -> Problem | None:
    """The vehicle's own speed."""
    if not isinstance(event, VehicleStatus) or event.speed_mps is None or event.speed_mps <= limits.speed_max_mps:
        return None
    return Problem(RejectReason.IMPOSSIBLE_SPEED, f"{event.speed_mps:.1f} m/s reported")


def leaps(event: Event, message: Received, memory: Memory, limits: Limits) -> Problem | None:
    """The way from the last accepted fix.

    When several fixes in a row are impossible after it but follow from each other, then the
    accepted one was wrong, and the vehicle is taken to be where they say.
    """
    if not isinstance(event, VehiclePosition):
        return None
    anchor = memory.fixes.get(event.vehicle_id)
    # A late fix is never drawn, so it need not fit what came after it.
    if anchor is None or event.measured_ms < anchor.measured_ms:
        return None
    fix = Fix(event.lat, event.lon, event.measured_ms)
    if _follows(fix, anchor, limits.speed_max_mps):
        memory.suspects.pop(event.vehicle_id, None)
        return None
    suspects = memory.suspects.get(event.vehicle_id)
    if (
        suspects is not None
        and suspects.last.measured_ms < fix.measured_ms
        and _follows(fix, suspects.last, limits.speed_max_mps)
    ):
        suspects.last = fix
        suspects.count += 1
        if suspects.count >= _AGREEING_FIXES:
            memory.suspects.pop(event.vehicle_id, None)
            return None
    else:
        memory.suspects[event.vehicle_id] = Suspects(fix)
    metres = distance_m(anchor.lat, anchor.lon, fix.lat, fix.lon)
    seconds = (fix.measured_ms - anchor.measured_ms) / 1000
    return Problem(RejectReason.IMPOSSIBLE_SPEED, f"{metres:.0f} m in {seconds:.1f} s")


# In this order: the first problem found is the one told.
CHECKS: tuple[Check, ...] = (from_future, stale, duplicate, out_of_area, too_fast, leaps)


def find_problem(event: Event, message: Received, memory: Memory, limits: Limits) -> Problem | None:
    """The first thing wrong with an event, None if it may be stored."""
    for check in CHECKS:
        problem = check(event, message, memory, limits)
        if problem is not None:
            return problem
    return None


def _follows(fix: Fix, before: Fix, speed_max_mps: float) -> bool:
    seconds = (fix.measured_ms - before.measured_ms) / 1000
    return distance_m(before.lat, before.lon, fix.lat, fix.lon) <= _GPS_NOISE_M + speed_max_mps * seconds


def distance_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great-circle distance between two WGS-84 points, in metres (haversine)."""
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    half_lat = math.sin((phi_b - phi_a) / 2)
    half_lon = math.sin(math.radians(lon_b - lon_a) / 2)
    chord = half_lat * half_lat + math.cos(phi_a) * math.cos(phi_b) * half_lon * half_lon
    return 2 * _EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))
