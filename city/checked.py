"""What every part of the settings is made of, and texts in them that must mean something elsewhere."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the settings: frozen, and nothing in it that is not known."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def listed(given: Any) -> Any:
    """One text stands for a list of one, null for an empty list; anything else as it is."""
    if given is None:
        return ()
    return (given,) if isinstance(given, str) else given


def check_braces(text: str) -> str:
    """A text in which `{city}` may stand; ValueError for any other braces."""
    try:
        text.format(city="x")
    except (KeyError, IndexError, ValueError):
        raise ValueError("only {city} may stand in braces") from None
    return text


def check_topic_filter(topic_filter: str) -> str:
    """An MQTT topic filter as it is; ValueError if brokers would refuse it (MQTT 5, 4.7)."""
    levels = topic_filter.split("/")
    wrong = any("#" in level and (level != "#" or at + 1 < len(levels)) for at, level in enumerate(levels))
    if not topic_filter or wrong or any("+" in level and level != "+" for level in levels):
        raise ValueError(f"{topic_filter!r} is not an MQTT topic filter: + fills a whole level, # is the last one")
    return topic_filter


def check_timezone(timezone: str) -> str:
    """An IANA time zone's name as it is; ValueError if there is none of it."""
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("expected a name of the IANA time zones, such as Asia/Tashkent") from None
    return timezone
