"""Offsets of a city's clock over a span are those of the time zone database at every moment."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from analysis.local_time import Offset, offsets

DAY_MS = 86_400_000
YEAR_2026_MS = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)


def test_a_zone_without_summer_time_has_one() -> None:
    assert offsets(ZoneInfo("Asia/Tashkent"), YEAR_2026_MS, YEAR_2026_MS + 400 * DAY_MS) == (
        Offset(YEAR_2026_MS, 18_000_000),
    )


def test_clocks_go_forward_and_back() -> None:
    found = offsets(ZoneInfo("Europe/Helsinki"), YEAR_2026_MS, YEAR_2026_MS + 365 * DAY_MS)
    # European Union: one o'clock UTC on the last Sundays of March and October.
    changes = [datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)]
    assert [one.offset_ms // 3_600_000 for one in found] == [2, 3, 2]
    assert [one.from_ms for one in found[1:]] == [int(at.timestamp() * 1000) for at in changes]


@given(
    st.sampled_from(["Europe/Helsinki", "Asia/Kolkata", "America/St_Johns", "Asia/Tashkent"]),
    st.integers(0, 365 * DAY_MS),
    st.integers(1, 90 * DAY_MS),
    st.floats(0, 1),
)
def test_every_moment_has_its_offset(name: str, after_ms: int, span_ms: int, share: float) -> None:
    zone, from_ms = ZoneInfo(name), YEAR_2026_MS + after_ms
    at_ms = from_ms + int((span_ms - 1) * share)
    found = [one for one in offsets(zone, from_ms, from_ms + span_ms) if one.from_ms <= at_ms][-1]
    told = datetime.fromtimestamp(at_ms // 1000, zone).utcoffset()
    assert told is not None
    assert found.offset_ms == told.total_seconds() * 1000
