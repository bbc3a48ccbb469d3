"""Times as others read them: every stored number is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city.rfc3339 import rfc3339


@pytest.mark.parametrize(
    ("ms", "told"),
    [
        (1_777_870_800_250, "2026-05-04T05:00:00.250Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
        (1 << 62, "9999-12-31T23:59:59.999Z"),
        (-(1 << 62), "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_beyond_what_can_be_written_is_the_nearest_one(ms: int, told: str) -> None:
    assert rfc3339(ms) == told


@given(st.integers(-(1 << 63), 1 << 63))
def test_no_number_raises_and_all_have_the_same_form(ms: int) -> None:
    assert len(rfc3339(ms)) == len("2026-05-04T05:00:00.250Z")
