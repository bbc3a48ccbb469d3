"""How the archive stands, as its writer tells it."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from city.archive.log import Gap

# Gaps that were found within so long of each other are one loss: every stream has its own.
TOGETHER_MS = 3_600_000


class ArchiveLoss(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Batches of events that the store deleted before they were archived, of all streams together."""

    streams: tuple[str, ...]  # partitions by their number, and `alarm_log`
    from_ms: int  # by the store's clock: the last entry before them, and the first behind
    to_ms: int
    entries: int  # how many; at least, where of some nobody knows
    since_ms: int  # when the first of them was found to be missing
    found_ms: int  # and the last


class ArchiveFigures(Struct, frozen=True, kw_only=True):
    """How the archive stands."""

    at_ms: int
    committed_ms: int  # its last commit; 0: none yet
    commit: int
    files: int
    rows_written: int  # by this process
    waiting_rows: int  # read, and in no file yet
    lag_s: float  # age of the oldest entry that is not archived
    hold_s: float  # beyond that age it is deleted from the store
    rows: int = 0  # in all files
    bytes: int = 0
    waits_for: str = ""  # what does not answer; empty: nothing
    gaps: int = 0
    lost_entries: int = 0  # batches that were deleted before they were archived
    lost: ArchiveLoss | None = None  # the newest such loss
    unreadable: int = 0  # events that are no events to this version
    problems: int = 0  # files that were skipped


def newest_loss(gaps: Sequence[Gap]) -> ArchiveLoss | None:
    """What was lost last, of gaps in the order in which they were found; None without any."""
    last: list[Gap] = []
    for gap in reversed(gaps):
        if last and _found_ms(last[-1]) - _found_ms(gap) > TOGETHER_MS:
            break
        last.append(gap)
    if not last:
        return None
    return ArchiveLoss(
        streams=tuple(sorted({gap.stream for gap in last}, key=lambda one: (len(one), one))),
        from_ms=min(gap.from_ms for gap in last),
        to_ms=max(gap.to_ms for gap in last),
        entries=sum(gap.entries or 0 for gap in last),
        since_ms=min(map(_found_ms, last)),
        found_ms=max(map(_found_ms, last)),
    )


def _found_ms(gap: Gap) -> int:
    """An older version did not note it: soon after the gap's end."""
    return gap.at_ms or gap.to_ms
