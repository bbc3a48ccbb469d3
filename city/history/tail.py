"""What the archive does not have yet: the entries of the store's streams behind its cursors, as rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import pyarrow as pa
import structlog

from city.archive.columns import TRANSITION, Said, batch_of, schema
from city.events import Facet
from city.store import Store, StoreDown, StoreRefused

log = structlog.get_logger()

ALARM_LOG = "alarm_log"  # what the archive calls the stream of transitions; partitions go by their number
# A partition's entries in one go: some hundred thousand bytes.
_COUNT = 200
# An archive that is away for an hour leaves so much behind; more would be no question's memory any more.
ROWS_MAX = 2_000_000


class Live(NamedTuple):
    """The rows of a feed that are only in the store."""

    rows: pa.Table
    missing: str = ""  # why some are not there


class Tail:
    """Rows behind the archive's cursors, read on from one question to the next. For one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._base: dict[str, str] = {}
        self._at: dict[str, dict[int, str]] = {}  # feed → how far each partition was read
        self._logged: str = ""  # how far the alarm log was
        self._batches: dict[str, list[pa.RecordBatch]] = {}
        self._rows: dict[str, int] = {}
        self._down = False

    def close(self) -> None:
        self._store.close()

    def of(self, feed: str, cursors: Mapping[str, str]) -> Live:
        """The rows of a feed that follow on `cursors`, the archive's of one commit: none of them is in its files."""
        if dict(cursors) != self._base:
            self._base = dict(cursors)
            self._at.clear()
            self._batches.clear()
            self._rows.clear()
            self._logged = ""
        missing = ""
        try:
            cut = self._read_log() if feed == TRANSITION else self._read(feed)
            if cut:
                missing = f"only the first {ROWS_MAX} rows that are not in the archive yet"
            self._down = False
        except (StoreDown, StoreRefused) as error:
            if not self._down:
                log.warning("history_without_store", error=str(error))
            self._down = True
            missing = "the store does not answer: what is not in the archive yet"
        return Live(pa.Table.from_batches(self._batches.get(feed, []), schema(feed)), missing)

    def _read(self, feed: str) -> bool:
        """Read on to the end of every partition; whether there was too much."""
        at = self._at.setdefault(feed, {p: self._base.get(str(p), "0-0") for p in range(self._store.keys.partitions)})
        facet = Facet(feed)
        while self._rows.get(feed, 0) < ROWS_MAX:
            entries = self._store.read_events(at, block_ms=1, count=_COUNT, facets=[facet])
            if not entries:
                return False
            stored = [one for entry in entries for one in entry.events]
            self._take(feed, [one.event for one in stored], [one.late for one in stored])
        return True

    def _read_log(self) -> bool:
        after = self._logged or self._base.get(ALARM_LOG, "-")
        while self._rows.get(TRANSITION, 0) < ROWS_MAX:
            found = self._store.transitions(after=after, count=1000)
            if not found:
                return False
            after = self._logged = found[-1][0]
            self._take(TRANSITION, [transition for _, transition in found], [False] * len(found))
        return True

    def _take(self, feed: str, events: list[Said], late: list[bool]) -> None:
        if events:
            self._batches.setdefault(feed, []).append(batch_of(feed, events, late))
            self._rows[feed] = self._rows.get(feed, 0) + len(events)
