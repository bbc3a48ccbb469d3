"""On-delay and off-delay as tables."""

from __future__ import annotations

import pytest

from analysis.detectors.delay import CALM, Delay, look, wait

OVER, BETWEEN, BACK = "over", "between", "back"


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        ([(10, OVER), (39, OVER), (40, None)], [(40, "raise")]),
        ([(10, OVER), (39, BACK), (100, None)], []),
        ([(10, OVER), (39, BETWEEN), (40, OVER), (69, None)], []),  # it must last without a break
        ([(10, OVER), (100, BACK), (119, OVER), (200, None)], [(40, "raise")]),  # back too shortly
        (
            [(10, OVER), (100, BACK), (110, BETWEEN), (115, BACK), (134, None), (135, None)],
            [(40, "raise"), (135, "clear")],
        ),
        ([(10, OVER), (100, BACK), (500, OVER)], [(40, "raise"), (120, "clear")]),  # nobody looked meanwhile
        ([(10, OVER), (40, None), (5, BACK), (30, BACK), (99, None)], [(40, "raise")]),  # seen from before
        ([(10, OVER), (10, OVER), (40, OVER), (40, OVER)], [(40, "raise")]),
    ],
)
def test_a_condition_must_last(moments: list[tuple[int, str | None]], expected: list[tuple[int, str]]) -> None:
    delay, found = CALM, []
    for at_s, seen in moments:
        if seen is None:
            delay, changes = wait(delay, at_s * 1000, on_s=30, off_s=20)
        else:
            delay, changes = look(delay, at_s * 1000, over=seen == OVER, back=seen == BACK, on_s=30, off_s=20)
        found += [(at_ms // 1000, change.value) for at_ms, change in changes]
    assert found == expected


def test_without_delays_it_changes_at_once_and_nothing_waits() -> None:
    delay, changes = look(CALM, 1000, over=True, back=False, on_s=0, off_s=0)
    assert [change for _, change in changes] == ["raise"]
    assert not delay.waits
    assert look(delay, 2000, over=False, back=True, on_s=0, off_s=0)[0] == Delay()


def test_what_changes_nothing_gives_the_same_object() -> None:
    raised = Delay(raised_ms=1000)
    assert look(CALM, 1000, over=False, back=True, on_s=9, off_s=9)[0] is CALM
    assert look(raised, 2000, over=True, back=False, on_s=9, off_s=9)[0] is raised
