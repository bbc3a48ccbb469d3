"""Questions are answered by processes of their own: bounded, cancellable, kept for a while."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "city" / "history"))

from small_city import archived, events

from analysis.questions import Question, question_of
from city.config import Config, load_config
from city.history.origin import Origin, Skipped
from dashboard.analyst import Analyst, Answered, Job, NotAnswered, State, TooManyQuestions, _Hand
from dashboard.analyst_words import Form, Told

ROOT = Path(__file__).parents[3]
SPAN = "from=2026-05-04T17:00:00Z&to=2026-05-04T20:00:00Z"
# Pairs of all rows of all hours: no machine is done with it within the test.
PATIENCE_S = 60.0

pytestmark = pytest.mark.timeout(180)


def settings(folder: Path, **more: str) -> Config:
    archived(folder / "small")
    (folder / "small" / "small").rename(folder / "tashkent")
    away = {"MARKAZ_HISTORY__URL": str(folder), "MARKAZ_REDIS__URL": "redis://127.0.0.1:1/0"}
    return load_config(ROOT / "config.yaml", away | more)


@pytest.fixture
def analyst(tmp_path: Path) -> Iterator[Analyst]:
    analyst = Analyst(settings(tmp_path, MARKAZ_HISTORY__QUERY_WORKERS="1", MARKAZ_HISTORY__QUERY_WAITING_MAX="2"))
    yield analyst
    analyst.stop()


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def counted() -> Question:
    return question_of(f"{SPAN}&shape=origin")


def worker_of(analyst: Analyst) -> int:
    process = analyst._hands[0]._process
    assert process is not None
    assert process.pid is not None
    return process.pid


def test_an_answer_comes_from_a_process_that_yields(analyst: Analyst) -> None:
    answered = analyst.ask(counted()).future.result(PATIENCE_S)
    assert answered.table().to_pylist()[0]["rows"] == len(events()["position"])
    assert os.getpriority(os.PRIO_PROCESS, worker_of(analyst)) >= 15


def test_the_same_question_is_answered_from_memory(analyst: Analyst) -> None:
    first = analyst.ask(counted())
    first.future.result(PATIENCE_S)
    again = analyst.ask(counted())
    assert again.state is State.DONE
    assert again.progress == 1.0
    assert analyst.ask(counted(), Form.CSV).state is not State.DONE


def answered_with(size: int) -> Answered:
    return Answered(Told(at_ms=0, origin=Origin(engine="x", commit=1)), bytes(size))


def done(analyst: Analyst, number: int, size: int) -> Job:
    """A question that was answered at some length, by no process."""
    job = analyst.ask(question_of(f"{SPAN}&every={1 + number}h"))
    answered = answered_with(size)
    analyst._keep(job, answered)
    job.end(State.DONE, answered, analyst._clock_s())
    return job


def test_answers_that_wait_to_be_fetched_are_bounded_by_their_bytes(
    analyst: Analyst, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.analyst._JOBS_BYTES", 100)
    monkeypatch.setattr(analyst, "_begin", lambda: None)
    jobs = [done(analyst, number, 30) for number in range(8)]
    assert [analyst.job(job.id) is job for job in jobs] == [False] * 5 + [True] * 3


def test_a_forgotten_question_is_kept_no_more_and_makes_room(analyst: Analyst, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyst, "_begin", lambda: None)
    for number in range(10):
        waiting = analyst.ask(question_of(f"{SPAN}&every={1 + number}h"))
        analyst.forget(waiting)
        assert waiting.state is State.CANCELLED
        assert analyst.job(waiting.id) is None


def test_an_answer_that_lacks_something_is_not_kept_for_long(analyst: Analyst, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing may be back in a moment."""
    now_s = [0.0]
    analyst._answers._clock_s = lambda: now_s[0]
    monkeypatch.setattr(analyst, "_begin", lambda: None)
    for number, skipped in enumerate([(), (Skipped("a", "gone"),)]):
        job = analyst.ask(question_of(f"{SPAN}&every={1 + number}h"))
        now_ms = job.question.to_ms + 86_400_000
        told = Told(at_ms=now_ms, origin=Origin(engine="x", commit=1, skipped=skipped))
        analyst._keep(job, Answered(told, b"x"))
        analyst.forget(job)
    now_s[0] = 100.0
    assert analyst.ask(question_of(f"{SPAN}&every=1h")).state is State.DONE
    assert analyst.ask(question_of(f"{SPAN}&every=2h")).state is State.WAITING


def test_a_process_that_cannot_be_started_is_started_for_a_later_question(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    analyst = Analyst(settings(tmp_path, MARKAZ_HISTORY__QUERY_WORKERS="1"))
    living, failures = _Hand._living, [OSError("no memory"), OSError("no memory")]

    def start(hand: _Hand) -> Connection:
        if failures:
            raise failures.pop()
        return living(hand)

    monkeypatch.setattr(_Hand, "_living", start)
    try:
        with pytest.raises(NotAnswered, match="ended"):
            analyst.ask(counted()).future.result(PATIENCE_S)
        assert analyst.ask(counted()).future.result(PATIENCE_S).table().num_rows
    finally:
        analyst.stop()


def test_too_many_questions_are_refused(analyst: Analyst) -> None:
    analyst.ask(counted()).future.result(PATIENCE_S)
    os.kill(worker_of(analyst), signal.SIGSTOP)
    try:
        jobs = [analyst.ask(question_of(f"{SPAN}&every={1 + number}h")) for number in range(1)]
        until(lambda: jobs[0].state is State.RUNNING)
        jobs += [analyst.ask(question_of(f"{SPAN}&every={2 + number}h")) for number in range(2)]
        with pytest.raises(TooManyQuestions):
            analyst.ask(question_of(f"{SPAN}&every=9h"))
        # One that is cancelled while it waits makes room.
        analyst.cancel(jobs[-1])
        assert jobs[-1].state is State.CANCELLED
        jobs.append(analyst.ask(question_of(f"{SPAN}&every=9h")))
    finally:
        os.kill(worker_of(analyst), signal.SIGCONT)
    for job in [*jobs[:2], jobs[-1]]:
        assert job.future.result(PATIENCE_S).table().num_rows


def test_what_does_not_heed_is_ended_and_the_next_question_answered(analyst: Analyst) -> None:
    analyst.ask(counted()).future.result(PATIENCE_S)
    os.kill(worker_of(analyst), signal.SIGSTOP)
    job = analyst.ask(question_of(f"{SPAN}&every=1h"))
    until(lambda: job.state is State.RUNNING)
    began = time.monotonic()
    analyst.cancel(job)
    with pytest.raises(NotAnswered) as ended:
        job.future.result(PATIENCE_S)
    assert ended.value.kind == "cancelled"
    assert job.state is State.CANCELLED
    assert time.monotonic() - began < 10
    assert analyst.ask(question_of(f"{SPAN}&every=2h")).future.result(PATIENCE_S).table().num_rows


def test_a_killed_process_fails_its_question_and_is_replaced(analyst: Analyst) -> None:
    analyst.ask(counted()).future.result(PATIENCE_S)
    os.kill(worker_of(analyst), signal.SIGSTOP)
    job = analyst.ask(question_of(f"{SPAN}&every=1h"))
    until(lambda: job.state is State.RUNNING)
    os.kill(worker_of(analyst), signal.SIGKILL)
    with pytest.raises(NotAnswered) as ended:
        job.future.result(PATIENCE_S)
    assert ended.value.kind == "lost"
    assert analyst.ask(question_of(f"{SPAN}&every=2h")).future.result(PATIENCE_S).table().num_rows


def test_a_question_has_its_time(tmp_path: Path) -> None:
    analyst = Analyst(settings(tmp_path, MARKAZ_HISTORY__QUERY_WORKERS="1", MARKAZ_HISTORY__QUERY_TIMEOUT_S="20"))
    try:
        analyst.ask(counted()).future.result(PATIENCE_S)
        os.kill(worker_of(analyst), signal.SIGSTOP)
        clock_s = analyst._hands[0]._clock_s
        analyst._hands[0]._clock_s = lambda: clock_s() * 20  # a minute in three seconds
        job = analyst.ask(question_of(f"{SPAN}&every=2h"))
        with pytest.raises(NotAnswered) as ended:
            job.future.result(PATIENCE_S)
        assert ended.value.kind == "timeout"
        assert job.state is State.FAILED
    finally:
        analyst.stop()


def test_a_fault_of_the_question_names_its_parameter(analyst: Analyst) -> None:
    job = analyst.ask(question_of(f"{SPAN}&shape=rows&cursor=x"))
    with pytest.raises(NotAnswered) as ended:
        job.future.result(PATIENCE_S)
    assert (ended.value.kind, ended.value.parameter) == ("question", "cursor")


def test_processes_end_with_the_pool(tmp_path: Path) -> None:
    analyst = Analyst(settings(tmp_path, MARKAZ_HISTORY__QUERY_WORKERS="1"))
    analyst.ask(counted()).future.result(PATIENCE_S)
    pid = worker_of(analyst)
    analyst.stop()
    until(lambda: not Path(f"/proc/{pid}").exists())
    with pytest.raises(TooManyQuestions):
        analyst.ask(counted())
