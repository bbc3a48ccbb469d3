"""The section `incidents` of config.yaml: which alarms belong together, and what is done about them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from city.checked import Section
from city.i18n import Language
from city.rules.rule import Positive

RuleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Common = Literal["network", "route", "district", "mahalla", "source", "rule"]


class JoinRule(Section):
    """Alarms belong together that rise one after another and have this in common."""

    together: tuple[Common, ...] = ()  # what they have in common; none: whatever `alarms` names
    near_m: Positive | None = None  # and how far from the first one at most
    within_s: Positive = 600  # between one and the next
    at_least: Annotated[int, Field(ge=1, le=1000)] = 3  # fewer are no incident
    alarms: tuple[str, ...] = ()  # rules of alarms that it is for; none: all
    cases: tuple[str, ...] = ()  # categories of citizens' and dispatchers' cases that join, `*`: all
    procedure: str | None = None

    @model_validator(mode="after")
    def _joins_something(self) -> JoinRule:
        if not self.together and self.near_m is None and not self.alarms:
            raise ValueError("a rule needs together, near_m or alarms: it would join the whole city")
        return self


class Incidents(Section):
    rules: Mapping[RuleName, JoinRule] = Field(default={})  # the first that fits counts
    procedures: Mapping[RuleName, tuple[Mapping[Language, str], ...]] = Field(default={})  # SOP: steps by language

    @model_validator(mode="after")
    def _known_procedures(self) -> Incidents:
        for name, rule in self.rules.items():
            if rule.procedure is not None and self.procedures and rule.procedure not in self.procedures:
                raise ValueError(f"rules.{name}.procedure: {rule.procedure!r} is not one of procedures")
        return self
