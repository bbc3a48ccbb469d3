"""What a hand-over takes from the live state, and how the API tells what is in it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from analysis.alarm_remedies import Proposal
from city.alarms import Alarm, AlarmPriority
from city.i18n import translator
from city.incidents import Incident
from city.shifts import LogLine, Shift
from dashboard.answers import as_json
from dashboard.api_alarm_load import proposal_words
from dashboard.feed_lines import FeedLine
from dashboard.screen import Screen
from dashboard.shift_desk import seen

ALARM = Alarm(id="r:a", rule="r", priority=AlarmPriority.LOW, source_kind="feed", source_id="a")
INCIDENT = Incident(id="20261122-001", opened_ms=1, updated_ms=1, last_ms=1)


def line(feed: str, age_s: float | None, completeness: float | None = None) -> FeedLine:
    return FeedLine(
        feed=feed, received=1, stored=1, late=0, rejected={}, rate_per_s=1.0, age_s=age_s,
        expected_rate_per_s=None, completeness=completeness, clock=None,
    )  # fmt: skip


def screen(*lines: FeedLine, late_after_s: float | None = 5.0) -> Screen:
    found: Any = SimpleNamespace(
        feed_lines=lambda: list(lines),
        late_after_s=lambda feed: late_after_s,
        state=SimpleNamespace(alarms={"r:a": ALARM}, incidents={INCIDENT.id: INCIDENT}),
    )
    return cast(Screen, found)


@pytest.mark.parametrize(
    ("age_s", "completeness", "late_after_s", "state"),
    [
        (3.0, 1.0, 5.0, None),
        (59.0, None, 5.0, None),  # late on the page of feeds, and no news for a shift
        (61.0, None, 5.0, "silent"),
        (61.0, None, 900.0, None),
        (9000.0, None, None, None),  # it may be silent for ever
        (None, None, None, "silent"),  # expected and never heard
        (3.0, 0.79, 5.0, "incomplete"),
        (3.0, 0.8, 5.0, None),
    ],
)
def test_feeds_are_told_that_are_silent_or_incomplete(
    age_s: float | None, completeness: float | None, late_after_s: float | None, state: str | None
) -> None:
    live = seen(screen(line("hfp", age_s, completeness), late_after_s=late_after_s))
    assert [one.state for one in live.feeds] == ([] if state is None else [state])
    assert live.alarms == (ALARM,)
    assert live.incidents == (INCIDENT,)


def test_times_are_told_as_times_at_every_depth() -> None:
    told = as_json(LogLine(at_ms=1_777_870_800_000, by="a", text="b"))
    assert told == {"at": "2026-05-04T05:00:00.000Z", "by": "a", "text": "b"}
    assert as_json(Shift())["since_at"] is None


@pytest.mark.parametrize(
    ("value", "words"), [(3.0, "3 alarms a day"), (6.98, "7 alarms a day"), (3.25, "3.2 alarms a day")]
)
def test_a_proposal_is_put_into_words_with_its_numbers(value: float, words: str) -> None:
    assert proposal_words(Proposal("load.review", {"per_day": value}), translator("en")).endswith(words)
