"""The worst problems of the city now, for the page of the khokim.

Severity is 0–100. An alarm has that of its priority (EEMUA 191's four: critical 90, high 70, medium
50, low 30). What is measured reaches from 40, at the limit from which it is a problem, to 80, at twice
that limit: overload of a route or mahalla by its load, slow traffic by its speed, cameras of a
district by the share that is offline. Open alarms of one rule in one place are one problem, 2 more for
each further one, 9 at most: many lesser ones must not outrank one of the next priority by
half. The alarms of an open incident are one problem too, with the incident's priority. Equal ones: the older first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct

from analysis.incident_members import folded
from analysis.indicators import AreaIndicators
from analysis.kpis import KpiSettings, camera_state, in_service
from analysis.picture import Picture
from city.alarms import Alarm, AlarmPriority
from city.incidents import Incident

SEVERITY = {AlarmPriority.CRITICAL: 90.0, AlarmPriority.HIGH: 70.0, AlarmPriority.MEDIUM: 50.0, AlarmPriority.LOW: 30.0}
MORE_EACH, MORE_MAX = 2.0, 9.0
LIMIT_SEVERITY, LIMIT_SPAN = 40.0, 40.0
# From here on it is a problem. A mean over vehicles is lower than the fullest one: 0.9 is a crush.
LOAD_LIMIT = 0.9
SPEED_LIMIT_KMH = 8.0
CAMERAS_LIMIT = 0.2
# Means of fewer say something of a bus, not of a place.
VEHICLES_MIN = 3
CAMERAS_MIN = 5
MAHALLA_DIGITS = 10  # of its code; a district's has 7, and they are the first ones of its mahallas'
DISTRICT_DIGITS = 7


NO_INCIDENTS: Mapping[str, Incident] = MappingProxyType({})


class Problem(Struct, frozen=True, kw_only=True):
    """One line of the briefing."""

    kind: str  # an alarm rule, incident, or route_overload, mahalla_overload, mahalla_slow, cameras_offline
    severity: float  # 0–100
    district: str | None = None
    mahalla: str | None = None
    route: str | None = None
    source_id: str | None = None  # of a single alarm; the incident's id
    since_ms: int | None = None  # None where only the present is known
    reason: str  # key of a sentence in the catalogue …
    values: dict[str, float | str] = {}  # … and what stands in it


def worst_problems(
    picture: Picture,
    areas: Mapping[str, AreaIndicators],
    open_alarms: Iterable[Alarm],
    now_ms: int,
    settings: KpiSettings,
    limit: int = 5,
    incidents: Mapping[str, Incident] = NO_INCIDENTS,
) -> list[Problem]:
    """The `limit` worst problems, worst first. Silent feeds come as alarms."""
    loose, inside = folded(open_alarms, incidents)
    found = [
        *_of_alarms(loose),
        *_of_incidents(inside, incidents),
        *_full_routes(picture, now_ms, settings),
        *_of_areas(areas),
        *_cameras(picture, now_ms, settings),
    ]
    # The time last, then names: equal severities must not swap places from second to second.
    found.sort(key=lambda p: (-p.severity, p.since_ms or now_ms, p.kind, p.route or "", p.mahalla or p.district or ""))
    return found[:limit]


def _of_alarms(open_alarms: Iterable[Alarm]) -> list[Problem]:
    groups: dict[tuple[str, str | None, str | None], list[Alarm]] = defaultdict(list)
    for alarm in open_alarms:
        if not (alarm.announced and alarm.active):
            continue
        # Feeds have no place: each is a problem of its own.
        place = alarm.mahalla or alarm.district or alarm.source_id
        groups[alarm.rule, alarm.district, place].append(alarm)
    problems = []
    for (rule, district, _), alarms in groups.items():
        first = min(alarms, key=lambda alarm: (alarm.raised_ms, alarm.id))
        severity = max(SEVERITY[alarm.priority] for alarm in alarms)
        alone = len(alarms) == 1
        problems.append(
            Problem(
                kind=rule,
                severity=severity + min(MORE_MAX, MORE_EACH * (len(alarms) - 1)),
                district=district,
                mahalla=first.mahalla,
                route=first.route if alone else None,
                source_id=first.source_id if alone else None,
                since_ms=first.raised_ms,
                reason=rule if alone else f"{rule}_many",
                values={**first.values, "source_id": first.source_id} if alone else {"alarms": len(alarms)},
            )
        )
    return problems


def _of_incidents(inside: Mapping[str, Sequence[Alarm]], incidents: Mapping[str, Incident]) -> list[Problem]:
    problems = []
    for name, alarms in inside.items():
        standing = sum(alarm.announced and alarm.active for alarm in alarms)
        if not standing:
            continue
        one = incidents[name]
        # A district where one has it in common: its mahalla is the first alarm's alone.
        whole = "district" in one.common
        problems.append(
            Problem(
                kind="incident",
                severity=SEVERITY.get(one.priority, 0.0) + min(MORE_MAX, MORE_EACH * (standing - 1)),
                district=one.district,
                mahalla=None if whole else one.mahalla,
                route=one.common.get("route"),
                source_id=name,
                since_ms=one.opened_ms,
                reason="incident",
                values={"alarms": standing},
            )
        )
    return problems


def _full_routes(picture: Picture, now_ms: int, settings: KpiSettings) -> list[Problem]:
    routes: dict[str, list[tuple[float, int]]] = defaultdict(list)
    for vehicle in picture.vehicles.values():
        newest = vehicle.newest
        if newest is None or newest.route is None or not in_service(vehicle, now_ms, settings.vehicle_stale_after_s):
            continue
        load = vehicle.load(settings.capacity_default)
        if load is not None:
            routes[newest.route].append((load, vehicle.capacity(settings.capacity_default)))
    problems = []
    for route, loads in routes.items():
        load = _mean_load(loads)
        if len(loads) >= VEHICLES_MIN and load >= LOAD_LIMIT:
            values: dict[str, float | str] = {"route": route, "load": round(load, 3), "vehicles": len(loads)}
            severity = _beyond(load / LOAD_LIMIT)
            problems.append(
                Problem(kind="route_overload", severity=severity, route=route, reason="route_overload", values=values)
            )
    return problems


def _of_areas(areas: Mapping[str, AreaIndicators]) -> list[Problem]:
    problems = []
    for code, area in areas.items():
        if len(code) != MAHALLA_DIGITS:
            continue
        district = code[:DISTRICT_DIGITS]
        if area.load is not None and area.load >= LOAD_LIMIT and area.vehicles >= VEHICLES_MIN:
            values: dict[str, float | str] = {"load": round(area.load, 3), "vehicles": area.vehicles}
            problems.append(
                Problem(
                    kind="mahalla_overload",
                    severity=_beyond(area.load / LOAD_LIMIT),
                    district=district,
                    mahalla=code,
                    reason="mahalla_overload",
                    values=values,
                )
            )
        if area.speed_kmh is not None and area.speed_kmh <= SPEED_LIMIT_KMH and area.moving >= VEHICLES_MIN:
            values = {"speed_kmh": round(area.speed_kmh, 1), "vehicles": area.moving}
            problems.append(
                Problem(
                    kind="mahalla_slow",
                    # Standing still is as far beyond as twice the limit is for a load.
                    severity=_beyond(2 - area.speed_kmh / SPEED_LIMIT_KMH),
                    district=district,
                    mahalla=code,
                    reason="mahalla_slow",
                    values=values,
                )
            )
    return problems


def _cameras(picture: Picture, now_ms: int, settings: KpiSettings) -> list[Problem]:
    known: dict[str, int] = defaultdict(int)
    offline: dict[str, list[int]] = defaultdict(list)
    for camera in picture.cameras.values():
        status = camera.status
        if status is None or status.district is None:
            continue
        known[status.district] += 1
        if camera_state(camera, now_ms, settings.camera_stale_after_s) == "offline":
            offline[status.district].append(status.measured_ms)
    problems = []
    for district, since in offline.items():
        share = len(since) / known[district]
        if known[district] >= CAMERAS_MIN and share >= CAMERAS_LIMIT:
            values: dict[str, float | str] = {"offline": len(since), "of": known[district], "share": round(share, 3)}
            problems.append(
                Problem(
                    kind="cameras_offline",
                    severity=_beyond(share / CAMERAS_LIMIT),
                    district=district,
                    since_ms=min(since),
                    reason="cameras_offline",
                    values=values,
                )
            )
    return problems


def _mean_load(loads: Sequence[tuple[float, int]]) -> float:
    return sum(load * places for load, places in loads) / sum(places for _, places in loads)


def _beyond(times_limit: float) -> float:
    """40 at the limit, 80 at twice the limit and beyond."""
    return round(LIMIT_SEVERITY + LIMIT_SPAN * min(1.0, max(0.0, times_limit - 1)), 1)
