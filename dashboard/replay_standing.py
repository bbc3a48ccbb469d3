"""Where vehicles stood that have said nothing since an hour began: their last positions of the hours before.

The live map draws a vehicle for `live.vehicle_gone_after_s` after its last word, by default a day. So a moment's
picture is made of all the hours before it; but of each of them only who was not heard of later is read. Where every
hour some fall silent for the rest of the day that is seconds of reading: no question waits for all of it.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import pyarrow as pa

from analysis.replay import HOUR_MS
from analysis.replay_tracks import Tracks
from city.archive.archive import File
from city.events import Facet
from dashboard.replay_tables import POSITION, batch_table, file_ends, position_rows

# Hours whose last positions are kept, more than a day of them: two pages may look at two days.
_KEPT_AT_LEAST = 60
READ_S = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class _Ends:
    """The last positions of an hour, of some of those that were heard in it."""

    files: tuple[str, ...]  # that it was made of
    heard: frozenset[str]
    tracks: Tracks


class Standing:
    """The last positions before an hour. For one thread.

    `files` gives the files of positions of a time; `failed` is told of one that cannot be read, which is left out.
    """

    def __init__(
        self,
        files: Callable[[int, int], Sequence[File]],
        areas: Sequence[str],
        gone_after_ms: int,
        failed: Callable[[str, Exception], None],
    ) -> None:
        self._files, self._areas, self._failed = files, tuple(areas), failed
        self._back = -(-gone_after_ms // HOUR_MS)
        self._kept: OrderedDict[int, _Ends] = OrderedDict()

    def before(
        self, hour_ms: int, in_memory: Callable[[int], Tracks | None], read_s: float = READ_S
    ) -> tuple[list[Tracks], bool]:
        """The last position of each vehicle before an hour, as far back as it is drawn, and some that are older.

        And whether that is all: after `read_s` seconds no further hour is read. The newest hours come first, and what
        was read is kept, so that asking again goes on from there.
        `in_memory` gives a whole hour's positions where they were read for other reasons and are as the files are now.
        """
        by_hour: defaultdict[int, list[str]] = defaultdict(list)
        for file in self._files(hour_ms - self._back * HOUR_MS, hour_ms):
            by_hour[file.min_ms - file.min_ms % HOUR_MS].append(file.url)
        later: set[str] = set()
        found: list[Tracks] = []
        read = False  # at least one hour, or it would never be all
        until_s = time.monotonic() + read_s
        for hour in sorted((hour for hour in by_hour if hour < hour_ms), reverse=True):
            files = tuple(sorted(by_hour[hour]))
            ends = self._known(hour, files, later, in_memory)
            if ends is None:
                if time.monotonic() >= until_s and read:
                    return found, False
                ends = self._kept[hour] = self._read(files, later)
                read = True
            self._kept.move_to_end(hour)
            if not ends.heard <= later:
                found.append(ends.tracks)
            later |= ends.heard
        while len(self._kept) > max(_KEPT_AT_LEAST, 2 * self._back):
            self._kept.popitem(last=False)
        return found, True

    def _known(
        self, hour: int, files: tuple[str, ...], later: AbstractSet[str], in_memory: Callable[[int], Tracks | None]
    ) -> _Ends | None:
        """The last positions of an hour that nothing has to be read for; None: something has."""
        kept = self._kept.get(hour)
        if kept is not None and kept.files == files and kept.heard - later <= frozenset(kept.tracks.index.ids):
            return kept
        whole = in_memory(hour)
        if whole is None:
            return None
        kept = self._kept[hour] = _Ends(files, frozenset(whole.index.ids), whole.ends())
        return kept

    def _read(self, files: tuple[str, ...], later: AbstractSet[str]) -> _Ends:
        heard: set[str] = set()
        tables = []
        for url in files:
            try:
                names, table = file_ends(url, POSITION, later)
            except (OSError, pa.ArrowException) as error:
                self._failed(url, error)
                continue
            heard |= names
            if table.num_rows:
                tables.append(table)
        found = (
            pa.concat_tables(tables, promote_options="permissive") if tables else batch_table(Facet.POSITION, [], [])
        )
        return _Ends(files, frozenset(heard), Tracks.of(position_rows(found), self._areas).ends())
