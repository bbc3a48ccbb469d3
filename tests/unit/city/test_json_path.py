"""Paths into JSON: what they find, what is nothing, and what is a step into the wrong thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from city.json_path import ABSENT, WrongStep, find, parse

DOCUMENT = {"a": {"b": [{"c": 3}, None], "d.e": {"[x]": 4}}, "n": None, "two words": 5, "ü-1": 6}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("a.b[0].c", 3),
        ("a.b[-2].c", 3),
        ('a["d.e"]["[x]"]', 4),
        ('["a"].b[1]', None),
        ("two words", 5),
        ("ü-1", 6),
        ("n", None),
        ("n.below[3].null", ABSENT),
        ("a.b[1].c", ABSENT),
        ("a.b[2]", ABSENT),
        ("a.b[-3]", ABSENT),
        ("missing.further", ABSENT),
        ("$.n", None),
    ],
)
def test_a_path_finds_what_stands_there(path: str, found: object) -> None:
    assert find(parse(path), DOCUMENT, DOCUMENT) == found


def test_a_path_begins_at_the_reading_and_with_a_dollar_at_the_message() -> None:
    message = {"at": 1, "items": [{"at": 2}]}
    assert find(parse("at"), message["items"][0], message) == 2  # type: ignore[index]
    assert find(parse("$.at"), message["items"][0], message) == 1  # type: ignore[index]
    assert find(parse("$"), 7, message) is message
    assert find(parse("$[0]"), 7, ["first"]) == "first"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("a.b.c", "c is looked for in an array, not in an object"),
        ("a[0]", "[0] is looked for in an object, not in an array"),
        ("a.b[0].c.d", "d is looked for in a number, not in an object"),
    ],
)
def test_a_step_into_the_wrong_thing_says_what_is_there(path: str, words: str) -> None:
    with pytest.raises(WrongStep, match=r"^" + words.replace("[", r"\[") + r"$"):
        find(parse(path), DOCUMENT, DOCUMENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        ".a",
        "a.",
        "a..b",
        "a[",
        "a[]",
        "a[x]",
        "a]",
        "[0",
        '["a]',
        "a.[0]",
        '$.["a"]',
        "$a",
        "a$",
        "[1.5]",
        '"a"',
    ],
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path"):
        parse(text)


@given(steps=st.lists(st.one_of(st.integers(0, 99), st.text(st.characters(exclude_characters='"'))), min_size=1))
def test_every_name_and_number_can_be_spelled(steps: list[str | int]) -> None:
    text = "".join(f"[{step}]" if isinstance(step, int) else f'["{step}"]' for step in steps)
    assert parse(text).steps == tuple(steps)
