"""A year of roll-ups measured: 402 mahallas and 12 districts by the quarter of an hour, as one file a day and as 24.

The rows are drawn by chance and written as the history process writes them; then questions about the whole year are
asked, the first time (every file is looked at) and warm.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import numpy as np  # noqa: E402 - found only after the line above
import pyarrow as pa  # noqa: E402
from history_city import CITY, DAY, ZONE  # noqa: E402

from analysis.queries.rollups import by_cell  # noqa: E402
from analysis.questions import Question, Shape, question  # noqa: E402
from city.archive.archive import Archive, Output  # noqa: E402
from city.archive.layout import WHOLE_DAY, Hour, hour_of  # noqa: E402
from city.areas import load_areas  # noqa: E402
from city.history.engines import DuckDb  # noqa: E402
from city.history.history import History  # noqa: E402
from city.rollups import SCHEMA, feed_of, made_of_day  # noqa: E402
from city.settings import Rollup  # noqa: E402
from dashboard.history_answers import answer  # noqa: E402

DAY_MS, HOUR_MS, STEP_MS = 86_400_000, 3_600_000, 900_000
BEGIN_MS = int(DAY.timestamp() * 1000)
CELLS = ("rows", "speed_moving")
_ROWS = 100  # positions behind a step and place
_RUNS = 5


def rolled(keys: list[str], from_ms: int, to_ms: int, rng: np.random.Generator) -> pa.Table:
    """Roll-up rows of a span, of every key, step and cell."""
    steps = np.arange(from_ms, to_ms, STEP_MS)
    count = len(keys) * len(steps)
    tables = []
    for cell in CELLS:
        sums = rng.gamma(4, 200, count)
        columns = {
            "measured_ms": np.tile(steps, len(keys)),
            "received_ms": np.tile(steps, len(keys)) + STEP_MS,
            "source": pa.repeat("position", count),
            "cell": pa.repeat(cell, count),
            "key": pa.array(keys).take(pa.array(np.repeat(np.arange(len(keys)), len(steps)))),
            "rows": np.full(count, _ROWS),
            "n": rng.integers(1, _ROWS, count),
            "sum": sums,
            "least": sums / 200,
            "greatest": sums / 50,
            "entities": rng.integers(1, 40, count),
            "late": np.zeros(count, dtype=bool),
        }
        tables.append(pa.table({name: columns[name] for name in SCHEMA.names}).cast(SCHEMA))
    return pa.concat_tables(tables)


def fill(archive: Archive, rollup: Rollup, keys: list[str], days: int, *, whole: bool) -> None:
    """Write the roll-up of so many days: a file a day, or an hour."""
    feed, rng = feed_of(rollup), np.random.default_rng(1)
    step_ms = DAY_MS if whole else HOUR_MS
    for from_ms in range(BEGIN_MS, BEGIN_MS + days * DAY_MS, DAY_MS):
        outputs = []
        for at_ms in range(from_ms, from_ms + DAY_MS, step_ms):
            hour = hour_of(feed, at_ms)
            made_of = (
                made_of_day({at_ms + h * HOUR_MS: {"position": _ROWS} for h in range(24)})
                if whole
                else {"position": _ROWS}
            )
            place = Hour(feed, hour.date, WHOLE_DAY) if whole else hour
            outputs.append(Output(place, by_cell(rolled(keys, at_ms, at_ms + step_ms, rng)), made_of))
        archive.publish("rollup", outputs)


def measure(root: Path, rollups: tuple[Rollup, ...], days: int, threads: int, memory_mb: int) -> None:
    """Ask about all days, and print what it took."""
    to_ms = BEGIN_MS + days * DAY_MS
    mahalla = load_areas(ROOT / "data" / CITY).mahallas[0].code

    def asked(**more: object) -> Question:
        return question(Question(from_ms=BEGIN_MS, to_ms=to_ms, measure="speed_mean", **more))  # type: ignore[arg-type]

    questions = {
        "by mahalla": asked(shape=Shape.AREAS, by="mahalla"),
        "by mahalla and day": asked(shape=Shape.AREAS, by="mahalla", every_s=86_400),
        "by district and day": asked(shape=Shape.AREAS, by="district", every_s=86_400),
        "the city by day": asked(shape=Shape.SERIES, every_s=86_400),
        "one mahalla by hour": asked(shape=Shape.SERIES, every_s=3600, mahallas=(mahalla,)),
        "by weekday and hour": asked(shape=Shape.HEAT),
    }
    began = time.perf_counter()
    history = History(Archive.open(str(root), CITY), DuckDb(threads=threads, memory_mb=memory_mb), None)
    print(f"  {'the log is read':32} {1000 * (time.perf_counter() - began):8.0f} ms")
    for what, one in questions.items():
        taken = []
        for _ in range(_RUNS + 1):
            began = time.perf_counter()
            found = answer(history, one, ZONE, rollups)
            taken.append(1000 * (time.perf_counter() - began))
        files = found.told.origin.files
        rows = found.table.num_rows
        told = f"first {taken[0]:8.0f} ms, then {statistics.median(taken[1:]):7.0f} ms"
        print(f"  {what:32} {told}   {rows:7} rows of {files} files, {found.told.rollup}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--hours", action="store_true", help="a file an hour in place of a day")
    parser.add_argument("--archive", type=Path, help="folder to keep it in, or that has one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory-mb", type=int, default=512)
    given = parser.parse_args()
    areas = load_areas(ROOT / "data" / CITY)
    rollups = (Rollup(by="mahalla", every_s=900), Rollup(by="district", every_s=900))
    keys = ([area.code for area in areas.mahallas], [area.code for area in areas.districts])
    with tempfile.TemporaryDirectory(prefix="markaz-bench-") as scratch:
        root = given.archive or Path(scratch)
        if not (root / CITY).exists():
            archive = Archive.open(str(root), CITY)
            for rollup, names in zip(rollups, keys, strict=True):
                fill(archive, rollup, names, given.days, whole=not given.hours)
        files = Archive.open(str(root), CITY).all_files()
        rows = sum(file.rows for file in files)
        print(f"{rows:,} rows in {len(files):,} files, {sum(file.bytes for file in files) / 1e6:,.0f} MB")
        measure(root, rollups, given.days, given.threads, given.memory_mb)


if __name__ == "__main__":
    main()
