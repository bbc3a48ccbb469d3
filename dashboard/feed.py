"""One reader of Redis a process: the city's state for every screen and for the API.

Two threads read (events; alarms, counters and samples) and hand what they found to the event
loop, where alone the state changes: nothing here needs a lock. When the store is lost the
state stays, is known to be old, and is read anew when the store is back.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog
from msgspec import MsgspecError

from analysis.feed_rates import FeedRates
from analysis.fuel_meter import FuelMeter, decode_meter
from analysis.incident_members import home
from analysis.picture import Picture
from analysis.samples import KPIS, KpiSample, read_kpi_sample
from analysis.workers import WorkerLooks
from city.alarms import Alarm, AlarmState
from city.archive_figures import ArchiveFigures
from city.config import Config
from city.events import Event, Facet, TripUpdate, VehicleEvent
from city.incidents import Incident
from city.messages import FeedCount, WorkerFigures
from city.store import RejectsKept, Store, StoreDown, StoreRefused, now_ms

log = structlog.get_logger()

# A hung store must be seen within the five seconds in which a page has to say so.
_STORE_TIMEOUT_S = 2.5
_EVENTS_BLOCK_MS = 500
_ALARMS_BLOCK_MS = 500
_COUNTS_EVERY_S = 1.0
_READERS = ("events", "summary")
# Both read at least every half second; a longer silence than the store's time-out is a fault.
_READER_SILENT_MS = 4000
_DAY_MS = 86_400_000
# A little more than a day of samples, so that "a day ago" has neighbours on both sides.
_SAMPLES_BACK_MS = _DAY_MS + 600_000
_SAMPLES_SLACK_MS = 600_000


@dataclass(slots=True)
class CityState:
    """What the screens show, all of it from Redis."""

    picture: Picture = field(default_factory=Picture)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    incidents: dict[str, Incident] = field(default_factory=dict)  # open, closed not long ago, or owing
    rates: FeedRates = field(default_factory=FeedRates)
    workers: WorkerLooks = field(default_factory=WorkerLooks)
    rejects_kept: RejectsKept | None = None  # None until the store was asked
    archive: ArchiveFigures | None = None  # None where no archive was ever written
    meter: FuelMeter = field(default_factory=lambda: FuelMeter(window_s=900))
    samples: list[tuple[int, KpiSample]] = field(default_factory=list)  # KPIs of a day, oldest first
    store_up: bool = False
    store_since_ms: int = 0  # since when it is up or down
    read_ms: int = 0  # when the store was last heard

    def moment_ms(self) -> int:
        """Now, or the last moment that the store was heard: what is shown stands still with it."""
        return now_ms() if self.store_up else self.read_ms

    def open_alarms(self) -> list[Alarm]:
        """The alarms of the operator's list, newest first."""
        return sorted((a for a in self.alarms.values() if a.announced), key=lambda a: (-a.raised_ms, a.id))


class Feed:
    """Keeps a CityState true; calls back on the event loop after every change.

    `on_events` gets the events of one read, or None when the picture was read anew; `on_summary` is called when
    alarms, counters or the store's health changed.
    """

    def __init__(
        self,
        config: Config,
        on_events: Callable[[list[Event] | None], None],
        on_summary: Callable[[], None],
    ) -> None:
        self.state = CityState(meter=FuelMeter(window_s=config.kpis.fuel_window_s), store_since_ms=now_ms())
        self._config = config
        self._on_events = on_events
        self._on_summary = on_summary
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._threads: list[threading.Thread] = []
        self._heard_ms: dict[str, int] = {}  # by reader, since the last loss

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        for target in (self._follow_events, self._follow_summary):
            thread = threading.Thread(target=target, name=target.__name__, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=_STORE_TIMEOUT_S + 1)

    # --- threads ----------------------------------------------------------------------------

    def _follow_events(self) -> None:
        tick_s = self._config.live.frame_every_ms / 1000

        def read(store: Store) -> None:
            cursors = store.tips()
            picture = Picture()
            gone_ms = now_ms() - int(self._config.live.vehicle_gone_after_s * 1000)
            for facet in Facet:
                for event in store.latest(facet):
                    if not isinstance(event, VehicleEvent | TripUpdate) or event.measured_ms >= gone_ms:
                        picture.apply(event)
            self._post(lambda: self._take_picture(picture))
            while not self._stop.is_set():
                entries = store.read_events(cursors, block_ms=_EVENTS_BLOCK_MS, count=200)
                events = [stored.event for entry in entries for stored in entry.events if not stored.late]
                self._post(lambda events=events: self._take_events(events))  # type: ignore[misc]
                # Pacing: events wait in the stream, where they cost nothing, until the next frame.
                self._stop.wait(tick_s if events else 0)

        self._keep_reading(read)

    def _follow_summary(self) -> None:
        def read(store: Store) -> None:
            cursor, incident_cursor = store.alarm_tip(), store.incident_tip()
            alarms = {alarm.id: alarm for alarm in store.alarms()}
            incidents = {one.id: one for one in store.incidents()}
            samples = _read_samples(store, now_ms() - _SAMPLES_BACK_MS)
            # A meter that begins anew would tell a few minutes' use from a few metres.
            meter = self._meter_of_history(store)
            self._post(lambda: self._take_summary(alarms, incidents, samples, meter))
            newest_ms = samples[-1][0] if samples else now_ms() - _SAMPLES_BACK_MS
            counts_due = 0.0
            while not self._stop.is_set():
                cursor, changed = store.read_alarms(cursor, block_ms=_ALARMS_BLOCK_MS)
                # Written together, shown together: an alarm never stands alone for a moment beside its incident.
                incident_cursor, joined = store.read_incidents(incident_cursor, block_ms=1)
                if changed or joined:
                    self._post(lambda changed=changed, joined=joined: self._take_alarms(changed, joined))  # type: ignore[misc]
                if time.monotonic() >= counts_due:
                    counts_due = time.monotonic() + _COUNTS_EVERY_S
                    feeds = store.counts()
                    workers, kept = store.workers(), store.rejects_kept()
                    archive = store.archive_figures()
                    fresh = _read_samples(store, newest_ms + 1)
                    newest_ms = fresh[-1][0] if fresh else newest_ms
                    self._post(
                        lambda feeds=feeds, workers=workers, kept=kept, archive=archive, fresh=fresh: self._take_counts(  # type: ignore[misc]
                            feeds, workers, kept, archive, fresh
                        )
                    )

        self._keep_reading(read)

    def _meter_of_history(self, store: Store) -> FuelMeter:
        """The meter as the history worker last kept it; an empty one where it kept none."""
        window_s = self._config.kpis.fuel_window_s
        _, kept = store.checkpoint("history")
        try:
            return decode_meter(kept, window_s) if kept else FuelMeter(window_s)
        except MsgspecError:
            return FuelMeter(window_s)  # another version's; the new one fills within the window

    def _keep_reading(self, read: Callable[[Store], None]) -> None:
        """Run `read` again whenever the store fails it, after a short pause with jitter."""
        store = Store.of(self._config, timeout_s=_STORE_TIMEOUT_S)
        while not self._stop.is_set():
            try:
                read(store)
            except (StoreDown, StoreRefused) as error:
                reason = str(error)
                self._post(lambda reason=reason: self._take_loss(reason))  # type: ignore[misc]
                self._stop.wait(random.uniform(0.2, 0.8))
            except Exception:
                # A bug must not leave a map that stands still under a sign that says "live".
                log.exception("reader_failed", reader=read.__qualname__)
                self._post(lambda: self._take_loss("a reader failed"))
                self._stop.wait(1.0)
        store.close()

    def _post(self, take: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed() and not self._stop.is_set():
            self._loop.call_soon_threadsafe(take)

    # --- on the event loop --------------------------------------------------------------------

    def _take_picture(self, picture: Picture) -> None:
        self.state.picture = picture
        self._heard("events")
        self._on_events(None)

    def _take_events(self, events: list[Event]) -> None:
        self._heard("events")
        if events:
            for event in events:
                self.state.picture.apply(event)
                self.state.meter.apply(event)
            self._on_events(events)

    def _take_summary(
        self,
        alarms: dict[str, Alarm],
        incidents: dict[str, Incident],
        samples: list[tuple[int, KpiSample]],
        meter: FuelMeter,
    ) -> None:
        self.state.alarms = alarms
        self.state.incidents = incidents
        self.state.meter = meter
        self.state.samples = samples
        self._heard("summary")
        self._on_summary()

    def _take_alarms(self, changed: list[Alarm], incidents: list[Incident]) -> None:
        for alarm in changed:
            self.state.alarms[alarm.id] = alarm
        for incident in incidents:
            self.state.incidents[incident.id] = incident
        self._heard("summary")
        self._on_summary()

    def _take_counts(
        self,
        feeds: list[FeedCount],
        workers: list[WorkerFigures],
        kept: RejectsKept,
        archive: ArchiveFigures | None,
        fresh: list[tuple[int, KpiSample]],
    ) -> None:
        state = self.state
        now = now_ms()
        state.rates.update(feeds, now)
        state.workers.update(workers)
        state.rejects_kept = kept
        state.archive = archive
        state.samples += fresh
        while state.samples and state.samples[0][0] < now - _SAMPLES_BACK_MS - _SAMPLES_SLACK_MS:
            # In steps, because shortening a list from its head moves all of it.
            del state.samples[: bisect_left(state.samples, now - _SAMPLES_BACK_MS, key=lambda sample: sample[0])]
        keep_after = now - int(self._config.store.alarms_keep_s * 1000)
        for gone in [i for i, a in state.alarms.items() if a.state is AlarmState.NORMAL and a.updated_ms < keep_after]:
            del state.alarms[gone]
        for over in forgotten_incidents(state.incidents, keep_after):
            del state.incidents[over]
        self._heard("summary")
        self._on_summary()

    def check(self) -> None:
        """Notice a reader that has fallen silent; called with every beat."""
        now = now_ms()
        silent = [reader for reader, at in self._heard_ms.items() if now - at > _READER_SILENT_MS]
        if silent:
            self._take_loss(f"nothing heard by the reader of {', '.join(silent)}")

    def _take_loss(self, reason: str) -> None:
        self._heard_ms.clear()
        if self.state.store_up:
            log.warning("store_lost", reason=reason)
            self.state.store_up = False
            self.state.store_since_ms = now_ms()
            self._on_summary()

    def _heard(self, reader: str) -> None:
        """The store is up when both readers hear it."""
        now = now_ms()
        self._heard_ms[reader] = now
        if len(self._heard_ms) < len(_READERS):
            return
        self.state.read_ms = now
        if not self.state.store_up:
            log.info("store_reached")
            self.state.store_up = True
            self.state.store_since_ms = now
            self._on_summary()


def forgotten_incidents(incidents: Mapping[str, Incident], keep_after_ms: int) -> list[str]:
    """Incidents that closed before then, but for those whose alarms are in one that is still open.

    One whose promise is not kept yet stays too: the next shift is told of it.
    """
    old = [
        name
        for name, one in incidents.items()
        if one.closed_ms is not None and one.closed_ms < keep_after_ms and not _owes(one)
    ]
    kept = {name for name in old if (found := home(name, incidents)) is not None and found.open}
    return [name for name in old if name not in kept]


def _owes(one: Incident) -> bool:
    return one.merged_into is None and any(promise.kept_ms is None for promise in one.promises)


def _read_samples(store: Store, since_ms: int) -> list[tuple[int, KpiSample]]:
    return [(at, read_kpi_sample(sample)) for at, sample in store.samples(KPIS, since_ms)]
