"""A camera that tells nothing new as timelines."""

from __future__ import annotations

import random
from typing import Any

from timelines import DAY_S, HOUR_S, Timeline, changes, play
from timelines import camera_event as event
from timelines import camera_status as status

from analysis.detectors.camera_frozen import DETECTOR
from city.rules.cameras import CameraFrozen

RULE = CameraFrozen(missed_min=60, silent_min_s=1800, repeats_min=5)


def days(count: int, every_s: int, *, busy: range = range(24), start_s: int = 0) -> list[Any]:
    """Events every so often in the busy hours of the day, one an hour else."""
    found = []
    for hour in range(count * 24):
        step_s = every_s if hour % 24 in busy else HOUR_S
        found += [event(start_s + hour * HOUR_S + at) for at in range(1, HOUR_S, step_s)]
    return found


def ticks(start_s: int, end_s: int, every_s: int = 60) -> list[Any]:
    return list(range(start_s, end_s, every_s))


def test_a_camera_that_misses_its_usual_events_is_frozen_until_it_tells_one() -> None:
    last_s = 2 * DAY_S - HOUR_S + 3571  # 120 an hour: 60 are missing after half an hour
    found = play(DETECTOR, RULE, [*days(2, 30), *ticks(2 * DAY_S, 2 * DAY_S + 7200), event(2 * DAY_S + 7300)])
    assert [one.change for one in found] == ["raise", "clear"]
    assert abs(found[0].at_ms / 1000 - (last_s + 1800)) < 60
    assert found[0].values == {"silent_s": found[0].values["silent_s"], "missed": 60, "repeats": 0}
    assert changes(found)[1] == ("clear", 2 * DAY_S + 7300)


def test_a_silence_that_is_usual_at_this_hour_is_none() -> None:
    """120 events an hour by day, one by night: five hours of silence at night are nothing."""
    quiet = [*days(3, 30, busy=range(6, 22)), *ticks(3 * DAY_S, 3 * DAY_S + 5 * HOUR_S)]
    assert play(DETECTOR, RULE, quiet) == []
    morning = [*quiet, *ticks(3 * DAY_S + 5 * HOUR_S, 3 * DAY_S + 7 * HOUR_S)]
    assert [one.change for one in play(DETECTOR, RULE, morning)] == ["raise"]


def test_nothing_is_said_of_a_camera_on_its_first_day() -> None:
    assert play(DETECTOR, RULE, [*days(1, 30)[: 120 * 3], *ticks(3 * HOUR_S, DAY_S, 600)]) == []


def test_an_hour_of_a_storm_is_not_taken_for_usual() -> None:
    """Six hundred events in one night hour of a quiet camera: the next night's quiet is that of no frozen one."""
    storm = [event(DAY_S + 4 * HOUR_S + 5 * at) for at in range(600)]
    calm = days(3, 900)
    moments = sorted([*calm, *storm], key=lambda one: one.measured_ms)
    assert play(DETECTOR, RULE, [*moments[:-1], *ticks(3 * DAY_S + 4 * HOUR_S, 3 * DAY_S + 5 * HOUR_S)]) == []
    quiet = [*(one for one in moments if one.measured_ms < (2 * DAY_S + 4 * HOUR_S) * 1000)]
    assert play(DETECTOR, RULE, [*quiet, *ticks(2 * DAY_S + 4 * HOUR_S, 2 * DAY_S + 5 * HOUR_S)]) == []


def test_who_listens_only_now_heard_no_silence() -> None:
    start_s = 3 * DAY_S
    found = play(DETECTOR, RULE, [*days(2, 30), *ticks(start_s, start_s + 7200)], watching_s=start_s)
    assert [one.at_ms >= (start_s + 1800) * 1000 for one in found] == [True]


def test_an_offline_camera_is_not_frozen_and_counts_anew_when_it_is_back() -> None:
    start_s = 2 * DAY_S
    out = [*days(2, 30), status(start_s, False), *ticks(start_s, start_s + 7200)]
    assert play(DETECTOR, RULE, out) == []
    back_s = start_s + 7200
    found = play(DETECTOR, RULE, [*out, status(back_s, True), *ticks(back_s, back_s + 7200)])
    assert changes(found)[0][0] == "raise"
    assert back_s + 1800 <= changes(found)[0][1] < back_s + 1900


def test_going_offline_ends_the_alarm() -> None:
    start_s = 2 * DAY_S
    found = play(DETECTOR, RULE, [*days(2, 30), start_s + 3600, status(start_s + 4000, False), start_s + 9000])
    assert changes(found)[1:] == [("clear", start_s + 4000)]


def test_what_is_said_in_the_same_words_again_and_again_is_a_frozen_picture() -> None:
    same = [event(at, score=0.87, zone="crossing") for at in range(10, 60, 10)]
    found = play(
        DETECTOR, RULE, [*same, event(70, score=0.87, zone="crossing"), event(80, score=0.86, zone="crossing")]
    )
    assert changes(found) == [("raise", 50), ("clear", 80)]
    assert found[0].values["repeats"] == 5


def test_further_words_about_one_object_and_events_without_a_score_are_no_repetition() -> None:
    one = [event(at, score=0.87, event_id="a", phase="new" if at == 10 else "update") for at in range(10, 200, 10)]
    assert play(DETECTOR, RULE, [*one, *(event(at, event_id="b", score=0.8) for at in range(200, 300, 10))]) == []
    assert play(DETECTOR, RULE, [event(at) for at in range(10, 400, 10)]) == []


def test_a_device_whose_clock_is_behind_is_not_silent() -> None:
    """Its events come in time, whatever they are dated."""
    events = [event(at, received_s=at + 3000) for at in range(1, 2 * DAY_S, 30)]
    seen = [moment for one in events for moment in (one, one.received_ms / 1000 + 1)]
    assert play(DETECTOR, RULE, seen) == []


def test_chance_alone_does_not_raise_it() -> None:
    """Events as chance brings them, with a Sunday a third as busy, a week long: default settings say nothing."""
    rng = random.Random(7)
    line, at_s, tick_s = Timeline(DETECTOR, CameraFrozen()), 0.0, 0
    while at_s < 8 * DAY_S:
        slow = 3 if at_s // DAY_S == 6 else 1
        at_s += rng.expovariate(1 / (45 * slow))
        while tick_s < at_s:
            line.tick(tick_s)
            tick_s += 60
        line.see(event(at_s, score=round(rng.uniform(0.6, 0.99), 2)))
    assert line.found == []


def test_an_event_from_before_changes_no_alarm() -> None:
    start_s = 2 * DAY_S
    late = event(start_s - 5000, received_s=start_s - 5000, event_id="late")
    found = play(DETECTOR, RULE, [*days(2, 30), start_s + 3600, late, start_s + 3700])
    assert [one.change for one in found] == ["raise"]
