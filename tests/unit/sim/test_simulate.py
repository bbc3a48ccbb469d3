"""Options of `markaz simulate`, and how a city is kept on its clock."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from city.config import Config, load_config
from sim import replay, simulate
from sim.simulate import BadOptionError, lead_of, read_options

ROOT = Path(__file__).parents[3]


@pytest.fixture
def config() -> Config:
    return load_config(ROOT / "config.yaml", {"MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"})


def _arguments(*given: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    simulate.add_arguments(parser)
    return parser.parse_args(given)


def test_what_is_not_given_comes_from_the_configuration(config: Config) -> None:
    options = read_options(config, _arguments("--vehicles", "5000"))
    assert options.vehicles == 5000
    assert (options.cameras, options.sensors, options.rate_hz) == (240, 120, 1)
    assert (options.seed, options.speed) == (1, 1)
    assert options.resume


def test_a_seed_begins_anew(config: Config) -> None:
    assert not read_options(config, _arguments("--seed", "1")).resume


@pytest.mark.parametrize(
    "given",
    [
        ("--vehicles", "0"),
        ("--rate", "0"),
        ("--speed", "0.5"),
        ("--cameras", "-1"),
        ("--sensors", "-1"),
        ("--duration", "0"),
        ("--rate", "nan"),
    ],
)
def test_impossible_options_are_refused_with_what_is_expected(config: Config, given: tuple[str, str]) -> None:
    with pytest.raises(BadOptionError, match=f"{given[0]} .*expected"):
        read_options(config, _arguments(*given))


def test_at_speed_one_the_city_lives_now(config: Config) -> None:
    assert lead_of(read_options(config, _arguments()), 3600) == 0


def test_a_faster_city_begins_as_far_back_as_markaz_takes(config: Config) -> None:
    assert lead_of(read_options(config, _arguments("--speed", "10")), 3600) == 3240
    assert lead_of(read_options(config, _arguments("--speed", "10", "--duration", "60")), 3600) == 540


@pytest.mark.parametrize("city", ["dushanbe"])
def test_a_city_without_routes_exits_with_two_and_one_line(
    config: Config, city: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate.run(config.model_copy(update={"city": city}), _arguments()) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "bus_routes.geojson: no such file" in error


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], "either a FILE"),
        (["a", "--record", "b"], "either a FILE"),
        (["a", "--speed", "0"], "--speed"),
        (["a", "--limit", "0"], "--limit"),
        (["/nowhere/at/all"], "/nowhere/at/all: No such file"),
    ],
)
def test_replay_refuses_what_it_cannot_do(
    config: Config, given: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    replay.add_arguments(parser)
    assert replay.run(config, parser.parse_args(given)) == 2
    assert expected in capsys.readouterr().err
