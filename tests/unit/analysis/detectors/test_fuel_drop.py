"""Fuel drop as timelines, and as properties: slosh never fires, a theft always once, a refuel never."""

from hypothesis import given
from hypothesis import strategies as st

from analysis.detectors.detector import City
from analysis.detectors.finding import Change, Finding
from analysis.detectors.fuel_drop import FuelState, motion, read, tick
from analysis.picture import Picture
from analysis.routes import Routes
from city.events import FuelReading, VehiclePosition
from city.rules.transport import FuelDrop

RULE = FuelDrop(drop_min_l=8, window_s=900, standing_speed_mps=0.5, confirm_readings=3, clear_after_s=3600)
CITY = City(Picture(), Routes(), 80, 0)
S = 1000
T0 = 1_000_000


class Bus:
    """One vehicle's timeline, in seconds."""

    def __init__(self) -> None:
        self.state = FuelState(vehicle_id="bus")
        self.found: list[Finding] = []
        self.at_s = T0
        self.spoke_ms: int | None = None

    def moves(self, speed_mps: float | None, *, lat: float = 41.3, after_s: int = 1) -> None:
        self.at_s += after_s
        self.spoke_ms = self.at_s * S
        position = VehiclePosition(
            vehicle_id="bus",
            measured_ms=self.spoke_ms,
            received_ms=self.spoke_ms,
            lat=lat,
            lon=69.2,
            speed_mps=speed_mps,
        )
        self.state = motion(self.state, position, RULE)

    def reads(
        self,
        *levels_l: float | None,
        every_s: int = 30,
        pct: float | None = None,
        capacity_l: float | None = None,
        ignition: bool | None = None,
    ) -> list[int]:
        """Take readings in; which of them, from 1, found something."""
        hits = []
        for number, level_l in enumerate(levels_l, start=1):
            self.at_s += every_s
            if self.spoke_ms is not None:
                self.spoke_ms = self.at_s * S  # positions go on unchanged
            at_ms = self.at_s * S
            reading = FuelReading(
                vehicle_id="bus",
                measured_ms=at_ms,
                received_ms=at_ms,
                level_l=level_l,
                level_pct=pct,
                capacity_l=capacity_l,
                ignition=ignition,
            )
            self.state, found = read(self.state, reading, RULE, self.spoke_ms)
            self.found += found
            if found:
                hits.append(number)
        return hits


def standing() -> Bus:
    bus = Bus()
    bus.moves(0.0)
    return bus


def test_fires_at_the_third_reading_that_sees_the_loss() -> None:
    bus = standing()
    assert bus.reads(120, 120, 120) == []
    assert bus.reads(100, 100, 100, 100, 100) == [3]
    finding = bus.found[0]
    assert finding.change is Change.RAISE
    assert finding.values == {"lost_l": 20.0, "before_l": 120.0, "level_l": 100.0, "within_s": 90}


def test_one_reading_before_the_loss_is_enough() -> None:
    assert standing().reads(120, 100, 100, 100) == [4]


def test_a_loss_of_exactly_the_limit_fires_and_a_smaller_one_does_not() -> None:
    assert standing().reads(50, 50, 50, 42, 42, 42) == [6]
    assert standing().reads(50, 50, 50, 42.1, 42.1, 42.1) == []


def test_dropouts_are_no_loss_and_do_not_hide_one() -> None:
    assert standing().reads(90, 90, 0, 90, None, 90, 0, 0, 90, 90) == []
    assert standing().reads(90, 90, 90, 0, 70, 70, None, 70) == [8]


def test_a_loss_while_driving_is_no_theft() -> None:
    bus = Bus()
    bus.moves(12.0)
    assert bus.reads(120, 120, 120, 120, 90, 90, 90, 90) == []
    bus.moves(0.0)
    assert bus.reads(90, 90, 90, 90) == []


def test_a_drop_just_before_the_stop_is_not_held_against_it() -> None:
    bus = Bus()
    bus.moves(12.0)
    bus.reads(120, 120, 120, 100)
    bus.moves(0.0)
    assert bus.reads(100, 100, 100, 100, 100) == []


def test_a_theft_right_after_the_stop_is_found() -> None:
    bus = Bus()
    bus.moves(12.0)
    bus.reads(120, 120, 120)
    bus.moves(0.0)
    assert bus.reads(95, 95, 95) == [3]


def test_a_theft_is_confirmed_by_readings_after_driving_on_and_over_short_stops() -> None:
    bus = standing()
    bus.reads(120, 120, 120, 95)
    bus.moves(10.0)
    bus.moves(0.0, after_s=40)
    bus.moves(10.0, after_s=20)
    assert bus.reads(95, 95) == [2]


def test_stop_and_go_is_no_rest_at_which_slosh_could_be_a_theft() -> None:
    """A reading a minute, every other one at a stop of seconds: the gauge hangs askew for minutes on the road."""
    bus = Bus()
    for step in range(60):
        bus.moves(9.0, lat=41.3 + 0.004 * step)
        high = step % 12 < 6
        assert bus.reads(109 if high else 101, every_s=35) == []
        bus.moves(0.0, lat=41.302 + 0.004 * step)
        assert bus.reads(109 if high else 101, every_s=10) == []


def test_a_loss_seen_only_after_it_left_is_slosh() -> None:
    """The fix that tells of the leaving comes after the reading."""
    bus = standing()
    bus.reads(109, 109, 109, 109)
    bus.at_s += 19
    assert bus.reads(100, every_s=1) == []
    bus.moves(9.0, lat=41.3 + 150 / 111_195)
    assert bus.reads(99, 100, 99) == []


def test_a_loss_seen_first_elsewhere_is_not_held_against_the_level_before() -> None:
    """It drove there between two fixes: both say that it stands."""
    for metres in (60, 120, 400):
        bus = standing()
        bus.reads(109, 109, 109, 109)
        assert bus.reads(99) == []
        bus.moves(0.0, lat=41.3 + metres / 111_195)
        assert bus.reads(99, 99, 99, 99) == []


def test_without_a_word_about_motion_a_running_engine_may_be_driving() -> None:
    """The feed of positions is out; the tank goes on telling."""
    bus = standing()
    bus.reads(120, 120, 120, 120, ignition=True)
    bus.spoke_ms = None
    told_ms = bus.at_s * S
    for ignition, expected in ((True, []), (False, [3])):
        state, found = bus.state, []
        for number, level_l in enumerate((108, 108, 108), start=1):
            at_ms = (bus.at_s + 60 * number) * S
            reading = FuelReading(
                vehicle_id="bus", measured_ms=at_ms, received_ms=at_ms, level_l=level_l, ignition=ignition
            )
            state, findings = read(state, reading, RULE, told_ms)
            found += [number] if findings else []
        assert found == expected


def test_a_stop_of_seconds_is_no_time_for_a_theft() -> None:
    """A gauge that hung for an hour comes loose at a traffic light."""
    bus = Bus()
    for step in range(20):
        bus.moves(9.0, lat=41.3 + 0.004 * step)
        bus.reads(60.4)
    bus.moves(0.0, lat=41.5)
    assert bus.reads(23, every_s=10) == []
    bus.moves(9.0, lat=41.501, after_s=15)
    assert bus.reads(23, 23, 23) == []


def test_a_trembling_gauge_confirms_a_loss_by_its_median() -> None:
    assert standing().reads(121, 119, 120, 121, 112.5, 110.5, 111.5) == [7]
    assert standing().reads(121, 119, 120, 121, 116, 111, 111) == []  # one of three sees less than most of it


def test_the_rest_of_a_refuel_is_no_swing_that_hides_a_theft() -> None:
    bus = standing()
    bus.reads(100, 100, 100, 160, 196, 196, 196, *[214] * 16)
    assert bus.reads(202, 202, 202, every_s=300) == [3]


def test_a_theft_at_rest_is_found_whatever_the_gauge_does_on_the_road() -> None:
    bus = Bus()
    for step in range(30):
        bus.moves(9.0, lat=41.3 + 0.004 * step)
        bus.reads(109 if step % 5 < 3 else 98)
    bus.moves(0.0, lat=41.5)
    assert bus.reads(104, 104, 104, 104, 94, 94, 94) == [7]


def test_a_jittering_fix_at_rest_does_not_forget_the_level_before() -> None:
    bus = standing()
    bus.reads(120, 120, 120)
    for level_l in (117, 114):
        bus.reads(level_l)
        bus.moves(0.8)
        bus.moves(0.1)
    assert bus.reads(111, 111, 111) == [2]  # 114, 111, 111: the median sees the whole, the first reading most


def test_a_slow_theft_fires_within_the_window_and_idling_does_not() -> None:
    hits = standing().reads(*(100 - 1.0 * n for n in range(30)), every_s=60)
    assert hits[0] == 9 + 1  # the median of three readings has lost 8 litres
    assert standing().reads(*(100 - 0.05 * n for n in range(400)), every_s=60) == []


def test_an_open_alarm_follows_the_loss_and_clears_after_its_time() -> None:
    bus = standing()
    bus.reads(120, 120, 120, 110, 110, 110, 100, 100, 100, 80, 80, 80)
    assert [one.change for one in bus.found] == [Change.RAISE, Change.UPDATE, Change.UPDATE]
    assert bus.found[-1].values["lost_l"] == 40.0
    due_ms = bus.at_s * S + 3600 * S
    state, found = tick(bus.state, due_ms - 1, RULE, CITY)
    assert found == []
    state, found = tick(state, due_ms + 5 * S, RULE, CITY)
    assert [(one.change, one.at_ms) for one in found] == [(Change.CLEAR, due_ms)]
    assert not state.waits
    assert len({one.alarm_id for one in [*bus.found, *found]}) == 1


def test_a_refuel_after_a_theft_does_not_fire_and_the_next_theft_is_another_alarm() -> None:
    bus = standing()
    bus.reads(120, 120, 120, 100, 100, 100)
    assert bus.reads(150, 180, 200, 200, 200, 200) == []
    bus.at_s += 3700
    bus.spoke_ms = bus.at_s * S
    bus.reads(200, 200, 200, 170, 170, 170)
    assert [one.change for one in bus.found] == [Change.RAISE, Change.CLEAR, Change.RAISE]


def test_percent_counts_by_the_capacity_and_is_never_compared_with_litres() -> None:
    bus = standing()
    for pct in (50, 50, 50, 45, 45, 45):
        bus.reads(None, pct=pct, capacity_l=200)
    assert [one.values["lost_l"] for one in bus.found] == [10.0]
    mixed = standing()
    # The gauge says 100 l, the percentage of the nominal tank 113 l.
    for _ in range(5):
        mixed.reads(None, pct=45.2, capacity_l=250)
    assert mixed.reads(100, 100, 100, 100, 100) == []
    unknown = standing()
    for pct in (50, 50, 50, 10, 10, 10):
        unknown.reads(None, pct=pct)
    assert unknown.found == []


def test_a_vehicle_without_positions_counts_as_standing() -> None:
    assert Bus().reads(120, 120, 120, 100, 100, 100) == [6]


def test_motion_is_known_from_places_where_no_speed_is_given() -> None:
    driving = Bus()
    driving.moves(None, lat=41.30)
    driving.moves(None, lat=41.31, after_s=30)
    assert driving.reads(120, 120, 120, 100, 100, 100) == []
    resting = Bus()
    resting.moves(None, lat=41.30)
    resting.moves(None, lat=41.31, after_s=30)
    resting.reads(120, 120, 120)
    resting.moves(None, lat=41.31, after_s=70)
    assert resting.reads(100, 100, 100) == [3]


def test_a_reading_read_twice_or_older_changes_nothing() -> None:
    bus = standing()
    bus.reads(120, 120, 120)
    before = bus.state
    old = FuelReading(vehicle_id="bus", measured_ms=bus.at_s * S, received_ms=0, level_l=10)
    assert read(before, old, RULE, bus.spoke_ms) == (before, [])


slosh_l = st.floats(-3.9, 3.9)
levels_l = st.floats(20, 300)
intervals_s = st.sampled_from([1, 5, 10, 30, 60, 120])


@given(levels_l, st.lists(slosh_l, max_size=80), intervals_s, st.lists(st.integers(0, 79), max_size=15))
def test_slosh_within_half_the_limit_never_fires_dropouts_or_not(
    level_l: float, slosh: list[float], every_s: int, dropouts: list[int]
) -> None:
    bus = standing()
    readings: list[float | None] = [level_l + one for one in slosh]
    for at in dropouts:
        # Single ones: three in a row are what the rule calls confirmed.
        if at < len(readings) and all(readings[near] for near in (at - 1, at - 2) if near >= 0):
            readings[at] = 0.0 if at % 2 else None
    assert bus.reads(*readings, every_s=every_s) == []


@given(
    levels_l,
    st.floats(8, 200),
    st.integers(1, 60),
    st.integers(3, 60),
    intervals_s,
    st.integers(0, 5),
)
def test_a_loss_of_the_limit_while_standing_fires_exactly_once(
    level_l: float, lost_l: float, before: int, after: int, every_s: int, stolen_in: int
) -> None:
    """Sudden, or over up to five readings; whatever the readings' interval."""
    bus = standing()
    rest_l = max(5.0, level_l - lost_l)  # what falls to nothing at once is a dropout
    lost_l = level_l - rest_l
    going_l = [level_l - lost_l * n / (stolen_in + 1) for n in range(1, stolen_in + 1)]
    bus.reads(*[level_l] * before, *going_l, *[rest_l] * after, every_s=every_s)
    assert [one.change for one in bus.found].count(Change.RAISE) == 1
    assert len({one.alarm_id for one in bus.found}) == 1


@given(levels_l, st.floats(1, 300), st.lists(slosh_l, min_size=20, max_size=60), st.integers(0, 19), st.integers(1, 20))
def test_a_refuel_never_fires(level_l: float, filled_l: float, slosh: list[float], start: int, takes: int) -> None:
    bus = standing()
    levels = [level_l + filled_l * min(1.0, max(0.0, (at - start) / takes)) + one for at, one in enumerate(slosh)]
    assert bus.reads(*levels) == []
