"""Whether the live map feels that analysts are at work: publish → painted, idle and beside four of them, in turn.

    python bench/analysts.py                      300 and 2,000 vehicles, a day of 2,000 buses in the archive
    python bench/analysts.py --vehicles 300 --hours 2 --rounds 1

One city is up for the whole measurement (`bench.live`), with an archive that was filled beforehand; each round has a
stretch without analysts and one with four, who ask one question after another without a pause. No two questions are
alike, so none is answered from memory.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
sys.path.insert(0, str(ROOT))

from bench.history_city import DAY  # noqa: E402 - found only after the line above
from bench.live import WARM_UP_S, WATCH, City, Probe, latencies, open_page  # noqa: E402
from bench.replay import archived  # noqa: E402

ANALYSTS = 4
# What analysts ask, from light to heavy; `from` and `to` are filled in.
ASKED: tuple[dict[str, str], ...] = (
    {"shape": "areas", "by": "mahalla", "measure": "speed_mean", "every": "15min"},
    {"shape": "series", "measure": "vehicles"},
    {"shape": "top", "by": "vehicle", "measure": "count"},
    {"shape": "distribution", "measure": "speed_mean"},
    {"shape": "heat", "measure": "count"},
    {"shape": "rows", "limit": "1000"},
)


class Analysts:
    """Four who ask without a pause, as four browsers would; `busy` lets them go on."""

    def __init__(self, http: int, hours: int) -> None:
        self.answered = self.refused = 0
        self.took_s: list[float] = []
        self.busy = threading.Event()
        self._http, self._hours = http, hours
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(ANALYSTS)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._stop.set()
        self.busy.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self) -> None:
        while True:
            self.busy.wait()
            if self._stop.is_set():
                return
            number = next(self._numbers)
            # Another second each time: nobody has asked for this span.
            begin = DAY + timedelta(seconds=number % 3000)
            span = {"from": begin.isoformat(), "to": (begin + timedelta(hours=self._hours, seconds=-3000)).isoformat()}
            asked = {"feed": "position", **span, **ASKED[number % len(ASKED)]}
            url = f"http://127.0.0.1:{self._http}/api/v1/history/query?{urllib.parse.urlencode(asked)}"
            since = time.monotonic()
            try:
                with urllib.request.urlopen(url, timeout=120) as answer:
                    answer.read()
            except urllib.error.HTTPError as error:
                if error.code not in {429, 503}:
                    raise SystemExit(f"{url}: {error.code} {error.read()[:300]!r}") from error
                self.refused += 1
                time.sleep(0.2)
            else:
                self.answered += 1
                self.took_s.append(time.monotonic() - since)


def measure(vehicles: int, hours: int, samples: int, rounds: int, archive: Path) -> list[dict[str, Any]]:
    """A row a stretch."""
    city = City(vehicles, {"MARKAZ_HISTORY__URL": str(archive)})
    analysts = Analysts(city.http, hours)
    found: list[dict[str, Any]] = []
    try:
        with sync_playwright() as playwright:
            page = open_page(playwright, city.http)
            page.wait_for_timeout(WARM_UP_S * 1000)
            page.evaluate(WATCH, "probe")
            for number in range(rounds):
                for busy in (False, True):
                    if busy:
                        analysts.busy.set()
                    else:
                        analysts.busy.clear()
                    page.wait_for_timeout(5_000)
                    before, since = (analysts.answered, analysts.refused), time.monotonic()
                    page.evaluate("window.painted.length = 0")
                    probe = Probe(city.mqtt)
                    probe.start()
                    while len(probe.published) < samples + 20:
                        page.wait_for_timeout(500)
                    probe.stop()
                    page.wait_for_timeout(1500)
                    times = sorted(latencies(probe.published, page.evaluate("window.painted"))[10:])
                    took_s = analysts.took_s[before[0] :]
                    found.append(
                        {
                            "vehicles": vehicles,
                            "round": number + 1,
                            "analysts": ANALYSTS if busy else 0,
                            "n": len(times),
                            "p50_ms": round(statistics.median(times), 1),
                            "p99_ms": round(times[int(len(times) * 0.99)], 1),
                            "max_ms": round(times[-1], 1),
                            "answered": analysts.answered - before[0],
                            "refused": analysts.refused - before[1],
                            "a_minute": round((analysts.answered - before[0]) * 60 / (time.monotonic() - since), 1),
                            "answer_p50_s": round(statistics.median(took_s), 2) if took_s else 0.0,
                        }
                    )
                    print("".join(f"{value!s:>13}" for value in found[-1].values()), flush=True)
                    analysts.busy.clear()
    finally:
        analysts.close()
        city.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vehicles", type=int, nargs="*", default=[300, 2000])
    parser.add_argument("--hours", type=int, default=24, help="of 2,000 buses in the archive")
    parser.add_argument("--samples", type=int, default=300, help="messages of the probe a stretch")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="markaz-analysts-") as folder:
        rows = archived(Path(folder), 2000, given.hours)
        print(f"{rows:,} rows in the archive")
        print("vehicles round analysts n p50_ms p99_ms max_ms answered refused a_minute answer_p50_s")
        runs = [
            row
            for vehicles in given.vehicles
            for row in measure(vehicles, given.hours, given.samples, given.rounds, Path(folder))
        ]
    for vehicles in given.vehicles:
        mine = [run for run in runs if run["vehicles"] == vehicles]
        idle = statistics.median([run["p99_ms"] for run in mine if not run["analysts"]])
        beside = statistics.median([run["p99_ms"] for run in mine if run["analysts"]])
        print(f"{vehicles} vehicles: p99 {idle} ms idle, {beside} ms beside analysts: {beside / idle:.2f} times")
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "rows": rows,
    }
    (RESULTS / "analysts.json").write_text(json.dumps({**about, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
