"""A question is written in one way, read back as it was, and refused with the parameter and the reason."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.measures import COLUMNS, DIMENSIONS, FEEDS, MEASURES
from analysis.questions import (
    BUCKETS_MAX,
    FILTERS,
    Late,
    Question,
    QuestionError,
    Shape,
    compared,
    query_of,
    question,
    question_of,
    step_for,
    step_s,
    step_text,
    time_ms,
    time_text,
)

DAY = "from=2026-05-04T00:00:00Z&to=2026-05-05T00:00:00Z"
HOUR_MS = 3_600_000


@st.composite
def questions(draw: st.DrawFn) -> Question:
    feed = draw(st.sampled_from(FEEDS))
    shape = draw(st.sampled_from(list(Shape)))
    from_ms = draw(st.integers(0, 2_000_000_000_000))
    fields: dict[str, Any] = {
        "feed": feed,
        "shape": shape,
        "from_ms": from_ms,
        "to_ms": from_ms + draw(st.integers(1, 30 * 24 * HOUR_MS)),
        "measure": draw(st.sampled_from(list(MEASURES[feed]))),
        "by": draw(st.none() | st.sampled_from(list(DIMENSIONS[feed]))),
        "every_s": draw(st.none() | st.integers(600, 10**7)),
        "late": draw(st.sampled_from(Late)),
        "compare_from_ms": draw(st.none() | st.integers(0, 2_000_000_000_000)),
        "limit": draw(st.integers(1, 100_000)),
        "hours": tuple(draw(st.lists(st.integers(0, 23), max_size=25))),
        "weekdays": tuple(draw(st.lists(st.integers(1, 7), max_size=8))),
        "value_min": draw(st.none() | st.floats(-1e9, 0)),
        "value_max": draw(st.none() | st.floats(0.5, 1e9)),
        "order": draw(st.none() | st.sampled_from(["measured_at", "-measured_at", *COLUMNS[feed], "-received_at"])),
    }
    for field, name in FILTERS.items():
        if name in DIMENSIONS[feed]:
            fields[field] = tuple(draw(st.lists(st.text(min_size=1, max_size=5), max_size=3)))
    if shape is Shape.TRACK:
        fields["vehicles"] = (draw(st.text(min_size=1, max_size=9)),)
    if shape is Shape.DISTRIBUTION and draw(st.booleans()):
        fields |= {
            "low": draw(st.floats(-1e9, 0)),
            "high": draw(st.floats(0.5, 1e9)),
            "bins": draw(st.integers(2, 500)),
        }
    return Question(**fields)


@given(questions())
def test_a_question_is_read_back_from_its_link(asked: Question) -> None:
    try:
        checked = question(asked)
    except QuestionError:
        return
    assert question_of(query_of(checked)) == checked
    assert query_of(question_of(query_of(checked))) == query_of(checked)
    assert question(checked) == checked


def test_equal_questions_have_one_link() -> None:
    one = question_of(f"{DAY}&route=67&route=40&feed=position&shape=series&late=with")
    other = question_of("route=40&route=67&route=40&to=2026-05-05T05%3A00%3A00%2B05%3A00&from=2026-05-04T00:00:00.000Z")
    assert one == other
    assert query_of(one) == ("from=2026-05-04T00%3A00%3A00Z&to=2026-05-05T00%3A00%3A00Z&every=15min&route=40&route=67")


def test_what_is_left_open_is_filled_in() -> None:
    assert question_of(DAY).every_s == 900
    assert question_of(f"{DAY}&shape=areas").by == "mahalla"
    assert question_of(f"{DAY}&shape=areas").every_s is None


def test_what_a_shape_has_no_use_for_is_left_out() -> None:
    assert query_of(question_of(f"{DAY}&shape=heat&by=route&every=1h&bins=9&limit=7")) == query_of(
        question_of(f"{DAY}&shape=heat")
    )


def test_all_hours_and_all_days_are_as_good_as_none() -> None:
    hours = "".join(f"&hour={hour}" for hour in range(24))
    days = "".join(f"&weekday={day}" for day in (3, 1, 2, 7, 6, 5, 4, 4))
    assert query_of(question_of(DAY + hours + days)) == query_of(question_of(DAY))
    assert question_of(f"{DAY}&hour=9&hour=7&hour=9&weekday=7").hours == (7, 9)


def test_rows_keep_the_measure_only_for_the_bounds_of_its_values() -> None:
    assert question_of(f"{DAY}&shape=rows&measure=speed_mean").measure == "count"
    assert question_of(f"{DAY}&shape=rows&measure=speed_mean&value_min=3").measure == "speed_mean"
    assert question_of(f"{DAY}&shape=rows&order=measured_at").order is None
    assert question_of(f"{DAY}&shape=series&order=-lat").order is None


def test_the_other_period_is_as_long() -> None:
    asked = question_of(f"{DAY}&compare_from=2026-04-27T00:00:00Z")
    other = compared(asked)
    assert other is not None
    assert (time_text(other.from_ms), time_text(other.to_ms)) == ("2026-04-27T00:00:00Z", "2026-04-28T00:00:00Z")
    assert compared(other) is None


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "from"),
        ("from=2026-05-04T00:00:00Z", "to"),
        ("from=x&to=2026-05-05T00:00:00Z", "from"),
        ("from=2026-05-04T00:00:00&to=2026-05-05T00:00:00Z", "from"),
        ("from=2026-05-05T00:00:00Z&to=2026-05-04T00:00:00Z", "to"),
        ("from=1969-05-05T00:00:00Z&to=2026-05-04T00:00:00Z", "from"),
        ("from=2020-05-05T00:00:00Z&to=2026-05-04T00:00:00Z", "to"),
        (f"{DAY}&colour=red", "colour"),
        (f"{DAY}&measure=count&measure=vehicles", "measure"),
        (f"{DAY}&feed=weather", "feed"),
        (f"{DAY}&measure=boarded", "measure"),
        (f"{DAY}&by=stop", "by"),
        (f"{DAY}&shape=top", "by"),
        (f"{DAY}&shape=areas&by=route", "by"),
        (f"{DAY}&shape=pie", "shape"),
        (f"{DAY}&late=maybe", "late"),
        (f"{DAY}&every=0s", "every"),
        (f"{DAY}&every=-1h", "every"),
        (f"{DAY}&every=1fortnight", "every"),
        (f"{DAY}&every=1s", "every"),
        (f"{DAY}&limit=0", "limit"),
        (f"{DAY}&limit=1e9", "limit"),
        (f"{DAY}&shape=track", "vehicle"),
        (f"{DAY}&shape=track&vehicle=a&vehicle=b", "vehicle"),
        (f"{DAY}&feed=fuel&route=40", "route"),
        (f"{DAY}&route=", "route"),
        (f"{DAY}&cursor=[1]", "cursor"),
        (f"{DAY}&shape=distribution&measure=count", "measure"),
        (f"{DAY}&shape=distribution&measure=speed_mean&bins=1", "bins"),
        (f"{DAY}&shape=distribution&measure=speed_mean&low=1", "high"),
        (f"{DAY}&shape=distribution&measure=speed_mean&low=2&high=2", "high"),
        (f"{DAY}&shape=distribution&measure=speed_mean&low=nan&high=2", "low"),
        (f"{DAY}&shape=distribution&measure=speed_mean&low=0&high=1e-320", "high"),
        (f"{DAY}&shape=distribution&measure=speed_mean&low=1&high=1.0000000000000002", "high"),
        (f"{DAY}&feed=fuel&shape=heat&measure=used", "measure"),
        (f"{DAY}&feed=fuel&measure=used&hour=8", "measure"),
        (f"{DAY}&hour=24", "hour"),
        (f"{DAY}&hour=-1", "hour"),
        (f"{DAY}&hour=8.5", "hour"),
        (f"{DAY}&weekday=0", "weekday"),
        (f"{DAY}&weekday=8", "weekday"),
        (f"{DAY}&value_min=3", "measure"),
        (f"{DAY}&measure=speed_mean&value_min=3&value_max=3", "value_max"),
        (f"{DAY}&measure=speed_mean&value_min=inf", "value_min"),
        (f"{DAY}&shape=rows&value_max=3", "measure"),
        (f"{DAY}&shape=rows&order=weight", "order"),
        (f"{DAY}&shape=rows&order=--lat", "order"),
        (f"{DAY}&shape=rows&order=measured_ms", "order"),
    ],
)
def test_a_question_that_cannot_be_asked_says_which_parameter(query: str, parameter: str) -> None:
    with pytest.raises(QuestionError) as refused:
        question_of(query)
    assert refused.value.parameter == parameter
    assert refused.value.why


@given(st.integers(1, 10**8))
def test_a_step_is_read_back(seconds: int) -> None:
    assert step_s("every", step_text(seconds)) == seconds


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_is_read_back(ms: int) -> None:
    assert time_ms("from", time_text(ms)) == ms


@given(st.integers(1, 3 * 366 * 24 * HOUR_MS))
def test_the_step_of_a_span_gives_points_enough_and_not_too_many(span_ms: int) -> None:
    assert span_ms / (step_for(span_ms) * 1000) <= min(BUCKETS_MAX, 200)
