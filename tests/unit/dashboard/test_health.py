"""What `/readyz` says of the archive."""

from __future__ import annotations

from city.archive_figures import ArchiveFigures
from dashboard.health import archive_line


def figures(lag_s: float = 3.0, waits_for: str = "") -> ArchiveFigures:
    return ArchiveFigures(
        at_ms=1_000_000, committed_ms=0, commit=1, files=1, rows_written=0, waiting_rows=0, lag_s=lag_s, hold_s=3600,
        waits_for=waits_for,
    )  # fmt: skip


def test_an_archive_that_is_written_is_said_to_be_with_its_lag() -> None:
    assert archive_line(figures(), 1_002_000) == {"part": "archive", "ok": True, "detail": "5 s behind"}


def test_a_writer_that_says_nothing_any_more_is_named() -> None:
    line = archive_line(figures(), 1_031_000)
    assert line == {"part": "archive", "ok": False, "detail": "its writer not heard for 31 s"}


def test_what_the_writer_waits_for_is_named() -> None:
    line = archive_line(figures(90.0, "archive"), 1_000_000)
    assert line == {"part": "archive", "ok": False, "detail": "waits for the folder, 90 s behind"}
