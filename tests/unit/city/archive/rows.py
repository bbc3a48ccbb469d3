"""Positions for tests of the archive, and an archive to put them in."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from city.archive.archive import Archive
from city.archive.columns import batch_of, events_of
from city.events import Event, VehiclePosition

HOUR = 3_600_000
MAY_4 = 1_777_852_800_000  # 2026-05-04T00:00Z
EVER = (0, 1 << 60)


class Clock:
    """The time, as a test sets it."""

    def __init__(self, now_ms: int = MAY_4 + 12 * HOUR) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def fix(vehicle: str, at_ms: int, **said: object) -> VehiclePosition:
    """Where a vehicle was, `at_ms` after the beginning of the day."""
    at = {"measured_ms": MAY_4 + at_ms, "received_ms": MAY_4 + at_ms + 40, "lat": 41.3, "lon": 69.2}
    return VehiclePosition(vehicle_id=vehicle, **(at | said))  # type: ignore[arg-type]


def fixes(vehicles: int, times: Iterable[int]) -> list[VehiclePosition]:
    return [fix(f"v{n:03}", at_ms) for at_ms in times for n in range(vehicles)]


def rows(events: list[VehiclePosition], late: bool = False) -> dict[str, list[pa.RecordBatch]]:
    return {"position": [batch_of("position", events, late)]}


def content(archive: Archive, feed: str = "position") -> list[Event]:
    """The events of every listed file, sorted."""
    archive.refresh()
    found = []
    for file in archive.files(feed, *EVER):
        with archive.folder.open(file.path) as opened:
            found += events_of(feed, pq.read_table(opened))
    return sorted(found, key=key)  # type: ignore[arg-type]


def key(event: Event) -> tuple[str, int]:
    return event.entity, event.measured_ms


def parquet_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))
