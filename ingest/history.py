"""The process that remembers: samples of the city's numbers, aligned to the wall clock, and beside it the archive.

Each sample lies under its own time, so whoever runs twice, or again, adds it once. While the store
is away no sample is taken: a gap in the line is the truth.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

import msgspec
import structlog

from analysis.feed_rates import FeedRates
from analysis.fuel_meter import FuelMeter, decode_meter, encode_meter
from analysis.indicators import indicators
from analysis.kpis import KpiSettings, kpis
from analysis.picture import Picture
from analysis.samples import (
    AREAS,
    AREAS_EVERY_S,
    KPIS,
    VEHICLES,
    VEHICLES_EVERY_S,
    area_sample,
    kpi_sample,
    vehicle_sample,
)
from city.config import Config
from city.events import Facet
from city.store import Entry, Store
from ingest.archiver import ArchiverThread
from ingest.follow import follow, stop_on_signals
from ingest.roller import RollerThread

log = structlog.get_logger()

# A number may stand under a time so long before it; beyond that a gap is truer.
LATE_MAX_MS = 5_000
TANK_FORGOTTEN_AFTER_MS = 86_400_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The process has no options of its own."""
    parser.description = "Remember the city: write samples of its numbers to the store, and all events to the archive."


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Remember until SIGTERM or Ctrl-C; 0, or 1 where the archive's writer failed."""
    del arguments
    stop = stop_on_signals()
    store = Store.of(config)
    archiver = ArchiverThread(config, stop)
    archiver.start()
    if config.history.rollups:
        RollerThread(config, stop, right=archiver.right).start()
    try:
        follow(store, HistoryWorker(store, config), stop)
    finally:
        stop.set()
        archiver.join()
        store.close()
    return 1 if archiver.failed else 0


class HistoryWorker:
    """Keeps the picture of the city and samples it."""

    name = "history"
    anew = False
    facets: tuple[Facet, ...] = tuple(
        facet for facet in Facet if facet not in (Facet.SENSOR, Facet.CASE, Facet.CASE_LIST, Facet.TRIP)
    )

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self._settings = KpiSettings.of(config)
        self._picture = Picture()
        self._meter = FuelMeter(config.kpis.fuel_window_s)
        self._rates = FeedRates(window_s=config.kpis.sample_every_s)
        self._sampled_ms: dict[str, int] = {}

    def begin(self) -> Mapping[int, str]:
        cursors, state = self._store.checkpoint(self.name)
        picture = Picture()
        for facet in self.facets:
            for event in self._store.latest(facet):
                picture.apply(event)
        self._picture = picture
        if state is not None:
            try:
                self._meter = decode_meter(state, self._config.kpis.fuel_window_s)
            except msgspec.DecodeError as error:
                # A newer version remembers otherwise: a quarter of an hour of fuel use is lost.
                log.warning("state_not_understood", worker=self.name, error=str(error))
        return cursors

    def take(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            for event, late in entry.events:
                if not late:
                    self._picture.apply(event)
                    self._meter.apply(event)

    def caught_up(self, now_ms: int) -> None:
        self._rates.update(self._store.counts(), now_ms)

    def beat(self, now_ms: int) -> None:
        keep = self._config.store
        at_ms = self._due(KPIS, self._config.kpis.sample_every_s, now_ms)
        if at_ms is not None:
            self._rates.update(self._store.counts(), now_ms)
            alarms = self._store.alarms()
            numbers = kpis(self._picture, self._meter, alarms, self._rates, now_ms, self._settings)
            self._add(KPIS, at_ms, kpi_sample(numbers), keep.samples_keep_s)
        at_ms = self._due(AREAS, AREAS_EVERY_S, now_ms)
        if at_ms is not None:
            areas = indicators(self._picture, self._store.alarms(), now_ms, self._settings)
            self._add(AREAS, at_ms, area_sample(areas), keep.samples_keep_s)
            self._meter.forget(now_ms - TANK_FORGOTTEN_AFTER_MS)
        at_ms = self._due(VEHICLES, VEHICLES_EVERY_S, now_ms)
        if at_ms is not None:
            sample = vehicle_sample(self._picture, now_ms, self._settings)
            self._add(VEHICLES, at_ms, sample, keep.vehicle_samples_keep_s)

    def keep(self, cursors: Mapping[int, str], *, due: bool) -> int | None:
        if not due:
            return None
        state = encode_meter(self._meter)
        self._store.save_checkpoint(self.name, cursors, state)
        return len(state)

    def _due(self, series: str, every_s: int, now_ms: int) -> int | None:
        """The time of the sample to take now, None if it was taken or it is too late for it."""
        at_ms = now_ms // (every_s * 1000) * every_s * 1000
        due = at_ms > self._sampled_ms.get(series, 0) and now_ms - at_ms <= LATE_MAX_MS
        return at_ms if due else None

    def _add(self, series: str, at_ms: int, sample: bytes, keep_s: float) -> None:
        # False: another process, or this one before it was killed, has it already.
        self._store.add_sample(series, at_ms, sample, keep_s=keep_s)
        self._sampled_ms[series] = at_ms
