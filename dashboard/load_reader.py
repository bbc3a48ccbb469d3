"""The alarm load of this process: the alarm log read once from the beginning of its span, then followed.

A thread of its own reads; whoever asks gets a report by a lock, from a thread too. The event loop waits for neither.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import structlog

from analysis.alarm_load import DAY_MS, AlarmLoad
from analysis.alarm_load_report import LoadReport
from city.config import Config
from city.store import Store, StoreDown, StoreRefused, now_ms

log = structlog.get_logger()

SPAN_MS = 30 * DAY_MS
_CHUNK = 250  # decoded in one go, some milliseconds: for so long the event loop may wait
_EVERY_S = 1.0
# While a long log is read the event loop shares the interpreter with us: so much of the time is left to it.
_REST = 0.5


class LoadReader:
    """Keeps an AlarmLoad true to the alarm log."""

    def __init__(self, config: Config, *, clock_ms: Callable[[], int] = now_ms) -> None:
        self._config = config
        self._clock_ms = clock_ms
        self._lock = threading.Lock()
        self._load: AlarmLoad | None = None
        self._cursor = "-"
        self._ready = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.read = 0  # transitions so far
        self.pulse: tuple[int, bool] | None = None  # announced in the last ten minutes, and whether there is a flood

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="alarm_load", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def report(self, span_ms: int) -> LoadReport | None:
        """The load of the last `span_ms`; None until the log has been read to its end. Not for the event loop."""
        with self._lock:
            if not self._ready or self._load is None:
                return None
            return self._load.report(self._clock_ms(), span_ms)

    def _run(self) -> None:
        store = Store.of(self._config, timeout_s=5.0)
        while not self._stop.is_set():
            try:
                self._follow(store)
            except (StoreDown, StoreRefused):
                # The feed tells of the loss; what was read stays, and reading goes on behind it.
                self._stop.wait(random.uniform(0.5, 1.5))
            except Exception:
                log.exception("alarm_load_failed")
                self._stop.wait(5.0)
        store.close()

    def _follow(self, store: Store) -> None:
        if self._load is None:
            self._begin(store)
        load = self._load
        assert load is not None
        began = time.monotonic()
        while not self._stop.is_set():
            asked = time.monotonic()
            found = store.transitions(after=self._cursor, count=_CHUNK)
            with self._lock:
                for _, transition in found:
                    load.take(transition)
                if len(found) < _CHUNK:
                    self.pulse = load.pulse(self._clock_ms())
            self.read += len(found)
            if found:
                self._cursor = found[-1][0]
            if len(found) == _CHUNK:
                self._stop.wait((time.monotonic() - asked) * _REST)
                continue
            if not self._ready:
                self._ready = True
                log.info("alarm_log_read", transitions=self.read, took_s=round(time.monotonic() - began, 1))
            self._stop.wait(_EVERY_S)

    def _begin(self, store: Store) -> None:
        """From where on the log is read, and what stood already by then."""
        now = self._clock_ms()
        first = store.transitions(count=1)
        since_ms = max(now - SPAN_MS, _time_of(first[0][0])) if first else now
        load = AlarmLoad(since_ms, SPAN_MS)
        for alarm in store.alarms():
            if alarm.raised_ms < since_ms:
                load.know(alarm)
        self._cursor = f"{since_ms}-0" if since_ms > _time_of(first[0][0] if first else "0-0") else "-"
        self._load = load


def _time_of(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
