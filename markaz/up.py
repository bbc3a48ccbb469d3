"""`markaz up`: starts everything on this machine, keeps it running, stops it in order."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from city.config import Config
from markaz.child import Child, last_words
from markaz.embedded import HOST, MQTT_PORT, REDIS_PORT, Server, broker, store, with_urls
from markaz.live import lacks
from markaz.ports import choose_port, reachable
from markaz.running import AlreadyRunning, Running, data_directory, remove_note, take_lock, write_note

HTTP_PORT = 8050
_TICK_S = 0.1
_PROBE_EVERY_S = 0.25
# What a supervisor that was killed left behind: its store may still be writing.
_REMAINS_PATIENCE_S = 10.0
_SERVER_READY_S = 10.0
_SLOW_START_S = (20.0, 60.0, 180.0)
# The whole stop stays under ten seconds: feeding first, then who reads and writes, the state last.
_STOP_STAGES_S = ((("simulate",), 1.5), (("dashboard", "history", "alarms", "ingest"), 4.5), (("store", "broker"), 3.5))
# After so many ends in a row a child is only spoken of once a minute.
_TALKATIVE_FAILURES = 3
_REMIND_EVERY_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--simulate",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="feed the city from the simulator (default: the setting `simulate`)",
    )


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Everything until Ctrl-C or SIGTERM. Returns 0 also when it already runs: that is what was wanted."""
    if arguments.simulate is not None:
        config = config.model_copy(update={"simulate": arguments.simulate})
    directory = data_directory(config)
    with _stopping_signals() as stopping:
        try:
            lock = take_lock(directory, patience_s=_REMAINS_PATIENCE_S)
        except AlreadyRunning as already:
            return _say_already(already.by, directory)
        try:
            remove_note(directory)
            return Supervisor(config, arguments.config, directory, lock, stopping).run()
        finally:
            remove_note(directory)
            os.close(lock)


class Supervisor:
    """The embedded servers and the processes of one data directory. One thread, no state but theirs."""

    def __init__(self, config: Config, file: Path, directory: Path, lock: int, stopping: list[str]) -> None:
        self._directory = directory
        self._logs = directory / "log"
        self._lock = lock
        self._stopping = stopping  # signals seen
        self._began_s = time.monotonic()
        self._reminded_s: dict[str, float] = {}
        self._children: list[Child] = []

        http = choose_port(config.http.host, config.http.port, HTTP_PORT, "MARKAZ_HTTP__PORT")
        self._servers: list[Server] = []
        if config.redis.url == "embedded":
            port = choose_port(HOST, config.redis.port, REDIS_PORT, "MARKAZ_REDIS__PORT")
            self._servers.append(store(config, directory, port))
        if config.mqtt.url == "embedded":
            port = choose_port(HOST, config.mqtt.port, MQTT_PORT, "MARKAZ_MQTT__PORT")
            self._servers.append(broker(config, directory, port))
        urls = {server.name: server.url for server in self._servers}
        self._config = with_urls(config, urls.get("broker"), urls.get("store"))
        host = reachable(config.http.host)
        self._url = f"http://{f'[{host}]' if ':' in host else host}:{http}/"
        self._environ = child_environ(os.environ, self._config, file, directory, http)
        self._note = Running(
            pid=os.getpid(),
            city=config.city,
            started_at=datetime.now(UTC),
            http_url=self._url,
            mqtt_url=urls.get("broker"),
            redis_url=urls.get("store"),
        )

    def run(self) -> int:
        try:
            write_note(self._directory, self._note)
            if not self._start_servers():
                return 0 if self._stopping else 1
            self._start_processes()
            self._watch()
        finally:
            self._stop()
        return 0

    def _start_servers(self) -> bool:
        """False when one does not come up, or a signal came first."""
        say(f"Markaz for {self._config.profile.names.get('en', self._config.city)}, data in {_short(self._directory)}")
        for server in self._servers:
            # They end by SIGTERM with the supervisor, and so write what they still hold.
            child = Child(server.name, server.command, self._logs, keep_open=[self._lock], dies_by=signal.SIGTERM)
            child.start(time.monotonic())
            self._children.append(child)
        for server, child in zip(self._servers, list(self._children), strict=True):
            if not self._becomes_ready(server, child):
                return False
            say(f"  {server.name:<10} {HOST}:{server.port}")
        for name, url in (("broker", self._config.mqtt.url), ("store", self._config.redis.url)):
            if all(server.name != name for server in self._servers):
                say(f"  {name:<10} {without_secrets(url)}")
        return True

    def _becomes_ready(self, server: Server, child: Child) -> bool:
        deadline_s = time.monotonic() + _SERVER_READY_S
        while not self._stopping:
            readiness = server.readiness()
            if readiness == "ready":
                return True
            if readiness == "loading":
                # A long append-only file takes its time; it is alive and says so.
                deadline_s = time.monotonic() + _SERVER_READY_S
            if not child.alive or time.monotonic() > deadline_s:
                why = "ended" if not child.alive else f"does not answer after {_SERVER_READY_S:.0f} s"
                say(f"markaz: the embedded {server.name} {why}: {last_words(child.log)} (see {_short(child.log)})")
                return False
            time.sleep(0.02)
        return False

    def _start_processes(self) -> None:
        commands = [
            *ingest_commands(self._config),
            ("alarms", ["alarms"]),
            ("history", ["history"]),
            ("dashboard", ["dashboard"]),
            *([("simulate", ["simulate"])] if self._config.simulate else []),
        ]
        for name, words in commands:
            child = Child(name, [sys.executable, "-m", "markaz", *words], self._logs, environ=self._environ)
            child.start(time.monotonic())
            self._children.append(child)
        say(f"  started    {', '.join(name for name, _ in commands)}; logs in {_short(self._logs)}")

    def _watch(self) -> None:
        """Restart who ends, say when the map is live, until a signal comes."""
        live, next_probe_s, waiting = False, 0.0, list(_SLOW_START_S)
        while not self._stopping:
            now_s = time.monotonic()
            for child in self._children:
                code = child.restart_if_due(now_s)
                if code is not None:
                    self._say_ended(child, code, now_s)
            if not live and now_s >= next_probe_s:
                lacking = lacks(self._url, vehicles=self._config.simulate)
                live = lacking is None
                next_probe_s = time.monotonic() + _PROBE_EVERY_S
                if live:
                    say(f"Markaz is live: {self._url}")
                elif waiting and now_s - self._began_s > waiting[0]:
                    say(f"  still waiting after {waiting.pop(0):.0f} s: {lacking}")
            time.sleep(_TICK_S)

    def _say_ended(self, child: Child, code: int, now_s: float) -> None:
        reminded_s = self._reminded_s.get(child.name, float("-inf"))
        if child.failures > _TALKATIVE_FAILURES and now_s - reminded_s < _REMIND_EVERY_S:
            return
        self._reminded_s[child.name] = now_s
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with code {code}"
        # Who was killed had no time for last words: the last line would mislead.
        words = last_words(child.log) if code > 0 else ""
        say(f"  {child.name} ended {how}, starting it again{f': {words}' if words else ''}")

    def _stop(self) -> None:
        if not self._children:
            return
        say("Stopping …")
        signals_before = len(self._stopping)
        for names, patience_s in _STOP_STAGES_S:
            stage = [child for child in self._children if child.name.partition("-")[0] in names]
            for child in stage:
                child.send(signal.SIGTERM)
            deadline_s = time.monotonic() + patience_s
            while any(child.alive for child in stage):
                impatient = len(self._stopping) > signals_before
                if impatient or time.monotonic() > deadline_s:
                    for child in stage:
                        child.send(signal.SIGKILL)
                time.sleep(0.02)
        say("Stopped.")


def ingest_commands(config: Config) -> list[tuple[str, list[str]]]:
    """(name, words) of the ingest workers: one, or one a part, or so many on the shared subscription."""
    ingest = config.ingest
    workers = [str(number) for number in range(1, ingest.workers + 1)] if ingest.share else list(ingest.parts)
    if not workers:
        return [("ingest", ["ingest"])]
    return [(f"ingest-{worker}", ["ingest", "--worker", worker]) for worker in workers]


def child_environ(
    environ: Mapping[str, str], config: Config, file: Path, directory: Path, http_port: int
) -> dict[str, str]:
    """The environment of the processes: as ours, with the addresses that were chosen."""
    root = str(Path(__file__).resolve().parent.parent)
    changed = {
        "MARKAZ_CONFIG": str(file.resolve()),
        "MARKAZ_DATA_DIR": str(directory),
        "MARKAZ_HTTP__PORT": str(http_port),
        "MARKAZ_MQTT__URL": config.mqtt.url,
        "MARKAZ_MQTT__VERSION": config.mqtt.version,
        "MARKAZ_REDIS__URL": config.redis.url,
        # A checkout that is not installed works too.
        "PYTHONPATH": os.pathsep.join([root, *filter(None, [environ.get("PYTHONPATH")])]),
    }
    # An address from a file would come back over the one chosen.
    kept = {name: value for name, value in environ.items() if name.removesuffix("_FILE") not in changed}
    return kept | changed


def without_secrets(url: str) -> str:
    """An address as it may be shown: without user and password."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path.partition('?')[0]}"


def say(line: str) -> None:
    """A line for the person at the terminal. Nobody listening is no reason to leave the children alone."""
    with suppress(OSError, ValueError):
        print(line, flush=True)


def _say_already(by: Running | None, directory: Path) -> int:
    if by is None:
        say(f"markaz: something of an earlier start still runs on {_short(directory)}: try again in a moment")
        return 1
    since = by.started_at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    say(f"Markaz is already running for {by.city}: {by.http_url} (pid {by.pid}, since {since})")
    return 0


def _short(path: Path) -> str:
    with suppress(ValueError):
        return f"{path.relative_to(Path.cwd())}"
    return str(path)


@contextmanager
def _stopping_signals() -> Iterator[list[str]]:
    """A list that grows with every Ctrl-C, SIGTERM or closed terminal while the block runs."""
    seen: list[str] = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(signal.Signals(number).name)

    wanted: Sequence[signal.Signals] = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    # `nohup` means: stay when the terminal closes.
    wanted = [sign for sign in wanted if sign is not signal.SIGHUP or signal.getsignal(sign) is not signal.SIG_IGN]
    before = {sign: signal.signal(sign, note) for sign in wanted}
    try:
        yield seen
    finally:
        for sign, handler in before.items():
            signal.signal(sign, handler)
