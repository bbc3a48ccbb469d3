"""The log of commits: what the archive consists of. Readers read what it lists and nothing else. Pure.

Commit `n` is the file `_log/<n>.json`, made exclusively, so that two writers never make the same one. Now and then the
sum of all commits so far is written as `_log/<n>.snapshot.json`, and those far behind it are deleted.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple, TypeVar

import msgspec
from msgspec import Struct

from city.archive.layout import Hour

Kind = Literal["append", "compact", "rollup", "retain", "import"]


class File(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file of the archive."""

    path: str  # below the city's folder
    feed: str
    date: str  # YYYY-MM-DD, UTC, of `measured_ms`
    hour: int
    rows: int
    bytes: int
    min_ms: int  # the least and the greatest `measured_ms` in it
    max_ms: int
    made_of: Mapping[str, int] = {}  # of a roll-up: feed → how many rows of its hour are in it; see city.rollups
    url: str = ""  # what an engine opens; not in the log, whose folder may be moved

    @property
    def place(self) -> Hour:
        return Hour(self.feed, self.date, self.hour)


class Gap(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of a stream was deleted before it was archived."""

    stream: str
    from_ms: int  # the store's clock: the last entry that is archived, and the first that was there again
    to_ms: int
    entries: int | None = None  # batches that are missing; None: nobody knows
    at_ms: int = 0  # when it was found


class Commit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One step of the archive: all of it or nothing."""

    number: int
    kind: Kind
    at_ms: int
    by: str  # its writer: tells whose a commit is when the answer to writing it was lost
    cursors: Mapping[str, str] = {}  # stream → the last entry that is archived; only those that moved
    entries: Mapping[str, int] = {}  # stream → how many entries were ever added to it up to the cursor
    add: tuple[File, ...] = ()
    remove: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    prev: str = ""  # `digest_of` the commit before; empty: its writer did not know it, or is of an older version


class Removed(Struct, frozen=True):
    """A file that is no longer listed, until it is deleted: readers may still be in it."""

    path: str
    at_ms: int


class Snapshot(Struct, frozen=True, kw_only=True):
    """All commits up to `number` together."""

    number: int
    at_ms: int
    cursors: dict[str, str]
    entries: dict[str, int]
    files: list[File]
    removed: list[Removed]
    gaps: list[Gap]
    damaged: list[tuple[int, int]] = []  # from which commit to which: nobody could read them, and they are not in it
    digest: str = ""  # `digest_of` commit `number`; empty as in `prev`


class Totals(NamedTuple):
    """Of all files."""

    files: int
    rows: int
    bytes: int


# Feeds whose times are those of our own clock, all or some.
_OWN_CLOCK = ("transition", "camera_status", "rollup_")
_GAPS_KEPT = 1000  # a gap a stream and second for a quarter of an hour; they are told when they are found


class Ledger:
    """The archive as of its last known commit."""

    def __init__(self) -> None:
        self.number = 0
        self.at_ms = 0
        self.digest = ""  # `digest_of` the last commit; empty: not known
        self.cursors: dict[str, str] = {}
        self.entries: dict[str, int] = {}
        self.removed: dict[str, int] = {}  # path → when
        self.gaps: list[Gap] = []
        self.damaged: list[tuple[int, int]] = []  # commits that could not be read, first and last
        # The greatest time of measuring in any file so far, by the devices' clocks: ours may be what is wrong.
        self.newest_ms = 0
        self._files: dict[str, dict[str, tuple[File, ...]]] = {}  # feed → folder of an hour → its files
        self._crowded: set[tuple[str, str]] = set()  # feeds and folders with more than one: few, where files are many
        self._totals = Totals(0, 0, 0)

    def apply(self, commit: Commit, digest: str = "") -> None:
        """Take in the next commit, whose `digest_of` it is."""
        self.number, self.at_ms, self.digest = commit.number, commit.at_ms, digest
        self.cursors.update(commit.cursors)
        self.entries.update(commit.entries)
        self.gaps = [*self.gaps, *commit.gaps][-_GAPS_KEPT:]
        for path in commit.remove:
            if self._drop(path):
                self.removed[path] = commit.at_ms
        for file in commit.add:
            self._drop(file.path)
            self._add(file)

    @classmethod
    def of(cls, snapshot: Snapshot) -> Ledger:
        ledger = cls()
        ledger.number, ledger.at_ms, ledger.digest = snapshot.number, snapshot.at_ms, snapshot.digest
        ledger.cursors, ledger.entries = dict(snapshot.cursors), dict(snapshot.entries)
        ledger.removed = {one.path: one.at_ms for one in snapshot.removed}
        ledger.gaps = list(snapshot.gaps)
        ledger.damaged = list(snapshot.damaged)
        for file in snapshot.files:
            ledger._add(file)
        return ledger

    def snapshot(self) -> Snapshot:
        return Snapshot(
            number=self.number,
            at_ms=self.at_ms,
            cursors=self.cursors,
            entries=self.entries,
            files=list(self.files()),
            removed=[Removed(path, at_ms) for path, at_ms in self.removed.items()],
            gaps=self.gaps,
            damaged=self.damaged,
            digest=self.digest,
        )

    def skip(self, first: int, last: int) -> None:
        """Go on behind commits that nobody can read."""
        self.damaged.append((first, last))
        self.number, self.digest = last, ""

    def is_damaged(self, number: int) -> bool:
        return any(first <= number <= last for first, last in self.damaged)

    @property
    def feeds(self) -> list[str]:
        return sorted(feed for feed, folders in self._files.items() if folders)

    def files(self, feed: str | None = None) -> Iterator[File]:
        """The files of a feed, or of all."""
        feeds = self._files.values() if feed is None else [self._files.get(feed, {})]
        return (file for folders in feeds for files in folders.values() for file in files)

    def crowded(self) -> Iterable[File]:
        """The files of those hours that have more than one."""
        return (file for feed, folder in self._crowded for file in self._files[feed][folder])

    def has(self, path: str) -> bool:
        feed, folder = _place(path)
        return any(file.path == path for file in self._files.get(feed, {}).get(folder, ()))

    @property
    def totals(self) -> Totals:
        return self._totals

    def _add(self, file: File) -> None:
        # Read from a log each file brings texts of its own, where a few thousand are enough for all.
        msgspec.structs.force_setattr(file, "feed", sys.intern(file.feed))
        msgspec.structs.force_setattr(file, "date", sys.intern(file.date))
        feed, folder = _place(file.path)
        folders = self._files.setdefault(feed, {})
        folders[folder] = (*folders.get(folder, ()), file)
        if len(folders[folder]) > 1:
            self._crowded.add((feed, folder))
        files, rows, size = self._totals
        self._totals = Totals(files + 1, rows + file.rows, size + file.bytes)
        if not file.feed.startswith(_OWN_CLOCK):
            self.newest_ms = max(self.newest_ms, file.max_ms)

    def _drop(self, path: str) -> bool:
        """Whether it was listed."""
        feed, folder = _place(path)
        folders = self._files.get(feed, {})
        there = folders.get(folder, ())
        left = tuple(file for file in there if file.path != path)
        if len(left) == len(there):
            return False
        (gone,) = (file for file in there if file.path == path)
        if left:
            folders[folder] = left
        else:
            del folders[folder]
        if len(left) < 2:
            self._crowded.discard((feed, folder))
        files, rows, size = self._totals
        self._totals = Totals(files - 1, rows - gone.rows, size - gone.bytes)
        return True


def _place(path: str) -> tuple[str, str]:
    """The feed of a file, and the folder of its hour below it: the same text for all feeds."""
    feed, _, below = path.partition("/")
    return sys.intern(feed), sys.intern(below.rpartition("/")[0])


_commit = msgspec.json.Decoder(Commit)
_snapshot = msgspec.json.Decoder(Snapshot)


def encode(what: Commit | Snapshot) -> bytes:
    return msgspec.json.encode(what)


def digest_of(data: bytes) -> str:
    """What tells a commit's bytes from those of any other one: SHA-256, the first half, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:32]


def read_commit(data: bytes, number: int) -> Commit:
    """The commit that a file of this number holds. Raises msgspec.MsgspecError."""
    return _read(_commit, data, number)


def read_snapshot(data: bytes, number: int) -> Snapshot:
    """Raises msgspec.MsgspecError."""
    return _read(_snapshot, data, number)


_Numbered = TypeVar("_Numbered", Commit, Snapshot)


def _read(decoder: msgspec.json.Decoder[_Numbered], data: bytes, number: int) -> _Numbered:
    try:
        found = decoder.decode(data)
    except (UnicodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from error
    if found.number != number:
        raise msgspec.DecodeError(f"it is of number {found.number}")
    return found


def entry_ms(entry_id: str) -> int:
    """When an entry of a stream came, by its id: the store's clock, epoch milliseconds."""
    return int(entry_id.partition("-")[0])
