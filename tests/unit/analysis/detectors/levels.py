"""Level series of tanks as gauges tell them, each the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Iterator

from msgspec import Struct

HOUR_S, DAY_S = 3600, 86_400


class Series(Struct, frozen=True):
    """What a gauge told, and what was true."""

    readings: list[tuple[int, float]]  # second, litres
    refuels: list[int]  # seconds
    thefts: list[tuple[int, float]]  # second, litres


def scattered(chance: random.Random, most_l: float) -> Iterator[float]:
    """Every reading for itself."""
    while True:
        yield chance.uniform(-most_l, most_l)


def waves(chance: random.Random, most_l: float) -> Iterator[float]:
    """Readings that follow each other."""
    value = 0.0
    while True:
        value = 0.8 * value + chance.gauss(0, 0.24 * most_l)
        yield max(-most_l, min(most_l, value))


def slopes(chance: random.Random, most_l: float) -> Iterator[float]:
    """The bus stands askew for some readings, then elsewhere."""
    while True:
        askew = chance.uniform(-most_l, most_l)
        for _ in range(chance.randint(3, 30)):
            yield askew + chance.uniform(-0.3, 0.3)


SLOSHES = {"scattered": scattered, "waves": waves, "slopes": slopes}


def week(
    seed: int,
    *,
    slosh: str = "scattered",
    slosh_l: float = 9.0,
    every_s: int = 60,
    days: int = 7,
    refuels: int = 4,
    dropout_s: int = 26 * HOUR_S,
    thefts_l: tuple[float, ...] = (),
) -> Series:
    """A bus's week: it burns by day, is filled below 45 l, and its gauge says 0 from 77 l on for `dropout_s`.

    Thefts lie in the nights, a night each, at one litre in two seconds.
    """
    chance = random.Random(seed)
    noise = SLOSHES[slosh](chance, slosh_l)
    level_l, dropped_s, filled, readings, stolen = 150.0, None, [], [], []
    planned = [(night * DAY_S + 2 * HOUR_S + chance.randint(0, HOUR_S), lost_l) for night, lost_l in
               enumerate(thefts_l, start=1)]  # fmt: skip
    left_l = 0.0
    for at_s in range(0, days * DAY_S, every_s):
        if 6 <= at_s % DAY_S / HOUR_S < 22:
            level_l = max(30.0, level_l - 5.0 * every_s / HOUR_S)
        in_dropout = dropped_s is not None and at_s - dropped_s < dropout_s
        if level_l < 45 and len(filled) < refuels and not in_dropout:
            level_l = chance.uniform(130, 190)
            filled.append(at_s)
        if planned and at_s >= planned[0][0]:
            stolen.append(planned.pop(0))
            left_l = stolen[-1][1]
        taken_l = min(left_l, every_s / 2)
        level_l, left_l = level_l - taken_l, left_l - taken_l
        if dropout_s and dropped_s is None and at_s > DAY_S and level_l <= 77:
            dropped_s = at_s
        told_l = level_l + next(noise)
        readings.append((at_s, 0.0 if dropped_s is not None and at_s - dropped_s < dropout_s else round(told_l, 1)))
    return Series(readings, filled, stolen)
