"""Declared feeds: what can be wrong with a declaration is said at the start, in one line that names the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from city.config import ConfigError, load_config

SHIPPED = Path(__file__).resolve().parents[3] / "config.yaml"
FIELDS: dict[str, Any] = {"ts": "t", "lat": "lat", "lon": "lon"}
GOOD: dict[str, Any] = {"topics": "acme/+/gps", "kind": "vehicle/position", "id": 2, "fields": FIELDS}


def loaded(tmp_path: Path, name: str, mapping: object) -> Any:
    settings = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    settings["ingest"]["mappings"] = {name: mapping}
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return load_config(file, {}).ingest.mappings[name]


def test_a_filter_alone_a_path_alone_and_a_level_alone_are_enough(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, "acme", GOOD | {"topics": "acme/{city}/+/gps", "id": [3, "unit.no"]})
    assert mapping.filters("tashkent") == ("acme/tashkent/+/gps",)
    assert mapping.id == (3, "unit.no")
    assert mapping.deepest_level == 3
    assert mapping.fields["lat"].path == "lat"


def fields(**changed: object) -> dict[str, Any]:
    return GOOD | {"fields": FIELDS | changed}


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (GOOD | {"kind": "vehicle/speed"}, "mappings.acme.kind: Input should be 'vehicle/position'"),
        (GOOD | {"topics": "acme/#/gps"}, "mappings.acme.topics: 'acme/#/gps' is not an MQTT topic filter"),
        (GOOD | {"topics": []}, "mappings.acme.topics: "),
        (GOOD | {"topics": "acme/{town}"}, "mappings.acme.topics: only {city} may stand in braces"),
        (GOOD | {"id": 0}, "mappings.acme.id: levels of the topic are counted from 1"),
        (GOOD | {"id": 4}, "mappings.acme: acme/+/gps has 3 levels, not 4"),
        (GOOD | {"id": "a..b"}, "mappings.acme.id: 'a..b' is not a path"),
        (GOOD | {"id": True}, "mappings.acme.id: an id is a level"),
        (GOOD | {"each": "a["}, "mappings.acme.each: 'a[' is not a path"),
        (GOOD | {"every": "a"}, "mappings.acme.every: unknown key (allowed here: each, fields, id, kind, topics)"),
        (fields(speed="v"), "mappings.acme: fields.speed: vehicle/position has no such field (it has: ts, lat, "),
        (GOOD | {"fields": {"ts": "t", "lat": "lat"}}, "mappings.acme: fields: vehicle/position needs lon"),
        (fields(lat="gps["), "mappings.acme.fields.lat.path: 'gps[' is not a path"),
        (fields(lat=5), "mappings.acme.fields.lat: "),
        (fields(lat={}), "mappings.acme.fields.lat: exactly one of path, level and value is needed"),
        (fields(lat={"path": "a", "level": 1}), "mappings.acme.fields.lat: exactly one of path, level and value"),
        (
            fields(lat={"path": "a", "units": "m"}),
            "mappings.acme.fields.lat.units: unknown key (allowed here: default,",
        ),
        (fields(lat={"path": "a", "unit": "m"}), "mappings.acme: fields.lat.unit: lat has no unit"),
        (
            fields(speed_mps={"path": "v", "unit": "kmh"}),
            "mappings.acme: fields.speed_mps.unit: 'kmh' is not one of m/s, km/h, mph, kn",
        ),
        (
            fields(speed_mps={"path": "v", "zone": "Asia/Tashkent"}),
            "fields.speed_mps: time and zone are for due_at and ts",
        ),
        (fields(mode={"path": "v", "scale": 2}), "mappings.acme: fields.mode.scale: mode is not a measure"),
        (fields(mode={"path": "v", "type": "number"}), "mappings.acme: fields.mode.type: mode holds a text"),
        (fields(speed_mps={"value": "fast"}), "fields.speed_mps.value: speed_mps holds a number, not 'fast'"),
        (fields(ignition={"path": "i", "default": 1}), "fields.ignition.default: ignition holds a flag, not 1"),
        (fields(direction={"path": "d", "values": {"A": "1"}}), "fields.direction.A: direction holds a whole, not '1'"),
        (fields(mode={"path": "m", "values": {True: "bus"}}), "mappings.acme.fields.mode.values: on, off, yes, no"),
        (
            fields(ts={"path": "t", "zone": "Asia/Atlantis"}),
            "mappings.acme.fields.ts.zone: expected a name of the IANA",
        ),
        (fields(ts={"path": "t", "time": "%Y-%m-%d %H:%M"}), "fields.ts: time: '%Y-%m-%d %H:%M' has no offset (%z)"),
        (
            fields(ts={"path": "t", "time": "%H:%M", "zone": "Asia/Tashkent"}),
            "fields.ts: time: '%H:%M' does not tell date and time of day",
        ),
        (
            fields(ts={"path": "t", "time": "%Y-%m-%d %I:%M", "zone": "Asia/Tashkent"}),
            "fields.ts: time: '%Y-%m-%d %I:%M' does not tell date and time of day",
        ),
        (fields(ts={"value": "2026-05-04T10:00:00Z"}), "fields.ts: the time of measuring is in the message"),
        (fields(ts={"path": "t", "time": "epoch"}), "fields.ts: time: 'epoch' "),
        (fields(ts={"path": "t", "time": "%Q"}), "fields.ts: time: '%Q' "),
        (GOOD | {"kind": "vehicle/passengers", "fields": {"ts": "t", "in": "i"}}, "needs in and out or onboard"),
        (GOOD | {"kind": "vehicle/fuel", "fields": {"ts": "t", "used_l": "u"}}, "needs level_l or level_pct"),
        (
            GOOD | {"kind": "case", "fields": {"ts": "t", "category": "c", "status": "s"}},
            "needs lat and lon or address_code",
        ),
        (
            GOOD | {"kind": "camera/status", "fields": {"ts": "t", "online": "o", "lat": "a"}},
            "mappings.acme: fields: lat and lon go together",
        ),
    ],
)
def test_a_wrong_declaration_ends_the_start_with_one_line(tmp_path: Path, mapping: object, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "acme", mapping)
    line = str(caught.value)
    assert line.startswith("config.yaml: ingest.mappings")
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["hfp", "native", "case", "unknown"])
def test_the_name_of_a_format_or_a_feed_is_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=f"ingest.mappings: '{name}' is the name of a format or a feed"):
        loaded(tmp_path, name, GOOD)


@pytest.mark.parametrize("name", ["Acme", "a b", "vehicle/position", "", "1a", "a" * 33])
def test_a_name_is_a_plain_word(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="a name is 1 to 32"):
        loaded(tmp_path, name, GOOD)


def test_a_level_of_a_filter_that_is_open_at_the_end_is_asked_for_at_run_time(tmp_path: Path) -> None:
    assert loaded(tmp_path, "acme", GOOD | {"topics": ["acme/#"], "id": 9}).deepest_level == 9
