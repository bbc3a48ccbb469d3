"""The alarm comes before the oldest rejects go, and leaves when there is room again."""

from __future__ import annotations

from analysis.detectors.finding import Change
from analysis.detectors.rejects_full import FullState, step
from city.rules.system import RejectsFull

RULE = RejectsFull(share_max=0.8, share_clear=0.6)
MAX = 1000


def timeline(*sizes: int) -> list[tuple[int, Change, float]]:
    state, found = FullState(), []
    for now_ms, size in enumerate(sizes):
        state, findings = step(state, size, MAX, now_ms, RULE)
        found += [(now_ms, one.change, float(one.values["full_pct"])) for one in findings]
    return found


def test_it_rises_once_at_the_limit_and_clears_below_the_lower_one() -> None:
    assert timeline(0, 799, 800, 950, 1000, 700, 601, 600, 0) == [(2, Change.RAISE, 80.0), (7, Change.CLEAR, 60.0)]


def test_each_rise_is_an_alarm_of_its_own() -> None:
    assert [change for _, change, _ in timeline(900, 100, 900)] == [Change.RAISE, Change.CLEAR, Change.RAISE]
