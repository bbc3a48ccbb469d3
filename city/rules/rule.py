"""What every alarm rule says beside its own numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator

from city.checked import Section
from city.i18n import Language

Priority = Literal["critical", "high", "medium", "low", "journal"]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_CLOCK = r"^([01]\d|2[0-3]):[0-5]\d$"


class Hours(Section):
    """Hours of some weekdays, in the city's time; an end before the start lies on the next day."""

    days: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    start: Annotated[str, Field(pattern=_CLOCK)] = "00:00"
    end: Annotated[str, Field(pattern=_CLOCK)] = "00:00"


class Rule(Section):
    """An alarm rule: who must do what about it, and where and when it counts."""

    priority: Priority = "medium"
    enabled: bool = True
    agency: str = ""  # who owns it, as in the incidents' list of agencies
    response: Mapping[Language, str] = Field(default={})  # what the operator does, by language
    areas: tuple[str, ...] = ()  # codes of districts and mahallas; none: everywhere
    routes: tuple[str, ...] = ()  # none: all
    hours: tuple[Hours, ...] = ()  # none: always
    suppressed_by: tuple[str, ...] = ()  # rules whose standing alarm explains this one's: it is not announced then
    latching: bool = False  # a return to normal stays until an operator resets it
    acknowledge: bool = True  # whether a return that nobody acknowledged stays in the list
    realarm_after_s: Positive | None = None  # an acknowledged one that still stands is announced again

    @field_validator("areas", "routes", mode="before")
    @classmethod
    def _texts(cls, given: object) -> object:
        return tuple(str(one) for one in given) if isinstance(given, list | tuple) else given
