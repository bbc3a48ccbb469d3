"""Why an alarm is suppressed by design: one reason at a time, the first of these that holds.

    <rule>      a standing alarm of another rule, that nothing holds, explains it (`suppressed_by`); an alarm of a feed
                explains only what goes by that feed's data
    chattering  it rose `chatter_rises` times within `chatter_window_s`, and was not quiet for `chatter_quiet_s` since
    flood       it rose while more alarms came than an operator can take, and is of no importance by comparison

The enhanced methods of ISA-18.2-2016 (IEC 62682): state-based suppression, chattering, floods. A flood is counted over
the time before now, not by windows on the clock as reports do: it must be known while it lasts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from analysis.alarm_index import CHATTERING, FLOOD, AlarmIndex
from analysis.detectors.finding import Finding
from city.alarms import Alarm, AlarmPriority
from city.events import CameraEvent, CameraStatus, FuelReading, PassengerCount, SensorReading, VehiclePosition
from city.rules.nuisance import Nuisance

# The feeds that bring what detectors take. Feeds of the settings (`ingest.mappings`) may bring anything: they are not
# here, and explain nothing.
FEEDS: Mapping[type, frozenset[str]] = {
    VehiclePosition: frozenset({"vehicle/position", "hfp", "gtfs_rt/vehicle", "traccar/position", "owntracks"}),
    PassengerCount: frozenset({"vehicle/passengers", "waltti_apc"}),
    FuelReading: frozenset({"vehicle/fuel", "traccar/fuel"}),
    CameraEvent: frozenset({"camera/event", "frigate/event", "frigate/review"}),
    CameraStatus: frozenset({"camera/status", "frigate/available"}),
    SensorReading: frozenset({"sensor/reading"}),
    Finding: frozenset({"sensor/reading"}),  # networks fail by what is found of their sensors
}
_MEMORY = "nuisance:"


class Rises(Struct, frozen=True, omit_defaults=True):
    """An alarm's last rises."""

    at_ms: tuple[int, ...] = ()
    restless_ms: int | None = None  # while it chatters: when it last rose or cleared


class Flood(Struct, frozen=True, omit_defaults=True):
    """The newest announcements of all alarms: as many as make a flood."""

    announced_ms: tuple[int, ...] = ()
    since_ms: int | None = None  # None: no flood


_encode = msgspec.json.Encoder().encode
_decode_rises = msgspec.json.Decoder(Rises).decode
_decode_flood = msgspec.json.Decoder(Flood).decode
_CALM, _DRY = Rises(), Flood()


@dataclass(slots=True)
class Suppression:
    """What suppresses alarms now. A rise costs the same with ten alarms and with ten thousand."""

    settings: Nuisance
    explained_by: Mapping[str, Sequence[str]]  # rule → rules whose standing alarm explains this one's
    index: AlarmIndex
    feeds: Mapping[str, Collection[str]]  # rule → the feeds that bring its data
    _explains: dict[str, list[str]] = field(init=False)
    _rises: dict[str, Rises] = field(default_factory=dict)
    _flood: Flood = _DRY
    _dirty: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._explains = {}
        for rule, causes in self.explained_by.items():
            for cause in causes:
                self._explains.setdefault(cause, []).append(rule)

    @property
    def in_flood(self) -> bool:
        return self._flood.since_ms is not None

    # --- what happens to alarms -------------------------------------------------------------------

    def rise(self, alarm_id: str, rule: str, priority: AlarmPriority, at_ms: int) -> str:
        """Why an alarm that rises now is suppressed from the start; empty: it is announced."""
        if priority is AlarmPriority.JOURNAL:
            return ""
        chatters = self._note(alarm_id, priority, at_ms)
        if cause := self._cause(rule):
            return cause
        if chatters:
            return CHATTERING
        return FLOOD if self.in_flood and priority.value in self.settings.flood_suppresses else ""

    def announced(self, at_ms: int) -> None:
        """A rise was announced: one too many begins a flood."""
        settings, flood = self.settings, self._flood
        if not settings.flood_suppresses:
            return
        most = settings.flood_rises + 1
        times = tuple(sorted((*flood.announced_ms, at_ms))[-most:])
        since_ms = flood.since_ms
        if since_ms is None and len(times) == most and times[-1] - times[0] <= settings.flood_window_s * 1000:
            since_ms = at_ms
        self._flood = Flood(times, since_ms)
        self._dirty.add(FLOOD)

    def cleared(self, alarm_id: str, at_ms: int) -> None:
        """An alarm returned to normal: one that chatters is not quiet."""
        known = self._rises.get(alarm_id, _CALM)
        if known.restless_ms is not None and at_ms > known.restless_ms:
            self._put(alarm_id, replace(known, restless_ms=at_ms))

    # --- what follows for others ------------------------------------------------------------------

    def why(self, alarm: Alarm) -> str:
        """Why a known alarm is to be suppressed now; empty: nothing suppresses it."""
        held = alarm.suppressed
        if (cause := self._cause(alarm.rule)) and (alarm.active or held is not None):
            return cause
        if self._rises.get(alarm.id, _CALM).restless_ms is not None:
            return CHATTERING
        since_ms = self._flood.since_ms
        if since_ms is None or alarm.priority.value not in self.settings.flood_suppresses:
            return ""
        # What was announced before the flood stays in the operator's list.
        in_it = held is not None and (held.reason == FLOOD or alarm.raised_ms >= since_ms)
        return FLOOD if in_it else ""

    def touched(self, rule: str) -> list[str]:
        """The alarms to look at again when a rule begins, or ceases, to have an alarm that explains others."""
        found = dict.fromkeys(self.index.suppressed(rule))
        if self.index.explaining(rule):
            for explained in self._explains.get(rule, ()):
                found.update(dict.fromkeys(self.index.standing(explained)))
        return sorted(found)

    def let_go(self, now_ms: int) -> list[str]:
        """The alarms to look at again because of the time: quiet for long enough, or the flood is over."""
        settings = self.settings
        window_ms, quiet_ms = settings.chatter_window_s * 1000, settings.chatter_quiet_s * 1000
        found: list[str] = []
        for name, known in list(self._rises.items()):
            if known.restless_ms is None:
                if not known.at_ms or now_ms - known.at_ms[-1] > window_ms:
                    self._put(name, None)
            elif now_ms - known.restless_ms >= quiet_ms:
                self._put(name, None)
                found.append(name)
        if self.in_flood and self._lately(now_ms) < settings.flood_clear:
            self._flood = replace(self._flood, since_ms=None)
            self._dirty.add(FLOOD)
        for reason in self.index.reasons():
            # Other settings since the last start may have taken a reason away.
            if not self._holds(reason):
                found += self.index.suppressed(reason)
        found += [name for name in self.index.suppressed(CHATTERING) if name not in self._rises]
        return sorted(set(found))

    # --- memory -----------------------------------------------------------------------------------

    def remember(self, memory: Mapping[str, bytes]) -> None:
        """Take up what `changed_memory` gave."""
        for name, value in memory.items():
            if not name.startswith(_MEMORY):
                continue
            key = name.removeprefix(_MEMORY)
            try:
                if key == FLOOD:
                    self._flood = _decode_flood(value)
                else:
                    self._rises[key] = _decode_rises(value)
            except msgspec.DecodeError:
                self._dirty.add(key)  # of another version: written anew

    def changed_memory(self) -> tuple[dict[str, bytes], list[str]]:
        """What to keep since the last `written`, and what to forget. Names begin with `nuisance:`."""
        kept: dict[str, bytes] = {}
        gone: list[str] = []
        for key in self._dirty:
            if key == FLOOD:
                kept[f"{_MEMORY}{key}"] = _encode(self._flood)
            elif (known := self._rises.get(key)) is not None:
                kept[f"{_MEMORY}{key}"] = _encode(known)
            else:
                gone.append(f"{_MEMORY}{key}")
        return kept, gone

    def written(self) -> None:
        """The store has it."""
        self._dirty.clear()

    # --- inside -----------------------------------------------------------------------------------

    def _cause(self, rule: str) -> str:
        return next((one for one in self.explained_by.get(rule, ()) if self._explained(rule, one)), "")

    def _explained(self, rule: str, cause: str) -> bool:
        # An alarm that is not of a feed has "" there, and explains whatever the settings say.
        return any(not feed or feed in self.feeds.get(rule, ()) for feed in self.index.explaining(cause))

    def _note(self, alarm_id: str, priority: AlarmPriority, at_ms: int) -> bool:
        """Remember a rise; whether the alarm chatters."""
        settings = self.settings
        if priority.value not in settings.chatter_suppresses:
            return False
        known = self._rises.get(alarm_id, _CALM)
        times = (*known.at_ms, at_ms)[-settings.chatter_rises :]
        restless_ms = known.restless_ms
        if restless_ms is not None:
            restless_ms = max(restless_ms, at_ms)
        elif len(times) == settings.chatter_rises and max(times) - min(times) <= settings.chatter_window_s * 1000:
            restless_ms = at_ms
        self._put(alarm_id, Rises(times, restless_ms))
        return restless_ms is not None

    def _put(self, alarm_id: str, rises: Rises | None) -> None:
        if rises is None:
            self._rises.pop(alarm_id, None)
        else:
            self._rises[alarm_id] = rises
        self._dirty.add(alarm_id)

    def _lately(self, now_ms: int) -> int:
        since_ms = now_ms - self.settings.flood_window_s * 1000
        return sum(at_ms > since_ms for at_ms in self._flood.announced_ms)

    def _holds(self, reason: str) -> bool:
        if reason == FLOOD:
            return self.in_flood
        return reason == CHATTERING or bool(self.index.explaining(reason))
