"""Each figure beside what is recommended: met at the limit, not met above it, and silent where there is too little."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from analysis.alarm_load import DAY_MS, AlarmLoad
from analysis.alarm_load_report import RECOMMENDED_SHARE, LoadReport, Stale, measures

QUIET = replace(AlarmLoad(0).report(DAY_MS), announced=100, priority_share=dict(RECOMMENDED_SHARE))


def states(report: LoadReport) -> dict[str, str]:
    return {one.name: one.state for one in measures(report)}


def test_a_quiet_day_meets_all_of_it() -> None:
    # Of four priorities the recommended shares add up to a little more than all.
    assert set(states(QUIET).values()) == {"met"}


@pytest.mark.parametrize(
    ("field", "value", "name", "state"),
    [
        ("mean_per_10min", 1.0, "per_10min", "met"),
        ("mean_per_10min", 1.1, "per_10min", "manageable"),
        ("mean_per_10min", 2.1, "per_10min", "not_met"),
        ("mean_per_hour", 6.0, "per_hour", "met"),
        ("mean_per_hour", 12.0, "per_hour", "manageable"),
        ("mean_per_hour", 13.0, "per_hour", "not_met"),
        ("peak_10min", 10, "peak_10min", "met"),
        ("peak_10min", 11, "peak_10min", "not_met"),
        ("share_over_10", 0.02, "share_over_10", "not_met"),
        ("flood_share", 0.02, "flood_share", "not_met"),
        ("top_share", 0.05, "top_share", "met"),
        ("top_share", 0.06, "top_share", "not_met"),
        ("chattering", 1, "chattering", "not_met"),
        ("fleeting", 1, "fleeting", "not_met"),
    ],
)
def test_every_limit_counts_from_above_it(field: str, value: float, name: str, state: str) -> None:
    assert states(replace(QUIET, **{field: value}))[name] == state


@pytest.mark.parametrize(("count", "state"), [(4, "met"), (5, "not_met")])
def test_fewer_than_five_may_be_stale(count: int, state: str) -> None:
    stale = [
        Stale(alarm=str(n), rule="r", source_kind="sensor", source_id="a", since_ms=0, proposal=None)
        for n in range(count)
    ]
    assert states(replace(QUIET, stale=tuple(stale)))["stale"] == state


@pytest.mark.parametrize(
    ("shares", "not_met"),
    [
        ((0.01, 0.05, 0.15, 0.79), set()),
        ((0.0, 0.0, 0.0, 1.0), set()),
        ((0.02, 0.01, 0.01, 0.96), {"critical"}),
        ((0.0, 0.06, 0.14, 0.80), {"high"}),
        ((0.0, 0.0, 0.3, 0.7), {"medium", "low"}),
    ],
)
def test_urgent_priorities_have_a_most_and_the_lowest_a_least(shares: tuple[float, ...], not_met: set[str]) -> None:
    named = dict(zip(("critical", "high", "medium", "low"), shares, strict=True))
    found = states(replace(QUIET, priority_share=named))
    assert {name for name, state in found.items() if state == "not_met"} == not_met


def test_shares_of_few_alarms_say_nothing() -> None:
    found = states(replace(QUIET, announced=49, top_share=1.0))
    assert {name for name, state in found.items() if state == "too_few"} == {"top_share", *RECOMMENDED_SHARE}
