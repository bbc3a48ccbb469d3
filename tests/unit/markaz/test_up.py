"""What the supervisor hands to its children and shows to people."""

from __future__ import annotations

from pathlib import Path

import pytest

from city.config import Config
from city.settings import CityProfile, Ingest, Mqtt
from markaz.embedded import with_urls
from markaz.live import has_items
from markaz.up import child_environ, ingest_commands, without_secrets

CITIES = {"tashkent": CityProfile(names={"en": "T"}, bounds=(69, 41, 70, 42), timezone="Asia/Tashkent")}


def test_children_get_the_addresses_that_were_chosen() -> None:
    """A secret's file stays with them; an address from a file would undo the choice."""
    config = with_urls(Config(cities=CITIES), "mqtt://127.0.0.1:1884", "redis://127.0.0.1:6380/0")
    given = {
        "HOME": "/home/markaz",
        "MARKAZ_REDIS__URL_FILE": "/run/secrets/url",
        "MARKAZ_REDIS__PASSWORD_FILE": "/run/secrets/redis",
        "MARKAZ_HTTP__PORT": "8050",
    }
    environ = child_environ(given, config, Path("/etc/markaz/config.yaml"), Path("/var/lib/markaz"), 8051)
    assert environ["MARKAZ_MQTT__URL"] == "mqtt://127.0.0.1:1884"
    assert environ["MARKAZ_MQTT__VERSION"] == "3.1.1"
    assert environ["MARKAZ_REDIS__URL"] == "redis://127.0.0.1:6380/0"
    assert environ["MARKAZ_HTTP__PORT"] == "8051"
    assert environ["MARKAZ_CONFIG"] == "/etc/markaz/config.yaml"
    assert environ["MARKAZ_REDIS__PASSWORD_FILE"] == "/run/secrets/redis"
    assert environ["HOME"] == "/home/markaz"
    assert "MARKAZ_REDIS__URL_FILE" not in environ


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mqtt://bus:hunter2@broker:1883", "mqtt://broker:1883"),
        ("redis://:hunter2@store:6379/0?password=hunter2", "redis://store:6379/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_secrets(url) == shown


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"type": "FeatureCollection", "features": [{"id": "T-1"}]}', True),
        ('{"type": "FeatureCollection", "features": []}', False),
        ("<html>", False),
        ("[]", False),
    ],
)
def test_a_list_answer_holds_something_or_not(body: str, expected: bool) -> None:
    assert has_items(body) is expected


def test_one_worker_a_part_or_so_many_of_a_group() -> None:
    assert ingest_commands(Config(cities=CITIES)) == [("ingest", ["ingest"])]
    parts = Ingest(parts={"buses": ("a/#",), "cameras": ("b/#",)})
    assert [words for _, words in ingest_commands(Config(cities=CITIES, ingest=parts))] == [
        ["ingest", "--worker", "buses"],
        ["ingest", "--worker", "cameras"],
    ]
    group = Config(cities=CITIES, mqtt=Mqtt(url="mqtt://broker"), ingest=Ingest(share="city", workers=2))
    assert [name for name, _ in ingest_commands(group)] == ["ingest-1", "ingest-2"]
