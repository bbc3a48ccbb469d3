"""`markaz check`: a line a finding, and what fails."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from city.archive_source import StoreMemory
from city.config import Config
from city.settings import CityProfile
from markaz.check import Finding, findings, geography, memory_told

CITIES = {"tashkent": CityProfile(names={"en": "T"}, bounds=(69, 41, 70, 42), timezone="Asia/Tashkent")}
ROOT = Path(__file__).parents[3]


def config(root: Path, **sections: object) -> Config:
    return Config.model_validate({"cities": CITIES, "root": root} | sections)


def by_subject(found: list[Finding], subject: str) -> list[Finding]:
    return [finding for finding in found if finding.subject == subject]


def test_the_shipped_geography_can_be_used() -> None:
    found = list(geography(config(ROOT)))
    assert {finding.state for finding in found} == {"ok"}
    assert Finding("ok", "geography", "mahallas.geojson: 402 features") in found


def test_a_city_without_polygons_is_told_how_to_get_them(tmp_path: Path) -> None:
    found = list(geography(config(tmp_path)))
    assert [finding.state for finding in found] == ["idle", "idle"]
    assert "`markaz geo import districts FILE` brings it" in found[0].detail


def test_declared_feeds_are_listed(tmp_path: Path) -> None:
    fields = {"ts": "t", "lat": "a", "lon": "o"}
    acme = {"topics": ["acme/{city}/+"], "kind": "vehicle/position", "id": 3, "fields": fields}
    found = list(findings(config(tmp_path, ingest={"mappings": {"acme": acme}}), tmp_path / "config.yaml"))
    assert by_subject(found, "mapping") == [
        Finding("ok", "mapping", "acme: acme/tashkent/+ as vehicle/position, 3 fields")
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", '{"features": [{"geometry": null}]}', '{"features": [{"geometry": {"coordinates": []}}]}']
)
def test_a_torn_file_fails_by_its_name(text: str, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "tashkent"
    folder.mkdir(parents=True)
    (folder / "districts.geojson").write_text(text)
    (failed,) = [finding for finding in geography(config(tmp_path)) if finding.state == "FAIL"]
    assert str(folder / "districts.geojson") in failed.detail


def test_servers_that_nobody_started_are_idle_not_broken(tmp_path: Path) -> None:
    found = list(findings(config(tmp_path), tmp_path / "config.yaml"))
    assert [by_subject(found, part)[0].state for part in ("broker", "store")] == ["idle", "idle"]


def test_servers_that_refuse_fail_without_showing_secrets(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    urls = {
        "mqtt": {"url": f"mqtt://bus:hunter2@127.0.0.1:{port}"},
        "redis": {"url": f"redis://:hunter2@127.0.0.1:{port}/0"},
    }
    found = list(findings(config(tmp_path, **urls), tmp_path / "config.yaml"))
    for part in ("broker", "store"):
        (finding,) = by_subject(found, part)
        assert finding.state == "FAIL"
        assert "refused" in finding.detail
        assert "hunter2" not in finding.detail


def test_what_the_store_holds_while_the_archive_is_away_is_reckoned_before() -> None:
    told = memory_told(StoreMemory(100 << 20, 1000 << 20, (1 << 20) / 8), 3600)
    assert told == ("; 100 MB of 1000 MB in use; events of 60 minutes, held while the archive is away, take 450 MB")
    assert memory_told(StoreMemory(600 << 20, 1000 << 20, (1 << 20) / 8), 3600).endswith("the oldest would go sooner")
    assert "set maxmemory" in memory_told(StoreMemory(1, 0, 0.0), 3600)
