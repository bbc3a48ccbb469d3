"""A process that the supervisor starts, watches, starts again and stops."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LOG_MAX_BYTES = 5_000_000
_LOGS_KEPT = 3
_PR_SET_PDEATHSIG = 1
# A child that ran so long has recovered: its next end is a new one.
_STEADY_AFTER_S = 30.0
_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 5.0


def restart_delay_s(failures: int) -> float:
    """How long to wait before the next start after so many failures in a row."""
    return min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2.0 ** max(0, failures - 1))


def rotate(log: Path, max_bytes: int = LOG_MAX_BYTES) -> None:
    """Set a log that has grown over `max_bytes` aside, keeping the last few."""
    if not log.exists() or log.stat().st_size <= max_bytes:
        return
    for number in range(_LOGS_KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log if number == 1 else log.with_name(f"{log.name}.{number - 1}")
        if newer.exists():
            newer.replace(older)


def last_words(log: Path, max_chars: int = 300) -> str:
    """The last line of a log that is not empty."""
    with suppress(OSError), log.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[-max_chars:] if lines else ""
    return ""


class Child:
    """One process and its log. Times are of a monotonic clock, in seconds."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log_directory: Path,
        *,
        environ: Mapping[str, str] | None = None,
        keep_open: Sequence[int] = (),
        dies_by: signal.Signals = signal.SIGKILL,
    ) -> None:
        """`keep_open`: descriptors it inherits; `dies_by`: its signal when the supervisor vanishes."""
        self.name = name
        self.log = log_directory / f"{name}.log"
        self._command = list(command)
        self._environ = environ
        self._keep_open = tuple(keep_open)
        self._dies_by = dies_by
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._failures = 0
        self._next_start_s: float | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def failures(self) -> int:
        """How often in a row it ended too soon."""
        return self._failures

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, now_s: float) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        rotate(self.log)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environ,
                pass_fds=self._keep_open,
                # Ctrl-C reaches the supervisor alone, which then stops the others in order.
                start_new_session=True,
                preexec_fn=_dies_with_parent(self._dies_by),  # noqa: PLW1509 - the supervisor has one thread
            )
        self._started_s = now_s
        self._next_start_s = None

    def restart_if_due(self, now_s: float) -> int | None:
        """Start it again when its pause is over; returns the exit code when it has just ended."""
        if self._process is None or self.alive:
            return None
        if self._next_start_s is None:
            self._failures = 1 if now_s - self._started_s > _STEADY_AFTER_S else self._failures + 1
            self._next_start_s = now_s + restart_delay_s(self._failures)
            return self._process.returncode
        if now_s >= self._next_start_s:
            self.start(now_s)
        return None

    def send(self, sign: signal.Signals) -> None:
        """Signal it, if it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sign)


def _dies_with_parent(sign: signal.Signals) -> Callable[[], None] | None:
    """What a child does before it becomes its program, so that it never outlives the supervisor.

    A supervisor that is killed with SIGKILL cannot stop anybody: a broker or a store left behind
    would hold the ports and the data. Linux sends `sign` then; elsewhere they stay.
    """
    if not sys.platform.startswith("linux"):
        return None
    # Loaded here: between fork and exec nothing may be imported.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    supervisor = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
        # It may have died before the request was made.
        if os.getppid() != supervisor:
            os._exit(1)

    return prepare
