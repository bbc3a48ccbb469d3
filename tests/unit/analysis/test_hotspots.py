"""Hot spots: what is planted is found with its place and hours, and noise gives none beyond the rate that is held."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from esda.getisord import G_Local
from libpysal.weights.util import fill_diagonal
from msgspec.structs import replace

from analysis.hotspots import HotSpot, hot_spots
from analysis.neighbourhoods import constant_risk, gi_star, mesh, smoothed_rates
from analysis.rises import Floats
from city.alarms import Action, Transition
from city.systemic import Course, DayKind
from tests.unit.analysis.risen import DAY_MS, HOUR_MS, MONDAY_MS, SIDE, code, mahallas, noise, read, rise, rush

MESH = mesh(mahallas())
WEEKS = 6


def found(told: list[Transition], exposure: dict[str, Floats] | None = None) -> list[HotSpot]:
    rises = read(told)
    first = int(rises.day.min())
    return hot_spots(rises, MESH, first, WEEKS, exposure or {})


@pytest.mark.filterwarnings("ignore")
def test_gi_star_is_that_of_esda() -> None:
    values = np.random.default_rng(1).poisson(0.7, SIDE * SIDE).astype(float)
    theirs = G_Local(values, fill_diagonal(MESH.weights, 1), transform="B", star=True, permutations=0)
    np.testing.assert_allclose(gi_star(values[None], MESH.near)[0], theirs.Zs)


def test_a_city_where_all_is_alike_has_no_hot_place() -> None:
    assert not gi_star(np.full((1, SIDE * SIDE), 3.0), MESH.near).any()


def test_a_mahalla_that_touches_no_other_has_its_nearest_as_neighbours() -> None:
    away = replace(mahallas()[0], code="away", polygon=shapely.box(70, 42, 70.01, 42.01))
    drawn = mesh([*mahallas(), away])
    assert drawn.near[-1].sum() == 4
    assert drawn.near[SIDE * SIDE - 1, -1] == 1
    np.testing.assert_array_equal(drawn.near, drawn.near.T)


def test_the_significance_holds_under_constant_risk() -> None:
    """Of p-values of noise no more are below a bound than the bound says."""
    rng = np.random.default_rng(3)
    counts = rng.multinomial(100, np.full(SIDE * SIDE, 1 / SIDE**2), size=300).astype(float)
    p = constant_risk(counts, np.ones_like(counts), MESH.near)
    for bound in (0.05, 0.01, 0.001):
        assert (p <= bound).mean() <= 1.1 * bound


def test_a_rate_of_little_exposure_is_drawn_to_the_mean() -> None:
    counts, exposure = np.array([[1.0, 100.0, 110.0]]), np.array([[1.0, 1000.0, 1000.0]])
    rates = smoothed_rates(counts, exposure)[0]
    assert rates[0] < 0.5
    assert rates[1] == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("place", [(5, 5), (0, 0), (11, 3)])
def test_a_rush_hour_in_one_mahalla_is_found_with_its_hours(place: tuple[int, int]) -> None:
    rng = np.random.default_rng(7)
    (spot,) = found(noise(rng, 6000, WEEKS) + rush(rng, range(WEEKS), place))
    assert spot.areas == (code(*place),)
    assert (spot.days, spot.hours) == (DayKind.WORKDAY, (7, 8))
    assert (spot.weeks_hot, spot.weeks) == (WEEKS, WEEKS)
    assert spot.q < 1e-5
    # Five buses a morning are one or two occurrences: these are what is tested.
    assert 30 <= spot.occurrences <= 60 < spot.count
    assert spot.count > 20 * spot.expected


def test_mahallas_that_touch_are_one_hot_spot() -> None:
    rng = np.random.default_rng(8)
    places = [(4, 4), (4, 5), (5, 4)]
    (spot,) = found(noise(rng, 6000, WEEKS) + [one for p in places for one in rush(rng, range(WEEKS), p, 2)])
    assert set(spot.areas) == {code(*p) for p in places}
    assert spot.pseudo_p < 0.01


def test_hours_around_midnight_stand_in_their_turn() -> None:
    rng = np.random.default_rng(9)
    told = noise(rng, 4000, WEEKS)
    for day in range(7 * WEEKS):
        for n in range(4):
            at_ms = MONDAY_MS + day * DAY_MS + (22 * HOUR_MS + int(rng.integers(2 * HOUR_MS)) if n < 2 else 600_000 * n)
            told += rise("overload", f"bus-{rng.integers(1000)}", at_ms, (3, 3))
    spot = min(found(told), key=lambda one: one.q)
    assert (spot.areas[0], spot.days, spot.hours) == (code(3, 3), DayKind.ALL, (22, 23, 0))


def test_one_alarm_again_and_again_is_no_hot_spot() -> None:
    rng = np.random.default_rng(10)
    told = noise(rng, 4000, WEEKS)
    for day in range(7 * WEEKS):
        told += rise("overload", "one", MONDAY_MS + day * DAY_MS + 8 * HOUR_MS, (6, 6))
    # What it takes of the false discoveries that are allowed may let in another place at the very bound.
    assert all(code(6, 6) not in spot.areas for spot in found(told))


def test_an_alarm_that_chatters_within_an_hour_counts_once() -> None:
    rng = np.random.default_rng(11)
    told = noise(rng, 4000, WEEKS)
    for n in range(40):
        told += rise("overload", f"bus-{n % 3}", MONDAY_MS + 8 * HOUR_MS + n * 60_000, (6, 6), stood_ms=1000)
    assert found(told) == []


def test_where_there_are_more_buses_more_alarms_are_no_hot_spot() -> None:
    rng = np.random.default_rng(12)
    told = noise(rng, 4000, WEEKS)
    for _ in range(300):
        at_ms = MONDAY_MS + int(rng.integers(7 * WEEKS * DAY_MS))
        told += rise("overload", f"bus-{rng.integers(1000)}", at_ms, (6, 6))
    (spot,) = found(told)
    assert (spot.areas[0], spot.days, spot.hours) == (code(6, 6), DayKind.ALL, ())
    exposure = np.ones((24, SIDE * SIDE))
    exposure[:, MESH.codes.index(code(6, 6))] = 23
    assert all(code(6, 6) not in one.areas for one in found(told, {"vehicle": exposure}))


@pytest.mark.parametrize(
    ("weeks", "a_day", "course"),
    [(range(6), 5, Course.PERSISTENT), (range(3, 6), 5, Course.EMERGING), (range(3), 5, Course.DIMINISHING)],
)
def test_the_course_over_the_weeks_is_told(weeks: range, a_day: float, course: Course) -> None:
    rng = np.random.default_rng(13)
    (spot,) = found(noise(rng, 6000, WEEKS) + rush(rng, weeks, (5, 5), a_day))
    assert spot.weeks_hot == len(weeks)
    assert spot.course in ({course, Course.SPORADIC} if len(weeks) < WEEKS else set(Course))
    if len(weeks) == WEEKS:
        assert spot.course is not Course.SPORADIC


def test_noise_gives_no_more_false_ones_than_the_rate_that_is_held() -> None:
    """Nothing is planted: a run with anything found is a false one, and at 5 % of twenty-five that is one or two."""
    runs = [found(noise(np.random.default_rng(100 + run), 2000, WEEKS)) for run in range(25)]
    assert sum(bool(run) for run in runs) <= 3


def test_of_what_is_found_beside_planted_ones_few_are_false() -> None:
    hits = wrong = 0
    for run in range(10):
        rng = np.random.default_rng(200 + run)
        places = [(2, 2), (8, 3), (5, 9)]
        told = noise(rng, 4000, WEEKS) + [one for place in places for one in rush(rng, range(WEEKS), place, 3)]
        areas = {area for spot in found(told) for area in spot.areas}
        planted = {code(*place) for place in places}
        hits += len(areas & planted)
        wrong += len(areas - planted)
    assert hits == 30
    assert wrong <= 0.1 * (hits + wrong)


def swarms(
    rng: np.random.Generator, occurrences: int, mean: float, *, hours: float = 1, reach: int = 0
) -> list[Transition]:
    """Incidents at any place and time, each of several alarms of different buses within some hours, and mahallas."""
    told: list[Transition] = []
    for _ in range(occurrences):
        begin_ms = MONDAY_MS + int(rng.integers(7 * WEEKS * 24)) * HOUR_MS
        x, y = (int(one) for one in rng.integers(SIDE, size=2))
        for _ in range(int(rng.geometric(1 / mean))):
            place = (min(SIDE - 1, x + int(rng.integers(reach + 1))), min(SIDE - 1, y + int(rng.integers(reach + 1))))
            told += rise("gap", f"bus-{rng.integers(2000)}", begin_ms + int(rng.integers(hours * HOUR_MS)), place)
    return told


@pytest.mark.parametrize(
    ("mean", "hours", "reach"), [(1, 1, 0), (3, 1, 0), (6, 1, 0), (12, 1, 0), (6, 8, 0), (6, 1, 1), (8, 6, 1)]
)
def test_incidents_of_many_alarms_everywhere_alike_make_no_hot_spots(mean: float, hours: float, reach: int) -> None:
    """The risk is the same everywhere, the alarms are not independent: taken so there are ten hot spots a city."""
    runs = [
        found(swarms(np.random.default_rng(300 + run), int(4500 / mean), mean, hours=hours, reach=reach))
        for run in range(6)
    ]
    assert sum(bool(run) for run in runs) <= 1


def test_a_place_that_is_hot_is_found_among_swarms() -> None:
    wrong = 0
    for seed in range(14, 19):
        rng = np.random.default_rng(seed)
        spots = found(swarms(rng, 600, 6, hours=3, reach=1) + rush_of_gaps(rng))
        (planted,) = [spot for spot in spots if code(5, 5) in spot.areas]
        assert (planted.areas, planted.days, planted.hours) == ((code(5, 5),), DayKind.WORKDAY, (7, 8))
        assert 1.3 < planted.dispersion < 2
        wrong += len(spots) - 1
    assert wrong <= 1


def rush_of_gaps(rng: np.random.Generator) -> list[Transition]:
    told = [one for one in rush(rng, range(WEEKS), (5, 5)) if one.action is Action.RISE]
    return [t for n, one in enumerate(told) for t in rise("gap", f"g{n}", one.at_ms, (5, 5))]


def test_a_mahalla_that_touches_all_others_has_a_z_of_nothing() -> None:
    values = np.random.default_rng(0).poisson(5, (2, SIDE)).astype(float)
    near = np.eye(SIDE)
    near[0, :] = near[:, 0] = 1
    z = gi_star(values, near)
    assert (z[:, 0] == 0).all()
    assert np.isfinite(z).all()


def test_a_village_and_an_empty_log_have_no_hot_spots() -> None:
    assert hot_spots(read([]), MESH, 1, WEEKS, {}) == []
    rises = read(rush(np.random.default_rng(1), range(6), (0, 0)))
    assert hot_spots(rises, mesh(mahallas(3)), int(rises.day.min()), WEEKS, {}) == []
