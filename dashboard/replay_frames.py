"""What the browser plays: samples of all vehicles as bytes, and the alarms of that time.

A chunk is: the length of its head as a little-endian uint32, the head (JSON, padded with spaces so that what follows
begins at a multiple of four), then columns, each with all vehicles of the first sample, then of the second, and so on:
x, y (in the head's Mercator box), age in seconds as uint16; bearing, load, speed, flags as uint8. The numbers mean what
they mean in the live map's frames.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct, to_builtins
from msgspec import json as msgspec_json

from analysis.indicators import AreaIndicators
from analysis.kpis import MPS_TO_KMH
from analysis.replay import PlaySettings, Samples, area_indicators
from analysis.replay_alarms import AlarmThen
from city.events import Mode
from dashboard.frames import AGE_MAX_S, HAS_BEARING, STALE, TROLLEYBUS, UNKNOWN, alarm_row

GONE = 8  # not drawn at this moment
JUMPED = 16  # it did not move here from the sample before
SAMPLES_MAX = 120  # of a chunk
# As often as the live map's samples of areas; more often nobody could read it at any speed.
AREAS_EVERY_MS = 60_000
_ALIGN = 4

Box = tuple[float, float, float, float]  # Web Mercator, as of dashboard.frames.VehicleTable


class AreaColumns(Struct, frozen=True, kw_only=True):
    """The areas at one moment, in the order of the page's areas; load in percent, speed in km/h, null where unknown."""

    at_ms: int
    vehicles: list[int]
    load: list[int | None]
    speed: list[int | None]


class ChunkHead(Struct, frozen=True, kw_only=True):
    """What a chunk says of itself."""

    from_ms: int
    every_ms: int
    samples: int
    known_ms: int  # up to here the city was known when this was made; what lies behind may change
    everybody: bool  # else some who had long been silent are missing, and will be there soon
    box: Box
    ids: tuple[str, ...]
    routes: tuple[str | None, ...]
    modes: tuple[str | None, ...]
    areas: list[AreaColumns]


class Bounds(Struct, frozen=True, kw_only=True):
    """What can be played."""

    first_ms: int | None  # None: there is nothing yet
    last_ms: int


class AlarmChange(Struct, frozen=True, kw_only=True):
    """An alarm that became another while a span was played; `alarm` None: it became normal."""

    at_ms: int  # when it was written down: then operators saw it
    id: str
    alarm: dict[str, Any] | None


class AlarmSpan(Struct, frozen=True, kw_only=True):
    """The alarms that were not normal at a moment, and how they changed until another."""

    from_ms: int
    to_ms: int
    known_ms: int
    alarms: list[dict[str, Any]]
    changes: list[AlarmChange]


def chunk_bytes(
    samples: Samples, every_ms: int, known_ms: int, box: Box, areas: int, settings: PlaySettings, *, everybody: bool
) -> bytes:
    """A chunk as it is sent."""
    shown = [
        area_columns(int(at_ms), area_indicators(samples, at, areas, settings))
        for at, at_ms in enumerate(samples.moments_ms)
        if at == 0 or at_ms // AREAS_EVERY_MS != samples.moments_ms[at - 1] // AREAS_EVERY_MS
    ]
    head = ChunkHead(
        from_ms=int(samples.moments_ms[0]),
        every_ms=every_ms,
        samples=len(samples.moments_ms),
        known_ms=known_ms,
        everybody=everybody,
        box=box,
        ids=samples.ids,
        routes=samples.routes,
        modes=samples.modes,
        areas=shown,
    )
    text = msgspec_json.encode(head)
    text += b" " * (-(len(text) + _ALIGN) % _ALIGN)
    return b"".join((struct.pack("<I", len(text)), text, *(column.tobytes() for column in _columns(samples, box))))


def area_columns(at_ms: int, found: Sequence[AreaIndicators]) -> AreaColumns:
    return AreaColumns(
        at_ms=at_ms,
        vehicles=[area.vehicles for area in found],
        load=[None if area.load is None else round(area.load * 100) for area in found],
        speed=[None if area.speed_kmh is None else round(area.speed_kmh) for area in found],
    )


def alarm_then(then: AlarmThen, place: tuple[float, float] | None) -> dict[str, Any]:
    """A row of the operator's list as it was, with what had been done; `place` where the log has none."""
    alarm = then.alarm
    lat, lon = place or (None, None)
    held = alarm.out_of_service or alarm.suppressed or alarm.shelved
    return {
        **alarm_row(alarm),
        "lat": lat,
        "lon": lon,
        "announced": alarm.announced,
        "held": None if held is None else to_builtins(held),
        "incident": alarm.incident,
        "deeds": to_builtins(then.deeds),
    }


def _columns(samples: Samples, box: Box) -> tuple[npt.NDArray[Any], ...]:
    x0, y0, x1, y1 = box
    bearing_known = ~np.isnan(samples.bearing_deg)
    flags = np.where(samples.stale, STALE, 0) | np.where(samples.gone, GONE, 0) | np.where(samples.jumped, JUMPED, 0)
    flags |= np.where(bearing_known, HAS_BEARING, 0)
    flags |= np.array([TROLLEYBUS if mode == Mode.TROLLEYBUS else 0 for mode in samples.modes], dtype=np.int64)
    return (
        _wide((samples.x - x0) / (x1 - x0) * 65535),
        _wide((samples.y - y0) / (y1 - y0) * 65535),
        np.clip(samples.age_ms // 1000, 0, AGE_MAX_S).astype("<u2"),
        (np.where(bearing_known, samples.bearing_deg, 0) % 360 / 360 * 256).astype(np.int64).astype(np.uint8),
        _byte(samples.load * 100),
        _byte(samples.speed_mps * MPS_TO_KMH),
        flags.astype(np.uint8),
    )


def _wide(values: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    return np.clip(np.nan_to_num(np.round(values)), 0, 65535).astype("<u2")


def _byte(values: npt.NDArray[np.float64]) -> npt.NDArray[np.uint8]:
    """Rounded values in 0…254, UNKNOWN for NaN."""
    clipped = np.clip(np.round(values), 0, UNKNOWN - 1)
    return np.where(np.isnan(values), UNKNOWN, clipped).astype(np.uint8)
