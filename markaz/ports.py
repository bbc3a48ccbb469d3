"""TCP ports of this machine: which one to take, and who has it already."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path

from city.config import ConfigError

# How many ports after the usual one are tried before giving up.
_NEXT_PORTS = 100
_CONNECT_TIMEOUT_S = 0.5


def choose_port(host: str, given: int | None, usual: int, variable: str) -> int:
    """The port to listen on: the given one or an error, else the usual or the next free one."""
    if given is not None:
        if not is_free(host, given):
            who = listener_of(given)
            raise ConfigError(f"{variable}: port {given} is taken{f' by {who}' if who else ''}")
        return given
    for port in range(usual, usual + _NEXT_PORTS):
        if is_free(host, port):
            return port
    raise ConfigError(f"no free port between {usual} and {usual + _NEXT_PORTS - 1}: set {variable}")


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen on `host:port` now; raises ConfigError for a host that is not ours."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ConfigError(f"http.host: {host}: {error.strerror}") from None
    # Somewhere a listener on all addresses lets a second one take 127.0.0.1: ask it first.
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(_CONNECT_TIMEOUT_S)
        if client.connect_ex((reachable(host), port)) == 0:
            return False
    with socket.socket(family, socket.SOCK_STREAM) as server:
        # Connections of a server stopped a moment ago must not keep its port from us.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(address)
        except PermissionError:
            raise ConfigError(f"port {port} may not be taken by this user") from None
        except OSError:
            return False
    return True


def reachable(host: str) -> str:
    """The address to ask a server at that listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def listener_of(port: int) -> str | None:
    """Name and process id of who listens on a TCP port, as far as this user may see it (Linux)."""
    inodes = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                listening = fields[3] == "0A"
                if listening and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{fields[9]}]")
    if not inodes:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if any(str(descriptor.readlink()) in inodes for descriptor in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None
