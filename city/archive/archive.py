"""The archive of one city: opened by anybody, written by few, in commits.

What a reader gets is the archive as of one commit; `refresh` goes on to the newest. A writer writes its files first and
its commit last. Killed in between it leaves a note of what it was at, and the next writer clears that away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import uuid4

import msgspec
import pyarrow as pa

from city.archive.files import ArchiveDown, ArchiveReplaced, Folder, Unreadable
from city.archive.journal import Journal, Overtaken, Problem
from city.archive.layout import Hour
from city.archive.log import Commit, File, Gap, Kind, Totals
from city.archive.parquet import Source, by_hour, merged, write
from city.archive.plan import DAY_MS, Merge, merges, outlived

__all__ = ["Archive", "ArchiveDown", "ArchiveReplaced", "File", "Gap", "Output", "Overtaken", "Problem"]

ROWS_MAX = 2_000_000
FILES_MAX = 16
# Readers that opened a file before it was replaced have so long to get through it.
GRACE_S = 600.0
# Made by the query engine, an hour at a time, and replaced as a whole: never merged.
ROLLUP = "rollup_"
# Merging opens so many files at once, and has so many rows of them in memory.
_MERGE_FILES = 64
_MERGE_ROWS = 131_072
# What is merged is written here until its commit. Its writer is long dead when it is so old.
_STAGING = "_merge"
_STAGED_DEAD_S = 6 * 3600.0
# What could not be merged is tried again then: a disk or a network may have failed, and not the file.
_TRY_AGAIN_MS = 3_600_000


class Output(NamedTuple):
    """Rows of one hour, sorted, to be written as one file."""

    place: Hour
    tables: Iterable[pa.Table]
    made_of: Mapping[str, int] = {}  # of a roll-up: feed → rows of its hour


class _Staged(NamedTuple):
    """Rows of one hour that are written, under this or another name."""

    place: Hour
    path: str
    size: int
    rows: int
    min_ms: int
    max_ms: int

    def as_file(self, made_of: Mapping[str, int] = MappingProxyType({})) -> File:
        feed, date, hour = self.place
        return File(
            path=self.path, feed=feed, date=date, hour=hour, rows=self.rows, bytes=self.size,
            min_ms=self.min_ms, max_ms=self.max_ms, made_of=dict(made_of),
        )  # fmt: skip


def now_ms() -> int:
    """Epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000


class Archive:
    """Files and cursors as of the last known commit. For one thread. Every method may raise ArchiveDown."""

    def __init__(self, folder: Folder, clock: Callable[[], int] = now_ms, *, room_min_mb: int = 0) -> None:
        self._folder = folder
        self._clock = clock
        self._room_min = room_min_mb << 20
        self._broken: dict[str, int] = {}  # path → when it could not be merged
        self._by = uuid4().hex
        self._journal = Journal(folder, self._by, clock)

    @classmethod
    def open(cls, url: str, city: str, clock: Callable[[], int] = now_ms, *, room_min_mb: int = 0) -> Archive:
        """The archive of a city below a folder or an fsspec URL, as it is now; one that is not there is empty.

        `room_min_mb`: no file is written where the disk has less room.
        """
        archive = cls(Folder(f"{url.rstrip('/')}/{city}"), clock, room_min_mb=room_min_mb)
        archive.refresh()
        return archive

    # --- reading ----------------------------------------------------------------------------------

    def refresh(self) -> bool:
        """Go on to the newest commit; whether there was one."""
        return self._journal.refresh()

    @property
    def number(self) -> int:
        """Of the last known commit, 0 before the first."""
        return self._journal.ledger.number

    def identity(self) -> str:
        """Which archive lies there now; empty: none has been begun, or by an older version."""
        return self._journal.identity()

    @property
    def committed_ms(self) -> int:
        """When that was, epoch milliseconds UTC."""
        return self._journal.ledger.at_ms

    @property
    def feeds(self) -> list[str]:
        """Those of which there is anything."""
        return self._journal.ledger.feeds

    @property
    def gaps(self) -> list[Gap]:
        """What is missing because it was deleted before it was archived; the newest thousand."""
        return list(self._journal.ledger.gaps)

    @property
    def problems(self) -> list[Problem]:
        """What was found wrong so far, each once."""
        return list(self._journal.problems)

    @property
    def folder(self) -> Folder:
        """Where it lies, for who looks behind the log."""
        return self._folder

    def cursors(self) -> dict[str, str]:
        """Stream → its last entry that is archived; partitions by their number, and `alarm_log`."""
        return dict(self._journal.ledger.cursors)

    def entries(self) -> dict[str, int]:
        """Stream → how many entries it had ever had up to its cursor."""
        return dict(self._journal.ledger.entries)

    def files(self, feed: str, from_ms: int, to_ms: int) -> list[File]:
        """The files that hold rows of [from_ms, to_ms) of a feed, oldest first; as of the last `refresh`."""
        found = [file for file in self._journal.ledger.files(feed) if file.max_ms >= from_ms and file.min_ms < to_ms]
        found.sort(key=lambda file: (file.min_ms, file.path))
        return [msgspec.structs.replace(file, url=self._folder.url(file.path)) for file in found]

    def all_files(self) -> list[File]:
        """Every file that is listed, by its path."""
        return sorted(self._journal.ledger.files(), key=lambda file: file.path)

    @property
    def totals(self) -> Totals:
        """How many files are listed, with how many rows and bytes."""
        return self._journal.ledger.totals

    def removed(self) -> set[str]:
        """Files that are listed no longer and not deleted yet."""
        return set(self._journal.ledger.removed)

    def found(self, path: str, why: str) -> None:
        """Note a problem."""
        self._journal.found(path, why)

    # --- writing ----------------------------------------------------------------------------------

    def append(
        self,
        batches: Mapping[str, Sequence[pa.RecordBatch]],
        cursors: Mapping[str, str],
        *,
        since: Mapping[str, str] | None = None,
        entries: Mapping[str, int] | None = None,
        gaps: Sequence[Gap] = (),
        kind: Kind = "append",
        behind: int | None = None,
    ) -> list[File]:
        """Add rows by feed, with how far the streams are archived by that; the new files.

        `since`: the cursors that the rows follow on; `behind`: the commit. Raises Overtaken where they are no longer
        the archive's.
        """
        outputs = [
            Output(place, [table]) for feed, rows in batches.items() for place, table in by_hour(feed, rows).items()
        ]
        return self.publish(kind, outputs, cursors=cursors, since=since, entries=entries, gaps=gaps, behind=behind)

    def publish(
        self,
        kind: Kind,
        outputs: Sequence[Output | _Staged],
        *,
        remove: Sequence[str] = (),
        cursors: Mapping[str, str] | None = None,
        since: Mapping[str, str] | None = None,
        entries: Mapping[str, int] | None = None,
        gaps: Sequence[Gap] = (),
        behind: int | None = None,
        seen: Mapping[tuple[str, str], Collection[str]] = MappingProxyType({}),
    ) -> list[File]:
        """One commit: write files of sorted rows, list them, list `remove` no longer; the new files.

        `seen`: by feed and date the files beside which they may stand. Raises Overtaken, with nothing done, where
        `since`, `behind`, `seen` or a path of `remove` no longer holds.
        """
        journal = self._journal
        if outputs:
            self._folder.check_room(self._room_min)
        with journal.turn():
            journal.check(since or {}, remove, behind, seen)
            number = journal.ledger.number + 1
            with journal.noted(number, [output.place.folder for output in outputs]):
                add = [
                    self._move(number, part, output)
                    if isinstance(output, _Staged)
                    else self._write(number, part, output)
                    for part, output in enumerate(outputs)
                ]
                commit = Commit(
                    number=number,
                    kind=kind,
                    at_ms=self._clock(),
                    by=self._by,
                    cursors=dict(cursors or {}),
                    entries=dict(entries or {}),
                    add=tuple(add),
                    remove=tuple(remove),
                    gaps=tuple(gaps),
                )
                journal.commit(commit)
            journal.shorten()
        return add

    def compact(
        self,
        *,
        files_max: int = FILES_MAX,
        rows_max: int = ROWS_MAX,
        steps: int | None = None,
        done: Callable[[Merge], None] = lambda merge: None,
    ) -> int:
        """Merge small files, at most `steps` times; how many merges there were, each of which `done` is told.

        A file that cannot be read is named among the problems, and stays as it is.
        """
        self.refresh()
        count = 0
        while steps is None or count < steps:
            now_ms = self._clock()
            usable = [
                file
                for file in self._journal.ledger.crowded()
                if not file.feed.startswith(ROLLUP)
                and not 0 <= now_ms - self._broken.get(file.path, -_TRY_AGAIN_MS) < _TRY_AGAIN_MS
            ]
            todo = merges(usable, now_ms, files_max=files_max, rows_max=rows_max)
            if not todo:
                break
            merge = todo[0]._replace(files=todo[0].files[:_MERGE_FILES])
            try:
                self._merge(merge)
            except Unreadable as error:
                self.found(error.path, error.why)
                self._broken[error.path] = now_ms
            except Overtaken:
                self.refresh()
            else:
                count += 1
                for file in merge.files:
                    if self._broken.pop(file.path, None) is not None:
                        self._journal.mended(file.path)
                done(merge)
        return count

    def _merge(self, merge: Merge) -> None:
        paths = [file.path for file in merge.files]
        self._folder.check_room(self._room_min + sum(file.bytes for file in merge.files) * (self._room_min > 0))
        with ExitStack() as stack:
            sources = [self._source(file, stack) for file in merge.files]
            tables = merged(merge.place.feed, sources, max(2048, _MERGE_ROWS // len(sources)))
            # It takes seconds: outside the archive's lock, so that who appends does not wait.
            staged = f"{_STAGING}/{self._by}.part"
            self._clear_staging(staged)
            try:
                with self._folder.writing(staged) as file:
                    rows, min_ms, max_ms = write(file, tables)
                    size = file.tell()
                if rows != merge.rows:
                    raise Unreadable(paths[0], f"merging it gave {rows} rows of {merge.rows}")
                self.publish("compact", [_Staged(merge.place, staged, size, rows, min_ms, max_ms)], remove=paths)
            finally:
                self._folder.remove(staged)

    def _clear_staging(self, own: str) -> None:
        """Delete what killed mergers left. Nobody knows who lives, but nobody merges for hours."""
        for name in self._folder.names(_STAGING):
            path = f"{_STAGING}/{name}"
            with suppress(FileNotFoundError):
                if path != own and self._folder.age_s(path, self._clock() / 1000) > _STAGED_DEAD_S:
                    self._folder.remove(path)

    def _source(self, file: File, stack: ExitStack) -> Source:
        """A listed file to be read. Raises Unreadable, also where another one stands in its place."""
        try:
            opened = stack.enter_context(self._folder.open(file.path))
            size = self._folder.size(file.path)
        except FileNotFoundError:
            raise Unreadable(file.path, "is listed, but not there") from None
        source = Source(file.path, opened)
        if (size, source.rows) != (file.bytes, file.rows):
            # Merged and deleted, what is left of it would be taken for all that there ever was.
            why = f"{size} bytes and {source.rows} rows, but {file.bytes} and {file.rows} were written"
            raise Unreadable(file.path, why)
        return source

    def retain(self, keep_days: Mapping[Any, float]) -> int:
        """Take files off the list whose feed is kept no longer; how many."""
        ledger = self._journal.ledger
        # A clock that is wrong by years must not end everything: time goes on by what is told and committed.
        now_ms = min(self._clock(), ledger.at_ms + DAY_MS, ledger.newest_ms + DAY_MS)
        gone = [file.path for file in outlived(ledger.files(), now_ms, keep_days)] if keep_days else []
        if gone:
            try:
                self.publish("retain", [], remove=gone)
            except Overtaken:
                self.refresh()  # another one was faster: what is left is found the next time
                return 0
        return len(gone)

    def sweep(self, grace_s: float = GRACE_S) -> int:
        """Delete the files that were replaced or outlived `grace_s` ago; how many."""
        self.refresh()  # nothing is deleted from another archive that lies there by now
        removed = self._journal.ledger.removed
        until_ms = self._clock() - int(grace_s * 1000)
        gone = [path for path, at_ms in removed.items() if at_ms <= until_ms and not self._journal.ledger.has(path)]
        for path in gone:
            self._folder.remove(path)
            del removed[path]
        return len(gone)

    def _move(self, number: int, part: int, staged: _Staged) -> File:
        path = staged.place.file(number, part, self._by)
        self._folder.move(staged.path, path)
        return staged._replace(path=path).as_file()

    def _write(self, number: int, part: int, output: Output) -> File:
        path = output.place.file(number, part, self._by)
        with self._folder.writing(path) as file:
            rows, min_ms, max_ms = write(file, output.tables)
            size = file.tell()
        return _Staged(output.place, path, size, rows, min_ms, max_ms).as_file(output.made_of)
