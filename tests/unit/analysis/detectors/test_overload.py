"""Overload as timelines: counts in, alarm expected after the delay."""

from analysis.detectors.detector import City
from analysis.detectors.finding import Change, Finding
from analysis.detectors.overload import OverloadState, step, tick
from analysis.picture import Picture
from analysis.routes import Routes
from city.events import PassengerCount
from city.rules.transport import Overload

RULE = Overload(load_max=1.2, load_clear=1.0, on_delay_s=120, forget_after_s=1800)
CITY = City(Picture(), Routes(), 80, 0)
S = 1000


def timeline(*moments: tuple[int, int | None]) -> tuple[OverloadState | None, list[Finding]]:
    """Counts at seconds; None is a tick of the clock."""
    state: OverloadState | None = None
    found: list[Finding] = []
    for at_s, onboard in moments:
        if onboard is None:
            state, more = (None, []) if state is None else tick(state, at_s * S, RULE, CITY)
        else:
            count = PassengerCount(
                vehicle_id="bus", measured_ms=at_s * S, received_ms=at_s * S, onboard=onboard, capacity=100
            )
            state, more = step(state, count, RULE, CITY)
        found += more
    return state, found


def test_rises_when_the_delay_is_over_and_clears_below_the_lower_bound() -> None:
    _, found = timeline((10, 120), (129, None), (130, None), (140, 110), (150, 100))
    assert [(one.change, one.at_ms) for one in found] == [(Change.RAISE, 130 * S), (Change.CLEAR, 150 * S)]
    assert found[0].values == {"load": 1.2, "onboard": 120, "capacity": 100}
    assert found[0].alarm_id == found[1].alarm_id == "overload:bus"


def test_does_not_rise_when_one_count_in_the_delay_is_lower() -> None:
    _, found = timeline((10, 130), (60, 119), (70, 130), (150, None), (189, None))
    assert found == []


def test_stays_between_the_bounds() -> None:
    _, found = timeline((10, 130), (130, None), (200, 101), (300, 125), (500, None))
    assert [one.change for one in found] == [Change.RAISE]


def test_is_the_same_alarm_when_the_clock_was_not_looked_at_in_time() -> None:
    _, late = timeline((10, 130), (150, 100))
    _, live = timeline((10, 130), (130, None), (131, None), (150, 100))
    assert [(f.change, f.alarm_id, f.at_ms) for f in late] == [(f.change, f.alarm_id, f.at_ms) for f in live]


def test_an_older_count_and_one_without_a_number_change_nothing() -> None:
    state, _ = timeline((10, 130))
    older = PassengerCount(vehicle_id="bus", measured_ms=5 * S, received_ms=20 * S, onboard=1)
    silent = PassengerCount(vehicle_id="bus", measured_ms=15 * S, received_ms=20 * S, boarded=1)
    assert step(state, older, RULE, CITY) == (state, [])
    assert step(state, silent, RULE, CITY) == (state, [])


def test_the_default_capacity_stands_in_and_negative_counts_never_overload() -> None:
    full = PassengerCount(vehicle_id="bus", measured_ms=S, received_ms=S, onboard=96)
    state, _ = step(None, full, RULE, CITY)
    assert state is not None
    assert state.over_since_ms == S
    drift = PassengerCount(vehicle_id="bus", measured_ms=2 * S, received_ms=2 * S, onboard=-96)
    assert step(state, drift, RULE, CITY) == (None, [])


def test_clears_when_the_vehicle_counts_no_more() -> None:
    state, found = timeline((10, 130), (130, None), (1809, None), (1810, None))
    assert [(one.change, one.at_ms) for one in found] == [(Change.RAISE, 130 * S), (Change.CLEAR, 1810 * S)]
    assert state is None
