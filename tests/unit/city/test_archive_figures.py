"""What the archive lost last, as its figures tell it."""

from __future__ import annotations

from city.archive.log import Gap
from city.archive_figures import ArchiveLoss, newest_loss

HOUR_MS = 3_600_000


def gap(stream: str, found_ms: int, entries: int | None = 2) -> Gap:
    return Gap(stream=stream, from_ms=found_ms - 100, to_ms=found_ms - 10, entries=entries, at_ms=found_ms)


def test_without_a_gap_nothing_was_lost() -> None:
    assert newest_loss([]) is None


def test_the_gaps_of_all_streams_that_were_found_together_are_one_loss() -> None:
    gaps = [gap("0", 5 * HOUR_MS), gap("10", 9 * HOUR_MS), gap("2", 9 * HOUR_MS + 5, None), gap("10", 10 * HOUR_MS)]
    assert newest_loss(gaps) == ArchiveLoss(
        streams=("2", "10"),
        from_ms=9 * HOUR_MS - 100,
        to_ms=10 * HOUR_MS - 10,
        entries=4,
        since_ms=9 * HOUR_MS,
        found_ms=10 * HOUR_MS,
    )


def test_a_gap_of_which_nobody_noted_when_it_was_found_was_found_at_its_end() -> None:
    old = Gap(stream="1", from_ms=5, to_ms=77, entries=1)
    assert newest_loss([old]) == ArchiveLoss(streams=("1",), from_ms=5, to_ms=77, entries=1, since_ms=77, found_ms=77)
