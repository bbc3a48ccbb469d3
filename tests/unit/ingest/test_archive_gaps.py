"""What was read of a stream against what it has: every batch that is missing is told, and no other."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from city.archive_source import OLDEST, Standing
from ingest.archive_gaps import Looked, Place, look


def at(n: int) -> str:
    return f"{1000 + n}-0"


def looked(
    place: Place, first: int, last: int, deleted: int, added: int, *, anew: bool = False, before: int | None = None
) -> Looked:
    return look("0", place, Standing(at(first), at(last), deleted, added), anew=anew, before=before, now_ms=9999)


def told(found: Looked) -> tuple[int, int, int | None] | None:
    return None if found.gap is None else (found.gap.from_ms, found.gap.to_ms, found.gap.entries)


def test_what_was_trimmed_unread_is_a_gap_of_so_many() -> None:
    found = looked(Place(at(3), 4), 10, 20, 10, 21)
    assert told(found) == (1003, 1010, 6)
    assert found.place == Place(at(3), 10, 1003)


def test_what_was_trimmed_when_it_was_read_is_none() -> None:
    assert looked(Place(at(9), 10), 10, 20, 10, 21).gap is None
    assert looked(Place(at(9), 10), 5, 20, 5, 21).gap is None


def test_at_the_tip_both_counts_are_the_same_or_batches_were_missed_on_the_way() -> None:
    """Trimmed between two reads, nothing else shows it: the oldest entry is one that was read."""
    assert told(looked(Place(at(20), 16, 1002), 15, 20, 15, 21)) == (1002, 1020, 5)
    assert looked(Place(at(20), 21, 1002), 15, 20, 15, 21).gap is None
    assert looked(Place(at(19), 15, 1002), 15, 20, 15, 21).gap is None, "not at the tip yet"


def test_what_was_deleted_after_the_store_was_asked_to_keep_it_is_a_gap_from_the_beginning_on() -> None:
    first = Place(OLDEST, None)
    assert told(looked(first, 10, 20, 10, 21, before=10)) is None
    assert told(looked(first, 10, 20, 10, 21, before=4)) == (1010, 1010, 6)
    assert told(looked(first, 10, 20, 10, 21)) == (1010, 1010, None), "asked by an earlier process"
    assert told(looked(first, 0, 20, 0, 21)) is None


def test_an_emptied_store_counts_anew_and_all_that_it_deleted_was_unread() -> None:
    for place in (Place(at(3), 1000), Place(at(3), 5)):
        assert told(looked(place, 10, 20, 10, 21, anew=True)) == (1003, 1010, 10)
    assert told(looked(Place(at(3), 1000), 10, 20, 10, 21)) == (1003, 1010, 10), "fewer than were ever read"
    found = looked(Place(at(3), 1000), 2, 20, 0, 21)
    assert (found.gap, found.place.entries) == (None, None), "some of it may have been read: nobody knows"
    assert looked(found.place._replace(cursor=at(20)), 2, 20, 0, 21).place.entries == 21


def test_an_emptied_store_whose_clock_is_behind_is_read_from_its_beginning() -> None:
    found = looked(Place(at(50), 1000), 3, 9, 0, 7, anew=True)
    assert (found.place.cursor, found.gap) == (OLDEST, None)


def test_a_store_that_lost_its_last_entries_is_read_from_its_last_one_and_that_is_told() -> None:
    found = looked(Place(at(50), 40), 3, 30, 3, 25)
    assert told(found) == (1030, 1050, None)
    assert found.place == Place(at(30), 25, 1030)
    assert looked(found.place, 3, 30, 3, 25).gap is None, "once"


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=30))
def test_read_and_told_together_are_all_that_was_added(steps: list[tuple[int, int, int]]) -> None:
    """Whatever is added, trimmed and read in whatever order: nothing is missing untold."""
    added = oldest = read = told_ = 0  # entries are numbered; `oldest` is the first one that is there
    place = Place(OLDEST, None)
    for more, gone, wanted in [*steps, (1, 0, 0), (0, 0, 1 << 30), (0, 0, 0)]:
        added += more
        oldest = min(added - 1, oldest + gone) if added else 0
        if added:
            found = looked(place, oldest, added - 1, oldest, added, before=0)
            place = found.place
            told_ += (found.gap.entries or 0) if found.gap else 0
            position = -1 if place.cursor == OLDEST else int(place.cursor[:-2]) - 1000
            oldest = min(added - 1, oldest + gone)  # trimmed again between the look and the read
            count = min(wanted, added - max(position + 1, oldest))
            if count > 0:
                read += count
                place = place._replace(
                    cursor=at(max(position + 1, oldest) + count - 1), entries=(place.entries or 0) + count
                )
    assert read + told_ == added
