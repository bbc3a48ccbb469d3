"""Steps go by the city's clock, on the days that it is changed too: each is one, and begins when the clock shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest

from analysis.local_time import offsets
from analysis.queries.parts import bucket_ms
from city.history.engines import Engine, Parts

QUARTER_MS, HOUR_MS, DAY_MS = 900_000, 3_600_000, 86_400_000
MONDAY_MS = 3 * DAY_MS
DAYS = [
    ("Europe/Helsinki", "2026-03-29"),
    ("Europe/Helsinki", "2026-10-25"),
    ("Africa/Cairo", "2026-04-24"),  # has no midnight
    ("Africa/Cairo", "2026-10-29"),
    ("Asia/Tashkent", "2026-03-29"),
]


def wall_ms(zone: ZoneInfo, at_ms: int) -> int:
    at = datetime.fromtimestamp(at_ms / 1000, zone)
    return round(at.replace(tzinfo=UTC).timestamp() * 1000)


@pytest.fixture(params=["duckdb", "pyspark"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param)
    return found


def buckets(engine: Engine, times: list[int], every_s: int, zone: ZoneInfo) -> dict[int, int]:
    """Time → the beginning of its step, for a span of those times."""
    table = engine.table("times", Parts([], pa.table({"measured_ms": times})))
    clock = offsets(zone, times[0] - every_s * 1000, times[-1])
    found = engine.run(table.select("measured_ms", begin=bucket_ms(table.measured_ms, every_s, clock)))
    return dict(zip(found["measured_ms"].to_pylist(), found["begin"].to_pylist(), strict=True))


@pytest.mark.parametrize(("name", "day"), DAYS)
@pytest.mark.parametrize("every_s", [2700, 10_800, 21_600, 86_400, 604_800])
def test_a_step_begins_when_the_clock_first_shows_it(engine: Engine, name: str, day: str, every_s: int) -> None:
    zone = ZoneInfo(name)
    middle = round(datetime.fromisoformat(f"{day}T00:00:00Z").timestamp() * 1000)
    whole = range(middle - 16 * DAY_MS, middle + 9 * DAY_MS, QUARTER_MS)
    every_ms, week = every_s * 1000, MONDAY_MS if every_s == 604_800 else 0

    def step(at_ms: int) -> int:
        return (wall_ms(zone, at_ms) + week) // every_ms

    first: dict[int, int] = {}
    for at_ms in whole:
        first.setdefault(step(at_ms), at_ms)
    times = [at_ms for at_ms in whole if middle - 2 * DAY_MS <= at_ms < middle + 2 * DAY_MS]
    assert buckets(engine, times, every_s, zone) == {at_ms: first[step(at_ms)] for at_ms in times}


def test_the_hour_that_the_clock_shows_twice_is_two_steps(duckdb: Engine) -> None:
    middle = round(datetime(2026, 10, 25, tzinfo=UTC).timestamp() * 1000)
    times = [middle + number * QUARTER_MS for number in range(-20, 20)]
    found = buckets(duckdb, times, 3600, ZoneInfo("Europe/Helsinki"))
    assert found == {at_ms: at_ms - at_ms % HOUR_MS for at_ms in times}
