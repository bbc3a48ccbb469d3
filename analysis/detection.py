"""All detectors over all entities: events and time in, changed alarms out.

Deterministic but for the moment of a tick: the same events, from the same memory, give the same
alarms. What a crash between writing an alarm and writing the memory can leave apart, `settle` joins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, cast

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from analysis.alarmbook import AlarmBook, place_of
from analysis.detectors import camera_alert, camera_offline, feed_silent, fuel_drop, overload, rejects_full
from analysis.detectors.camera_alert import AlertState
from analysis.detectors.camera_offline import OfflineState
from analysis.detectors.feed_silent import SilenceState
from analysis.detectors.finding import Finding, key_of
from analysis.detectors.fuel_drop import FuelState
from analysis.detectors.overload import OverloadState
from analysis.detectors.rejects_full import FullState
from analysis.picture import Picture
from city.alarms import Alarm
from city.events import CameraEvent, CameraStatus, Event, FuelReading, PassengerCount, VehiclePosition
from city.messages import FeedCount
from city.settings import Alarms

# Between two ticks further apart nobody watched: the store was away, or this process was stopped.
BLIND_AFTER_MS = 5_000
# A vehicle that gave no fuel reading for so long is forgotten, unless its alarm stands.
FORGET_AFTER_MS = 86_400_000


class State(Protocol):
    """What every detector's state can say."""

    @property
    def raised_ms(self) -> int | None: ...

    @property
    def waits(self) -> bool: ...


S = TypeVar("S", bound=State)


class Memory(Struct, frozen=True, kw_only=True):
    """All that the detectors remember, by rule and key."""

    fuel_drop: dict[str, FuelState] = {}
    overload: dict[str, OverloadState] = {}
    camera_offline: dict[str, OfflineState] = {}
    camera_alert: dict[str, AlertState] = {}
    feed_silent: dict[str, SilenceState] = {}
    rejects_full: dict[str, FullState] = {}


@dataclass(slots=True)
class Detection:
    """The detectors of one city. Cheap where nothing happens: a position is one look at one state."""

    rules: Alarms
    capacity_default: int
    memory: Memory = field(default_factory=Memory)
    book: AlarmBook = field(default_factory=AlarmBook)
    picture: Picture = field(default_factory=Picture)
    ticked_ms: int = 0
    watching_since_ms: int = 0
    _waiting: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for rule, states in self._states().items():
            self._waiting[rule] = {key for key, state in states.items() if state.waits}

    def apply(self, events: Iterable[tuple[Event, bool]]) -> list[Alarm]:
        """Take a batch of (event, late) of one partition in; the alarms that it changed."""
        changed: list[Alarm] = []
        # The facets of a batch come one after another; the rules want them as they were measured.
        for event, late in sorted(events, key=lambda one: one[0].measured_ms):
            if not late:
                self.picture.apply(event)
            if not late or isinstance(event, CameraEvent):
                changed += self._apply(event)
        return changed

    def seed(self, now_ms: int) -> list[Alarm]:
        """Take the picture's newest states in, for what was said before the events that are still kept.

        Only camera statuses and young counts: an alert or a fuel level of long ago is no news.
        """
        young_ms = now_ms - int(self.rules.overload.forget_after_s * 1000)
        counts = [v.passengers for v in self.picture.vehicles.values() if v.passengers]
        events: list[Event] = [camera.status for camera in self.picture.cameras.values() if camera.status]
        events += [count for count in counts if count.measured_ms > young_ms]
        return [alarm for event in events for alarm in self._apply(event)]

    def tick(self, now_ms: int, feeds: Sequence[FeedCount]) -> list[Alarm]:
        """What the time alone brings, and what the feeds' counters say."""
        if now_ms - self.ticked_ms > BLIND_AFTER_MS:
            self.watching_since_ms = now_ms
        self.ticked_ms = now_ms
        changed = self._delays(now_ms)
        for count in feeds:
            silence = self.memory.feed_silent.get(count.feed) or SilenceState(feed=count.feed)
            found = feed_silent.step(silence, count, now_ms, self.watching_since_ms, self.rules.feed_silent)
            changed += self._keep("feed_silent", count.feed, found)
        return changed

    def weigh_rejects(self, size_bytes: int, max_bytes: int, now_ms: int) -> list[Alarm]:
        """What the size of the reject stream says."""
        state = self.memory.rejects_full.get(rejects_full.KEY) or FullState()
        found = rejects_full.step(state, size_bytes, max_bytes, now_ms, self.rules.rejects_full)
        return self._keep("rejects_full", rejects_full.KEY, found)

    def adopt(self) -> None:
        """Hold the alarms that stand in the book and that no event would raise again."""
        for alarm in self.book.open():
            if alarm.rule == rejects_full.RULE and rejects_full.KEY not in self.memory.rejects_full:
                self.memory.rejects_full[rejects_full.KEY] = FullState(raised_ms=alarm.raised_ms)
                self._waiting["rejects_full"].add(rejects_full.KEY)
            if alarm.rule == feed_silent.RULE and alarm.source_id not in self.memory.feed_silent:
                silent_ms = round(float(alarm.values.get("silent_s", 0)) * 1000)
                self.memory.feed_silent[alarm.source_id] = SilenceState(
                    feed=alarm.source_id, last_ms=alarm.raised_ms - silent_ms, raised_ms=alarm.raised_ms
                )
                self._waiting["feed_silent"].add(alarm.source_id)

    def settle(self, now_ms: int) -> list[Alarm]:
        """Make book and memory agree once all events are read again; the alarms that it changed.

        They differ only where a tick came between the last checkpoint and a crash.
        """
        # What a tick had raised by then is due now too.
        changed = self._delays(now_ms)
        states = self._states()
        for alarm in self.book.open():
            key = key_of(alarm.id)
            held = states.get(alarm.rule, {}).get(key)
            if held is None or held.raised_ms is None:
                changed.append(self.book.end(alarm, now_ms))
            elif held.raised_ms != alarm.raised_ms:
                cast("dict[str, State]", states[alarm.rule])[key] = replace(held, raised_ms=alarm.raised_ms)  # type: ignore[type-var]
        standing = {(alarm.rule, key_of(alarm.id)) for alarm in self.book.open()}
        for rule, of_rule in states.items():
            for key, state in of_rule.items():
                if state.raised_ms is None or (rule, key) in standing:
                    continue
                known = self.book.alarms.get(f"{rule}:{key}:{state.raised_ms}")
                if known is not None:
                    changed.append(self.book.reopen(known, now_ms))
        return changed

    def forget(self, now_ms: int) -> None:
        """Drop what can say nothing more: vehicles and cameras that left."""
        memory, oldest_ms = self.memory, now_ms - FORGET_AFTER_MS
        for vehicle_id, tank in list(memory.fuel_drop.items()):
            position = vehicle.position if (vehicle := self.picture.vehicles.get(vehicle_id)) else None
            if not tank.waits and max(tank.seen_ms, position.measured_ms if position else 0) < oldest_ms:
                del memory.fuel_drop[vehicle_id]
        for key, alert in list(memory.camera_alert.items()):
            if not alert.waits and alert.ended_ms < oldest_ms:
                del memory.camera_alert[key]

    def _delays(self, now_ms: int) -> list[Alarm]:
        """What is due by now: ends of delays."""
        rules, memory = self.rules, self.memory
        changed: list[Alarm] = []
        for key in sorted(self._waiting["fuel_drop"]):
            changed += self._keep("fuel_drop", key, fuel_drop.tick(memory.fuel_drop[key], now_ms, rules.fuel_drop))
        for key in sorted(self._waiting["overload"]):
            changed += self._keep("overload", key, overload.tick(memory.overload[key], now_ms, rules.overload))
        for key in sorted(self._waiting["camera_offline"]):
            camera = camera_offline.tick(memory.camera_offline[key], now_ms, rules.camera_offline)
            changed += self._keep("camera_offline", key, camera)
        for key in sorted(self._waiting["camera_alert"]):
            alert = camera_alert.tick(memory.camera_alert[key], now_ms, rules.camera_alert)
            changed += self._keep("camera_alert", key, alert)
        return changed

    def _apply(self, event: Event) -> list[Alarm]:
        memory, rules = self.memory, self.rules
        if isinstance(event, VehiclePosition):
            tank = memory.fuel_drop.get(event.vehicle_id)
            # A vehicle without a gauge has no tank to watch; what it did before its first reading is no matter.
            if tank is not None and (moved := fuel_drop.motion(tank, event, rules.fuel_drop)) is not tank:
                memory.fuel_drop[event.vehicle_id] = moved
            return []
        if isinstance(event, PassengerCount):
            key = event.vehicle_id
            count = memory.overload.get(key) or OverloadState(vehicle_id=key)
            return self._keep("overload", key, overload.step(count, event, rules.overload, self.capacity_default))
        if isinstance(event, FuelReading):
            return self._fuel(event)
        if isinstance(event, CameraStatus):
            key = event.camera_id
            camera = memory.camera_offline.get(key) or OfflineState(camera_id=key)
            return self._keep("camera_offline", key, camera_offline.step(camera, event, rules.camera_offline))
        if isinstance(event, CameraEvent):
            known = memory.camera_alert.get(event.key)
            if known is None and not camera_alert.alerts(event, rules.camera_alert):
                return []
            alert = known or AlertState(camera_id=event.camera_id, kind=event.kind)
            return self._keep("camera_alert", event.key, camera_alert.step(alert, event, rules.camera_alert))
        return []

    def _fuel(self, reading: FuelReading) -> list[Alarm]:
        vehicle_id, rule = reading.vehicle_id, self.rules.fuel_drop
        vehicle = self.picture.vehicles.get(vehicle_id)
        position = vehicle.position if vehicle else None
        tank = self.memory.fuel_drop.get(vehicle_id)
        if tank is None:
            tank = FuelState(vehicle_id=vehicle_id)
            if position is not None and position.measured_ms <= reading.measured_ms:
                tank = fuel_drop.motion(tank, position, rule)
        motion_ms = position.measured_ms if position else None
        return self._keep("fuel_drop", vehicle_id, fuel_drop.step(tank, reading, rule, motion_ms))

    def _keep(self, rule: str, key: str, found: tuple[S, list[Finding]]) -> list[Alarm]:
        """Remember a detector's new state and put its findings into the book."""
        state, findings = found
        states = cast("dict[str, S]", getattr(self.memory, rule))
        if state.waits:
            states[key] = state
            self._waiting[rule].add(key)
        else:
            self._waiting[rule].discard(key)
            if rule in _KEPT_AT_REST:
                states[key] = state
            else:
                states.pop(key, None)
        if not findings:
            return []
        priority = cast("str", getattr(self.rules, rule).priority)
        alarms = [
            self.book.take(one, priority, place_of(self.picture, one.source_kind, one.source_id)) for one in findings
        ]
        return [alarm for alarm in alarms if alarm is not None]

    def _states(self) -> Mapping[str, Mapping[str, State]]:
        memory = self.memory
        return {
            fuel_drop.RULE: memory.fuel_drop,
            overload.RULE: memory.overload,
            camera_offline.RULE: memory.camera_offline,
            camera_alert.RULE: memory.camera_alert,
            feed_silent.RULE: memory.feed_silent,
            rejects_full.RULE: memory.rejects_full,
        }


# These remember something even where no alarm is near: tank levels, ends of alerts.
_KEPT_AT_REST = frozenset({fuel_drop.RULE, camera_alert.RULE})

encode_memory: Callable[[Memory], bytes] = msgspec.json.Encoder().encode
decode_memory: Callable[[bytes], Memory] = msgspec.json.Decoder(Memory).decode
