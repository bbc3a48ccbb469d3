"""Which decoded events may be stored. Pure: limits, memory and times come in.

An event passes when no function of `CHECKS` finds something wrong with it; each looks at a whole
batch. What is older than the entity's newest passes too: the store keeps it as late and never lets it
overwrite. What is a duplicate only the store can say, where all workers' messages come together.

Two kinds of message may be old and still true, and are not stale:
a retained camera status (a camera that went offline yesterday is offline), and a citizen's
case (sources send them in batches, and an open case stays open).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from msgspec import Struct, structs

from city.events import LOCATED, CameraStatus, Case, Event, VehiclePosition, VehicleStatus
from city.messages import Reading, Received, RejectReason
from city.settings import Checks
from ingest.memory import Fix, Memory, Suspects

_EARTH_RADIUS_M = 6_371_008.8  # IUGG mean radius
_METRES_PER_DEGREE = math.pi * _EARTH_RADIUS_M / 180
# Two fixes of a standing vehicle may lie so far apart; without it a jump of satellite noise
# between fixes half a second apart would be a speed of 200 km/h.
_GPS_NOISE_M = 30
_NOISE_DEG = _GPS_NOISE_M / _METRES_PER_DEGREE  # of latitude; a degree of longitude is never longer
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


Found = list[tuple[Reading, Problem]]
Check = Callable[[Sequence[Reading], Memory, Limits], Found]


def as_last_will(event: Event, message: Received, memory: Memory, limits: Limits) -> Event:
    """A camera's last will under the time at which the broker sent it; other events unchanged.

    The camera writes its will when it connects, so its `ts` lies before the online status that
    it must end. A live "offline" for a camera known to be online is a will when its `ts` is at
    or shortly before that status, or so old that no live message could be.
    """
    if not isinstance(event, CameraStatus) or event.online or message.retained:
        return event
    known = memory.last(event)
    if not isinstance(known, CameraStatus) or not known.online or event.measured_ms > known.measured_ms:
        return event
    just_before = known.measured_ms - event.measured_ms <= _WILL_BEFORE_ONLINE_MS
    too_old_to_be_live = message.received_ms - event.measured_ms > limits.stale_max_ms
    if not (just_before or too_old_to_be_live):
        return event
    return structs.replace(event, measured_ms=max(message.received_ms, known.measured_ms + 1))


def from_future(readings: Sequence[Reading], memory: Memory, limits: Limits) -> Found:
    most = limits.future_max_ms
    return [
        (reading, Problem(RejectReason.FUTURE, f"measured {ahead_ms / 1000:.0f} s ahead of the clock here"))
        for reading in readings
        if (ahead_ms := reading.event.measured_ms - reading.message.received_ms) > most
    ]


def stale(readings: Sequence[Reading], memory: Memory, limits: Limits) -> Found:
    most = limits.stale_max_ms
    return [
        (reading, Problem(RejectReason.STALE, f"measured {age_ms / 1000:.0f} s ago"))
        for reading in readings
        if (age_ms := reading.message.received_ms - reading.event.measured_ms) > most and not _may_be_old(reading)
    ]


def _may_be_old(reading: Reading) -> bool:
    event = reading.event
    return isinstance(event, Case) or (isinstance(event, CameraStatus) and reading.message.retained)


def out_of_area(readings: Sequence[Reading], memory: Memory, limits: Limits) -> Found:
    south, north, west, east = limits.south, limits.north, limits.west, limits.east
    return [
        (reading, Problem(RejectReason.OUT_OF_AREA, f"{lat:.5f}, {lon:.5f} is outside the city and its margin"))
        for reading in readings
        if isinstance(event := reading.event, LOCATED)
        and (lat := event.lat) is not None
        and (lon := event.lon) is not None
        and not (south <= lat <= north and west <= lon <= east)
    ]


def too_fast(readings: Sequence[Reading], memory: Memory, limits: Limits) -> Found:
    """The vehicle's own speed."""
    most = limits.speed_max_mps
    return [
        (reading, Problem(RejectReason.IMPOSSIBLE_SPEED, f"{speed:.1f} m/s reported"))
        for reading in readings
        if (type(event := reading.event) is VehiclePosition or type(event) is VehicleStatus)
        and (speed := event.speed_mps) is not None
        and speed > most
    ]


def leaps(readings: Sequence[Reading], memory: Memory, limits: Limits) -> Found:
    """The way from the last accepted fix, in the order of arrival.

    When several fixes in a row are impossible after it but follow from each other, then the
    accepted one was wrong, and the vehicle is taken to be where they say.
    """
    found: Found = []
    fixes, speed_max_mps = memory.fixes, limits.speed_max_mps
    for reading in readings:
        event = reading.event
        if type(event) is not VehiclePosition:
            continue
        anchor = fixes.get(event.vehicle_id)
        if anchor is None:
            fixes[event.vehicle_id] = Fix(event.lat, event.lon, event.measured_ms)
            continue
        # A late fix is never drawn, so it need not fit what came after it.
        if event.measured_ms < anchor.measured_ms:
            continue
        if not _follows(event, anchor, speed_max_mps):
            if not _outvoted(event, memory, speed_max_mps):
                found.append((reading, _leap(event, anchor)))
                continue
        elif memory.suspects:
            memory.suspects.pop(event.vehicle_id, None)
        anchor.lat, anchor.lon, anchor.measured_ms = event.lat, event.lon, event.measured_ms
    return found


def _outvoted(event: VehiclePosition, memory: Memory, speed_max_mps: float) -> bool:
    """Whether this fix and those refused before it outvote the accepted one; remembers it if not."""
    fix = Fix(event.lat, event.lon, event.measured_ms)
    suspects = memory.suspects.get(event.vehicle_id)
    if (
        suspects is None
        or suspects.last.measured_ms >= fix.measured_ms
        or not _follows(event, suspects.last, speed_max_mps)
    ):
        memory.suspects[event.vehicle_id] = Suspects(fix)
        return False
    suspects.last = fix
    suspects.count += 1
    if suspects.count < _AGREEING_FIXES:
        return False
    del memory.suspects[event.vehicle_id]
    return True


def _leap(event: VehiclePosition, anchor: Fix) -> Problem:
    metres = distance_m(anchor.lat, anchor.lon, event.lat, event.lon)
    seconds = (event.measured_ms - anchor.measured_ms) / 1000
    return Problem(RejectReason.IMPOSSIBLE_SPEED, f"{metres:.0f} m in {seconds:.1f} s")


# In this order: the first problem found is the one told. The last one remembers what it accepts.
CHECKS: tuple[Check, ...] = (from_future, stale, out_of_area, too_fast, leaps)


def find_problems(readings: Sequence[Reading], memory: Memory, limits: Limits) -> tuple[list[Reading], Found]:
    """The readings that may be stored, and what is wrong with the others."""
    passed = list(readings)
    problems: Found = []
    for check in CHECKS:
        found = check(passed, memory, limits)
        if found:
            problems += found
            wrong = {id(reading) for reading, _ in found}
            passed = [reading for reading in passed if id(reading) not in wrong]
    return passed, problems


def _follows(event: VehiclePosition, before: Fix, speed_max_mps: float) -> bool:
    north_deg, east_deg = event.lat - before.lat, event.lon - before.lon
    # Both legs together are longer than the way: nearly all fixes end here.
    if abs(north_deg) + abs(east_deg) <= _NOISE_DEG:
        return True
    seconds = (event.measured_ms - before.measured_ms) / 1000
    metres = distance_m(before.lat, before.lon, event.lat, event.lon)
    return metres <= _GPS_NOISE_M + speed_max_mps * seconds


def distance_m(lat_a: float, lon_a: float, lat_b: float, lon_b: float) -> float:
    """Great-circle distance between two WGS-84 points, in metres (haversine)."""
    phi_a, phi_b = math.radians(lat_a), math.radians(lat_b)
    half_lat = math.sin((phi_b - phi_a) / 2)
    half_lon = math.sin(math.radians(lon_b - lon_a) / 2)
    chord = half_lat * half_lat + math.cos(phi_a) * math.cos(phi_b) * half_lon * half_lon
    return 2 * _EARTH_RADIUS_M * math.asin(min(1.0, math.sqrt(chord)))
