"""`markaz simulate`: lives the simulated city against the clock and publishes what it says."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TypeVar
from zoneinfo import ZoneInfo

import structlog
from msgspec import Struct

from city.areas import AreasError, load_areas
from city.config import Config
from sim import resume
from sim.network import NoRoutesError, load_network
from sim.publisher import INFLIGHT_MAX, BadBrokerUrlError, BrokerLink
from sim.sensors import place_meters
from sim.town import Town, TownPlan
from sim.truth import TruthFile

# What could not be said within so long is not said any more.
_STALE_S = 1.0
# A machine that slept longer than this finds its city where it left it.
_SLEPT_S = 60.0
_TOTALS_EVERY_S = 60.0
_SAVE_EVERY_S = 30.0
_WAIT_MAX_S = 0.1
_DRAIN_S = 1.0
# With --speed the city begins in the past: by at most this share of what Markaz still takes.
_LEAD_SHARE = 0.9

log = structlog.get_logger()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `markaz simulate`; those left out come from config.yaml's `simulator`."""
    parser.add_argument("--vehicles", type=int, metavar="N", help="vehicles in service")
    parser.add_argument("--cameras", type=int, metavar="N", help="cameras in the city")
    parser.add_argument("--sensors", type=int, metavar="N", help="electricity meters in the city")
    parser.add_argument("--rate", type=float, metavar="HZ", help="positions a second and vehicle")
    parser.add_argument("--seed", type=int, help="another number, another city; begins anew")
    parser.add_argument(
        "--speed", type=float, metavar="X",
        help="begin in the past and live X times as fast until now is reached (1 or more)",
    )  # fmt: skip
    parser.add_argument("--truth", type=Path, metavar="FILE", help="write every planted anomaly there, JSON lines")
    parser.add_argument("--duration", type=float, metavar="S", help="stop after so many seconds by the wall clock")


_Number = TypeVar("_Number", int, float)


class Options(Struct, frozen=True, kw_only=True):
    """One run's settings, arguments over configuration."""

    vehicles: int
    cameras: int
    sensors: int
    rate_hz: float
    seed: int
    speed: float
    truth: Path | None
    duration_s: float | None
    resume: bool


class BadOptionError(Exception):
    """An option that cannot be. The message is one line."""


def _given(arguments: argparse.Namespace, name: str, default: _Number) -> _Number:
    value: _Number | None = getattr(arguments, name, None)
    return default if value is None else value


def read_options(config: Config, arguments: argparse.Namespace) -> Options:
    """Arguments where given, else the configuration; raises BadOptionError."""
    defaults = config.simulator

    options = Options(
        vehicles=_given(arguments, "vehicles", defaults.vehicles),
        cameras=_given(arguments, "cameras", defaults.cameras),
        sensors=_given(arguments, "sensors", defaults.sensors),
        rate_hz=_given(arguments, "rate", defaults.rate_hz),
        seed=_given(arguments, "seed", defaults.seed),
        speed=_given(arguments, "speed", defaults.speed),
        truth=getattr(arguments, "truth", None),
        duration_s=getattr(arguments, "duration", None),
        resume=getattr(arguments, "seed", None) is None,
    )
    checks = (
        ("--vehicles", options.vehicles, 1 <= options.vehicles <= 100_000, "1 to 100000"),
        ("--cameras", options.cameras, 0 <= options.cameras <= 100_000, "0 to 100000"),
        ("--sensors", options.sensors, 0 <= options.sensors <= 100_000, "0 to 100000"),
        ("--rate", options.rate_hz, 0.01 <= options.rate_hz <= 20, "0.01 to 20 a second"),
        ("--speed", options.speed, 1 <= options.speed <= 1000, "1 to 1000"),
        ("--seed", options.seed, options.seed >= 0, "0 or more"),
        ("--duration", options.duration_s, options.duration_s is None or options.duration_s > 0, "above 0"),
    )
    for name, value, good, allowed in checks:
        if not good:
            raise BadOptionError(f"{name} {value}: expected {allowed}")
    return options


def run(config: Config, arguments: argparse.Namespace) -> int:
    """Publish the city until SIGTERM, Ctrl-C or --duration. Exit code 2: it cannot be simulated."""
    stop = threading.Event()
    _stop_on_signals(stop)
    try:
        options = read_options(config, arguments)
        network = load_network(config.city_dir)
        mahallas = load_areas(config.city_dir).mahallas if options.sensors else ()
        meters = place_meters(mahallas, options.sensors, options.seed)
        link = BrokerLink(config.mqtt, "sim")
        with ExitStack() as stack:
            truth = stack.enter_context(TruthFile(options.truth)) if options.truth else None
            while not link.connected and not stop.is_set():
                link.pump(_WAIT_MAX_S)
            if not stop.is_set():
                lead_s = lead_of(options, config.ingest.checks.stale_max_s)
                start_ms = round((time.time() - lead_s) * 1000)
                plan = TownPlan(
                    city=config.city,
                    vehicles=options.vehicles,
                    cameras=options.cameras,
                    rate_hz=options.rate_hz,
                    seed=options.seed,
                    start_ms=start_ms,
                    zone=ZoneInfo(config.profile.timezone),
                    crowded_from=config.alarms.overload.load_max,
                )
                memory_file = config.data_dir / "simulator" / f"{config.city}.npz"
                memory = resume.load(memory_file, _fingerprint(options), start_ms) if options.resume else None
                town = Town(network, plan, memory, meters=meters)
                log.info(
                    "simulating", city=config.city, vehicles=options.vehicles, cameras=options.cameras,
                    sensors=len(meters), rate_hz=options.rate_hz, seed=options.seed, resumed=memory is not None,
                    lead_s=round(lead_s),
                )  # fmt: skip
                save = _saver(memory_file, _fingerprint(options)) if options.resume else lambda _: None
                Simulation(town, link, truth, options, lead_s=lead_s, save=save).live(stop)
            link.close(_DRAIN_S)
    except (NoRoutesError, AreasError, BadOptionError, BadBrokerUrlError) as error:
        print(f"markaz simulate: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"markaz simulate: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return 2
    return 0


def lead_of(options: Options, stale_max_s: float) -> float:
    """How many seconds ago a run begins, so that it reaches now (at --duration's end, if that is sooner)."""
    most = _LEAD_SHARE * stale_max_s
    if options.speed <= 1:
        return 0.0
    return most if options.duration_s is None else min(most, options.duration_s * (options.speed - 1))


class Simulation:
    """Keeps a town on its clock."""

    def __init__(
        self,
        town: Town,
        link: BrokerLink,
        truth: TruthFile | None,
        options: Options,
        *,
        lead_s: float,
        save: Callable[[Town], None],
    ) -> None:
        self._town = town
        self._link = link
        self._truth = truth
        self._options = options
        self._lead_s = lead_s
        self._save = save
        self._sent = self._skipped_slices = 0
        # A broker that takes nothing is not fed beyond this: it would say old things when it wakes.
        self._unsaid_max = min(INFLIGHT_MAX, 1000 + round(2 * options.vehicles * options.rate_hz))

    def live(self, stop: threading.Event) -> None:
        """Run until stopped."""
        options, town, link = self._options, self._town, self._link
        begin = time.time()
        next_totals, next_save, connections = begin + _TOTALS_EVERY_S, begin + _SAVE_EVERY_S, link.connections
        slept_s = 0.0
        while not stop.is_set():
            wall = time.time()
            if options.duration_s is not None and wall - begin >= options.duration_s:
                break
            passed_s = wall - begin - slept_s
            behind_s = min(options.speed * passed_s, passed_s + self._lead_s) - town.t
            if behind_s < 0:
                link.pump(min(-behind_s / options.speed, _WAIT_MAX_S))
                if link.connections != connections:
                    connections = link.connections
                    town.announce()
                continue
            if behind_s > _SLEPT_S * options.speed:
                town.skip_time(behind_s)
                slept_s += behind_s
                log.warning("clock_jumped", seconds=round(behind_s))
                continue
            self._step(behind_s <= _STALE_S * options.speed)
            if wall >= next_totals:
                self._tell_totals()
                next_totals += _TOTALS_EVERY_S
            if wall >= next_save:
                self._save(town)
                next_save += _SAVE_EVERY_S
        self._save(town)
        self._write_truth(final=True)
        self._tell_totals()

    def _step(self, fresh: bool) -> None:
        link = self._link
        listening = fresh and link.connected and link.unacknowledged < self._unsaid_max
        for message in self._town.step(listening=listening):
            link.publish(message.topic, message.payload, retain=message.retain)
            self._sent += 1
        self._skipped_slices += not listening
        self._write_truth()
        link.pump(0.0)

    def _write_truth(self, *, final: bool = False) -> None:
        for anomaly in self._town.planted(final=final):
            if self._truth is not None:
                self._truth.write(anomaly)

    def _tell_totals(self) -> None:
        log.info(
            "simulated",
            sent=self._sent,
            unacknowledged=self._link.unacknowledged,
            seconds_unsaid=round(self._skipped_slices * self._town.slice_s, 1),
        )


def _fingerprint(options: Options) -> str:
    return f"seed {options.seed}, {options.vehicles} vehicles"


def _saver(path: Path, fingerprint: str) -> Callable[[Town], None]:
    def save(town: Town) -> None:
        try:
            resume.save(path, town.remember(), fingerprint)
        except OSError as error:
            # The city lives on without its memory; the next run will begin anew.
            log.warning("memory_not_saved", file=str(path), reason=str(error))

    return save


def _stop_on_signals(stop: threading.Event) -> None:
    def handle(number: int, frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
