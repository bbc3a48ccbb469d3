"""A whole city of its own for the browser tests: every real part, without the simulator."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as mqtt
from playwright.sync_api import Page, sync_playwright
from servers import free_port

from tests.browser.chromium import executable, launch

ROOT = Path(__file__).resolve().parents[2]
START_WITHIN_S = 60


class City:
    """`markaz up` on ports of its own, and a publisher to it."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.http, mqtt_port, self.redis = free_port(), free_port(), free_port()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MARKAZ_")},
            "MARKAZ_DATA_DIR": str(folder),
            "MARKAZ_HTTP__PORT": str(self.http),
            "MARKAZ_MQTT__PORT": str(mqtt_port),
            "MARKAZ_REDIS__PORT": str(self.redis),
            "MARKAZ_SIMULATE": "0",
            **settings,
        }
        with (folder / "up.txt").open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "markaz", "up"], cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        deadline = time.monotonic() + START_WITHIN_S
        while not self._ready():
            if time.monotonic() > deadline or self._process.poll() is not None:
                self.stop()
                raise RuntimeError(f"the city did not start:\n{(folder / 'up.txt').read_text()}")
            time.sleep(0.2)
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="browser-test")
        self._client.connect("127.0.0.1", mqtt_port)
        self._client.loop_start()

    def url(self, path: str = "/?lang=en") -> str:
        return f"http://127.0.0.1:{self.http}{path}"

    def publish(self, topic: str, payload: bytes | dict[str, Any]) -> None:
        """Publish below `markaz/v1/tashkent/` and wait until the broker has it."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._client.publish(f"markaz/v1/tashkent/{topic}", body, qos=1).wait_for_publish(10)

    def position(self, vehicle: str, lat: float, lon: float, ago_s: float = 0, **more: Any) -> None:
        self.publish(f"vehicle/{vehicle}/position", {"ts": now(ago_s), "lat": lat, "lon": lon, **more})

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url(path), timeout=10) as answer:
            return json.load(answer)

    def store_pid(self) -> int:
        """The embedded store's process, to be treated badly."""
        with socket.create_connection(("127.0.0.1", self.redis), timeout=5) as connection:
            connection.sendall(b"INFO server\r\n")
            text = connection.recv(65536).decode()
        return int(text.partition("process_id:")[2].split()[0])

    def dashboard_pid(self) -> int:
        """The process that serves the pages, found by its command and its port."""
        wanted = f"MARKAZ_HTTP__PORT={self.http}".encode()
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().split(b"\0")
                if b"dashboard" in command and wanted in (folder / "environ").read_bytes().split(b"\0"):
                    return int(folder.name)
            except OSError:
                continue  # it has just ended, or is somebody else's
        raise RuntimeError("no dashboard of this city runs")

    def stop(self) -> None:
        if hasattr(self, "_client"):
            self._client.disconnect()
            self._client.loop_stop()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url("/readyz"), timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def now(ago_s: float = 0) -> str:
    return datetime.fromtimestamp(time.time() - ago_s, UTC).isoformat()


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    started = City(tmp_path_factory.mktemp("city"))
    yield started
    started.stop()


# Not for the whole session: while Playwright runs, other tests cannot run an event loop of their own.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if executable() is None:
        pytest.fail("no Chromium found: `make test` installs it; or set CHROMIUM")
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


class Watched:
    """A page that remembers what it asked for and what went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)

    def open(self, url: str) -> Page:
        self.page.goto(url)
        self.page.wait_for_function("window.markaz && window.markaz.link() === 'live'", timeout=20_000)
        return self.page


@pytest.fixture
def watched(browser: Any) -> Iterator[Watched]:
    context = browser.new_context(viewport={"width": 1920, "height": 1080})
    yield Watched(context.new_page())
    context.close()
