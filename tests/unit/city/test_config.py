"""The settings: what is allowed, what overrides what, and how a mistake is told."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from city.config import Config, ConfigError, Section, load_config
from city.rules.rule import Rule

SHIPPED = Path(__file__).parents[3] / "config.yaml"
WRONG = {"deep": {"er": 1}}  # ill-typed for every plain setting


def settings(tmp_path: Path, text: str = "") -> Path:
    """A settings file with one city and `text` above it."""
    city = "cities: {tashkent: {names: {en: Tashkent}, bounds: [69, 41, 70, 42], timezone: Asia/Tashkent}}\n"
    file = tmp_path / "config.yaml"
    file.write_text(text + "\n" + city, encoding="utf-8")
    return file


def leaves(model: type[Section], path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every setting, down to the plain ones."""
    for name, field in model.model_fields.items():
        below = field.annotation
        if isinstance(below, type) and issubclass(below, Section):
            yield from leaves(below, (*path, name))
        elif not field.exclude:
            yield (*path, name)


ALL_SETTINGS = sorted(".".join(path) for path in leaves(Config))


# Documented once for all rules; where they are left out the default holds.
OF_EVERY_RULE = set(Rule.model_fields) - {"priority"}


def refusal(file: Path, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ or {})
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_the_shipped_settings_are_the_defaults() -> None:
    """Whoever reads config.yaml reads what applies without it, but for the city's own: cities and incidents."""
    shipped = load_config(SHIPPED, {})
    bare = Config(cities=shipped.cities, incidents=shipped.incidents)
    placed = {"data_dir": True, "history": {"url"}}
    assert shipped.model_dump(exclude=placed) == bare.model_dump(exclude=placed)
    assert shipped.data_dir == SHIPPED.resolve().parent / bare.data_dir


@pytest.mark.parametrize(
    ("given", "lies"),
    [
        ({}, "{root}/var/history"),
        ({"MARKAZ_DATA_DIR": "/srv/markaz"}, "/srv/markaz/history"),
        ({"MARKAZ_HISTORY__URL": "archive"}, "{root}/archive"),
        ({"MARKAZ_HISTORY__URL": "/mnt/archive", "MARKAZ_DATA_DIR": "/srv/markaz"}, "/mnt/archive"),
        ({"MARKAZ_HISTORY__URL": "s3://bucket/history"}, "s3://bucket/history"),
    ],
)
def test_the_archive_lies_with_the_store_that_fills_it_unless_a_place_is_named(
    given: dict[str, str], lies: str
) -> None:
    assert load_config(SHIPPED, given).history.url == lies.format(root=SHIPPED.resolve().parent)


def test_relative_paths_lie_beside_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SHIPPED.read_text(encoding="utf-8"), encoding="utf-8")
    given = {"MARKAZ_DATA_DIR": "state", "MARKAZ_MQTT__CA_FILE": "ca.pem"}
    config = load_config(tmp_path / "config.yaml", given)
    assert (config.data_dir, config.mqtt.ca_file) == (tmp_path / "state", tmp_path / "ca.pem")
    assert load_config(tmp_path / "config.yaml", {"MARKAZ_DATA_DIR": "/srv/markaz"}).data_dir == Path("/srv/markaz")


def test_a_password_in_an_ill_formed_url_is_not_told() -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(SHIPPED, {"MARKAZ_REDIS__URL": "http://user:hush@host"})
    assert "hush" not in str(refused.value)


def test_the_shipped_file_names_every_setting() -> None:
    document = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    for path in ALL_SETTINGS:
        if path.startswith("alarms.") and path.rpartition(".")[2] in OF_EVERY_RULE:
            continue
        section: Any = document
        for part in path.split("."):
            assert part in section, path
            section = section[part]


@pytest.mark.parametrize("path", [path for path in ALL_SETTINGS if path != "cities"])
def test_an_ill_typed_setting_is_refused_with_its_path(path: str, tmp_path: Path) -> None:
    document: Any = WRONG
    for part in reversed(path.split(".")):
        document = {part: document}
    message = refusal(settings(tmp_path, yaml.safe_dump(document)))
    assert path in message
    assert message.startswith("config.yaml: ")


@pytest.mark.parametrize("path", ALL_SETTINGS)
def test_an_unknown_neighbour_of_a_setting_is_refused_with_what_is_allowed(path: str, tmp_path: Path) -> None:
    """A typing error shows the right name."""
    *sections, name = path.split(".")
    document: Any = {f"{name}_typo": 1}
    for part in reversed(sections):
        document = {part: document}
    message = refusal(settings(tmp_path, yaml.safe_dump(document)))
    assert f"{path}_typo: unknown key" in message
    assert name in message.partition("allowed here: ")[2].rstrip(")").split(", ")


def test_an_unknown_key_of_a_city_names_the_allowed_ones(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("cities: {tashkent: {names: {en: T}, bounds: [69, 41, 70, 42], timezone: Asia/Tashkent, box: 1}}")
    message = refusal(file)
    assert "cities.tashkent.box: unknown key (allowed here: bounds, language, names, timezone)" in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("http: {port: 0}", "http.port"),
        ("http: {port: 65536}", "http.port"),
        ("mqtt: {url: 'amqp://host'}", "mqtt.url: expected embedded or mqtt://…, mqtts://…"),
        ("redis: {url: 'redis://'}", "redis.url: expected embedded or redis://…"),
        ("city: samarkand", "'samarkand' has no profile under cities (allowed: tashkent)"),
        ("alarms: {overload: {load_clear: 2}}", "load_clear must not be above load_max"),
        ("alarms: {overload: {suppressed_by: [feed_slient]}}", "alarms: overload.suppressed_by: no rule 'feed_slient'"),
        ("alarms: {overload: {suppressed_by: [overload]}}", "overload.suppressed_by: overload < overload is a ring"),
        (
            "alarms: {gap: {suppressed_by: [bunching]}, bunching: {suppressed_by: [feed_silent, gap]}}",
            "bunching.suppressed_by: bunching < gap < bunching is a ring",
        ),
        ("alarms: {overload: {priority: urgent}}", "'critical', 'high', 'medium', 'low' or 'journal', not 'urgent'"),
        ("ingest: {checks: {speed_max_mps: .nan}}", "ingest.checks.speed_max_mps"),
        ("live: {frame_every_ms: 10}", "live.frame_every_ms"),
        ("[1, 2]", "not YAML"),
        ("http: {port: 1", "not YAML"),
    ],
)
def test_a_value_outside_its_bounds_is_refused_with_what_is_allowed(text: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(settings(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml") == f"{tmp_path / 'none.yaml'}: no such file"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    file = settings(tmp_path, "http: {port: 8050, host: 127.0.0.1}")
    environ = {"MARKAZ_HTTP__PORT": "9000", "MARKAZ_SIMULATE": "1", "MARKAZ_ALARMS__CAMERA_ALERT__KINDS": "[fire]"}
    config = load_config(file, environ)
    assert (config.http.port, config.http.host) == (9000, "127.0.0.1")
    assert config.simulate is True
    assert config.alarms.camera_alert.kinds == ("fire",)


def test_an_empty_variable_is_no_value(tmp_path: Path) -> None:
    assert load_config(settings(tmp_path), {"MARKAZ_HTTP__PORT": ""}).http.port is None


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MARKAZ_HTTP__PORT", "eighty", "MARKAZ_HTTP__PORT: http.port: "),
        ("MARKAZ_HTPP__PORT", "80", "htpp"),
        ("MARKAZ_HTTP__PROT", "80", "MARKAZ_HTTP__PROT: http.prot: unknown key"),
        ("MARKAZ_CITY__NAME", "x", "MARKAZ_CITY__NAME: city is not a section"),
    ],
)
def test_a_wrong_variable_is_named_itself(variable: str, value: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(settings(tmp_path, "city: tashkent"), {variable: value})


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n", encoding="utf-8")
    config = load_config(settings(tmp_path), {"MARKAZ_REDIS__PASSWORD_FILE": str(tmp_path / "secret")})
    assert config.redis.password == "hunter2"


def test_a_secret_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = refusal(settings(tmp_path), {"MARKAZ_MQTT__PASSWORD_FILE": "/nowhere/secret"})
    assert message == "MARKAZ_MQTT__PASSWORD_FILE: /nowhere/secret: No such file or directory"


def test_the_authority_of_a_broker_is_a_path_not_a_secret(tmp_path: Path) -> None:
    """CA_FILE ends like a secret's file and is none."""
    config = load_config(settings(tmp_path), {"MARKAZ_MQTT__CA_FILE": "/etc/ca.pem"})
    assert config.mqtt.ca_file == Path("/etc/ca.pem")


@pytest.mark.parametrize("section", ["mqtt", "redis"])
def test_a_password_is_never_shown(section: str, tmp_path: Path) -> None:
    config = load_config(settings(tmp_path), {f"MARKAZ_{section.upper()}__PASSWORD": "hunter2"})
    assert "hunter2" not in repr(config)
    message = refusal(settings(tmp_path, f"{section}: {{password: [hunter2]}}"))
    assert f"{section}.password" in message
    assert "hunter2" not in message


def test_geography_lies_beside_the_settings(tmp_path: Path) -> None:
    assert load_config(settings(tmp_path), {}).city_dir == tmp_path / "data" / "tashkent"


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("MARKAZ_MQTT__URL", "mqtt://host:99999", "mqtt.url"),
        ("MARKAZ_MQTT__URL", "mqtt://host:abc", "mqtt.url"),
        ("MARKAZ_MQTT__URL", "mqtt://[::1", "mqtt.url"),
        ("MARKAZ_MQTT__URL", "mqtt://:1883", "a host is missing"),
        ("MARKAZ_REDIS__URL", "redis://host:6379/abc", "number of a database"),
        ("MARKAZ_HTTP__ALLOWED_ORIGINS", "[a: }", "not YAML"),
        ("MARKAZ_INGEST__TOPICS__NATIVE", "markaz/{x}/#", "only {city}"),
        ("MARKAZ_INGEST__CLIENT_ID", "a-name-far-too-long-for-mqtt", "23 characters"),
        ("MARKAZ_CITIES__TASHKENT__TIMEZONE", "Asia/Nope", "IANA"),
    ],
)
def test_what_would_fail_later_is_refused_at_once_in_one_line(variable: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(SHIPPED, {variable: value})
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_secret_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(SHIPPED, {"MARKAZ_REDIS__PASSWORD_FILE": str(tmp_path / "secret")})


def test_two_cities_never_share_a_session_of_the_broker() -> None:
    names = {load_config(SHIPPED, {"MARKAZ_CITY": city}).ingest_client_id for city in ("tashkent", "helsinki")}
    assert len(names) == 2


@pytest.mark.parametrize(
    "url", ["redis-cluster://a:7000,b:7001", "redis-cluster://user:word@a:7000,b", "rediss-cluster://a"]
)
def test_a_cluster_is_named_by_some_of_its_nodes(url: str) -> None:
    assert load_config(SHIPPED, {"MARKAZ_REDIS__URL": url}).redis.url == url


@pytest.mark.parametrize("url", ["redis-cluster://a:7000,:7001", "redis-cluster://a:x", "redis-cluster://a/1"])
def test_a_cluster_address_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"redis\.url"):
        load_config(SHIPPED, {"MARKAZ_REDIS__URL": url})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"MARKAZ_INGEST__SHARE": "city"}, "ingest.share"),
        (
            {"MARKAZ_INGEST__SHARE": "c", "MARKAZ_MQTT__URL": "mqtt://b", "MARKAZ_INGEST__PARTS": "{a: [x/#]}"},
            "exclude each other",
        ),
        ({"MARKAZ_INGEST__PARTS": "{a: [x/#/y]}"}, "not an MQTT topic filter"),
        ({"MARKAZ_INGEST__SHARE": "a/b", "MARKAZ_MQTT__URL": "mqtt://b"}, "ingest.share"),
    ],
)
def test_shares_and_parts_that_cannot_work_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load_config(SHIPPED, given)
