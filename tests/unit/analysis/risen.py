"""Alarm logs of a made-up city: a square of square mahallas, with noise and with what is planted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

import numpy as np
import shapely

from analysis.rises import Rises, RisesReader
from analysis.schedule import Clock
from city.alarms import Action, AlarmPriority, AlarmState, Transition
from city.areas import Area, AreaKind

CLOCK = Clock(ZoneInfo("Asia/Tashkent"))
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
# A Monday's midnight in Tashkent.
MONDAY_MS = 1_758_481_200_000
SIDE = 12


def code(column: int, row: int) -> str:
    return f"17262{column:02}{row:03}"


def mahallas(side: int = SIDE) -> list[Area]:
    """Squares of 0.01 degrees, side by side."""
    return [
        Area(
            code=code(x, y),
            kind=AreaKind.MAHALLA,
            district_code=district(x),
            names={"en": code(x, y)},
            area_ha=None,
            polygon=shapely.box(69 + x / 100, 41 + y / 100, 69 + (x + 1) / 100, 41 + (y + 1) / 100),
        )
        for x in range(side)
        for y in range(side)
    ]


def district(column: int) -> str:
    return f"1726{column // 6:03}"


def rise(
    rule: str,
    source: str,
    at_ms: int,
    place: tuple[int, int] | None,
    *,
    stood_ms: int = 600_000,
    after: AlarmState = AlarmState.UNACKNOWLEDGED,
    priority: AlarmPriority = AlarmPriority.MEDIUM,
    **values: float | str,
) -> list[Transition]:
    """An alarm that rises and returns to normal."""

    def one(action: Action, at: int, state: AlarmState) -> Transition:
        return Transition(
            alarm=f"{rule}:{source}",
            version=1,
            action=action,
            before=AlarmState.NORMAL,
            after=state,
            at_ms=at,
            values=values,
            rule=rule,
            priority=priority,
            source_kind="vehicle",
            source_id=source,
            district=None if place is None else district(place[0]),
            mahalla=None if place is None else code(*place),
        )

    return [one(Action.RISE, at_ms, after), one(Action.CLEAR, at_ms + stood_ms, AlarmState.NORMAL)]


def noise(
    rng: np.random.Generator, count: int, weeks: int, rules: Sequence[str] = ("overload", "gap")
) -> list[Transition]:
    """Alarms at any place and time, each of one of a thousand sources."""
    told: list[Transition] = []
    for _ in range(count):
        at_ms = MONDAY_MS + int(rng.integers(weeks * 7 * DAY_MS))
        place = (int(rng.integers(SIDE)), int(rng.integers(SIDE)))
        told += rise(rules[int(rng.integers(len(rules)))], f"bus-{rng.integers(1000)}", at_ms, place)
    return told


def rush(rng: np.random.Generator, weeks: Iterable[int], place: tuple[int, int], a_day: float = 5) -> list[Transition]:
    """Overloads of different buses in one mahalla, on workdays from seven to nine."""
    told: list[Transition] = []
    for week in weeks:
        for day in range(5):
            for _ in range(rng.poisson(a_day)):
                at_ms = MONDAY_MS + (7 * week + day) * DAY_MS + 7 * HOUR_MS + int(rng.integers(2 * HOUR_MS))
                told += rise("overload", f"bus-{rng.integers(1000)}", at_ms, place, onboard=100)
    return told


def read(told: Iterable[Transition]) -> Rises:
    reader = RisesReader()
    for one in sorted(told, key=lambda one: one.at_ms):
        reader.take(one)
    return reader.rises(CLOCK)
