"""A question is answered from rows, day by day, as from all rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from analysis.transit.headways import HeadwaySummary
from analysis.transit.od import OdRefused
from analysis.transit.study import City, TransitQuestion, What, answer, days
from city.transit import Transit
from tests.unit.analysis.transit.planted import BACK, DAY_MS, LINE, Bus, table, told

CITY = City(lines=(LINE, BACK), zone=ZoneInfo("Asia/Tashkent"), settings=Transit())
HOUR_MS = 3_600_000


class Archive:
    """Rows in memory; which days were asked for is kept."""

    def __init__(self, **feeds: list[dict[str, object]]) -> None:
        self.feeds = {name: table(rows) for name, rows in feeds.items()}
        self.asked: list[tuple[str, int, int]] = []

    def __call__(
        self, feed: str, from_ms: int, to_ms: int, columns: Sequence[str], *, routes: Sequence[str] = (),
        vehicles: Sequence[str] = (),
    ) -> pa.Table:  # fmt: skip
        self.asked.append((feed, from_ms, to_ms))
        rows = self.feeds.get(feed, table([{"measured_ms": 0, "vehicle_id": "none", "route": "none"}]))
        wanted = pc.and_(pc.greater_equal(rows["measured_ms"], from_ms), pc.less(rows["measured_ms"], to_ms))
        if routes:
            wanted = pc.and_(wanted, pc.is_in(rows["route"], pa.array(routes)))
        if vehicles:
            wanted = pc.and_(wanted, pc.is_in(rows["vehicle_id"], pa.array(vehicles)))
        rows = rows.filter(wanted)
        for name in columns:
            if name not in rows.column_names:
                rows = rows.append_column(name, pa.nulls(len(rows)))
        return rows.select(list(columns))


def asked(what: What, **more: object) -> TransitQuestion:
    fields = {"what": what, "route": "7", "from_ms": DAY_MS, "to_ms": DAY_MS + 3 * 24 * HOUR_MS, **more}
    return TransitQuestion(**fields)  # type: ignore[arg-type]


def test_days_are_cut_where_service_begins() -> None:
    """3:00 in Tashkent is 22:00 UTC."""
    cuts = days(DAY_MS, DAY_MS + 48 * HOUR_MS, CITY)
    assert cuts == [
        (DAY_MS, DAY_MS + 22 * HOUR_MS),
        (DAY_MS + 22 * HOUR_MS, DAY_MS + 46 * HOUR_MS),
        (DAY_MS + 46 * HOUR_MS, DAY_MS + 48 * HOUR_MS),
    ]
    assert days(DAY_MS, DAY_MS + HOUR_MS, CITY) == [(DAY_MS, DAY_MS + HOUR_MS)]


def test_several_days_are_one_answer() -> None:
    buses = [Bus(f"b{day}{at}", day * 86_400 + 600.0 * at) for day in range(3) for at in range(5)]
    archive = Archive(position=told(buses))
    found = answer(asked(What.HEADWAYS, by_stop=False, direction=1), CITY, archive)
    (row,) = found.rows
    assert isinstance(row, HeadwaySummary)
    assert (row.count, row.p50_s) == (3 * 4 * 7, pytest.approx(600, abs=0.2))
    assert (found.runs, found.passages, found.estimated) == (15, 105, 0)
    assert len(archive.asked) == 4


@pytest.mark.parametrize("what", list(What))
def test_every_question_is_answered_also_without_rows(what: What) -> None:
    found = answer(asked(what), CITY, Archive())
    assert found.rows == ()
    assert found.runs == 0


def test_progress_rises_to_one() -> None:
    told_shares: list[float] = []
    answer(asked(What.DWELL), CITY, Archive(position=told([Bus("b", 0)])), told_shares.append)
    assert told_shares == sorted(told_shares)
    assert told_shares[-1] == 1


def test_an_estimate_that_counts_do_not_allow_is_refused_in_words() -> None:
    found = answer(asked(What.OD, direction=1), CITY, Archive(position=told([Bus("b", 0)])))
    (refused,) = found.refused
    assert isinstance(refused, OdRefused)
    assert (refused.reason, found.coverage) == ("coverage", 0)


def test_load_takes_the_counts_of_the_vehicles_of_the_route() -> None:
    bus = Bus("b", 0)
    counts = [
        {"vehicle_id": "b", "measured_ms": DAY_MS + round(bus.departure_s[1] * 1000), "boarded": 6, "alighted": 0}
    ]
    counts.append({**counts[0], "vehicle_id": "other"})
    found = answer(asked(What.LOAD, direction=1), CITY, Archive(position=told([bus]), passengers=counts))
    (row,) = found.rows
    assert (row.stop_id, row.boarded) == ("S1", 6)  # type: ignore[attr-defined]
    assert found.coverage == pytest.approx(1 / 7)


def test_fuel_is_of_shifts_on_the_route() -> None:
    bus = Bus("b", 0)
    rows = [{**row, "speed_mps": 10.0} for row in told([bus])]
    fuel = [
        {"vehicle_id": "b", "measured_ms": DAY_MS + second * 1000, "level_l": None, "used_l": 100 + second / 1000}
        for second in range(0, 900, 60)
    ]
    found = answer(asked(What.FUEL), CITY, Archive(position=rows, fuel=fuel))
    (row,) = found.rows
    assert row.vehicle_id == "b"  # type: ignore[attr-defined]
    assert row.litres == pytest.approx(0.84)  # type: ignore[attr-defined]


def test_a_run_over_the_beginning_of_a_service_day_is_one_run() -> None:
    """3:00 in Tashkent, 22:00 UTC: one bus on its way, one standing at a stop."""
    cut_s = 22 * 3600
    buses = [Bus("a", cut_s - 300), Bus("b", cut_s - 600, dwell_s=(20, 20, 20, 900, 20, 20, 20))]
    found = answer(asked(What.TRIPS, direction=1), CITY, Archive(position=told(buses)))
    assert (found.runs, found.passages) == (2, 14)
    gaps = answer(asked(What.HEADWAYS, direction=1, by_stop=False), CITY, Archive(position=told(buses)))
    assert gaps.rows[0].count == 7  # type: ignore[attr-defined]


def test_sundays_are_not_held_against_workdays() -> None:
    """Every ten minutes on Friday, every twenty on Sunday: no gap on either."""
    friday_s, sunday_s = 86_400, 3 * 86_400  # 2 and 4 January 2026
    buses = [Bus(f"f{at}", friday_s + 600.0 * at) for at in range(18)]
    buses += [Bus(f"s{at}", sunday_s + 1200.0 * at) for at in range(9)]
    span = asked(What.HEADWAYS, direction=1, by_stop=False, to_ms=DAY_MS + 5 * 24 * HOUR_MS)
    (row,) = answer(span, CITY, Archive(position=told(buses))).rows
    assert isinstance(row, HeadwaySummary)
    assert (row.reference, row.gaps, row.bunched, row.pauses) == ("usual", 0, 0, 7)


def test_travel_times_between_any_two_stops() -> None:
    bus = Bus("b", 0)
    found = answer(asked(What.TRAVEL_TIMES, from_stop="S1", to_stop="S5"), CITY, Archive(position=told([bus])))
    (row,) = found.rows
    assert (row.from_stop, row.to_stop, row.direction) == ("S1", "S5", 1)  # type: ignore[attr-defined]
    assert row.p50_s == pytest.approx(bus.arrival_s[5] - bus.departure_s[1], abs=0.5)  # type: ignore[attr-defined]
    places = asked(What.TRAVEL_TIMES, from_place=1, to_place=5, direction=1)
    assert answer(places, CITY, Archive(position=told([bus]))).rows == (row,)
    back = asked(What.TRAVEL_TIMES, from_stop="S1", to_stop="nowhere")
    assert answer(back, CITY, Archive(position=told([bus]))).rows == ()


def test_fuel_is_told_by_vehicle_shift_or_route_with_what_stands_out() -> None:
    """Nine vehicles, two shifts each; one shift of one takes half more."""
    positions, fuel = [], []
    for at in range(9):
        for shift, leaves_s in enumerate((0, 10_000)):
            bus = Bus(f"b{at}", leaves_s, back=shift == 1)
            rows = [{**row, "speed_mps": 10.0} for row in told([bus])]
            positions += rows
            rate = 100.0 if (at, shift) == (4, 1) else 40.0 + 0.2 * at
            fuel += [
                {"vehicle_id": f"b{at}", "measured_ms": DAY_MS + (leaves_s + second) * 1000, "level_l": None,
                 "used_l": 100.0 + 3 * shift + second * rate / 12_500}
                for second in range(0, 900, 60)
            ]  # fmt: skip
    archive = Archive(position=positions, fuel=fuel)
    shifts_of = answer(asked(What.FUEL, by_stop=False, by_hour=True), CITY, archive)
    assert len(shifts_of.rows) == 18
    (odd,) = shifts_of.outliers
    assert (odd.use.vehicle_id, odd.use.shifts, odd.count) == ("b4", 1, 18)  # type: ignore[attr-defined]
    (route,) = answer(asked(What.FUEL, by_stop=False), CITY, archive).rows
    assert (route.route, route.vehicle_id, route.shifts) == ("7", None, 18)  # type: ignore[attr-defined]
    assert len(answer(asked(What.FUEL), CITY, archive).rows) == 9
