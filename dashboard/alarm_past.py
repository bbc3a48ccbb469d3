"""The alarm log from before the store's own begins: the archive's transitions, oldest first.

The store keeps its log for ever, so the archive has more only where the store was once begun anew. What both have is
taken from the store: its entries know when they were written. A row of the archive was written when it happened, as
far as anybody knows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import structlog

from city.alarms import Transition
from city.archive.archive import Archive, File
from city.archive.columns import TRANSITION, events_of
from city.archive.files import ArchiveDown, Unreadable
from city.archive.parquet import Source
from city.store import Store

log = structlog.get_logger()

EVER_MS = 1 << 62
# What the store's log begins with may have happened before: a rise is told with the time of the event, and events may
# be an hour old (`ingest.checks.stale_max_s`).
_EARLIER_MS = 2 * 3_600_000
_AT_ONCE = 1000

_Name = tuple[str, int, int]


class AlarmPast:
    """Transitions that only the archive has. For one thread. Raises StoreDown, ArchiveDown."""

    def __init__(self, store: Store, archive: Archive) -> None:
        self._store, self._archive = store, archive
        self._skipped: set[str] = set()
        self._both: set[_Name] = set()
        self.until_ms = EVER_MS  # when the store's log begins; without one everything is in the archive alone

    def refresh(self) -> bool:
        """See what there is by now; whether the store's log begins elsewhere than it did."""
        self._archive.refresh()
        first = self._store.transitions(count=1)
        until_ms = _written_ms(first[0][0]) if first else EVER_MS
        if until_ms == self.until_ms:
            return False
        self.until_ms = until_ms
        self._both = set(self._at_first(until_ms)) if first else set()
        return True

    def transitions(self, from_ms: int = 0, to_ms: int = EVER_MS) -> Iterator[Transition]:
        """Those of [from_ms, to_ms), by the time at which they happened; a damaged file is named and left out."""
        end_ms = min(to_ms, self.until_ms)
        hours: dict[tuple[str, int], list[File]] = defaultdict(list)
        for file in self._archive.files(TRANSITION, from_ms, end_ms):
            hours[file.date, file.hour].append(file)
        for place in sorted(hours):
            found = [one for file in hours[place] for one in self._read(file) if from_ms <= one.at_ms < end_ms]
            # Those of one alarm in one millisecond follow each other by its version.
            found.sort(key=lambda one: (one.at_ms, one.version))
            yield from (one for one in found if _name(one) not in self._both)

    def _read(self, file: File) -> list[Transition]:
        found: list[Transition] = []
        try:
            with self._archive.folder.open(file.path) as opened:
                for batch in Source(file.path, opened).batches():
                    found += [one for one in events_of(TRANSITION, batch) if isinstance(one, Transition)]
        except (Unreadable, FileNotFoundError) as error:
            if file.path not in self._skipped:
                self._skipped.add(file.path)
                log.error("archive_file_skipped", file=file.path, reason=str(error))
        return found

    def _at_first(self, until_ms: int) -> Iterator[_Name]:
        """What the store's log begins with and happened before it began: the archive has it too."""
        cursor = "-"
        while entries := self._store.transitions(after=cursor, count=_AT_ONCE):
            for entry_id, one in entries:
                if _written_ms(entry_id) > until_ms + _EARLIER_MS:
                    return
                if one.at_ms < until_ms:
                    yield _name(one)
            cursor = entries[-1][0]


def open_past(store: Store, url: str, city: str) -> AlarmPast | None:
    """The past of a city's archive; None, and said so, where it cannot be read now."""
    try:
        past = AlarmPast(store, Archive.open(url, city))
        past.refresh()
    except ArchiveDown as error:
        log.warning("alarms_without_archive", error=str(error))
        return None
    return past


def _name(one: Transition) -> _Name:
    return one.alarm, one.at_ms, one.version


def _written_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
