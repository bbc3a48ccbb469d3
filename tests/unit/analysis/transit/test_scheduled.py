"""What a timetable says to planted passages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from analysis.transit.headways import Reference, headways_of, summaries
from analysis.transit.passages import passages_of
from analysis.transit.punctuality import punctuality
from analysis.transit.scheduled import places, schedule_of, with_schedule
from city.gtfs.timetable import Timetable, Trips, Visits
from tests.unit.analysis.transit.planted import DAY_MS, LINE, Bus, fixes, told

ZONE = "Asia/Tashkent"  # DAY_MS is 05:00 there
FIRST_S = 5 * 3600


def timetable(ways: Sequence[Sequence[int]] = (range(len(LINE.stops)),) * 6, stay_s: int = 0) -> Timetable:
    """Six trips every ten minutes from 05:00, stops every two minutes, on 1 January 2026; at the last one they stay."""
    trips, names = len(ways), sorted({stop for way in ways for stop in way})
    arrivals = [FIRST_S + 600 * trip + 120 * at for trip, way in enumerate(ways) for at in range(len(way))]
    stays = [stay_s if at == len(way) - 1 else 0 for way in ways for at in range(len(way))]
    return Timetable(
        agency="A",
        agency_url="https://example.org",
        timezone=ZONE,
        stop_ids=tuple(f"S{name}" for name in names),
        trips=Trips(
            trip_id=tuple(f"t{at}" for at in range(trips)),
            route_id=("r7",) * trips,
            short_name=("7",) * trips,
            direction=np.ones(trips, np.int64),
            service=np.zeros(trips, np.int64),
        ),
        visits=Visits(
            trip=np.repeat(np.arange(trips), [len(way) for way in ways]),
            stop=np.array([names.index(stop) for way in ways for stop in way]),
            arrival_s=np.array(arrivals),
            departure_s=np.array(arrivals) + np.array(stays),
        ),
        services=("s",),
        dates={date(2026, 1, 1): (0,)},
        lines=(LINE,),
    )


def test_scheduled_headways_are_those_around_the_moment() -> None:
    buses = [Bus(f"b{at}", 100 + 500 * at) for at in range(4)]
    schedule = schedule_of(timetable(), (LINE,), DAY_MS, DAY_MS + 86_400_000)
    found = headways_of(passages_of(fixes(told(buses)), LINE), ZoneInfo(ZONE), schedule=schedule)
    assert set(found.reference.tolist()) == {Reference.TIMETABLE}
    assert set(found.reference_s.tolist()) == {600.0}


def test_a_trip_of_the_timetable_knows_how_late_it_is() -> None:
    bus = Bus("b", 1_000, trip="t1")
    passages = with_schedule(passages_of(fixes(told([bus])), LINE), schedule_of(timetable(), (LINE,), DAY_MS, DAY_MS))
    for stop in range(7):
        meant_s = 600 + 120 * stop
        # At the last stop it lays over: what counts is that it came.
        moment_s = bus.departure_s[stop] if stop < 6 else bus.arrival_s[stop]
        assert passages.deviation_s[stop] == pytest.approx(meant_s - moment_s, abs=0.1)


def test_a_trip_that_the_timetable_does_not_know_has_no_deviation() -> None:
    passages = passages_of(fixes(told([Bus("b", 0, trip="x"), Bus("c", 500)])), LINE)
    found = with_schedule(passages, schedule_of(timetable(), (LINE,), DAY_MS, DAY_MS))
    assert np.isnan(found.deviation_s).all()


def test_what_the_vehicle_said_is_kept() -> None:
    passages = passages_of(fixes(told([Bus("b", 0, trip="t0", ahead_s=17)])), LINE)
    found = with_schedule(passages, schedule_of(timetable(), (LINE,), DAY_MS, DAY_MS))
    assert set(found.deviation_s.tolist()) == {17.0}


def test_outside_of_the_service_there_is_no_scheduled_headway() -> None:
    schedule = schedule_of(timetable(), (LINE,), DAY_MS, DAY_MS)
    moments = np.array([DAY_MS + 10 * 3_600_000, DAY_MS + 600_000])
    of_line = schedule.of(LINE)
    assert of_line is not None
    found = of_line.headways_s(np.zeros(2, np.int64), moments)
    assert np.isnan(found[0])
    assert found[1] == 600


def test_a_layover_at_the_last_stop_is_not_late() -> None:
    """The bus comes as planned and waits for an hour, and so does the timetable."""
    bus = Bus("b", 0, dwell_s=(20.0,) * 6 + (3600.0,), trip="t1")
    planned = timetable(stay_s=600)
    passages = with_schedule(passages_of(fixes(told([bus])), LINE), schedule_of(planned, (LINE,), DAY_MS, DAY_MS))
    assert passages.deviation_s[6] == pytest.approx(600 + 720 - bus.arrival_s[6], abs=0.1)
    (last,) = [one for one in punctuality(passages, ZoneInfo(ZONE), by_hour=True) if one.stop_id == "S6"]
    assert last.hour == 5


def test_a_trip_that_never_ran_costs_its_wait() -> None:
    """Six trips planned every 600 s, every other one is driven, as planned and by the vehicles' own word on time."""
    buses = [Bus(f"b{at}", 1200 * at, ahead_s=0) for at in range(3)]
    schedule = schedule_of(timetable(), (LINE,), DAY_MS, DAY_MS)
    found = headways_of(passages_of(fixes(told(buses)), LINE), ZoneInfo(ZONE), schedule=schedule)
    (line,) = summaries(found, by_stop=False)
    assert (line.reference, line.gaps, line.referenced) == ("timetable", 14, 14)
    assert line.reference_wait_s == pytest.approx(300)
    assert line.excess_wait_s == pytest.approx(300, abs=0.1)


def test_the_scheduled_wait_is_that_of_all_departures_between() -> None:
    """Planned 600 s apart; the third bus never came, and one of the others is late: nobody planned that."""
    schedule = schedule_of(timetable(), (LINE,), DAY_MS, DAY_MS)
    buses = [Bus(f"b{at}", leaves) for at, leaves in enumerate((0, 600, 1800, 2500, 3000))]
    found = headways_of(passages_of(fixes(told(buses)), LINE), ZoneInfo(ZONE), schedule=schedule)
    first = next(one for one in summaries(found) if one.stop_id == "S1")
    headways = np.array([600, 1200, 700, 500])
    assert first.wait_s == pytest.approx((headways**2).sum() / (2 * headways.sum()), abs=0.2)
    assert first.reference_wait_s == pytest.approx(300)
    assert len(found.planned.headway_s[found.planned.stop == 1]) == 5


def test_a_visit_belongs_to_its_place_in_the_way() -> None:
    loop = ["A", "B", "C", "D", "A"]
    assert places(loop, loop) == [0, 1, 2, 3, 4]
    assert places(["C", "D", "A"], loop) == [2, 3, 4]
    assert places(["A", "C", "X", "D"], loop) == [0, 2, -1, 3]
    assert places(["D", "C", "B"], ["A", "B"]) == [-1, -1, 1]


def test_how_much_of_a_line_the_timetable_knows_is_told() -> None:
    assert schedule_of(timetable(), (LINE,), DAY_MS, DAY_MS).share((LINE,)) == 1
    half = timetable(((0, 1, 2),) * 6)
    assert schedule_of(half, (LINE,), DAY_MS, DAY_MS).share((LINE,)) == pytest.approx(3 / 7)
    assert schedule_of(timetable(((0, 8, 9),) * 6), (LINE,), DAY_MS, DAY_MS).share((LINE,)) == 0
