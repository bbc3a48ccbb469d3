"""What the replay's process does: reads the past and makes of it what the browser plays.

For one thread. `dashboard.replay` starts it; nothing of this is loaded in the process that serves the live screens.
"""

from __future__ import annotations

import time
from typing import Any

from analysis.replay import HourLook, PlaySettings, fitted, sample
from analysis.replay_alarms import AlarmThen, take
from city.areas import Areas, load_areas
from city.config import Config
from city.events import CameraStatus, Event, Facet, SensorReading
from city.store import Store, now_ms
from dashboard.frames import VehicleTable
from dashboard.replay_archive import open_archive
from dashboard.replay_frames import SAMPLES_MAX, AlarmChange, AlarmSpan, Bounds, alarm_then, chunk_bytes
from dashboard.replay_log import PastAlarms
from dashboard.replay_rows import PastRows

_PLACES_EVERY_S = 60.0


class Replay:
    """Answers about the past."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._store = Store.of(config, timeout_s=10.0)
        self._areas = load_areas(config.city_dir)
        self._log = PastAlarms(config, self._store)
        self._places = _Places(self._store, self._areas)
        self._settings = PlaySettings(
            gone_after_ms=int(config.live.vehicle_gone_after_s * 1000),
            stale_after_ms=int(config.live.vehicle_stale_after_s * 1000),
            count_stale_after_ms=int(config.kpis.count_stale_after_s * 1000),
            capacity_default=config.kpis.capacity_default,
        )
        areas = tuple(self._areas.by_code)
        self._rows = PastRows(self._store, open_archive(config), areas, self._settings.gone_after_ms)
        self._box = VehicleTable(
            config.profile.bounds,
            config.ingest.checks.area_margin_m,
            capacity_default=config.kpis.capacity_default,
            stale_after_s=config.live.vehicle_stale_after_s,
            count_stale_after_s=config.kpis.count_stale_after_s,
            gone_after_s=config.live.vehicle_gone_after_s,
        ).box

    def bounds(self) -> Bounds:
        self._rows.refresh()
        return Bounds(first_ms=self._rows.first_ms(), last_ms=now_ms())

    def hours(self, from_ms: int, to_ms: int) -> dict[int, int]:
        """How many positions there are in each hour of a span."""
        self._rows.refresh()
        return self._rows.hours(from_ms, to_ms)

    def hour(self, hour_ms: int) -> HourLook:
        self._rows.refresh()
        return self._rows.look(hour_ms)

    def chunk(self, from_ms: int, every_ms: int, samples: int) -> bytes:
        """All vehicles at `samples` moments, `every_ms` apart; at more of them where a silence would hide between."""
        known_ms = now_ms()
        self._rows.refresh()
        settings = self._settings
        every_ms, samples = fitted(every_ms, samples, settings.stale_after_ms, SAMPLES_MAX)
        to_ms = from_ms + every_ms * samples
        # A vehicle between two positions needs the one behind, and counts hold longer than positions do.
        tracks, everybody = self._rows.tracks(from_ms - every_ms, to_ms + settings.stale_after_ms)
        counts = self._rows.counts(from_ms - settings.count_stale_after_ms, to_ms)
        found = sample(tracks, counts, from_ms, every_ms, samples, settings)
        areas = len(self._areas.by_code)
        return chunk_bytes(found, every_ms, known_ms, self._box, areas, settings, everybody=everybody)

    def alarms(self, from_ms: int, to_ms: int) -> AlarmSpan:
        """The alarms at `from_ms` as the operator saw them then, and what changed until `to_ms`."""
        known_ms = now_ms()
        then, later = self._log.span(from_ms, to_ms)
        begun = [self._row(one) for one in then.values()]
        changes = []
        for at_ms, transition in later:
            if transition is None:
                changes += [AlarmChange(at_ms=at_ms, id=name, alarm=None) for name in then]
                then.clear()
                continue
            take(then, transition)
            now = then.get(transition.alarm)
            row = None if now is None else self._row(now)
            changes.append(AlarmChange(at_ms=at_ms, id=transition.alarm, alarm=row))
        return AlarmSpan(from_ms=from_ms, to_ms=to_ms, known_ms=known_ms, alarms=begun, changes=changes)

    def _row(self, then: AlarmThen) -> dict[str, Any]:
        return alarm_then(then, self._places.of(then))


class _Places:
    """Where an alarm is drawn: the log does not say it, but its source stands somewhere, or its area does."""

    def __init__(self, store: Store, areas: Areas) -> None:
        self._store, self._areas = store, areas
        self._known: dict[tuple[str, str], tuple[float, float]] = {}
        self._asked_at = -_PLACES_EVERY_S

    def of(self, then: AlarmThen) -> tuple[float, float] | None:
        """Latitude and longitude; of a vehicle its area's, because the page knows better where the vehicle was."""
        alarm = then.alarm
        if alarm.source_kind in {"camera", "sensor"}:
            if time.monotonic() - self._asked_at > _PLACES_EVERY_S:
                self._asked_at = time.monotonic()
                self._ask()
            if (found := self._known.get((alarm.source_kind, alarm.source_id))) is not None:
                return found
        area = self._areas.by_code.get(alarm.mahalla or "") or self._areas.by_code.get(alarm.district or "")
        if area is None:
            return None
        point = area.polygon.representative_point()
        return point.y, point.x

    def _ask(self) -> None:
        for facet in (Facet.CAMERA_STATUS, Facet.SENSOR):
            for event in self._store.latest(facet):
                self._note(event)

    def _note(self, event: Event) -> None:
        match event:
            case CameraStatus(lat=float(lat), lon=float(lon)):
                self._known["camera", event.camera_id] = lat, lon
            case SensorReading(lat=float(lat), lon=float(lon)):
                self._known["sensor", event.sensor_id] = lat, lon
