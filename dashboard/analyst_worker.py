"""One process that answers questions, one at a time, and yields to everything else on the machine.

It is told `Ask` and `Stop` through its pipe and says `Moved`, `Done` or `Failed`. When its parent is gone it ends.
"""

from __future__ import annotations

import contextlib
import os
import threading
from multiprocessing.connection import Connection
from zoneinfo import ZoneInfo

import structlog
from msgspec import json as msgspec_json

from analysis.questions import QuestionError
from city.areas import Areas, load_areas
from city.background import step_back
from city.config import Config
from city.history.engines import Cancelled, HistoryError, TooMuch
from city.history.history import History
from dashboard.analyst_words import Ask, Done, Failed, Form, Moved, Stop
from dashboard.history_answers import answer
from dashboard.history_formats import written

log = structlog.get_logger()

_PROGRESS_EVERY_S = 0.2


_asks = msgspec_json.Decoder(Ask | Stop)
_says = msgspec_json.Decoder(Done | Failed)
_encode = msgspec_json.Encoder().encode


def run(pipe: Connection, config: Config) -> None:
    """The life of the process."""
    step_back()
    worker = _Worker(pipe, config)
    worker.warm_up()
    while True:
        try:
            message = _asks.decode(pipe.recv_bytes())
        except (EOFError, OSError):
            return
        if isinstance(message, Ask):
            worker.work(message)


class _Worker:
    def __init__(self, pipe: Connection, config: Config) -> None:
        self._pipe = pipe
        self._config = config
        self._zone = ZoneInfo(config.profile.timezone)
        self._history: History | None = None
        self._areas: Areas | None = None
        self._share = 0.0  # of a question in two parts: which is done

    def warm_up(self) -> None:
        """Have the archive open before the first question comes; what is wrong is told to that one."""
        with contextlib.suppress(HistoryError):
            self._history = History.open(self._config)

    def work(self, ask: Ask) -> None:
        """Answer, and listen meanwhile."""
        self._share = 0.0
        answered: list[tuple[bytes, bytes]] = []
        thread = threading.Thread(target=lambda: answered.append(self._answer(ask)), daemon=True)
        thread.start()
        told, stopped = 0.0, False
        while thread.is_alive():
            thread.join(_PROGRESS_EVERY_S if not self._pipe.poll(0) else 0)
            try:
                if self._pipe.poll(0):
                    _asks.decode(self._pipe.recv_bytes())  # it can only be a Stop
                    stopped = True
                if stopped:
                    # Again and again: between two queries of an answer there is nothing to interrupt.
                    self._cancel()
                progress = self._progress()
                if thread.is_alive() and progress > told:
                    told = progress
                    self._pipe.send_bytes(_encode(Moved(progress)))
            except (EOFError, OSError):
                # Nobody is there any more who could want the answer.
                os._exit(0)
        ((head, rows),) = answered or [(_encode(Failed("bug", "the question ended without an answer")), b"")]
        self._pipe.send_bytes(head)
        if isinstance(_says.decode(head), Done):
            self._pipe.send_bytes(rows)

    def _answer(self, ask: Ask) -> tuple[bytes, bytes]:
        try:
            if self._history is None:
                self._history = History.open(self._config)
            found = answer(self._history, ask.question, self._zone, self._config.history.rollups, self._begin)
            return _encode(Done(found.told)), written(found, ask.question, ask.form, self._areas_of(ask.form))
        except Cancelled as error:
            failed = Failed("cancelled", str(error))
        except TooMuch as error:
            failed = Failed("too_much", str(error))
        except QuestionError as error:
            failed = Failed("question", error.why, error.parameter)
        except HistoryError as error:
            failed = Failed("history", str(error))
        except Exception as error:
            log.exception("question_failed")
            failed = Failed("bug", f"{type(error).__name__}: {error}"[:300])
        return _encode(failed), b""

    def _areas_of(self, form: Form) -> Areas:
        """The polygons, read when the first answer needs them."""
        if form is not Form.GEOJSON:
            return Areas([])
        if self._areas is None:
            self._areas = load_areas(self._config.city_dir)
        return self._areas

    def _begin(self, share: float) -> None:
        self._share = share

    def _cancel(self) -> None:
        if self._history is not None:
            self._history.cancel()

    def _progress(self) -> float:
        now = None if self._history is None else self._history.progress()
        return self._share if now is None else self._share + (1 - self._share) * now / (2 if self._share == 0 else 1)
