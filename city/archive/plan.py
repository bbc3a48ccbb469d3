"""Which files of the archive are to be merged, and which are past their time. Pure.

A flush leaves a small file an hour and feed. While an hour is open its small files are merged when they are many; when
it is over, what it has becomes as few files as their size allows. Late rows still come for a while: then a large file
is not written again for a few of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from city.archive.layout import Hour
from city.archive.log import File

DAY_MS = 86_400_000
# An hour is over so long after its end: the last flush of it has come.
_SETTLE_MS = 300_000
# And nothing more of it is to be expected: `ingest.checks.stale_max_s` is an hour by default.
_FINAL_MS = 2 * 3_600_000
# Before that, files are merged when what they bring is so large a share of the largest.
_WORTH = 0.25


class Merge(NamedTuple):
    """Files of one hour that become one."""

    place: Hour
    files: tuple[File, ...]

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)


def merges(files: Iterable[File], now_ms: int, *, files_max: int, rows_max: int) -> list[Merge]:
    """What is worth merging now, the smallest work first.

    `files_max`: so many files an open hour may have; `rows_max`: of a merged file, unless one alone is larger.
    """
    by_hour: dict[Hour, list[File]] = {}
    for file in files:
        by_hour.setdefault(file.place, []).append(file)
    found: list[Merge] = []
    for place, listed in by_hour.items():
        if len(listed) < 2:
            continue
        over_ms = now_ms - place.to_ms
        if over_ms < _SETTLE_MS:
            small = [file for file in listed if file.rows * 4 <= rows_max]
            if len(small) > files_max:
                found += [Merge(place, tuple(one)) for one in _packed(small, rows_max) if len(one) > 1]
            continue
        for one in _packed(listed, rows_max):
            if len(one) > 1 and (over_ms >= _FINAL_MS or _worth(one, files_max)):
                found.append(Merge(place, tuple(one)))
    return sorted(found, key=lambda merge: (merge.rows, merge.place))


def _packed(files: list[File], rows_max: int) -> list[list[File]]:
    """Files in the order of their times, together as long as they fit; those that are full stay alone."""
    packs: list[list[File]] = []
    rows = 0
    # What is nearly full gains nothing by a neighbour that would be cut off again.
    for file in sorted((one for one in files if one.rows * 10 < rows_max * 9), key=lambda one: (one.min_ms, one.path)):
        if not packs or rows + file.rows > rows_max:
            packs.append([])
            rows = 0
        packs[-1].append(file)
        rows += file.rows
    return packs


def _worth(files: list[File], files_max: int) -> bool:
    sizes = sorted(file.rows for file in files)
    return len(files) > files_max or sum(sizes[:-1]) >= _WORTH * sizes[-1]


def outlived(files: Iterable[File], now_ms: int, keep_days: Mapping[Any, float]) -> list[File]:
    """Files of hours that have been over for longer than their feed is kept."""
    return [file for file in files if has_outlived(file.place, now_ms, keep_days)]


def has_outlived(hour: Hour, now_ms: int, keep_days: Mapping[Any, float]) -> bool:
    """Whether an hour has been over for longer than its feed is kept."""
    return hour.feed in keep_days and hour.to_ms + keep_days[hour.feed] * DAY_MS < now_ms
