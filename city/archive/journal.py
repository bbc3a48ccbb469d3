"""The log of commits as it lies in the archive's folder: read, gone on with, kept short."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import NamedTuple
from uuid import uuid4

import msgspec
from msgspec import Struct

from city.archive.files import ArchiveDown, ArchiveReplaced, Folder
from city.archive.layout import (
    IDENTITY,
    LOG,
    commit_number,
    commit_path,
    intent_path,
    intent_writer,
    is_part,
    read_name,
    snapshot_number,
    snapshot_path,
)
from city.archive.log import Commit, Ledger, digest_of, encode, read_commit, read_snapshot

# A writer that merges holds the lock for some seconds.
_LOCK_PATIENCE_S = 60.0
# Where there is no lock: nobody takes so long from his first file to his commit.
_INTENT_DEAD_S = 3600.0
_SNAPSHOT_EVERY = 100


class Overtaken(Exception):
    """Another writer was faster: what this one began from is no longer the state of the archive."""


class Problem(NamedTuple):
    """Something in the archive that is not as it should be; it was skipped and left as it is."""

    path: str
    why: str


class _Intent(Struct, frozen=True):
    """A writer's note of where its files will be, before its commit."""

    number: int
    folders: tuple[str, ...]
    by: str = ""  # as in the names of its files


class _Identity(Struct, frozen=True):
    """What tells an archive from another one in its place."""

    id: str


class Journal:
    """The ledger of one folder, as of the last known commit, and the way to the next. Raises ArchiveDown."""

    def __init__(self, folder: Folder, by: str, clock: Callable[[], int]) -> None:
        self.ledger = Ledger()
        self.problems: dict[Problem, None] = {}
        self._folder = folder
        self._by = by
        self._clock = clock
        self._snapshot_at = 0
        self._identity = ""
        self._foreign: set[str] = set()  # files beyond the last commit that are none of this archive's log
        self._committing = False

    def found(self, path: str, why: str) -> None:
        """Note a problem, once."""
        self.problems[Problem(path, why)] = None

    def mended(self, path: str) -> None:
        """Forget the problems of a file."""
        for problem in [one for one in self.problems if one.path == path]:
            del self.problems[problem]

    def refresh(self) -> bool:
        """Go on to the newest commit; whether there was one. Raises ArchiveReplaced."""
        before = self.ledger.number
        for _ in range(3):
            # A commit that is listed may be gone when it is read: behind a snapshot they are deleted.
            with suppress(FileNotFoundError):
                self._catch_up()
                return self.ledger.number != before
        raise ArchiveDown(f"{LOG}: changes faster than it can be read")

    def _catch_up(self) -> None:
        commits, snapshots = self._listed()
        if self.ledger.number > max([*commits, *snapshots], default=0):
            # A folder that is not mounted is empty. Going on there would hide what is written under what comes back.
            raise ArchiveReplaced(f"{LOG}: commit {self.ledger.number} is gone; this is not the archive that it was")
        self._check_same()
        if self.ledger.number == 0:
            self._jump(snapshots)
        again = True
        while True:
            number = self.ledger.number + 1
            beyond = sorted(one for one in commits if one > number and commit_path(one) not in self._foreign)
            if number in commits:
                self._take(number)
            elif self._jump(snapshots):
                continue
            elif not beyond:
                break
            elif again:
                # A listing that is made while commits are may show one and not the one before it.
                with suppress(FileNotFoundError):
                    self._take(number)
                    continue
                again = False
                commits, snapshots = self._listed()
            elif (next_ := self._first_of(beyond)) is not None:
                self._skip(number, next_ - 1, "a commit is missing")
            else:
                break
        self._snapshot_at = max([self._snapshot_at, *(one for one in snapshots if one <= self.ledger.number)])

    def _check_same(self) -> None:
        """Raises ArchiveReplaced where what lies there is not what the ledger was read from.

        Another archive has another last commit, and so has a copy that has gone on by itself.
        """
        number = self.ledger.number
        there = self._last_is_there()
        if there is False:
            raise ArchiveReplaced(f"{LOG}: another commit {number}; this is not the archive that it was")
        if there is None:
            found = self.identity()
            if number and self._identity and found != self._identity:
                raise ArchiveReplaced(f"{IDENTITY}: this is not the archive that it was")
            self._identity = self._identity or found

    def _last_is_there(self) -> bool | None:
        """Whether the last known commit lies there as it was taken; None where nothing tells."""
        number = self.ledger.number
        if not number or not self.ledger.digest:
            return None
        try:
            data = self._folder.read(commit_path(number))
            read_commit(data, number)
        except (FileNotFoundError, msgspec.MsgspecError):
            return None  # it was deleted behind a snapshot, or is damaged since
        return digest_of(data) == self.ledger.digest

    def _listed(self) -> tuple[set[int], set[int]]:
        """The numbers of commits and of snapshots, as the names of files say."""
        names = self._folder.names(LOG)
        commits = {number for name in names if (number := commit_number(name)) is not None}
        return commits, {number for name in names if (number := snapshot_number(name)) is not None}

    def _jump(self, snapshots: set[int]) -> bool:
        """Go on to the newest snapshot that can be read; whether there is one beyond the last known commit."""
        for number in sorted((one for one in snapshots if one > self.ledger.number), reverse=True):
            path = snapshot_path(number)
            if path in self._foreign:
                continue
            try:
                self.ledger = Ledger.of(read_snapshot(self._folder.read(path), number))
            except msgspec.MsgspecError as error:
                self.found(path, f"not a snapshot: {error}")
                self._foreign.add(path)
                continue
            for first, last in self.ledger.damaged:
                self._tell_skipped(first, last, "not a commit, or missing")
            return True
        return False

    def _take(self, number: int) -> None:
        """Go on by the next commit; one that cannot be read is passed over.

        Raises FileNotFoundError, ArchiveReplaced where it follows on another commit than the last known one.
        """
        data = self._folder.read(commit_path(number))
        try:
            commit = read_commit(data, number)
        except msgspec.MsgspecError as error:
            self._skip(number, number, f"not a commit: {error}")
            return
        if commit.prev and self.ledger.digest and commit.prev != self.ledger.digest:
            if not self._last_is_there():
                raise ArchiveReplaced(f"{LOG}: commit {number} follows on another one; this is not the archive")
            # What lies there is at odds with itself, for everybody: somebody put it together from two copies.
            self.found(commit_path(number), "follows on another commit than the one before it")
        self.ledger.apply(commit, digest_of(data))

    def _skip(self, first: int, last: int, why: str) -> None:
        self.ledger.skip(first, last)
        self._tell_skipped(first, last, why)

    def _tell_skipped(self, first: int, last: int, why: str) -> None:
        self.found(commit_path(first), why if first == last else f"{why}, and all up to {last}")

    def _first_of(self, beyond: Sequence[int]) -> int | None:
        """The first commit behind a hole. What is none there is of somebody else: counting goes on before it."""
        for number in beyond:
            path = commit_path(number)
            try:
                read_commit(self._folder.read(path), number)
            except msgspec.MsgspecError as error:
                self.found(path, f"not a commit: {error}")
                self._foreign.add(path)
            else:
                return number
        return None

    def identity(self) -> str:
        """Which archive lies there; empty: none has been begun, or by an older version."""
        try:
            return msgspec.json.decode(self._folder.read(IDENTITY), type=_Identity).id
        except FileNotFoundError:
            return ""
        except (msgspec.MsgspecError, UnicodeError) as error:
            self.found(IDENTITY, f"does not say which archive this is: {error}")
            return ""

    # --- a writer's turn --------------------------------------------------------------------------

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the writer, on the newest state, with nothing of a killed one around."""
        if self.ledger.number and self._folder.local is not None:
            self.refresh()  # or the lock would be made in a folder that is not mounted
        with self._folder.lock(_LOCK_PATIENCE_S, make=self.ledger.number == 0) as alone:
            self.refresh()
            self._identify()
            self._clear_intents(alone=alone)
            yield

    def _identify(self) -> None:
        """Raises ArchiveDown where another archive lies in the place of the one before."""
        found = self.identity()
        if not found and not self._identity:
            self._folder.create(IDENTITY, msgspec.json.encode(_Identity(uuid4().hex)))
            found = self.identity()
        if self._identity and found != self._identity:
            raise ArchiveReplaced(f"{IDENTITY}: this is not the archive that it was")
        self._identity = found

    def check(
        self,
        since: Mapping[str, str],
        remove: Sequence[str],
        behind: int | None = None,
        seen: Mapping[tuple[str, str], Collection[str]] = MappingProxyType({}),
    ) -> None:
        """Raises Overtaken where a cursor has moved on, a file is listed no longer, a commit follows `behind`, or a
        feed's day has a file that was not `seen`."""
        if behind is not None and self.ledger.number != behind:
            raise Overtaken(f"commit {self.ledger.number} came behind {behind}")
        for stream, cursor in since.items():
            if (now := self.ledger.cursors.get(stream, cursor)) != cursor:
                raise Overtaken(f"stream {stream} is archived up to {now}, not {cursor}")
        for path in remove:
            if not self.ledger.has(path):
                raise Overtaken(f"{path} is no longer listed")
        for (feed, date), paths in seen.items():
            for file in self.ledger.files(feed):
                if file.date == date and file.path not in paths:
                    raise Overtaken(f"{file.path} was not there before")

    @contextmanager
    def noted(self, number: int, folders: Sequence[str]) -> Iterator[None]:
        """Leave a note of where files are written that no commit lists yet; after an error they are deleted."""
        if not folders:
            yield
            return
        note = _Intent(number, tuple(dict.fromkeys(folders)), self._by[:8])
        self._committing = False
        with self._folder.writing(intent_path(self._by)) as file:
            file.write(msgspec.json.encode(note))
        try:
            yield
        except ArchiveDown:
            # Whether the commit was made is not known: the next turn looks, and clears up.
            raise
        except BaseException as error:
            if self._committing and not isinstance(error, Overtaken):
                raise  # the same: it may have ended in the middle of the commit
            self._clear(note)
            self._folder.remove(intent_path(self._by))
            raise
        self._folder.remove(intent_path(self._by))

    def commit(self, commit: Commit) -> None:
        """Write the next commit; raises Overtaken where there is one of that number."""
        commit = msgspec.structs.replace(commit, prev=self.ledger.digest)
        path, data = commit_path(commit.number), encode(commit)
        self._committing = True
        # It may be this very one, where the answer to the first try was lost.
        if not self._folder.create(path, data) and self._folder.read(path) != data:
            raise Overtaken(f"commit {commit.number} is another writer's")
        self.ledger.apply(commit, digest_of(data))

    def shorten(self, sooner: int = 0) -> None:
        """When the log has grown by enough, write its sum, and delete what is long before it."""
        ledger = self.ledger
        if ledger.number - self._snapshot_at + sooner < max(_SNAPSHOT_EVERY, ledger.totals.files // 50):
            return
        with self._folder.writing(snapshot_path(ledger.number)) as file:
            file.write(encode(ledger.snapshot()))
        self._snapshot_at = ledger.number
        commits, snapshots = self._listed()
        # The one before stays, with what follows on it: a reader may be at it, and this one may turn out to be broken.
        before = self._readable(one for one in snapshots if one < ledger.number)
        if before is None:
            return
        broken = {problem.path for problem in self.problems}
        for number in snapshots:
            if number < before and snapshot_path(number) not in broken:
                self._folder.remove(snapshot_path(number))
        for number in commits:
            # One that could not be read is in no snapshot: who mends it needs it.
            if number <= before and not ledger.is_damaged(number):
                self._folder.remove(commit_path(number))

    def _readable(self, snapshots: Iterable[int]) -> int | None:
        """The newest snapshot that can be read."""
        for number in sorted(snapshots, reverse=True):
            try:
                read_snapshot(self._folder.read(snapshot_path(number)), number)
            except msgspec.MsgspecError as error:
                self.found(snapshot_path(number), f"not a snapshot: {error}")
            else:
                return number
        return None

    def _clear_intents(self, *, alone: bool) -> None:
        """Delete what killed writers wrote and did not commit: their lock is held here, or they are long gone."""
        for name in self._folder.names(LOG):
            writer = intent_writer(name)
            if writer is None:
                if alone and is_part(name):
                    self._folder.remove(f"{LOG}/{name}")
                continue
            path = intent_path(writer)
            with suppress(FileNotFoundError):
                if writer != self._by and not alone and self._folder.age_s(path, self._clock() / 1000) < _INTENT_DEAD_S:
                    continue
                try:
                    note = msgspec.json.decode(self._folder.read(path), type=_Intent)
                except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
                    self.found(path, f"not a writer's note: {error}")
                    continue
                self._clear(note)
                self._folder.remove(path)

    def _clear(self, note: _Intent) -> None:
        for folder in note.folders:
            for name in self._folder.names(folder):
                path = f"{folder}/{name}"
                named = read_name(path)
                if is_part(name) or (
                    named is not None
                    and (named.commit, named.writer) == (note.number, note.by)
                    and not self.ledger.has(path)
                    and path not in self.ledger.removed
                ):
                    self._folder.remove(path)
