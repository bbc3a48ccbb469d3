"""What is kept of the past in memory has a bound."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.replay import HOUR_MS
from city.archive.archive import Archive
from city.archive.columns import batch_of
from city.events import VehiclePosition
from dashboard import replay_rows
from dashboard.replay_archive import ArchiveOfCity
from dashboard.replay_rows import PastRows

NOON = 1_760_000_000_000 // HOUR_MS * HOUR_MS


class NoStore:
    """A store with nothing in its streams."""

    class keys:  # noqa: N801 - as the store's attribute
        partitions = 1

    def tips(self) -> dict[int, str]:
        return {0: "0-0"}


def test_years_that_are_leafed_through_do_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_rows, "_SMALL_KEPT", 20)
    opened = Archive.open(str(tmp_path), "tashkent")
    event = VehiclePosition(vehicle_id="a", measured_ms=NOON, received_ms=NOON, lat=41.3, lon=69.2)
    opened.append({"position": [batch_of("position", [event], False)]}, {})
    rows = PastRows(NoStore(), ArchiveOfCity(opened), (), 2 * HOUR_MS)  # type: ignore[arg-type]
    rows.refresh()
    for n in range(-30, 60):
        parts, everybody = rows.tracks(NOON + n * HOUR_MS, NOON + n * HOUR_MS + 1000)
        assert everybody
        assert bool(parts) == (0 <= n <= 2), "the hour itself, and two in which it still stands there"
        rows.counts(NOON + n * HOUR_MS, NOON + n * HOUR_MS + 1000)
        assert rows.look(NOON + n * HOUR_MS).rows == (n == 0)
    assert len(rows._kept) <= 20
    assert len(rows._looks) <= 20
