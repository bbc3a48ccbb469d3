"""Now against an hour or a day ago, and the line of a sparkline. Gaps stay gaps."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from msgspec import Struct

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
TOLERANCE_MS = 120_000
SPARKLINE_POINTS = 60

Series = Sequence[tuple[int, float | None]]  # (epoch ms, value), oldest first


class Trend(Struct, frozen=True, kw_only=True):
    """A value against an earlier one."""

    then: float
    then_ms: int  # when that was
    change: float  # now less then, in the value's unit
    ratio: float | None  # the change over then; None where then was 0


def compare(
    series: Series, now: float | None, now_ms: int, ago_ms: int, tolerance_ms: int = TOLERANCE_MS
) -> Trend | None:
    """The trend against `ago_ms` before; None where either side is not known."""
    if now is None:
        return None
    found = nearest(series, now_ms - ago_ms, tolerance_ms)
    if found is None:
        return None
    then_ms, then = found
    return Trend(then=then, then_ms=then_ms, change=now - then, ratio=(now - then) / abs(then) if then else None)


def nearest(series: Series, at_ms: int, tolerance_ms: int) -> tuple[int, float] | None:
    """The known value nearest to a time, the earlier of two as near; None beyond the tolerance."""
    start = bisect_left(series, at_ms - tolerance_ms, key=lambda sample: sample[0])
    best: tuple[int, float] | None = None
    for index in range(start, len(series)):
        ms, value = series[index]
        if ms > at_ms + tolerance_ms:
            break
        if value is not None and (best is None or abs(ms - at_ms) < abs(best[0] - at_ms)):
            best = (ms, value)
    return best


def sparkline(series: Series, since_ms: int, until_ms: int, points: int = SPARKLINE_POINTS) -> list[float | None]:
    """Means of `points` equal spans from `since_ms` (in) to `until_ms` (out); None where no sample is."""
    if until_ms <= since_ms or points < 1:
        return []
    sums, counts = [0.0] * points, [0] * points
    for ms, value in series:
        if value is not None and since_ms <= ms < until_ms:
            at = (ms - since_ms) * points // (until_ms - since_ms)
            sums[at] += value
            counts[at] += 1
    return [total / n if n else None for total, n in zip(sums, counts, strict=True)]
