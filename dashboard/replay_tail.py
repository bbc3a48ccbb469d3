"""The end of the past that is only in the store yet: what lies behind the archive in the event streams.

Rows are kept in parts, each sorted once; a new part is merged with the one before it when it has grown to half of that.
So what comes is taken in for a cost of its own size, however much there is already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import structlog

from analysis.replay_tracks import Counts, Tracks
from city.events import Event, Facet
from city.store import Store
from dashboard.replay_tables import batch_table, count_rows, position_rows

log = structlog.get_logger()

# While nobody archives, the streams grow: two hours of 2,000 vehicles every five seconds, and about 300 MB.
TAIL_MAX_ROWS = 3_000_000
_READ_AT_ONCE = 500  # entries of each stream
_FACETS = (Facet.POSITION, Facet.PASSENGERS)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a stream: how many rows it has in each of a part's tables."""

    partition: int
    entry_id: str
    rows: tuple[int, ...]  # in the order of _FACETS


@dataclass(slots=True, eq=False)
class _Part:
    """Entries with their rows, in the entries' order."""

    entries: list[_Entry]
    tables: tuple[pa.Table, ...]  # in the order of _FACETS
    made: dict[str, Tracks | Counts] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(table.num_rows for table in self.tables)

    def only(self, kept: Sequence[bool]) -> _Part:
        """The part without some of its entries."""
        tables = []
        for at, table in enumerate(self.tables):
            mask = np.repeat(np.array(kept, dtype=np.bool_), [one.rows[at] for one in self.entries])
            tables.append(table if mask.all() else table.filter(pa.array(mask)))
        return _Part([one for one, keep in zip(self.entries, kept, strict=True) if keep], tuple(tables))


class Tail:
    """What the archive does not have yet. For one thread."""

    def __init__(self, store: Store, areas: Sequence[str], most_rows: int = TAIL_MAX_ROWS) -> None:
        self._store, self._areas, self._most = store, tuple(areas), most_rows
        self._from: dict[int, str] = {}  # where the archive ends
        self._cursors: dict[int, str] = {}
        self._parts: list[_Part] = []
        self._left_out: dict[int, str] = {}  # of each partition up to here, behind the archive: too much for us

    def read(self, archived: Mapping[int, str]) -> None:
        """Bring the tail to the store's present state, behind what is archived by now."""
        ends = {p: archived.get(p, "0-0") for p in range(self._store.keys.partitions)}
        if ends != self._from:
            self._from = ends
            self._forget_archived()
        for p, end in ends.items():
            if number_of(self._cursors.get(p, "0-0")) < number_of(end):
                self._cursors[p] = end
            self._cursors.setdefault(p, end)
        # Only what is there: to wait for nothing costs a tenth of a second in the store.
        tips = self._store.tips()
        while any(number_of(self._cursors[p]) < number_of(tip) for p, tip in tips.items()):
            before = dict(self._cursors)
            part = self._next()
            if part.entries:
                self._take(part)
            self._skip(part, before, tips)
        self._trim()

    def positions(self) -> list[pa.Table]:
        """All positions, in several tables."""
        return [part.tables[0] for part in self._parts if part.tables[0].num_rows]

    def tracks(self) -> list[Tracks]:
        found = []
        for part in self._parts:
            if "tracks" not in part.made:
                part.made["tracks"] = Tracks.of(position_rows(part.tables[0]), self._areas)
            if isinstance(made := part.made["tracks"], Tracks) and part.tables[0].num_rows:
                found.append(made)
        return found

    def counts(self) -> list[Counts]:
        found = []
        for part in self._parts:
            if "counts" not in part.made:
                part.made["counts"] = Counts.of(count_rows(part.tables[1]))
            if isinstance(made := part.made["counts"], Counts) and part.tables[1].num_rows:
                found.append(made)
        return found

    def left_out(self, from_ms: int, to_ms: int) -> bool:
        """Whether something that was received in this time is in neither: not archived yet, and too much for us."""
        return any(
            number_of(self._from.get(p, "0-0"))[0] < to_ms and number_of(until)[0] >= from_ms
            for p, until in self._left_out.items()
        )

    def _next(self) -> _Part:
        """The next entries of all streams."""
        entries: list[_Entry] = []
        events: tuple[list[Event], ...] = tuple([] for _ in _FACETS)
        late: tuple[list[bool], ...] = tuple([] for _ in _FACETS)
        found = self._store.read_events(self._cursors, block_ms=1, count=_READ_AT_ONCE, facets=_FACETS)
        for entry in found:
            rows = []
            for at, facet in enumerate(_FACETS):
                said = [one for one in entry.events if one.event.facet is facet]
                events[at].extend(one.event for one in said)
                late[at].extend(one.late for one in said)
                rows.append(len(said))
            if any(rows):
                entries.append(_Entry(entry.partition, entry.entry_id, tuple(rows)))
        tables = tuple(batch_table(facet, events[at], late[at]) for at, facet in enumerate(_FACETS))
        return _Part(entries, tables)

    def _take(self, part: _Part) -> None:
        self._parts.append(part)
        while len(self._parts) > 1 and self._parts[-1].size * 2 >= self._parts[-2].size:
            last, one = self._parts.pop(), self._parts.pop()
            tables = tuple(pa.concat_tables(two).combine_chunks() for two in zip(one.tables, last.tables, strict=True))
            self._parts.append(_Part([*one.entries, *last.entries], tables))

    def _skip(self, part: _Part, before: Mapping[int, str], tips: Mapping[int, str]) -> None:
        """Jump nearer to the present where all that is still to read would be far too much, by how dense this was."""
        dense = dict.fromkeys(tips, 0.0)
        for one in part.entries:
            dense[one.partition] += sum(one.rows)
        for p in dense:
            begin = next((one.entry_id for one in part.entries if one.partition == p), before[p])
            dense[p] /= max(1, number_of(self._cursors[p])[0] - number_of(begin)[0])
        ahead = sum(n * max(0, number_of(tips[p])[0] - number_of(self._cursors[p])[0]) for p, n in dense.items())
        if ahead <= 1.5 * self._most:
            return
        share = self._most / ahead
        for p, tip in tips.items():
            at_ms, tip_ms = number_of(self._cursors[p])[0], number_of(tip)[0]
            if tip_ms > at_ms:
                self._cursors[p] = self._left_out[p] = f"{round(tip_ms - share * (tip_ms - at_ms))}-0"
        log.warning("replay_tail_too_long", rows=round(ahead), most=self._most)

    def _trim(self) -> None:
        """Keep to the limit: the oldest go, some more than must, so that it is not every time."""
        over = sum(part.size for part in self._parts) - self._most
        if over <= 0:
            return
        over += self._most // 10
        while self._parts and over > 0:
            part = self._parts.pop(0)
            sizes = np.array([sum(one.rows) for one in part.entries])
            gone = min(int(np.searchsorted(np.cumsum(sizes), over)) + 1, len(sizes))
            over -= int(sizes[:gone].sum())
            for one in part.entries[:gone]:
                until = self._left_out.get(one.partition, "0-0")
                self._left_out[one.partition] = max(until, one.entry_id, key=number_of)
            if gone < len(sizes):
                self._parts.insert(0, part.only([at >= gone for at in range(len(sizes))]))

    def _forget_archived(self) -> None:
        parts = []
        for part in self._parts:
            kept = [number_of(one.entry_id) > number_of(self._from[one.partition]) for one in part.entries]
            if all(kept):
                parts.append(part)
            elif any(kept):
                parts.append(part.only(kept))
        self._parts = parts
        for p in [p for p, until in self._left_out.items() if number_of(until) <= number_of(self._from[p])]:
            del self._left_out[p]


def number_of(entry_id: str) -> tuple[int, int]:
    """A stream's entry id so that it can be compared: its time in epoch milliseconds, and its number within that."""
    ms, _, part = entry_id.partition("-")
    return int(ms), int(part or 0)
