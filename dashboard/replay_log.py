"""The log of alarms as the replay reads it: the store's, and what the archive has of the time before it.

The store keeps its log for ever. Where that begins later than the archive the store was begun anew: what stood then was
forgotten, and operators saw it no more.
"""

from __future__ import annotations

from collections.abc import Iterator

from analysis.replay_alarms import AlarmLog, Open, states_at, written_ms
from city.alarms import Transition
from city.config import Config
from city.store import Store
from dashboard.alarm_past import AlarmPast, open_past

_AT_ONCE = 1000

Entry = tuple[str, Transition]
# When it was written, and what; None: all alarms were forgotten.
Written = tuple[int, Transition | None]


class PastAlarms:
    """Which alarms stood at any moment, and what happened after it. For one thread."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config, self._store = config, store
        self._past: AlarmPast | None = None
        self._log = AlarmLog()  # the store's
        self._old = AlarmLog()  # the archive's before it

    def span(self, from_ms: int, to_ms: int) -> tuple[Open, list[Written]]:
        """The alarms as operators saw them at `from_ms`, and what was written behind it until `to_ms`."""
        past = self._looked_at()
        seam_ms = 0 if past is None else past.until_ms
        later: list[Written] = []
        then: Open = {}
        if past is not None and from_ms < seam_ms:
            self._old.take(_of_archive(past, self._old.cursor, to_ms))
            cursor, then = self._old.before(from_ms)
            later += states_at(then, _of_archive(past, cursor, to_ms), from_ms)
            if seam_ms <= to_ms:
                later.append((seam_ms, None))
                later += states_at({}, self._of_store("-", to_ms), from_ms)
            return then, later
        while self._log.read_ms <= to_ms:
            entries = self._store.transitions(after=self._log.cursor, count=_AT_ONCE)
            self._log.take(entries)
            if len(entries) < _AT_ONCE:
                break
        cursor, then = self._log.before(from_ms)
        later += states_at(then, self._of_store(cursor, to_ms), from_ms)
        return then, later

    def _looked_at(self) -> AlarmPast | None:
        """What the archive has of the time before the log; None while it cannot be read."""
        if self._past is None:
            self._past = open_past(self._store, self._config.history.url, self._config.city)
        elif self._past.refresh():
            self._log, self._old = AlarmLog(), AlarmLog()
        return self._past

    def _of_store(self, cursor: str, to_ms: int) -> Iterator[Entry]:
        """The store's log behind a cursor, up to a time."""
        while entries := self._store.transitions(after=cursor, count=_AT_ONCE):
            for entry_id, transition in entries:
                if written_ms(entry_id) > to_ms:
                    return
                yield entry_id, transition
            cursor = entries[-1][0]


def _of_archive(past: AlarmPast, cursor: str, to_ms: int) -> Iterator[Entry]:
    """The archive's transitions behind a cursor, up to a time. Their ids are made alike every time: time and number."""
    from_ms, number = (0, -1) if cursor == "-" else (written_ms(cursor), int(cursor.partition("-")[2]))
    at_ms, among = -1, 0
    for one in past.transitions(from_ms, to_ms + 1):
        among = among + 1 if one.at_ms == at_ms else 0
        at_ms = one.at_ms
        if at_ms > from_ms or among > number:
            yield f"{at_ms}-{among}", one
