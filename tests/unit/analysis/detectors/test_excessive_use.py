"""Use against a vehicle's own baseline, as drives of a hundred kilometres."""

from __future__ import annotations

import random
from typing import Any

import pytest
from timelines import Timeline, fuel, position

from analysis.detectors.excessive_use import DETECTOR
from analysis.detectors.finding import Change
from city.rules.transport import ExcessiveUse

RULE = ExcessiveUse(min_km=100, factor_max=1.4, factor_clear=1.2, baseline_windows=5)


class Drive:
    """A bus that drives on, a reading a kilometre."""

    def __init__(self, *, slosh_l: float = 0.0, counter: bool = False) -> None:
        self.timeline = Timeline(DETECTOR, RULE)
        self.level_l, self.used_l, self.odometer_m, self.at_s = 200.0, 0.0, 0.0, 1000.0
        self.slosh_l, self.counter, self.chance = slosh_l, counter, random.Random(1)

    def km(self, km: int, l_100km: float, *, refuels: bool = True) -> None:
        for _ in range(km):
            self.at_s += 120
            self.odometer_m += 1000
            self.level_l -= l_100km / 100
            self.used_l += l_100km / 100
            if refuels and self.level_l < 40:
                self.level_l += 150
            self.timeline.see(position(self.at_s, odometer_m=self.odometer_m))
            told_l = self.level_l + self.chance.uniform(-self.slosh_l, self.slosh_l)
            more: dict[str, Any] = {"used_l": self.used_l} if self.counter else {}
            self.timeline.see(fuel(self.at_s, round(told_l, 1), **more))

    @property
    def changes(self) -> list[Change]:
        return [one.change for one in self.timeline.found]


@pytest.mark.parametrize("counter", [False, True])
def test_rises_over_the_own_baseline_and_clears(counter: bool) -> None:
    drive = Drive(counter=counter)
    drive.km(1200, 40)
    assert drive.changes == []
    drive.km(250, 60)
    assert drive.changes[0] is Change.RAISE
    values = drive.timeline.found[0].values
    assert values["usual_l_100km"] == pytest.approx(40, abs=1)
    assert 56 < float(values["use_l_100km"]) <= 60.5
    drive.km(400, 40)
    assert drive.changes[-1] is Change.CLEAR
    assert drive.changes.count(Change.RAISE) == 1


def test_slosh_of_nine_litres_and_refuels_are_no_use() -> None:
    drive = Drive(slosh_l=9.0)
    drive.km(6000, 40)
    assert drive.changes == []


def test_nothing_is_said_before_there_is_a_baseline() -> None:
    drive = Drive()
    drive.km(250, 30)
    drive.km(200, 60)
    assert drive.changes == []


def test_a_changed_odometer_or_none_says_nothing() -> None:
    drive = Drive()
    drive.km(1000, 40)
    drive.odometer_m = 5.0
    drive.km(90, 40)
    drive.odometer_m += 500_000
    drive.km(90, 40)
    assert drive.changes == []
    unheard = Timeline(DETECTOR, RULE)
    unheard.see(fuel(1000, 100.0))
    assert unheard.states == {}


def test_a_reading_at_the_same_place_changes_nothing() -> None:
    drive = Drive()
    drive.km(20, 40)
    state = drive.timeline.states["bus"]
    drive.timeline.see(fuel(drive.at_s + 10, 150.0))
    assert drive.timeline.states["bus"] is state
