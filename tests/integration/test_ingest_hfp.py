"""Recorded HFP traffic through the pipeline into a real store: every line is accounted for."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from servers import Valkey

from city.areas import Areas
from city.config import load_config
from city.events import Facet, PassengerCount, VehiclePosition, VehicleStatus
from city.messages import Received
from city.store import Store
from ingest.pipeline import Batch, Pipeline

pytestmark = pytest.mark.integration
ROOT = Path(__file__).resolve().parents[2]
CASES = (
    "currentStopNull",
    "partialApcAfterLongDeadRunStart",
    "serviceJourneyChangeSameStop",
    "stopChange",
    "wrongServiceJourneySelectedAfterDeadRun",
)


def lines(dump: Path) -> Iterator[Received]:
    """The messages of a dump, received when the recorder received them."""
    with dump.open(encoding="utf-8") as file:
        for line in file:
            head, _, payload = line.rstrip("\n").partition(" {")
            received, _, topic = head.partition(" ")
            received_ms = round(datetime.fromisoformat(received).timestamp() * 1000)
            yield Received(topic, ("{" + payload).encode(), received_ms)


class Replay:
    def __init__(self, valkey: Valkey) -> None:
        config = load_config(ROOT / "config.yaml", {"MARKAZ_CITY": "helsinki", "MARKAZ_REDIS__URL": valkey.url})
        self.store = Store.of(config)
        self._pipeline = Pipeline(config, Areas([]), self.store)
        self._pipeline.resume()

    def play(self, messages: list[Received], batch: int = 50) -> None:
        for start in range(0, len(messages), batch):
            part = messages[start : start + batch]
            self._pipeline.run(Batch(part, part[-1].received_ms))


@pytest.mark.parametrize("case", CASES)
def test_every_line_of_a_dump_is_stored_late_or_rejected_by_reason(recordings: Path, valkey: Valkey, case: str) -> None:
    messages = list(lines(recordings / "hfp" / case / "hfp.dump"))
    replay = Replay(valkey)
    replay.play(messages)
    (count,) = replay.store.counts()
    assert count.feed == "hfp"
    assert count.stored + count.late + sum(count.rejected.values()) == count.received == len(messages)
    nowhere = sum(b'"lat":null' in message.payload for message in messages)
    assert count.rejected.get("no_position", 0) == nowhere
    assert set(count.rejected) <= {"no_position", "impossible_speed", "duplicate"}, count
    assert count.stored > 0


def test_a_vehicle_without_a_position_still_tells_its_state(recordings: Path, valkey: Valkey) -> None:
    messages = list(lines(recordings / "hfp" / "currentStopNull" / "hfp.dump"))
    last_nowhere = [m for m in messages if b'"lat":null' in m.payload][-1]
    replay = Replay(valkey)
    replay.play(messages)
    (status,) = replay.store.latest(Facet.VEHICLE_STATUS)
    assert isinstance(status, VehicleStatus)
    assert status.vehicle_id == "0018-01029"
    assert status.odometer_m == json.loads(last_nowhere.payload).popitem()[1]["odo"]
    (position,) = replay.store.latest(Facet.POSITION)
    assert isinstance(position, VehiclePosition)


@pytest.mark.parametrize("case", CASES)
def test_vehicles_own_passenger_counts_are_stored(recordings: Path, valkey: Valkey, case: str) -> None:
    messages = list(lines(recordings / "hfp" / case / "partialApc.dump"))
    replay = Replay(valkey)
    replay.play(messages)
    (count,) = replay.store.counts()
    assert (count.stored, count.received) == (len(messages), len(messages))
    (passengers,) = replay.store.latest(Facet.PASSENGERS)
    assert isinstance(passengers, PassengerCount)
    assert passengers.onboard == json.loads(messages[-1].payload)["APC"]["vehiclecounts"]["vehicleload"]
    assert not passengers.estimated


@pytest.mark.parametrize("case", CASES)
def test_back_ends_passenger_counts_are_accounted_for(recordings: Path, valkey: Valkey, case: str) -> None:
    expected = json.loads((recordings / "hfp" / case / "apc.json").read_text(encoding="utf-8"))
    messages = [
        Received(one["data"]["topic"], json.dumps({"APC": one["data"]["payload"]}).encode(), one["eventTimestamp"])
        for one in expected
    ]
    replay = Replay(valkey)
    replay.play(messages)
    (count,) = replay.store.counts()
    assert count.stored + count.late + sum(count.rejected.values()) == count.received == len(messages)
    assert set(count.rejected) <= {"duplicate"}
    loads = Counter(one["data"]["payload"]["vehicleCounts"]["vehicleLoad"] for one in expected)
    (passengers,) = replay.store.latest(Facet.PASSENGERS)
    assert isinstance(passengers, PassengerCount)
    assert passengers.onboard in loads
