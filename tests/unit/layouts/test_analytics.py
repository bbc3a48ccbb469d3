"""The page of analytics: what it offers is what can be asked, and has words in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from dash.development.base_component import Component

from analysis.measures import DIMENSIONS, FEEDS, MEASURES
from analysis.questions import FILTERS, STEPS_S
from city.areas import load_areas
from city.config import load_config
from city.i18n import LANGUAGES, translator
from layouts.analytics import analytics, feeds

ROOT = Path(__file__).resolve().parents[3]
ENGLISH = translator("en").catalogue
VIEW = (ROOT / "assets" / "page_analytics_view.js").read_text(encoding="utf-8")


def test_every_feed_measure_and_dimension_has_words() -> None:
    wanted = {
        *(f"analytics.feed.{feed}" for feed in FEEDS),
        *(f"analytics.m.{name}" for measures in MEASURES.values() for name in measures),
        *(f"analytics.by.{name}" for some in DIMENSIONS.values() for name in some),
        *(f"analytics.unit.{one.unit}" for some in MEASURES.values() for one in some.values() if one.unit != "m/s"),
    } - {"analytics.unit."}
    assert wanted - ENGLISH.keys() == set()


def test_names_that_the_scripts_put_together_have_words() -> None:
    names = {
        "span": ("hour", "today", "yesterday", "week"),
        "compare": ("none", "previous", "day", "week", "own"),
        "than": ("day", "week", "previous", "other"),
        "says": ("nothing", "alone", "same", "higher", "lower", "range"),
        "show": ("charts", "districts", "table", "changes"),
        "late": ("with", "without", "only"),
        "classes": ("quantiles", "natural"),
        "changes": ("now", "before", "difference", "percent"),
        "error": (
            "question",
            "too_much",
            "timeout",
            "busy",
            "away",
            "history",
            "bug",
            "cancelled",
        ),
    }
    wanted = {f"analytics.{group}.{name}" for group, some in names.items() for name in some}
    assert wanted - ENGLISH.keys() == set()


def test_what_is_offered_can_be_asked() -> None:
    offered = feeds()
    assert list(offered) == list(FEEDS)
    for feed, one in offered.items():
        assert one["first"] == next(iter(MEASURES[feed]))
        assert [measure["name"] for measure in one["measures"]] == list(MEASURES[feed])
        assert one["by_first"] in one["by"]
        assert set(one["filters"]) == set(FILTERS.values()) & set(DIMENSIONS[feed])
        for column, parameter in one["columns"].items():
            assert DIMENSIONS[feed][parameter] == column


def test_the_script_takes_the_same_steps_and_filters_as_a_question() -> None:
    steps = re.search(r"STEPS_S = \[([\d, ]+)\]", VIEW)
    lists = re.search(r"LISTS = \[([^\]]+)\]", VIEW)
    assert steps is not None
    assert lists is not None
    assert tuple(int(step) for step in steps[1].split(",")) == STEPS_S
    assert re.findall(r'"(\w+)"', lists[1]) == list(FILTERS.values())


@pytest.mark.parametrize("city", ["tashkent", "helsinki"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_built_for_a_city_with_and_one_without_polygons(city: str, language: str) -> None:
    config = load_config(ROOT / "config.yaml", {"MARKAZ_CITY": city})
    areas = load_areas(config.city_dir)
    page = analytics(config, areas, translator(next(one for one in LANGUAGES if one == language)), ("2", "13T"))
    (part,) = [one for one in page._traverse() if isinstance(one, Component) and one._type == "Analytics"]
    assert part.districts == [area.code for area in areas.districts]
    assert part.kinds == [kind for kind in ("district", "mahalla") if getattr(areas, f"{kind}s")]
    assert set(part.parents.values()) <= set(part.districts)
