"""From the city's state to what the browser draws: whole frames, encoded once for all screens.

A frame replaces the one before it; losing one loses nothing. Vehicles are packed as columns of
small integers (15 bytes a vehicle), positions in Web Mercator within a fixed box, so that the
browser only scales and shifts.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from analysis.incident_members import folded
from analysis.kpis import camera_state
from analysis.picture import Camera, Picture, Vehicle
from city.alarms import Alarm, AlarmPriority, AlarmState
from city.events import Mode
from city.incidents import Incident

UNKNOWN = 255  # of a one-byte column
AGE_MAX_S = 65535  # of a two-byte column; stands for everything older
STALE = 1
HAS_BEARING = 2
TROLLEYBUS = 4

_METRES_A_DEGREE = 111_320.0
_MPS_TO_KMH = 3.6
# A list that nobody could read would only cost every screen its transfer.
ALARMS_SHOWN = 200
INCIDENTS_SHOWN = 100
POINTS_SHOWN = 300
UNSEEN = frozenset({AlarmState.UNACKNOWLEDGED, AlarmState.RETURNED_UNACKNOWLEDGED, AlarmState.LATCHED_UNACKNOWLEDGED})
_RANK = {priority: rank for rank, priority in enumerate(AlarmPriority)}


def mercator(lat: float, lon: float) -> tuple[float, float]:
    """Web Mercator of the whole world as 0…1, y growing southwards (EPSG:3857, scaled)."""
    latitude = math.radians(max(-85.05, min(85.05, lat)))
    return (lon + 180) / 360, 0.5 - math.log(math.tan(math.pi / 4 + latitude / 2)) / (2 * math.pi)


class VehicleTable:
    """The vehicles that have a position, as columns ready to be sent.

    The roster (who is in which row) changes only when vehicles come or go; every frame names
    the roster it belongs to.
    """

    def __init__(
        self,
        bounds: tuple[float, float, float, float],
        margin_m: float,
        *,
        capacity_default: int,
        stale_after_s: float,
        count_stale_after_s: float,
        gone_after_s: float,
    ) -> None:
        west, south, east, north = bounds
        lat_margin = margin_m / _METRES_A_DEGREE
        lon_margin = lat_margin / max(0.1, math.cos(math.radians((south + north) / 2)))
        x0, y0 = mercator(north + lat_margin, west - lon_margin)
        x1, y1 = mercator(south - lat_margin, east + lon_margin)
        self.box = (x0, y0, x1, y1)
        self.revision = 0
        self.sequence = 0
        self._capacity_default = capacity_default
        self._stale_after_ms = int(stale_after_s * 1000)
        self._count_stale_after_ms = int(count_stale_after_s * 1000)
        self._gone_after_ms = int(gone_after_s * 1000)
        self._rows: dict[str, int] = {}
        self._ids: list[str] = []
        self._routes: list[str | None] = []
        self._modes: list[str | None] = []
        self._allocate(256)

    def __len__(self) -> int:
        return len(self._ids)

    def rebuild(self, vehicles: Iterable[Vehicle], now_ms: int) -> None:
        """Begin anew with these; those not heard of for `gone_after_s` are left out."""
        self._rows, self._ids, self._routes, self._modes = {}, [], [], []
        self.revision += 1
        for vehicle in sorted(vehicles, key=lambda v: v.vehicle_id):
            position = vehicle.position
            if position is not None and now_ms - position.measured_ms <= self._gone_after_ms:
                self.update(vehicle)

    def update(self, vehicle: Vehicle) -> None:
        """Take a vehicle's newest state into its row; one without a position has no row."""
        position = vehicle.position
        if position is None:
            return
        newest = vehicle.newest or position
        row = self._rows.get(vehicle.vehicle_id)
        if row is None:
            row = self._add(vehicle.vehicle_id)
        if (self._routes[row], self._modes[row]) != (newest.route, newest.mode):
            self._routes[row], self._modes[row] = newest.route, newest.mode
            self.revision += 1
        x0, y0, x1, y1 = self.box
        x, y = mercator(position.lat, position.lon)
        self._x[row] = min(65535, max(0, round((x - x0) / (x1 - x0) * 65535)))
        self._y[row] = min(65535, max(0, round((y - y0) / (y1 - y0) * 65535)))
        flags = TROLLEYBUS if newest.mode == Mode.TROLLEYBUS else 0
        if position.bearing_deg is not None:
            flags |= HAS_BEARING
            self._bearing[row] = int(position.bearing_deg % 360 / 360 * 256) & 255
        self._flags[row] = flags
        load = vehicle.load(self._capacity_default)
        self._load[row] = _byte(None if load is None else load * 100)
        self._speed[row] = _byte(None if newest.speed_mps is None else newest.speed_mps * _MPS_TO_KMH)
        self._fuel[row] = _byte(vehicle.fuel_pct)
        self._measured[row] = position.measured_ms
        # A load may come with the position itself (occupancy) instead of from counters.
        counted = vehicle.passengers is not None and vehicle.passengers.onboard is not None
        self._load_ms[row] = vehicle.passengers.measured_ms if counted and vehicle.passengers else newest.measured_ms
        self._fuel_ms[row] = vehicle.fuel.measured_ms if vehicle.fuel else 0

    def roster(self) -> dict[str, Any]:
        return {
            "rev": self.revision,
            "box": self.box,
            "ids": list(self._ids),
            "routes": list(self._routes),
            "modes": list(self._modes),
        }

    def pack(self, now_ms: int) -> dict[str, Any]:
        """The frame of this moment."""
        n = len(self._ids)
        self.sequence += 1
        late = now_ms - self._measured[:n] > self._stale_after_ms
        # A count of long ago says nothing of who is on board now.
        old_count = now_ms - self._load_ms[:n] > self._count_stale_after_ms
        columns = (
            self._x[:n].astype("<u2"),
            self._y[:n].astype("<u2"),
            _age_s(now_ms, self._measured[:n]),
            _age_s(now_ms, self._load_ms[:n]),
            _age_s(now_ms, self._fuel_ms[:n]),
            self._bearing[:n],
            np.where(old_count, UNKNOWN, self._load[:n]).astype(np.uint8),
            self._speed[:n],
            self._fuel[:n],
            self._flags[:n] | np.where(late, STALE, 0).astype(np.uint8),
        )
        data = b64encode(b"".join(column.tobytes() for column in columns)).decode("ascii")
        return {"rev": self.revision, "seq": self.sequence, "at": now_ms, "n": n, "data": data}

    def has_gone(self, now_ms: int) -> bool:
        """Whether some row is so old that the table should be rebuilt."""
        n = len(self._ids)
        return bool(n and int(self._measured[:n].min()) < now_ms - self._gone_after_ms)

    def _add(self, vehicle_id: str) -> int:
        row = len(self._ids)
        if row == len(self._x):
            self._allocate(2 * row)
        self._rows[vehicle_id] = row
        self._ids.append(vehicle_id)
        self._routes.append(None)
        self._modes.append(None)
        self.revision += 1
        return row

    def _allocate(self, size: int) -> None:
        def grown(name: str, dtype: type) -> np.ndarray[Any, Any]:
            column: np.ndarray[Any, Any] = np.zeros(size, dtype=dtype)
            if hasattr(self, name):
                column[: len(getattr(self, name))] = getattr(self, name)
            return column

        self._x, self._y = grown("_x", np.uint16), grown("_y", np.uint16)
        self._bearing, self._flags = grown("_bearing", np.uint8), grown("_flags", np.uint8)
        self._load, self._speed = grown("_load", np.uint8), grown("_speed", np.uint8)
        self._fuel, self._measured = grown("_fuel", np.uint8), grown("_measured", np.int64)
        self._load_ms, self._fuel_ms = grown("_load_ms", np.int64), grown("_fuel_ms", np.int64)


def cameras_frame(cameras: Mapping[str, Camera], now_ms: int, stale_after_s: float) -> dict[str, Any]:
    """Every camera whose status is known: place, name and state (online, offline or unknown)."""
    known = sorted((c for c in cameras.values() if c.status is not None), key=lambda c: c.camera_id)
    statuses = [camera.status for camera in known if camera.status is not None]
    return {
        "ids": [s.camera_id for s in statuses],
        "names": [s.name for s in statuses],
        "lat": [s.lat for s in statuses],
        "lon": [s.lon for s in statuses],
        "states": [camera_state(camera, now_ms, stale_after_s) for camera in known],
        "measured_ms": [s.measured_ms for s in statuses],
    }


def alarms_frame(
    alarms: Sequence[Alarm], now_ms: int, incidents: Mapping[str, Incident] | None = None
) -> dict[str, Any]:
    """Open alarms that are in no open incident, the most urgent first and the newest first among equals.

    `total` counts all open alarms, `loose` those in no incident.
    """
    loose, _ = folded(alarms, incidents or {})
    ranked = sorted(loose, key=lambda a: (_RANK[a.priority], -a.raised_ms, a.id))
    return {
        "at": now_ms,
        "total": len(alarms),
        "loose": len(ranked),
        "alarms": [alarm_row(alarm) for alarm in ranked[:ALARMS_SHOWN]],
    }


def alarm_row(a: Alarm) -> dict[str, Any]:
    """An alarm as the list shows it."""
    return {
        "id": a.id,
        "rule": a.rule,
        "priority": a.priority,
        "source_kind": a.source_kind,
        "source_id": a.source_id,
        "state": a.state,
        "active": a.active,
        "version": a.version,
        "raised_ms": a.raised_ms,
        "cleared_ms": a.cleared_ms,
        "acknowledged_by": a.acknowledged_by,
        "assignee": a.assignee,
        "comments": a.comments,
        "occurrences": a.occurrences,
        "lat": a.lat,
        "lon": a.lon,
        "district": a.district,
        "mahalla": a.mahalla,
        "route": a.route,
        "values": a.values,
    }


def incidents_frame(
    incidents: Mapping[str, Incident], alarms: Mapping[str, Alarm], opened: Sequence[Alarm]
) -> dict[str, Any]:
    """Open incidents, the most urgent first, and how many of their alarms wait; which those are, is asked for.

    `alarms`: all that are known, `opened`: those of the operator's list. A thousand of one incident cost a row here
    and `POINTS_SHOWN` places on the map at most.
    """
    _, inside = folded(opened, incidents)
    _, known = folded(alarms.values(), incidents)
    ranked = sorted(
        (one for one in incidents.values() if one.open), key=lambda i: (_RANK[i.priority], -i.opened_ms, i.id)
    )
    shown = ranked[:INCIDENTS_SHOWN]
    rows = []
    points: list[tuple[float, float, int]] = []
    for one in shown:
        announced = inside.get(one.id, [])
        first = alarms.get(one.first_alarm)
        points += [
            (round(a.lat, 5), round(a.lon, 5), _RANK[a.priority])
            for a in announced[: max(0, POINTS_SHOWN - len(points))]
            if a.lat is not None and a.lon is not None
        ]
        rows.append(
            {
                "id": one.id,
                "version": one.version,
                "rule": one.rule,
                "common": one.common,
                "title": one.title,
                "priority": one.priority,
                "status": one.status,
                "opened_ms": one.opened_ms,
                "last_ms": one.last_ms,
                "joined": one.alarms,
                "standing": sum(a.active for a in known.get(one.id, ())),
                "announced": len(announced),
                "unseen": sum(a.state in UNSEEN for a in announced),
                "cases": len(one.cases),
                "assignee": one.assignee,
                "district": one.district,
                "mahalla": one.mahalla,
                "route": one.route,
                "lat": one.lat,
                "lon": one.lon,
                "first": None if first is None else alarm_row(first),
            }
        )
    return {"incidents_total": len(ranked), "incidents": rows, "points": points}


def changed_vehicles(picture: Picture, vehicle_ids: Iterable[str]) -> list[Vehicle]:
    """The vehicles of these ids, each once."""
    return [picture.vehicles[vehicle_id] for vehicle_id in dict.fromkeys(vehicle_ids) if vehicle_id in picture.vehicles]


def _age_s(now_ms: int, measured_ms: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    ages: np.ndarray[Any, Any] = np.clip((now_ms - measured_ms) // 1000, 0, AGE_MAX_S)
    return ages.astype("<u2")


def _byte(value: float | None) -> int:
    """A rounded value in 0…254, or UNKNOWN."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return min(UNKNOWN - 1, max(0, round(value)))
