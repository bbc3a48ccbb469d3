"""The worker between broker and store: `markaz ingest`.

One thread reads the socket, takes batches through the pipeline and acknowledges a message only
when the store has it. The broker keeps the session while the worker is away.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import select
import threading
import time
from collections.abc import Callable, Sequence

import structlog

from city.areas import AreasError, load_areas
from city.config import Config
from city.messages import Received
from city.store import Store, StoreDown, StoreFenced, StoreMismatch, StoreRefused, now_ms
from ingest.figures import Figures
from ingest.follow import stop_on_signals
from ingest.intake import Intake
from ingest.lean_client import LeanClient
from ingest.paho_client import PahoClient
from ingest.pipeline import Pipeline
from ingest.retained import Retained
from ingest.session import Listener, Session, SessionRefused, SessionSettings
from ingest.share import Share

log = structlog.get_logger()

# How long a stop signal waits for the store before what is in hand is left to the broker.
_STOP_TIMEOUT_S = 5.0
_IDLE_POLL_S = 0.2
# Between two reads of the socket: brokers send message by message, and each would be a turn of its own.
_READ_EVERY_S = 0.001
_TOTALS_EVERY_S = 60.0
_FIGURES_EVERY_S = 1.0
# New objects before the garbage collector looks for circles among them.
_COLLECT_EVERY = 50_000
# A leaving worker has all that its session held when nothing more has come for so long.
_DRAINED_AFTER_S = 2.0
# NATS, which knows no shares, sends again what the last connection had in hand after its `ack_wait`: 30 s by default.
_PART_DRAINED_AFTER_S = 35.0

CLIENTS: dict[str, Callable[[SessionSettings, Listener], Session]] = {"lean": LeanClient, "paho": PahoClient}


class Receiver:
    """Feeds the pipeline from one broker session until told to stop."""

    def __init__(
        self, config: Config, pipeline: Pipeline, share: Share, *, clock_ms: Callable[[], int] = now_ms
    ) -> None:
        self._store = pipeline.store
        self._share = share
        self._clock_ms = clock_ms
        self.figures = Figures(share.worker, clock_ms())
        self._intake = Intake(
            pipeline,
            config.ingest,
            self.figures,
            store_url=config.redis.url,
            clock_ms=clock_ms,
            acknowledge=self._acknowledge,
        )
        settings = SessionSettings.of(
            config,
            client_id=share.worker,
            topics=share.topics,
            payload_max_bytes=pipeline.decoders.payload_max_bytes,
        )
        connect = CLIENTS[config.ingest.client]
        listener = Listener(self._offer, self._intake.forget_before, clock_ms)
        self._retained = Retained(settings, connect, listener)
        self.session = connect(settings, Listener(self._offer, self._retained.resumed, clock_ms))
        self._leaving = False
        self._clocks_ahead_s = config.ingest.checks.future_max_s
        self._arrived_at = time.monotonic()
        self._read_at = 0.0
        self._figures_at = 0.0
        self._totals_at = time.monotonic()
        self._told = (0, 0, 0, 0)

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; raises SessionRefused."""
        self._resume(stop)
        try:
            while not stop.is_set():
                self._turn()
        finally:
            self._finish()

    def leave(self, stop: threading.Event) -> None:
        """Take what the broker holds for this session, then end it for good; raises SessionRefused."""
        self._leaving = True
        self._resume(stop)
        began: float | None = None  # when the session was there
        asked = False
        try:
            while not stop.is_set():
                self._turn()
                if not self.session.subscribed:
                    continue
                if began is None:
                    began = self._arrived_at = time.monotonic()
                # The others of a share take what comes from now on. Of a part NATS forgets what is not taken yet.
                if not asked and (self._share.shared or self._caught_up(time.monotonic() - began)):
                    self.session.unsubscribe()
                    asked, self._arrived_at = True, time.monotonic()
                if asked and self._quiet(_DRAINED_AFTER_S):
                    self._store.forget_worker(self._share.worker)
                    break
        finally:
            self._finish(forget=asked and not len(self._intake))

    def _caught_up(self, for_s: float) -> bool:
        """Whether what comes now was sent since the worker began to leave, `for_s` ago, or nothing comes at all."""
        age_s = self.figures.age_s
        # Devices' clocks may run ahead by so much.
        fresh = age_s is None or age_s + self._clocks_ahead_s < for_s
        return for_s > _PART_DRAINED_AFTER_S and (fresh or self._quiet(_PART_DRAINED_AFTER_S))

    def _quiet(self, for_s: float) -> bool:
        return not len(self._intake) and time.monotonic() - self._arrived_at > for_s

    def _resume(self, stop: threading.Event) -> None:
        while not stop.is_set() and not self._intake.resume():
            stop.wait(max(0.0, self._intake.wait.until - time.monotonic()))

    def _turn(self) -> None:
        """Wait for something to do, and do it."""
        session, intake = self.session, self._intake
        session.connect_if_needed()
        if not self._leaving:
            self._retained.turn(session, full=intake.full)
        connection = session.socket()
        waits = [_IDLE_POLL_S, session.wait_s()]
        if (due_in_s := intake.due_in_s()) is not None:
            waits.append(due_in_s)
        # A full queue leaves the rest to TCP and the broker.
        wanted = connection is not None and not intake.full
        resting_s = self._read_at + _READ_EVERY_S - time.monotonic()
        if wanted and resting_s > 0:
            waits.append(resting_s)
            wanted = False
        buffered = wanted and session.buffered()
        reads = [*intake.sockets(), *([connection] if connection is not None and wanted else [])]
        if wanted and (beside := self._retained.socket()) is not None:
            reads.append(beside)
        writes = [connection] if connection is not None and session.wants_write() else []
        wait_s = 0.0 if buffered else min(waits)
        if reads or writes:
            readable, writable, _ = select.select(reads, writes, [], wait_s)
        else:
            readable, writable = [], []
            time.sleep(wait_s)
        if connection is not None and (buffered or connection in readable):
            self._read_at = time.monotonic()
            session.read()
        if writable:
            session.write()
        intake.work()
        self._tell()

    def _offer(self, messages: list[Received]) -> None:
        self._arrived_at = time.monotonic()
        self._intake.offer(messages)

    def _acknowledge(self, messages: Sequence[Received]) -> None:
        self.session.acknowledge(messages)

    def _finish(self, *, forget: bool = False) -> None:
        """Store and acknowledge what is in hand; the rest stays in the broker's session."""
        until = time.monotonic() + _STOP_TIMEOUT_S
        self._intake.finish(until)
        self._retained.close()
        self.session.close(until, forget=forget)
        log.info("stopped", received=self.figures.received, left_to_broker=len(self._intake))

    def _tell(self) -> None:
        now = time.monotonic()
        # Not while the store is away: asking it would hold everything else up.
        if now - self._figures_at >= _FIGURES_EVERY_S and self._intake.store_up:
            self._figures_at = now
            figures = self.figures.snapshot(
                at_ms=self._clock_ms(),
                connected=self.session.connected,
                queued=self._intake.queued,
                in_flight=self._intake.in_hand,
            )
            with contextlib.suppress(StoreDown, StoreRefused):  # the intake tells of it
                self._store.save_worker(figures)
        if now - self._totals_at >= _TOTALS_EVERY_S:
            so_far = self.figures
            told = (so_far.received, so_far.rejected, so_far.redelivered, so_far.batches)
            received, rejected, redelivered, batches = (new - old for new, old in zip(told, self._told, strict=True))
            log.info(
                "totals",
                received=received,
                rejected=rejected,
                redelivered=redelivered,
                batches=batches,
                queued=len(self._intake),
                seconds=round(now - self._totals_at),
            )
            self._told, self._totals_at = told, now


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--worker",
        metavar="NAME",
        help="this worker's name, where several share the work (ingest.share) or the topics (ingest.parts)",
    )
    parser.add_argument(
        "--leave",
        action="store_true",
        help="take what the broker still holds for this worker, end its session for good, and exit",
    )


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Receive until SIGTERM or Ctrl-C; returns the exit code."""
    stop = stop_on_signals()
    store = Store.of(config)
    try:
        share = Share.of(config, arguments.worker)
        pipeline = Pipeline(config, load_areas(config.city_dir), store, worker=share.worker)
        pipeline.memory.alone = share.alone
        log.info("areas", districts=len(pipeline.areas.districts), mahallas=len(pipeline.areas.mahallas))
        receiver = Receiver(config, pipeline, share)
        # What is there now stays, and messages hold no circles: looking for some costs a tenth of the worker's time.
        gc.freeze()
        gc.set_threshold(_COLLECT_EVERY)
        if arguments.leave:
            receiver.leave(stop)
        else:
            receiver.run(stop)
    except (AreasError, SessionRefused, StoreFenced, StoreMismatch) as error:
        log.error("ingest_stopped", error=str(error))
        return 1
    finally:
        store.close()
    return 0
