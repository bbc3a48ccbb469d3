"""Times as devices write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city.messages import RejectReason
from ingest.decode.outcome import Undecodable
from ingest.decode.times import read_time_ms


@pytest.mark.parametrize(
    "given_time",
    [
        1_777_870_800,
        1_777_870_800.0,
        1_777_870_800_000,
        "2026-05-04T05:00:00Z",
        "2026-05-04t05:00:00z",
        "2026-05-04T10:00:00+05:00",
        "2026-05-04T05:00:00.000000Z",
        "2026-05-04 05:00:00+00:00",
    ],
)
def test_one_moment_is_read_in_every_spelling(given_time: float | str) -> None:
    assert read_time_ms(given_time) == 1_777_870_800_000


def test_fractions_of_a_second_are_kept_to_the_millisecond() -> None:
    assert read_time_ms("2026-05-04T05:00:00.1239Z") == 1_777_870_800_124
    assert read_time_ms(1_777_870_800.25) == 1_777_870_800_250


@given(
    moment=st.datetimes(datetime(1970, 1, 2), datetime(9998, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
    offset_min=st.integers(-14 * 60, 14 * 60),
)
def test_every_rfc_3339_time_is_read_back(moment: datetime, offset_min: int) -> None:
    here = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=offset_min)))
    assert abs(read_time_ms(here.isoformat()) - here.timestamp() * 1000) <= 1


@given(st.one_of(st.text(max_size=40), st.integers(), st.floats(), st.just(10**400)))
def test_anything_else_is_a_bad_time(given_time: float | str) -> None:
    """Either a moment between 1970 and 9999, or the one reason."""
    try:
        read_ms = read_time_ms(given_time)
    except Undecodable as problem:
        reason = problem.reason
    else:
        reason = RejectReason.BAD_TIME if 0 <= read_ms < 253_402_300_800_000 else RejectReason.BAD_VALUE
    assert reason is RejectReason.BAD_TIME


@pytest.mark.parametrize("naive", ["2026-05-04T05:00:00", "2026-05-04", "2026-W19-1"])
def test_a_time_without_an_offset_is_refused(naive: str) -> None:
    with pytest.raises(Undecodable, match="no offset"):
        read_time_ms(naive)
