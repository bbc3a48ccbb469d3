"""Alarm rules of Markaz itself: its feeds, its store, its machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from city.rules.rule import Positive, Priority, Rule


class FeedSilent(Rule):
    priority: Priority = "high"
    silent_after_s: Mapping[str, Positive] = Field(
        default={
            "vehicle/position": 15,
            "vehicle/passengers": 180,
            "vehicle/fuel": 180,
            "camera/event": 120,
            "camera/status": 600,
            "hfp": 60,
        }
    )


class RejectsFull(Rule):
    priority: Priority = "medium"
    share_max: Annotated[float, Field(gt=0, le=1)] = 0.8
    share_clear: Annotated[float, Field(gt=0, le=1)] = 0.7

    @model_validator(mode="after")
    def _hysteresis(self) -> RejectsFull:
        if self.share_clear > self.share_max:
            raise ValueError("share_clear must not be above share_max")
        return self
