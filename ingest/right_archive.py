"""Which archive the archiver has found to be the city's: nobody else in its process writes to another one."""

from __future__ import annotations

from city.archive.archive import Archive, ArchiveReplaced
from city.archive_source import KnownArchive


class RightArchive:
    """Told by the archiver, asked by who else writes. For any threads."""

    def __init__(self) -> None:
        self._known: KnownArchive | None = None

    @property
    def known(self) -> bool:
        """Whether there is one: while the archiver waits there is none."""
        return self._known is not None

    def found(self, archive: KnownArchive) -> None:
        """This is the one, and it has this commit."""
        self._known = archive

    def lost(self) -> None:
        """What lies there now is another one."""
        self._known = None

    def check(self, archive: Archive) -> None:
        """Raises ArchiveReplaced where what was opened is not the right one, or an older copy of it."""
        known = self._known
        if known is None or archive.number < known.commit or (known.id and archive.identity() != known.id):
            raise ArchiveReplaced(f"this is commit {archive.number} of an archive that is not the archiver's")
