"""The city's settings: `config.yaml` overridden by `MARKAZ_…` variables, checked once, frozen.

This is the only module that reads YAML or the environment. An unknown or ill-typed key is
refused with its path, what was given and what is allowed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from city.checked import Section
from city.notices import Notices
from city.rules import Alarms
from city.rules.incidents import Incidents
from city.rules.nuisance import Nuisance
from city.settings import CityProfile, Feeds, History, Http, Ingest, Kpis, Live, Mqtt, Redis, Simulator, Store
from city.transit import Transit

ENV_PREFIX = "MARKAZ_"
# Read by the command line itself, not part of the settings.
ENV_NOT_SETTINGS = frozenset({"MARKAZ_CONFIG"})

_PASSWORD_IN_URL = re.compile(r"://[^/]*@")


class ConfigError(Exception):
    """The settings cannot be used. The message is one line and names the key."""


class Config(Section):
    city: str = "tashkent"
    data_dir: Path = Path("var")
    simulate: bool = False
    http: Http = Http()
    mqtt: Mqtt = Mqtt()
    redis: Redis = Redis()
    history: History = History()
    store: Store = Store()
    ingest: Ingest = Ingest()
    feeds: Feeds = Feeds()
    alarms: Alarms = Alarms()
    nuisance: Nuisance = Nuisance()
    incidents: Incidents = Incidents()
    notices: Notices = Notices()
    kpis: Kpis = Kpis()
    live: Live = Live()
    transit: Transit = Transit()
    simulator: Simulator = Simulator()
    cities: Mapping[str, CityProfile]
    root: Path = Field(default=Path(), exclude=True)

    @model_validator(mode="after")
    def _city_has_a_profile(self) -> Config:
        if self.city not in self.cities:
            raise ValueError(f"city: {self.city!r} has no profile under cities (allowed: {', '.join(self.cities)})")
        return self

    @model_validator(mode="after")
    def _shares_or_parts(self) -> Config:
        if self.ingest.share is not None and self.ingest.parts:
            raise ValueError("ingest: share and parts exclude each other: share is for brokers with $share")
        if self.ingest.share is not None and (self.mqtt.version == "3.1.1" or self.mqtt.url == "embedded"):
            raise ValueError("ingest.share: shared subscriptions need a broker of MQTT 5; use ingest.parts with others")
        return self

    @model_validator(mode="after")
    def _client_id_fits(self) -> Config:
        # MQTT 3.1.1 lets a broker refuse longer ones.
        if len(self.ingest_client_id) > 23:
            raise ValueError(f"ingest.client_id: {self.ingest_client_id!r} is longer than 23 characters")
        return self

    @property
    def ingest_client_id(self) -> str:
        """The name under which the broker keeps the city's session: two cities must not share one."""
        return self.ingest.client_id.format(city=self.city)

    @property
    def profile(self) -> CityProfile:
        return self.cities[self.city]

    @property
    def city_dir(self) -> Path:
        """Where the city's geography lies: `data/<city>/` beside config.yaml."""
        return self.root / "data" / self.city


def load_config(path: Path, environ: Mapping[str, str] | None = None) -> Config:
    """The settings of `path` under the environment's overrides; raises ConfigError."""
    environ = os.environ if environ is None else environ
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(given, dict):
        raise ConfigError(f"{path}: a mapping is expected at the top, not {type(given).__name__}")
    sources = _overlay(given, environ)
    given["root"] = path.resolve().parent
    try:
        config = Config.model_validate(given)
    except ValidationError as error:
        raise ConfigError(_explain(error, sources, path)) from None
    # Relative paths lie beside config.yaml, wherever a process is started.
    ca_file = config.mqtt.ca_file and config.root / config.mqtt.ca_file
    mqtt = config.mqtt.model_copy(update={"ca_file": ca_file})
    ca_file = config.notices.ca_file and config.root / config.notices.ca_file
    notices = config.notices.model_copy(update={"ca_file": ca_file})
    data_dir = config.root / config.data_dir
    history = config.history.model_copy(update={"url": _history_url(config, data_dir)})
    return config.model_copy(update={"data_dir": data_dir, "mqtt": mqtt, "notices": notices, "history": history})


def _history_url(config: Config, data_dir: Path) -> str:
    """Where the archive lies: as given, or beside the store that it is filled from."""
    url = config.history.url
    if url == History().url:
        return str(data_dir / "history")
    return url if "://" in url or "::" in url else str(config.root / url)


def _overlay(given: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Write the environment's values into `given`; returns which variable set which path."""
    sources: dict[str, str] = {}
    for variable in sorted(environ):
        if not variable.startswith(ENV_PREFIX) or variable in ENV_NOT_SETTINGS:
            continue
        value = environ[variable]
        if not value:
            continue
        name = variable
        if variable.endswith("_FILE") and not variable.endswith("__CA_FILE"):
            name = variable.removesuffix("_FILE")
            try:
                value = Path(value).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{variable}: {value}: {error.strerror}") from None
            except UnicodeDecodeError:
                raise ConfigError(f"{variable}: {value}: not UTF-8 text") from None
        parts = name.removeprefix(ENV_PREFIX).lower().split("__")
        section = given
        for part in parts[:-1]:
            below = section.setdefault(part, {})
            if not isinstance(below, dict):
                raise ConfigError(f"{variable}: {part} is not a section")
            section = below
        try:
            section[parts[-1]] = yaml.safe_load(value) if value[:1] in "[{" else value
        except yaml.YAMLError as error:
            raise ConfigError(f"{variable}: not YAML: {' '.join(str(error).split())}") from None
        sources[".".join(parts)] = variable
    return sources


def _explain(error: ValidationError, sources: Mapping[str, str], path: Path) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(str(part) for part in problem["loc"])
        source = sources.get(where, path.name)
        what = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            allowed = ", ".join(_allowed_keys(problem["loc"][:-1]))
            what = f"unknown key (allowed here: {allowed})"
        elif where and not isinstance(problem["input"], Mapping):  # a whole section is no help on one line
            given = (
                "(hidden)"
                if where.endswith(("password", "secret"))
                else _PASSWORD_IN_URL.sub("://…@", repr(problem["input"]))
            )
            what = f"{what}, not {given}"
        lines.append(f"{source}: {where}: {what}" if where else f"{source}: {what}")
    return "; ".join(lines)


def _allowed_keys(loc: tuple[int | str, ...]) -> list[str]:
    """The keys of the section at `loc`; mappings (such as cities) lead to their values' model."""
    model: Any = Config
    is_key = False
    for part in loc:
        if is_key:
            is_key = False
            continue
        annotation = getattr(model, "model_fields", {})[part].annotation
        is_key = bool(get_args(annotation))
        model = get_args(annotation)[-1] if is_key else annotation
    return sorted(set(getattr(model, "model_fields", {})) - {"root"})
