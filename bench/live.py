"""How long from publishing a position to its being painted, and whether the page stays the same size.

    python bench/live.py                    300 and 2,000 vehicles, publish → painted
    python bench/live.py --heap-minutes 15  the page's heap and DOM nodes under 2,000 vehicles

Everything is real and on this machine: the embedded broker and store, the simulator's whole load,
Chromium. A probe vehicle moves a few metres a message along a parallel, so that its place tells
which message is painted; publishing and painting are read from the same clock.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from paho.mqtt import client as mqtt
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
sys.path.insert(0, str(ROOT))

from tests.browser.chromium import launch  # noqa: E402 - found only after the line above

PROBE = "probe"
PROBE_LAT, PROBE_LON = 41.30, 69.20
STEP_DEG = 0.00006  # 5 m here: six steps of the frame's grid, and 25 m/s at five messages a second
PROBE_HZ = 5.0
WARM_UP_S = 20.0

# Records when each place of the probe was painted: the message is handled after the frame is out.
WATCH = """(probe) => {
  window.painted = [];
  const channel = new MessageChannel();
  channel.port1.onmessage = (event) => window.painted.push([event.data, performance.timeOrigin + performance.now()]);
  let last = null;
  window.markaz.on("drawn", () => {
    const vehicle = window.markaz.vehicleNow(probe);
    if (vehicle && vehicle.world[0] !== last) {
      last = vehicle.world[0];
      channel.port2.postMessage(last * 360 - 180);
    }
  });
}"""


class City:
    """The whole of Markaz with a simulated load, in processes of its own."""

    def __init__(self, vehicles: int, settings: Mapping[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="markaz-bench-", ignore_cleanup_errors=True)
        self.http, self.mqtt = _free_port(), _free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MARKAZ_")},
            "MARKAZ_DATA_DIR": self._folder.name,
            "MARKAZ_HTTP__PORT": str(self.http),
            "MARKAZ_MQTT__PORT": str(self.mqtt),
            "MARKAZ_REDIS__PORT": str(_free_port()),
            "MARKAZ_SIMULATE": "1",
            "MARKAZ_SIMULATOR__VEHICLES": str(vehicles),
            **(settings or {}),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "markaz", "up"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if self.vehicles() >= vehicles * 0.9:
                return
            time.sleep(0.5)
        self.stop()
        raise SystemExit(f"the city did not come up: {self.vehicles()} of {vehicles} vehicles after 90 s")

    def vehicles(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=5) as answer:
                words = answer.read().decode()
        except OSError:
            return 0
        return int(float(words.rpartition("markaz_vehicles_known ")[2].split()[0]))

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)
        self._folder.cleanup()


class Probe:
    """Publishes the probe's positions; knows when each was handed to the socket."""

    def __init__(self, port: int) -> None:
        self.published: list[float] = []
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="bench-probe")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            now = time.time()
            body = {
                "ts": datetime.fromtimestamp(now, UTC).isoformat(),
                "lat": PROBE_LAT,
                "lon": PROBE_LON + STEP_DEG * len(self.published),
                "bearing_deg": 90,
            }
            self.published.append(time.time() * 1000)
            self._client.publish(f"markaz/v1/tashkent/vehicle/{PROBE}/position", json.dumps(body), qos=1)
            # Not in step with the page's tick, or every message would meet it at the same point.
            due += 1 / PROBE_HZ + 0.0137
            self._stop.wait(max(0.0, due - time.monotonic()))


def latencies(published: list[float], painted: list[list[float]]) -> list[float]:
    """Milliseconds from publishing to painting of every message that was still to be painted.

    A frame that shows message n has painted all before it too: skipped ones count with its time.
    """
    found: list[float] = []
    done = 0
    for lon, at in painted:
        number = round((lon - PROBE_LON) / STEP_DEG)
        while done <= number < len(published):
            found.append(at - published[done])
            done += 1
    return found


def measure(vehicles: int, samples: int) -> dict[str, float]:
    city = City(vehicles)
    try:
        with sync_playwright() as playwright:
            page = open_page(playwright, city.http)
            page.wait_for_timeout(WARM_UP_S * 1000)
            page.evaluate(WATCH, PROBE)
            probe = Probe(city.mqtt)
            probe.start()
            while len(probe.published) < samples + 20:
                page.wait_for_timeout(500)
            probe.stop()
            page.wait_for_timeout(2000)
            # The first ones wait for the roster with the new vehicle; they say nothing of the steady state.
            times = latencies(probe.published, page.evaluate("window.painted"))[10:]
    finally:
        city.stop()
    times.sort()
    return {
        "vehicles": vehicles,
        "n": len(times),
        "p50_ms": round(statistics.median(times), 1),
        "p95_ms": round(times[int(len(times) * 0.95)], 1),
        "p99_ms": round(times[int(len(times) * 0.99)], 1),
        "max_ms": round(times[-1], 1),
    }


def heap(vehicles: int, minutes: float) -> list[dict[str, float]]:
    """Heap (after a collection) and DOM nodes of the page, each minute."""
    city = City(vehicles)
    rows = []
    try:
        with sync_playwright() as playwright:
            page = open_page(playwright, city.http)
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable")
            begin = time.monotonic()
            while (passed := (time.monotonic() - begin) / 60) <= minutes:
                session.send("HeapProfiler.collectGarbage")
                figures = {m["name"]: m["value"] for m in session.send("Performance.getMetrics")["metrics"]}
                elements = page.evaluate(
                    "document.querySelectorAll('*').length - document.querySelectorAll('.alarms *').length"
                )
                rows.append(
                    {
                        "minute": round(passed, 1),
                        "heap_mb": round(figures["JSHeapUsedSize"] / 1e6, 2),
                        "nodes": int(figures["Nodes"]),
                        "elements_without_alarms": elements,
                    }
                )
                print(json.dumps(rows[-1]), flush=True)
                page.wait_for_timeout(60_000)
    finally:
        city.stop()
    return rows


def open_page(playwright: object, port: int) -> Page:
    browser = launch(playwright)
    page = browser.new_page(viewport={"width": 1920, "height": 1080})
    page.goto(f"http://127.0.0.1:{port}/?lang=en")
    page.wait_for_function("window.markaz && window.markaz.link() === 'live' && window.markaz.frames.vehicles")
    return page


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vehicles", type=int, nargs="*", default=[300, 2000])
    parser.add_argument("--samples", type=int, default=300, help="messages of the probe a run")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each size, in turn")
    parser.add_argument("--heap-minutes", type=float, default=0, help="watch the page's size for so long instead")
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    if arguments.heap_minutes:
        rows = heap(max(arguments.vehicles), arguments.heap_minutes)
        (RESULTS / "heap.json").write_text(json.dumps({**about, "rows": rows}, indent=1))
        return
    runs = [measure(vehicles, arguments.samples) for _ in range(arguments.rounds) for vehicles in arguments.vehicles]
    print("".join(f"{name:>9}" for name in runs[0]))
    for run in runs:
        print("".join(f"{run[name]:>9}" for name in run))
    (RESULTS / "live.json").write_text(json.dumps({**about, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
