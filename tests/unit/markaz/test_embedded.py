"""The embedded servers' configuration, and where single commands find them."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from city.config import Config, ConfigError
from city.settings import CityProfile
from markaz.embedded import broker_config, mqtt_readiness, redis_readiness, resolve, store, store_config, with_urls
from markaz.running import Running, take_lock, write_note

CITIES = {"tashkent": CityProfile(names={"en": "T"}, bounds=(69, 41, 70, 42), timezone="Asia/Tashkent")}


def config(tmp_path: Path, **sections: object) -> Config:
    return Config.model_validate({"cities": CITIES, "root": tmp_path} | sections)


def test_the_broker_keeps_what_it_acknowledged_and_listens_here_only(tmp_path: Path) -> None:
    text = broker_config(tmp_path, 1884, None, None)
    assert 'listen: "127.0.0.1:1884"' in text
    assert "max_ack_pending: 2000" in text
    assert f'store_dir: "{tmp_path}"' in text
    assert "0.0.0.0" not in text
    assert "authorization" not in text


def test_the_broker_asks_for_the_configured_password() -> None:
    assert 'username: "bus", password: "a\\"b"' in broker_config(Path("var"), 1883, "bus", 'a"b')


def test_the_store_keeps_every_write_and_forgets_nothing(tmp_path: Path) -> None:
    lines = store_config(tmp_path, 6380, None).splitlines()
    for line in (
        "bind 127.0.0.1",
        "port 6380",
        "appendonly yes",
        "appendfsync everysec",
        "auto-aof-rewrite-min-size 256mb",
        "maxmemory-policy noeviction",
    ):
        assert line in lines
    assert 'requirepass "s"' in store_config(tmp_path, 6380, "s")


def test_the_store_takes_half_of_the_memory_at_most(tmp_path: Path) -> None:
    """Without a limit the system would end it, and with it every screen."""
    assert "maxmemory 12345" in store_config(tmp_path, 6380, None, memory_bytes=12345).splitlines()
    store(config(tmp_path), tmp_path, 6380)
    (line,) = [
        one for one in (tmp_path / "store" / "valkey.conf").read_text().splitlines() if one.startswith("maxmemory ")
    ]
    assert 0 < int(line.split()[1]) <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def test_a_configuration_with_a_password_is_its_owners_alone(tmp_path: Path) -> None:
    store(config(tmp_path, redis={"password": "hunter2"}), tmp_path, 6380)
    assert (tmp_path / "store" / "valkey.conf").stat().st_mode & 0o077 == 0


def test_a_port_where_nobody_answers_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert (mqtt_readiness("127.0.0.1", port), redis_readiness("127.0.0.1", port)) == ("silent", "silent")


def test_configured_addresses_stay_as_they_are(tmp_path: Path) -> None:
    given = config(tmp_path, mqtt={"url": "mqtt://broker"}, redis={"url": "redis://store"})
    assert resolve(given) == given


def test_nothing_running_is_told_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no embedded store is running: start `markaz up` or set MARKAZ_REDIS__URL"):
        resolve(config(tmp_path), ["redis"])


def test_a_command_asks_only_for_what_it_needs(tmp_path: Path) -> None:
    given = config(tmp_path, mqtt={"url": "mqtt://broker"})
    assert resolve(given, ["mqtt"]).mqtt.url == "mqtt://broker"


def test_a_running_supervisor_tells_its_addresses(tmp_path: Path) -> None:
    given = config(tmp_path, data_dir="city-data", redis={"url": "redis://store"})
    lock = take_lock(tmp_path / "city-data", patience_s=0)
    note = Running(
        pid=os.getpid(),
        city="tashkent",
        started_at=datetime(2026, 3, 21, tzinfo=UTC),
        http_url="http://127.0.0.1:8050/",
        mqtt_url="mqtt://127.0.0.1:1899",
        redis_url=None,
    )
    write_note(tmp_path / "city-data", note)
    found = resolve(given)
    assert (found.mqtt.url, found.redis.url) == ("mqtt://127.0.0.1:1899", "redis://store")
    os.close(lock)


def test_the_embedded_broker_is_spoken_to_in_its_own_version(tmp_path: Path) -> None:
    assert with_urls(config(tmp_path), "mqtt://127.0.0.1:1883", None).mqtt.version == "3.1.1"
    assert config(tmp_path, mqtt={"url": "mqtt://broker"}).mqtt.version == "auto"
