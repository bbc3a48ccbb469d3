"""Alarm rules of vehicles and routes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from city.rules.rule import Positive, Priority, Rule


class FuelDrop(Rule):
    priority: Priority = "high"
    drop_min_l: Positive = 8
    window_s: Positive = 900
    standing_speed_mps: Positive = 0.5
    confirm_readings: Annotated[int, Field(ge=1, le=100)] = 3
    clear_after_s: Positive = 3600


class Overload(Rule):
    priority: Priority = "medium"
    load_max: Positive = 1.2
    load_clear: Positive = 1.0
    on_delay_s: Annotated[float, Field(ge=0)] = 120
    forget_after_s: Positive = 1800

    @model_validator(mode="after")
    def _hysteresis(self) -> Overload:
        if self.load_clear > self.load_max:
            raise ValueError("load_clear must not be above load_max")
        return self
