"""Answers on their way: which nodes are still to be waited for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any, cast

import pytest
from redis.exceptions import ConnectionError as Lost

from city.link import Link, Pending, _Part


class Node:
    """A node's connection, and whether it has begun to answer."""

    def __init__(self) -> None:
        self._sock, self.other_end = socket.socketpair()
        self.answers = False
        self.lost = False

    @property
    def connection(self) -> Node:
        return self

    def can_read(self, timeout: float) -> bool:
        assert timeout == 0, "nobody waits here"
        if self.lost:
            raise Lost("gone")
        return self.answers


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    made = [Node(), Node()]
    yield made
    for node in made:
        node._sock.close()
        node.other_end.close()


@pytest.fixture
def pending(nodes: list[Node]) -> Pending:
    link = Link("redis-cluster://127.0.0.1:1", password=None, timeout_s=1)
    return Pending(link, [_Part(cast("Any", node), [at]) for at, node in enumerate(nodes)], 2)


def test_only_nodes_that_are_still_silent_are_waited_for(pending: Pending, nodes: list[Node]) -> None:
    assert not pending.ready()
    assert pending.sockets == [nodes[0]._sock, nodes[1]._sock]
    nodes[0].answers = True
    assert not pending.ready()
    assert pending.sockets == [nodes[1]._sock], "the first would be told as readable for ever"
    nodes[1].answers = True
    assert pending.ready()


def test_a_lost_node_is_waited_for_no_more(pending: Pending, nodes: list[Node]) -> None:
    nodes[1].lost = True
    assert pending.ready()
    assert pending.sockets == []
