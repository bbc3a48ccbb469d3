"""Answers to analysts' questions, from a few processes of low priority: what is live never waits for them.

Questions queue up, bounded; each shows its progress and can be cancelled. Answers given lately are kept.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from enum import StrEnum
from multiprocessing.connection import Connection
from typing import NamedTuple
from uuid import uuid4

import pyarrow as pa
import structlog
from msgspec import json as msgspec_json

from analysis.questions import Question, query_of
from city.config import Config
from dashboard.analyst_words import Ask, Done, Failed, Form, Moved, Stop, Told

log = structlog.get_logger()

# An answer of these minutes is out of date with the next message; one of the past hardly ever.
# What one lacks, as a file could not be read, may be back in a moment.
_FRESH_S, _LACKING_S, _SETTLED_S = 5.0, 60.0, 300.0
_SETTLED_AFTER_MS = 2 * 3_600_000
_KEPT_BYTES = 64 << 20
# What a page asked for and came back to, and nobody else remembers.
_JOBS_KEPT, _JOB_KEPT_S, _JOBS_BYTES = 200, 900.0, 256 << 20
# An engine that does not heed its interruption within this time is ended.
_PATIENCE_S = 2.0
_LISTEN_S = 0.1


class State(StrEnum):
    """Where a question is."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TooManyQuestions(Exception):
    """So many questions wait that no further one is taken."""


class NotAnswered(Exception):
    """There is no answer to a question: which kind of failure, and what it says to a person."""

    def __init__(self, kind: str, detail: str, parameter: str = "") -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.parameter = parameter


class Answered(NamedTuple):
    """An answer in its form, and what there is to say of it."""

    told: Told
    body: bytes

    def table(self) -> pa.Table:
        """The rows of one in the form of Arrow, without a copy."""
        return pa.ipc.open_stream(self.body).read_all()


class Job:
    """One question on its way. Its fields are read by any thread."""

    def __init__(self, question: Question, form: Form, now_s: float) -> None:
        self.id = uuid4().hex
        self.question = question
        self.form = form
        self.state = State.WAITING
        self.progress = 0.0
        self.future: Future[Answered] = Future()
        self.asked_s = now_s
        self.ended_s: float | None = None
        self.stop = threading.Event()
        self._ending = threading.Lock()

    @property
    def key(self) -> str:
        """Equal for equal answers."""
        return f"{self.form} {query_of(self.question)}"

    @property
    def ended(self) -> bool:
        return self.ended_s is not None

    @property
    def held_bytes(self) -> int:
        """How large the answer is that it keeps."""
        return len(self.future.result().body) if self.state is State.DONE and self.future.done() else 0

    def end(self, state: State, result: Answered | NotAnswered, now_s: float) -> None:
        """Say how it ended, once."""
        with self._ending:
            if self.ended:
                return
            self.state, self.ended_s = state, now_s
        if isinstance(result, Answered):
            self.progress = 1.0
            self.future.set_result(result)
        else:
            self.future.set_exception(result)


class Analyst:
    """The pool. Every method is quick, and for any thread."""

    def __init__(self, config: Config, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._settings = config.history
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        self._answers = _Answers(clock_s)
        self._hands: list[_Hand] = []
        self._closed = False

    def ask(self, question: Question, form: Form = Form.ARROW) -> Job:
        """Have a checked question answered; raises TooManyQuestions."""
        now_s = self._clock_s()
        with self._lock:
            if self._closed:
                raise TooManyQuestions("the dashboard is ending")
            job = Job(question, form, now_s)
            if (kept := self._answers.get(job.key)) is not None:
                job.end(State.DONE, kept, now_s)
            else:
                waiting = sum(one.state is State.WAITING for one in self._jobs.values())
                if waiting >= self._settings.query_waiting_max:
                    raise TooManyQuestions(f"{waiting} questions are waiting")
                self._begin()
                self._queue.put(job)
            self._jobs[job.id] = job
            self._forget(now_s)
        return job

    def job(self, job_id: str) -> Job | None:
        """A job by its name, as long as it is remembered."""
        with self._lock:
            return self._jobs.get(job_id)

    def cancel(self, job: Job) -> None:
        """The answer is wanted no more."""
        job.stop.set()
        if job.state is State.WAITING:
            job.end(State.CANCELLED, NotAnswered("cancelled", "the question was cancelled"), self._clock_s())

    def forget(self, job: Job) -> None:
        """The answer has been taken, or is wanted no more, and nobody knows the job's name."""
        self.cancel(job)
        with self._lock:
            self._jobs.pop(job.id, None)

    def stop(self) -> None:
        """End all processes; what is not answered never will be."""
        with self._lock:
            self._closed = True
            hands, jobs = list(self._hands), list(self._jobs.values())
        for job in jobs:
            self.cancel(job)
        for _ in hands:
            self._queue.put(None)
        for hand in hands:
            hand.end()

    def _begin(self) -> None:
        """Processes come with the first question: a dashboard that nobody asks has none."""
        while len(self._hands) < self._settings.query_workers:
            self._hands.append(_Hand(self._config, self._queue, self._keep, self._clock_s, len(self._hands)))

    def _keep(self, job: Job, answered: Answered) -> None:
        told = answered.told
        settled = job.question.to_ms < told.at_ms - _SETTLED_AFTER_MS
        whole = not told.origin.skipped and not told.origin.live_missing
        keep_s = (_SETTLED_S if whole else _LACKING_S) if settled else _FRESH_S
        with self._lock:
            self._answers.put(job.key, answered, keep_s)
            self._forget(self._clock_s(), len(answered.body))

    def _forget(self, now_s: float, coming_bytes: int = 0) -> None:
        """Let go of what was asked first, so that there is room for an answer of so many bytes."""
        held = coming_bytes + sum(job.held_bytes for job in self._jobs.values())
        for job_id, job in list(self._jobs.items()):
            if job.ended_s is None:
                continue
            size = job.held_bytes
            many = len(self._jobs) > _JOBS_KEPT or (size > 0 and held > _JOBS_BYTES)
            if many or now_s - job.ended_s > _JOB_KEPT_S:
                held -= size
                del self._jobs[job_id]


def _live(pipe: Connection, config: Config) -> None:
    """The life of a process; only there the engines are loaded."""
    from dashboard.analyst_worker import run  # noqa: PLC0415

    run(pipe, config)


class _Answers:
    """Answers given lately, bounded by their bytes; who was not asked for longest goes first."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._kept: OrderedDict[str, tuple[float, Answered]] = OrderedDict()
        self._bytes = 0

    def get(self, key: str) -> Answered | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if found[0] < self._clock_s():
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return found[1]

    def put(self, key: str, answered: Answered, keep_s: float) -> None:
        if key in self._kept:
            self._drop(key)
        if len(answered.body) > _KEPT_BYTES // 4:
            return
        self._kept[key] = (self._clock_s() + keep_s, answered)
        self._bytes += len(answered.body)
        while self._bytes > _KEPT_BYTES:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: str) -> None:
        self._bytes -= len(self._kept.pop(key)[1].body)


class _Hand:
    """One process and the thread that speaks with it."""

    def __init__(
        self,
        config: Config,
        jobs: queue.Queue[Job | None],
        keep: Callable[[Job, Answered], None],
        clock_s: Callable[[], float],
        number: int,
    ) -> None:
        self._config = config
        self._jobs = jobs
        self._keep = keep
        self._clock_s = clock_s
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._thread = threading.Thread(target=self._run, name=f"analyst-{number}", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._thread.join(timeout=_PATIENCE_S + 1)
        self._kill()

    def _run(self) -> None:
        # All of them get ready with the first question: the second one finds the next process waiting. Where none can
        # be started now, the next question tries again.
        with contextlib.suppress(OSError):
            self._living()
        while (job := self._jobs.get()) is not None:
            if job.ended:
                continue
            try:
                self._answer(job)
            except (EOFError, OSError) as error:
                # It was killed: by the kernel for its memory, most likely.
                self._kill()
                log.warning("analyst_lost", error=str(error) or type(error).__name__)
                failed = NotAnswered("lost", "the process that worked on the question was ended; ask for less at once")
                job.end(State.FAILED, failed, self._clock_s())
            except Exception as error:
                self._kill()
                log.exception("analyst_failed")
                job.end(State.FAILED, NotAnswered("bug", str(error)), self._clock_s())

    def _answer(self, job: Job) -> None:
        pipe = self._living()
        job.state = State.RUNNING
        pipe.send_bytes(msgspec_json.encode(Ask(job.question, job.form)))
        until_s = self._clock_s() + self._config.history.query_timeout_s
        stopped_s: float | None = None
        late = False
        while True:
            if pipe.poll(_LISTEN_S):
                message = _says.decode(pipe.recv_bytes())
                if isinstance(message, Moved):
                    job.progress = message.progress
                    continue
                break
            now_s = self._clock_s()
            late = late or now_s > until_s
            if stopped_s is None and (late or job.stop.is_set()):
                pipe.send_bytes(msgspec_json.encode(Stop()))
                stopped_s = now_s
            elif stopped_s is not None and now_s - stopped_s > _PATIENCE_S:
                self._kill()
                message = Failed("cancelled", "the question was cancelled")
                break
        if isinstance(message, Done):
            answered = Answered(message.told, pipe.recv_bytes())
            self._keep(job, answered)
            job.end(State.DONE, answered, self._clock_s())
        elif message.kind == "cancelled" and late:
            limit = f"no answer within {self._config.history.query_timeout_s:g} s: ask for a shorter time"
            job.end(State.FAILED, NotAnswered("timeout", limit), self._clock_s())
        else:
            state = State.CANCELLED if message.kind == "cancelled" else State.FAILED
            failed = NotAnswered(message.kind, message.detail, message.parameter)
            job.end(state, failed, self._clock_s())

    def _living(self) -> Connection:
        """The pipe to the process, which is started where there is none."""
        if self._process is None or not self._process.is_alive() or self._pipe is None:
            self._kill()
            # Not forked: threads and sockets of the dashboard stay with it.
            context = multiprocessing.get_context("spawn")
            self._pipe, theirs = context.Pipe()
            self._process = context.Process(target=_live, args=(theirs, self._config), name="analyst", daemon=True)
            self._process.start()
            theirs.close()
        return self._pipe

    def _kill(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None and self._process.is_alive():
            self._process.kill()
            self._process.join(timeout=5)
        self._process = self._pipe = None


_says = msgspec_json.Decoder(Moved | Done | Failed)
