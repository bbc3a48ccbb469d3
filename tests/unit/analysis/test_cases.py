"""Cases: which of them stand, and how many are kept."""

from __future__ import annotations

import random
from typing import Any

import pytest

from analysis import cases
from analysis.cases import Cases
from analysis.picture import Picture
from city.events import Case, CaseList

NOW = 1_800_000_000_000
MINUTE_MS = 60_000


def case(case_id: str = "a", *, measured_ms: int = NOW, source: str = "feed", **more: Any) -> Case:
    fields: dict[str, Any] = {"category": "c", "status": "open", **more}
    return Case(source=source, case_id=case_id, measured_ms=measured_ms, received_ms=measured_ms, **fields)


def told(measured_ms: int, *unread: str, source: str = "feed") -> CaseList:
    return CaseList(source=source, measured_ms=measured_ms, received_ms=measured_ms, unread=unread)


def standing(*events: Case | CaseList, now_ms: int = NOW) -> list[str]:
    known = Cases()
    for event in events:
        known.apply(event)
    return [one.case_id for one in known.standing(now_ms)]


def test_open_cases_and_those_in_progress_stand() -> None:
    every = [case(status, status=status) for status in ("closed", "in_progress", "open", "rejected")]
    assert standing(*every) == ["in_progress", "open"]


def test_the_newest_word_on_a_case_wins_in_any_order() -> None:
    closed = case(status="closed", measured_ms=NOW + 1)
    assert standing(case(), closed) == standing(closed, case()) == []
    assert standing(closed, case(measured_ms=NOW + 2)) == ["a"]


def test_a_case_that_its_source_left_out_is_over() -> None:
    first = [case("a"), case("b"), told(NOW)]
    second = [case("b", measured_ms=NOW + MINUTE_MS), told(NOW + MINUTE_MS)]
    assert standing(*first) == ["a", "b"]
    assert standing(*first, *second) == ["b"]
    assert standing(*first, told(NOW + MINUTE_MS)) == []


def test_it_stands_again_when_it_is_told_again() -> None:
    assert standing(case(), told(NOW + MINUTE_MS), case(measured_ms=NOW + 2 * MINUTE_MS)) == ["a"]


def test_the_order_in_which_messages_and_their_parts_come_changes_nothing() -> None:
    """Several workers and partitions give no order."""
    events = [
        case("a"), case("b"), told(NOW),
        case("b", measured_ms=NOW + 1), case("c", measured_ms=NOW + 1), told(NOW + 1, "d"),
        case("d"), case("c", measured_ms=NOW + 2), told(NOW + 2, "d", "e"), case("x", source="other"),
    ]  # fmt: skip
    for seed in range(50):
        random.Random(seed).shuffle(events)
        assert standing(*events) == ["c", "d", "x"]


def test_a_case_whose_entry_could_not_be_read_stands_as_it_was() -> None:
    assert standing(case(), told(NOW + 1, "a")) == ["a"]
    assert standing(case(), told(NOW + 1, "a"), told(NOW + 2)) == []


def test_another_source_ends_nothing() -> None:
    assert standing(case(), told(NOW + 1, source="other")) == ["a"]


def test_a_case_is_over_at_its_end() -> None:
    ending = case(ends_ms=NOW + MINUTE_MS)
    assert standing(ending, now_ms=NOW + MINUTE_MS - 1) == ["a"]
    assert standing(ending, now_ms=NOW + MINUTE_MS) == []


def test_the_picture_takes_cases_and_lists() -> None:
    picture = Picture()
    assert picture.apply(case())
    assert picture.apply(told(NOW + 1))
    assert not picture.apply(told(NOW))
    assert not picture.apply(case(measured_ms=NOW - 1))
    assert picture.cases.standing(NOW) == []


def test_closed_cases_are_forgotten_before_open_ones_and_old_ones_before_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cases, "CASES_MAX", 20)
    known = Cases()
    for number in range(19):
        known.apply(case(f"open {number:02}", measured_ms=NOW + number))
    known.apply(case("closed", status="closed", measured_ms=NOW + 99))
    known.apply(case("one more", measured_ms=NOW + 100))
    assert len(known.by_key) == 19
    assert {"feed|closed", "feed|open 00"}.isdisjoint(known.by_key)
    assert {"feed|open 01", "feed|one more"} <= set(known.by_key)
