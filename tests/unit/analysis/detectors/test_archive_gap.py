"""Losses of the archive as a timeline."""

from __future__ import annotations

from timelines import S, Timeline, changes

from analysis.detectors.archive_gap import DETECTOR
from analysis.detectors.seen import ArchiveSeen
from city.archive_figures import ArchiveFigures, ArchiveLoss
from city.rules.system import ArchiveGap

RULE = ArchiveGap(clear_after_s=3600)


def look(at_s: float, lost: ArchiveLoss | None) -> ArchiveSeen:
    figures = ArchiveFigures(
        at_ms=int(at_s * S), committed_ms=0, commit=1, files=1, rows_written=0, waiting_rows=0, lag_s=0, hold_s=3600,
        lost=lost,
    )  # fmt: skip
    return ArchiveSeen(figures=figures, now_ms=int(at_s * S))


def loss(*streams: str, since_s: int, found_s: int, entries: int = 7) -> ArchiveLoss:
    return ArchiveLoss(
        streams=streams, from_ms=1_777_870_800_000, to_ms=1_777_870_860_000, entries=entries, since_ms=since_s * S,
        found_ms=found_s * S,
    )  # fmt: skip


def test_a_loss_is_told_with_how_many_from_when_to_when_and_of_which_streams() -> None:
    line = Timeline(DETECTOR, RULE)
    line.see(look(50, None))
    (raised,) = line.see(look(101, loss("0", "3", since_s=100, found_s=100)))
    assert changes([raised]) == [("raise", 100)]
    assert raised.values == {
        "batches": 7, "streams": "0, 3", "from_at": "2026-05-04 05:00:00 UTC", "to_at": "2026-05-04 05:01:00 UTC",
    }  # fmt: skip


def test_a_loss_that_grows_is_the_same_alarm_with_other_numbers_and_ends_an_hour_after_the_last() -> None:
    line = Timeline(DETECTOR, RULE, restarts=True)
    line.see(look(101, loss("0", since_s=100, found_s=100)))
    line.see(look(200, loss("0", since_s=100, found_s=100)))
    line.see(look(1900, loss("0", "1", since_s=100, found_s=1900, entries=9)))
    line.see(look(5499, loss("0", "1", since_s=100, found_s=1900, entries=9)))
    line.see(look(5500, loss("0", "1", since_s=100, found_s=1900, entries=9)))
    assert changes(line.found) == [("raise", 100), ("update", 1900), ("clear", 5500)]
    assert line.found[1].values["batches"] == 9


def test_a_loss_of_long_ago_is_not_told_again_to_who_begins_to_watch() -> None:
    line = Timeline(DETECTOR, RULE)
    assert line.see(look(4000, loss("0", since_s=100, found_s=100))) == []


def test_another_archive_that_lost_nothing_ends_it() -> None:
    line = Timeline(DETECTOR, RULE)
    line.see(look(101, loss("0", since_s=100, found_s=100)))
    line.see(look(102, None))
    assert changes(line.found) == [("raise", 100), ("clear", 102)]
