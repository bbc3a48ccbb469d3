"""The numbers of a systemic problem in sentences: each says which test it is of and what was to be expected."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from city.alarms import AlarmPriority
from city.i18n import translator
from city.systemic import Evidence, Measure, Pattern, PatternKind, Problem
from dashboard.systemic_words import measured, why

MEASURE = Measure(before=40, before_days=28, after=4, after_days=28, expected=20, ratio=0.2, p_drop=0.001)
EVIDENCE = Evidence(
    since_ms=0, until_ms=1, count=90, sources=30, priority=AlarmPriority.HIGH, weeks=8, weeks_hot=8,
    expected=9, occurrences=40, dispersion=1.6, z=4.2, q=0.0001,
)  # fmt: skip


def lines(evidence: Evidence, **more: object) -> str:
    given = {"kind": PatternKind.HOT_SPOT, "rule": "gap", "areas": ("a",)} | more
    problem = Problem(id="x", pattern=Pattern(**given), evidence=evidence, score=0.5, parts={})  # type: ignore[arg-type]
    return "\n".join(why(problem, "Asia/Tashkent", translator("en")))


def test_the_significance_of_a_hot_spot_is_said_to_be_of_the_binomial_test_and_not_of_gi() -> None:
    told = lines(EVIDENCE).splitlines()
    assert "Getis–Ord Gi* z = 4.2." in told
    assert any(line.startswith("Binomial test of its 40 occurrences") and "q < 0.001" in line for line in told)
    # What was accepted before occurrences were counted is told as it was found.
    assert "q < 0.001 among all" in lines(replace(EVIDENCE, occurrences=None, dispersion=None))


def test_the_significance_of_a_repeat_is_said_to_be_of_its_occurrences() -> None:
    told = lines(replace(EVIDENCE, z=None, dispersion=None), kind=PatternKind.REPEAT, alarm="gap:1")
    assert "Poisson test of its 40 occurrences" in told


def test_a_drop_is_told_against_what_was_to_be_expected() -> None:
    told = measured(MEASURE, True, translator("en"))
    assert "Before it was accepted 10 occurrences a week, since it is done (28 days) 1 a week." in told
    assert "80 % less than the 5 a week to be expected" in told


def test_a_source_that_is_silent_is_told() -> None:
    t = translator("en")
    assert "silent for 40 % of this time" in measured(replace(MEASURE, heard=0.6), True, t)
    nothing = replace(MEASURE, heard=0.0, expected=None, ratio=None, p_drop=1.0)
    assert measured(nothing, True, t).startswith("Nothing was heard")


@pytest.mark.parametrize("language", ["uz", "ru"])
def test_the_other_languages_have_the_same_numbers(language: str) -> None:
    told = measured(replace(MEASURE, heard=0.6), True, translator(language))  # type: ignore[arg-type]
    assert all(number in told for number in ("10", "28", "80", "40"))
    assert "{" not in told
