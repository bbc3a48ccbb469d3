"""Ports: a given one is taken or refused by name, the usual one gives way."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator

import pytest

from city.config import ConfigError
from markaz.ports import choose_port, is_free, listener_of, reachable


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_given_port_is_the_one(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        free = other.getsockname()[1]
    assert choose_port("127.0.0.1", free, taken, "MARKAZ_MQTT__PORT") == free


def test_a_given_port_that_is_taken_is_an_error_with_its_number_and_setting(taken: int) -> None:
    with pytest.raises(ConfigError, match=f"MARKAZ_MQTT__PORT: port {taken} is taken"):
        choose_port("127.0.0.1", taken, 1883, "MARKAZ_MQTT__PORT")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_who_listens_is_named(taken: int) -> None:
    who = listener_of(taken)
    assert who is not None
    assert f"(pid {os.getpid()})" in who


def test_the_usual_port_gives_way_to_the_next_free_one(taken: int) -> None:
    assert taken < choose_port("127.0.0.1", None, taken, "MARKAZ_MQTT__PORT") < taken + 100


def test_a_listener_on_all_addresses_takes_the_local_one_too() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        assert not is_free("127.0.0.1", server.getsockname()[1])


def test_a_host_that_is_not_ours_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match=r"http\.host: no\.such\.host\.invalid"):
        is_free("no.such.host.invalid", 8050)


def test_a_server_on_all_addresses_is_asked_on_this_machine() -> None:
    assert [reachable(host) for host in ("0.0.0.0", "::", "10.1.2.3")] == ["127.0.0.1", "::1", "10.1.2.3"]
