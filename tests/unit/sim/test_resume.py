"""The memory between two runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sim import resume
from sim.town import Memory

MEMORY = Memory(1_000_000, 60.0, {"at_m": np.array([1.5, 2.5]), "line": np.array([3, 4])})
STOPPED_MS = 1_060_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "simulator" / "tashkent.npz"


def test_what_was_saved_is_recalled(path: Path) -> None:
    resume.save(path, MEMORY, "seed 1")
    found = resume.load(path, "seed 1", STOPPED_MS + 5_000)
    assert found is not None
    assert (found.start_ms, found.t) == (1_000_000, 60.0)
    assert found.arrays["at_m"].tolist() == [1.5, 2.5]
    assert found.arrays["line"].dtype == np.int64
    assert [p.name for p in path.parent.iterdir()] == ["tashkent.npz"]


@pytest.mark.parametrize(
    ("fingerprint", "now_ms"),
    [("seed 2", STOPPED_MS), ("seed 1", STOPPED_MS + 3_601_000), ("seed 1", STOPPED_MS - 1)],
    ids=["another city", "too long ago", "from the future"],
)
def test_what_does_not_fit_is_forgotten(path: Path, fingerprint: str, now_ms: int) -> None:
    resume.save(path, MEMORY, "seed 1")
    assert resume.load(path, fingerprint, now_ms) is None


def test_no_file_and_a_broken_file_are_no_memory(path: Path) -> None:
    assert resume.load(path, "seed 1", STOPPED_MS) is None
    path.parent.mkdir()
    for rubbish in (b"", b"rubbish", b"PK\x03\x04rubbish"):
        path.write_bytes(rubbish)
        assert resume.load(path, "seed 1", STOPPED_MS) is None
