"""The archive's writer: a thread that reads the streams from where the archive stopped, and commits files.

It knows nothing that the archive does not know: what was read and is in no commit is read again after a kill, from the
cursors of the last one. While the archive's folder cannot be written nothing is read beyond a bounded buffer, and the
store keeps what is behind (`history.hold_s`).
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable

import structlog

from city.archive.archive import Archive, ArchiveDown, ArchiveReplaced, Gap, Overtaken
from city.archive_figures import ArchiveFigures, newest_loss
from city.archive_source import OLDEST, ArchiveSource, KnownArchive
from city.config import Config
from city.settings import History
from city.store import Store, StoreDown, StoreRefused, now_ms
from ingest.archive_gaps import Place, look
from ingest.archive_rows import ArchiveRows
from ingest.right_archive import RightArchive
from ingest.tidier import Tidier, TidierThread

log = structlog.get_logger()

_READ_BLOCK_MS = 200
_READ_COUNT = 64  # entries a stream and read
_RETRY_MIN_S, _RETRY_MAX_S = 0.2, 5.0
# Read and not written: beyond it the store keeps the rest.
_WAITING_BYTES_MAX = 64 << 20
# So often it is looked whether the store deleted what was not read yet.
_LOOK_EVERY_S = 5.0
_TELL_EVERY_S = 2.0
# From this share of `history.hold_s` on it is said aloud that events will be lost.
_BEHIND = 0.5


class Archiver:
    """Keeps the archive up with the streams."""

    def __init__(
        self,
        config: Config,
        source: ArchiveSource,
        clock: Callable[[], int] = now_ms,
        *,
        tidier: Tidier | None = None,
        right: RightArchive | None = None,
    ) -> None:
        """`tidier`: who works on the same archive beside it; what he finds is told with the figures.

        `right`: where others in its process learn in which archive they may write.
        """
        self._tidier = tidier
        self._right = right or RightArchive()
        self._settings: History = config.history
        # Younger than that nothing is deleted, archived or not.
        self._hold_s = max(config.history.hold_s, config.store.events_keep_s)
        self._keep_ms = int(config.store.events_keep_s * 1000)
        self._city = config.city
        self._source = source
        self._clock = clock
        self._archive: Archive | None = None
        self._rows = ArchiveRows()
        self._base: dict[str, str] = {}  # the archive's cursors that what was read follows on
        self._cursors: dict[str, str] = {}
        self._entries: dict[str, int] = {}
        self._sure_ms: dict[str, int] = {}  # up to when nothing was missing
        self._anew: set[str] = set()  # streams in a store that knows nothing of the archive
        self._before: dict[str, int] = {}  # what such a stream had deleted by then
        self._gaps: list[Gap] = []
        self._lag_s = 0.0
        self._begun = False
        self._look_at = -math.inf
        self._flush_at = 0.0
        self._tell_at = 0.0
        self._written = 0
        self._lost = 0
        self._waits_for = ""
        self._behind = False

    def run(self, stop: threading.Event) -> None:
        """Until `stop`; what does not answer is waited for, and said once."""
        down_since_ms: int | None = None
        retry_s = _RETRY_MIN_S
        while not stop.is_set():
            try:
                self.step()
            except (StoreDown, StoreRefused, ArchiveDown) as down:
                self._waits_for = "archive" if isinstance(down, ArchiveDown) else "store"
                if isinstance(down, ArchiveReplaced):
                    # What was read and not written is read again, when the right one is back or another one accepted.
                    self._archive, self._begun = None, False
                    self._right.lost()
                if down_since_ms is None:
                    down_since_ms = self._clock()
                    log.warning("archive_waits", waits_for=self._waits_for, error=str(down))
                self._tell_if_it_can()
                stop.wait(retry_s * random.uniform(0.5, 1.0))
                retry_s = min(_RETRY_MAX_S, retry_s * 2)
                continue
            if down_since_ms is not None:
                log.info("archive_goes_on", away_s=round((self._clock() - down_since_ms) / 1000, 1))
                down_since_ms, retry_s, self._waits_for = None, _RETRY_MIN_S, ""
        try:
            self.flush()
        except (StoreDown, ArchiveDown, StoreRefused) as down:
            log.warning("archive_flush_missed", error=str(down))  # it is in the store, and read again

    def step(self) -> None:
        """One read, and what is due after it."""
        self._begin()
        full = self._rows.rows >= self._settings.flush_rows or self._rows.waiting_bytes >= _WAITING_BYTES_MAX
        if not full:
            self._read()
        now = time.monotonic()
        if full or (self._due and now >= self._flush_at):
            self.flush()
        if now >= self._tell_at:
            self._tell()

    def flush(self) -> None:
        """Commit what was read."""
        archive = self._archive
        if archive is None or not self._begun or not self._due:
            return
        began = time.monotonic()
        batches = self._rows.batches()
        try:
            files = archive.append(batches, self._cursors, since=self._base, entries=self._entries, gaps=self._gaps)
        except Overtaken as overtaken:
            # Another process archives the same city: it has what was read here, or some of it.
            log.warning("archive_overtaken", reason=str(overtaken))
            self._begun = False
            return
        rows = sum(file.rows for file in files)
        self._written += rows
        self._base = dict(self._cursors)
        self._rows.clear()
        self._gaps = []
        self._flush_at = time.monotonic() + self._settings.flush_every_s
        log.debug("archived", rows=rows, files=len(files), took_s=round(time.monotonic() - began, 2))
        self._say_archived(archive)

    @property
    def _due(self) -> bool:
        """Whether there is anything to commit."""
        return self._cursors != self._base or bool(self._gaps)

    def _begin(self) -> None:
        """The archive, with everything taken up from where it stopped."""
        if self._begun:
            return
        # Before the folder is looked for: it may be away, and the store is to keep what comes meanwhile.
        self._hold()
        archive = self._archive
        if archive is None:
            archive = self._archive = Archive.open(
                self._settings.url, self._city, self._clock, room_min_mb=self._settings.room_min_mb
            )
        archive.refresh()
        self._check_same(archive)
        known = archive.cursors()
        self._base = {stream: known.get(stream, OLDEST) for stream in self._source.streams}
        self._cursors = dict(self._base)
        self._entries = archive.entries()
        self._sure_ms = {}
        self._rows.clear()
        self._gaps = []
        self._look_at = -math.inf
        self._flush_at = time.monotonic() + self._settings.flush_every_s
        self._right.found(KnownArchive(archive.identity(), archive.number))
        # Begun before the store is told: a full one takes no word, and only reading on makes room in it.
        self._begun = True
        log.info("archive_begun", url=self._settings.url, commit=archive.number, files=archive.totals.files)
        # The store may never have heard of it: a commit may have been the last deed of who was killed.
        self._say_archived(archive)

    def _check_same(self, archive: Archive) -> None:
        """Raises ArchiveReplaced where this is not the archive of before: a disk is not mounted, or an old copy is."""
        before = self._source.known()
        if before is None:
            return
        found = archive.identity()
        if archive.number < before.commit or (found and before.id and found != before.id):
            raise ArchiveReplaced(
                f"{self._settings.url}: this is commit {archive.number} of {found or 'no archive'}, and the last one "
                f"was {before.commit} of {before.id or 'another'}; is the right place mounted? If this is as it is "
                "to be: `markaz history accept`"
            )

    def _say_archived(self, archive: Archive) -> None:
        """Let the store delete what is archived. Room first: a full store takes nothing else."""
        known = {stream: cursor for stream, cursor in self._base.items() if cursor != OLDEST}
        self._source.trim(known, self._keep_ms)
        if archive.number:
            this = KnownArchive(archive.identity(), archive.number)
            self._right.found(this)
            self._source.archived(known, this)

    def _hold(self) -> None:
        """Let the store keep what is not archived. One that was emptied, or lost its last writes, has forgotten it."""
        try:
            fresh = self._source.hold()
            if fresh:
                self._anew |= fresh
                self._before |= {stream: one.deleted for stream, one in self._source.standing(fresh).items()}
        except (StoreDown, StoreRefused) as down:
            log.debug("archive_hold_missed", error=str(down))  # a full one: it is asked again with the figures

    def _read(self) -> None:
        if time.monotonic() >= self._look_at or self._lag_s > self._hold_s * _BEHIND:
            self._look_for_gaps()
        entries = self._source.read(self._cursors, block_ms=_READ_BLOCK_MS, count=_READ_COUNT)
        for entry in entries:
            self._rows.add(entry)
            if entry.stream in self._entries:
                self._entries[entry.stream] += 1

    def _look_for_gaps(self) -> None:
        """Whether the store deleted what was not read, or is another one."""
        found = self._source.standing(self._cursors)
        for stream, cursor in self._cursors.items():
            standing = found.get(stream)
            if standing is None:
                self._entries[stream] = 0  # it counts from its first entry
                continue
            place, gap = look(
                stream,
                Place(cursor, self._entries.get(stream), self._sure_ms.get(stream, 0)),
                standing,
                anew=stream in self._anew,
                before=self._before.get(stream, None if stream.isdecimal() else 0),
                now_ms=self._clock(),
            )
            self._anew.discard(stream)
            self._cursors[stream], self._sure_ms[stream] = place.cursor, place.sure_ms
            if place.entries is None:
                self._entries.pop(stream, None)
            else:
                self._entries[stream] = place.entries
            if gap is not None:
                self._gaps.append(gap)
                self._lost += gap.entries or 0
                log.error(
                    "archive_gap", stream=stream, from_ms=gap.from_ms, to_ms=gap.to_ms, entries=gap.entries,
                    reason="the store deleted or lost events before they were archived; see history.hold_s",
                )  # fmt: skip
        self._look_at = time.monotonic() + _LOOK_EVERY_S

    # --- figures ------------------------------------------------------------------------------------

    def _tell(self) -> None:
        self._tell_at = time.monotonic() + _TELL_EVERY_S
        archive = self._archive
        self._hold()
        now = self._clock()
        oldest_ms = self._source.oldest_ms(self._base if self._begun else self._source.marks())
        self._lag_s = lag_s = max(0.0, (now - oldest_ms) / 1000) if oldest_ms is not None else 0.0
        behind = lag_s > self._hold_s * _BEHIND
        if behind != self._behind:
            self._behind = behind
            told = log.error if behind else log.info
            told("archive_behind" if behind else "archive_caught_up", lag_s=round(lag_s), hold_s=self._hold_s)
        files, rows, size = archive.totals if archive is not None else (0, 0, 0)
        self._source.tell(
            ArchiveFigures(
                at_ms=now,
                committed_ms=archive.committed_ms if archive else 0,
                commit=archive.number if archive else 0,
                files=files,
                rows=rows,
                bytes=size,
                rows_written=self._written,
                waiting_rows=self._rows.rows,
                lag_s=round(lag_s, 1),
                hold_s=self._hold_s,
                waits_for=self._waits_for,
                gaps=len(archive.gaps) if archive else 0,
                lost_entries=self._lost,
                lost=newest_loss(archive.gaps) if archive else None,
                unreadable=self._rows.unreadable,
                problems=len(
                    {*(archive.problems if archive else ()), *(self._tidier.problems if self._tidier else ())}
                ),
            )
        )

    def _tell_if_it_can(self) -> None:
        if self._waits_for == "store" or time.monotonic() < self._tell_at:
            return
        try:
            self._tell()
        except (StoreDown, StoreRefused):
            self._tell_at = time.monotonic() + _TELL_EVERY_S


class ArchiverThread(threading.Thread):
    """The archiver beside its process's own work, with a connection of its own; it ends soon after `stop`."""

    def __init__(self, config: Config, stop: threading.Event) -> None:
        super().__init__(name="archiver")
        self._config, self._stop_all = config, stop
        self.right = RightArchive()
        self.failed = False

    def run(self) -> None:
        store = Store.of(self._config)
        try:
            tidier = Tidier(self._config, right=self.right)
            TidierThread(tidier, self._stop_all).start()
            Archiver(self._config, ArchiveSource(store), tidier=tidier, right=self.right).run(self._stop_all)
        except Exception:
            # Its process ends with it and is started again: an archive that stands still and says nothing is worse.
            log.exception("archiver_failed")
            self.failed = True
            self._stop_all.set()
        finally:
            store.close()
