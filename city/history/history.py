"""History: the archive and what is only in the store yet, as tables that questions are asked of.

`History.view` holds one moment of both: the files of one commit, and the streams from that commit's cursors on. No row
is missing between them and none is there twice, whatever the archive does meanwhile.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import fsspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import structlog
from fsspec.implementations.local import LocalFileSystem
from ibis.expr import types as ir

from city.archive.archive import Archive, ArchiveDown, File
from city.archive.columns import schema
from city.archive.layout import LOG
from city.config import Config
from city.events import Facet
from city.history.engines import Engine, HistoryError, Parts, TooMuch, Unreadable, engine_of
from city.history.origin import Origin, Skipped
from city.history.tail import Tail
from city.store import Store, now_ms

log = structlog.get_logger()

_STORE_TIMEOUT_S = 5.0
# Events may be so much older than their receiving as ingest lets through, and a little.
_LATER_MS = 60_000
# Some events are said again however old they are: of these feeds old rows may be in the store only.
_NEVER_STALE = frozenset({Facet.CASE, Facet.CAMERA_STATUS})
# A file that could not be read may have been brought back since.
_LOOK_AGAIN_S = 60.0
# What a file system answers when its place is away, or this process has too much open: no fault of one file.
_AWAY = frozenset(
    {errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EMFILE, errno.ENFILE}
)


class _Broken(NamedTuple):
    """Why a file cannot be read."""

    why: str
    at_s: float  # when that was found
    inside: bool  # it was read to its end for that: a look at it from outside finds nothing


class History:
    """All that the city said, by feed and span. For one thread, but for `cancel` and `progress`.

    Every method may raise HistoryError.
    """

    def __init__(
        self,
        archive: Archive,
        engine: Engine,
        tail: Tail | None,
        *,
        stale_max_s: float = 3600,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archive = archive
        self._engine = engine
        self._tail = tail
        self._stale_max_ms = int(stale_max_s * 1000)
        self._whole: dict[str, pa.Schema | None] = {}  # files that were seen to be complete; None: not looked into
        self._kinds: dict[str, pa.Schema] = {}
        self._broken: dict[str, _Broken] = {}
        self._named: dict[str, str] = {}  # what was said of files already
        self._clock_s = clock_s

    @classmethod
    def open(cls, config: Config, *, live: bool = True) -> History:
        """The history of a city by its settings; `live`: with what is only in the store."""
        url = archive_url(config)
        archive = _opened(url, config.city)
        filesystem, _ = fsspec.core.url_to_fs(url)
        away = None if isinstance(filesystem, LocalFileSystem) else filesystem
        engine = engine_of(config.history, filesystem=away)
        tail = Tail(Store.of(config, timeout_s=_STORE_TIMEOUT_S)) if live else None
        return cls(archive, engine, tail, stale_max_s=config.ingest.checks.stale_max_s)

    def close(self) -> None:
        self._engine.close()
        if self._tail is not None:
            self._tail.close()

    def view(self) -> View:
        """History as of now."""
        try:
            self._archive.refresh()
        except ArchiveDown as error:
            raise HistoryError(f"the archive cannot be read: {error}") from error
        return View(self)

    def table(self, feed: str, from_ms: int, to_ms: int) -> ir.Table:
        """The rows of a feed in [from_ms, to_ms), as of now; see `View.table`."""
        return self.view().table(feed, from_ms, to_ms)

    def cancel(self) -> None:
        """Let what runs raise Cancelled, from another thread."""
        self._engine.cancel()

    def progress(self) -> float | None:
        """How much of what runs is done, 0 to 1; None where nobody knows. From another thread."""
        return self._engine.progress()

    # --- for views --------------------------------------------------------------------------------

    @property
    def archive(self) -> Archive:
        return self._archive

    @property
    def engine(self) -> Engine:
        return self._engine

    def live(self, feed: str, from_ms: int, to_ms: int) -> tuple[pa.Table, str]:
        """The rows of a span that are only in the store, and why some may be missing."""
        empty = schema(feed).empty_table()
        if self._tail is None:
            return empty, ""
        if feed not in _NEVER_STALE and to_ms <= self._archive_ms() - self._stale_max_ms - _LATER_MS:
            return empty, ""
        found = self._tail.of(feed, self._archive.cursors())
        at = found.rows["measured_ms"]
        return found.rows.filter(pc.and_(pc.greater_equal(at, from_ms), pc.less(at, to_ms))), found.missing

    def usable(self, files: Sequence[File]) -> tuple[list[File], list[Skipped]]:
        """The files that look whole, and those that do not."""
        good: list[File] = []
        skipped: list[Skipped] = []
        for file in files:
            known = self._broken.get(file.path)
            if known is None and file.path not in self._whole:
                self._look_at(file)
            elif known is not None and self._clock_s() - known.at_s > _LOOK_AGAIN_S:
                self._look_again_at(file, known)
            if (broken := self._broken.get(file.path)) is None:
                good.append(file)
            else:
                skipped.append(Skipped(file.path, broken.why))
        return good, skipped

    def read_through(self, files: Sequence[File]) -> bool:
        """Read files to their end and remember those that cannot be; whether there are any."""
        return sum(not self._read(file) for file in files) > 0

    def uniform(self, files: Sequence[File], wanted: pa.Schema) -> bool:
        """Whether every file is known to have just these columns."""
        return all((known := self._whole.get(file.path)) is not None and known.equals(wanted) for file in files)

    def _read(self, file: File) -> bool:
        """Read a file to its end; False, and it is remembered, where that cannot be."""
        try:
            with self._archive.folder.open(file.path) as opened_file:
                for _ in pq.ParquetFile(opened_file, page_checksum_verification=True).iter_batches():
                    pass
        except (OSError, ArchiveDown, pa.ArrowException) as error:
            self._check_there(error)
            self._skip(file, " ".join(str(error).split())[:200] or type(error).__name__, inside=True)
            return False
        return True

    def _look_again_at(self, file: File, known: _Broken) -> None:
        del self._broken[file.path]
        try:
            self._look_at(file)
            if file.path not in self._broken and known.inside:
                self._read(file)
        except HistoryError:
            self._broken[file.path] = known
            raise

    def _check_there(self, error: Exception) -> None:
        """Raises HistoryError where not a file is damaged but the archive is away: that passes, and is no answer."""
        folder = self._archive.folder
        code = getattr(error, "errno", None)
        away = isinstance(error, ArchiveDown | TimeoutError | ConnectionError) or code in _AWAY
        if isinstance(error, FileNotFoundError):
            # What has no log is no archive: its disk is not mounted.
            try:
                away = not ((folder.local / LOG).is_dir() if folder.local is not None else folder.names(LOG))
            except (OSError, ArchiveDown):
                away = True
        elif folder.local is None:
            away = away or code is not None
        if away:
            raise HistoryError(f"the archive cannot be read: {error}") from error

    def _look_at(self, file: File) -> None:
        """Whether a file is there, of its size, and has a footer. Elsewhere than locally that costs too much."""
        local = self._archive.folder.local
        if local is None:
            self._whole[file.path] = None
            return
        try:
            size = (local / file.path).stat().st_size
            if size != file.bytes:
                self._skip(file, f"{size} bytes, not {file.bytes}")
                return
            of_file = pq.read_schema(local / file.path)
            plain = pa.schema([field.with_metadata(None) for field in of_file])
            # One of each kind is kept: an archive of years has a hundred thousand files.
            self._whole[file.path] = self._kinds.setdefault(str(plain), plain)
        except (OSError, pa.ArrowException) as error:
            self._check_there(error)
            self._skip(file, " ".join(str(error).split())[:200] or type(error).__name__)

    def _skip(self, file: File, why: str, *, inside: bool = False) -> None:
        self._whole.pop(file.path, None)
        self._broken[file.path] = _Broken(why, self._clock_s(), inside)
        if self._named.get(file.path) != why:
            self._named[file.path] = why
            self._archive.found(file.path, why)
            log.warning("history_file_skipped", file=file.path, why=why)

    def _archive_ms(self) -> int:
        """The store's time of the entry that the archive has of every stream; 0 without one."""
        cursors = self._archive.cursors()
        partitions = [cursor for stream, cursor in cursors.items() if stream.isdecimal()]
        return min((int(cursor.partition("-")[0]) for cursor in partitions), default=0)


class View:
    """History at one moment. Tables of it, and what is made of them, are run by `run`."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._files: dict[str, list[File]] = {}
        self._parts: dict[str, Parts] = {}
        self._missing: set[str] = set()
        self._skipped: dict[str, Skipped] = {}
        self._used: dict[str, File] = {}
        self._live_rows = 0
        self.at_ms = now_ms()

    def files(self, feed: str, from_ms: int, to_ms: int) -> list[File]:
        """The archive's files of a span."""
        return self._history.archive.files(feed, from_ms, to_ms)

    def table(self, feed: str, from_ms: int, to_ms: int) -> ir.Table:
        """The rows of a feed whose files and live rows touch [from_ms, to_ms): some beyond it are there too.

        The columns of the archive, but `lat` and `lon` are degrees.
        """
        return self.table_of(feed, self.files(feed, from_ms, to_ms), self.live(feed, from_ms, to_ms))

    def usable(self, files: Sequence[File]) -> list[File]:
        """The files that can be read; the others are named in `origin`."""
        good, skipped = self._history.usable(files)
        self._skipped |= {one.path: one for one in skipped}
        return good

    def live(self, feed: str, from_ms: int, to_ms: int) -> pa.Table:
        """The rows of a span that are only in the store, as the archive would have them."""
        rows, missing = self._history.live(feed, from_ms, to_ms)
        if missing:
            self._missing.add(missing)
        return rows

    def table_of(self, name: str, files: Sequence[File], rows: pa.Table) -> ir.Table:
        """Files, and rows of their schema, as one table under a name."""
        files = self.usable(files)
        self._files[name] = files
        self._used |= {file.path: file for file in files}
        uniform = self._history.uniform(files, rows.schema)
        self._parts[name] = Parts([file.url for file in files], rows, uniform)
        self._live_rows += rows.num_rows
        try:
            return self._history.engine.table(name, self._parts[name])
        except Unreadable:
            if not self._history.read_through(files):
                raise
            return self._again(name)

    def run(self, expr: ir.Table, *, rows_max: int | None = None) -> pa.Table:
        """The answer. A file that cannot be read is left out, and named in `origin`. Raises TooMuch beyond a limit."""
        if rows_max is None:
            return self._run(expr)
        found = self._run(expr.limit(rows_max + 1))
        if found.num_rows > rows_max:
            raise TooMuch(f"more than {rows_max} rows: take a longer step, a shorter time or fewer groups")
        return found

    def _run(self, expr: ir.Table) -> pa.Table:
        engine = self._history.engine
        try:
            return engine.run(expr)
        except Unreadable:
            used = [file for files in self._files.values() for file in files]
            if not self._history.read_through(used):
                raise
            for name in self._files:
                self._again(name)
            return engine.run(expr)

    def _again(self, name: str) -> ir.Table:
        """A table without the files that turned out to be unreadable; expressions of it stay good."""
        self._files[name] = self.usable(self._files[name])
        self._parts[name] = self._parts[name]._replace(urls=[file.url for file in self._files[name]])
        return self._history.engine.table(name, self._parts[name])

    def origin(self) -> Origin:
        """Where the rows of the tables come from."""
        files = [file for path, file in self._used.items() if path not in self._skipped]
        return Origin(
            engine=self._history.engine.name,
            commit=self._history.archive.number,
            files=len(files),
            bytes=sum(file.bytes for file in files),
            archived_rows=sum(file.rows for file in files),
            live_rows=self._live_rows,
            live_missing="; ".join(sorted(self._missing)),
            skipped=tuple(self._skipped.values()),
        )


def archive_url(config: Config) -> str:
    """Where the archive lies: a folder beside config.yaml, or a URL."""
    url = config.history.url
    return url if "://" in url else str(config.root / Path(url))


def _opened(url: str, city: str) -> Archive:
    try:
        return Archive.open(url, city)
    except ArchiveDown as error:
        raise HistoryError(f"the archive cannot be read: {error}") from error
