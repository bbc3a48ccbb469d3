"""Keeps the roll-ups true to the archive's hours: made when an hour is over, and again when rows came late.

A day that is over becomes one file: a year of a roll-up is then hundreds of files to open and not thousands. A file
says of how many rows it is made, and only of rows that were all read: of an hour with a file that cannot be read
nothing is made, and the rows answer for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import pyarrow as pa
import pyarrow.compute as pc
import structlog

from analysis.queries.rollups import by_cell, lengthened, rolled_feeds, wide, without
from city.archive.archive import Archive, File, Output, Overtaken
from city.archive.columns import schema
from city.archive.layout import HOUR_MS, WHOLE_DAY, Hour, hour_of
from city.archive.plan import has_outlived
from city.history.history import History, View
from city.rollups import SCHEMA, feed_of, made_of_day, made_of_hours
from city.settings import Rollup

log = structlog.get_logger()

# After the end of an hour most of what belongs to it is in the archive: made earlier it would be made twice.
CLOSED_AFTER_MS = 180_000
# When nothing late is to be expected any more: `ingest.checks.stale_max_s` is an hour by default.
DAY_CLOSED_AFTER_MS = 2 * HOUR_MS
# What could not be read is tried again then: a disk or a network may have failed, and not the file.
TRY_AGAIN_MS = 600_000
_EVER_MS = 1 << 62

Raw = Mapping[str, Mapping[int, list[File]]]  # feed → beginning of an hour → its files
Claim = tuple[int, str]  # beginning of an hour, feed: what a file of a roll-up may have the rows of


def refresh_rollups(
    archive: Archive,
    history: History,
    rollups: Sequence[Rollup],
    now_ms: int,
    *,
    steps: int | None = None,
    keep_days: Mapping[str, float] = MappingProxyType({}),
    unread: dict[str, int] | None = None,
) -> int:
    """Make what is missing or out of date, the newest hours first, at most `steps` files; how many there were.

    What would be kept no longer (`keep_days`, by feed) is not made, though its rows are still there. `unread`: the
    files that could not be read, and when; they are added to it, and left alone for ten minutes.
    `history` reads what is made into roll-ups, `archive` is written. Raises HistoryError or ArchiveDown.
    """
    done = 0
    view = history.view()
    unread = {} if unread is None else unread
    for path in [path for path, at_ms in unread.items() if not 0 <= now_ms - at_ms < TRY_AGAIN_MS]:
        del unread[path]
    for rollup in rollups:
        for made in _Roller(archive, view, rollup, history.archive, unread).outputs(now_ms, keep_days):
            done += made
            if done == steps:
                return done
    return done


class _Roller:
    """One roll-up, as of one view."""

    def __init__(
        self, archive: Archive, view: View, rollup: Rollup, reader: Archive, unread: dict[str, int] | None = None
    ) -> None:
        self._archive, self._view, self._rollup = archive, view, rollup
        self._feed = feed_of(rollup)
        self._raw: Raw = {feed: _by_hour(reader.files(feed, 0, _EVER_MS)) for feed in rolled_feeds(rollup)}
        self._files = reader.files(self._feed, 0, _EVER_MS)
        # Of each day: another roller's files are not among them, and what stands beside them would be there twice.
        self._seen: dict[str, set[str]] = defaultdict(set)
        for file in self._files:
            self._seen[file.date].add(file.path)
        self._unread = {} if unread is None else unread
        self._now_ms = 0

    def outputs(self, now_ms: int, keep_days: Mapping[str, float]) -> Iterator[bool]:
        """Whether a file was made, file by file; the work is done as it is asked for."""
        self._now_ms = now_ms
        ready: dict[int, list[File]] = defaultdict(list)
        had: dict[int, dict[str, int]] = defaultdict(dict)  # hour → feed → rows
        for file in self._files:
            for at_ms, feeds in made_of_hours(file).items():
                ready[at_ms].append(file)
                had[at_ms] |= {feed: max(rows, had[at_ms].get(feed, 0)) for feed, rows in feeds.items()}
        of_days: dict[str, list[Claim]] = defaultdict(list)  # path → what changed of it
        days = {file.path: file for file in self._files if file.hour == WHOLE_DAY}
        for at_ms in sorted({at_ms for of_feed in self._raw.values() for at_ms in of_feed}, reverse=True):
            hour = hour_of(self._feed, at_ms)
            if hour.to_ms + CLOSED_AFTER_MS > now_ms or has_outlived(hour, now_ms, keep_days):
                continue
            old = ready.get(at_ms, [])
            changed = self._changed(at_ms, had.get(at_ms, {}), now_ms, keep_days)
            of_day = next((file for file in old if file.path in days), None)
            if changed and of_day is not None:
                of_days[of_day.path] += changed
            elif changed:
                yield self._make(hour, old, changed)
        for path, claims in of_days.items():
            yield self._make(days[path].place, [days[path]], claims)
        for files in self._days(now_ms):
            if not any(file.path in of_days for file in files):
                yield self._make(Hour(self._feed, files[0].date, WHOLE_DAY), files, [])

    def _changed(self, at_ms: int, had: Mapping[str, int], now_ms: int, keep_days: Mapping[str, float]) -> list[Claim]:
        """The feeds of an hour that have other rows than the roll-up is made of."""
        found = []
        for feed, files in self._raw.items():
            if at_ms not in files or (rows := _rows(files[at_ms])) == had.get(feed):
                continue
            # What came after the hour's rows were forgotten is not the hour.
            if feed in had and (rows < had[feed] or has_outlived(hour_of(feed, at_ms), now_ms, keep_days)):
                continue
            found.append((at_ms, feed))
        return found

    def _days(self, now_ms: int) -> list[list[File]]:
        """The files of days that are over and may be one file."""
        by_day: dict[str, list[File]] = defaultdict(list)
        for file in self._files:
            by_day[file.date].append(file)
        return [
            files
            for date, files in sorted(by_day.items(), reverse=True)
            if len(files) > 1 and Hour(self._feed, date, WHOLE_DAY).to_ms + DAY_CLOSED_AFTER_MS <= now_ms
        ]

    def _make(self, place: Hour, old: Sequence[File], changed: Sequence[Claim]) -> bool:
        """One file of what old ones have, but for what changed: that anew of the archive's rows."""
        good = [file for file in old if self._can_read([file])]
        owners = _owners(good)
        gone = list(good)
        anew: dict[Claim, pa.Table] = {}
        for file in old:
            if file in good:
                continue
            if (remade := self._remade(file, {*owners, *anew})) is not None:
                anew |= remade
                gone.append(file)
            elif changed:
                # It stays listed, and what it has must not be there twice when it can be read again.
                return False
        for claim in changed:
            if claim not in anew and (table := self._anew(claim)) is not None:
                anew[claim] = table
        if not anew and len(gone) < 2:
            return False
        owners = {claim: file for claim, file in owners.items() if claim not in anew}
        tables = list(anew.values())
        for file in good:
            if (table := self._kept(file, [claim for claim in _claims(file) if owners.get(claim) != file])) is None:
                return False
            tables.append(table)
        made_of = {claim: _claims(file)[claim] for claim, file in owners.items()}
        made_of |= {(at_ms, feed): _rows(self._raw[feed][at_ms]) for at_ms, feed in anew}
        return self._publish(place, by_cell(pa.concat_tables(tables)), made_of, gone)

    def _publish(
        self, place: Hour, pieces: Sequence[pa.Table], made_of: Mapping[Claim, int], gone: Sequence[File]
    ) -> bool:
        hours: dict[int, dict[str, int]] = defaultdict(dict)
        for (at_ms, feed), rows in made_of.items():
            hours[at_ms][feed] = rows
        of = made_of_day(hours) if place.hour == WHOLE_DAY else hours[place.from_ms]
        seen = self._seen[place.date]
        try:
            (file,) = self._archive.publish(
                "rollup",
                [Output(place, pieces, of)],
                remove=[file.path for file in gone],
                seen={(place.feed, place.date): seen},
            )
        except Overtaken:
            # The next round sees what the other writer has made of it.
            return False
        seen.add(file.path)
        log.info("rolled_up", rollup=place.feed, date=place.date, hour=place.hour, rows=file.rows)
        return True

    # --- reading ----------------------------------------------------------------------------------

    def _can_read(self, files: Sequence[File]) -> bool:
        """Whether all of them look so. What does not is left alone for a while."""
        if any(file.path in self._unread for file in files):
            return False
        return len(self._view.usable(files)) == len(files) or self._leave(files)

    def _leave(self, files: Sequence[File]) -> bool:
        self._unread |= {file.path: self._now_ms for file in files}
        return False

    def _anew(self, claim: Claim) -> pa.Table | None:
        """The roll-up's rows of one feed and hour, of what is in the archive; None where not all of it can be read."""
        at_ms, feed = claim
        files = self._raw[feed][at_ms]
        if not self._can_read(files):
            return None
        table = self._view.table_of(feed, files, schema(feed).empty_table())
        found = self._view.run(wide(table, feed, self._rollup, (at_ms, at_ms + HOUR_MS)))
        # A file that turned out to be damaged while it was read is left out.
        if (pc.sum(found["rows"]).as_py() or 0) != _rows(files):
            self._leave(files)
            return None
        return lengthened(found, feed)

    def _remade(self, file: File, there: set[Claim]) -> dict[Claim, pa.Table] | None:
        """What a file that cannot be read had, anew, but for what is `there`; None where rows of it are gone."""
        lost = {claim: rows for claim, rows in _claims(file).items() if claim not in there}
        if any(_rows(self._raw.get(feed, {}).get(at_ms, [])) < rows for (at_ms, feed), rows in lost.items()):
            return None
        found = {}
        for claim in lost:
            if (table := self._anew(claim)) is None:
                return None
            found[claim] = table
        return found

    def _kept(self, file: File, gone: Sequence[Claim]) -> pa.Table | None:
        """The rows of a file but those of some feeds and hours; None where it cannot be read."""
        table = self._view.table_of(self._feed, [file], SCHEMA.empty_table())
        found = self._view.run(without(table, [(feed, (at_ms, at_ms + HOUR_MS)) for at_ms, feed in gone]))
        if not self._can_read([file]):
            return None
        return found.cast(SCHEMA)


def _claims(file: File) -> dict[Claim, int]:
    """What a file of a roll-up has the rows of, and how many they were."""
    return {(at_ms, feed): rows for at_ms, feeds in made_of_hours(file).items() for feed, rows in feeds.items()}


def _owners(files: Iterable[File]) -> dict[Claim, File]:
    """Which file's rows count: where several have the same hour and feed, those made of the most."""
    best: dict[Claim, tuple[int, File]] = {}
    for file in files:
        for claim, rows in _claims(file).items():
            if claim not in best or rows > best[claim][0]:
                best[claim] = rows, file
    return {claim: file for claim, (_, file) in best.items()}


def _rows(files: Sequence[File]) -> int:
    return sum(file.rows for file in files)


def _by_hour(files: Sequence[File]) -> Mapping[int, list[File]]:
    found: dict[int, list[File]] = defaultdict(list)
    for file in files:
        found[file.place.from_ms].append(file)
    return found
