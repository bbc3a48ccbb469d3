"""Processes of work in the background: they give way, and end with who started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from city import background

# A parent that starts a child, says its number and waits to be killed.
PARENT = """
import subprocess, sys, time
child = "import os, time; from city.background import end_with; end_with(os.getppid()); time.sleep(60)"
print(subprocess.Popen([sys.executable, "-c", child]).pid, flush=True)
time.sleep(60)
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Nobody may be there to take note of its end: a zombie is no process any more.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_a_process_ends_when_its_parent_was_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    assert not gone(child)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 30
    while not gone(child) and time.monotonic() < until:
        time.sleep(0.1)
    assert gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="a scheduling class of Linux")
def test_work_in_the_background_runs_when_nobody_else_wants_the_processor() -> None:
    asked = "import os; from city.background import step_back; step_back(); print(os.sched_getscheduler(0), os.nice(0))"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    policy, nice = map(int, found.stdout.split())
    assert (policy, nice) == (os.SCHED_IDLE, min(19, os.nice(0) + background.NICE))
