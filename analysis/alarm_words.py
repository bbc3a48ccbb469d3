"""An alarm in words: what leaves the house as CAP, Atom or e-mail says the same as the screen."""

from __future__ import annotations

from collections.abc import Mapping

from city.alarms import Alarm
from city.areas import Areas
from city.i18n import Translator

# Sources that the catalogue names; a vehicle, camera or sensor is called by its id.
_NAMED_SOURCES = frozenset({"feed", "store"})


def rule_words(alarm: Alarm, t: Translator) -> str:
    """The name of the alarm's rule."""
    return t(f"rule.{alarm.rule}")


def source_words(alarm: Alarm, t: Translator) -> str:
    """What the alarm is about: the source, with its route where it has one."""
    if alarm.source_kind in _NAMED_SOURCES:
        key = f"{alarm.source_kind}.{alarm.source_id}"
        return t(key) if t(key) != key else alarm.source_id
    return alarm.source_id if alarm.route is None else f"{alarm.source_id} · {t('route', route=alarm.route)}"


def explanation(alarm: Alarm, values: Mapping[str, float | str], t: Translator) -> str:
    """One line with the numbers that fired the alarm."""
    words = {name: _value_words(name, value, t) for name, value in values.items()}
    if "kind" in words and isinstance(count := values.get("count"), int | float):
        words["kind"] += f" ({t('camera.people', n=t.number(count))})"
    return t(f"alarm.{alarm.rule}", **words)


def place_words(alarm: Alarm, areas: Areas, language: str) -> str:
    """District and mahalla by name; empty where neither is known."""
    codes = [code for code in (alarm.district, alarm.mahalla) if code]
    return " · ".join(areas.by_code[code].name(language) if code in areas.by_code else code for code in codes)


def _value_words(name: str, value: float | str, t: Translator) -> str:
    if isinstance(value, str):
        key = f"{name}.{value}"
        return t(key) if t(key) != key else value
    # As on the screen: whole where it is whole or large, else one digit.
    return t.number(value, 0 if float(value).is_integer() or abs(value) >= 100 else 1)
