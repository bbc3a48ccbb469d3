"""The process that watches: event streams in, alarms out.

It begins, the first time, with the oldest events that are kept (store.events_keep_s), so that what
went wrong just before is found too. Alarms, their transitions, what the detectors remember and where reading
stopped are written in one go: killed at any moment it goes on behind what the store has, and no transition is
lost or told twice. After an outage of the store it begins again from what the store has, for the same reason.

While the store is away nobody can hear the feeds: their silence counts from the moment it is back.
The same holds for this process's own absence.
"""

from __future__ import annotations

import argparse
import contextlib
import secrets
import shutil
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import structlog

from analysis.detection import Detection
from analysis.detectors.seen import ArchiveSeen, ArrivalSeen, DiskSeen, FeedSeen, RejectsSeen, StoreSeen, WorkerSeen
from analysis.notifier import Notifier
from analysis.routes import Routes
from analysis.schedule import Clock
from analysis.workers import WorkerLooks
from city.alarm_store import AlarmCommit, Changed, ChangedIncident, Remembered
from city.areas import AreasError
from city.config import Config
from city.events import Facet
from city.routes import RoutesError, load_routes
from city.rules import Alarms
from city.store import Entry, Store, StoreFenced
from ingest.follow import follow, stop_on_signals
from ingest.outwards import Outwards

log = structlog.get_logger()

TICK_EVERY_MS = 1_000
FORGET_EVERY_MS = 60_000
DISK_EVERY_MS = 60_000
# Operators change alarms too; each try is a round trip later.
TRIES = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The process has no options of its own."""
    parser.description = "Watch the city: detect alarms in the event streams and write them to the store."


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Watch until SIGTERM or Ctrl-C; 0. 1 when another process watches instead, 2 when settings cannot be used."""
    del arguments
    stop = stop_on_signals()
    try:
        routes = Routes(load_routes(config.city_dir))
        outwards = Outwards(config, stop)
    except (RoutesError, AreasError, OSError) as error:
        log.error("alarms_stopped", error=str(error))
        return 2
    store = Store.of(config)
    try:
        outwards.start()
        follow(store, AlarmWorker(store, config, routes), stop)
    except StoreFenced as fenced:
        log.error("alarms_stopped", error=str(fenced))
        return 1
    finally:
        outwards.end()
        store.close()
    return 1 if outwards.failed else 0


class AlarmWorker:
    """Feeds the detectors and writes what they change."""

    name = "alarms"
    anew = True
    facets: tuple[Facet, ...] = tuple(facet for facet in Facet if facet is not Facet.CASE_LIST)

    def __init__(self, store: Store, config: Config, routes: Routes = Routes()) -> None:  # noqa: B008 - frozen
        self._store, self._config, self._routes = store, config, routes
        self._clock = Clock(ZoneInfo(config.profile.timezone))
        self._owner = ""
        self._detection = self._fresh()
        self._notifier = self._fresh_notifier()
        self._log_unread = False
        self._alarm_cursor = self._incident_cursor = ""
        self._beat_ms: int | None = None  # the last one, of any beginning
        self._lost_since_ms: int | None = None
        self._next_tick_ms = 0
        self._next_forget_ms = 0
        self._next_disk_ms = 0
        self._arrivals = WorkerLooks()

    def begin(self) -> Mapping[int, str]:
        self._lost_since_ms = self._beat_ms
        # A new name at each beginning: what an earlier one still has on its way is refused.
        self._owner = secrets.token_hex(8)
        cursors, memory = self._store.own_alarms(self._owner)
        self._alarm_cursor, self._incident_cursor = self._store.alarm_tip(), self._store.incident_tip()
        detection = self._fresh()
        for facet in self.facets:
            for event in self._store.latest(facet):
                detection.picture.apply(event)
        detection.restore(self._store.alarms(), self._store.incidents())
        detection.remember(memory)
        notifier = self._fresh_notifier()
        notifier.remember(memory, detection.book.alarms)
        if notifier.wanted and not notifier.cursor:
            notifier.begin(self._store.alarm_log_tip())
        self._detection, self._notifier, self._log_unread = detection, notifier, True
        return cursors

    def take(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._detection.apply([(stored.event, stored.late) for stored in entry.events])

    def caught_up(self, now_ms: int) -> None:
        self._detection.seed(now_ms)
        self._detection.settle(now_ms)
        if self._lost_since_ms is not None:
            self._detection.see(StoreSeen(lost_since_ms=self._lost_since_ms, now_ms=now_ms))
            self._detection.see(StoreSeen(lost_since_ms=None, now_ms=now_ms))
            self._lost_since_ms = None

    def beat(self, now_ms: int) -> None:
        detection, self._beat_ms = self._detection, now_ms
        # What operators do: holds and acknowledgements end by the clock here.
        self._alarm_cursor, alarms = self._store.read_alarms(self._alarm_cursor, block_ms=1)
        self._incident_cursor, incidents = self._store.read_incidents(self._incident_cursor, block_ms=1)
        detection.learn(alarms, incidents)
        self._notify(now_ms, changed=bool(alarms))
        if now_ms >= self._next_tick_ms or now_ms < self._next_tick_ms - TICK_EVERY_MS:
            detection.tick(now_ms)
            self._look(now_ms)
            self._next_tick_ms = now_ms + TICK_EVERY_MS
        if now_ms >= self._next_forget_ms:
            before_ms = now_ms - int(self._config.store.alarms_keep_s * 1000)
            detection.book.forget(before_ms)
            detection.incidents.forget(before_ms)
            self._next_forget_ms = now_ms + FORGET_EVERY_MS

    def keep(self, cursors: Mapping[int, str], *, due: bool) -> int | None:
        detection, notifier = self._detection, self._notifier
        if not due and not detection.book.changed and not detection.incidents.changed and not notifier.notices:
            return None
        fields, forgotten = detection.changed_memory()
        told, untold = notifier.changed_memory()
        fields |= told
        remembered = Remembered(owner=self._owner, cursors=cursors, fields=fields, forgotten=[*forgotten, *untold])
        for _ in range(TRIES):
            commit = AlarmCommit(
                alarms=[Changed(before, after) for before, after in detection.book.changes()],
                transitions=list(detection.book.transitions()),
                incidents=[ChangedIncident(before, after) for before, after in detection.incidents.changes()],
                entries=detection.incidents.entries(),
                notices=list(notifier.notices),
                remembered=remembered,
            )
            others = self._store.commit_alarms(commit, keep_s=self._config.store.alarms_keep_s)
            if not others:
                break
            # An operator was first: what happened is said again of the alarm, or the incident, as it is now.
            detection.rebase(
                {name: self._store.alarm(name) for name in others.alarms},
                {name: self._store.incident(name) for name in others.incidents},
            )
        else:
            log.warning("alarms_contended", alarms=len(others.alarms), incidents=len(others.incidents))
            return None
        if commit.transitions:
            log.info("alarms_changed", transitions=len(commit.transitions), standing=len(detection.book.standing()))
        detection.written()
        notifier.written()
        return sum(map(len, fields.values()))

    def _notify(self, now_ms: int, *, changed: bool) -> None:
        """Make notices of what the log tells: our own transitions, which the store has by now, and operators' acts.

        Not of the transitions in hand: receivers would hear of an alarm's end before the acknowledgement that was
        first.
        """
        store, notifier, alarms = self._store, self._notifier, self._detection.book.alarms
        if not notifier.wanted:
            return
        # Every transition comes with a change of its alarm: without one there is nothing new in the log.
        self._log_unread = self._log_unread or changed
        while self._log_unread:
            cursor, transitions = store.alarm_log_after(notifier.cursor)
            for transition in transitions:
                notifier.take(transition, alarms.get(transition.alarm))
            self._log_unread = cursor != notifier.cursor
            notifier.read_to(cursor)
        notifier.tick(alarms, now_ms)

    def _look(self, now_ms: int) -> None:
        """Show the detectors what no event tells: counters, sizes, workers, the disk."""
        detection, store = self._detection, self._store
        for count in store.counts():
            detection.see(FeedSeen(count=count, now_ms=now_ms))
        size_bytes, max_bytes = store.rejects_kept().size_bytes, self._config.store.rejects_max_bytes
        detection.see(RejectsSeen(size_bytes=size_bytes, max_bytes=max_bytes, now_ms=now_ms))
        workers = store.workers()
        for figures in workers:
            detection.see(WorkerSeen(figures=figures, now_ms=now_ms))
        self._arrivals.update(workers)
        for feed, arrival in self._arrivals.arrivals(now_ms).items():
            detection.see(ArrivalSeen(feed=feed, arrival=arrival, now_ms=now_ms))
        if (archive := store.archive_figures()) is not None:
            detection.see(ArchiveSeen(figures=archive, now_ms=now_ms))
        if now_ms >= self._next_disk_ms:
            self._next_disk_ms = now_ms + DISK_EVERY_MS
            with contextlib.suppress(OSError):  # a data folder that is not there is not filling
                used = shutil.disk_usage(self._config.data_dir)
                detection.see(DiskSeen(free_bytes=used.free, total_bytes=used.total, now_ms=now_ms))

    def _fresh_notifier(self) -> Notifier:
        agencies = {rule: getattr(self._config.alarms, rule).agency for rule in Alarms.model_fields}
        return Notifier(self._config.notices, agencies)

    def _fresh(self) -> Detection:
        return Detection(
            self._config.alarms,
            self._config.kpis.capacity_default,
            self._clock,
            self._routes,
            joining=self._config.incidents,
            nuisance=self._config.nuisance,
        )
