"""What of a stream was deleted, or replaced, before it was archived. Pure.

A stream counts what was ever added to it, and who archives it counts what he read: where both are at the same entry,
the numbers must be the same. What the store deleted in between, or a store that is another one than before, is a gap.
"""

from __future__ import annotations

from typing import NamedTuple

from city.archive.log import Gap
from city.archive_source import OLDEST, Standing, entry_ms, entry_order


class Place(NamedTuple):
    """Up to where a stream is read."""

    cursor: str
    entries: int | None  # how many it had ever had up to there; None: nobody knows
    sure_ms: int = 0  # the store's time of the cursor when nothing was missing


class Looked(NamedTuple):
    """Where to read on, and what is missing before that."""

    place: Place
    gap: Gap | None = None


def look(stream: str, place: Place, standing: Standing, *, anew: bool, before: int | None, now_ms: int) -> Looked:
    """Compare what was read of a stream with what it has.

    `anew`: what the archive had left in the store beside the stream is gone, and the stream with it. `before`: how many
    entries it had deleted when the archive first asked it to keep them; None: that was another process, long ago.
    """
    cursor, known, _ = place
    first_ms, last_ms, at_ms = entry_ms(standing.first), entry_ms(standing.last), entry_ms(cursor)

    def go_on(
        cursor: str, entries: int | None, gap: tuple[int, int, int | None] | None = None, *, sure_ms: int | None = None
    ) -> Looked:
        found = Place(cursor, entries, entry_ms(cursor) if sure_ms is None else sure_ms)
        if gap is None:
            return Looked(found)
        from_ms, to_ms, lost = gap
        return Looked(found, Gap(stream=stream, from_ms=from_ms, to_ms=to_ms, entries=lost, at_ms=now_ms))

    if cursor == OLDEST:
        kept = known if known is not None else before
        lost = standing.deleted - (kept or 0)
        gap = (first_ms, first_ms, None if kept is None else lost) if lost > 0 else None
        return go_on(cursor, standing.deleted, gap, sure_ms=first_ms)
    behind = entry_order(standing.last) < entry_order(cursor)
    read_all_before = entry_order(standing.first) <= entry_order(cursor)
    if anew and behind:
        # An empty store, and its clock is behind the old one's: all that it has is new.
        return go_on(OLDEST, standing.deleted, (first_ms, first_ms, standing.deleted) if standing.deleted else None)
    if behind:
        # A replica that had not got the last entries, or a copy. What it says from now on is new.
        return go_on(standing.last, standing.added, (last_ms, at_ms, None))
    if anew or (known is not None and standing.added < known):
        if read_all_before:
            return go_on(cursor, None)
        return go_on(cursor, standing.deleted, (at_ms, first_ms, standing.deleted) if standing.deleted else None)
    if not read_all_before:
        unread = None if known is None else standing.deleted - known
        return go_on(cursor, standing.deleted, (at_ms, first_ms, unread) if unread is None or unread > 0 else None)
    if cursor == standing.last:
        missed = 0 if known is None else standing.added - known
        return go_on(cursor, standing.added, (place.sure_ms or at_ms, at_ms, missed) if missed > 0 else None)
    return Looked(place)
