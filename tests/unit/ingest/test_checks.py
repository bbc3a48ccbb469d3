"""The checks as timelines: messages in, what passes and why the rest does not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from city.events import CameraStatus, Case, Event, VehiclePosition
from city.messages import Reading, Received
from city.settings import Checks
from ingest.checks import Limits, as_last_will, distance_m, find_problems
from ingest.memory import Memory

BOUNDS = (69.10, 41.15, 69.48, 41.44)
LIMITS = Limits.of(Checks(), BOUNDS)
NOW = 1_777_870_800_000
DEGREE_M = 111_195  # of latitude


class Line:
    """One ingest worker's view: messages go in by time, `said` collects pass or the reason."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.said: list[str] = []

    def take(self, event: Event, *, retained: bool = False) -> Event | None:
        message = Received("t", b"", event.received_ms, retained)
        event = as_last_will(event, message, self.memory, LIMITS)
        passed, problems = find_problems([Reading("feed", event, message)], self.memory, LIMITS)
        assert len(passed) + len(problems) == 1
        self.said.append(problems[0][1].reason.value if problems else "pass")
        self.memory.learn(reading.event for reading in passed)
        return passed[0].event if passed else None


def fix(at_s: float, north_m: float = 0, *, vehicle: str = "b", **said: Any) -> VehiclePosition:
    """A fix measured and received `at_s` seconds from now, so many metres north of a place."""
    at_ms = NOW + round(at_s * 1000)
    given_fields = {"measured_ms": at_ms, "received_ms": at_ms, "lat": 41.3 + north_m / DEGREE_M, "lon": 69.25} | said
    return VehiclePosition(vehicle_id=vehicle, **given_fields)


def status(ts_s: float, online: bool, *, received_s: float | None = None) -> CameraStatus:
    received_ms = NOW + round((ts_s if received_s is None else received_s) * 1000)
    return CameraStatus(camera_id="c", measured_ms=NOW + round(ts_s * 1000), received_ms=received_ms, online=online)


def verdicts(*events: Event) -> list[str]:
    """What becomes of events that come one by one, and that they fare alike in one batch."""
    line = Line()
    for event in events:
        line.take(event)
    if not any(isinstance(event, CameraStatus) for event in events):
        readings = [Reading("feed", event, Received("t", b"", event.received_ms)) for event in events]
        passed, problems = find_problems(readings, Memory(), LIMITS)
        reasons = {id(reading): problem.reason.value for reading, problem in problems}
        assert [reasons.get(id(reading), "pass") for reading in readings] == line.said
        assert [reading for reading in readings if id(reading) not in reasons] == passed
    return line.said


def test_a_clock_may_run_ahead_by_a_minute_and_no_more() -> None:
    assert verdicts(fix(0, received_ms=NOW - 60_000)) == ["pass"]
    assert verdicts(fix(0, received_ms=NOW - 60_001)) == ["future"]


def test_a_measurement_may_be_an_hour_old_and_no_more() -> None:
    assert verdicts(fix(0, received_ms=NOW + 3_600_000)) == ["pass"]
    assert verdicts(fix(0, received_ms=NOW + 3_600_001)) == ["stale"]


def test_a_retained_camera_status_and_a_case_may_be_old() -> None:
    line = Line()
    assert line.take(status(-86_400, online=False, received_s=0), retained=True) is not None
    assert verdicts(status(-86_400, online=False, received_s=0)) == ["stale"]
    case = Case(source="s", case_id="1", category="c", status="open", measured_ms=NOW - 10**9, received_ms=NOW)
    assert verdicts(case) == ["pass"]


def test_the_same_measurement_again_passes_for_only_the_store_hears_every_worker() -> None:
    assert verdicts(fix(0), fix(0), fix(1), fix(1)) == ["pass"] * 4


def test_an_older_fix_passes_to_be_stored_as_late_and_moves_no_anchor() -> None:
    """The fix at 10 s lies 5 km from the late one; the one at 11 s is held against the former."""
    assert verdicts(fix(10), fix(2, 5000), fix(11, 20)) == ["pass", "pass", "pass"]


def test_a_retained_offline_status_is_no_last_will_of_now() -> None:
    line = Line()
    line.take(status(0, online=True))
    again = line.take(status(-5, online=False, received_s=500), retained=True)
    assert again is not None
    assert again.measured_ms == NOW - 5_000


def test_a_leap_is_refused_and_the_way_goes_on_from_the_last_good_fix() -> None:
    assert verdicts(fix(0), fix(1, 10), fix(2, 3000), fix(3, 30)) == ["pass", "pass", "impossible_speed", "pass"]


def test_noise_of_a_standing_vehicle_is_no_leap() -> None:
    assert verdicts(fix(0), fix(0.04, 25), fix(0.08, -5)) == ["pass", "pass", "pass"]


def test_after_a_long_silence_a_far_place_is_possible() -> None:
    assert verdicts(fix(0), fix(600, 20_000)) == ["pass", "pass"]


def test_fixes_that_agree_with_each_other_outvote_a_wrong_anchor() -> None:
    """The first fix was 9 km off; the third of the others is believed, and those after it."""
    line = [fix(0, 9000), fix(1), fix(2, 8), fix(3, 16), fix(4, 24)]
    assert verdicts(*line) == ["pass", "impossible_speed", "impossible_speed", "pass", "pass"]


def test_leaps_to_ever_other_places_are_never_believed() -> None:
    line = [fix(0), *(fix(n, 3000 * n) for n in range(1, 9)), fix(9, 50)]
    assert verdicts(*line) == ["pass", *["impossible_speed"] * 8, "pass"]


def test_two_agreeing_leaps_are_forgotten_when_the_vehicle_is_back() -> None:
    line = [fix(0), fix(1, 5000), fix(2, 5000), fix(3, 10), fix(4, 5000), fix(5, 5000), fix(6, 20)]
    leap = "impossible_speed"
    assert verdicts(*line) == ["pass", leap, leap, "pass", leap, leap, "pass"]


def test_a_reported_speed_that_no_vehicle_drives_is_refused() -> None:
    assert verdicts(fix(0, speed_mps=45.0), fix(1, speed_mps=45.1)) == ["pass", "impossible_speed"]


def test_the_area_reaches_ten_kilometres_beyond_the_bounds() -> None:
    north = 41.44 + 9_900 / DEGREE_M
    assert verdicts(fix(0, lat=north)) == ["pass"]
    assert verdicts(fix(0, lat=north + 200 / DEGREE_M)) == ["out_of_area"]
    assert verdicts(fix(0, lat=0.0, lon=0.0)) == ["out_of_area"]


def test_a_refused_fix_leaves_no_trace() -> None:
    assert verdicts(fix(0, lat=0.0), fix(0), fix(1, 10)) == ["out_of_area", "pass", "pass"]


def test_a_last_will_written_before_the_online_status_still_ends_it() -> None:
    """Connect at 0 s writes the will, online at 0.2 s, the connection breaks at 300 s."""
    line = Line()
    line.take(status(0.2, online=True))
    will = line.take(status(0, online=False, received_s=300))
    assert will is not None
    assert will.measured_ms == NOW + 300_000
    assert line.take(status(310, online=True)) is not None
    assert line.said == ["pass", "pass", "pass"]


def test_a_last_will_of_the_same_millisecond_as_the_online_status_ends_it() -> None:
    line = Line()
    line.take(status(0, online=True))
    will = line.take(status(0, online=False, received_s=9))
    assert will is not None
    assert will.measured_ms == NOW + 9_000


def test_a_last_will_from_hours_ago_ends_an_online_status_of_now() -> None:
    assert verdicts(status(0, online=True), status(-7200, online=False, received_s=60)) == ["pass", "pass"]


def test_an_offline_status_out_of_order_stays_older() -> None:
    """A minute older than the online status: not a will, so the store will keep it as late."""
    line = Line()
    line.take(status(0, online=True))
    late = line.take(status(-60, online=False, received_s=1))
    assert late is not None
    assert late.measured_ms == NOW - 60_000


@given(
    st.tuples(st.floats(-89, 89), st.floats(-180, 180)),
    st.tuples(st.floats(-89, 89), st.floats(-180, 180)),
)
def test_distance_is_symmetric_and_never_negative(a: tuple[float, float], b: tuple[float, float]) -> None:
    assert 0 <= distance_m(*a, *b) <= 20_100_000
    assert abs(distance_m(*a, *b) - distance_m(*b, *a)) < 1e-3


def test_a_degree_of_latitude_is_111_kilometres() -> None:
    assert abs(distance_m(41, 69, 42, 69) - 111_195) < 1
