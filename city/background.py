"""Processes for work that must not be felt by what is live."""

from __future__ import annotations

import contextlib
import os
import threading
import time

NICE = 15
_LOOK_S = 1.0


def step_back() -> None:
    """Let this process run when nobody else wants the processor.

    On Linux by its scheduling class (`SCHED_IDLE`, sched(7)): who wakes up takes the processor at once; from a process
    that is merely nice it comes at the end of a slice, milliseconds later. Elsewhere by niceness alone.
    """
    with contextlib.suppress(OSError):
        os.nice(NICE)
    with contextlib.suppress(OSError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def end_with(parent: int) -> None:
    """End this process when its parent has died: killed, it could not say so, and nobody else would end us."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_LOOK_S)
        os._exit(0)

    threading.Thread(target=watch, name="parent", daemon=True).start()
