"""Where a file of the archive lies, and how its name is read back. Pure.

`<feed>/date=YYYY-MM-DD/hour=HH/<commit>-<n>-<writer>.parquet` below the city's folder; day and hour are UTC, by the
time of measuring. Hour 24 is the whole day, of a roll-up. Engines that know Hive's folders read `date` and `hour` as
columns. The writer stands in the name because, where there is no lock, two may be at one commit.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

HOUR_MS = 3_600_000
WHOLE_DAY = 24  # in place of an hour
LOG = "_log"

_FILE = re.compile(
    r"(?P<feed>[a-z0-9_]+)/date=(?P<date>\d{4}-\d\d-\d\d)/hour=(?P<hour>\d\d)/"
    r"(?P<commit>\d{12,})-(?P<part>\d+)(-(?P<writer>[0-9a-f]{8}))?\.parquet"
)
_COMMIT = re.compile(r"(\d{12,})\.json")
_SNAPSHOT = re.compile(r"(\d{12,})\.snapshot\.json")
_INTENT = re.compile(r"writing-([0-9a-f]+)\.json")
# What a killed writer of a local folder was at.
_PART = re.compile(
    r"(\d{12,}-\d+(-[0-9a-f]{8})?\.parquet|(\d{12,}(\.snapshot)?|writing-[0-9a-f]+|archive)\.json)\.\d+\.part"
)
IDENTITY = f"{LOG}/archive.json"


class Hour(NamedTuple):
    """One hour of one feed, or its whole day."""

    feed: str
    date: str  # YYYY-MM-DD, UTC
    hour: int  # 0 to 23, or WHOLE_DAY

    @property
    def folder(self) -> str:
        return f"{self.feed}/date={self.date}/hour={self.hour:02d}"

    @property
    def from_ms(self) -> int:
        midnight_ms = int(datetime.fromisoformat(self.date).replace(tzinfo=UTC).timestamp()) * 1000
        return midnight_ms if self.hour == WHOLE_DAY else midnight_ms + self.hour * HOUR_MS

    @property
    def to_ms(self) -> int:
        """The first millisecond behind it."""
        return self.from_ms + (24 * HOUR_MS if self.hour == WHOLE_DAY else HOUR_MS)

    def file(self, commit: int, part: int, writer: str) -> str:
        return f"{self.folder}/{commit:012d}-{part}-{writer[:8]}.parquet"


class FileName(NamedTuple):
    """What the path of a file says."""

    place: Hour
    commit: int
    part: int
    writer: str  # the first signs of its id; older versions gave none


def hour_of(feed: str, measured_ms: int) -> Hour:
    """The hour in which a moment lies."""
    at = datetime.fromtimestamp(measured_ms // 1000, UTC)
    return Hour(feed, at.date().isoformat(), at.hour)


def read_name(path: str) -> FileName | None:
    """What a path below the city's folder says; None where it is none of ours."""
    found = _FILE.fullmatch(path)
    if found is None:
        return None
    try:
        datetime.fromisoformat(found["date"])
    except ValueError:
        return None
    hour = int(found["hour"])
    if hour > WHOLE_DAY:
        return None
    place = Hour(found["feed"], found["date"], hour)
    return FileName(place, int(found["commit"]), int(found["part"]), found["writer"] or "")


def commit_path(number: int) -> str:
    return f"{LOG}/{number:012d}.json"


def snapshot_path(number: int) -> str:
    return f"{LOG}/{number:012d}.snapshot.json"


def intent_path(writer: str) -> str:
    return f"{LOG}/writing-{writer}.json"


def commit_number(name: str) -> int | None:
    """The number of a commit's file, None for any other name."""
    found = _COMMIT.fullmatch(name)
    return int(found[1]) if found else None


def snapshot_number(name: str) -> int | None:
    found = _SNAPSHOT.fullmatch(name)
    return int(found[1]) if found else None


def intent_writer(name: str) -> str | None:
    found = _INTENT.fullmatch(name)
    return found[1] if found else None


def is_part(name: str) -> bool:
    """Whether a file was being written when its writer was killed."""
    return _PART.fullmatch(name) is not None
