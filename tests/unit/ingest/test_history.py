"""Samples are aligned to the wall clock and taken once; an outage leaves a gap."""

from collections.abc import Mapping
from typing import Any

import pytest

from analysis.samples import read_area_sample, read_kpi_sample, read_vehicle_sample
from city.alarms import Alarm
from city.config import Config
from city.events import Event, Facet, FuelReading, PassengerCount, VehiclePosition
from city.messages import FeedCount
from city.store import Entry, Store, Stored, StoreDown
from ingest.history import HistoryWorker

CITIES = {"tashkent": {"names": {"en": "Tashkent"}, "bounds": [69.1, 41.1, 69.5, 41.5], "timezone": "Asia/Tashkent"}}
MINUTE = 60_000
T0 = 1_000_000 * MINUTE


class Shelf(Store):
    """A store in memory, as far as the history asks it."""

    state: bytes | None = None

    def checkpoint(self, worker: str) -> tuple[dict[int, str], bytes | None]:
        return {}, self.state

    def save_checkpoint(self, worker: str, cursors: Mapping[int, str], state: bytes) -> None:
        self.state = state

    def __init__(self) -> None:
        self.series: dict[str, dict[int, bytes]] = {"kpis": {}, "areas": {}, "vehicles": {}}
        self.keeps: dict[str, float] = {}
        self.known: list[Event] = []
        self.received = 0
        self.down = False

    def latest(self, facet: Facet) -> Any:
        return iter([event for event in self.known if event.facet is facet])

    def counts(self) -> list[FeedCount]:
        if self.down:
            raise StoreDown("gone")
        count = FeedCount(
            feed="hfp", received=self.received, stored=self.received, late=0, rejected={}, last_received_ms=T0
        )
        return [count]

    def alarms(self) -> list[Alarm]:
        return []

    def add_sample(self, series: str, at_ms: int, sample: bytes, *, keep_s: float) -> bool:
        self.keeps[series] = keep_s
        if at_ms in self.series[series]:
            return False
        self.series[series][at_ms] = sample
        return True


def events(at_ms: int) -> list[Event]:
    at = {"vehicle_id": "bus", "measured_ms": at_ms, "received_ms": at_ms}
    return [
        VehiclePosition(**at, lat=41.3, lon=69.2, speed_mps=10.0, district="1726269", mahalla="1726269040"),
        PassengerCount(**at, onboard=40, capacity=80),
    ]


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def worker(shelf: Shelf) -> HistoryWorker:
    found = HistoryWorker(shelf, Config.model_validate({"cities": CITIES}))
    found.begin()
    found.caught_up(T0 - 5000)
    return found


def take(worker: HistoryWorker, at_ms: int) -> None:
    worker.take([Entry(0, "1-0", [Stored(event, False) for event in events(at_ms)])])


def test_samples_lie_on_the_clock(worker: HistoryWorker, shelf: Shelf) -> None:
    for at_ms in range(T0 - 3000, T0 + 2 * MINUTE, 200):
        if at_ms % 1000 == 0:
            take(worker, at_ms)
            shelf.received += 3
        worker.beat(at_ms)
    assert list(shelf.series["kpis"]) == [T0 + n * 10_000 for n in range(12)]
    assert list(shelf.series["areas"]) == list(shelf.series["vehicles"]) == [T0, T0 + MINUTE]
    assert shelf.keeps == {"kpis": 180_000, "areas": 180_000, "vehicles": 7_200}
    kpis = read_kpi_sample(shelf.series["kpis"][T0 + 50_000])
    assert (kpis["vehicles_in_service"], kpis["mean_load"], kpis["messages_per_s"]) == (1, 0.5, 3.0)
    assert read_area_sample(shelf.series["areas"][T0])["1726269040"].onboard == 40
    assert read_vehicle_sample(shelf.series["vehicles"][T0])["bus"].speed_kmh == 36.0


def test_another_process_with_the_same_sample_does_no_harm(worker: HistoryWorker, shelf: Shelf) -> None:
    shelf.series["kpis"][T0] = b"{}"
    take(worker, T0)
    worker.beat(T0 + 100)
    worker.beat(T0 + 300)
    assert shelf.series["kpis"] == {T0: b"{}"}


def test_an_outage_is_a_gap(worker: HistoryWorker, shelf: Shelf) -> None:
    shelf.down = True
    with pytest.raises(StoreDown):
        worker.beat(T0)
    shelf.down = False
    worker.beat(T0 + 6000)
    assert shelf.series["kpis"] == {}
    worker.beat(T0 + 10_000)
    assert list(shelf.series["kpis"]) == [T0 + 10_000]


def test_it_begins_with_what_the_store_knows(worker: HistoryWorker, shelf: Shelf) -> None:
    shelf.known = events(T0 - 10_000)
    worker.begin()
    worker.beat(T0)
    assert read_kpi_sample(shelf.series["kpis"][T0])["passengers_on_board"] == 40


def test_fuel_use_goes_on_over_a_restart(shelf: Shelf, worker: HistoryWorker) -> None:
    def drive(to: HistoryWorker, seconds: range) -> None:
        for second in seconds:
            at = {"vehicle_id": "bus", "measured_ms": T0 + second * 1000, "received_ms": 0}
            position = VehiclePosition(**at, lat=41.3, lon=69.2, speed_mps=10.0, odometer_m=10.0 * second)
            fuel = FuelReading(**at, used_l=0.004 * second)
            to.take([Entry(0, "1-0", [Stored(position, False), Stored(fuel, False)])])

    drive(worker, range(200))
    again = HistoryWorker(shelf, Config.model_validate({"cities": CITIES}))
    worker.keep({}, due=True)
    again.begin()
    drive(again, range(150, 210))
    again.caught_up(T0 + 209_000)
    again.beat(T0 + 210_000)
    fuel_l = read_kpi_sample(shelf.series["kpis"][T0 + 210_000])["fuel_l_per_100km"]
    assert fuel_l == pytest.approx(40, abs=0.5)


def test_a_state_of_another_version_is_left_behind(worker: HistoryWorker, shelf: Shelf) -> None:
    shelf.state = b'{"tanks": 5}'
    worker.begin()
    assert worker.keep({}, due=False) is None
    worker.keep({}, due=True)
    assert shelf.state == b'{"tanks":{},"buckets":{}}'
