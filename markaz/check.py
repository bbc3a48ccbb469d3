"""`markaz check`: whether the settings, the geography, the broker and the store can be used."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from city.archive_source import ArchiveSource, StoreMemory
from city.config import Config, ConfigError
from city.store import Store, StoreDown, StoreRefused
from markaz.embedded import resolve
from markaz.up import without_secrets

_BROKER_PATIENCE_S = 5.0


class Finding(NamedTuple):
    state: Literal["ok", "idle", "FAIL"]
    subject: str
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = "Exit code: 0 all can be used, 1 something cannot, 2 the settings are wrong."


def run(config: Config, arguments: argparse.Namespace) -> int:
    """A line a finding on standard output; 1 if any of them fails, else 0."""
    failed = False
    for finding in findings(config, arguments.config):
        failed |= finding.state == "FAIL"
        print(f"{finding.state:<5} {finding.subject:<10} {finding.detail}", flush=True)
    return int(failed)


def findings(config: Config, file: Path) -> Iterator[Finding]:
    yield Finding("ok", "settings", f"{file}, city {config.city}")
    for name, mapping in config.ingest.mappings.items():
        topics = ", ".join(mapping.filters(config.city))
        yield Finding("ok", "mapping", f"{name}: {topics} as {mapping.kind}, {len(mapping.fields)} fields")
    yield from geography(config)
    yield _broker(config)
    yield _store(config)


def geography(config: Config) -> Iterator[Finding]:
    """A finding a file of the city's folder; a city without polygons works, and is told so."""
    files = sorted(config.city_dir.glob("*.geojson")) + sorted(config.city_dir.glob("*.csv"))
    for name in ("districts.geojson", "mahallas.geojson"):
        if config.city_dir / name not in files:
            how = f"markaz geo import {name.removesuffix('.geojson')} FILE"
            yield Finding("idle", "geography", f"no {name} for {config.city}: `{how}` brings it")
    for file in files:
        try:
            yield Finding("ok", "geography", f"{file.name}: {_count(file)}")
        except (OSError, ValueError, KeyError, TypeError) as error:
            yield Finding("FAIL", "geography", f"{file}: {type(error).__name__}: {error}")


def _count(file: Path) -> str:
    if file.suffix == ".csv":
        with file.open(encoding="utf-8", newline="") as lines:
            return f"{sum(1 for _ in csv.DictReader(lines))} rows"
    document = json.loads(file.read_text(encoding="utf-8"))
    features = document["features"]
    for number, feature in enumerate(features):
        if not feature["geometry"]["coordinates"]:
            raise ValueError(f"feature {number} has no coordinates")
    return f"{len(features)} features"


def _broker(config: Config) -> Finding:
    try:
        config = resolve(config, ["mqtt"])
    except ConfigError as error:
        return Finding("idle", "broker", str(error))
    shown = without_secrets(config.mqtt.url)
    problem = _mqtt_problem(config)
    return Finding("FAIL", "broker", f"{shown}: {problem}") if problem else Finding("ok", "broker", f"{shown} answers")


def _mqtt_problem(config: Config) -> str | None:
    """Why the broker cannot be used, None if it welcomes us."""
    address = urlsplit(config.mqtt.url)
    secure = address.scheme == "mqtts"
    client = Client(
        CallbackAPIVersion.VERSION2,
        # 3.1.1 is understood by every broker; what is asked here is whether it lets us in.
        protocol=MQTTProtocolVersion.MQTTv5 if config.mqtt.version == "5" else MQTTProtocolVersion.MQTTv311,
    )
    user = config.mqtt.username or (unquote(address.username) if address.username else None)
    if user is not None:
        client.username_pw_set(user, config.mqtt.password or (unquote(address.password) if address.password else None))
    answered = Event()
    refusals: list[str] = []

    def note(_client: Client, _data: object, _flags: object, code: ReasonCode, _properties: object) -> None:
        if code.is_failure:
            refusals.append(str(code))
        answered.set()

    client.on_connect = note
    try:
        if secure:
            client.tls_set(ca_certs=str(config.mqtt.ca_file) if config.mqtt.ca_file else None)
        client.connect_timeout = _BROKER_PATIENCE_S
        client.connect(address.hostname or "", address.port or (8883 if secure else 1883))
    except (OSError, ValueError) as error:
        return str(error)
    client.loop_start()
    try:
        if not answered.wait(_BROKER_PATIENCE_S):
            return f"no answer within {_BROKER_PATIENCE_S:.0f} s"
        return refusals[0] if refusals else None
    finally:
        client.disconnect()
        client.loop_stop()


def _store(config: Config) -> Finding:
    try:
        config = resolve(config, ["redis"])
    except ConfigError as error:
        return Finding("idle", "store", str(error))
    shown = without_secrets(config.redis.url)
    store = Store.of(config)
    try:
        store.ping()
        memory = ArchiveSource(store).memory()
    except (StoreDown, StoreRefused) as error:
        return Finding("FAIL", "store", f"{shown}: {error}")
    finally:
        store.close()
    return Finding("ok", "store", f"{shown} answers{memory_told(memory, config.history.hold_s) if memory else ''}")


def memory_told(memory: StoreMemory, hold_s: float) -> str:
    """What the store takes, and what it would take while the archive is away for as long as it may be."""
    most = f"of {memory.max_bytes >> 20} MB" if memory.max_bytes else "without a limit (set maxmemory)"
    told = f"; {memory.used_bytes >> 20} MB {most} in use"
    if memory.events_bytes_per_s:
        held = int(memory.events_bytes_per_s * hold_s)
        told += f"; events of {hold_s / 60:.0f} minutes, held while the archive is away, take {held >> 20} MB"
        if memory.max_bytes and memory.used_bytes + held > memory.max_bytes:
            told += ": too much, the oldest would go sooner"
    return told
