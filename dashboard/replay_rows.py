"""Rows of the past for the replay: the archive's files hour by hour, and what is only in the store yet.

The archive says where it stopped in each event stream; what lies behind that is read from the store. So every event is
in one of the two, never in both, and there is no seam.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog

from analysis.replay import HOUR_MS, HourLook, minutes_of
from analysis.replay_tracks import Counts, Tracks
from city.archive.archive import File
from city.events import Facet
from city.store import Store
from dashboard.replay_standing import Standing
from dashboard.replay_tables import (
    COUNT,
    POSITION,
    batch_table,
    columns_of,
    count_rows,
    ints,
    position_rows,
    words,
)
from dashboard.replay_tail import Tail

log = structlog.get_logger()

# Decoded hours in memory: six of 2,000 vehicles every five seconds. The two that are needed for a moment stay anyhow.
CACHE_MAX_BYTES = 300_000_000
# Hours without any file, and how complete hours are: a few bytes each.
_SMALL_KEPT = 500

T = TypeVar("T", Tracks, Counts)


class ArchiveView(Protocol):
    """What is asked of the archive."""

    def refresh(self) -> None:
        """Take in what was committed meanwhile."""

    def cursors(self) -> Mapping[int, str]:
        """Up to which entry of each partition's event stream it has everything; empty: nothing yet."""

    def files(self, feed: str, from_ms: int, to_ms: int) -> Sequence[File]:
        """The files that may have rows of this time."""


class PastRows:
    """Tracks and counts of any hour, kept while there is room. For one thread."""

    def __init__(self, store: Store, archive: ArchiveView, areas: Sequence[str], gone_after_ms: int) -> None:
        self._archive, self._areas = archive, tuple(areas)
        self._kept: OrderedDict[tuple[str, int], tuple[tuple[str, ...], Tracks | Counts | None]] = OrderedDict()
        self._looks: OrderedDict[int, tuple[tuple[str, ...], HourLook]] = OrderedDict()
        self._skipped: set[str] = set()
        self._tail = Tail(store, areas)
        self._standing = Standing(
            lambda from_ms, to_ms: archive.files(Facet.POSITION.value, from_ms, to_ms),
            areas,
            gone_after_ms,
            self._failed,
        )

    def refresh(self) -> None:
        """See what the archive and the store have by now; raises StoreDown."""
        self._archive.refresh()
        self._tail.read(self._archive.cursors())

    def tracks(self, from_ms: int, to_ms: int) -> tuple[list[Tracks], bool]:
        """All positions of the hours that this time touches, and where others stood when they began.

        And whether that is everybody: asked again soon, it will be.
        """
        hours = _hours(from_ms, to_ms)
        found = [self._hour(("tracks", hour), Facet.POSITION, POSITION, self._read_tracks) for hour in hours]
        before, everybody = self._standing.before(hours.start, self._in_memory)
        return [*(part for part in found if part is not None), *before, *self._tail.tracks()], everybody

    def counts(self, from_ms: int, to_ms: int) -> list[Counts]:
        """All passenger counts of the hours that this time touches."""
        hours = _hours(from_ms, to_ms)
        found = [self._hour(("counts", hour), Facet.PASSENGERS, COUNT, self._read_counts) for hour in hours]
        return [*(part for part in found if part is not None), *self._tail.counts()]

    def look(self, hour_ms: int) -> HourLook:
        """How complete an hour is, without keeping its rows."""
        files = self._files(Facet.POSITION, hour_ms)
        signature = tuple(file.url for file in files)
        known = self._looks.get(hour_ms)
        if known is None or known[0] != signature:
            table = self._read(files, ("vehicle_id", "measured_ms", "late"), hour_ms)
            known = self._looks[hour_ms] = signature, _look(table, hour_ms, self._skipped & set(signature))
        self._looks.move_to_end(hour_ms)
        while len(self._looks) > _SMALL_KEPT:
            self._looks.popitem(last=False)
        return _with_tail(known[1], self._tail.positions(), self._tail.left_out(hour_ms, hour_ms + HOUR_MS))

    def first_ms(self) -> int | None:
        """The oldest position that there is."""
        files = self._archive.files(Facet.POSITION.value, 0, 1 << 62)
        times = [file.min_ms for file in files]
        times += [int(pc.min(tail.column("measured_ms")).as_py()) for tail in self._tail.positions()]
        return min(times, default=None)

    def hours(self, from_ms: int, to_ms: int) -> dict[int, int]:
        """How many positions there are in each hour that a span touches, by the hour's begin; no file is read."""
        begin, end = from_ms - from_ms % HOUR_MS, to_ms + -to_ms % HOUR_MS
        found: dict[int, int] = {}
        for file in self._archive.files(Facet.POSITION.value, begin, end):
            hour = file.min_ms - file.min_ms % HOUR_MS
            found[hour] = found.get(hour, 0) + file.rows
        for tail in self._tail.positions():
            times = ints(tail, "measured_ms")
            hours, rows = np.unique(times[(times >= begin) & (times < end)] // HOUR_MS * HOUR_MS, return_counts=True)
            for hour, n in zip(hours.tolist(), rows.tolist(), strict=True):
                found[hour] = found.get(hour, 0) + n
        return found

    def _hour(
        self, name: tuple[str, int], facet: Facet, columns: Sequence[str], read: Callable[[pa.Table], T]
    ) -> T | None:
        """What was made of an hour's files, anew when they are others; None where there is no file."""
        files = self._files(facet, name[1])
        signature = tuple(file.url for file in files)
        kept = self._kept.get(name)
        if kept is None or kept[0] != signature:
            made = read(self._read(files, columns, name[1])) if files else None
            pa.default_memory_pool().release_unused()
            kept = self._kept[name] = signature, made
        self._kept.move_to_end(name)
        self._forget(keep=name)
        return kept[1]  # type: ignore[return-value]

    def _in_memory(self, hour_ms: int) -> Tracks | None:
        """A whole hour's positions, if they were read and the files are the same."""
        kept = self._kept.get(("tracks", hour_ms))
        if kept is None or kept[0] != tuple(file.url for file in self._files(Facet.POSITION, hour_ms)):
            return None
        return kept[1] if isinstance(kept[1], Tracks) else None

    def _forget(self, keep: tuple[str, int]) -> None:
        """Of what was used longest ago as much as is too much; hours that have nothing by their number."""
        size = sum(part.nbytes for _, part in self._kept.values() if part is not None)
        count = len(self._kept)
        for name in list(self._kept):
            if (size <= CACHE_MAX_BYTES and count <= _SMALL_KEPT) or name == keep:
                return
            _, part = self._kept.pop(name)
            size -= part.nbytes if part is not None else 0
            count -= 1

    def _files(self, facet: Facet, hour_ms: int) -> list[File]:
        files = self._archive.files(facet.value, hour_ms, hour_ms + HOUR_MS)
        return sorted(files, key=lambda file: file.url)

    def _read(self, files: Iterable[File], columns: Sequence[str], hour_ms: int) -> pa.Table:
        """The columns of an hour; a file that cannot be read is named and left out."""
        tables = []
        for file in files:
            try:
                tables.append(columns_of(file.url, columns))
                self._skipped.discard(file.url)
            except (OSError, pa.ArrowException) as error:
                self._failed(file.url, error)
        if not tables:
            return batch_table(Facet.PASSENGERS if columns is COUNT else Facet.POSITION, [], []).select(columns)
        table = pa.concat_tables(tables, promote_options="permissive")
        times = table.column("measured_ms")
        inside = pc.and_(pc.greater_equal(times, hour_ms), pc.less(times, hour_ms + HOUR_MS))
        return table if pc.all(inside).as_py() else table.filter(inside)

    def _read_tracks(self, table: pa.Table) -> Tracks:
        return Tracks.of(position_rows(table), self._areas)

    def _failed(self, url: str, error: Exception) -> None:
        if url not in self._skipped:
            self._skipped.add(url)
            log.error("archive_file_skipped", file=url, reason=str(error))

    def _read_counts(self, table: pa.Table) -> Counts:
        return Counts.of(count_rows(table))


def _hours(from_ms: int, to_ms: int) -> range:
    return range(from_ms - from_ms % HOUR_MS, to_ms + 1, HOUR_MS)


def _look(table: pa.Table, hour_ms: int, skipped: set[str]) -> HourLook:
    return HourLook(
        from_ms=hour_ms,
        rows=table.num_rows,
        late=pc.sum(table.column("late")).as_py() or 0,
        vehicles=len(np.unique(words(table, "vehicle_id").codes)),
        minutes=minutes_of(ints(table, "measured_ms"), hour_ms),
        archived=table.num_rows,
        skipped=sorted(skipped),
        unread=False,
    )


def _with_tail(look: HourLook, tail: Sequence[pa.Table], unread: bool) -> HourLook:
    """With the rows of the hour that are only in the store yet."""
    rows, late, minutes = look.rows, look.late, look.minutes
    heard: set[str] = set()
    for table in tail:
        times = ints(table, "measured_ms")
        inside = (times >= look.from_ms) & (times < look.from_ms + HOUR_MS)
        if not inside.any():
            continue
        of_hour = table.filter(pa.array(inside))
        live = _look(of_hour, look.from_ms, set())
        rows, late = rows + live.rows, late + live.late
        minutes = [a + b for a, b in zip(minutes, live.minutes, strict=True)]
        vehicle = words(of_hour, "vehicle_id")
        heard.update(vehicle.names[code] for code in np.unique(vehicle.codes))
    return HourLook(
        from_ms=look.from_ms,
        rows=rows,
        late=late,
        # Nobody keeps who was in the files: who is in both must not count twice.
        vehicles=max(look.vehicles, len(heard)),
        minutes=minutes,
        archived=look.archived,
        skipped=look.skipped,
        unread=unread,
    )
