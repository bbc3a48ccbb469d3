"""Bunching and gaps: buses pass stops of a straight street, in any order, seen at all of them or not."""

from __future__ import annotations

import random
from typing import Any

import pytest
from timelines import DAY_S, S, Timeline, changes, play, position, street

from analysis.detectors import bunching, gap
from analysis.detectors.finding import Change, Finding
from analysis.detectors.passages import KEPT
from city.routes import Line
from city.rules.transport import Bunching, Gap

ROUTES = street()
CLOSE = Bunching(confirm_stops=3, usual_min_s=180, clear_after_s=900)
FAR = Gap(confirm_stops=3, usual_min_s=180, longer_min_s=240, clear_after_s=900)
STOPS = range(11)
EVERY_S = 600
STOP_TO_STOP_S = 100


def bus(name: str, begins_s: float, stops: Any = STOPS, **more: Any) -> list[Any]:
    """A bus that is at stop n of the line after 100·n seconds."""
    return [
        position(begins_s + STOP_TO_STOP_S * stop, vehicle_id=name, east_m=1000.0 * stop + 10, **more) for stop in stops
    ]


def run(detector: Any, rule: Any, *buses: list[Any], ticks: tuple[float, ...] = ()) -> list[Finding]:
    seen = sorted((one for way in buses for one in way), key=lambda one: one.measured_ms)
    return play(detector, rule, [*seen, *ticks], routes=ROUTES)


def regular(number: int = 5) -> list[list[Any]]:
    return [bus(f"b{at}", at * EVERY_S) for at in range(number)]


def test_regular_buses_are_neither_bunched_nor_apart() -> None:
    assert run(bunching.DETECTOR, CLOSE, *regular(8)) == []
    assert run(gap.DETECTOR, FAR, *regular(8)) == []


def test_a_bus_right_behind_another_is_bunched_at_the_third_stop_in_a_row() -> None:
    found = run(bunching.DETECTOR, CLOSE, *regular(), bus("late", 4 * EVERY_S + 149))
    first = found[0]
    # The first stop is a terminal, where vehicles wait: stops 1, 2 and 3 count.
    assert (first.change, first.at_ms) == (Change.RAISE, (4 * EVERY_S + 149 + 300) * S)
    assert (first.source_kind, first.source_id, first.key, first.route) == ("route", "7", "7|1", "7")
    expected = {"headway_min": 2.5, "usual_min": 10.0, "vehicle": "late", "leader": "b4", "stop": "Stop 3"}
    assert {name: first.values[name] for name in expected} == expected
    assert run(bunching.DETECTOR, CLOSE, *regular(), bus("late", 4 * EVERY_S + 151)) == []


def test_bunching_ends_when_they_are_apart_again_or_are_not_seen_any_more() -> None:
    together = [*regular(), bus("late", 4 * EVERY_S + 60, range(1, 6))]
    apart = [position(4 * EVERY_S + 1000, vehicle_id="late", east_m=6000.0)]
    found = run(bunching.DETECTOR, CLOSE, *together, apart)
    assert [one.change for one in found] == [Change.RAISE, Change.CLEAR]
    last_s = 4 * EVERY_S + 60 + 500
    found = run(bunching.DETECTOR, CLOSE, *together, ticks=(last_s + 899, last_s + 900))
    assert changes(found)[-1] == ("clear", last_s + 900)
    assert found[-1].key == "7|1"


def test_a_gap_is_a_headway_much_longer_than_the_usual_one() -> None:
    found = run(gap.DETECTOR, FAR, *regular(), bus("after", 4 * EVERY_S + 1060))
    assert changes(found) == [("raise", 4 * EVERY_S + 1060 + 300)]
    assert run(gap.DETECTOR, FAR, *regular(), bus("after", 4 * EVERY_S + 1040)) == []


def test_the_night_is_no_gap() -> None:
    assert run(gap.DETECTOR, FAR, *regular(), bus("morning", 4 * EVERY_S + 6 * 3600)) == []


def service(day: int, begins_h: float, ends_h: float, every_s: int) -> list[list[Any]]:
    begins_s = day * DAY_S + int(begins_h * 3600)
    return [bus(f"b{at_s % 7}-{at_s}", at_s) for at_s in range(begins_s, day * DAY_S + int(ends_h * 3600), every_s)]


def gaps(buses: list[list[Any]]) -> list[float]:
    """When gaps were raised, in seconds; the time passes too."""
    moments = [(one.measured_ms / S, one) for way in buses for one in way]
    moments += [(at_s, at_s) for at_s in range(0, 6 * DAY_S, 300)]
    timeline = Timeline(gap.DETECTOR, FAR, routes=ROUTES)
    for _, moment in sorted(moments, key=lambda one: one[0]):
        if isinstance(moment, int):
            timeline.tick(moment)
        else:
            timeline.see(moment)
    return [one.at_ms / S for one in timeline.found if one.change is Change.RAISE]


def test_an_evening_with_half_the_buses_is_known_from_the_evenings_before() -> None:
    """No timetable is told: every ten minutes until eight, every twenty from then on."""
    buses = [one for day in range(6) for one in (*service(day, 16, 20, EVERY_S), *service(day, 20, 23, 2 * EVERY_S))]
    days = [at_s // DAY_S for at_s in gaps(buses)]
    assert 0 in days
    assert not {4, 5} & set(days)
    # A bus that does not come is a gap all the same.
    begins_s, ends_s = 5 * DAY_S + 21.5 * 3600, 5 * DAY_S + 22.2 * 3600
    missing = [way for way in buses if not begins_s < way[0].measured_ms / S < ends_s]
    assert begins_s < gaps(missing)[-1] < ends_s + 3600


def test_the_scheduled_headway_goes_before_the_usual_one() -> None:
    """Two buses with the timetable's 2,000 seconds between them are no gap."""
    in_time = [bus(f"b{at}", at * EVERY_S, schedule_deviation_s=0.0) for at in range(5)]
    assert run(gap.DETECTOR, FAR, *in_time, bus("after", 4 * EVERY_S + 2000, schedule_deviation_s=0.0)) == []
    late = bus("after", 4 * EVERY_S + 2000, schedule_deviation_s=-1400.0)
    assert [one.change for one in run(gap.DETECTOR, FAR, *in_time, late)] == [Change.RAISE]


def test_lines_with_short_headways_are_left_alone() -> None:
    often = [bus(f"b{at}", at * 120) for at in range(6)]
    assert run(bunching.DETECTOR, CLOSE, *often, bus("late", 5 * 120 + 10)) == []


def test_buses_that_are_seen_at_few_stops_pass_the_ones_between_too() -> None:
    seldom = [bus(f"b{at}", at * EVERY_S, (1, 3, 6, 9)) for at in range(8)]
    assert run(gap.DETECTOR, FAR, *seldom) == []
    assert run(bunching.DETECTOR, CLOSE, *seldom) == []
    found = run(bunching.DETECTOR, CLOSE, *seldom, bus("late", 7 * EVERY_S + 60, (1, 3, 6, 9)))
    assert [one.change for one in found if one.change is not Change.UPDATE] == [Change.RAISE]


@pytest.mark.parametrize("seed", range(5))
def test_the_order_in_which_passages_are_told_hardly_matters(seed: int) -> None:
    """Positions that come up to two minutes late make no alarm of a regular line, and hide no bunching."""
    chance = random.Random(seed)

    def shuffled(*buses: list[Any]) -> list[Any]:
        seen = [one for way in buses for one in way]
        return sorted(seen, key=lambda one: one.measured_ms + chance.uniform(0, 120_000))

    for detector, rule in ((bunching.DETECTOR, CLOSE), (gap.DETECTOR, FAR)):
        assert play(detector, rule, shuffled(*regular(8)), routes=ROUTES) == []
    found = play(bunching.DETECTOR, CLOSE, shuffled(*regular(), bus("late", 4 * EVERY_S + 60)), routes=ROUTES)
    assert found[0].change is Change.RAISE
    assert {found[0].values["vehicle"], found[0].values["leader"]} == {"late", "b4"}


def test_a_dwelling_bus_passes_a_stop_once_and_the_state_stays_short() -> None:
    timeline = Timeline(bunching.DETECTOR, CLOSE, routes=ROUTES)
    for number in range(20):
        for at_s in range(0, 60, 5):
            timeline.see(position(number * EVERY_S + at_s, vehicle_id=f"b{number}", east_m=1000.0))
    (state,) = timeline.states.values()
    assert [len(kept) for kept in state.passages.values()] == [KEPT]
    assert timeline.found == []


def test_a_position_away_from_stops_changes_nothing() -> None:
    timeline = Timeline(bunching.DETECTOR, CLOSE, routes=ROUTES)
    timeline.see(position(0, east_m=1000.0))
    (state,) = timeline.states.values()
    timeline.see(position(50, east_m=1500.0))
    assert timeline.states["7|1"] is state


def test_a_stop_that_the_vehicle_itself_names_needs_no_geometry() -> None:
    """HFP tells of arrivals, whatever is known of the line."""

    def line(begins_s: float, name: str) -> list[Any]:
        return [
            position(begins_s + 100 * stop, vehicle_id=name, route="550", kind="ars", stop=f"h{stop}") for stop in STOPS
        ]

    buses = [line(at * EVERY_S, f"b{at}") for at in range(5)]
    found = run(bunching.DETECTOR, CLOSE, *buses, line(4 * EVERY_S + 30, "late"))
    assert (found[0].change, found[0].key, found[0].values["stop"]) == (Change.RAISE, "550|1", "h2")


def test_without_route_direction_or_a_known_line_nothing_is_said() -> None:
    for more in ({"route": None}, {"direction": None}, {"route": "99"}):
        buses = [bus(f"b{at}", at * EVERY_S, **more) for at in range(5)]
        assert run(bunching.DETECTOR, CLOSE, *buses, bus("late", 4 * EVERY_S + 30, **more)) == []
    assert isinstance(ROUTES.lines["7", 1], Line)
