"""What is told of the alarm load, and how it compares with what ISA-18.2-2016, clause 16, and EEMUA 191 recommend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from analysis.alarm_remedies import Proposal

WINDOW_MAX = 10  # announced in ten minutes: beyond it an operator cannot keep up
# Shares of what is announced; of four priorities the highest has less than 1 % (ISA-18.2-2016, clause 16).
RECOMMENDED_SHARE: Mapping[str, float] = {"low": 0.80, "medium": 0.15, "high": 0.05, "critical": 0.01}

# Shares of fewer alarms say nothing: ten sources are all of them.
_ENOUGH = 50
_LOW_MIN = 0.79  # what the others leave: the four shares add up to 1.01


class BadActor(Struct, frozen=True, kw_only=True):
    """One of the alarms that ask most."""

    alarm: str
    rule: str
    source_kind: str
    source_id: str
    announced: int
    share: float  # of all announced
    up_to_share: float  # with those before it: the Pareto line
    chattered: int  # times that it began to chatter
    fleeting: int  # returns within a minute
    proposal: Proposal | None


class Stale(Struct, frozen=True, kw_only=True):
    """An alarm that stands for more than a day."""

    alarm: str
    rule: str
    source_kind: str
    source_id: str
    since_ms: int
    proposal: Proposal | None


class LoadReport(Struct, frozen=True, kw_only=True):
    """The alarm load of a span of time."""

    since_ms: int
    until_ms: int
    announced: int
    last_10min: int
    last_hour: int
    mean_per_10min: float  # about 1 is acceptable, 2 the most that is manageable
    mean_per_hour: float  # about 6, and 12
    windows: int  # of ten minutes, the present one too
    share_over_10: float  # of the windows, that have more than 10; below 0.01 is recommended
    peak_10min: int
    peak_at_ms: int | None  # the beginning of that window
    floods: int
    flood_s: float  # time in flood
    flood_share: float  # of the windows; below 0.01 is recommended
    in_flood: bool
    top: tuple[BadActor, ...]
    top_share: float  # of the top ten; 0.01 to 0.05 is recommended
    chattering: int  # alarms that chattered; none is recommended
    fleeting: int  # returns within a minute
    stale: tuple[Stale, ...]  # standing now, longest first; fewer than 5 is recommended
    priority_share: dict[str, float]  # of what was announced; compare with RECOMMENDED_SHARE
    by_window_since_ms: int  # the beginning of the first window
    by_window: tuple[int, ...]  # announced in each, the present one last


class Measure(Struct, frozen=True, kw_only=True):
    """One figure beside what is recommended for it."""

    name: str
    value: float
    unit: Literal["alarms", "ratio"]
    recommended: float  # at most; of low priority at least
    manageable: float | None = None  # above what is recommended, and an operator can still live with it
    state: Literal["met", "manageable", "not_met", "too_few"]


def measures(report: LoadReport) -> tuple[Measure, ...]:
    """The figures of a report that have a recommended value: most of them at most that, low priority at least."""
    enough = report.announced >= _ENOUGH
    found = [
        _measure("per_10min", report.mean_per_10min, 1, manageable=2),
        _measure("per_hour", report.mean_per_hour, 6, manageable=12),
        _measure("peak_10min", report.peak_10min, WINDOW_MAX),
        _measure("share_over_10", report.share_over_10, 0.01, unit="ratio"),
        _measure("flood_share", report.flood_share, 0.01, unit="ratio"),
        _measure("top_share", report.top_share, 0.05, unit="ratio", enough=enough),
        _measure("chattering", report.chattering, 0),
        _measure("fleeting", report.fleeting, 0),
        _measure("stale", len(report.stale), 4),
    ]
    for priority in ("critical", "high", "medium", "low"):
        share = report.priority_share[priority]
        # Of the lowest there may be more: what counts is that it is not made up of more urgent ones.
        beyond = share if priority != "low" else 1 - share
        allowed = RECOMMENDED_SHARE[priority] if priority != "low" else 1 - _LOW_MIN
        found.append(
            Measure(
                name=priority,
                value=share,
                unit="ratio",
                recommended=RECOMMENDED_SHARE[priority],
                state=_state(beyond, allowed, None, enough=enough),
            )
        )
    return tuple(found)


def _measure(
    name: str,
    value: float,
    recommended: float,
    *,
    manageable: float | None = None,
    unit: Literal["alarms", "ratio"] = "alarms",
    enough: bool = True,
) -> Measure:
    state = _state(value, recommended, manageable, enough=enough)
    return Measure(name=name, value=value, unit=unit, recommended=recommended, manageable=manageable, state=state)


def _state(
    value: float, recommended: float, manageable: float | None, *, enough: bool
) -> Literal["met", "manageable", "not_met", "too_few"]:
    if not enough:
        return "too_few"
    # Sums of shares: a hair above by rounding is none.
    if value <= recommended + 1e-9:
        return "met"
    return "manageable" if manageable is not None and value <= manageable else "not_met"
