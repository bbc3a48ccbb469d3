"""The connections to Redis: one server or a cluster, ordinary commands and scripts under way.

This is the only module that imports redis. Scripts are sent without waiting for the answer, so
that a worker prepares the next batch while the store writes this one; each node of a cluster has
its own connection, and answers come in the order of sending.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.exceptions import (
    AskError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

_CONNECT_TIMEOUT_S = 2.0
# A node's socket takes a whole batch at once, so that sending it does not wait for the store.
_SEND_BUFFER_BYTES = 4 << 20
# Stores that are loading, read-only, full, moved, or that forbid us something, are mended or mend themselves.
_PASSING = (
    AskError,
    ClusterDownError,
    NoPermissionError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    TryAgainError,
)
_PASSING_WORDS = ("MISCONF", "NOREPLICAS", "BUSY")


class StoreDown(Exception):
    """The store cannot be reached now; trying again later may work."""


class StoreRefused(Exception):
    """The store answered an error; trying the same again will not help."""


class Call(NamedTuple):
    """One run of a script. All keys are in one slot."""

    script: bytes
    keys: list[str]
    arguments: list[Any]


class Durability(NamedTuple):
    """Who must have a write before it counts as done, beside the memory of the node itself."""

    disk: bool = False  # its append-only file, synced (WAITAOF); False: its memory
    replicas: int = 0  # so many of its replicas too
    timeout_s: float = 5.0


IN_MEMORY = Durability()


class Link:
    """The clients of one store. Every method raises StoreDown or StoreRefused."""

    def __init__(self, url: str, *, password: str | None, timeout_s: float, durability: Durability = IN_MEMORY) -> None:
        self.clustered = urlsplit(url).scheme in {"redis-cluster", "rediss-cluster"}
        self._url = url
        self._password = password
        self._timeout_s = timeout_s
        self._durability = durability
        self._client: Any = None
        self._wires: dict[str, Any] = {}  # node → the connection that its scripts go through

    @property
    def client(self) -> Any:
        """redis.Redis or RedisCluster; a cluster is asked for its nodes at first use."""
        if self._client is None:
            self._client = self._cluster() if self.clustered else self._single()
        return self._client

    def close(self) -> None:
        self.hang_up()
        if self._client is not None:
            self._client.close()

    def run(self, call: Callable[[Any], Any]) -> Any:
        """What `call(client)` answers."""
        try:
            return call(self.client)
        except (RedisError, OSError) as error:
            raise self._told(error) from error

    def together(self, fill: Callable[[Any], None], *, transaction: bool = False) -> list[Any]:
        """The answers of the commands that `fill(pipeline)` gives, in one round trip."""

        def ask(client: Any) -> Any:
            pipe = client.pipeline(transaction=transaction)
            fill(pipe)
            return pipe.execute()

        answers: list[Any] = self.run(ask)
        return answers

    # --- scripts --------------------------------------------------------------------------------

    def send(self, calls: Sequence[Call]) -> Pending:
        """Put calls on their way; raises StoreDown when a node cannot take them."""
        by_wire: dict[str, list[int]] = {}
        try:
            for at, call in enumerate(calls):
                by_wire.setdefault(self._node_of(call.keys[0]), []).append(at)
            parts: list[_Part] = []
            for node, numbers in by_wire.items():
                wire = self._wire(node)
                commands = [
                    ("EVALSHA", wire.shas[calls[at].script], len(calls[at].keys), *calls[at].keys, *calls[at].arguments)
                    for at in numbers
                ]
                wait = self._wait()
                wire.connection.send_packed_command(
                    wire.connection.pack_commands([*commands, wait] if wait else commands), check_health=False
                )
                parts.append(_Part(wire, numbers))
        except (RedisError, OSError) as error:
            self.hang_up()
            raise self._told(error) from error
        return Pending(self, parts, len(calls))

    def hang_up(self) -> None:
        """Forget the script connections and with them every answer that is still to come."""
        wires, self._wires = self._wires, {}
        for wire in wires.values():
            wire.connection.disconnect()
            wire.pool.release(wire.connection)
        if self.clustered:
            # Who has which slot is asked anew.
            self._client = None

    def pool_of(self, key: str) -> Any:
        """The connections to the node that has `key`."""
        node = self._node_of(key)
        client = self.client.get_node(node_name=node).redis_connection if node else self.client
        return client.connection_pool

    def _node_of(self, key: str) -> str:
        if not self.clustered:
            return ""
        node = self.client.get_node_from_key(key)
        if node is None:
            raise RedisClusterException(f"no node has the slot of {key}")
        return str(node.name)

    def _wire(self, node: str) -> _Wire:
        wire = self._wires.get(node)
        if wire is None:
            client = self.client.get_node(node_name=node).redis_connection if node else self.client
            wire = self._wires[node] = _Wire(client.connection_pool)
        return wire

    def _wait(self) -> tuple[Any, ...] | None:
        disk, replicas, timeout_s = self._durability
        if disk:
            return ("WAITAOF", 1, replicas, int(timeout_s * 1000))
        return ("WAIT", replicas, int(timeout_s * 1000)) if replicas else None

    def enough(self, answer: Any) -> bool:
        """Whether those who must have the write have it, by the answer of WAITAOF or WAIT."""
        disk, replicas, _ = self._durability
        if isinstance(answer, Exception):
            return False
        return bool(answer[0] >= 1 and answer[1] >= replicas) if disk else bool(answer >= replicas)

    @property
    def waits(self) -> bool:
        return self._durability.disk or self._durability.replicas > 0

    # --- edges ----------------------------------------------------------------------------------

    def _single(self) -> Any:
        # A socket file has no keepalive.
        keepalive = {} if self._url.startswith("unix:") else {"socket_keepalive": True}
        return redis.Redis.from_url(self._url, **self._settings(), **keepalive)

    def _cluster(self) -> Any:
        parts = urlsplit(self._url)
        nodes = [_cluster_node(place) for place in parts.netloc.rpartition("@")[2].split(",")]
        return RedisCluster(
            startup_nodes=nodes,
            username=parts.username,
            password=self._password or parts.password,
            ssl=parts.scheme == "rediss-cluster",
            **{name: value for name, value in self._settings().items() if name != "password"},
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "password": self._password,
            "socket_timeout": self._timeout_s,
            "socket_connect_timeout": _CONNECT_TIMEOUT_S,
            # Our callers decide when to try again: a hidden retry would only delay their word of it.
            "retry": Retry(NoBackoff(), 0),
        }

    def _told(self, error: BaseException) -> StoreDown | StoreRefused:
        if self.clustered and not isinstance(error, ResponseError):
            self._client = None
        return told(error)


def told(error: BaseException) -> StoreDown | StoreRefused:
    """What an error means for who asked: away for now, or refused."""
    text = str(error) or type(error).__name__
    if isinstance(error, ResponseError) and not isinstance(error, _PASSING) and not text.startswith(_PASSING_WORDS):
        return StoreRefused(text)
    return StoreDown(text)


class _Wire:
    """A connection that knows the scripts."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.connection = pool.get_connection()
        self.shas = _Shas(self.connection)
        wire_socket = self.connection._sock
        if wire_socket is not None and wire_socket.family != socket.AF_UNIX:
            wire_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


class _Shas(dict[bytes, bytes]):
    """Script → its name on this connection's node; loaded when first asked for."""

    def __init__(self, connection: Any) -> None:
        super().__init__()
        self._connection = connection

    def __missing__(self, script: bytes) -> bytes:
        self._connection.send_command("SCRIPT", "LOAD", script)
        sha: bytes = self._connection.read_response()
        self[script] = sha
        return sha


class _Part(NamedTuple):
    wire: _Wire
    numbers: list[int]  # which of the calls


class Pending:
    """Calls on their way. Answers must be read in the order in which pendings were sent."""

    def __init__(self, link: Link, parts: Sequence[_Part], calls: int) -> None:
        self._link = link
        self._parts = parts
        self._calls = calls

    @property
    def sockets(self) -> list[socket.socket]:
        """To wait on until there may be an answer; redis-py has no public name for them."""
        return [part.wire.connection._sock for part in self._parts if part.wire.connection._sock is not None]

    def ready(self) -> bool:
        """Whether every node has begun to answer, or is lost."""
        try:
            return all(part.wire.connection.can_read(0) for part in self._parts)
        except (RedisError, OSError):
            return True

    def answers(self) -> list[Any]:
        """The answer of each call, in its order: a value, StoreDown or StoreRefused; waits for them.

        After a StoreDown the link has hung up: what else was on its way is unanswered too.
        """
        found: list[Any] = [StoreDown("no answer")] * self._calls
        lost: StoreDown | None = None
        for wire, numbers in self._parts:
            try:
                for at in numbers:
                    found[at] = _answer(wire.connection)
                if self._link.waits and not self._link.enough(_answer(wire.connection)):
                    raise RedisTimeoutError("written, but not yet as durable as asked for")
            except (RedisError, OSError) as error:
                lost = StoreDown(str(error) or type(error).__name__)
                for at in numbers:
                    found[at] = lost
        if lost is not None or any(isinstance(answer, StoreDown) for answer in found):
            self._link.hang_up()
        return found


def _answer(connection: Any) -> Any:
    """One answer; an error that the store answered is given back, one of the connection raised."""
    try:
        return connection.read_response(disconnect_on_error=False)
    except ResponseError as error:
        return told(error)


def _cluster_node(place: str) -> ClusterNode:
    host, _, port = place.rpartition(":")
    return ClusterNode(host or place, int(port) if host else 6379)  # type: ignore[no-untyped-call]
