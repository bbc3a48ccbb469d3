"""The folder of one city's archive: a local one, or any that fsspec knows by its URL.

Locally a file is written under another name, brought to the disk and renamed; a commit is linked, which fails when it
is there. Elsewhere a file appears when it is complete, and a commit is put on the condition that there is none.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

_LOCK = "_log/lock"
_POLL_S = 0.05
# What a file system answers that has no hard links: SMB shares, exFAT.
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class ArchiveDown(Exception):
    """The archive's folder cannot be read or written now; trying again later may work."""


class ArchiveReplaced(ArchiveDown):
    """Another archive than before lies there, or none: its disk is not mounted. Who opens it anew begins with it."""


class Unreadable(Exception):
    """One file of the archive cannot be read; the others can."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class Folder:
    """Files by their path below one URL.

    Every method raises ArchiveDown; for who reads what is not there, FileNotFoundError.
    """

    def __init__(self, url: str) -> None:
        try:
            self._fs, self._root = fsspec.core.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            # A protocol that nothing here speaks, or whose library is not installed.
            raise ArchiveDown(f"{url}: {error}") from error
        self.local = Path(self._root) if isinstance(self._fs, LocalFileSystem) else None

    @property
    def filesystem(self) -> Any:
        """As fsspec knows it, for engines that read through it."""
        return self._fs

    def url(self, path: str) -> str:
        """What an engine opens: a path of this machine, or a URL."""
        return self._full(path) if self.local is not None else str(self._fs.unstrip_protocol(self._full(path)))

    def read(self, path: str) -> bytes:
        with self._told():
            found: bytes = self._fs.cat_file(self._full(path))
            return found

    def open(self, path: str) -> Any:
        """The file, to be read in places, as a context."""
        with self._told():
            return self._fs.open(self._full(path), "rb")

    def size(self, path: str) -> int:
        with self._told():
            self._forget_listings()
            return int(self._fs.info(self._full(path))["size"])

    def names(self, folder: str) -> list[str]:
        """What lies in a folder; nothing where there is none."""
        with self._told():
            self._forget_listings()
            try:
                return [
                    str(one).rstrip("/").rpartition("/")[2] for one in self._fs.ls(self._full(folder), detail=False)
                ]
            except FileNotFoundError:
                return []

    def walk(self) -> Iterator[tuple[str, int]]:
        """Every file below with its size, sorted."""
        with self._told():
            self._forget_listings()
            found = self._fs.find(self._root, detail=True)
        root = self._root.rstrip("/") + "/"
        for path in sorted(found):
            yield str(path).removeprefix(root), int(found[path]["size"])

    def age_s(self, path: str, now_s: float) -> float:
        """Since a file was written, in seconds, as its place says."""
        with self._told():
            self._forget_listings()
            return now_s - float(self._fs.modified(self._full(path)).timestamp())

    def check_room(self, least_bytes: int) -> None:
        """Raises ArchiveDown where the disk has less room left; of an object store nobody knows.

        Broker and store write on the same disk by default: the archive must not take their last room.
        """
        if self.local is None or least_bytes <= 0:
            return
        with self._told(writing=True):
            free = shutil.disk_usage(next(one for one in (self.local, *self.local.parents) if one.exists())).free
        if free < least_bytes:
            raise ArchiveDown(f"too little room: {free >> 20} MB are free, {least_bytes >> 20} must stay so")

    def remove(self, path: str) -> None:
        """Delete a file; none is as good."""
        with self._told(), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self._full(path))

    @contextlib.contextmanager
    def writing(self, path: str) -> Iterator[Any]:
        """A file to be filled; it is there, whole, when the context ends without an error."""
        full = self._full(path)
        with self._told(writing=True):
            if self.local is None:
                with self._fs.open(full, "wb") as file:
                    yield file
                return
            # No pattern of data files matches the name of one that is not complete.
            part = Path(f"{full}.{os.getpid()}.part")
            _make(part.parent)
            try:
                with part.open("wb") as file:
                    yield file
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(full)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            _sync(part.parent)

    def move(self, path: str, to: str) -> None:
        """Give a whole file another name."""
        with self._told(writing=True):
            if self.local is None:
                self._fs.mv(self._full(path), self._full(to))
                return
            target = Path(self._full(to))
            _make(target.parent)
            Path(self._full(path)).replace(target)
            _sync(target.parent)

    def create(self, path: str, data: bytes) -> bool:
        """Write a file unless there is one; False: there is one, and it has stayed as it was.

        On a file system without hard links only who holds the lock may.
        """
        full = self._full(path)
        with self._told(writing=True):
            if self.local is None:
                self._forget_listings()
                try:
                    self._fs.pipe_file(full, data, mode="create")
                except FileExistsError:
                    return False
                return True
            part = Path(f"{full}.{os.getpid()}.part")
            _make(part.parent)
            try:
                with part.open("wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                try:
                    os.link(part, full)
                except FileExistsError:
                    return False
                except OSError as error:
                    if error.errno not in _NO_LINKS:
                        raise
                    if Path(full).exists():
                        return False
                    part.replace(full)
            finally:
                part.unlink(missing_ok=True)
            _sync(part.parent)
            return True

    @contextlib.contextmanager
    def lock(self, patience_s: float, *, make: bool = True) -> Iterator[bool]:
        """Be the only writer of a local folder; given is whether that is so. It is free when its holder has died.

        `make`: the folder where it is not there. Elsewhere there is no lock: two writers find out at the commit.
        """
        if self.local is None:
            yield False
            return
        with self._told(writing=True):
            path = self.local / _LOCK
            if make:
                _make(path.parent)
            held = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            until = time.monotonic() + patience_s
            while True:
                try:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > until:
                        raise ArchiveDown("another process is writing") from None
                    time.sleep(_POLL_S)
            yield True
        finally:
            os.close(held)

    def _told(self, *, writing: bool = False) -> contextlib.AbstractContextManager[None]:
        return _told(remote=self.local is None, writing=writing)

    def _forget_listings(self) -> None:
        """Clients of object stores keep what they listed for ever: others' commits would never be seen."""
        if self.local is None:
            self._fs.invalidate_cache()

    def _full(self, path: str) -> str:
        return f"{self._root.rstrip('/')}/{path}"


@contextlib.contextmanager
def _told(*, remote: bool = False, writing: bool = False) -> Iterator[None]:
    """Errors of a file system as ArchiveDown, but for a file that is not there to who reads it."""
    try:
        yield
    except (ArchiveDown, Unreadable):
        raise
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not writing:
            raise
        what = error.strerror or str(error) or type(error).__name__
        raise ArchiveDown(f"{error.filename}: {what}" if error.filename else what) from error
    except Exception as error:
        # Clients of object stores raise errors of their own, of which no two are alike.
        if remote:
            raise ArchiveDown(str(error) or type(error).__name__) from error
        raise


def _make(folder: Path) -> None:
    """A folder with those above it, all of their names on the disk: a commit may list what lies in it."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for one in reversed(missing):
        _sync(one.parent)


def _sync(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
