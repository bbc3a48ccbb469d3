"""The documentation says what the code does: names, defaults and files on both sides are the same."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_origin

import msgspec
import pytest
import yaml
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.routing import Route

from analysis import samples
from analysis.kpis import KPI_UNITS
from analysis.picture import Camera, Vehicle
from analysis.transit.study import What
from analysis.workers import WorkerLooks
from city.alarms import Alarm, AlarmPriority
from city.config import ENV_NOT_SETTINGS, ENV_PREFIX, Config, load_config
from city.events import EVENT_TYPES
from city.gtfs import faults as gtfs_faults
from city.incidents import Incident
from city.keys import NAMES, partition_of
from city.mappings import NATIVE, FieldSource
from city.messages import Histogram, RejectReason, WorkerFigures
from city.rules import Alarms
from city.rules.rule import Hours, Rule
from city.settings import CityProfile
from city.units import UNITS
from dashboard import api, api_alarms, api_feeds, api_incidents
from dashboard.app import GEOGRAPHY, build
from ingest.decode import FORMATS, cap, frigate, gtfs_rt, hfp, native, native_events, owntracks, traccar, waltti_apc
from ingest.decode.outcome import UNKNOWN_FEED
from markaz.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
CONTRACTS = (DOCS / "contracts.md").read_text(encoding="utf-8")
ARCHITECTURE = (DOCS / "architecture.md").read_text(encoding="utf-8")
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "deploy" / "README.md", *sorted(ROOT.glob("*.md"))]
PACKAGES = ("analysis", "city", "dashboard", "ingest", "layouts", "markaz", "sim")
PAYLOADS: dict[str, type[msgspec.Struct]] = {
    "vehicle/<id>/position": native_events.PositionMessage,
    "vehicle/<id>/passengers": native_events.PassengersMessage,
    "vehicle/<id>/fuel": native_events.FuelMessage,
    "camera/<id>/event": native_events.CameraEventMessage,
    "camera/<id>/status": native_events.CameraStatusMessage,
    "sensor/<id>/reading": native_events.SensorMessage,
    "case/<source>/<id>": native_events.CaseMessage,
}


def section(heading: str, text: str = CONTRACTS) -> str:
    """What stands under a heading, with its own headings below."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    assert found is not None, f"no heading {heading!r}"
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def rows(text: str) -> list[list[str]]:
    """The cells of the first table of a text, without its head."""
    lines = text.splitlines()
    first = next(at for at, line in enumerate(lines) if line.startswith("|"))
    table: list[list[str]] = []
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        table.append([cell.strip().replace("\\|", "|") for cell in cells])
    return table[2:]


def column(text: str) -> list[str]:
    """The first cells of the first table of a text, each one piece of code."""
    return [cells[0].strip("`") for cells in rows(text)]


def codes(text: str) -> list[str]:
    """Every piece of inline code, outside of fenced blocks."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE))


def shown(value: object) -> str:
    """A default as the page writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(shown, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def settings(model: type[BaseModel] = Config, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Every key of the settings with its default; `cities` has none."""
    for name, field in model.model_fields.items():
        below = field.annotation
        if field.exclude or (prefix.startswith("alarms.") and _as_every_rule(name, field.default)):
            continue
        if isinstance(below, type) and get_origin(below) is None and issubclass(below, BaseModel):
            yield from settings(below, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", None if field.is_required() else as_written(field.default)


def _as_every_rule(name: str, default: object) -> bool:
    """Whether a rule's setting is told once for all rules."""
    common = Rule.model_fields.get(name)
    return name != "priority" and common is not None and common.default == default


def as_written(default: Any) -> Any:
    """Topic filters as people write them: one alone, several as a list. Sections by what they set."""
    if isinstance(default, tuple) and any(isinstance(one, BaseModel) for one in default):
        given = [one.model_dump(exclude_unset=True) for one in default]
        return tuple({name: _whole(value) for name, value in one.items()} for one in given)
    if not isinstance(default, dict) or not all(isinstance(filters, tuple) for filters in default.values()):
        return default
    return {name: filters[0] if len(filters) == 1 else list(filters) for name, filters in default.items()}


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


SETTINGS = dict(settings())


def test_every_format_and_its_default_filter_is_documented() -> None:
    default = SETTINGS["ingest.topics"]
    written = {cells[0].strip("`"): codes(cells[1]) for cells in rows(section("MQTT in"))}
    assert written == {name: [given] if isinstance(given, str) else given for name, given in default.items()}
    assert set(default) == set(FORMATS)


def test_every_native_topic_has_its_section() -> None:
    headings = re.findall(r"^#### markaz/v1/<city>/(\S+)$", CONTRACTS, re.MULTILINE)
    assert headings == list(PAYLOADS)
    feeds = {tuple(topic.split("/")[::2]) for topic in PAYLOADS if not topic.startswith("case/")}
    assert {"/".join(feed) for feed in feeds} == set(native_events.KINDS)


@pytest.mark.parametrize("topic", PAYLOADS)
def test_the_fields_of_a_payload_are_those_of_its_decoder(topic: str) -> None:
    """Names in both directions, and which are required."""
    documented = {cells[0].strip("`"): cells[1] == "yes" for cells in rows(section(f"markaz/v1/<city>/{topic}"))}
    decoded = {field.encode_name: field.required for field in msgspec.structs.fields(PAYLOADS[topic])}
    assert documented == decoded


def test_every_field_read_from_hfp_is_documented() -> None:
    documented = {word for cells in rows(section("HFP v2")) for word in re.findall(r"`([\w-]+)`", cells[0])}
    assert documented == {field.encode_name for field in msgspec.structs.fields(hfp._Journey)}


@pytest.mark.parametrize(
    ("table", "read"),
    [
        ("| field of an event's `after` |", frigate._Object),
        ("| field of a review's `after` |", frigate._Review),
        ("| field of `position` |", traccar._Position),
        ("| attribute |", (traccar._Attributes, traccar._Fuel)),
        ("| OwnTracks field |", owntracks._Message),
    ],
)
def test_every_field_read_from_another_format_is_documented(
    table: str, read: type[msgspec.Struct] | tuple[type[msgspec.Struct], ...]
) -> None:
    documented = rows(table + CONTRACTS.partition(table)[2])
    structs = read if isinstance(read, tuple) else (read,)
    fields = {field.encode_name: field.required for one in structs for field in msgspec.structs.fields(one)}
    names = [set(re.findall(r"`(\w+)`", cells[0])) for cells in documented]
    assert set().union(*names) == set(fields)
    required = {name for of_row, cells in zip(names, documented, strict=True) for name in of_row if cells[1] == "yes"}
    # Which `_type`s want the time stands in the code, not in the type.
    assert required - {"tst"} == {name for name, needed in fields.items() if needed}


def test_every_type_of_owntracks_is_documented() -> None:
    named = {word for cells in rows(section("OwnTracks")) for word in re.findall(r"`(\w+)`", cells[0])}
    assert named == owntracks.NOT_WANTED | {"location", "transition", "lwt"}


def test_every_key_and_unit_of_a_mapping_is_documented() -> None:
    text = section("Feeds of your own")
    assert set(column(text)) == set(FieldSource.model_fields)
    units = next(cells[1] for cells in rows(text) if cells[0] == "`unit`")
    assert set(codes(units)) - {"value"} == set(UNITS)
    kinds = next(line for line in text.splitlines() if "kind: vehicle/position" in line)
    assert set(re.findall(r"\w+/\w+|\bcase\b", kinds)) == set(NATIVE)


def test_every_reason_to_refuse_a_timetable_is_documented() -> None:
    assert column(section("GTFS static")) == [reason.value for reason in gtfs_faults.Reason]


def test_every_question_of_the_transport_analysis_is_documented() -> None:
    assert column(section("Transport analysis")) == [what.value for what in What]


def test_every_feed_is_documented() -> None:
    known = set(native_events.KINDS) | {native.CASE_FEED, hfp.FEED, waltti_apc.FEED, UNKNOWN_FEED}
    known |= {frigate.EVENT_FEED, frigate.REVIEW_FEED, frigate.AVAILABLE_FEED, owntracks.FEED, cap.FEED}
    known |= {gtfs_rt.FEED, gtfs_rt.VEHICLES, gtfs_rt.TRIPS, gtfs_rt.ALERTS}
    known |= {traccar.POSITION_FEED, traccar.FUEL_FEED, traccar.EVENT_FEED}
    assert set(column(section("Feeds"))) == known


def test_every_reject_reason_is_documented() -> None:
    assert column(section("Rejects")) == [reason.value for reason in RejectReason]


def test_every_redis_name_is_documented_as_the_code_describes_it() -> None:
    assert rows(section("Redis")) == [[f"`{name.pattern}`", *name[1:]] for name in NAMES]


def test_the_example_of_a_partition_is_right() -> None:
    text = section("Partitions")
    assert f"`01-1001` is in partition {(partition := partition_of('01-1001', 4))}" in text
    assert f"% 4  # {partition}" in text


def test_every_facet_is_documented_with_its_fields() -> None:
    documented = {
        cells[0].strip("`"): set(re.findall(r"`(\w+)`", cells[2])) for cells in rows(section("Facets and events"))
    }
    stored = {
        facet.value: {field.encode_name for field in msgspec.structs.fields(kind)} - {"measured_ms", "received_ms"}
        for facet, kind in EVENT_TYPES.items()
    }
    assert documented == stored


def test_every_series_of_samples_is_documented() -> None:
    assert column(section("Samples")) == [samples.KPIS, samples.AREAS, samples.VEHICLES]


@pytest.fixture(scope="module")
def server() -> FastAPI:
    """The application as it is served; no store or broker is there."""
    nowhere = {"MARKAZ_REDIS__URL": "redis://127.0.0.1:1/0", "MARKAZ_MQTT__URL": "mqtt://127.0.0.1:1"}
    return build(load_config(ROOT / "config.yaml", nowhere))


def test_every_path_is_documented(server: FastAPI) -> None:
    """All but the pages and what Dash keeps to itself."""
    paths = set()
    for route in server.routes:
        if not isinstance(route, APIRoute | Route) or route.path.startswith("/_") or "{path:path}" in route.path:
            continue
        path = re.sub(r"^/geo/\w+/\w+\.geojson$", "/geo/<city>/<layer>.geojson", route.path)
        paths |= {f"{method} {path}" for method in (route.methods or set()) - {"HEAD"}}
    assert set(column(section("HTTP"))) == paths - {"GET /"}
    layers = next(cells[2] for cells in rows(section("HTTP")) if "<layer>" in cells[0])
    assert set(codes(layers)) == set(GEOGRAPHY)


def test_every_parameter_of_a_path_is_documented(server: FastAPI) -> None:
    described = {cells[0].strip("`").replace(":path}", "}"): cells[1] for cells in rows(section("HTTP"))}
    for path, methods in server.openapi()["paths"].items():
        if "get" in methods:
            taken = {one["name"] for one in methods["get"].get("parameters", []) if one["in"] == "query"}
            assert set(codes(re.sub(r"\([^)]*\)", "", described[f"GET {path}"]))) == taken, path


def test_the_fields_of_answers_are_documented() -> None:
    config = load_config(ROOT / "config.yaml", {})
    alarm = Alarm(
        id="a", rule="r", priority=AlarmPriority.LOW, source_kind="feed", source_id="f", raised_ms=0, updated_ms=0
    )
    nothing = Histogram(bounds=(1.0,), counts=(0, 0), total=0)
    looks = WorkerLooks()
    looks.update(
        [
            WorkerFigures(
                worker="w", started_ms=0, at_ms=0, connected=True, received=0, redelivered=0, batches=0, queued=0,
                in_flight=0, batch_messages=nothing, store_s=nothing, lag_s=nothing, arrivals={},
            )
        ]
    )  # fmt: skip
    (report,) = looks.reports(0)
    answers = {
        "A vehicle": api.vehicle_json(Vehicle("v"), config, 0, 0),
        "A camera": api.camera_json(Camera("c"), 0),
        "An alarm": api_alarms.alarm_json(alarm),
        "An incident": api_incidents.incident_json(Incident(id="i", opened_ms=0, updated_ms=0, last_ms=0), []),
        "A worker": api_feeds.worker_answer(report, 0),
    }
    for what, answer in answers.items():
        found = re.search(rf"^- \*\*{what}\*\*: `([^`]+)`", section("HTTP"), re.MULTILINE)
        assert found is not None, what
        assert re.findall(r"\w+", re.sub(r"\{[^}]*\}", "", found[1])) == list(answer), what


def test_every_metric_is_documented_with_its_type_and_labels(server: FastAPI) -> None:
    told = dict(re.findall(r"^# TYPE (\S+) (\S+)$", TestClient(server).get("/metrics").text, re.MULTILINE))
    assert {cells[0].strip("`"): cells[1] for cells in rows(section("Metrics"))} == told


def test_every_kpi_is_documented_with_its_unit() -> None:
    assert {cells[0].strip("`"): cells[1] for cells in rows(section("KPIs"))} == KPI_UNITS


def test_every_alarm_rule_is_documented_with_its_settings() -> None:
    table = {cells[0].strip("`"): " ".join(cells[1:3]) for cells in rows(section("The rules"))}
    assert set(table) == set(Alarms.model_fields)
    for rule, words in table.items():
        mentioned = {code for code in re.findall(r"`(\w+)`", words) if f"alarms.{rule}.{code}" in SETTINGS}
        keys = {key.rpartition(".")[2] for key in SETTINGS if key.startswith(f"alarms.{rule}.")}
        assert keys - {"priority", "suppressed_by", "standing_speed_mps"} == mentioned, rule


def test_what_every_rule_says_is_documented_once() -> None:
    table = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(section("Every rule"))}
    defaults = {name: as_written(field.default) for name, field in Rule.model_fields.items() if name != "priority"}
    assert table == {name: shown(default) for name, default in defaults.items()}
    assert set(Hours.model_fields) <= set(codes(section("Every rule")))


def test_every_setting_is_documented_with_its_default() -> None:
    table = {cells[0].strip("`"): cells[1].strip("`") for cells in rows(section("Configuration"))}
    assert table == {key: "" if key == "cities" else shown(default) for key, default in SETTINGS.items()}
    profile = section("Configuration").partition("A profile has")[2]
    assert set(CityProfile.model_fields) <= set(codes(profile))


def test_the_shipped_settings_name_every_key_with_its_default() -> None:
    shipped = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for key, default in SETTINGS.items():
        value = shipped
        for part in key.split("."):
            assert part in value, f"config.yaml does not name {key}"
            value = value[part]
        if key == "cities":
            said = next(line for line in section("Configuration").splitlines() if line.endswith("are shipped."))
            assert list(value) == codes(said)
        elif key.startswith("incidents."):
            assert value, "a city begins with those that are shipped"
        elif isinstance(default, tuple):
            assert tuple(value) == default, key
        else:
            assert value == (str(default) if isinstance(default, Path) else default), key


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_variables_that_a_page_names_exist(page: Path) -> None:
    for variable in set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]*[A-Z]\b", page.read_text(encoding="utf-8"))):
        key = variable.removeprefix(ENV_PREFIX).removesuffix("_FILE").lower().replace("__", ".")
        assert key in SETTINGS or variable in ENV_NOT_SETTINGS, variable


def test_every_command_is_documented_with_its_options() -> None:
    table = {cells[0].strip("`"): set(re.findall(r"`(--[\w-]+)`", cells[2])) for cells in rows(section("Command line"))}
    assert list(table) == [command.name for command in COMMANDS]
    for command in COMMANDS:
        parser = argparse.ArgumentParser(add_help=False)
        import_module(command.module).add_arguments(parser)
        assert table[command.name] == set(_options(parser)), command.name


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _options(below)
        yield from (option for option in action.option_strings if option.startswith("--") and option != "--help")


def test_the_tree_names_files_that_exist_and_every_package() -> None:
    tree = section("What is where", ARCHITECTURE).split("```")[1]
    folders: set[str] = set()
    for line in tree.strip().splitlines():
        if not line.startswith(" "):
            folder, _, line = line.partition("/")  # noqa: PLW2901 - the rest of the line is of that folder
            folders.add(folder)
        for name in re.findall(r"\b[\w-]+(?:\.[a-z]+\b|/)", line):
            assert (ROOT / folder / name).exists(), f"{folder}/{name}"
    assert folders >= {*PACKAGES, "assets", "data", "deploy", "docs", "tests"}
    assert all((ROOT / folder).is_dir() for folder in folders)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_settings_and_code_that_a_page_names_exist(page: Path) -> None:
    sections = {key.partition(".")[0] for key in SETTINGS}
    for code in set(codes(page.read_text(encoding="utf-8"))):
        if re.fullmatch(rf"(?:{'|'.join([*PACKAGES, 'assets', 'tests'])})/[\w./]+", code):
            assert (ROOT / code).exists(), code
        elif re.fullmatch(rf"(?:{'|'.join([*PACKAGES, *sections])})(?:\.\w+)+", code):
            assert _is_setting(code) or _is_code(code), code


def _is_setting(name: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for key in SETTINGS)


def _is_code(name: str) -> bool:
    """Whether a dotted name is a module of ours, or something in one."""
    parts = name.split(".")
    for at in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:at]))
        except ImportError:
            continue
        for part in parts[at:]:
            found = getattr(found, part, None)
        return found is not None and parts[0] in PACKAGES
    return False


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    """To a file that exists and to a heading in it; nothing is asked of other sites."""
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", page.read_text(encoding="utf-8")):
        name, _, heading = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in slugs, target


def test_decisions_are_numbered_without_a_gap_and_linked() -> None:
    records = sorted((DOCS / "decisions").glob("*.md"))
    assert [record.name[:4] for record in records] == [f"{number:04}" for number in range(1, len(records) + 1)]
    for record in records:
        text = record.read_text(encoding="utf-8")
        assert text.startswith(f"# {record.name[:4]} "), record.name
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequence"], record.name
        assert f"decisions/{record.name}" in ARCHITECTURE, record.name


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/operating.md", "deploy/README.md"])
def test_make_targets_that_a_page_names_exist(name: str) -> None:
    page = ROOT / name
    if not page.exists():
        pytest.skip(f"there is no {name}")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`|&& )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert named, f"{name} names no target"
    assert named <= targets
    commands = set(re.findall(r"(?:^|`)markaz ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    assert commands <= {command.name for command in COMMANDS}
