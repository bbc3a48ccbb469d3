"""The briefing: now against before, problems in words, no number where nothing is known."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from analysis.samples import AreaSample
from analysis.trend import HOUR_MS
from city.alarms import Alarm, AlarmPriority, AlarmState
from city.areas import Areas, load_areas
from city.config import Config, load_config
from city.events import PassengerCount, VehiclePosition
from city.i18n import LANGUAGES, translator
from dashboard.briefing import brief
from dashboard.feed import CityState
from layouts.briefing import briefing

ROOT = Path(__file__).resolve().parents[3]
T = translator("en")


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config.yaml", {})


@pytest.fixture(scope="module")
def areas(config: Config) -> Areas:
    return load_areas(config.city_dir)


def city(areas: Areas) -> CityState:
    state, now = CityState(store_up=True), time.time_ns() // 1_000_000
    code = areas.districts[0].code
    for number in range(4):
        at = {"vehicle_id": f"bus-{number}", "measured_ms": now, "received_ms": now}
        state.picture.apply(VehiclePosition(**at, lat=41.3, lon=69.2, speed_mps=10, route="8", district=code))
        state.picture.apply(PassengerCount(**at, onboard=120, capacity=100))
    state.samples = [(now - HOUR_MS, {"mean_load": 0.8, "passengers_on_board": None})]
    alarm = Alarm(
        id="fuel_drop:bus-1:1", rule="fuel_drop", priority=AlarmPriority.HIGH, source_kind="vehicle",
        source_id="bus-1", raised_ms=now - 60_000, updated_ms=now, district=code,
        state=AlarmState.UNACKNOWLEDGED, active=True,
        values={"lost_l": 31.4, "before_l": 120.0, "level_l": 88.6},
    )  # fmt: skip
    state.alarms = {alarm.id: alarm}
    return state


def test_numbers_stand_beside_those_of_an_hour_ago_where_there_are_any(config: Config, areas: Areas) -> None:
    lines = {line.name: line for line in brief(config, areas, city(areas), {}, T).kpis}
    assert (lines["mean_load"].now, lines["mean_load"].hour_ago, lines["mean_load"].day_ago) == (1.2, 0.8, None)
    assert lines["passengers_on_board"].hour_ago is None
    assert lines["cameras_online"].now is None


def test_problems_are_told_in_words_with_place_and_time(config: Config, areas: Areas) -> None:
    first, second = brief(config, areas, city(areas), {}, T).problems[:2]
    assert first.words == "Fuel loss: bus-1 lost 31.4 l while standing"
    assert first.place == areas.districts[0].name("en")
    assert first.since_ms is not None
    assert second.words == "Route 8: mean load 120 % on 4 vehicles"
    assert second.place == "route 8"


def test_districts_are_compared_with_an_hour_ago(config: Config, areas: Areas) -> None:
    code = areas.districts[0].code
    then = AreaSample(vehicles=3, load=0.5, speed_kmh=30.0, alarms=0, onboard=100)
    line = brief(config, areas, city(areas), {code: then}, T).districts[0]
    assert (line.vehicles, line.load, line.load_hour_ago, line.speed_hour_ago_kmh) == (4, 1.2, 0.5, 30.0)


def test_it_says_how_much_of_the_city_the_mahallas_cover(config: Config, areas: Areas) -> None:
    assert brief(config, areas, CityState(), {}, T).coverage_pct == 65


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_made_in_every_language_without_a_key_in_it(config: Config, areas: Areas, language: str) -> None:
    t = next(translator(one) for one in LANGUAGES if one == language)
    page = str(briefing(brief(config, areas, city(areas), {}, t), config, t))
    for prefix in ("briefing.", "kpi.", "problem.", "unit.", "panel."):
        assert f"'{prefix}" not in page
