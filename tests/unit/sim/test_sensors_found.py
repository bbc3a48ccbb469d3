"""What fails in the simulated electricity network is found by the shipped settings: one incident a feeder, no more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from msgspec.structs import replace

from analysis.detection import Detection
from analysis.schedule import Clock
from city.alarms import Action, AlarmPriority, Transition
from city.areas import Areas
from city.config import load_config
from city.events import SensorReading
from city.incidents import Incident
from city.messages import Reading, Received, Reject
from ingest.decode import Decoders
from sim.messages import Outgoing
from sim.sensors import Meter, MeterWatch, place_meters
from sim.truth import Anomaly, rfc3339

ROOT = Path(__file__).parents[3]
START_MS = int(datetime(2026, 3, 18, 14, 0, tzinfo=UTC).timestamp() * 1000)
# Each of the six feeders trips once; a second trip of one, while nobody closed the first's incident, belongs to that.
SECONDS = 9000
STEP_S = 1.0


@dataclass
class Evening:
    """What was planted, and what Markaz made of it."""

    meters: list[Meter]
    planted: list[Anomaly] = field(default_factory=list)
    log: list[Transition] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)

    def trips(self) -> Iterator[tuple[Anomaly, set[str]]]:
        """Every trip with the alarms of its meters."""
        for one in self.planted:
            if one.kind == "feeder_trip":
                yield one, {_alarm(m.sensor_id) for m in self.meters if m.feeder == one.entity}

    def joined(self) -> dict[str, set[str]]:
        """Incident → its alarms."""
        joined: dict[str, set[str]] = defaultdict(set)
        for one in self.log:
            if one.action is Action.JOIN:
                joined[one.text].add(one.alarm)
        return joined


def _alarm(sensor_id: str) -> str:
    return f"sensor_threshold:{sensor_id}|voltage"


@pytest.fixture(scope="module")
def evening(areas: Areas) -> Evening:
    config = load_config(ROOT / "config.yaml", {})
    clock = Clock(ZoneInfo(config.profile.timezone))
    detection = Detection(
        config.alarms, config.kpis.capacity_default, clock, joining=config.incidents, nuisance=config.nuisance
    )
    decoders = Decoders({"native": [f"markaz/v1/{config.city}/#"]}, payload_max_bytes=config.ingest.payload_max_bytes)
    found = Evening(place_meters(areas.mahallas, config.simulator.sensors, config.simulator.seed))
    watch = MeterWatch(
        config.city, found.meters, np.random.default_rng(config.simulator.seed), lambda t: rfc3339(_ms(t)), _ms
    )
    for step in range(int(SECONDS / STEP_S)):
        t = step * STEP_S
        out: list[Outgoing] = []
        found.planted += watch.step(t, 0.8, out)
        detection.apply((event, False) for event in _received(out, _ms(t), decoders, areas))
        detection.tick(_ms(t))
        found.log += detection.book.transitions()
        found.incidents |= {after.id: after for _, after in detection.incidents.changes()}
        detection.written()
    return found


def _ms(t: float) -> int:
    return START_MS + round(t * 1000)


def _received(out: list[Outgoing], now_ms: int, decoders: Decoders, areas: Areas) -> list[SensorReading]:
    """What ingest makes of messages."""
    readings: list[Reading] = []
    rejects: list[Reject] = []
    decoders.decode_all([Received(one.topic, one.payload, now_ms) for one in out], readings, rejects)
    assert not rejects
    events = [one.event for one in readings if isinstance(one.event, SensorReading)]
    assert len(events) == len(out)
    lats, lons = zip(*((one.lat, one.lon) for one in events), strict=True) if events else ((), ())
    return [
        replace(event, district=district, mahalla=mahalla)
        for event, district, mahalla in zip(events, *areas.locate(lats, lons), strict=True)
    ]


def test_a_tripped_feeder_is_one_incident_of_all_its_meters(evening: Evening) -> None:
    joined = evening.joined()
    whose = []
    for trip, meters in evening.trips():
        of_trip = {name for name, alarms in joined.items() if alarms & meters}
        assert len(of_trip) == 1, trip
        (name,) = of_trip
        incident = evening.incidents[name]
        assert joined[name] >= meters
        assert (incident.rule, incident.common) == ("network", {"network": "electricity", "district": trip.detail})
        assert incident.priority is AlarmPriority.CRITICAL
        # The operator knows it within seconds of the rules' own delay.
        assert 10_000 <= incident.opened_ms - trip.start_ms <= 15_000
        whose.append(name)
    assert len(set(whose)) == len(whose) >= 5
    assert set(evening.incidents) == set(whose), "no incident without a trip"


def test_sensor_alarms_rise_for_what_is_planted_alone_and_for_all_of_it(evening: Evening) -> None:
    planted = [(trip, meters) for trip, meters in evening.trips()]
    planted += [(one, {_alarm(one.entity)}) for one in evening.planted if one.kind == "voltage_sag"]
    risen = [one for one in evening.log if one.action is Action.RISE]
    explained = {(trip.detail, trip.start_ms) for trip, _ in evening.trips()}
    for one in risen:
        if one.rule == "network_failure":
            assert any(district == one.source_id and 0 < one.at_ms - at <= 15_000 for district, at in explained)
        else:
            assert one.rule == "sensor_threshold"
            assert any(one.alarm in alarms and 0 < one.at_ms - what.start_ms <= 15_000 for what, alarms in planted)
    for what, alarms in planted:
        if what.end_ms is not None and what.end_ms < START_MS + SECONDS * 1000:
            after = {one.alarm for one in risen if 0 < one.at_ms - what.start_ms <= 15_000}
            assert after >= alarms, what


def test_what_is_over_clears(evening: Evening) -> None:
    for trip, meters in evening.trips():
        assert trip.end_ms is not None
        if trip.end_ms + 60_000 < START_MS + SECONDS * 1000:
            after = [one for one in evening.log if one.action is Action.CLEAR and one.at_ms >= trip.end_ms]
            assert {one.alarm for one in after if one.at_ms - trip.end_ms < 60_000} >= meters
