"""`/metrics`: the feeds' counters, the workers' figures and this process's own, as Prometheus reads them.

Nothing is asked of the store here: it is what the feed's threads read last, a second ago.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from fastapi import FastAPI
from fastapi.responses import Response
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from analysis.detectors.archive_behind import unarchived_s
from analysis.workers import cumulated
from city.archive_figures import ArchiveFigures
from city.messages import Histogram, WorkerFigures
from city.store import now_ms
from dashboard.load_reader import LoadReader
from dashboard.screen import Screen


def add_routes(server: FastAPI, screen: Screen, load: LoadReader) -> None:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(screen, load))

    @server.get("/metrics", tags=["health"], summary="Prometheus text: feeds, ingest workers, entities, pages")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


class _Figures(Collector):
    """Counters that live in the store or in the workers; here they are only told."""

    def __init__(self, screen: Screen, load: LoadReader) -> None:
        self._screen = screen
        self._load = load

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> list[Metric]:
        now = now_ms()
        workers = _workers(self._screen.state.workers.newest(), now)
        return [*self._feeds(), *workers, *self._alarm_load(), *_archive(self._screen.state.archive, now), *self._own()]

    def _feeds(self) -> list[Metric]:
        received = CounterMetricFamily("markaz_feed_messages_received", "Messages received, by feed", labels=["feed"])
        stored = CounterMetricFamily(
            "markaz_feed_messages_stored", "Messages stored as newest, by feed", labels=["feed"]
        )
        late = CounterMetricFamily(
            "markaz_feed_messages_late", "Messages stored though older than known", labels=["feed"]
        )
        rejected = CounterMetricFamily("markaz_feed_messages_rejected", "Messages rejected", labels=["feed", "reason"])
        expected = GaugeMetricFamily(
            "markaz_feed_expected_messages_per_second", "Messages a second that are expected", labels=["feed"]
        )
        complete = GaugeMetricFamily(
            "markaz_feed_completeness_ratio", "The last minute's rate over the expected one, 0 to 1", labels=["feed"]
        )
        for line in self._screen.feed_lines():
            received.add_metric([line.feed], line.received)
            stored.add_metric([line.feed], line.stored)
            late.add_metric([line.feed], line.late)
            for reason, n in line.rejected.items():
                rejected.add_metric([line.feed, reason], n)
            if line.expected_rate_per_s is not None:
                expected.add_metric([line.feed], line.expected_rate_per_s)
            if line.completeness is not None:
                complete.add_metric([line.feed], line.completeness)
        return [received, stored, late, rejected, expected, complete]

    def _alarm_load(self) -> list[Metric]:
        announced = GaugeMetricFamily("markaz_alarms_announced_10min", "Alarms announced in the last ten minutes")
        flood = GaugeMetricFamily("markaz_alarms_in_flood", "1 during an alarm flood")
        if self._load.pulse is not None:
            count, in_flood = self._load.pulse
            announced.add_metric([], count)
            flood.add_metric([], float(in_flood))
        return [announced, flood]

    def _own(self) -> list[Metric]:
        state, push = self._screen.state, self._screen.push
        kept = GaugeMetricFamily("markaz_rejects_kept", "Messages in the reject stream")
        size = GaugeMetricFamily("markaz_rejects_kept_bytes", "Memory of the reject stream in the store, about")
        if state.rejects_kept is not None:
            kept.add_metric([], state.rejects_kept.messages)
            if state.rejects_kept.size_bytes is not None:
                size.add_metric([], state.rejects_kept.size_bytes)
        return [
            kept,
            size,
            GaugeMetricFamily("markaz_store_up", "1 if the store answers", value=float(state.store_up)),
            GaugeMetricFamily("markaz_pages_open", "Pages that follow the push", value=push.pages),
            CounterMetricFamily("markaz_push_skipped_frames", "Times a slow page was skipped", value=push.skipped),
            GaugeMetricFamily(
                "markaz_vehicles_known", "Vehicles in the live picture", value=len(state.picture.vehicles)
            ),
            GaugeMetricFamily("markaz_cameras_known", "Cameras in the live picture", value=len(state.picture.cameras)),
        ]


def _archive(figures: ArchiveFigures | None, now: int) -> list[Metric]:
    told: list[Metric] = []
    for name, about, number in _ARCHIVE:
        family = GaugeMetricFamily(name, about)
        if figures is not None:
            family.add_metric([], number(figures, now))
        told.append(family)
    return told


_ARCHIVE: tuple[tuple[str, str, Callable[[ArchiveFigures, int], float]], ...] = (
    ("markaz_archive_lag_seconds", "Age of the oldest event that is not archived, at most", unarchived_s),
    ("markaz_archive_hold_seconds", "Age at which such an event is deleted", lambda a, now: a.hold_s),
    ("markaz_archive_figures_age_seconds", "Age of these figures", lambda a, now: max(0.0, (now - a.at_ms) / 1000)),
    ("markaz_archive_waiting_rows", "Rows that were read and are in no file yet", lambda a, now: a.waiting_rows),
    ("markaz_archive_rows", "Rows in all files", lambda a, now: a.rows),
    ("markaz_archive_files", "Files", lambda a, now: a.files),
    ("markaz_archive_bytes", "Bytes of all files", lambda a, now: a.bytes),
    ("markaz_archive_gaps", "Gaps: events that were deleted before they were archived", lambda a, now: a.gaps),
    ("markaz_archive_problem_files", "Files that were skipped", lambda a, now: a.problems),
)
# A worker's plain numbers: name, help, whether it only grows, and the number itself.
_PLAIN: tuple[tuple[str, str, bool, Callable[[WorkerFigures], float]], ...] = (
    ("markaz_worker_messages_received", "Messages since the worker's start", True, lambda w: w.received),
    ("markaz_worker_messages_redelivered", "Of them, that the store had already", True, lambda w: w.redelivered),
    ("markaz_worker_batches", "Batches written since the worker's start", True, lambda w: w.batches),
    ("markaz_worker_messages_queued", "Messages that no batch holds yet", False, lambda w: w.queued),
    ("markaz_worker_messages_in_flight", "Messages that are being written", False, lambda w: w.in_flight),
    ("markaz_worker_connected", "1 if the worker is connected to the broker", False, lambda w: float(w.connected)),
    ("markaz_worker_start_time_seconds", "When the worker started, epoch", False, lambda w: w.started_ms / 1000),
)
_HISTOGRAMS: tuple[tuple[str, str, Callable[[WorkerFigures], Histogram]], ...] = (
    ("markaz_worker_batch_messages", "Messages a batch", lambda w: w.batch_messages),
    ("markaz_worker_store_seconds", "From sending a batch until the store's answer", lambda w: w.store_s),
    ("markaz_worker_lag_seconds", "From a batch's first arrival until the store has it", lambda w: w.lag_s),
)


def _workers(workers: list[WorkerFigures], now: int) -> list[Metric]:
    told: list[Metric] = []
    for name, about, grows, number in _PLAIN:
        plain = (CounterMetricFamily if grows else GaugeMetricFamily)(name, about, labels=["worker"])
        for worker in workers:
            plain.add_metric([worker.worker], number(worker))
        told.append(plain)
    age = GaugeMetricFamily("markaz_worker_figures_age_seconds", "Age of the worker's figures", labels=["worker"])
    for worker in workers:
        age.add_metric([worker.worker], max(0.0, (now - worker.at_ms) / 1000))
    told.append(age)
    for name, about, histogram_of in _HISTOGRAMS:
        family = HistogramMetricFamily(name, about, labels=["worker"])
        for worker in workers:
            histogram = histogram_of(worker)
            buckets = [("+Inf" if bound == inf else repr(bound), float(n)) for bound, n in cumulated(histogram)]
            family.add_metric([worker.worker], buckets, histogram.total)
        told.append(family)
    for which in ("least", "median", "most"):
        arrival = GaugeMetricFamily(
            f"markaz_worker_arrival_{which}_seconds",
            f"Age of the last minute's messages on arrival, by the devices' clocks: {which}",
            labels=["worker", "feed"],
        )
        for worker in workers:
            for feed, found in worker.arrivals.items():
                arrival.add_metric([worker.worker, feed], getattr(found, f"{which}_s"))
        told.append(arrival)
    return told
