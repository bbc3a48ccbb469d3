"""Fixtures for every test: servers of the test's own, recordings, the city's settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Tests import what they share as `servers` and `outcomes`; with import mode importlib no folder is on the path.
sys.path[:0] = [
    str(ROOT / "tests" / part) for part in ("integration", "unit/ingest/decode", "unit/city/archive", "fuzz")
]

from servers import Mosquitto, Nats, Valkey, ValkeyCluster  # noqa: E402

RECORDINGS = ROOT.parent / "shared" / "recordings"


@pytest.fixture
def recordings() -> Path:
    """The folder of real recordings; skips where there is none."""
    if not RECORDINGS.is_dir():
        pytest.skip(f"no recordings at {RECORDINGS}")
    return RECORDINGS


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey | ValkeyCluster]:
    """A running, empty store; with TEST_STORE=cluster every test gets three masters in its place."""
    directory = tmp_path / "valkey"
    directory.mkdir()
    server = ValkeyCluster(directory) if os.environ.get("TEST_STORE") == "cluster" else Valkey(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def valkey_cluster(tmp_path: Path) -> Iterator[ValkeyCluster]:
    """A running, empty cluster of three masters with a replica each."""
    directory = tmp_path / "cluster"
    directory.mkdir()
    cluster = ValkeyCluster(directory, replicas=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.kill()


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[Nats]:
    """A running, empty broker (MQTT 3.1.1)."""
    directory = tmp_path / "nats"
    directory.mkdir()
    server = Nats(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running, empty broker (MQTT 5); skips where none is installed."""
    if Mosquitto.binary() is None:
        pytest.skip("mosquitto is not installed")
    directory = tmp_path / "mosquitto"
    directory.mkdir()
    server = Mosquitto(directory)
    try:
        server.start()
        yield server
    finally:
        server.kill()
