"""Alarms become incidents in the store: a feeder trips, an operator is quicker, the process is killed."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from servers import Valkey, wait_until
from test_alarms import City, Process

from city.alarm_store import AlarmCommit, ChangedIncident
from city.alarms import Action
from city.config import Config, load_config
from city.events import SensorReading
from city.incidents import Deed, Incident
from city.store import Store, now_ms

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
SENSORS = 1000
LIMIT = "{network: power, quantity: voltage, unit: V, low: 198, deadband: 2, on_delay_s: 0, off_delay_s: 0}"
LIMITS = {"MARKAZ_ALARMS__SENSOR_THRESHOLD__LIMITS": f"[{LIMIT}]"}


@pytest.fixture
def config(valkey: Valkey) -> Config:
    return load_config(ROOT / "config.yaml", {"MARKAZ_REDIS__URL": valkey.url, **LIMITS})


@pytest.fixture
def city(config: Config) -> Iterator[City]:
    store = Store.of(config)
    yield City(store, config)
    store.close()


@pytest.fixture
def alarms(valkey: Valkey, tmp_path: Path) -> Iterator[Process]:
    process = Process("alarms", {"MARKAZ_REDIS__URL": valkey.url, **LIMITS}, tmp_path / "alarms.log")
    yield process
    if process.running is not None:
        process.end(signal.SIGKILL)


def voltage(sensor: int, value: float, at_ms: int) -> SensorReading:
    return SensorReading(
        measured_ms=at_ms, received_ms=at_ms, sensor_id=f"meter-{sensor:04}", quantity="voltage", value=value, unit="V",
        lat=41.3, lon=69.2, network="power", district="1726269", mahalla="1726269001",
    )  # fmt: skip


def inside(store: Store, incident: Incident) -> int:
    """Alarms of sensors that are in it; what the network's own rules find is in it too."""
    return sum(one.incident == incident.id and one.rule == "sensor_threshold" for one in store.alarms())


def of_feeder(store: Store) -> list[Incident]:
    return [one for one in store.incidents() if one.rule == "network"]


def test_a_thousand_alarms_of_a_feeder_in_a_minute_are_one_incident_within_five_seconds(
    city: City, alarms: Process
) -> None:
    alarms.start()
    wait_until(lambda: "caught_up" in alarms.log(), what="the start")
    city.say(*(voltage(n, 220, now_ms()) for n in range(SENSORS)))
    tripped = time.monotonic()
    for first in range(0, SENSORS, 50):
        at_ms = now_ms()
        city.say(*(voltage(n, 0, at_ms) for n in range(first, first + 50)))
        time.sleep(0.1)
        if first == 0:
            wait_until(lambda: bool(of_feeder(city.store)), what="the incident")
            assert time.monotonic() - tripped < 5
    wait_until(lambda: of_feeder(city.store)[0].alarms >= SENSORS, timeout_s=60, what="all in it")
    (incident,) = of_feeder(city.store)
    risen = [one for one in city.store.alarms() if one.rule == "sensor_threshold"]
    assert len(risen) == SENSORS, "every alarm is kept"
    assert {one.incident for one in risen} == {incident.id}
    assert (incident.common, incident.district) == ({"network": "power", "district": "1726269"}, "1726269")
    assert incident.checklist, "what to do is in it"
    log = [one for _, one in city.store.transitions(count=10_000) if one.rule == "sensor_threshold"]
    assert [one.action for one in log].count(Action.RISE) == [one.action for one in log].count(Action.JOIN) == SENSORS
    deeds = [one.deed for one in city.store.newest_entries({incident.id})]
    assert deeds[-1] is Deed.OPEN
    assert set(deeds[:-1]) == {Deed.JOIN}


def test_what_an_operator_did_to_an_incident_is_not_written_over(city: City, alarms: Process) -> None:
    alarms.start()
    wait_until(lambda: "caught_up" in alarms.log(), what="the start")
    city.say(*(voltage(n, 0, now_ms()) for n in range(3)))
    wait_until(lambda: bool(of_feeder(city.store)), what="the incident")
    # The process is stopped while an operator takes the incident, and while more alarms rise.
    assert alarms.running is not None
    alarms.running.send_signal(signal.SIGSTOP)
    (opened,) = of_feeder(city.store)
    theirs = replace(opened, assignee="Aziza", version=opened.version + 1)
    assert not city.store.commit_alarms(AlarmCommit(incidents=[ChangedIncident(opened, theirs)]), keep_s=60)
    city.say(*(voltage(n, 0, now_ms()) for n in range(3, 6)))
    alarms.running.send_signal(signal.SIGCONT)
    wait_until(lambda: inside(city.store, opened) == 6, what="the others in it")
    (incident,) = of_feeder(city.store)
    assert incident.assignee == "Aziza"
    assert incident.version > theirs.version


def test_killed_between_the_alarms_it_makes_the_same_incident(city: City, alarms: Process) -> None:
    for n in range(3):
        alarms.start()
        city.say(voltage(n, 0, now_ms()))
        wait_until(
            lambda: any(one.source_id == f"meter-{n:04}" for one in city.store.alarms()),  # noqa: B023
            what=f"alarm {n}",
        )
        alarms.end(signal.SIGKILL)
    wait_until(lambda: bool(of_feeder(city.store)), what="the incident")
    (incident,) = of_feeder(city.store)
    assert inside(city.store, incident) == 3
