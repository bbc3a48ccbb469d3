"""The supervisor with its real parts: a live city in one command, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import msgspec
import pytest

from markaz.embedded import redis_readiness
from markaz.running import Running

ROOT = Path(__file__).parents[2]
LIVE_WITHIN_S = 60.0  # installed, on a slow machine
pytestmark = pytest.mark.integration


def until(condition: Callable[[], object], patience_s: float) -> bool:
    deadline_s = time.monotonic() + patience_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.1)
    return bool(condition())


def below(directory: Path) -> list[str]:
    """Command lines of processes whose environment or arguments name the directory (Linux)."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
            if str(directory).encode() in words and int(process.name) != os.getpid():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


class City:
    """`markaz up` on a directory of its own, with a small simulated city."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.data = directory / "var"
        self.output = directory / "up.out"
        self.environ = {name: value for name, value in os.environ.items() if not name.startswith("MARKAZ_")}
        self.environ |= {
            "MARKAZ_CONFIG": str(directory / "config.yaml"),
            "MARKAZ_DATA_DIR": str(self.data),
            "MARKAZ_SIMULATE": "1",
            "MARKAZ_SIMULATOR__VEHICLES": "20",
            "MARKAZ_SIMULATOR__CAMERAS": "10",
            "PYTHONPATH": str(ROOT),
        }
        shutil.copy(ROOT / "config.yaml", directory / "config.yaml")
        (directory / "data").symlink_to(ROOT / "data")
        self.process: subprocess.Popen[bytes] | None = None

    def markaz(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "markaz", *words],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self) -> None:
        with self.output.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "markaz", "up"],
                env=self.environ,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
            )

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def note(self) -> Running:
        return msgspec.json.decode((self.data / "run.json").read_bytes(), type=Running)

    def end(self, sign: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(sign)
        return self.process.wait(timeout=15)


@pytest.fixture
def city(tmp_path: Path) -> Iterator[City]:
    city = City(tmp_path)
    yield city
    if city.process is not None and city.process.poll() is None:
        city.end(signal.SIGTERM)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are looked for in /proc")
@pytest.mark.timeout(180)
def test_a_city_comes_to_life_is_named_to_a_second_start_heals_and_leaves_nothing(city: City) -> None:
    """One long story, because starting a city takes seconds: live, second start, a killed store, stop."""
    city.start()
    assert until(lambda: "Markaz is live: " in city.said(), LIVE_WITHIN_S), city.said()
    note = city.note()
    assert f"Markaz is live: {note.http_url}\n" in city.said()
    with urlopen(f"{note.http_url}api/v1/vehicles?limit=1", timeout=5) as answer:
        assert json.load(answer)

    second = city.markaz("up")
    assert second.returncode == 0
    assert f"already running for tashkent: {note.http_url} (pid {note.pid}, since " in second.stdout

    checked = city.markaz("check")
    assert checked.returncode == 0, checked.stdout
    assert re.search(
        r"^ok +store +redis://127\.0\.0\.1:\d+/0 answers; \d+ MB of \d+ MB in use", checked.stdout, re.MULTILINE
    )
    assert re.search(r"^ok +broker +mqtt://127\.0\.0\.1:\d+ answers$", checked.stdout, re.MULTILINE)

    assert note.redis_url is not None
    port = int(note.redis_url.rpartition(":")[2].partition("/")[0])
    (store,) = [int(line) for line in _pids_of("valkey-server", city.process)]
    os.kill(store, signal.SIGKILL)
    assert until(lambda: "store ended by SIGKILL" in city.said(), 10)
    assert until(lambda: redis_readiness("127.0.0.1", port) == "ready", 15), "the store is not back on its port"

    began_s = time.monotonic()
    assert city.end(signal.SIGTERM) == 0
    assert time.monotonic() - began_s < 10.5
    assert city.said().endswith("Stopping …\nStopped.\n")
    assert until(lambda: not below(city.directory), 2), below(city.directory)
    assert not (city.data / "run.json").exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_a_killed_supervisor_leaves_nothing_and_the_next_start_takes_over(city: City) -> None:
    city.start()
    assert until(lambda: "started" in city.said(), LIVE_WITHIN_S), city.said()
    city.end(signal.SIGKILL)
    city.start()
    assert until(lambda: city.said().count("  started ") == 2, LIVE_WITHIN_S), city.said()
    assert city.end(signal.SIGINT) == 0
    assert until(lambda: not below(city.directory), 5), below(city.directory)


@pytest.mark.parametrize("variable", ["MARKAZ_HTTP__PORT", "MARKAZ_MQTT__PORT", "MARKAZ_REDIS__PORT"])
def test_a_given_port_that_is_taken_ends_the_start_with_code_2(variable: str, city: City) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        city.environ[variable] = str(port)
        done = city.markaz("up")
    assert done.returncode == 2
    assert done.stderr.startswith(f"markaz: {variable}: port {port} is taken")
    assert done.stderr.count("\n") == 1
    assert not (city.data / "run.json").exists()


def test_a_broker_that_cannot_start_is_told_with_its_last_words(city: City) -> None:
    """Its folder is a file."""
    (city.data / "broker" / "jetstream").parent.mkdir(parents=True)
    (city.data / "broker" / "jetstream").write_text("in the way")
    done = city.markaz("up")
    assert done.returncode == 1
    assert "markaz: the embedded broker ended: " in done.stdout
    assert "Stopped." in done.stdout


def _pids_of(name: str, supervisor: subprocess.Popen[bytes] | None) -> list[str]:
    assert supervisor is not None
    out = subprocess.run(
        ["ps", "-o", "pid=,comm=", "--ppid", str(supervisor.pid)], capture_output=True, text=True, check=True
    )
    return [line.split()[0] for line in out.stdout.splitlines() if name in line]
