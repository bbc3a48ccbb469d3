"""Alarm rules of sensors and of the utility networks that they watch."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

from pydantic import Field, model_validator

from city.checked import Section
from city.rules.rule import NotNegative, Positive, Priority, Rule


class Watched(Section):
    """Which readings a limit is for; the first limit that fits a reading is taken."""

    quantity: str
    unit: str  # readings in any other are not compared
    network: str | None = None  # null: of any
    sensors: tuple[str, ...] = ()  # ids; none: all

    def fits(self, sensor_id: str, network: str | None, quantity: str) -> bool:
        """Whether it is for this quantity of this sensor, whatever the unit."""
        return (
            self.quantity == quantity
            and self.network in (None, network)
            and (not self.sensors or sensor_id in self.sensors)
        )


class SensorLimit(Watched):
    """Limits of one quantity in its unit, with their deadband and delays."""

    high_high: float | None = None
    high: float | None = None
    low: float | None = None
    low_low: float | None = None
    deadband: NotNegative = 0  # a value must come back by so much
    on_delay_s: NotNegative = 90  # longer than a minute: of a reading a minute two must see it
    off_delay_s: NotNegative = 60

    @model_validator(mode="after")
    def _order(self) -> SensorLimit:
        given = [one for one in (self.low_low, self.low, self.high, self.high_high) if one is not None]
        if not given:
            raise ValueError("at least one of high_high, high, low and low_low is needed")
        if any(below >= above for below, above in pairwise(given)):
            raise ValueError("low_low, low, high, high_high must rise")
        lowest_high, highest_low = self.lowest_high, self.highest_low
        if lowest_high is not None and highest_low is not None and 2 * self.deadband >= lowest_high - highest_low:
            raise ValueError("deadband must leave room between low and high")
        return self

    @property
    def lowest_high(self) -> float | None:
        """The first limit on the way up."""
        return self.high_high if self.high is None else self.high

    @property
    def highest_low(self) -> float | None:
        """The first limit on the way down."""
        return self.low_low if self.low is None else self.low


# 230 V ± 10 % is what GOST 29322-2014 (IEC 60038) and EN 50160 allow, so 253 V is the high limit. Where the supply is
# of the older 220 V (GOST 13109-97), its - 10 % is still in order: 198 V, not 207. Beyond ± 20 % of 220 V what is
# plugged in takes harm. The short delays are for a whole feeder that trips: the operator knows within seconds.
SUPPLY_VOLTAGE = SensorLimit(
    network="electricity",
    quantity="voltage",
    unit="V",
    high_high=264,
    high=253,
    low=198,
    low_low=176,
    deadband=2,
    on_delay_s=10,
    off_delay_s=30,
)


class SensorThreshold(Rule):
    priority: Priority = "medium"
    priority_extreme: Priority = "critical"  # beyond high_high or low_low
    limits: tuple[SensorLimit, ...] = (SUPPLY_VOLTAGE,)


class RateLimit(Watched):
    """How much a quantity may change within a time."""

    rise_max: Positive | None = None
    fall_max: Positive | None = None
    within_s: Positive

    @model_validator(mode="after")
    def _some(self) -> RateLimit:
        if self.rise_max is None and self.fall_max is None:
            raise ValueError("rise_max or fall_max is needed")
        return self


class SensorRate(Rule):
    priority: Priority = "medium"
    clear_share: Annotated[float, Field(gt=0, lt=1)] = 0.8
    limits: tuple[RateLimit, ...] = ()


class SensorFlat(Rule):
    priority: Priority = "low"
    flat_min_s: Positive = 21600
    times_usual: Annotated[float, Field(ge=1)] = 3
    changes_min: Annotated[int, Field(ge=1)] = 10
    learn_s: NotNegative = 86400
    epsilon: NotNegative = 0


class SensorMissing(Rule):
    priority: Priority = "low"
    suppressed_by: tuple[str, ...] = ("feed_silent",)
    times_usual: Annotated[float, Field(ge=2)] = 10
    missing_min_s: Positive = 1800
    missing_max_s: Positive = 172800
    intervals_min: Annotated[int, Field(ge=1)] = 5

    @model_validator(mode="after")
    def _range(self) -> SensorMissing:
        if self.missing_max_s < self.missing_min_s:
            raise ValueError("missing_max_s must not be below missing_min_s")
        return self


class _NetworkRule(Rule):
    suppressed_by: tuple[str, ...] = ("feed_silent",)
    sensors_min: Annotated[int, Field(ge=2)] = 3
    sensors_clear: Annotated[int, Field(ge=0)] = 1
    share_min: Annotated[float, Field(ge=0, le=1)] = 0.2
    window_s: Positive = 3600
    forget_after_s: Positive = 172800

    @model_validator(mode="after")
    def _hysteresis(self) -> _NetworkRule:
        if self.sensors_clear >= self.sensors_min:
            raise ValueError("sensors_clear must be below sensors_min")
        return self


class NetworkFailure(_NetworkRule):
    """Of a network in a district."""

    priority: Priority = "critical"
    sensors_min: Annotated[int, Field(ge=2)] = 5


class NetworkFailureLocal(_NetworkRule):
    """Of a network in a mahalla."""

    priority: Priority = "high"
    share_min: Annotated[float, Field(ge=0, le=1)] = 0.5
