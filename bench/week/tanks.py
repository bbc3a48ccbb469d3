"""A bus's tank and the gauge in it: what is there, and what the gauge says of it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from msgspec import Struct


class Flow(Struct, frozen=True):
    """Litres that come in (or, negative, go out) at one rate."""

    begin_s: float
    end_s: float
    litres: float

    def between(self, from_s: float, to_s: float) -> float:
        """Litres of it in a time."""
        share = (min(to_s, self.end_s) - max(from_s, self.begin_s)) / (self.end_s - self.begin_s)
        return self.litres * share if share > 0 else 0.0


class Gauge(Struct, frozen=True, kw_only=True):
    """How one gauge behaves."""

    unit: str  # litres, percent or both: now the one, now the other
    road_l: float  # it swings so far on the road …
    rest_l: float  # … and at rest
    manner: str  # scattered, waves or slopes
    step_l: float  # of its scale


@dataclass
class Tank:
    """Level by time; asked in the order of time."""

    capacity_l: float
    level_l: float
    use_l_m: float
    gauge: Gauge
    chance: random.Random
    flows: list[Flow] = field(default_factory=list)
    dropouts: list[tuple[float, float]] = field(default_factory=list)
    stuck: list[tuple[float, float]] = field(default_factory=list)
    used_l: float = 0.0
    at_s: float = 0.0
    odometer_m: float = 0.0
    _wave: float = 0.0
    _askew: float = 0.0
    _askew_left: int = 0
    _moved: bool = True
    _held_l: float | None = None

    def step(self, at_s: float, odometer_m: float, idle_s: float) -> None:
        """The level `at_s`, after so many metres and seconds with the engine on."""
        burned_l = min(self.level_l, (odometer_m - self.odometer_m) * self.use_l_m + idle_s * 2.2 / 3600)
        flown_l = sum(flow.between(self.at_s, at_s) for flow in self.flows)
        self.flows = [flow for flow in self.flows if flow.end_s > at_s]
        self.level_l = min(self.capacity_l, max(0.0, self.level_l - burned_l + flown_l))
        self.used_l += burned_l
        self.at_s, self.odometer_m = at_s, odometer_m

    def told_l(self, moves: bool) -> float:
        """What the gauge says now."""
        at_s, gauge = self.at_s, self.gauge
        if any(begin <= at_s < end for begin, end in self.dropouts):
            return 0.0
        if any(begin <= at_s < end for begin, end in self.stuck):
            if self._held_l is None:
                self._held_l = self._scaled(self.level_l)
            return self._held_l
        self._held_l = None
        swing_l = self._swing(gauge.road_l) if moves else self._rests(gauge.rest_l)
        self._moved = moves
        return self._scaled(self.level_l + swing_l)

    def _scaled(self, litres: float) -> float:
        step = self.gauge.step_l
        return min(self.capacity_l, max(step, round(round(litres / step) * step, 2)))

    def _swing(self, most_l: float) -> float:
        if self.gauge.manner == "waves":
            self._wave = max(-most_l, min(most_l, 0.8 * self._wave + self.chance.gauss(0, 0.24 * most_l)))
            return self._wave
        if self.gauge.manner == "slopes":
            if self._askew_left <= 0:
                self._askew, self._askew_left = self.chance.uniform(-most_l, most_l), self.chance.randint(1, 12)
            self._askew_left -= 1
            return self._askew
        return self.chance.uniform(-most_l, most_l)

    def _rests(self, most_l: float) -> float:
        """At rest it stands askew, and trembles."""
        if self._moved:
            self._askew = self.chance.uniform(-most_l, most_l)
            self._askew_left = 0
        if self.gauge.manner == "scattered":
            return self.chance.uniform(-most_l, most_l)
        return self._askew + self.chance.uniform(-0.25, 0.25) * most_l
