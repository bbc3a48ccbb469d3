"""What an alarm says in words."""

from __future__ import annotations

import pytest

from analysis.alarm_words import explanation
from city.alarms import Alarm, AlarmPriority
from city.i18n import Language, translator
from layouts.panel import alarm_words


def _of_sensor(**values: float | str) -> Alarm:
    return Alarm(
        id="sensor_threshold:meter-1|voltage",
        rule="sensor_threshold",
        priority=AlarmPriority.CRITICAL,
        source_kind="sensor",
        source_id="meter-1",
        raised_ms=0,
        updated_ms=0,
        values={"network": "electricity", **values},
    )


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", "Voltage 182 V, lower limit 198 V"),
        ("ru", "Напряжение 182 В, нижний предел 198 В"),
        ("uz", "Kuchlanish 182 V, quyi chegara 198 V"),
    ],
)
def test_a_sensor_beyond_its_limit_says_quantity_value_and_limit_in_every_language(
    language: Language, words: str
) -> None:
    alarm = _of_sensor(quantity="voltage", value=182.0, unit="V", level="low", limit=198.0, limit_unit="V")
    assert alarm_words(alarm, translator(language)) == words


def test_what_the_catalogue_does_not_know_is_shown_as_the_sensor_said_it() -> None:
    alarm = _of_sensor(quantity="turbidity", value=7.25, unit="NTU", level="high", limit=5.0, limit_unit="NTU")
    assert alarm_words(alarm, translator("en")) == "turbidity 7.2 NTU, upper limit 5 NTU"


def test_the_screen_says_what_leaves_the_house() -> None:
    alarm = _of_sensor(quantity="voltage", value=0.0, unit="V", level="low_low", limit=176.0, limit_unit="V")
    for language in ("en", "ru", "uz"):
        t = translator(language)
        assert alarm_words(alarm, t) == explanation(alarm, alarm.values, t)
