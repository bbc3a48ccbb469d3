"""The connections to Redis: one server or a cluster, ordinary commands and scripts under way.

This is the only module that imports redis. Scripts are sent without waiting for the answer, so
that a worker prepares the next batch while the store writes this one; each node of a cluster has
its own connection, and answers come in the order of sending.
"""

from __future__ import annotations

import socket
import threading
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
# UNBLOCKED: who waited for a stream on a node that has just become a replica.
_PASSING_WORDS = ("MISCONF", "NOREPLICAS", "BUSY", "UNBLOCKED")
# What redis-py raises; the errors of its cluster client are a family of their own.
ERRORS = (RedisError, RedisClusterException, OSError)
# A reader has a connection a stream, and a node may have every partition.
_CONNECTIONS_MAX = 1000


class StoreDown(Exception):
    """The store cannot be reached now; trying again later may work."""


class StoreRefused(Exception):
    """The store answered an error; trying the same again will not help."""


class StoreFenced(StoreRefused):
    """Another process writes under this one's name now: this one must end."""


class StoreMismatch(StoreRefused):
    """The store was filled under other settings: this process must not write there."""


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
        self.timeout_s = timeout_s
        self._durability = durability
        self._client: Any = None
        self._stale = False  # who has which slot may have changed
        self._turn = threading.Lock()
        self._wires: dict[str, Any] = {}  # node → the connection that its scripts go through

    @property
    def client(self) -> Any:
        """redis.Redis or RedisCluster; a cluster is asked for its nodes at first use and after every loss."""
        client, stale, self._stale = self._client, self._stale, False
        if client is None:
            client = self._cluster() if self.clustered else self._single()
        elif stale and self.clustered:
            # None of the nodes that it knows may be left: the next try begins with the address of the settings.
            self._client = None
            client.nodes_manager.initialize()
        self._client = client
        return client

    def close(self) -> None:
        self.hang_up()
        if self._client is not None:
            self._client.close()

    def run(self, call: Callable[[Any], Any]) -> Any:
        """What `call(client)` answers."""
        try:
            return call(self.client)
        except ERRORS as error:
            raise self.told(error) from error

    def ping(self) -> None:
        """Raises StoreDown when the store, or a master of it, does not answer."""
        nodes = {"target_nodes": RedisCluster.PRIMARIES} if self.clustered else {}
        self.run(lambda client: client.ping(**nodes))

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
                wire = self._wire(node, calls[numbers[0]].keys[0])
                commands = [
                    ("EVALSHA", wire.shas[calls[at].script], len(calls[at].keys), *calls[at].keys, *calls[at].arguments)
                    for at in numbers
                ]
                wait = self._wait()
                wire.connection.send_packed_command(
                    wire.connection.pack_commands([*commands, wait] if wait else commands), check_health=False
                )
                parts.append(_Part(wire, numbers))
        except ERRORS as error:
            self.hang_up()
            raise self.told(error) from error
        return Pending(self, parts, len(calls))

    def write(self, call: Call) -> Any:
        """What one call answers, as durable as asked for; threads that share the link take turns.

        Not for a link on which other calls are on their way. Raises StoreDown or StoreRefused.
        """
        with self._turn:
            (answer,) = self.send([call]).answers()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def call(self, call: Call) -> Any:
        """What one call answers, whatever else is on its way; raises StoreDown or StoreRefused.

        It waits for no disk and no replica.
        """
        return self.run(lambda client: client.eval(call.script, len(call.keys), *call.keys, *call.arguments))

    def hang_up(self) -> None:
        """Forget the script connections and with them every answer that is still to come."""
        wires, self._wires = self._wires, {}
        for wire in wires.values():
            wire.connection.disconnect()
            wire.pool.release(wire.connection)
        self._stale = True

    def pool_of(self, key: str) -> Any:
        """The connections to the node that has `key`."""
        client = self.client
        if self.clustered:
            client = client.get_redis_connection(client.get_node_from_key(key))
        return client.connection_pool

    def _node_of(self, key: str) -> str:
        return str(self.client.get_node_from_key(key).name) if self.clustered else ""

    def _wire(self, node: str, key: str) -> _Wire:
        wire = self._wires.get(node)
        if wire is None:
            wire = self._wires[node] = _Wire(self.pool_of(key))
        return wire

    def _wait(self) -> tuple[Any, ...] | None:
        disk, replicas, timeout_s = self._durability
        if disk:
            return ("WAITAOF", 1, replicas, int(timeout_s * 1000))
        return ("WAIT", replicas, int(timeout_s * 1000)) if replicas else None

    def lack(self, answer: Any) -> StoreDown | None:
        """Who of those who must have the write does not have it yet, by the answer of WAITAOF or WAIT."""
        disk, replicas, _ = self._durability
        if isinstance(answer, Exception):
            return StoreDown(f"not as durable as asked for: {answer}")
        on_disk, copies = answer if disk else (1, answer)
        if on_disk >= 1 and copies >= replicas:
            return None
        return StoreDown(f"written, but on disk: {bool(on_disk)}, replicas: {copies} of {replicas}")

    @property
    def waits(self) -> bool:
        return self._durability.disk or self._durability.replicas > 0

    # --- edges ----------------------------------------------------------------------------------

    def _single(self) -> Any:
        # A socket file has no keepalive.
        keepalive = {} if self._url.startswith("unix:") else {"socket_keepalive": True}
        return redis.Redis.from_url(self._url, **self._settings(), **keepalive)

    def _cluster(self) -> Any:
        url = urlsplit(self._url)
        login, at, places = url.netloc.rpartition("@")
        first, *others = places.split(",")
        scheme = url.scheme.removesuffix("-cluster")
        return RedisCluster(
            url=url._replace(scheme=scheme, netloc=f"{login}{at}{first}").geturl(),
            startup_nodes=[_cluster_node(place) for place in others],
            max_connections=_CONNECTIONS_MAX,
            **self._settings(),
        )

    def _settings(self) -> dict[str, Any]:
        return {
            "password": self._password,
            "socket_timeout": self.timeout_s,
            "socket_connect_timeout": _CONNECT_TIMEOUT_S,
            # Our callers decide when to try again: a hidden retry would only delay their word of it.
            "retry": Retry(NoBackoff(), 0),
        }

    def told(self, error: BaseException) -> StoreDown | StoreRefused:
        """What an error means for who asked; after a loss the cluster is asked for its nodes."""
        found = told(error)
        if isinstance(found, StoreDown):
            self._stale = True
        return found


def told(error: BaseException) -> StoreDown | StoreRefused:
    """What an error means for who asked: away for now, or refused."""
    text = str(error) or type(error).__name__
    if isinstance(error, ResponseError) and not isinstance(error, _PASSING) and not text.startswith(_PASSING_WORDS):
        return StoreFenced(text) if text.startswith("FENCED") else StoreRefused(text)
    return StoreDown(text)


class _Wire:
    """A connection that knows the scripts."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.connection = pool.get_connection()
        self.shas = _Shas(pool)
        wire_socket = self.connection._sock
        if wire_socket is not None and wire_socket.family != socket.AF_UNIX:
            wire_socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


class _Shas(dict[bytes, bytes]):
    """Script → its name on this connection's node; loaded when first asked for."""

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self._pool = pool

    def __missing__(self, script: bytes) -> bytes:
        # By another connection: on this one the answers of calls may be on their way.
        connection = self._pool.get_connection()
        try:
            connection.send_command("SCRIPT", "LOAD", script)
            sha: bytes = connection.read_response()
        finally:
            self._pool.release(connection)
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
        self._silent = list(parts)

    @property
    def sockets(self) -> list[socket.socket]:
        """Of the nodes that are still silent, to wait on; redis-py has no public name for them."""
        return [part.wire.connection._sock for part in self._silent if part.wire.connection._sock is not None]

    def ready(self) -> bool:
        """Whether every node has begun to answer, or is lost."""
        try:
            self._silent = [part for part in self._silent if not part.wire.connection.can_read(0)]
        except ERRORS:
            self._silent = []
        return not self._silent

    def answers(self) -> list[Any]:
        """The answer of each call, in its order: a value, StoreDown or StoreRefused; waits for them.

        After a StoreDown the link has hung up: what else was on its way is unanswered too.
        """
        found: list[Any] = [StoreDown("no answer")] * self._calls
        for wire, numbers in self._parts:
            try:
                for at in numbers:
                    found[at] = _answer(wire.connection)
                lack = self._link.lack(_answer(wire.connection)) if self._link.waits else None
            except ERRORS as error:
                lack = StoreDown(str(error) or type(error).__name__)
            if lack is not None:
                for at in numbers:
                    found[at] = lack
        if any(isinstance(answer, StoreDown) for answer in found):
            self._link.hang_up()
        return found


def _answer(connection: Any) -> Any:
    """One answer; an error that the store answered is given back, one of the connection raised."""
    try:
        return connection.read_response(disconnect_on_error=False)
    except ResponseError as error:
        return told(error)


def _cluster_node(place: str) -> ClusterNode:
    """Of host, host:port or [address]:port."""
    parts = urlsplit(f"//{place}")
    return ClusterNode(parts.hostname, parts.port or 6379)  # type: ignore[no-untyped-call]
