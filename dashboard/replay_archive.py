"""The city's archive as the replay asks it."""

from __future__ import annotations

from collections.abc import Sequence

from city.archive.archive import Archive, File
from city.config import Config


class ArchiveOfCity:
    """Files by hour, and where the archive stopped in each partition's events."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive

    def refresh(self) -> None:
        self._archive.refresh()

    def cursors(self) -> dict[int, str]:
        return {int(stream): cursor for stream, cursor in self._archive.cursors().items() if stream.isdecimal()}

    def files(self, feed: str, from_ms: int, to_ms: int) -> Sequence[File]:
        return self._archive.files(feed, from_ms, to_ms)


def open_archive(config: Config) -> ArchiveOfCity:
    """The archive of the settings; raises ArchiveDown."""
    return ArchiveOfCity(Archive.open(config.history.url, config.city))
