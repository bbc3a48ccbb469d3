"""Entries of the streams on their way to rows: decoded in good portions, kept as columns until they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from city.alarms import Transition
from city.archive.columns import FEEDS, TRANSITION, Said, batch_of, event_type
from city.archive.parquet import AT
from city.archive_source import ALARM_LOG, RawEntry

log = structlog.get_logger()

# About 4,000 positions: they and their columns stay in the processor's caches.
_PORTION_BYTES = 1 << 20
# The archive has folders for the years 1970 to 9999; whoever says another one must not stop the others.
_TIMES_MS = (0, 253_402_300_799_999)
# What bytes raise that are no events: text that is no UTF-8, and brackets without end, beside what msgspec finds.
_NOT_EVENTS = (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError)

_lists: dict[str, Callable[[bytes], Any]] = {
    feed: msgspec.json.Decoder(list[event_type(feed)]).decode  # type: ignore[misc]
    for feed in FEEDS
}
_singles: dict[str, Callable[[bytes], Any]] = {feed: msgspec.json.Decoder(event_type(feed)).decode for feed in FEEDS}
_parts = msgspec.json.Decoder(list[msgspec.Raw]).decode
_transition = msgspec.json.Decoder(Transition).decode


class ArchiveRows:
    """Rows by feed that are in no file yet. Bounded by its user: `rows` and `waiting_bytes` say what there is."""

    def __init__(self) -> None:
        self._raw: dict[tuple[str, bool], list[bytes]] = {}
        self._raw_bytes: dict[tuple[str, bool], int] = {}
        self._batches: dict[str, list[pa.RecordBatch]] = {}
        self._told: set[str] = set()
        self.rows = 0  # as columns
        self.waiting_bytes = 0  # as they came
        self.unreadable = 0

    def add(self, entry: RawEntry) -> None:
        """Take an entry's events in."""
        for name, value in entry.fields.items():
            if entry.stream == ALARM_LOG:
                if name == b"transition":
                    self._take(TRANSITION, b"[" + value + b"]", late=False)
                continue
            feed, _, late = name.decode("utf-8", "replace").partition(":")
            if feed not in _lists or feed == TRANSITION:
                self._not_read(feed, 1, "a facet that this version does not know")
                continue
            self._take(feed, value, late=late == "late")

    def batches(self) -> dict[str, list[pa.RecordBatch]]:
        """All rows so far, by feed."""
        for feed, late in list(self._raw):
            self._convert(feed, late=late)
        return self._batches

    def clear(self) -> None:
        """Forget them: they are archived, or will be read again."""
        self._raw.clear()
        self._raw_bytes.clear()
        self._batches = {}
        self.rows = self.waiting_bytes = 0

    def _take(self, feed: str, array: bytes, *, late: bool) -> None:
        if len(array) <= 2:
            return
        key = feed, late
        self._raw.setdefault(key, []).append(array)
        size = self._raw_bytes[key] = self._raw_bytes.get(key, 0) + len(array)
        self.waiting_bytes += len(array)
        if size >= _PORTION_BYTES:
            self._convert(feed, late=late)

    def _convert(self, feed: str, *, late: bool) -> None:
        arrays = self._raw.pop((feed, late))
        self.waiting_bytes -= self._raw_bytes.pop((feed, late))
        events = self._decoded(feed, arrays)
        if not events:
            return
        for batch in self._columns(feed, events, late=late):
            self._batches.setdefault(feed, []).append(batch)
            self.rows += batch.num_rows

    def _decoded(self, feed: str, arrays: list[bytes]) -> list[Said]:
        try:
            # As one text: half the cost of a call each.
            found: list[Said] = _lists[feed](b"[" + b",".join(array[1:-1] for array in arrays) + b"]")
        except _NOT_EVENTS:
            return [event for array in arrays for event in self._one_by_one(feed, array)]
        return found

    def _one_by_one(self, feed: str, array: bytes) -> list[Said]:
        """The events of an array that can be read; the others are counted."""
        try:
            parts = _parts(array)
        except _NOT_EVENTS as error:
            self._not_read(feed, 1, str(error))
            return []
        found: list[Said] = []
        for part in parts:
            try:
                found.append(_singles[feed](bytes(part)))
            except _NOT_EVENTS as error:
                self._not_read(feed, 1, str(error))
        return found

    def _columns(self, feed: str, events: list[Said], *, late: bool) -> list[pa.RecordBatch]:
        try:
            batch = batch_of(feed, events, late)
            span = pc.min_max(batch.column(AT)).as_py()
            if span["min"] < _TIMES_MS[0] or span["max"] > _TIMES_MS[1]:
                raise ValueError(f"a time of {span['min']} to {span['max']} ms")
            return [batch]
        except (ValueError, OverflowError) as error:  # Arrow's are among the first
            if len(events) == 1:
                self._not_read(feed, 1, str(error))
                return []
            half = len(events) // 2
            return self._columns(feed, events[:half], late=late) + self._columns(feed, events[half:], late=late)

    def _not_read(self, feed: str, count: int, why: str) -> None:
        self.unreadable += count
        if feed not in self._told:
            self._told.add(feed)
            log.error("not_archived", feed=feed, reason=why)
