"""Every word of the interface is in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from analysis.kpis import KPI_UNITS
from city.alarms import AlarmPriority
from city.config import load_config
from city.i18n import LANGUAGES, LOCALES, translator
from city.messages import RejectReason
from city.rules import Alarms
from layouts.theme import INDICATORS

ROOT = Path(__file__).resolve().parents[3]
ENGLISH = translator("en").catalogue
# In Python t("key" …) and Row(label="key"); in JavaScript text("key" …).
USED = re.compile(r"""\b(?:t|text)\(\s*["']([\w./ -]+)["']\s*[,)]|label=["']([\w.]+)["']""")


def used_keys() -> set[str]:
    sources = [*(ROOT / "layouts").glob("*.py"), *(ROOT / "dashboard").glob("*.py"), *(ROOT / "assets").glob("*.js")]
    return {one or other for path in sources for one, other in USED.findall(path.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_catalogue_has_the_same_keys_and_no_empty_words(language: str) -> None:
    catalogue = next(translator(one) for one in LANGUAGES if one == language).catalogue
    assert catalogue.keys() == ENGLISH.keys()
    assert all(words.strip() for words in catalogue.values())


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_translation_has_the_same_numbers_in_it(language: str) -> None:
    catalogue = next(translator(one) for one in LANGUAGES if one == language).catalogue
    for key, words in catalogue.items():
        assert set(re.findall(r"\{\w+\}", words)) == set(re.findall(r"\{\w+\}", ENGLISH[key])), key


def test_every_key_that_the_code_names_is_in_the_catalogue() -> None:
    keys = {key for key in used_keys() if not key.endswith(".")}
    assert keys, "the pattern finds nothing any more"
    assert keys - ENGLISH.keys() == set()


def test_every_enumeration_that_is_shown_has_words() -> None:
    rules = list(Alarms.model_fields)
    feeds = load_config(ROOT / "config.yaml", {}).alarms.feed_silent.silent_after_s
    wanted = {
        *(f"kpi.{name}" for name in KPI_UNITS),
        *(f"unit.{unit}" for unit in KPI_UNITS.values()),
        *(f"reject.{reason}" for reason in RejectReason),
        *(f"priority.{priority}" for priority in AlarmPriority),
        *(f"{kind}.{rule}" for rule in rules for kind in ("rule", "alarm", "problem")),
        *(f"problem.{rule}_many" for rule in rules),
        *(f"problem.{name}" for name in ("route_overload", "mahalla_overload", "mahalla_slow", "cameras_offline")),
        *(f"indicator.{name}" for name in INDICATORS),
        *(f"feed.{feed}" for feed in (*feeds, "sensor/reading", "case", "unknown")),
    }
    assert wanted - ENGLISH.keys() == set()


def test_there_is_no_catalogue_that_no_language_uses() -> None:
    assert {path.stem for path in LOCALES.glob("*.po")} == set(LANGUAGES)
