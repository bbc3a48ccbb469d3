"""What the archive is filled from: the entries of the store's streams as they lie there, and what may be deleted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from city.archive.log import entry_ms
from city.archive_figures import ArchiveFigures
from city.store import Store, StoreRefused

__all__ = [
    "ALARM_LOG",
    "OLDEST",
    "ArchiveSource",
    "KnownArchive",
    "RawEntry",
    "Standing",
    "StoreMemory",
    "entry_ms",
    "entry_order",
]

ALARM_LOG = "alarm_log"  # the stream of transitions; those of events go by their partition's number
OLDEST = "0-0"


class RawEntry(NamedTuple):
    """One entry of one stream."""

    stream: str
    entry_id: str
    fields: Mapping[bytes, bytes]


class Standing(NamedTuple):
    """What a stream has."""

    first: str  # its oldest entry
    last: str  # the newest that it ever had
    deleted: int  # entries that it had before the oldest
    added: int  # entries that it ever had


class KnownArchive(Struct, frozen=True):
    """The archive that the streams were archived to last."""

    id: str  # empty: of an older version
    commit: int


class StoreMemory(NamedTuple):
    """What the store takes."""

    used_bytes: int
    max_bytes: int  # 0: as much as there is
    events_bytes_per_s: float  # by which the streams of events grow; 0: nothing was said lately


class ArchiveSource:
    """The streams of one store, for one thread. Every method raises StoreDown."""

    def __init__(self, store: Store) -> None:
        self._store = store
        keys = store.keys
        self._names = {str(p): keys.events(p) for p in range(keys.partitions)} | {ALARM_LOG: keys.alarm_log()}
        self._streams = {name: stream for stream, name in self._names.items()}

    @property
    def streams(self) -> list[str]:
        """What the archive calls them."""
        return list(self._names)

    def read(self, cursors: dict[str, str], *, block_ms: int, count: int) -> list[RawEntry]:
        """Entries after `cursors` (moved on in place), at most `count` a stream; waits up to `block_ms`."""
        wanted = {self._names[stream]: cursor for stream, cursor in cursors.items()}
        found: list[RawEntry] = []
        for name, entries in self._store.streams.read(wanted, block_ms=max(1, block_ms), count=count):
            stream = self._streams[name]
            for entry_id, fields in entries:
                cursors[stream] = entry_id.decode()
                found.append(RawEntry(stream, cursors[stream], fields))
        return found

    def standing(self, streams: Iterable[str]) -> dict[str, Standing]:
        """What streams have now; those that do not exist are left out."""
        found: dict[str, Standing] = {}
        for stream in streams:
            name = self._names[stream]

            def ask(client: Any, name: str = name) -> Any:
                return client.xinfo_stream(name)

            try:
                told = self._store.link.run(ask)
            except StoreRefused as refused:
                if "no such key" not in str(refused):
                    raise
                continue
            first = told["first-entry"]
            # An empty one has deleted all that it ever had.
            oldest = first[0] if first else told["last-generated-id"]
            added = int(told.get("entries-added", told["length"]))
            last = told["last-generated-id"]
            found[stream] = Standing(oldest.decode(), last.decode(), added - int(told["length"]), added)
        return found

    def oldest_ms(self, cursors: Mapping[str, str]) -> int | None:
        """When the first entry behind the cursors came, epoch milliseconds by the store's clock; None: none."""

        def fill(pipe: Any) -> None:
            for stream, cursor in cursors.items():
                pipe.xrange(self._names[stream], min=f"({cursor}", count=1)

        answers = self._store.link.together(fill) if cursors else []
        return min((entry_ms(answer[0][0].decode()) for answer in answers if answer), default=None)

    # --- what the store keeps ---------------------------------------------------------------------

    def marks(self) -> dict[str, str]:
        """Up to where each stream of events is archived, as the store was told; those that were never are left out."""
        names = self._marks()

        def fill(pipe: Any) -> None:
            for name in names.values():
                pipe.get(name)

        values = self._store.link.together(fill)
        return {stream: value.decode() for stream, value in zip(names, values, strict=True) if value is not None}

    def hold(self) -> set[str]:
        """Let the store keep what is not archived (for `history.hold_s`); the streams that it was never asked for."""
        names = self._marks()
        fresh = names.keys() - self.marks().keys()

        def fill(pipe: Any) -> None:
            for stream in fresh:
                pipe.set(names[stream], OLDEST, nx=True)

        if fresh:
            self._store.link.together(fill)
        return fresh

    def trim(self, cursors: Mapping[str, str], keep_ms: int) -> None:
        """Delete what is archived and was `keep_ms` old at that entry. A store that is too full to write does this."""

        def fill(pipe: Any) -> None:
            for stream, cursor in cursors.items():
                if stream.isdecimal() and (until_ms := entry_ms(cursor) - keep_ms) > 0:
                    pipe.xtrim(self._names[stream], minid=until_ms, approximate=True)

        if any(stream.isdecimal() for stream in cursors):
            self._store.link.together(fill)

    def memory(self) -> StoreMemory | None:
        """What the store takes; None: of a cluster nobody knows in one number."""
        if self._store.link.clustered:
            return None
        found = self._store.link.run(lambda client: client.info("memory"))
        per_s = 0.0
        for stream, standing in self.standing(self._marks()).items():

            def ask(client: Any, name: str = self._names[stream]) -> Any:
                return client.memory_usage(name)

            per_s += (
                int(self._store.link.run(ask) or 0)
                * 1000
                / max(1000, entry_ms(standing.last) - entry_ms(standing.first))
            )
        return StoreMemory(int(found["used_memory"]), int(found.get("maxmemory", 0)), per_s)

    def _marks(self) -> dict[str, str]:
        return {stream: self._store.keys.archived(int(stream)) for stream in self._names if stream.isdecimal()}

    def archived(self, cursors: Mapping[str, str], archive: KnownArchive | None = None) -> None:
        """Say up to where events are archived, and by which archive: the store may delete them, and none behind."""

        def fill(pipe: Any) -> None:
            for stream, cursor in cursors.items():
                if stream.isdecimal():
                    pipe.set(self._store.keys.archived(int(stream)), cursor)
            if archive is not None:
                pipe.set(self._store.keys.archive_known(), msgspec.json.encode(archive))

        if archive is not None or any(stream.isdecimal() for stream in cursors):
            self._store.link.together(fill)

    def known(self) -> KnownArchive | None:
        """The archive that the streams were archived to last; None: there was none."""
        data = self._store.link.run(lambda client: client.get(self._store.keys.archive_known()))
        try:
            return None if data is None else msgspec.json.decode(data, type=KnownArchive)
        except msgspec.MsgspecError:
            return None

    def forget(self) -> None:
        """Take the next archive for the right one, whichever it is."""
        self._store.link.run(lambda client: client.delete(self._store.keys.archive_known()))

    def tell(self, figures: ArchiveFigures) -> None:
        """Keep the newest figures."""
        data = msgspec.json.encode(figures)
        self._store.link.run(lambda client: client.set(self._store.keys.archive(), data))

    def told(self) -> ArchiveFigures | None:
        """The newest figures; None where no archive was ever written."""
        return self._store.archive_figures()


def entry_order(entry_id: str) -> tuple[int, int]:
    """What entries' ids sort by."""
    ms, _, number = entry_id.partition("-")
    return int(ms), int(number or 0)
