"""How soon a replay starts at any moment of a day, and how many frames a second the browser draws of it.

    python bench/replay.py                     24 hours of 2,000 vehicles every 5 s (35 million positions)
    python bench/replay.py --hours 3           less of it
    python bench/replay.py --no-browser        the server's part alone

Positions are the simulator's own (bench/history_city.py), written by `city.archive`; store, dashboard and Chromium are
real and on this machine. Each start is at a random moment of an hour that the replay's process does not have in memory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench.history_city import CITY, DAY, hours  # noqa: E402 - found only after the line above
from city.archive.archive import Archive  # noqa: E402
from city.archive.columns import schema  # noqa: E402
from city.events import Facet  # noqa: E402
from tests.browser.chromium import launch  # noqa: E402

DAY_MS = int(DAY.timestamp() * 1000)
HOUR_MS = 3_600_000
SPEED = 60
# Counts the browser's own frames, and those of them in which the city was painted anew.
COUNT = """(seconds) => new Promise((done) => {
  const frames = [];
  let drawn = 0;
  const off = window.markaz.on("drawn", () => drawn++);
  const begin = performance.now();
  const tick = (at) => {
    frames.push(at);
    if (at - begin < seconds * 1000) requestAnimationFrame(tick);
    else {
      off();
      const gaps = frames.slice(1).map((one, n) => one - frames[n]).sort((a, b) => a - b);
      done({frames: frames.length / seconds, drawn: drawn / seconds, p50: gaps[gaps.length >> 1],
            p99: gaps[Math.floor(gaps.length * 0.99)], vehicles: window.markaz.replay.state().vehicles});
    }
  };
  requestAnimationFrame(tick);
})"""
# Milliseconds until another moment is drawn.
JUMP = """(ms) => new Promise((done) => {
  const begin = performance.now();
  window.markaz.replay.seek(ms);
  const look = () => window.markaz.replay.state().ready ? done(performance.now() - begin) : setTimeout(look, 10);
  setTimeout(look, 10);
})"""


def archived(folder: Path, vehicles: int, count: int) -> int:
    """An archive of `count` hours in `folder`, unless it is there; how many positions."""
    archive = Archive.open(str(folder), CITY)
    if not archive.all_files():
        for number, table in enumerate(hours(vehicles, count)):
            archive.append({Facet.POSITION.value: as_archived(table).to_batches()}, {})
            print(f"hour {number + 1} of {count} written", flush=True)
    return sum(file.rows for file in archive.all_files())


def as_archived(table: pa.Table) -> pa.Table:
    """The rows in the archive's columns."""
    columns = []
    for field in schema(Facet.POSITION.value):
        if field.name in {"lat_e7", "lon_e7"}:
            degrees = table.column(field.name.removesuffix("_e7")).to_numpy()
            columns.append(pa.array(np.round(degrees * 1e7).astype(np.int32)))
        elif field.name in table.schema.names:
            columns.append(table.column(field.name).combine_chunks().cast(field.type))
        elif field.nullable:
            columns.append(pa.nulls(len(table), field.type))
        else:
            columns.append(pa.array([""] * len(table), field.type))
    return pa.Table.from_arrays(columns, schema=schema(Facet.POSITION.value))


@contextmanager
def dashboard(history: Path, data: Path) -> Iterator[int]:
    """Store, broker, history and dashboard on ports of their own; gives the dashboard's."""
    http = free_port()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MARKAZ_")},
        "MARKAZ_DATA_DIR": str(data),
        "MARKAZ_HISTORY__URL": str(history),
        "MARKAZ_HTTP__PORT": str(http),
        "MARKAZ_MQTT__PORT": str(free_port()),
        "MARKAZ_REDIS__PORT": str(free_port()),
        "MARKAZ_SIMULATE": "0",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "markaz", "up"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{http}/readyz", timeout=2).close()
                break
            except OSError:
                time.sleep(0.3)
        yield http
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(http: int, path: str, **query: object) -> tuple[float, bytes]:
    """Seconds until the whole answer was there, and the answer."""
    url = f"http://127.0.0.1:{http}/api/v1/replay{path}?{urllib.parse.urlencode(query)}"
    began = time.monotonic()
    with urllib.request.urlopen(url, timeout=60) as answer:
        body = answer.read()
    return time.monotonic() - began, body


def rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat()


def starts(http: int, count: int, tries: int) -> dict[str, float]:
    """From a question to the first chunk at random moments, cold and in an hour that is in memory, in seconds."""
    rng = random.Random(1)
    cold, warm = [], []
    # Every other hour, in any order: neither it nor the hour before is in memory.
    odd = list(range(1, max(2, count), 2))
    for hour in rng.sample(odd, min(tries, len(odd))):
        moment = DAY_MS + hour * HOUR_MS + rng.randrange(HOUR_MS - 600_000)
        cold.append(get(http, "/chunk", at=rfc3339(moment), seconds=300, every=10)[0])
        warm.append(get(http, "/chunk", at=rfc3339(moment + 300_000), seconds=300, every=10)[0])
    return {
        "cold_p50_s": round(statistics.median(cold), 3),
        "cold_max_s": round(max(cold), 3),
        "warm_p50_s": round(statistics.median(warm), 3),
        "warm_max_s": round(max(warm), 3),
    }


def in_browser(http: int, count: int, seconds: float, size: tuple[int, int]) -> dict[str, Any]:
    """From opening a link to the first moving frame, and frames a second at ×60."""
    moment = DAY_MS + (count // 2) * HOUR_MS + 1_234_000
    link = f"http://127.0.0.1:{http}/replay?lang=en&at={urllib.parse.quote(rfc3339(moment))}&speed={SPEED}&play=1"
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": size[0], "height": size[1]})
        began = time.monotonic()
        page.goto(link)
        page.wait_for_function("window.markaz && window.markaz.replay && window.markaz.replay.state().vehicles > 0")
        opened = time.monotonic() - began
        page.wait_for_timeout(2000)
        found: dict[str, Any] = page.evaluate(COUNT, seconds)
        jump = page.evaluate(JUMP, moment + 2 * HOUR_MS)
        browser.close()
    return {**found, "opened_s": round(opened, 2), "jump_s": round(jump / 1000, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--vehicles", type=int, default=2000)
    parser.add_argument("--starts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=20, help="of counting frames")
    parser.add_argument("--folder", type=Path, help="keeps the archive for the next time")
    parser.add_argument("--no-browser", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="markaz-bench-", ignore_cleanup_errors=True) as scratch:
        folder = given.folder or Path(scratch) / "history"
        rows = archived(folder, given.vehicles, given.hours)
        print(f"{rows:,} positions of {given.vehicles:,} vehicles in {given.hours} h")
        with dashboard(folder, Path(scratch)) as http:
            first, _ = get(http, "")
            print(f"first question, with the process started: {first:.2f} s")
            print(json.dumps(starts(http, given.hours, given.starts)))
            if not given.no_browser:
                print(json.dumps(in_browser(http, given.hours, given.seconds, (1920, 1080))))


if __name__ == "__main__":
    main()
