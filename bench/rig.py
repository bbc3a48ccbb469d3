"""What a measurement needs around it: broker, store, receivers and publishers as processes, and their counts.

Every process is started here on a free port of its own, with its data in a temporary folder, and ended here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "integration")]

from servers import Mosquitto, Server, Valkey, free_port, wait_until  # noqa: E402 - found only after the line above

from city.config import load_config  # noqa: E402
from city.events import Facet  # noqa: E402
from city.store import Store  # noqa: E402
from markaz import embedded  # noqa: E402

# One figure, or word, a column.
Row = dict[str, float | str]

NODERED = ROOT / "bench" / "peers" / "nodered"
MOSQUITTO_AUTOSAVE_S = 1800  # its own default
VEHICLES = 2000
# A receiver that stores nothing more for so long is taken to have lost the rest.
STUCK_S = 15.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Seconds of processor time of a process so far, its children not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def rss_mb(pid: int) -> float:
    """Megabytes of a process in memory."""
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


class Process:
    """A process of a measurement; what it says on standard error goes to its log."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        self.connected_at = 0.0  # epoch seconds, as its log told
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=out, text=True
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for(self, text: str) -> float:
        """Until the log has it; returns when that was, in epoch seconds."""
        wait_until(lambda: self._alive() and text in self.log.read_text(errors="replace"), timeout_s=30, what=text)
        return time.time()

    def line(self) -> str:
        """The next line of its standard output; "" when it has ended."""
        return _pipe(self._process.stdout).readline()

    def enter(self) -> None:
        """Give it an empty line."""
        pipe = _pipe(self._process.stdin)
        pipe.write("\n")
        pipe.flush()

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def _alive(self) -> bool:
        if self._process.poll() is not None:
            raise SystemExit(f"a process ended by itself:\n{self.log.read_text(errors='replace')[-2000:]}")
        return True


class Published(NamedTuple):
    """What the publisher did; times in epoch seconds."""

    begin: float
    end: float
    sent: int
    acknowledged: int


class Load:
    """`bench/load.py` with its packets made, waiting to begin."""

    def __init__(self, process: Process) -> None:
        self._process = process
        if process.line().strip() != "ready":
            raise SystemExit(f"the publisher does not start:\n{process.log.read_text()[-2000:]}")
        self.pid = process.pid

    def go(self) -> None:
        self._process.enter()

    def told(self) -> Published:
        """Waits for its end."""
        told = json.loads(self._process.line())
        self._process.stop()
        return Published(told["begin"], told["end"], told["sent"], told["acknowledged"])


class Counted(NamedTuple):
    """What became of all messages, by the store's counters."""

    received: int
    stored: int
    late: int
    rejected: int


class Rig:
    """One broker and one store, and what is started on them."""

    def __init__(self, broker: Server, store_server: Server, folder: Path, environment: Mapping[str, str]) -> None:
        self.broker = broker
        self.store_server = store_server
        self._folder = folder
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("MARKAZ_")},
            "MARKAZ_DATA_DIR": str(folder),
            "MARKAZ_MQTT__URL": f"mqtt://127.0.0.1:{broker.port}",
            "MARKAZ_REDIS__URL": f"redis://127.0.0.1:{store_server.port}/0",
            **environment,
        }
        settings = {name: value for name, value in self._environment.items() if name.startswith("MARKAZ_")}
        self.store = Store.of(load_config(ROOT / "config.yaml", settings))
        self._processes: list[Process] = []

    def close(self) -> None:
        for process in self._processes:
            process.stop()
        self.store.close()

    # --- processes --------------------------------------------------------------------------------

    def start(self, subject: str, expected: int) -> Process:
        """A receiver that is connected: bare (ends after `expected` messages), lean, paho or nodered."""
        if subject == "bare":
            return self._bare(expected)
        return self._nodered() if subject == "nodered" else self.worker(client=subject)

    def worker(self, name: str | None = None, *, client: str = "lean", **environment: str) -> Process:
        """`markaz ingest`, subscribed."""
        command = [sys.executable, "-m", "markaz", "ingest", "--config", str(ROOT / "config.yaml")]
        command += ["--worker", name] if name else []
        process = self._run(command, {"MARKAZ_INGEST__CLIENT": client, **environment})
        process.wait_for('"subscribed"')
        told = [json.loads(line) for line in process.log.read_text().splitlines() if '"connected"' in line]
        process.connected_at = datetime.fromisoformat(told[0]["at"]).timestamp()
        return process

    def load(
        self,
        messages: int,
        *,
        prefix: str = "bus-",
        seed: int = 1,
        rate: float = 0,
        ago_s: float = 0,
        stamp: bool = False,
    ) -> Load:
        """A publisher that is ready; `rate` in messages a second, 0: as fast as the broker takes them."""
        command = [sys.executable, str(ROOT / "bench" / "load.py"), "--wait", "--port", str(self.broker.port)]
        command += ["--messages", str(messages), "--prefix", prefix, "--seed", str(seed)]
        command += ["--rate", str(rate), "--ago", str(ago_s), *(["--stamp"] if stamp else [])]
        return Load(self._run(command, {}))

    def publish(self, messages: int, *, prefix: str, seed: int) -> Published:
        """Publish and wait until the broker has all."""
        load = self.load(messages, prefix=prefix, seed=seed)
        load.go()
        return load.told()

    def _bare(self, expected: int) -> Process:
        command = [sys.executable, str(ROOT / "bench" / "bare.py"), "--port", str(self.broker.port)]
        process = self._run([*command, "--messages", str(expected)], {})
        if process.line().strip() != "ready":
            raise SystemExit(f"the bare reader does not start:\n{process.log.read_text()[-2000:]}")
        return process

    def _nodered(self) -> Process:
        # Node-RED looks for modules below its user directory, and writes there.
        home = self._folder / "nodered"
        home.mkdir(exist_ok=True)
        for name in ("package.json", "node_modules"):
            if not (home / name).exists():
                (home / name).symlink_to(NODERED / name)
        command = ["node", str(NODERED / "node_modules" / "node-red" / "red.js")]
        command += ["--userDir", str(home), "--settings", str(NODERED / "settings.js")]
        ports = {
            "MQTT_PORT": str(self.broker.port),
            "REDIS_PORT": str(self.store_server.port),
            "UI_PORT": str(free_port()),
            "GEO_DIR": str(ROOT / "data" / "tashkent"),
        }
        process = self._run(command, ports, both_to_log=True)
        process.connected_at = process.wait_for("Connected to broker")
        time.sleep(0.5)  # it subscribes a moment later and does not tell
        return process

    def _run(self, command: list[str], environment: Mapping[str, str], *, both_to_log: bool = False) -> Process:
        log = self._folder / f"process-{len(self._processes)}.log"
        if both_to_log:
            command = ["sh", "-c", 'exec "$@" >&2', "sh", *command]
        process = Process(command, {**self._environment, **environment}, log)
        self._processes.append(process)
        return process

    # --- counts -----------------------------------------------------------------------------------

    def counted(self) -> Counted:
        feeds = self.store.counts()
        return Counted(
            sum(one.received for one in feeds),
            sum(one.stored for one in feeds),
            sum(one.late for one in feeds),
            sum(sum(one.rejected.values()) for one in feeds),
        )

    def wait_received(self, messages: int, every_s: float = 0.05) -> None:
        """Until the store has counted so many, or nothing has come for `STUCK_S`."""
        before, since = -1, time.monotonic()
        while (now := self.counted().received) < messages and time.monotonic() - since < STUCK_S:
            if now != before:
                before, since = now, time.monotonic()
            time.sleep(every_s)

    def last_write(self) -> float:
        """When the store last wrote events, in epoch seconds, by its own clock."""
        return max(_entry_s(tip) for tip in self.store.tips().values())

    def audit(self) -> dict[str, int]:
        """Reads every stored event again: how many, how many twice, and whose latest is not its newest."""
        cursors = dict.fromkeys(range(self.store.keys.partitions), "0-0")
        seen: set[tuple[str, int]] = set()
        newest: dict[str, int] = {}
        events = 0
        while entries := self.store.read_events(cursors, block_ms=1, facets=(Facet.POSITION,)):
            for entry in entries:
                for event, _ in entry.events:
                    events += 1
                    seen.add((event.key, event.measured_ms))
                    newest[event.key] = max(newest.get(event.key, 0), event.measured_ms)
        latest = {event.key: event.measured_ms for event in self.store.latest(Facet.POSITION)}
        return {
            "events": events,
            "doubled": events - len(seen),
            "stale": sum(latest.get(key) != at for key, at in newest.items()),
        }


@contextmanager
def rig(kind: str, **environment: str) -> Iterator[Rig]:
    """A running broker and store: `mosquitto` with Valkey, or `embedded` (what `markaz up` starts)."""
    with ExitStack() as stack:
        folder = Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="markaz-bench-", ignore_cleanup_errors=True))
        )
        broker, store = _servers(kind, folder)
        for server in (broker, store):
            server.start()
            stack.callback(server.kill)
        if kind == "embedded":
            wait_until(lambda: embedded.mqtt_readiness("127.0.0.1", broker.port) == "ready", what="NATS")
            environment = {"MARKAZ_MQTT__VERSION": "3.1.1", **environment}
        found = Rig(broker, store, folder, environment)
        stack.callback(found.close)
        yield found


def _servers(kind: str, folder: Path) -> tuple[Server, Server]:
    if kind == "embedded":
        config = load_config(ROOT / "config.yaml", {})
        wanted = (embedded.broker(config, folder, free_port()), embedded.store(config, folder, free_port()))
        broker, store = (Server(one.command, one.port, folder / one.name) for one in wanted)
        return broker, store
    for name in ("broker", "store"):
        (folder / name).mkdir()
    autosave_s = 1 if kind == "mosquitto-saving" else MOSQUITTO_AUTOSAVE_S
    return Mosquitto(folder / "broker", autosave_s), Valkey(folder / "store")


def pid_of(server: Server) -> int:
    """The process of a test server, which keeps it to itself."""
    process = server._process
    assert process is not None
    return process.pid


def nodered_missing() -> str | None:
    """Why Node-RED cannot be measured; installs its packages when they are not there yet."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    if not (NODERED / "node_modules" / "node-red").exists():
        print("installing Node-RED …", flush=True)
        done = subprocess.run(["npm", "ci"], check=False, cwd=NODERED, capture_output=True, text=True)
        if done.returncode:
            return f"npm ci failed: {done.stderr.strip()[-200:]}"
    return None


def _entry_s(entry_id: str) -> float:
    return int(entry_id.partition("-")[0]) / 1000


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe
