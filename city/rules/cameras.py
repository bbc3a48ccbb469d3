"""Alarm rules of cameras."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from city.rules.rule import NotNegative, Positive, Priority, Rule


class CameraOffline(Rule):
    priority: Priority = "low"
    on_delay_s: NotNegative = 30


class CameraAlert(Rule):
    priority: Priority = "critical"
    kinds: tuple[str, ...] = ("fire", "smoke", "accident")
    crowd_min: Annotated[int, Field(ge=1)] = 50
    clear_after_s: Positive = 900


class CameraFrozen(Rule):
    priority: Priority = "low"
    # Who hears no camera at all must not say of each that it is frozen.
    suppressed_by: tuple[str, ...] = ("feed_silent",)
    missed_min: Positive = 60
    silent_min_s: Positive = 1800
    repeats_min: Annotated[int, Field(ge=3)] = 60


class CameraStorm(Rule):
    priority: Priority = "low"
    events_max: Annotated[int, Field(ge=2)] = 120
    events_clear: Annotated[int, Field(ge=0)] = 60
    window_s: Positive = 60

    @model_validator(mode="after")
    def _hysteresis(self) -> CameraStorm:
        if self.events_clear >= self.events_max:
            raise ValueError("events_clear must be below events_max")
        return self
