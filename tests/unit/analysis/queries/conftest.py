"""The small city that the tests of history share, in an archive of its own, and every engine that can be had here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "city" / "history"))

from small_city import archived

from city.archive.archive import Archive
from city.history.engines import DuckDb, Engine, Spark
from city.history.history import History


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    return archived(tmp_path_factory.mktemp("history"))


@pytest.fixture(scope="session")
def duckdb() -> Iterator[Engine]:
    engine = DuckDb(threads=1, memory_mb=256)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def pyspark() -> Engine:
    if shutil.which("java") is None:
        pytest.skip("Spark needs Java")
    pytest.importorskip("pyspark", reason="Spark is not installed")
    return Spark(None, memory_mb=512)


@pytest.fixture(params=["duckdb", "pyspark"])
def history(request: pytest.FixtureRequest, archive: Archive) -> History:
    """The city's history on one engine."""
    return History(archive, request.getfixturevalue(request.param), None)
