"""A feeder trips: how soon the operator sees one incident, and how the page answers meanwhile.

    python bench/alarms.py                      1,000 alarms within a minute
    python bench/alarms.py --alarms 1000 --seconds 5

Everything is real and on this machine: embedded broker and store, the watching process, Chromium. The meters of one
district lose their voltage one after another; while they do, the incident's row is clicked, to unfold and to fold it.
A click's latency is from the browser's own time of it until the frame that follows is painted; "unfolded" is until the
newest alarms of the incident, asked of the server, are on the page.
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
from datetime import UTC, datetime
from pathlib import Path

from paho.mqtt import client as mqtt
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"
sys.path.insert(0, str(ROOT))

from tests.browser.chromium import launch  # noqa: E402 - found only after the line above

CLICKS = 20
LIMIT = "{network: power, quantity: voltage, unit: V, low: 198, deadband: 2, on_delay_s: 0, off_delay_s: 0}"
ROW = ".alarms [data-incident]"
# When the row appeared, when it told of all alarms, and what each click took.
WATCH = """() => {
  window.seen = {row: null};
  window.clicks = [];
  window.unfolded = [];
  const look = () => {
    if (window.seen.row === null && document.querySelector('.alarms [data-incident]')) window.seen.row = Date.now();
    requestAnimationFrame(look);
  };
  look();
  document.addEventListener('click', (event) => {
    const row = event.target.closest('[data-incident]');
    if (!row) return;
    const at = event.timeStamp;
    const opens = row.getAttribute('aria-expanded') === 'false';
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = () => window.clicks.push(performance.now() - at);
      channel.port2.postMessage(0);
    });
    const inside = () => {
      if (document.querySelector('.alarm-inside[data-alarm]')) window.unfolded.push(performance.now() - at);
      else requestAnimationFrame(inside);
    };
    if (opens) requestAnimationFrame(inside);
  }, true);
}"""


class City:
    """The whole of Markaz without a simulator, in processes of its own."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="markaz-bench-", ignore_cleanup_errors=True)
        self.http, self.mqtt = _free_port(), _free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MARKAZ_")},
            "MARKAZ_DATA_DIR": self._folder.name,
            "MARKAZ_HTTP__PORT": str(self.http),
            "MARKAZ_MQTT__PORT": str(self.mqtt),
            "MARKAZ_REDIS__PORT": str(_free_port()),
            "MARKAZ_SIMULATE": "0",
            "MARKAZ_ALARMS__SENSOR_THRESHOLD__LIMITS": f"[{LIMIT}]",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "markaz", "up"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                self.get("/readyz")
                return
            except OSError:
                time.sleep(0.3)
        self.stop()
        raise SystemExit("the city did not come up within 90 s")

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=10) as answer:
            return bytes(answer.read())

    def joined(self) -> int:
        """How many alarms are in the largest incident."""
        listed = json.loads(self.get("/api/v1/incidents"))["incidents"]
        return max((one["joined"] for one in listed), default=0)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)
        self._folder.cleanup()


class Feeder:
    """Meters that lose their voltage, evenly over a time."""

    def __init__(self, port: int, alarms: int, seconds: float) -> None:
        self.first_ms = self.last_ms = 0.0
        self._alarms, self._seconds = alarms, seconds
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="bench-feeder")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        begun = time.monotonic()
        for number in range(self._alarms):
            at = time.time()
            body = {
                "ts": datetime.fromtimestamp(at, UTC).isoformat(), "quantity": "voltage", "value": 180, "unit": "V",
                "network": "power", "lat": 41.2775, "lon": 69.2045,
            }  # fmt: skip
            self.first_ms, self.last_ms = self.first_ms or at * 1000, at * 1000
            self._client.publish(f"markaz/v1/tashkent/sensor/meter-{number:04}/reading", json.dumps(body), qos=1)
            time.sleep(max(0.0, begun + (number + 1) * self._seconds / self._alarms - time.monotonic()))

    def stop(self) -> None:
        self.thread.join()
        self._client.disconnect()
        self._client.loop_stop()


def measure(alarms: int, seconds: float) -> dict[str, float]:
    city = City()
    try:
        with sync_playwright() as playwright:
            page = launch(playwright).new_page(viewport={"width": 1920, "height": 1080})
            page.goto(f"http://127.0.0.1:{city.http}/?lang=en")
            page.wait_for_function("window.markaz && window.markaz.link() === 'live' && window.markaz.frames.vehicles")
            page.wait_for_function("document.querySelectorAll('path.mahalla').length > 0")
            page.wait_for_timeout(3000)
            page.evaluate(WATCH)
            feeder = Feeder(city.mqtt, alarms, seconds)
            feeder.thread.start()
            page.locator(ROW).first.wait_for(timeout=60_000)
            pause_ms = max(300.0, (seconds - 4) * 1000 / CLICKS)
            for _ in range(CLICKS):
                page.locator(f"{ROW} .alarm-title").first.click(force=True)
                page.wait_for_timeout(pause_ms)
            feeder.stop()
            while city.joined() < alarms and time.time() * 1000 < feeder.last_ms + 30_000:
                page.wait_for_timeout(50)
            all_ms = time.time() * 1000 - feeder.last_ms
            page.wait_for_timeout(1000)
            row_ms = page.evaluate("window.seen.row") - feeder.first_ms
            clicks, unfolded = sorted(page.evaluate("window.clicks")), sorted(page.evaluate("window.unfolded"))
            rows = page.locator(".alarms li").count()
        joined = city.joined()
    finally:
        city.stop()
    return {
        "alarms": alarms,
        "in_s": seconds,
        "joined": joined,
        "row_ms": round(row_ms),
        "all_ms": round(all_ms),
        "clicks": len(clicks),
        "p50_ms": round(statistics.median(clicks), 1),
        "max_ms": round(clicks[-1], 1),
        "unfold_p50": round(statistics.median(unfolded), 1),
        "unfold_max": round(unfolded[-1], 1),
        "rows": rows,
    }


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alarms", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60, help="within which they rise")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    about = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    runs = [measure(arguments.alarms, arguments.seconds) for _ in range(arguments.rounds)]
    print("".join(f"{name:>11}" for name in runs[0]))
    for run in runs:
        print("".join(f"{run[name]:>11}" for name in run))
    (RESULTS / "alarms.json").write_text(json.dumps({**about, "runs": runs}, indent=1))


if __name__ == "__main__":
    main()
