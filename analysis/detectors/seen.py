"""What detectors are shown beside the city's events: Markaz's own counters and sizes, with the moment of the look."""

from __future__ import annotations

from msgspec import Struct

from city.archive_figures import ArchiveFigures
from city.messages import Arrival, FeedCount, WorkerFigures


class FeedSeen(Struct, frozen=True, kw_only=True):
    """A feed's counters now. Shown every second, of every feed."""

    count: FeedCount
    now_ms: int


class RejectsSeen(Struct, frozen=True, kw_only=True):
    """How large the reject stream is now, and may be. Shown every second."""

    size_bytes: int
    max_bytes: int  # store.rejects_max_bytes
    now_ms: int


class ArrivalSeen(Struct, frozen=True, kw_only=True):
    """How old a feed's messages are when they come (`WorkerLooks.arrivals`). Shown every few seconds, of every feed."""

    feed: str
    arrival: Arrival
    now_ms: int


class WorkerSeen(Struct, frozen=True, kw_only=True):
    """The newest figures of an ingest worker. Shown every second, of every worker that the store knows."""

    figures: WorkerFigures
    now_ms: int


class StoreSeen(Struct, frozen=True, kw_only=True):
    """Whether the store answers: since when it does not, or None.

    Shown when an outage ends (or while it lasts) with its beginning, and then with None.
    """

    lost_since_ms: int | None
    now_ms: int


class DiskSeen(Struct, frozen=True, kw_only=True):
    """The file system of the data folder (`shutil.disk_usage`). Shown every minute or so."""

    free_bytes: int  # that an ordinary user may still write
    total_bytes: int
    now_ms: int


class ArchiveSeen(Struct, frozen=True, kw_only=True):
    """The newest figures of the archive's writer, old ones too. Shown every second, once there are any."""

    figures: ArchiveFigures
    now_ms: int
