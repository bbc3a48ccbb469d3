"""The panel says what is known of a selection, and says so where nothing is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from analysis.indicators import AreaIndicators
from city.alarms import Alarm, AlarmPriority
from city.areas import Areas, load_areas
from city.config import Config, load_config
from city.events import CameraEvent, CameraStatus, FuelReading, PassengerCount, VehiclePosition
from city.i18n import translator
from city.messages import FeedCount
from city.store import StoredReject
from dashboard.feed import CityState
from dashboard.selected import Past, selected
from layouts.panel import Panel, age_words

ROOT = Path(__file__).resolve().parents[3]
T = translator("en")


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config.yaml", {})


@pytest.fixture(scope="module")
def areas(config: Config) -> Areas:
    return load_areas(config.city_dir)


def show(config: Config, areas: Areas, state: CityState, kind: str, item: str, **more: Any) -> Panel:
    found = selected({"kind": kind, "id": item}, config, areas, state, more.get("found", {}), more.get("before"), T)
    assert found is not None
    return found


def rows(panel: Panel) -> dict[str, str]:
    return {row.label: row.value for row in panel.rows}


def test_a_vehicle_shows_each_side_with_its_own_age(config: Config, areas: Areas) -> None:
    state, now = CityState(), time.time_ns() // 1_000_000
    at = {"vehicle_id": "bus-7", "received_ms": now}
    state.picture.apply(
        VehiclePosition(
            **at, measured_ms=now - 2_000, lat=41.3, lon=69.25, speed_mps=10.0, route="11", direction=2, mode="bus",
            schedule_deviation_s=-180.0, district="1726294",
        )
    )  # fmt: skip
    state.picture.apply(PassengerCount(**at, measured_ms=now - 60_000, onboard=45, capacity=90, estimated=True))
    state.picture.apply(FuelReading(**at, measured_ms=now - 600_000, level_l=50.0, capacity_l=200.0))
    panel = show(config, areas, state, "vehicle", "bus-7")
    assert panel.subtitle == "bus · route 11 → 2"
    assert rows(panel)["speed"] == "36 km/h"
    assert rows(panel)["panel.schedule"] == "3 min behind"
    assert rows(panel)["panel.passengers"] == "45 / 90 · 50 % (summed up)"
    assert rows(panel)["fuel"] == "50 l · 25 %"
    assert rows(panel)["panel.district"] == areas.by_code["1726294"].name("en")
    assert rows(panel)["panel.mahalla"] == "no mahalla polygon here"
    ages = {row.label: age_words(row.age_s, T) for row in panel.rows}
    assert (ages["speed"], ages["panel.passengers"], ages["fuel"]) == ("2 s", "60 s", "10 min")


def test_a_vehicle_without_counters_shows_no_passengers_rather_than_none_on_board(config: Config, areas: Areas) -> None:
    state = CityState()
    state.picture.apply(VehiclePosition(vehicle_id="a", measured_ms=1, received_ms=1, lat=41.3, lon=69.2))
    panel = show(config, areas, state, "vehicle", "a")
    assert "panel.passengers" not in rows(panel)
    assert "fuel" not in rows(panel)


def test_an_area_shows_what_is_in_it_and_its_alarms(config: Config, areas: Areas) -> None:
    state, code = CityState(), areas.districts[0].code
    alarm = Alarm(
        id="x", rule="overload", priority=AlarmPriority.MEDIUM, source_kind="vehicle", source_id="a",
        raised_ms=1, updated_ms=1, district=code,
    )  # fmt: skip
    state.alarms = {"x": alarm}
    state.picture.apply(CameraStatus(camera_id="k", measured_ms=1, received_ms=1, online=False, district=code))
    panel = show(config, areas, state, "area", code, found={code: AreaIndicators(vehicles=4, load=0.5, speed_kmh=20.4)})
    assert rows(panel)["vehicles"] == "4"
    assert rows(panel)["load"] == "50 %"
    assert rows(panel)["panel.cameras"] == "0 / 1"
    assert list(panel.alarms) == [alarm]


def test_a_camera_shows_its_last_events_in_words(config: Config, areas: Areas) -> None:
    state = CityState()
    state.picture.apply(CameraStatus(camera_id="k", measured_ms=1, received_ms=1, online=False, name="Chorsu"))
    state.picture.apply(CameraEvent(camera_id="k", measured_ms=1, received_ms=1, kind="crowd", count=60))
    panel = show(config, areas, state, "camera", "k")
    assert panel.title == "Chorsu"
    assert rows(panel)["panel.status"] == "offline"
    assert rows(panel)["crowd"] == "60"


def test_a_feed_shows_its_counters_and_the_rejected_bytes(config: Config, areas: Areas) -> None:
    state = CityState()
    count = FeedCount(feed="hfp", received=10, stored=7, late=1, rejected={"not_utf8": 2}, last_received_ms=1)
    state.rates.update([count], 1000)
    reject = StoredReject("1-0", "hfp", "not_utf8", "byte 0xff", "/hfp/v2/x", b"\xff{", 1)
    panel = show(config, areas, state, "feed", "hfp", before=Past(rejects=[reject]))
    assert rows(panel)["panel.received"] == "10"
    assert rows(panel)["reject.not_utf8"] == "2"
    assert panel.notes[0].source == "/hfp/v2/x\n\\xff{"


@pytest.mark.parametrize("value", [None, "bus-7", {}, {"kind": "vehicle"}, {"kind": 3, "id": []}, [1]])
def test_nothing_or_nonsense_selected_shows_no_panel(config: Config, areas: Areas, value: object) -> None:
    assert selected(value, config, areas, CityState(), {}, None, T) is None


def test_what_is_not_known_any_more_is_said_so(config: Config, areas: Areas) -> None:
    panel = show(config, areas, CityState(), "vehicle", "gone")
    assert panel.subtitle == "Nothing is known of gone"
