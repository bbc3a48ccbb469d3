"""The alarm process on a real store: killed, cut off, stopped."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path

import pytest
from servers import Valkey, wait_until

from analysis.alarm_states import apply, transition_of
from analysis.detection import Detection
from analysis.schedule import Clock
from city.alarm_store import AlarmCommit, Changed
from city.alarms import Act, Action, AlarmState
from city.config import Config, load_config
from city.events import CameraEvent, CameraStatus, Event, FuelReading, PassengerCount, VehiclePosition
from city.messages import Reading, Received
from city.store import Store, StoreDown, now_ms

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
RUN = "import argparse, sys; from pathlib import Path; from city.config import load_config; from ingest import {0}; "
RUN += "sys.exit({0}.run(load_config(Path('config.yaml')), argparse.Namespace()))"
KILLS = 50
DELAY_S = "1.5"
WATCHED = {"fuel_drop", "overload", "camera_offline", "camera_alert"}
RULES = {
    "MARKAZ_ALARMS__OVERLOAD__ON_DELAY_S": DELAY_S,
    "MARKAZ_ALARMS__CAMERA_OFFLINE__ON_DELAY_S": DELAY_S,
    "MARKAZ_ALARMS__CAMERA_ALERT__CLEAR_AFTER_S": "2.5",
    "MARKAZ_ALARMS__FUEL_DROP__CLEAR_AFTER_S": "2.5",
    "MARKAZ_ALARMS__FEED_SILENT__SILENT_AFTER_S": "{sensor/reading: 3}",
    # Which alarm begins a flood depends on the order in which partitions are read; the rest does not.
    "MARKAZ_NUISANCE__FLOOD_SUPPRESSES": "[]",
}


class Process:
    """One of our processes, started, killed and started again."""

    def __init__(self, name: str, environ: dict[str, str], log: Path) -> None:
        self._command = [sys.executable, "-c", RUN.format(name)]
        self._environ = {**os.environ, **environ}
        self._log = log
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.running = subprocess.Popen(self._command, cwd=ROOT, env=self._environ, stdout=log, stderr=log)

    def end(self, number: signal.Signals) -> int:
        assert self.running is not None
        self.running.send_signal(number)
        code = self.running.wait(10)
        self.running = None
        return code

    def log(self) -> str:
        return self._log.read_text(errors="replace")


class City:
    """What the test says to the store, and what it should find there."""

    def __init__(self, store: Store, config: Config) -> None:
        self.store, self._config = store, config
        self._number = 0
        self.said: list[Event] = []

    def say(self, *events: Event) -> None:
        self._number += 1
        readings = [Reading("sensor/reading", event, Received("t", b"", event.received_ms)) for event in events]
        try:
            self.store.commit("test", self._number, readings, [], now_ms=now_ms())
        except StoreDown:  # the connection from before its restart; a batch sent twice counts once
            self.store.commit("test", self._number, readings, [], now_ms=now_ms())
        self.said += events

    def found(self) -> dict[str, int | None]:
        """Alarms of entities: id → when it cleared."""
        return {alarm.id: alarm.cleared_ms for alarm in self.store.alarms() if alarm.rule in WATCHED}

    def told(self) -> dict[str, list[tuple[Action, int, int]]]:
        """What the log says of each alarm of an entity: action, when, version."""
        log: dict[str, list[tuple[Action, int, int]]] = {}
        for _, one in self.store.transitions(count=100_000):
            if one.rule in WATCHED:
                log.setdefault(one.alarm, []).append((one.action, one.at_ms, one.version))
        return log

    def expected(self) -> dict[str, list[tuple[Action, int, int]]]:
        """The same by one reader that was never disturbed."""
        detection = Detection(
            self._config.alarms,
            self._config.kpis.capacity_default,
            Clock(UTC),
            joining=self._config.incidents,
            nuisance=self._config.nuisance,
        )
        for event in self.said:
            detection.apply([(event, False)])
        detection.tick(now_ms())
        log: dict[str, list[tuple[Action, int, int]]] = {}
        for one in detection.book.transitions():
            if one.rule in WATCHED:
                log.setdefault(one.alarm, []).append((one.action, one.at_ms, one.version))
        return log


@pytest.fixture
def config(valkey: Valkey) -> Config:
    return load_config(ROOT / "config.yaml", {"MARKAZ_REDIS__URL": valkey.url, **RULES})


@pytest.fixture
def city(config: Config) -> Iterator[City]:
    store = Store.of(config)
    yield City(store, config)
    store.close()


@pytest.fixture
def alarms(valkey: Valkey, tmp_path: Path) -> Iterator[Process]:
    process = Process("alarms", {"MARKAZ_REDIS__URL": valkey.url, **RULES}, tmp_path / "alarms.log")
    yield process
    if process.running is not None:
        process.end(signal.SIGKILL)


def moment(chance: random.Random, levels: dict[str, float], at_ms: int) -> list[Event]:
    """A second of six vehicles and six cameras to which things happen."""
    events: list[Event] = []
    at = {"measured_ms": at_ms, "received_ms": at_ms}
    for name in tuple(levels):
        events.append(VehiclePosition(**at, vehicle_id=name, lat=41.3, lon=69.2, speed_mps=0.0))
        if chance.random() < 0.15:
            levels[name] = max(10.0, levels[name] - 30)
        events.append(FuelReading(**at, vehicle_id=name, level_l=levels[name]))
        events.append(PassengerCount(**at, vehicle_id=name, onboard=chance.choice([30, 120, 120]), capacity=80))
        if chance.random() < 0.4:
            events.append(CameraStatus(**at, camera_id=name, online=chance.random() < 0.4))
        if chance.random() < 0.2:
            events.append(CameraEvent(**at, camera_id=name, kind="fire"))
    return events


@pytest.mark.timeout(600)  # fifty starts
def test_killed_fifty_times_it_loses_and_doubles_no_transition(city: City, alarms: Process) -> None:
    chance = random.Random(1)
    levels = dict.fromkeys((f"e{n}" for n in range(6)), 2500.0)
    alarms.start()
    wait_until(lambda: "caught_up" in alarms.log(), what="the start")
    begun = 0
    for _ in range(KILLS):
        city.say(*moment(chance, levels, now_ms()))
        # While it starts, or just after it has begun: it reads or writes then.
        if chance.random() < 0.8:
            wait_until(lambda: alarms.log().count("begun") > begun, what="the start")  # noqa: B023
            time.sleep(chance.random() * 0.4)
        else:
            time.sleep(chance.random())
        begun = alarms.log().count("begun")
        alarms.end(signal.SIGKILL)
        alarms.start()
    city.say(*moment(chance, levels, now_ms()))
    with contextlib.suppress(AssertionError):
        wait_until(lambda: city.told() == city.expected(), timeout_s=30)
    assert city.told() == city.expected(), "the transitions of an undisturbed reader"
    assert {alarm_id.partition(":")[0] for alarm_id in city.told()} == WATCHED
    # The live stream brings every alarm to where the log leaves it.
    _, changes = city.store.read_alarms("0-0", block_ms=10)
    newest = {alarm.id: alarm.version for alarm in changes if alarm.rule in WATCHED}
    assert newest == {alarm_id: said[-1][2] for alarm_id, said in city.told().items()}


def test_what_an_operator_does_meanwhile_is_kept(city: City, alarms: Process) -> None:
    def fire(phase: str | None) -> CameraEvent:
        return CameraEvent(camera_id="c", kind="fire", phase=phase, measured_ms=now_ms(), received_ms=now_ms())

    alarms.start()
    wait_until(lambda: "caught_up" in alarms.log(), what="the start")
    city.say(fire("new"))
    wait_until(city.found, what="the alarm")
    (alarm,) = (one for one in city.store.alarms() if one.rule in WATCHED)
    act = Act(action=Action.ACKNOWLEDGE, at_ms=now_ms(), by="anvar")
    after = apply(alarm, act)
    commit = AlarmCommit(alarms=[Changed(alarm, after)], transitions=[transition_of(alarm, after, act)])
    assert not city.store.commit_alarms(commit, keep_s=60)
    city.say(fire("end"))
    wait_until(lambda: city.store.alarm(alarm.id).state is AlarmState.NORMAL, what="its end")  # type: ignore[union-attr]
    said = [(action, version) for action, _, version in city.told()[alarm.id]]
    assert said == [(Action.RISE, 1), (Action.ACKNOWLEDGE, 2), (Action.CLEAR, 3)]


def test_a_second_watcher_takes_over_and_the_first_one_ends(city: City, alarms: Process, config: Config) -> None:
    alarms.start()
    wait_until(lambda: "caught_up" in alarms.log(), what="the start")
    city.store.own_alarms("somebody else")
    assert alarms.running is not None
    assert alarms.running.wait(15) == 1
    assert "another process watches" in alarms.log()


def test_a_lost_store_is_waited_for_and_is_no_silence_of_feeds(
    city: City, alarms: Process, valkey: Valkey, config: Config
) -> None:
    def status(*, online: bool) -> CameraStatus:
        return CameraStatus(camera_id="c", measured_ms=now_ms(), received_ms=now_ms(), online=online)

    alarms.start()
    city.say(status(online=False))
    wait_until(city.found, what="the alarm")
    spoke_ms = now_ms()
    city.say(status(online=True))
    wait_until(lambda: all(city.found().values()), what="its end")
    valkey.kill()
    time.sleep(6)
    valkey.start()
    wait_until(lambda: "store_back" in alarms.log(), what="the process to come back")
    back_ms = now_ms()
    wait_until(
        lambda: [a for a in city.store.alarms() if a.rule == "feed_silent" and a.raised_ms > spoke_ms + 5_000],
        what="the silence",
    )
    silent = [alarm for alarm in city.store.alarms() if alarm.rule == "feed_silent" and alarm.raised_ms > spoke_ms]
    # 3 s from when somebody listens again, not from the last message.
    assert len(silent) == 1
    assert silent[0].raised_ms >= back_ms + 3_000 - 1_500
    city.say(status(online=False))
    # A source's alarm has the same id at every rise.
    wait_until(lambda: list(city.found().values()) == [None], what="the next rise")
    assert alarms.log().count("store_down") == 1


def test_it_starts_before_the_store_and_stops_at_once(alarms: Process, valkey: Valkey, city: City) -> None:
    valkey.kill()
    alarms.start()
    wait_until(lambda: "store_down" in alarms.log(), what="a word about the store")
    valkey.start()
    wait_until(lambda: "caught_up" in alarms.log(), what="the start")
    since = time.monotonic()
    assert alarms.end(signal.SIGTERM) == 0
    assert time.monotonic() - since < 2
    cursors, _ = city.store.own_alarms("test")
    assert len(cursors) == city.store.keys.partitions
