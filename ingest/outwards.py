"""What the alarm process does beside watching: it empties the outbox and keeps the alarms' topics.

Each in a thread with connections of its own, so that a receiver or broker that hangs holds up no alarm.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from city.areas import load_areas
from city.config import Config
from city.store import Store
from ingest.alarm_topics import AlarmTopics, publisher_of
from ingest.outbox import Outbox, warn_of_left
from ingest.receivers import senders_of

log = structlog.get_logger()

_JOIN_S = 1.0
_EMBEDDED = "embedded"


class Outwards:
    """The threads; a fault in one of them stops the process."""

    def __init__(self, config: Config, stop: threading.Event) -> None:
        """Raises OSError or city.areas.AreasError where receivers cannot be told with these settings."""
        self.failed = False
        self._config, self._stop = config, stop
        self._senders = {}
        work: dict[str, Callable[[Store], None]] = {}
        if config.notices.receivers:
            self._senders = senders_of(config, load_areas(config.city_dir))
        work["outbox"] = self._outbox
        if config.mqtt.url != _EMBEDDED:
            work["alarm_topics"] = self._topics
        elif config.notices.mqtt:
            log.info("alarm_topics_off", reason="no broker runs that the settings name")
        self._threads = [
            # A sender that hangs is cut off at the end.
            threading.Thread(target=self._guarded, args=(name, does), name=name, daemon=True)
            for name, does in work.items()
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop the threads and wait a moment for them."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def _guarded(self, name: str, does: Callable[[Store], None]) -> None:
        store = Store.of(self._config)
        try:
            does(store)
        except Exception:  # a fault of ours: the process ends, and its supervisor starts it anew
            log.exception("thread_failed", thread=name)
            self.failed = True
            self._stop.set()
        finally:
            store.close()

    def _outbox(self, store: Store) -> None:
        warn_of_left(store, self._senders)
        if self._senders:
            Outbox(store, self._senders, self._config.notices.sending).run(self._stop)

    def _topics(self, store: Store) -> None:
        config = self._config
        AlarmTopics(store, publisher_of(config), config.city, wanted=config.notices.mqtt).run(self._stop)
