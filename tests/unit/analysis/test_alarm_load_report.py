"""Each figure beside what is recommended: met at the limit, exceeded above it, and silent where there is too little."""

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
        ("mean_per_10min", 2.1, "per_10min", "exceeded"),
        ("mean_per_hour", 6.0, "per_hour", "met"),
        ("mean_per_hour", 12.0, "per_hour", "manageable"),
        ("mean_per_hour", 13.0, "per_hour", "exceeded"),
        ("peak_10min", 10, "peak_10min", "met"),
        ("peak_10min", 11, "peak_10min", "exceeded"),
        ("share_over_10", 0.02, "share_over_10", "exceeded"),
        ("flood_share", 0.02, "flood_share", "exceeded"),
        ("top_share", 0.05, "top_share", "met"),
        ("top_share", 0.06, "top_share", "exceeded"),
        ("chattering", 1, "chattering", "exceeded"),
        ("fleeting", 1, "fleeting", "exceeded"),
    ],
)
def test_every_limit_counts_from_above_it(field: str, value: float, name: str, state: str) -> None:
    assert states(replace(QUIET, **{field: value}))[name] == state


@pytest.mark.parametrize(("count", "state"), [(4, "met"), (5, "exceeded")])
def test_fewer_than_five_may_be_stale(count: int, state: str) -> None:
    stale = [
        Stale(alarm=str(n), rule="r", source_kind="sensor", source_id="a", since_ms=0, proposal=None)
        for n in range(count)
    ]
    assert states(replace(QUIET, stale=tuple(stale)))["stale"] == state


def test_a_priority_is_judged_with_all_that_are_more_urgent() -> None:
    shares = {"critical": 0.05, "high": 0.01, "medium": 0.16, "low": 0.78}
    found = states(replace(QUIET, priority_share=shares))
    assert [found[name] for name in shares] == ["exceeded", "met", "exceeded", "met"]


def test_shares_of_few_alarms_say_nothing() -> None:
    found = states(replace(QUIET, announced=49, top_share=1.0))
    assert {name for name, state in found.items() if state == "too_few"} == {"top_share", *RECOMMENDED_SHARE}
