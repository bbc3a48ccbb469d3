"""History measured: a day of 2,000 buses at five seconds, asked by area, by roll-up and by vehicle.

The archive's writer, its size, and the questions of analysts, each against the same work written by hand for the
engine, in plain pandas on the same files, in PostgreSQL with a BRIN index where its programs are there, and the scan of
the same columns as the floor. Medians of several runs, warm; one process, as many threads as the settings give it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import duckdb  # noqa: E402 - found only after the line above
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
import pyarrow.csv  # noqa: E402
from history_city import CITY, DAY, ZONE, make  # noqa: E402
from pyarrow import feather  # noqa: E402

from analysis.questions import Question, question_of  # noqa: E402
from city.archive.archive import Archive  # noqa: E402
from city.archive.columns import schema  # noqa: E402
from city.history.engines import DuckDb  # noqa: E402
from city.history.history import History  # noqa: E402
from city.settings import History as Settings  # noqa: E402
from city.settings import Rollup  # noqa: E402
from dashboard.history_answers import answer  # noqa: E402
from ingest.rollups import refresh_rollups  # noqa: E402

POSTGRES = Path("/usr/lib/postgresql/15/bin")
HOUR_MS = 3_600_000
BEGIN_MS = int(DAY.timestamp() * 1000)
_RUNS = 5
# As many rows as the archiver gives a commit under load.
_COMMIT_ROWS = 100_000
Row = dict[str, float | str]


def position_rows(table: pa.Table) -> pa.Table:
    """The simulated hour in the columns of the archive."""
    wanted = schema("position")
    columns = {}
    for field in wanted:
        if field.name in {"lat_e7", "lon_e7"}:
            degrees = table[field.name.removesuffix("_e7")]
            columns[field.name] = pc.round(pc.multiply(degrees, 1e7)).cast(field.type)
        elif field.name == "kind":
            columns[field.name] = pa.repeat("", len(table))
        elif field.name in table.column_names:
            columns[field.name] = table[field.name].cast(field.type)
        else:
            columns[field.name] = pa.nulls(len(table), field.type)
    return pa.table(columns, schema=wanted)


def fill(root: Path, made: Path, hours: int) -> list[Row]:
    """The archive of the made hours, and what writing it cost."""
    archive = Archive.open(str(root), CITY)
    rows, write_s, compact_s = 0, 0.0, 0.0
    for number in range(hours):
        table = position_rows(feather.read_table(made / f"{number:02}.arrow"))
        batches = table.combine_chunks().to_batches(max_chunksize=_COMMIT_ROWS)
        began = time.perf_counter()
        for at, batch in enumerate(batches):
            archive.append({"position": [batch]}, {"0": f"{BEGIN_MS + number * HOUR_MS + at}-0"})
        write_s += time.perf_counter() - began
        rows += len(table)
        began = time.perf_counter()
        archive.compact(files_max=1)
        compact_s += time.perf_counter() - began
    archive.sweep(0.0)
    files = archive.files("position", 0, 1 << 62)
    size = sum(file.bytes for file in files)
    return [
        {"what": "rows", "value": rows},
        {"what": "columns to committed Parquet", "value": round(rows / write_s), "unit": "rows/s"},
        {"what": "the same with compaction", "value": round(rows / (write_s + compact_s)), "unit": "rows/s"},
        {"what": "size", "value": round(size / rows, 2), "unit": "bytes a row"},
        {"what": "size", "value": round(size / 1e6), "unit": "MB"},
    ]


def together(*whats: Callable[[], Any], runs: int = _RUNS) -> list[tuple[float, Any]]:
    """(median seconds, the last result) of each, after one run that warms, in turn: noise meets all of them alike."""
    found = [what() for what in whats]
    taken: list[list[float]] = [[] for _ in whats]
    for _ in range(runs):
        for at, what in enumerate(whats):
            began = time.perf_counter()
            found[at] = what()
            taken[at].append(time.perf_counter() - began)
    return [(statistics.median(of_one), result) for of_one, result in zip(taken, found, strict=True)]


def asked(hours: int, **more: str) -> Question:
    """A question about all of the made hours."""
    to = f"{np.datetime64(BEGIN_MS + hours * HOUR_MS, 'ms')}Z"
    begin = f"{np.datetime64(BEGIN_MS, 'ms')}Z"
    return question_of("&".join(f"{name}={value}" for name, value in {"from": begin, "to": to, **more}.items()))


def measure(root: Path, hours: int, threads: int, memory_mb: int, vehicle: str) -> list[Row]:
    """The questions on the archive; memory is this process's own."""
    archive = Archive.open(str(root), CITY)
    history = History(archive, DuckDb(threads=threads, memory_mb=memory_mb), None)
    rollups = (Rollup(by="mahalla", every_s=900),)
    urls = [file.url for file in archive.files("position", 0, 1 << 62)]
    by_hand = duckdb.connect(config={"threads": threads, "memory_limit": f"{memory_mb}MB"})
    to_ms = BEGIN_MS + hours * HOUR_MS

    def hand(sql: str, *values: object) -> Callable[[], pa.Table]:
        return lambda: by_hand.sql(sql, params=[urls, *values]).to_arrow_table()

    by_area = asked(hours, shape="areas", every="15min", measure="speed_mean")
    counted = asked(hours, shape="areas", every="15min")
    track = asked(hours, shape="track", vehicle=vehicle, limit="20000")
    page = asked(hours, shape="rows", limit="100")
    fastest = asked(hours, shape="rows", limit="100", order="-speed_mps")
    found: list[Row] = []

    def note(what: str, work: Callable[[], Any]) -> Any:
        return notes({what: work})[0]

    def notes(works: dict[str, Callable[[], Any]]) -> list[Any]:
        answers = []
        for what, (took_s, result) in zip(works, together(*works.values()), strict=True):
            found.append({"what": what, "value": round(took_s * 1000, 1), "unit": "ms"})
            print(f"  {what:60} {took_s * 1000:10.1f} ms", file=sys.stderr, flush=True)
            answers.append(result)
        return answers

    ours, theirs, _ = notes(
        {
            "speed by mahalla and 15 min, rows": lambda: answer(history, by_area, ZONE, ()),
            "the same, written by hand": hand(
                "SELECT measured_ms - measured_ms % 900000 AS bucket_ms, mahalla, "
                "avg(speed_mps) FILTER (WHERE speed_mps > 0.5) AS value, count(*) AS rows FROM read_parquet($1) "
                "WHERE measured_ms >= $2 AND measured_ms < $3 GROUP BY ALL ORDER BY bucket_ms, mahalla NULLS LAST",
                BEGIN_MS,
                to_ms,
            ),
            "scan of its columns: the floor": hand(
                "SELECT max(measured_ms), max(speed_mps), max(mahalla) FROM read_parquet($1)"
            ),
        }
    )
    _must_agree(ours.table, theirs)
    notes(
        {
            "rows by mahalla and 15 min, rows": lambda: answer(history, counted, ZONE, ()),
            "the same count, written by hand": hand(
                "SELECT measured_ms - measured_ms % 900000 AS bucket_ms, mahalla, count(*) AS value, count(*) AS rows "
                "FROM read_parquet($1) WHERE measured_ms >= $2 AND measured_ms < $3 GROUP BY ALL "
                "ORDER BY bucket_ms, mahalla NULLS LAST",
                BEGIN_MS,
                to_ms,
            ),
        }
    )
    notes(
        {
            "one vehicle's day": lambda: answer(history, track, ZONE, ()),
            "the same day, written by hand": hand(
                f"SELECT * FROM read_parquet($1) WHERE vehicle_id = '{vehicle}' ORDER BY measured_ms"
            ),
        }
    )
    note("the first page of all rows", lambda: answer(history, page, ZONE, ()))
    note("the fastest hundred of all rows", lambda: answer(history, fastest, ZONE, ()))
    note(
        "distinct vehicles by mahalla and 15 min, rows",
        lambda: answer(history, asked(hours, shape="areas", every="15min", measure="vehicles"), ZONE, ()),
    )
    began = time.perf_counter()
    made = refresh_rollups(archive, history, rollups, to_ms + HOUR_MS)
    found.append(
        {"what": "roll-ups made", "value": round((time.perf_counter() - began) / made, 3), "unit": "s an hour"}
    )
    rolled = note("speed by mahalla and 15 min, roll-up", lambda: answer(history, by_area, ZONE, rollups))
    assert rolled.told.rollup is not None
    _must_agree(rolled.table, theirs)
    found.append({"what": "memory at most", "value": round(peak_mb()), "unit": "MB"})
    history.close()
    return found


def peak_mb() -> float:
    """Megabytes that this process had in memory at most, since it began as a program of its own."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def measure_apart(root: Path, hours: int, threads: int, vehicle: str) -> list[Row]:
    """`measure` in a process that has done nothing before."""
    asked_for = json.dumps([str(root), hours, threads, Settings().query_memory_mb, vehicle])
    out = subprocess.run(
        [sys.executable, __file__, "--measure", asked_for], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found: list[Row] = json.loads(out.splitlines()[-1])
    return found


def _must_agree(ours: pa.Table, theirs: pa.Table) -> None:
    """Answers are compared before their times are."""
    left, right = ours.to_pandas(), theirs.to_pandas()
    assert len(left) == len(right)
    assert (left["rows"].to_numpy() == right["rows"].to_numpy()).all()
    assert np.allclose(left["value"].astype(float), right["value"].astype(float), rtol=1e-9, equal_nan=True)


def in_pandas(root: Path) -> list[Row]:
    """The same table in plain pandas, file by file, in a process of its own for its memory."""
    code = (
        "import sys,time,pandas as pd\n"
        "began=time.perf_counter()\n"
        "parts=[]\n"
        "for path in sys.argv[1:]:\n"
        "    f=pd.read_parquet(path,columns=['measured_ms','mahalla','speed_mps'])\n"
        "    f['bucket_ms']=f.measured_ms//900000*900000\n"
        "    f['moving']=f.speed_mps.where(f.speed_mps>0.5)\n"
        "    parts.append(f.groupby(['bucket_ms','mahalla'],dropna=False).agg(s=('moving','sum'),n=('moving','count'),"
        "rows=('measured_ms','size')))\n"
        "g=pd.concat(parts).groupby(level=[0,1],dropna=False).sum()\n"
        "g['value']=g.s/g.n\n"
        "peak=int(open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])/1024\n"
        "print(len(g),time.perf_counter()-began,peak)\n"
    )
    urls = [file.url for file in Archive.open(str(root), CITY).files("position", 0, 1 << 62)]
    out = subprocess.run([sys.executable, "-c", code, *urls], check=True, capture_output=True, text=True).stdout.split()
    return [
        {"what": "speed by mahalla and 15 min, plain pandas", "value": round(float(out[1]) * 1000), "unit": "ms"},
        {"what": "memory of pandas", "value": round(float(out[2])), "unit": "MB"},
    ]


def in_postgres(made: Path, hours: int, folder: Path) -> list[Row]:
    """The same rows in PostgreSQL with a BRIN index on time; only the columns that are asked for."""
    if not (POSTGRES / "postgres").exists():
        return [{"what": "PostgreSQL 15", "value": "its programs are not here"}]
    run_as = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []
    data, socket = folder / "data", folder
    if run_as:
        folder.chmod(0o777)
        for parent in folder.parents:
            if not os.access(parent, os.X_OK):
                return [{"what": "PostgreSQL 15", "value": "cannot reach the folder"}]

    def call(*command: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*run_as, *command], check=True, capture_output=True, text=True, **more)

    call(str(POSTGRES / "initdb"), "-D", str(data), "-A", "trust", "-U", "bench", "--no-sync")
    options = (
        f"-c listen_addresses='' -c unix_socket_directories={socket} -c shared_buffers=512MB -c work_mem=256MB "
        "-c fsync=off -c max_wal_size=8GB -c jit=off -c max_parallel_workers_per_gather=2"
    )
    call(str(POSTGRES / "pg_ctl"), "-D", str(data), "-o", options, "-w", "-l", str(folder / "log"), "start")
    psql = [str(POSTGRES / "psql"), "-h", str(socket), "-U", "bench", "-d", "postgres", "-qAt", "-v", "ON_ERROR_STOP=1"]
    try:
        call(
            *psql,
            "-c",
            "CREATE UNLOGGED TABLE position (measured_ms bigint, vehicle_id text, lat double precision, "
            "lon double precision, speed_mps real, route text, district text, mahalla text)",
        )
        names = ["measured_ms", "vehicle_id", "lat", "lon", "speed_mps", "route", "district", "mahalla"]
        began, rows = time.perf_counter(), 0
        for number in range(hours):
            table = feather.read_table(made / f"{number:02}.arrow", columns=names)
            rows += len(table)
            text = pa.BufferOutputStream()
            pa.csv.write_csv(table.select(names), text, pa.csv.WriteOptions(include_header=False))
            call(*psql, "-c", "COPY position FROM STDIN CSV", input=text.getvalue().to_pybytes().decode())
        copied_s = time.perf_counter() - began
        call(*psql, "-c", "CREATE INDEX ON position USING brin (measured_ms)")
        call(*psql, "-c", "CREATE INDEX ON position USING brin (vehicle_id)")
        call(*psql, "-c", "ANALYZE position")
        to_ms = BEGIN_MS + hours * HOUR_MS
        sql = (
            "SELECT count(*) FROM (SELECT measured_ms/900000, mahalla, avg(speed_mps) FILTER (WHERE speed_mps > 0.5), "
            f"count(*) FROM position WHERE measured_ms >= {BEGIN_MS} AND measured_ms < {to_ms} GROUP BY 1, 2) x"
        )
        ((took_s, _),) = together(lambda: call(*psql, "-c", sql), runs=3)
        size = call(*psql, "-c", "SELECT pg_total_relation_size('position')").stdout
        return [
            {"what": "speed by mahalla and 15 min, PostgreSQL 15 BRIN", "value": round(took_s * 1000), "unit": "ms"},
            {"what": "PostgreSQL COPY", "value": round(rows / copied_s), "unit": "rows/s"},
            {"what": "PostgreSQL size", "value": round(int(size) / rows, 1), "unit": "bytes a row"},
        ]
    finally:
        call(str(POSTGRES / "pg_ctl"), "-D", str(data), "-m", "immediate", "stop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one hour in place of a day")
    parser.add_argument("--made", type=Path, help="folder of hours made before, or to keep them in")
    parser.add_argument("--archive", type=Path, help="folder to keep the archive in, or that has one")
    parser.add_argument("--threads", type=int, default=Settings().query_threads)
    parser.add_argument("--without-postgres", action="store_true")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        root, hours, threads, memory_mb, vehicle = json.loads(given.measure)
        print(json.dumps(measure(Path(root), hours, threads, memory_mb, vehicle)))
        return
    hours = 1 if given.quick else 24
    with tempfile.TemporaryDirectory(prefix="markaz-bench-") as name:
        scratch = Path(name)
        made, root = given.made or scratch / "made", given.archive or scratch / "archive"
        make(made, 2000, hours)
        found: list[Row] = []
        if not (root / CITY).exists():
            found += fill(root, made, hours)
        vehicle = feather.read_table(made / "00.arrow", columns=["vehicle_id"])["vehicle_id"][7].as_py()
        found += measure_apart(root, hours, given.threads, vehicle)
        found += in_pandas(root)
        if not given.without_postgres:
            folder = scratch / "postgres"
            folder.mkdir()
            scratch.chmod(0o755)
            found += in_postgres(made, hours, folder)
    for row in found:
        print(f"{row['what']:62} {row['value']:>12} {row.get('unit', '')}")
    results = ROOT / "bench" / "results"
    results.mkdir(exist_ok=True)
    at = time.strftime("%Y%m%dT%H%M%S")
    (results / f"history-{at}.json").write_text(
        json.dumps({"hours": hours, "threads": given.threads, "cpus": os.cpu_count(), "rows": found}, indent=1)
    )
    if shutil.which("free"):
        print(f"{os.cpu_count()} cores, {given.threads} thread(s) a question, pandas {pd.__version__}")


if __name__ == "__main__":
    main()
