"""Alarm rules of Markaz itself: its feeds, its store, its machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, model_validator

from city.rules.rule import NotNegative, Positive, Priority, Rule

Share = Annotated[float, Field(gt=0, le=1)]


class FeedSilent(Rule):
    priority: Priority = "high"
    silent_after_s: Mapping[str, Positive] = Field(
        default={
            "vehicle/position": 15,
            "vehicle/passengers": 180,
            "vehicle/fuel": 180,
            "camera/event": 120,
            "camera/status": 600,
            "sensor/reading": 1200,
            "hfp": 60,
        }
    )


class _Filling(Rule):
    """Raised at `share_max` or above, cleared at `share_clear` or below."""

    share_max: Share
    share_clear: Share

    @model_validator(mode="after")
    def _hysteresis(self) -> _Filling:
        if self.share_clear > self.share_max:
            raise ValueError("share_clear must not be above share_max")
        return self


class RejectsFull(_Filling):
    priority: Priority = "medium"
    share_max: Share = 0.8
    share_clear: Share = 0.7


class RejectsRising(_Filling):
    priority: Priority = "medium"
    share_max: Share = 0.2
    share_clear: Share = 0.1
    window_s: Annotated[float, Field(ge=10)] = 300
    messages_min: Annotated[int, Field(ge=1)] = 50
    ordinary: tuple[str, ...] = ("duplicate", "not_wanted", "no_position")


class ClockSkew(Rule):
    priority: Priority = "low"
    ahead_max_s: Positive = 10
    behind_max_s: Positive = 900
    clear_share: Annotated[float, Field(gt=0, le=1)] = 0.8
    on_delay_s: NotNegative = 300
    off_delay_s: NotNegative = 300


class BrokerLost(Rule):
    priority: Priority = "high"
    on_delay_s: NotNegative = 15
    off_delay_s: NotNegative = 10


class WorkerSilent(Rule):
    priority: Priority = "high"
    silent_after_s: Positive = 30
    forget_after_s: Positive = 86400


class StoreLost(Rule):
    priority: Priority = "critical"
    on_delay_s: NotNegative = 10


class ArchiveBehind(_Filling):
    priority: Priority = "high"
    share_max: Share = 0.25
    share_clear: Share = 0.1
    on_delay_s: NotNegative = 60


class ArchiveGap(Rule):
    priority: Priority = "high"
    clear_after_s: Positive = 3600


class DiskFull(Rule):
    priority: Priority = "high"
    free_min: Share = 0.1
    free_clear: Share = 0.15

    @model_validator(mode="after")
    def _hysteresis(self) -> DiskFull:
        if self.free_clear < self.free_min:
            raise ValueError("free_clear must not be below free_min")
        return self
