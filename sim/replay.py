"""`markaz replay`: plays a recording to the broker, or makes one."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import structlog

from city.config import Config
from sim.publisher import BadBrokerUrlError, BrokerLink
from sim.recording import BadLineError, Recorded, TimeShift, encode_spaces, parse_line, record_line

# A replay loses nothing: it waits while so many messages are unacknowledged.
_UNACKNOWLEDGED_MAX = 1000
_WAIT_MAX_S = 0.1
_DRAIN_S = 10.0
# Bad lines are told one by one up to here; the total counts all.
_BAD_LINES_TOLD = 20
# A replay's times may begin so much of `checks.stale_max_s` in the past.
_PAST_SHARE = 0.9

log = structlog.get_logger()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `markaz replay`."""
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="recording to play: HFP dump or JSON lines")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="play N times as fast (default 1)")
    parser.add_argument(
        "--times", choices=("shift", "keep"), default="shift",
        help="shift: move the times within messages so that the recording ends now (default); keep: as recorded",
    )  # fmt: skip
    parser.add_argument("--loop", action="store_true", help="begin again at the end")
    parser.add_argument("--limit", type=int, metavar="N", help="stop after N messages")
    parser.add_argument(
        "--encode-spaces", action=argparse.BooleanOptionalAction, default=True,
        help="spaces in topics as %%20, which every broker takes (default)",
    )  # fmt: skip
    parser.add_argument("--record", type=Path, metavar="FILE", help="record the city's native topics into FILE instead")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds")


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Play or record until the end, SIGTERM, Ctrl-C or --duration. Exit code 2: it cannot be done."""
    stop = threading.Event()
    _stop_on_signals(stop)
    problem = _problem(arguments)
    if problem:
        print(f"markaz replay: {problem}", file=sys.stderr)
        return 2
    deadline = None if arguments.duration is None else time.monotonic() + arguments.duration
    try:
        if arguments.record is not None:
            return _record(config, arguments.record, deadline, stop)
        longest_s = config.ingest.checks.stale_max_s * _PAST_SHARE
        return Replay(BrokerLink(config.mqtt, "replay"), arguments, deadline, stop, longest_s=longest_s).play()
    except BadBrokerUrlError as error:
        print(f"markaz replay: {error}", file=sys.stderr)
    except OSError as error:
        print(f"markaz replay: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
    return 2


class Replay:
    """Plays one file."""

    def __init__(
        self,
        link: BrokerLink,
        arguments: argparse.Namespace,
        deadline: float | None,
        stop: threading.Event,
        *,
        longest_s: float,
    ) -> None:
        self._longest_ms = longest_s * 1000
        self._link = link
        self._file: Path = arguments.file
        self._speed: float = arguments.speed
        self._shift: bool = arguments.times == "shift"
        self._loop: bool = arguments.loop
        self._limit: int | None = arguments.limit
        self._encode_spaces: bool = arguments.encode_spaces
        self._deadline = deadline
        self._stop = stop
        self._sent = self._bad = 0

    def play(self) -> int:
        """Send every message at its time; 0, or 1 if the end was not reached by the broker."""
        with self._file.open("rb"):
            pass  # a file that cannot be read must not first wait for a broker
        while not self._link.connected and not self._over():
            self._link.pump(_WAIT_MAX_S)
        while not self._over():
            sent_before = self._sent
            self._play_once()
            if not self._loop or self._sent == sent_before:
                break
        complete = self._link.close(_DRAIN_S)
        log.info("replayed", sent=self._sent, skipped=self._bad, acknowledged=complete)
        print(f"sent {self._sent}, skipped {self._bad}")
        return 0 if complete and (self._sent or not self._bad) else 1

    def _play_once(self) -> None:
        times = self._span()
        if times is None:
            return
        first_ms, last_ms = times
        now_ms = time.time() * 1000
        pace = TimeShift(first_ms, now_ms, self._speed)
        # Played faster, the recording ends now and began in the past: gaps stay true, or every
        # vehicle would seem to leap. One too long for that, or played again and again, is compressed.
        true_gaps = last_ms - first_ms <= self._longest_ms and not self._loop
        shift = TimeShift(last_ms, pace.moved_ms(last_ms)) if true_gaps else pace
        for number, message in self._messages():
            due_s = pace.moved_ms(message.at_ms) / 1000
            while not self._over() and (
                time.time() < due_s or not self._link.connected or self._link.unacknowledged >= _UNACKNOWLEDGED_MAX
            ):
                self._link.pump(min(max(due_s - time.time(), 0.001), _WAIT_MAX_S))
            if self._over():
                return
            topic = encode_spaces(message.topic) if self._encode_spaces else message.topic
            payload = shift.payload(message.payload) if self._shift else message.payload
            try:
                self._link.publish(topic, payload, retain=message.retain)
            except ValueError as error:
                self._skip(number, str(error))
                continue
            self._sent += 1
            self._link.pump(0.0)

    def _span(self) -> tuple[float, float] | None:
        """When the first and the last message were received, epoch ms; None if there is none."""
        skipped = self._bad
        times = [message.at_ms for _, message in self._messages()]
        if times:
            self._bad = skipped  # they are counted when they are played
        return (min(times), max(times)) if times else None

    def _messages(self) -> Iterator[tuple[int, Recorded]]:
        with self._file.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    yield number, parse_line(line)
                except BadLineError as error:
                    self._skip(number, str(error))

    def _skip(self, number: int, reason: str) -> None:
        self._bad += 1
        if self._bad <= _BAD_LINES_TOLD:
            log.warning("bad_line", file=str(self._file), line=number, reason=reason)

    def _over(self) -> bool:
        return (
            self._stop.is_set()
            or (self._limit is not None and self._sent >= self._limit)
            or (self._deadline is not None and time.monotonic() >= self._deadline)
        )


def _record(config: Config, path: Path, deadline: float | None, stop: threading.Event) -> int:
    """Write every message of the city's native topics to `path` until told to stop."""
    count = 0
    with path.open("wb") as file:

        def take(topic: str, payload: bytes, retained: bool) -> None:
            nonlocal count
            file.write(record_line(Recorded(time.time() * 1000, topic, payload, retained)))
            count += 1

        link = BrokerLink(config.mqtt, "record", subscribe=f"markaz/v1/{config.city}/#", on_message=take)
        while not stop.is_set() and (deadline is None or time.monotonic() < deadline):
            link.pump(_WAIT_MAX_S)
        link.close(0.0)
    log.info("recorded", file=str(path), messages=count)
    print(f"recorded {count}")
    return 0


def _problem(arguments: argparse.Namespace) -> str | None:
    if (arguments.file is None) == (arguments.record is None):
        return "give either a FILE to play or --record FILE"
    if not 0 < arguments.speed <= 10_000:
        return f"--speed {arguments.speed}: expected above 0, 10000 at most"
    if arguments.limit is not None and arguments.limit < 1:
        return f"--limit {arguments.limit}: expected 1 or more"
    if arguments.duration is not None and arguments.duration <= 0:
        return f"--duration {arguments.duration}: expected above 0"
    return None


def _stop_on_signals(stop: threading.Event) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
