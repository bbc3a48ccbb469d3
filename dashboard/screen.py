"""What every screen of this process shows: the feed's state made into frames, once for all.

Vehicles go out at every read of the events, the rest once a second and at once when an alarm
changes or the store comes or goes.
"""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from msgspec import to_builtins

from analysis.feed_rates import ExpectedRates, UsualRates
from analysis.indicators import AreaIndicators, indicators
from analysis.kpis import Kpi, KpiSettings, kpis
from analysis.trend import HOUR_MS, TOLERANCE_MS, Series, compare, sparkline
from city.areas import Areas
from city.config import Config
from city.events import CameraEvent, CameraStatus, Event, VehicleEvent
from city.store import Store, now_ms
from dashboard.feed import CityState, Feed
from dashboard.feed_lines import FeedLine, feed_lines, feeds_frame
from dashboard.frames import VehicleTable, alarms_frame, cameras_frame, changed_vehicles, incidents_frame
from dashboard.push import Frames, Push

log = structlog.get_logger()

_SPARK_LEAST_MS = 600_000
# All cameras go in one frame: not at every event of one of them.
_CAMERAS_LEAST_MS = 2_000
_CAMERAS_MOST_MS = 30_000
# A storm changes alarms fifty times a second; a page that draws each change has no time for the operator's click.
_ALARMS_LEAST_S = 0.4


class Screen:
    """One feed, one set of frames, any number of pages."""

    def __init__(self, config: Config, areas: Areas) -> None:
        self.frames = Frames()
        self.push = Push(self.frames, config.live)
        # For questions that the state in memory cannot answer (the last hour, rejects); asked from threads.
        self.store = Store.of(config, timeout_s=3.0)
        self._config = config
        self._codes = tuple(areas.by_code)
        self._settings = KpiSettings.of(config)
        self._feed = Feed(config, self._on_events, self._on_summary)
        self._table = VehicleTable(
            config.profile.bounds,
            config.ingest.checks.area_margin_m,
            capacity_default=config.kpis.capacity_default,
            stale_after_s=config.live.vehicle_stale_after_s,
            count_stale_after_s=config.kpis.count_stale_after_s,
            gone_after_s=config.live.vehicle_gone_after_s,
        )
        self._usual = UsualRates()
        self.expected = ExpectedRates(config.feeds.expected_rate_per_s)
        self._roster_sent = -1
        self._cameras_changed = True
        self._cameras_ms = 0
        self._alarms_sent: tuple[str, ...] | None = None
        self._alarms_at = -_ALARMS_LEAST_S
        self._alarms_later: asyncio.TimerHandle | None = None
        self._store_up_sent: bool | None = None
        self.indicators: dict[str, AreaIndicators] = {}
        self._beat: asyncio.Task[None] | None = None

    @property
    def state(self) -> CityState:
        return self._feed.state

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._feed.start(loop)
        self._beat = loop.create_task(self._keep_beating())

    def stop(self) -> None:
        if self._beat is not None:
            self._beat.cancel()
        if self._alarms_later is not None:
            self._alarms_later.cancel()
        self._feed.stop()
        self.store.close()

    # --- for the API and the pages ----------------------------------------------------------

    def kpis(self) -> list[Kpi]:
        state = self.state
        alarms = state.open_alarms() if state.store_since_ms and state.read_ms else None
        return kpis(state.picture, state.meter, alarms, state.rates, state.moment_ms(), self._settings)

    def kpi_tiles(self) -> list[dict[str, Any]]:
        """The tiles in order: value, unit, target, an hour ago, sparkline of the last hour, age."""
        now, moment = now_ms(), self.state.moment_ms()
        tiles = []
        samples = self.state.samples
        recent = samples[bisect_left(samples, moment - HOUR_MS - TOLERANCE_MS, key=lambda sample: sample[0]) :]
        for kpi in self.kpis():
            series = [(at, sample.get(kpi.name)) for at, sample in recent]
            trend = compare(series, kpi.value, moment, HOUR_MS)
            tiles.append(
                {
                    "name": kpi.name,
                    "value": kpi.value,
                    "unit": kpi.unit,
                    "target": self._config.kpis.targets.get(kpi.name),
                    "hour_ago": None if trend is None else trend.then,
                    "change": None if trend is None else trend.change,
                    "of": kpi.of,
                    "by": kpi.by or None,
                    "spark": sparkline(series, _spark_from(series, moment), moment),
                    "age_s": None if kpi.measured_ms is None else max(0.0, round((now - kpi.measured_ms) / 1000, 1)),
                }
            )
        return tiles

    def feed_lines(self) -> list[FeedLine]:
        """Every feed with its counters and what they say now."""
        return feed_lines(self.state, self.expected, now_ms())

    def late_after_s(self, feed: str) -> float | None:
        """After how long without a message a feed is called late; None: it may be silent for ever."""
        return self._usual.late_after_s(feed, self._config.alarms.feed_silent.silent_after_s.get(feed))

    def indicators_of(self, code: str) -> Mapping[str, Any]:
        """An area's live numbers; zero vehicles and alarms where nothing is there."""
        found: dict[str, Any] = to_builtins(self.indicators.get(code, AreaIndicators()))
        return found

    # --- from the feed, on the event loop ------------------------------------------------------

    def _on_events(self, events: list[Event] | None) -> None:
        picture = self.state.picture
        if events is None:
            self._table.rebuild(picture.vehicles.values(), now_ms())
            self._cameras_changed = True
            self._send_vehicles()
            self._send_summary()
            return
        for vehicle in changed_vehicles(picture, (e.vehicle_id for e in events if isinstance(e, VehicleEvent))):
            self._table.update(vehicle)
        self._cameras_changed |= any(isinstance(event, CameraStatus | CameraEvent) for event in events)
        self._send_vehicles()

    def _on_summary(self) -> None:
        """Alarms at once; the rest only when the store came or went, else with the beat."""
        self._send_alarms()
        if self.state.store_up != self._store_up_sent:
            self._send_summary()

    async def _keep_beating(self) -> None:
        every_s = self._config.live.summary_every_ms / 1000
        while True:
            await asyncio.sleep(every_s)
            try:
                self._beat_once()
            except Exception:
                # One bad second must not stop the page's pulse for good.
                log.exception("beat_failed")

    def _beat_once(self) -> None:
        self._feed.check()
        now, state = now_ms(), self.state
        if self._table.has_gone(now):
            oldest_ms = now - int(self._config.live.vehicle_gone_after_s * 1000)
            state.picture.forget_vehicles(oldest_ms)
            state.meter.forget(oldest_ms)
            self._table.rebuild(state.picture.vehicles.values(), now)
        since_ms = now - self._cameras_ms
        # Also without news: a camera that nobody hears of becomes unknown.
        if (self._cameras_changed and since_ms >= _CAMERAS_LEAST_MS) or since_ms >= _CAMERAS_MOST_MS:
            self._cameras_changed, self._cameras_ms = False, now
            self.frames.put("cameras", cameras_frame(state.picture.cameras, now, self._settings.camera_stale_after_s))
        # Also without news: the ages in it grow, and a page that hears nothing must know that it is cut off.
        self._send_vehicles()
        self.indicators = indicators(state.picture, state.open_alarms(), state.moment_ms(), self._settings)
        self.frames.put("areas", areas_frame(self.indicators, self._codes))
        self._send_summary()

    def _send_vehicles(self) -> None:
        if self._roster_sent != self._table.revision:
            self._roster_sent = self._table.revision
            self.frames.put("roster", self._table.roster())
        self.frames.put("vehicles", self._table.pack(now_ms()))

    def _send_alarms(self) -> None:
        """The alarms, if they changed: at once after a calm, else a little later and then all together."""
        if self._alarms_later is not None:
            return
        wait_s = self._alarms_at + _ALARMS_LEAST_S - time.monotonic()
        if wait_s > 0:
            self._alarms_later = asyncio.get_running_loop().call_later(wait_s, self._send_alarms_later)
        else:
            self._send_alarms_now()

    def _send_alarms_later(self) -> None:
        self._alarms_later = None
        self._send_alarms_now()

    def _send_alarms_now(self) -> None:
        state = self.state
        alarms = state.open_alarms()
        shown = (
            *(f"{alarm.id}@{alarm.updated_ms}@{alarm.version}" for alarm in alarms),
            *(f"{one.id}@{one.version}" for one in state.incidents.values()),
            # Of those that are held back only how many stand is shown: any change of one counts.
            str(sum(alarm.version for alarm in state.alarms.values())),
        )
        if shown != self._alarms_sent:
            self._alarms_sent, self._alarms_at = shown, time.monotonic()
            now = now_ms()
            # One frame: an alarm must never be in both, or in neither, for a moment.
            folded = incidents_frame(state.incidents, state.alarms, alarms)
            self.frames.put("alarms", {**alarms_frame(alarms, now, state.incidents), **folded})

    def _send_summary(self) -> None:
        state, now = self.state, now_ms()
        self._store_up_sent = state.store_up
        feeds = state.rates.feeds(now)
        self._usual.update(feeds, now)
        if state.store_up:
            self.expected.update(feeds, now)
        silent = self._config.alarms.feed_silent.silent_after_s
        order = {feed: at for at, feed in enumerate(silent)}
        late_after_s = {
            feed.count.feed: self._usual.late_after_s(feed.count.feed, silent.get(feed.count.feed)) for feed in feeds
        }
        self.frames.put(
            "summary",
            {
                "at": now,
                "store_up": state.store_up,
                "store_since_ms": state.store_since_ms,
                "kpis": self.kpi_tiles(),
                "feeds": [
                    {
                        "feed": feed.count.feed,
                        "rate_per_s": feed.rate_per_s,
                        "age_s": feed.age_s,
                        "rejected": feed.count.rejected,
                        "rejected_total": sum(feed.count.rejected.values()),
                        "late": feed.count.late,
                        "late_after_s": late_after_s[feed.count.feed],
                    }
                    for feed in sorted(feeds, key=lambda rate: order.get(rate.count.feed, len(order)))
                ],
            },
        )
        lines = sorted(self.feed_lines(), key=lambda line: order.get(line.feed, len(order)))
        self.frames.put("feeds", feeds_frame(state, lines, late_after_s, now))


def areas_frame(found: Mapping[str, AreaIndicators], codes: Sequence[str]) -> dict[str, list[float | None]]:
    """Columns by area in the order of `codes`; load in percent, speed in km/h, None where unknown."""
    nothing = AreaIndicators()
    rows = [found.get(code, nothing) for code in codes]
    return {
        "vehicles": [row.vehicles for row in rows],
        "load": [None if row.load is None else round(row.load * 100) for row in rows],
        "speed": [None if row.speed_kmh is None else round(row.speed_kmh) for row in rows],
        "alarms": [row.alarms for row in rows],
    }


def _spark_from(series: Series, now: int) -> int:
    """The sparkline's begin: an hour ago, or the first sample of a young city, ten minutes at least."""
    first = series[0][0] if series else now
    return max(now - HOUR_MS, min(first, now - _SPARK_LEAST_MS))
