"""Spells: when a condition that goes on changes anything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from analysis.detectors.spell import Spell, go_on, unmoved

TIMES = st.integers(min_value=0, max_value=2_000_000)


@given(
    since_ms=TIMES,
    seen_after_ms=st.integers(0, 60_000),
    raised=st.booleans(),
    at_after_ms=st.integers(0, 60_000),
    on_delay_s=st.sampled_from([0, 10, 40, 600]),
)
def test_a_spell_said_to_be_unmoved_stays_the_same_object(
    since_ms: int, seen_after_ms: int, raised: bool, at_after_ms: int, on_delay_s: float
) -> None:
    seen_ms = since_ms + seen_after_ms
    spell = Spell(
        vehicle_id="bus", since_ms=since_ms, seen_ms=seen_ms, peak=1.0, raised_ms=since_ms if raised else None
    )
    after, found = go_on("overspeed", spell, seen_ms + at_after_ms, on_delay_s=on_delay_s, value=9.0, values={})
    assert unmoved(spell, seen_ms + at_after_ms, on_delay_s) == (after is spell and not found)
