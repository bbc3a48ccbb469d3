"""Children of the supervisor: restarts, logs, and never outliving it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from markaz.child import Child, last_words, restart_delay_s, rotate

ROOT = Path(__file__).parents[3]


def until(condition: Callable[[], bool], patience_s: float = 10.0) -> bool:
    deadline_s = time.monotonic() + patience_s
    while not (met := condition()) and time.monotonic() < deadline_s:
        time.sleep(0.02)
    return met


def test_pauses_between_restarts_grow_to_five_seconds() -> None:
    assert [restart_delay_s(failures) for failures in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]


def test_a_child_that_ends_is_started_again_after_its_pause(tmp_path: Path) -> None:
    """Timeline on the supervisor's clock: ends at 0, said once, not yet at 0.4 s, again at 0.5 s."""
    child = Child("ingest", ["sh", "-c", "echo no broker; exit 3"], tmp_path)
    child.start(0.0)
    assert until(lambda: not child.alive)
    first = child.pid
    assert child.restart_if_due(0.0) == 3
    assert child.restart_if_due(0.4) is None
    assert child.pid == first
    assert child.restart_if_due(0.5) is None
    assert child.pid != first
    assert last_words(child.log) == "no broker"
    assert until(lambda: not child.alive)


def test_a_child_that_ran_long_enough_starts_anew_with_the_short_pause(tmp_path: Path) -> None:
    child = Child("ingest", ["false"], tmp_path)
    for now_s in (0.0, 10.0, 20.0):
        child.start(now_s)
        assert until(lambda: not child.alive)
        child.restart_if_due(now_s + 1)
    assert child.failures == 3
    child.start(30.0)
    assert until(lambda: not child.alive)
    child.restart_if_due(90.0)
    assert child.failures == 1


def test_a_log_that_has_grown_is_set_aside_and_three_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    for number in range(5):
        log.write_text(f"run {number}\n")
        rotate(log, max_bytes=3)
    assert not log.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ingest.log.1", "ingest.log.2", "ingest.log.3"]
    assert (tmp_path / "ingest.log.1").read_text() == "run 4\n"


def test_a_small_log_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "ingest.log"
    log.write_text("run\n")
    rotate(log)
    assert log.read_text() == "run\n"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a child of its parent's death")
def test_children_do_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from markaz.child import Child\n"
        f"child = Child('store', ['sleep', '60'], Path({str(tmp_path)!r})); child.start(0)\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        supervisor.send_signal(signal.SIGKILL)

    def gone() -> bool:
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return True
        # Nobody may be there to bury it.
        return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

    assert until(gone)
