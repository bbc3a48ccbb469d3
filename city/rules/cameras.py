"""Alarm rules of cameras."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from city.rules.rule import Positive, Priority, Rule


class CameraOffline(Rule):
    priority: Priority = "low"
    on_delay_s: Annotated[float, Field(ge=0)] = 30


class CameraAlert(Rule):
    priority: Priority = "critical"
    kinds: tuple[str, ...] = ("fire", "smoke", "accident")
    crowd_min: Annotated[int, Field(ge=1)] = 50
    clear_after_s: Positive = 900
