"""The section `nuisance` of config.yaml: when alarms are too many to help, and are held back by design."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from city.checked import Section
from city.rules.rule import Positive

AnnouncedPriority = Literal["critical", "high", "medium", "low"]


class Nuisance(Section):
    """Chattering as ISA-18.2 and EEMUA 191 count it, a flood as they do over ten minutes that end now."""

    chatter_rises: Annotated[int, Field(ge=2, le=20)] = 3
    chatter_window_s: Positive = 60
    chatter_quiet_s: Positive = 300
    chatter_suppresses: tuple[AnnouncedPriority, ...] = ("high", "medium", "low")  # none: nothing
    flood_rises: Annotated[int, Field(ge=1, le=1000)] = 10
    flood_clear: Annotated[int, Field(ge=1)] = 5
    flood_window_s: Positive = 600
    flood_suppresses: tuple[AnnouncedPriority, ...] = ("low",)  # none: nothing

    @model_validator(mode="after")
    def _hysteresis(self) -> Nuisance:
        if self.flood_clear > self.flood_rises:
            raise ValueError("flood_clear must not be above flood_rises")
        return self
